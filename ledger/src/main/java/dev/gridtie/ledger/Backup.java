package dev.gridtie.ledger;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.PreparedStatement;
import java.util.HexFormat;

/** Copies a ledger while a gateway works with it. */
public final class Backup {
  private Backup() {}

  /**
   * Copies the database as it is at one instant, with a head and a seal of its own, and verifies
   * the copy. Keys and configuration are not part of it.
   *
   * @param folder where the copy is made; it must have none yet
   * @return what the copy's verification found
   * @throws StoreException where it cannot be read or written
   */
  public static Verifier.Report.Sound copy(Path database, Path folder) {
    Path copy = Database.file(folder);
    if (Files.exists(copy)) {
      throw new StoreException(copy + " is there already; choose another folder");
    }
    try {
      Files.createDirectories(folder);
      boolean unused =
          Verifier.read(
              database,
              c -> {
                c.createStatement().execute("COMMIT"); // it brings a snapshot of its own
                try (PreparedStatement into = c.prepareStatement("VACUUM INTO ?")) {
                  into.setString(1, copy.toString());
                  return into.execute();
                }
              });
      Head head =
          Verifier.read(
              copy,
              c -> {
                LedgerTx log = new LedgerTx(c);
                return new Head(
                    Database.commits(c), log.size(), HexFormat.of().formatHex(log.headHash()));
              });
      try (FileChannel channel = Head.open(copy)) {
        head.writeTo(channel);
        channel.force(true);
      }
      Seal.write(copy);
    } catch (IOException e) {
      throw new StoreException("copying to " + folder, e);
    }
    return switch (Verifier.verify(copy, ignored -> {})) {
      case Verifier.Report.Sound sound -> sound;
      case Verifier.Report.Damaged damaged ->
          throw new StoreException("the copy is not sound: " + damaged.problem());
    };
  }
}
