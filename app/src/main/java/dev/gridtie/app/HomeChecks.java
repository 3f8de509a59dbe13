package dev.gridtie.app;

import dev.gridtie.base.ready.Check;
import dev.gridtie.base.ready.Finding;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/** What is tested of a home: its room on the disk, its owner, and who can read its keys. */
final class HomeChecks {
  /** With less room than this the ledger is in danger; with less than that it soon will be. */
  static final long DISK_BYTES_MIN = 64L << 20;

  private static final long DISK_BYTES_LOW = 1L << 30;

  private static final Set<PosixFilePermission> FOR_OTHERS =
      Set.of(
          PosixFilePermission.OTHERS_READ,
          PosixFilePermission.OTHERS_WRITE,
          PosixFilePermission.OTHERS_EXECUTE);
  private static final Set<PosixFilePermission> FOR_THE_GROUP =
      Set.of(
          PosixFilePermission.GROUP_READ,
          PosixFilePermission.GROUP_WRITE,
          PosixFilePermission.GROUP_EXECUTE);

  private HomeChecks() {}

  static List<Check> all(Home home) {
    return List.of(
        new Check("disk", "that there is room for the ledger", () -> disk(home.path())),
        new Check("keys", "that private keys are their owner's alone", () -> keys(home)));
  }

  private static Finding disk(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      return new Finding.NotApplicable("there is no home yet");
    }
    long free = Files.getFileStore(folder).getUsableSpace();
    String remedy = "make room on the disk of " + folder + ", or move the home to a larger one";
    String detail = (free >> 20) + " MiB are free";
    if (free < DISK_BYTES_MIN) {
      return new Finding.Failed("the disk is full", detail, remedy);
    }
    return free < DISK_BYTES_LOW
        ? new Finding.Warning("the disk is nearly full", detail, remedy)
        : Finding.ok(detail);
  }

  private static Finding keys(Home home) throws IOException {
    if (!Files.isDirectory(home.keys())) {
      return new Finding.NotApplicable("there are no keys yet");
    }
    List<Path> all = new ArrayList<>(List.of(home.keys()));
    try (Stream<Path> files = Files.list(home.keys())) {
      files.forEach(all::add);
    }
    String us = System.getProperty("user.name", "");
    List<String> open = new ArrayList<>();
    List<String> grouped = new ArrayList<>();
    for (Path one : all) {
      if (!Files.isReadable(one)) {
        return new Finding.Failed(
            "a private key cannot be read",
            one.toString(),
            "run as its owner, " + Files.getOwner(one).getName() + ", or: chown " + us + " " + one);
      }
      Set<PosixFilePermission> modes = Files.getPosixFilePermissions(one);
      if (modes.stream().anyMatch(FOR_OTHERS::contains)) {
        open.add(one.toString());
      } else if (modes.stream().anyMatch(FOR_THE_GROUP::contains)) {
        grouped.add(one.toString());
      }
    }
    String remedy = "chmod -R go= " + home.keys();
    boolean closed =
        Files.getPosixFilePermissions(home.keys()).stream().noneMatch(FOR_OTHERS::contains);
    if (!open.isEmpty() && closed) { // a file is reached through its folder alone
      return new Finding.Warning(
          "private keys have modes for every user, in a folder that only its owner can enter",
          String.join(", ", open),
          remedy);
    }
    if (!open.isEmpty()) {
      return new Finding.Failed(
          "private keys can be read by every user of the machine", String.join(", ", open), remedy);
    }
    String owner = Files.getOwner(home.path()).getName();
    if (!owner.equals(us)) {
      return new Finding.Warning(
          "the home is another user's", home.path() + " is " + owner + "'s", "run as " + owner);
    }
    return grouped.isEmpty()
        ? Finding.ok()
        : new Finding.Warning(
            "private keys can be read by their group", String.join(", ", grouped), remedy);
  }
}
