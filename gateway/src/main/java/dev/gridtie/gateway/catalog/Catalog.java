package dev.gridtie.gateway.catalog;

import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * The models offered, by name. State: one map, replaced as a whole; a request keeps the models it
 * found.
 */
public final class Catalog {
  private volatile Map<String, Model> models;

  public Catalog(List<Model> offered) {
    this.models = byName(offered);
  }

  private static Map<String, Model> byName(List<Model> offered) {
    Map<String, Model> models = new LinkedHashMap<>();
    for (Model model : offered) {
      if (models.put(model.id(), model) != null) {
        throw new IllegalArgumentException("model " + model.id() + " is offered twice");
      }
    }
    return models;
  }

  /**
   * Offers these from now on, and no others.
   *
   * @throws IllegalArgumentException where a name stands twice; then nothing has changed
   */
  public void replace(List<Model> offered) {
    models = byName(offered);
  }

  public Optional<Model> find(String id) {
    return Optional.ofNullable(models.get(id));
  }

  public Collection<Model> all() {
    return models.values();
  }

  /** The name that is fewest edits away, where anything is offered. */
  public Optional<String> nearest(String id) {
    String asked = clip(id.toLowerCase(Locale.ROOT));
    return models.keySet().stream()
        .min(Comparator.comparingInt(name -> distance(asked, name.toLowerCase(Locale.ROOT))));
  }

  /** Longer names than this are compared by their beginnings. */
  private static final int COMPARED_MAX = 128;

  private static String clip(String text) {
    return text.length() <= COMPARED_MAX ? text : text.substring(0, COMPARED_MAX);
  }

  /** Levenshtein's distance: insertions, deletions and replacements. */
  private static int distance(String a, String b) {
    int[] row = new int[b.length() + 1];
    for (int j = 0; j <= b.length(); j++) {
      row[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int replaced = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(replaced, Math.min(row[j], row[j - 1]) + 1);
      }
    }
    return row[b.length()];
  }
}
