package dev.gridtie.ledger;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.PreparedStatement;
import java.util.List;
import java.util.function.LongConsumer;

/** Copies a ledger while gateways work with it. */
public final class Backup {
  private Backup() {}

  /**
   * Copies the database as it is at one instant to a file, with a head and a seal of its own, and
   * verifies the copy. Keys and configuration are not part of it.
   *
   * @param folder where the copy is made; it must have none yet
   * @param others whose tables are kept with the ledger
   * @param progress told the number of entries verified, now and then
   * @return what the copy's verification found
   * @throws StoreException where it cannot be read or written
   */
  public static Verifier.Report.Sound copy(
      Location from, Path folder, List<Migrations> others, LongConsumer progress) {
    Location.OnFile copy = (Location.OnFile) Location.in(folder);
    if (Files.exists(copy.file())) {
      throw new StoreException(copy + " is there already; choose another folder");
    }
    try {
      Files.createDirectories(folder);
      if (from instanceof Location.OnFile) {
        copyFile(from, copy);
      } else {
        Copy.copyAsItIs(from, copy, others);
      }
    } catch (IOException e) {
      throw new StoreException("copying to " + folder, e);
    }
    return switch (Verifier.verify(copy, progress)) {
      case Verifier.Report.Sound sound -> sound;
      case Verifier.Report.Damaged damaged ->
          throw new StoreException("the copy is not sound: " + damaged.problem());
    };
  }

  private static void copyFile(Location from, Location.OnFile copy) throws IOException {
    boolean unused =
        Verifier.read(
            from,
            c -> {
              c.createStatement().execute("COMMIT"); // it brings a snapshot of its own
              try (PreparedStatement into = c.prepareStatement("VACUUM INTO ?")) {
                into.setString(1, copy.file().toString());
                return into.execute();
              }
            });
    Head head = Verifier.read(copy, c -> new LedgerReader(c).head());
    try (FileChannel channel = Head.open(copy.head())) {
      head.writeTo(channel);
      channel.force(true);
    }
    Seal.write(copy.file());
  }
}
