package dev.gridtie.app;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.gateway.receipts.ReceiptSigner;
import dev.gridtie.gateway.receipts.Receipts;
import dev.gridtie.ledger.Entry;
import dev.gridtie.ledger.log.Checkpoint;
import dev.gridtie.ledger.log.Merkle;
import dev.gridtie.ledger.log.SignedNote;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.JsonNode;

/** {@code gridtie receipt}: looks at receipts, without trusting who signed them. */
@Command(
    name = "receipt",
    mixinStandardHelpOptions = true,
    description = "Looks at receipts.",
    subcommands = ReceiptCommand.Verify.class)
final class ReceiptCommand {
  /** {@code gridtie receipt verify}. */
  @Command(
      name = "verify",
      mixinStandardHelpOptions = true,
      description = {
        "Checks a receipt (GET /v1/receipts/ID): that its signature is the operator's, and not a bit was changed.",
        "With --online also that its hash stands in the operator's log, under a signed checkpoint. Print that"
            + " checkpoint with --save and keep it: it shows later whether the log was rewritten.",
        "Ends with status 0 where all holds, and 1 where something does not."
      })
  static final class Verify implements Callable<Integer> {
    @Parameters(paramLabel = "FILE", description = "The receipt.")
    private Path file = Path.of("");

    @Option(
        names = "--key",
        paramLabel = "KEY",
        description =
            "The operator's public key (base64), as you know it. Without it, the receipt's own is taken.")
    private @Nullable String key;

    @Option(
        names = "--online",
        paramLabel = "URL",
        description = "Also ask the gateway there for the proof that the receipt is in its log.")
    private @Nullable URI online;

    @Option(
        names = "--log-key",
        paramLabel = "KEY",
        description =
            "Who signs the log: name+hash+key. Without it, what the gateway says (GET /log/key).")
    private @Nullable String logKey;

    @Option(names = "--save", paramLabel = "FILE", description = "Keep the checkpoint there.")
    private @Nullable Path save;

    @Override
    public Integer call() throws IOException, InterruptedException {
      JsonNode signed;
      try {
        signed = Json.parse(Files.readAllBytes(file));
      } catch (Json.MalformedJsonException e) {
        throw new Main.Failure(file + " is no receipt: " + e.getMessage());
      }
      String own = Json.text(signed, "publicKey");
      String by = key != null ? key : own;
      String id = Json.text(signed.path("receipt"), "id");
      if (by == null || id == null) {
        throw new Main.Failure(file + " is no receipt: it lacks receipt.id or publicKey");
      }
      if (!ReceiptSigner.verify(signed, by) || !by.equals(own)) {
        System.out.println("NOT VALID: the signature is not " + by + "'s over this receipt");
        return 1;
      }
      System.out.println("valid: " + id + ", signed by " + by);
      if (key == null) {
        System.out.println(
            "note: that key is the receipt's own word; name the operator's with --key");
      }
      return online == null ? 0 : prove(signed, id, online);
    }

    private int prove(JsonNode signed, String id, URI gateway)
        throws IOException, InterruptedException {
      String logged = logKey != null ? logKey : ask(gateway, "/log/key").strip();
      JsonNode proof;
      try {
        proof = Json.parse(ask(gateway, "/log/proof/" + Receipts.entryId(id)).getBytes(UTF_8));
        String entry = String.valueOf(Json.text(proof, "entry"));
        SignedNote note = SignedNote.parse(String.valueOf(Json.text(proof, "checkpoint")));
        if (SignedNote.Verifier.of(logged).verify(note).isEmpty()) {
          System.out.println("NOT PROVED: the checkpoint is not signed by " + logged);
          return 1;
        }
        if (!(Entry.parse(entry) instanceof Entry.Witness witness)
            || !witness.sha256().equals(Receipts.hash(signed))) {
          System.out.println("NOT PROVED: the log has another receipt under " + id);
          return 1;
        }
        Checkpoint checkpoint = Checkpoint.parse(note.text());
        long index = proof.path("index").asLong(-1);
        byte[] leaf = Merkle.leaf(entry.getBytes(UTF_8));
        if (!Merkle.isIncluded(leaf, index, checkpoint.size(), path(proof), checkpoint.root())) {
          System.out.println("NOT PROVED: the proof does not lead to the checkpoint's root");
          return 1;
        }
        System.out.println(
            "proved: entry " + (index + 1) + " of " + checkpoint.size() + " in " + logged);
        if (save != null) {
          Files.writeString(save, note.written());
        }
        return 0;
      } catch (Json.MalformedJsonException
          | SignedNote.MalformedNoteException
          | IllegalArgumentException e) {
        System.out.println("NOT PROVED: what " + gateway + " says is no proof: " + e.getMessage());
        return 1;
      }
    }

    private static List<byte[]> path(JsonNode proof) {
      List<byte[]> path = new ArrayList<>();
      proof.path("path").forEach(hash -> path.add(Base64.getDecoder().decode(hash.asString(""))));
      return path;
    }

    /** The most that is read of an answer, in bytes. */
    private static final int ANSWER_BYTES_MAX = 256 * 1024;

    private static String ask(URI gateway, String path) throws IOException, InterruptedException {
      String base = gateway.toString().replaceAll("/+$", "");
      try (HttpClient http =
          HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).build()) {
        HttpResponse<java.io.InputStream> answer =
            http.send(
                HttpRequest.newBuilder(URI.create(base + path))
                    .timeout(Duration.ofSeconds(20))
                    .build(),
                HttpResponse.BodyHandlers.ofInputStream());
        try (java.io.InputStream in = answer.body()) {
          String body = new String(in.readNBytes(ANSWER_BYTES_MAX), UTF_8);
          if (answer.statusCode() != 200) {
            throw new Main.Failure(base + path + " says " + answer.statusCode() + ": " + body);
          }
          return body;
        }
      }
    }
  }
}
