package dev.gridtie.app;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.library.dependencies.SlicesRuleDefinition;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** The arrows between modules point downwards, and nobody reaches around them. */
class ArchitectureTest {
  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(new ImportOption.DoNotIncludeTests())
          .importPackages("dev.gridtie");

  /** What each module may see of the others. */
  private static final Map<String, List<String>> ALLOWED =
      Map.of(
          "base", List.of(),
          "wire", List.of("base"),
          "ledger", List.of("base"),
          "x402", List.of("base"),
          "grid", List.of("base", "wire", "ledger"),
          "gateway", List.of("base", "wire", "ledger", "x402", "grid"),
          "bench", List.of("base", "wire", "ledger", "x402", "grid", "gateway"));

  private static final List<String> ALL =
      List.of("base", "wire", "ledger", "x402", "grid", "gateway", "bench", "app");

  @Test
  void arrowsPointDownwards() {
    ALLOWED.forEach(
        (module, allowed) ->
            ALL.stream()
                .filter(other -> !other.equals(module) && !allowed.contains(other))
                .forEach(
                    other ->
                        noClasses()
                            .that()
                            .resideInAPackage("dev.gridtie." + module + "..")
                            .should()
                            .dependOnClassesThat()
                            .resideInAPackage("dev.gridtie." + other + "..")
                            .check(CLASSES)));
  }

  @Test
  void packagesHaveNoCycles() {
    SlicesRuleDefinition.slices()
        .matching("dev.gridtie.(*)..")
        .should()
        .beFreeOfCycles()
        .check(CLASSES);
    SlicesRuleDefinition.slices()
        .matching("dev.gridtie.gateway.(*)..")
        .should()
        .beFreeOfCycles()
        .check(CLASSES);
  }

  @Test
  void wireDoesNoInputOrOutput() {
    noClasses()
        .that()
        .resideInAPackage("dev.gridtie.wire..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(
            "java.io..", "java.nio.file..", "java.net..", "io.vertx..", "java.sql..")
        .check(CLASSES);
  }

  @Test
  void theLedgerNeverCallsOut() {
    noClasses()
        .that()
        .resideInAPackage("dev.gridtie.ledger..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("java.net..", "io.vertx..")
        .check(CLASSES);
  }

  @Test
  void onlyAppReadsTheEnvironment() {
    noClasses()
        .that()
        .resideOutsideOfPackage("dev.gridtie.app..")
        .should()
        .callMethod(System.class, "getenv", String.class)
        .orShould()
        .callMethod(System.class, "getenv")
        .check(CLASSES);
  }

  @Test
  void theX402LibraryStandsAlone() {
    noClasses()
        .that()
        .resideInAnyPackage(
            "dev.gridtie.x402.client..", "dev.gridtie.x402.server..", "dev.gridtie.x402.wire..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("io.vertx..", "dev.gridtie.x402.evm.exact..")
        .check(CLASSES);
  }
}
