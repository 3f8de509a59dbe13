package dev.gridtie.grid.node;

import java.time.LocalTime;
import java.time.format.DateTimeParseException;

/**
 * A part of the day, local time; over midnight where it ends before it begins.
 *
 * @param from first minute of it
 * @param to first minute after it
 */
public record Hours(LocalTime from, LocalTime to) {
  /**
   * Reads {@code 22:00-06:00}.
   *
   * @throws IllegalArgumentException saying how it is written
   */
  public static Hours of(String text) {
    String[] parts = text.split("-", -1);
    try {
      if (parts.length == 2) {
        Hours hours = new Hours(LocalTime.parse(parts[0]), LocalTime.parse(parts[1]));
        if (!hours.from().equals(hours.to())) {
          return hours;
        }
      }
    } catch (DateTimeParseException e) {
      // Said below.
    }
    throw new IllegalArgumentException("hours are written like 22:00-06:00, not " + text);
  }

  public boolean contains(LocalTime time) {
    boolean afterBegin = !time.isBefore(from);
    boolean beforeEnd = time.isBefore(to);
    return from.isBefore(to) ? afterBegin && beforeEnd : afterBegin || beforeEnd;
  }
}
