package dev.gridtie.app;

import dev.gridtie.base.ready.Check;
import dev.gridtie.base.ready.Finding;
import dev.gridtie.gateway.catalog.Breaker;
import dev.gridtie.gateway.catalog.Catalog;
import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.catalog.Model;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/** What is tested of the models that a gateway offers: that somebody would answer for them. */
final class ModelChecks {
  /** How many models a message names. */
  private static final int NAMED_MAX = 8;

  private ModelChecks() {}

  /**
   * @param own the models whose engines this gateway runs itself: each must answer
   * @param catalog all that are offered, which may change
   */
  static List<Check> all(List<Model> own, Catalog catalog) {
    List<Check> checks = new ArrayList<>();
    for (Model model : own) {
      checks.add(
          new Check(
              "engine " + model.id(),
              "that an engine of this model answers",
              () -> own(model, catalog)));
    }
    Set<String> named = own.stream().map(Model::id).collect(Collectors.toSet());
    checks.add(
        new Check(
            "models",
            "that each model that is offered has an endpoint that answers",
            () ->
                hosted(catalog.all().stream().filter(m -> !named.contains(m.id())).toList(), own)));
    return checks;
  }

  private static Finding own(Model model, Catalog catalog) {
    if (answers(model)) {
      return Finding.ok();
    }
    String reason = "the engine does not answer";
    String remedy = "see logs/engine.log in the home; the engine is started again by itself";
    return catalog.find(model.id()).map(ModelChecks::answers).orElse(false)
        ? new Finding.Warning(reason, "other endpoints answer for the model", remedy)
        : Finding.failed(reason, remedy);
  }

  private static Finding hosted(List<Model> hosted, List<Model> own) {
    if (hosted.isEmpty()) {
      return own.isEmpty()
          ? new Finding.Warning(
              "no model is offered",
              "",
              "name models in the configuration or its catalog, or wait for nodes to join")
          : Finding.ok();
    }
    List<String> silent = hosted.stream().filter(m -> !answers(m)).map(Model::id).toList();
    if (silent.isEmpty()) {
      return Finding.ok();
    }
    String some =
        String.join(", ", silent.subList(0, Math.min(NAMED_MAX, silent.size())))
            + (silent.size() > NAMED_MAX ? ", …" : "");
    String remedy = "see the providers' pages of status, their keys, and gridtie top";
    return silent.size() == hosted.size() && own.isEmpty()
        ? new Finding.Failed("no model has an endpoint that answers", some, remedy)
        : new Finding.Warning(
            silent.size() + " of " + hosted.size() + " models have no endpoint that answers",
            some,
            remedy);
  }

  private static boolean answers(Model model) {
    return model.endpoints().stream().anyMatch(ModelChecks::answers);
  }

  private static boolean answers(Endpoint endpoint) {
    return endpoint.channels().stream()
        .anyMatch(c -> c.source().isReady() && c.breaker().state() != Breaker.State.OPEN);
  }
}
