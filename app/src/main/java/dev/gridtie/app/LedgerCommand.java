package dev.gridtie.app;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.nodes.WorkAudit;
import dev.gridtie.gateway.receipts.LogKeeper;
import dev.gridtie.gateway.receipts.Receipts;
import dev.gridtie.ledger.LedgerReader;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.Verifier;
import dev.gridtie.ledger.log.Checkpoint;
import dev.gridtie.ledger.log.CheckpointWatcher;
import dev.gridtie.ledger.log.LedgerLog;
import dev.gridtie.ledger.log.SignedNote;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.node.ObjectNode;

/** {@code gridtie ledger}: looks at the ledger. */
@Command(
    name = "ledger",
    mixinStandardHelpOptions = true,
    description = "Looks at the ledger, beside a running gateway or without one.",
    subcommands = {
      LedgerCommand.Verify.class,
      LedgerCommand.Checkpointed.class,
      LedgerCommand.Prove.class,
      LedgerCommand.BackUp.class,
      MigrateCommand.class,
      OperatorBooks.class,
      BooksCommands.Show.class,
      BooksCommands.Balance.class,
      BooksCommands.Statement.class,
      BooksCommands.Exported.class
    })
final class LedgerCommand {
  /** {@code gridtie ledger verify}. */
  @Command(
      name = "verify",
      mixinStandardHelpOptions = true,
      description = {
        "Replays every entry by the rules, hashes the chain again, sums both sides, and looks whether any byte of the"
            + " database changed since it was sealed; and that the entries are those over which checkpoints were"
            + " signed; and that nodes were paid what their work is worth by the formula.",
        "With a checkpoint that you kept (GET /log/checkpoint), also that nothing was rewritten or rolled back since.",
        "Ends with status 0 where all holds, and 1 where something does not; then it names the first bad entry."
      })
  static final class Verify implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Option(
        names = "--checkpoint",
        paramLabel = "FILE",
        description = "A checkpoint to be held to, as it was published.")
    private @Nullable Path checkpoint;

    @Option(
        names = "--key",
        paramLabel = "KEY",
        description = "Who must have signed it: name+hash+key, as GET /log/key says it.")
    private @Nullable String key;

    @Option(
        names = "--record",
        paramLabel = "FILE",
        description = {
          "Go on from an earlier verification of yours: its record is in this file, and is replaced by this one's where all"
              + " is sound. Made if it is not there. Keep it where the ledger's operator cannot change it."
        })
    private @Nullable Path record;

    @Override
    public Integer call() throws IOException {
      Location where = home.ledger();
      List<Checkpoint> trusted = checkpoint == null ? List.of() : List.of(trusted(checkpoint, key));
      CheckpointWatcher watcher =
          new CheckpointWatcher(Verifier.read(where, CheckpointWatcher::kept), trusted);
      WorkAudit work = new WorkAudit(watcher);
      Progress progress =
          new Progress("entries", Verifier.read(where, c -> new LedgerReader(c).size()));
      Verifier.Report report;
      try {
        report = Verifier.verify(where, progress::show, work, recorded(), Verify.this::keepRecord);
      } catch (IllegalArgumentException e) {
        throw new Main.Failure(record + " cannot be gone on from: " + e.getMessage());
      }
      progress.end();
      return switch (report) {
        case Verifier.Report.Sound sound -> {
          System.out.println(
              "sound: "
                  + sound.entries()
                  + " entries, "
                  + sound.accounts()
                  + " accounts, debits equal credits");
          System.out.println("head   " + sound.head());
          System.out.println("root   " + watcher.root());
          if (work.parts() > 0) {
            System.out.println(
                "work   "
                    + work.parts()
                    + " parts of answers by nodes agree with what "
                    + work.payments()
                    + " payments were for");
          }
          if (work.older() > 0) {
            System.out.println(
                "       " + work.older() + " parts of an older form, which nothing can be held to");
          }
          trusted.forEach(
              c -> System.out.println("agrees with the checkpoint over " + c.size() + " entries"));
          yield 0;
        }
        case Verifier.Report.Damaged damaged -> {
          System.out.println("DAMAGED: " + damaged.problem());
          yield 1;
        }
      };
    }

    private Optional<String> recorded() throws IOException {
      return record == null || !Files.exists(record)
          ? Optional.empty()
          : Optional.of(Files.readString(record));
    }

    private void keepRecord(String written) {
      if (record != null) {
        try {
          Path next = record.resolveSibling(record.getFileName() + ".next");
          Files.writeString(next, written);
          Files.move(next, record, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
          throw new Main.Failure("the record cannot be written: " + e.getMessage());
        }
      }
    }
  }

  /** Reads a checkpoint that somebody brings, and requires that the key has signed it. */
  private static Checkpoint trusted(Path file, @Nullable String key) {
    if (key == null) {
      throw new Main.Failure("whose checkpoint is it? Name its key with --key (GET /log/key)");
    }
    try {
      SignedNote note = SignedNote.parse(Files.readString(file));
      if (SignedNote.Verifier.of(key).verify(note).isEmpty()) {
        throw new Main.Failure(file + " is not signed by " + key);
      }
      return Checkpoint.parse(note.text());
    } catch (SignedNote.MalformedNoteException | IllegalArgumentException e) {
      throw new Main.Failure(file + " or the key cannot be read: " + e.getMessage());
    } catch (IOException e) {
      throw new Main.Failure(file + " cannot be read: " + e.getMessage());
    }
  }

  /** {@code gridtie ledger checkpoint}. */
  @Command(
      name = "checkpoint",
      mixinStandardHelpOptions = true,
      description = {
        "Prints the last signed checkpoint: how many entries the ledger has, and the root of their Merkle tree.",
        "Keep it, or give it to others: whoever has it can tell later whether anything before it was rewritten"
            + " (./gridtie ledger verify --checkpoint FILE --key KEY)."
      })
  static final class Checkpointed implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Override
    public Integer call() throws IOException {
      LedgerLog.Signed last =
          Verifier.read(home.ledger(), LedgerLog::latest)
              .orElseThrow(() -> new Main.Failure("nothing was signed yet: start the gateway"));
      System.out.print(last.note().written());
      System.err.println(
          "key    " + home.get().logSigner().verifier(SignedNote.Kind.SIGNATURE).written());
      return 0;
    }
  }

  /** {@code gridtie ledger backup}. */
  @Command(
      name = "backup",
      mixinStandardHelpOptions = true,
      description = {
        "Copies the ledger beside a running gateway, as it is at one instant, and verifies the copy; and accounts.db: account"
            + " keys, pools, invitations. ./gridtie backup FILE copies the whole home, private keys too.",
        "To restore: stop the gateway, remove all of the home's ledger.* and accounts.* (also -wal), put the copy's there, start.",
        "Payments and answers since then are not in it; whoever kept a later checkpoint can tell (./gridtie ledger verify"
            + " --checkpoint)."
      })
  static final class BackUp implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(paramLabel = "DIR", description = "Where to; made if it is not there.")
    private Path folder = Path.of("");

    @Override
    public Integer call() {
      Progress progress =
          new Progress("entries", Verifier.read(home.ledger(), c -> new LedgerReader(c).size()));
      Verifier.Report.Sound sound =
          HomeBackup.copyStores(home.ledger(), folder.toAbsolutePath(), progress::show);
      progress.end();
      System.out.println(folder + ": " + sound.entries() + " entries, sound, head " + sound.head());
      return 0;
    }
  }

  /** {@code gridtie ledger prove}. */
  @Command(
      name = "prove",
      mixinStandardHelpOptions = true,
      description =
          "Prints the proof that an entry is in the log: the hashes that lead from it to the checkpoint's root.")
  static final class Prove implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Parameters(
        paramLabel = "ID",
        description = "An entry's id (32 hexadecimal digits), or a receipt's (rcpt-…).")
    private String id = "";

    @Override
    public Integer call() {
      String entry = id.matches("[0-9a-f]{32}") ? id : Receipts.entryId(id);
      LedgerLog.Inclusion proof =
          Verifier.read(home.ledger(), c -> LedgerLog.prove(c, entry))
              .orElseThrow(
                  () ->
                      new Main.Failure(
                          "no entry "
                              + entry
                              + " under the last checkpoint; a new one is after "
                              + LogKeeper.EVERY.toSeconds()
                              + " s"));
      ObjectNode json = Json.object().put("index", proof.index());
      json.put("entry", proof.entry());
      var path = json.putArray("path");
      proof.path().forEach(hash -> path.add(Base64.getEncoder().encodeToString(hash)));
      json.put("checkpoint", proof.in().note().written());
      System.out.println(json.toPrettyString());
      return 0;
    }
  }
}
