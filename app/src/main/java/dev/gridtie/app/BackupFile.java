package dev.gridtie.app;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Json;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.zip.Deflater;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipInputStream;
import java.util.zip.ZipOutputStream;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * A backup as a file: a ZIP whose first entry is a manifest with the hash of each that follows, in
 * the order in which they follow.
 */
final class BackupFile {
  static final int VERSION = 1;
  private static final String FORMAT = "gridtie-backup";
  private static final String MANIFEST = "manifest.json";

  /** The entry that holds the private files, encrypted. */
  static final String SEALED = "private.sealed";

  private static final int MANIFEST_BYTES_MAX = 4 * 1024 * 1024;

  /** How many files a backup may hold. */
  static final int FILES_MAX = 10_000;

  /** How large the private files may be together. */
  private static final int SEALED_BYTES_MAX = 16 * 1024 * 1024;

  private BackupFile() {}

  /** What became of private keys. */
  enum Keys {
    ENCRYPTED,
    IN_CLEAR,
    LEFT_OUT;

    String written() {
      return name().toLowerCase(java.util.Locale.ROOT).replace('_', '-');
    }
  }

  /**
   * What a backup says of itself.
   *
   * @param store where the ledger was: {@code file} or {@code postgresql}
   * @param privateFiles the names of the files that hold secrets, whatever became of them
   * @param leftOut what of the home is not inside, for people to read
   */
  record Manifest(
      Instant made,
      String home,
      String store,
      long entries,
      String head,
      Keys keys,
      List<String> privateFiles,
      List<String> leftOut,
      Map<String, Part> parts) {

    /** The length and hash of an entry. */
    record Part(long bytes, String sha256) {}

    private ObjectNode json() {
      ObjectNode json = Json.object().put("format", FORMAT).put("version", VERSION);
      json.put("made", made.toString()).put("home", home);
      json.putObject("ledger").put("store", store).put("entries", entries).put("head", head);
      json.put("keys", keys.written());
      ArrayNode names = json.putArray("private");
      privateFiles.forEach(names::add);
      ArrayNode out = json.putArray("leftOut");
      leftOut.forEach(out::add);
      ArrayNode list = json.putArray("files");
      parts.forEach(
          (name, part) ->
              list.addObject()
                  .put("name", name)
                  .put("bytes", part.bytes())
                  .put("sha256", part.sha256()));
      return json;
    }

    private static Manifest of(byte[] bytes) throws IOException {
      try {
        JsonNode json = Json.parse(bytes);
        if (!FORMAT.equals(Json.text(json, "format"))) {
          throw new IOException("this is no backup of gridtie's");
        }
        if (json.path("version").asInt(0) != VERSION) {
          throw new IOException(
              "the backup's format is version "
                  + json.path("version")
                  + ", and this gridtie reads version "
                  + VERSION);
        }
        Map<String, Part> parts = new LinkedHashMap<>();
        for (JsonNode file : json.path("files")) {
          parts.put(
              file.path("name").asString(""),
              new Part(file.path("bytes").asLong(-1), file.path("sha256").asString("")));
        }
        JsonNode ledger = json.path("ledger");
        return new Manifest(
            Instant.parse(json.path("made").asString("")),
            json.path("home").asString(""),
            ledger.path("store").asString(""),
            ledger.path("entries").asLong(-1),
            ledger.path("head").asString(""),
            keys(json.path("keys").asString("")),
            texts(json.path("private")),
            texts(json.path("leftOut")),
            parts);
      } catch (Json.MalformedJsonException | RuntimeException e) {
        throw new IOException(MANIFEST + " is damaged: " + e.getMessage());
      }
    }

    private static Keys keys(String written) {
      return Keys.valueOf(written.toUpperCase(java.util.Locale.ROOT).replace('-', '_'));
    }

    private static List<String> texts(JsonNode array) {
      List<String> texts = new ArrayList<>();
      array.forEach(t -> texts.add(t.asString("")));
      return texts;
    }
  }

  // Writing

  /** Length and hash of a file. */
  static Manifest.Part part(Path file) throws IOException {
    MessageDigest digest = Hashes.newSha256();
    long bytes = 0;
    byte[] buffer = new byte[1 << 16];
    try (InputStream in = Files.newInputStream(file)) {
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        digest.update(buffer, 0, n);
        bytes += n;
      }
    }
    return new Manifest.Part(bytes, HexFormat.of().formatHex(digest.digest()));
  }

  /**
   * Writes a backup for its owner alone, and returns when it is on the disk. Never over another.
   *
   * @param folder in which the parts lie under their names
   */
  static void write(Path file, Manifest manifest, Path folder) throws IOException {
    Path partial = file.resolveSibling(file.getFileName() + ".partial");
    Files.deleteIfExists(partial);
    Files.createFile(
        partial,
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    try {
      try (ZipOutputStream zip =
          new ZipOutputStream(new BufferedOutputStream(Files.newOutputStream(partial)))) {
        zip.setLevel(Deflater.BEST_SPEED);
        zip.putNextEntry(new ZipEntry(MANIFEST));
        zip.write(manifest.json().toPrettyString().getBytes(UTF_8));
        zip.closeEntry();
        for (String name : manifest.parts().keySet()) {
          zip.putNextEntry(new ZipEntry(name));
          long unused = Files.copy(folder.resolve(name), zip);
          zip.closeEntry();
        }
      }
      try (FileChannel channel = FileChannel.open(partial, StandardOpenOption.WRITE)) {
        channel.force(true);
      }
      if (Files.exists(file)) {
        throw new IOException(file + " is there already; it is not written over");
      }
      Files.move(partial, file, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(partial);
    }
  }

  // Reading

  /**
   * Unpacks a backup, and holds each part to the manifest.
   *
   * @param folder which is empty
   * @throws IOException naming the first part that is damaged or missing
   */
  static Manifest read(Path file, Path folder) throws IOException {
    try (ZipInputStream zip =
        new ZipInputStream(new BufferedInputStream(Files.newInputStream(file)))) {
      Manifest manifest = manifest(zip);
      for (var part : manifest.parts().entrySet()) {
        unpack(zip, part.getKey(), part.getValue(), folder);
      }
      if (next(zip, "what follows " + MANIFEST).isPresent()) {
        throw new IOException("the backup has more parts than its manifest names");
      }
      return manifest;
    }
  }

  private static Manifest manifest(ZipInputStream zip) throws IOException {
    if (!next(zip, MANIFEST).filter(MANIFEST::equals).isPresent()) {
      throw new IOException("this is no backup of gridtie's, or its beginning is damaged");
    }
    byte[] bytes;
    try {
      bytes = zip.readNBytes(MANIFEST_BYTES_MAX);
      if (zip.read() >= 0) {
        throw new IOException(MANIFEST + " is longer than a manifest may be");
      }
    } catch (ZipException | EOFException e) {
      throw new IOException(MANIFEST + " is damaged: " + e.getMessage(), e);
    }
    Manifest manifest = Manifest.of(bytes);
    if (manifest.parts().size() > FILES_MAX) {
      throw new IOException("the manifest names more files than a backup may hold");
    }
    return manifest;
  }

  private static Optional<String> next(ZipInputStream zip, String part) throws IOException {
    try {
      return Optional.ofNullable(zip.getNextEntry()).map(ZipEntry::getName);
    } catch (ZipException | EOFException | IllegalArgumentException e) {
      throw new IOException(part + " is damaged: " + e.getMessage(), e);
    }
  }

  private static void unpack(ZipInputStream zip, String name, Manifest.Part part, Path folder)
      throws IOException {
    Path to = folder.resolve(name).normalize();
    if (!to.startsWith(folder) || to.equals(folder)) {
      throw new IOException("the manifest names a file outside the home: " + name);
    }
    Optional<String> found = next(zip, name);
    if (found.isEmpty()) {
      throw new IOException("the backup ends before " + name + ": it was cut short");
    }
    if (!found.get().equals(name)) {
      throw new IOException(name + " is missing; " + found.get() + " stands in its place");
    }
    Path parent = to.getParent();
    if (parent != null) {
      Files.createDirectories(
          parent,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    }
    Files.createFile(
        to, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    MessageDigest digest = Hashes.newSha256();
    long bytes = 0;
    byte[] buffer = new byte[1 << 16];
    try (OutputStream out = Files.newOutputStream(to)) {
      for (int n = zip.read(buffer); n >= 0; n = zip.read(buffer)) {
        digest.update(buffer, 0, n);
        out.write(buffer, 0, n);
        bytes += n;
        if (bytes > part.bytes()) {
          break;
        }
      }
    } catch (ZipException | EOFException e) {
      throw new IOException(name + " is damaged after " + bytes + " bytes: " + e.getMessage(), e);
    }
    if (bytes != part.bytes() || !HexFormat.of().formatHex(digest.digest()).equals(part.sha256())) {
      throw new IOException(name + " is damaged: its length or hash is not the manifest's");
    }
  }

  // Private files as one

  /** Packs private files together, to be encrypted. */
  static byte[] pack(Map<String, byte[]> files) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(out)) {
      for (var file : files.entrySet()) {
        zip.putNextEntry(new ZipEntry(file.getKey()));
        zip.write(file.getValue());
        zip.closeEntry();
      }
    }
    return out.toByteArray();
  }

  static Map<String, byte[]> unpack(byte[] packed) throws IOException {
    Map<String, byte[]> files = new LinkedHashMap<>();
    long bytes = 0;
    try (ZipInputStream zip = new ZipInputStream(new ByteArrayInputStream(packed))) {
      for (ZipEntry e = zip.getNextEntry(); e != null; e = zip.getNextEntry()) {
        byte[] content = zip.readNBytes(SEALED_BYTES_MAX + 1);
        bytes += content.length;
        if (bytes > SEALED_BYTES_MAX || files.size() >= FILES_MAX) {
          throw new IOException(SEALED + " holds more than private files may be");
        }
        files.put(e.getName(), content);
      }
    }
    return files;
  }
}
