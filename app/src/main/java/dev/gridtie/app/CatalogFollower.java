package dev.gridtie.app;

import dev.gridtie.gateway.catalog.Catalog;
import dev.gridtie.gateway.catalog.Model;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Keeps the catalog up with its file. A file that is wrong anywhere changes nothing: the old one
 * stays, and why is said.
 */
final class CatalogFollower implements AutoCloseable {
  private static final Duration LOOK_EVERY = Duration.ofMillis(500);

  private final Path file;
  private final CatalogBuilder builder;
  private final List<Model> own;
  private final Catalog catalog;
  private byte[] seen;
  private final Thread thread;

  /**
   * Reads the file for the first time, and then follows it.
   *
   * @param own models that do not stand in the file
   * @throws IOException where the file is wrong to begin with
   */
  CatalogFollower(Path file, CatalogBuilder builder, List<Model> own, Catalog catalog)
      throws IOException {
    this.file = file;
    this.builder = builder;
    this.own = List.copyOf(own);
    this.catalog = catalog;
    YamlFile.read(file, CatalogConfig.class); // for its message, where there is no such file
    this.seen = Files.readAllBytes(file);
    apply(seen);
    this.thread = Thread.ofVirtual().name("catalog").start(this::follow);
  }

  private void apply(byte[] bytes) throws IOException {
    List<Model> models = new ArrayList<>(own);
    models.addAll(builder.build(YamlFile.parse(file, bytes, CatalogConfig.class), file));
    try {
      catalog.replace(models);
    } catch (IllegalArgumentException e) {
      throw new IOException(String.valueOf(e.getMessage()), e);
    }
  }

  private void follow() {
    while (true) {
      try {
        Thread.sleep(LOOK_EVERY);
        byte[] now = Files.readAllBytes(file);
        if (!Arrays.equals(now, seen)) {
          seen = now;
          apply(now);
          System.err.println("gridtie: " + file + " was read again");
        }
      } catch (IOException e) {
        System.err.println("gridtie: the catalog stays as it was: " + e.getMessage());
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  @Override
  public void close() {
    thread.interrupt();
  }
}
