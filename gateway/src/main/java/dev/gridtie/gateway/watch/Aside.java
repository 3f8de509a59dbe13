package dev.gridtie.gateway.watch;

import java.time.Instant;

/**
 * A request that led to no answer of a model: a page, a quote, or something that was refused.
 *
 * @param path as the client wrote it, clipped
 * @param status of HTTP
 * @param code of the error; empty where there was none
 */
public record Aside(
    Instant began, String method, String path, int status, String code, long totalMs) {

  /** The most of a path that is kept, in characters. */
  static final int PATH_MAX = 200;

  public Aside {
    path = path.length() <= PATH_MAX ? path : path.substring(0, PATH_MAX) + "…";
  }
}
