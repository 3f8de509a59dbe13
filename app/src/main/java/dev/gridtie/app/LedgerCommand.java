package dev.gridtie.app;

import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.Verifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code gridtie ledger}: looks at the ledger. */
@Command(
    name = "ledger",
    mixinStandardHelpOptions = true,
    description = "Looks at the ledger, beside a running gateway or without one.",
    subcommands = LedgerCommand.Verify.class)
final class LedgerCommand {
  /** {@code gridtie ledger verify}. */
  @Command(
      name = "verify",
      mixinStandardHelpOptions = true,
      description = {
        "Replays every entry by the rules, hashes the chain again, sums both sides, and looks whether any byte of the"
            + " database changed since it was sealed.",
        "Ends with status 0 where all holds, and 1 where something does not; then it names the first bad entry."
      })
  static final class Verify implements Callable<Integer> {
    @Mixin private Main.HomeOption home = new Main.HomeOption();

    @Override
    public Integer call() {
      Path file = Database.file(home.get().path());
      if (!Files.exists(file)) {
        throw new Main.Failure("there is no ledger at " + file + "; name its folder with --home");
      }
      boolean terminal = System.console() != null && System.console().isTerminal();
      Verifier.Report report =
          Verifier.verify(
              file,
              done -> {
                if (terminal) {
                  System.err.print("\r" + done + " entries");
                }
              });
      if (terminal) {
        System.err.print("\r");
      }
      return switch (report) {
        case Verifier.Report.Sound sound -> {
          System.out.println(
              "sound: "
                  + sound.entries()
                  + " entries, "
                  + sound.accounts()
                  + " accounts, debits equal credits");
          System.out.println("head   " + sound.head());
          yield 0;
        }
        case Verifier.Report.Damaged damaged -> {
          System.out.println("DAMAGED: " + damaged.problem());
          yield 1;
        }
      };
    }
  }
}
