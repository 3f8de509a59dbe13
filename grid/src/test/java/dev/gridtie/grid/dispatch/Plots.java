package dev.gridtie.grid.dispatch;

import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** Draws what a simulation found, as SVG. */
final class Plots {
  private static final int WIDTH = 720;
  private static final int HEIGHT = 360;
  private static final int MARGIN = 60;

  private Plots() {}

  private static String frame(String title, String body) {
    return """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">
        <rect width="100%%" height="100%%" fill="white"/>
        <text x="%d" y="26" font-size="15">%s</text>
        %s</svg>
        """
        .formatted(WIDTH, HEIGHT, MARGIN, title, body);
  }

  /** The part of requests that waited longer than so long, both sorted beforehand. */
  static String waiting(long[] ours, long[] oracle) {
    double most = Math.max(1e-3, Math.max(ours[ours.length - 1], oracle[oracle.length - 1]) / 1e9);
    StringBuilder body = new StringBuilder();
    for (int power = 0; power <= 5; power++) {
      double y = MARGIN + (HEIGHT - 2.0 * MARGIN) * power / 5;
      body.append(
          String.format(
              Locale.ROOT,
              "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>"
                  + "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>%n",
              MARGIN,
              WIDTH - MARGIN,
              y,
              y,
              MARGIN - 6,
              y + 4,
              power == 0 ? "1" : "1e-" + power));
    }
    body.append(curve(ours, most, "#c0392b")).append(curve(oracle, most, "#2c3e50"));
    body.append(
        String.format(
            Locale.ROOT,
            "<text x=\"%d\" y=\"%d\">0 s</text><text x=\"%d\" y=\"%d\" text-anchor=\"end\">%.2f s</text>"
                + "<text x=\"%d\" y=\"60\" fill=\"#c0392b\" text-anchor=\"end\">the dispatcher</text>"
                + "<text x=\"%d\" y=\"78\" fill=\"#2c3e50\" text-anchor=\"end\">the oracle</text>%n",
            MARGIN,
            HEIGHT - MARGIN + 20,
            WIDTH - MARGIN,
            HEIGHT - MARGIN + 20,
            most,
            WIDTH - MARGIN,
            WIDTH - MARGIN));
    return frame("Part of requests that wait longer than …", body.toString());
  }

  private static String curve(long[] sorted, double most, String colour) {
    StringBuilder points = new StringBuilder();
    int n = sorted.length;
    for (int step = 0; step <= 300; step++) {
      double seconds = most * step / 300;
      int longer = n - upper(sorted, (long) (seconds * 1e9));
      double power = longer == 0 ? 5 : Math.min(5, -Math.log10((double) longer / n));
      double x = MARGIN + (WIDTH - 2.0 * MARGIN) * step / 300;
      double y = MARGIN + (HEIGHT - 2.0 * MARGIN) * power / 5;
      points.append(String.format(Locale.ROOT, "%.1f,%.1f ", x, y));
    }
    return "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"%s\" points=\"%s\"/>%n"
        .formatted(colour, points.toString().strip());
  }

  /** How many are not more than a value. */
  private static int upper(long[] sorted, long value) {
    int low = 0;
    int high = sorted.length;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (sorted[middle] <= value) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** By kind: its share of work beside its share of capacity. */
  static String shares(Map<String, double[]> shares) {
    StringBuilder body = new StringBuilder();
    double most = shares.values().stream().mapToDouble(b -> Math.max(b[0], b[1])).max().orElse(1);
    int row = 0;
    for (var each : new TreeMap<>(shares).entrySet()) {
      int y = MARGIN + row * 52;
      body.append(
          "<text x=\"%d\" y=\"%d\">%s</text>%n".formatted(MARGIN - 40, y + 20, each.getKey()));
      for (int which = 0; which < 2; which++) {
        double width = (WIDTH - 3.5 * MARGIN) * each.getValue()[which] / most;
        body.append(
            String.format(
                Locale.ROOT,
                "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"15\" fill=\"%s\"/>"
                    + "<text x=\"%.1f\" y=\"%d\">%.1f %%</text>%n",
                MARGIN + 40,
                y + which * 18,
                width,
                which == 0 ? "#c0392b" : "#95a5a6",
                MARGIN + 46 + width,
                y + which * 18 + 12,
                100 * each.getValue()[which]));
      }
      row++;
    }
    return frame("Share of work (red) and of capacity (grey), by hardware", body.toString());
  }
}
