package dev.gridtie.gateway.catalog;

import java.util.Collection;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * The models offered, by name. They come from several parts, such as a file and the grid; where two
 * parts offer the same model, its endpoints stand beside each other. State: the parts, written
 * under the monitor, and one map of all, replaced as a whole; a request keeps the models it found.
 */
public final class Catalog {
  private static final String MAIN = "";
  private final Map<String, List<Model>> parts = new LinkedHashMap<>();
  private volatile Map<String, Model> models = Map.of();

  public Catalog(List<Model> offered) {
    replace(offered);
  }

  private static void requireOnce(List<Model> offered) {
    Set<String> seen = new HashSet<>();
    for (Model model : offered) {
      if (!seen.add(model.id())) {
        throw new IllegalArgumentException("model " + model.id() + " is offered twice");
      }
    }
  }

  /**
   * Offers these from now on, and no others of the main part.
   *
   * @throws IllegalArgumentException where a name stands twice; then nothing has changed
   */
  public void replace(List<Model> offered) {
    replace(MAIN, offered);
  }

  /**
   * Offers these from now on, and no others of this part.
   *
   * @throws IllegalArgumentException where a name stands twice; then nothing has changed
   */
  public synchronized void replace(String part, List<Model> offered) {
    requireOnce(offered);
    parts.put(part, List.copyOf(offered));
    Map<String, Model> all = new LinkedHashMap<>();
    parts.values().forEach(list -> list.forEach(m -> all.merge(m.id(), m, Model::and)));
    models = all;
  }

  public Optional<Model> find(String id) {
    return Optional.ofNullable(models.get(id));
  }

  public Collection<Model> all() {
    return models.values();
  }

  /** The models that everybody may ask, without what is a pool's own. */
  public List<Model> open() {
    return models.values().stream().flatMap(m -> m.open().stream()).toList();
  }

  /** A model that everybody may ask, without what is a pool's own. */
  public Optional<Model> findOpen(String id) {
    return find(id).flatMap(Model::open);
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
