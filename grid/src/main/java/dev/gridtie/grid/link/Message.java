package dev.gridtie.grid.link;

import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.grid.engine.EngineFailure;
import dev.gridtie.grid.engine.Sampling;
import dev.gridtie.grid.engine.Turn;
import dev.gridtie.grid.model.Manifest;
import java.util.List;

/**
 * One message of the protocol. A gateway begins with {@link FromGateway.Challenge}; a node answers
 * with {@link FromNode.Hello}; then each may speak at any time. Whoever builds one with values that
 * cannot be gets an {@link IllegalArgumentException}.
 */
public sealed interface Message {
  /** Names are short. */
  int NAME_MAX = 128;

  /** No context is longer, in tokens. */
  int TOKENS_MAX = 1 << 24;

  /** No machine is faster, in tokens a second. */
  int TOKENS_PER_SECOND_MAX = 10_000_000;

  /** No machine answers more at once. */
  int SLOTS_MAX = 1024;

  /** No machine has more memory or disk. */
  long BYTES_MAX = 1L << 50;

  /** No vocabulary has more tokens. */
  int VOCABULARY_MAX = 1 << 22;

  private static void require(boolean condition, String what) {
    if (!condition) {
      throw new IllegalArgumentException(what);
    }
  }

  private static void bounded(long value, long max, String what) {
    require(value >= 0 && value <= max, what + " is from 0 to " + max);
  }

  private static void shortText(String value, String what) {
    require(value != null && value.length() <= NAME_MAX, what + " is at most 128 characters");
  }

  /** What a node says. */
  @JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "m")
  @JsonSubTypes({
    @JsonSubTypes.Type(value = FromNode.Hello.class, name = "hello"),
    @JsonSubTypes.Type(value = FromNode.Serving.class, name = "serving"),
    @JsonSubTypes.Type(value = FromNode.Status.class, name = "status"),
    @JsonSubTypes.Type(value = FromNode.Pong.class, name = "pong"),
    @JsonSubTypes.Type(value = FromNode.Started.class, name = "started"),
    @JsonSubTypes.Type(value = FromNode.Text.class, name = "text"),
    @JsonSubTypes.Type(value = FromNode.Ended.class, name = "ended"),
    @JsonSubTypes.Type(value = FromNode.Failed.class, name = "failed"),
    @JsonSubTypes.Type(value = FromNode.Counted.class, name = "counted"),
    @JsonSubTypes.Type(value = FromNode.Embedded.class, name = "embedded"),
    @JsonSubTypes.Type(value = FromNode.Chunk.class, name = "chunk"),
  })
  sealed interface FromNode extends Message {
    /**
     * Who it is.
     *
     * @param address of its key, which is where it is paid
     * @param signature of {@link Identity#statement}, 0x-hexadecimal
     * @param name for people to read
     * @param region where it stands, such as {@code eu}; empty where its owner does not say
     * @param invitation into a pool; empty for the public one
     * @param hardware for people to read
     * @param memoryBytes that may be used
     * @param diskBytes that models may take
     * @param slots at most
     * @param watts under load; 0 where it is not known
     */
    record Hello(
        int version,
        String address,
        String signature,
        String name,
        String region,
        String invitation,
        String hardware,
        long memoryBytes,
        long diskBytes,
        int slots,
        int watts)
        implements FromNode {
      public Hello {
        require(address != null && address.matches("0x[0-9a-f]{40}"), "address is no address");
        require(
            signature != null && signature.matches("0x[0-9a-f]{130}"), "signature is no signature");
        require(name != null && name.matches("[\\p{L}\\p{N} ._-]{0,64}"), "name is a short name");
        require(region != null && region.matches("[a-z0-9-]{0,32}"), "region is a short name");
        require(invitation != null && invitation.length() <= 2048, "invitation is too long");
        shortText(hardware, "hardware");
        bounded(memoryBytes, BYTES_MAX, "memoryBytes");
        bounded(diskBytes, BYTES_MAX, "diskBytes");
        require(slots > 0 && slots <= SLOTS_MAX, "slots are from 1 to 1024");
        require(watts >= 0 && watts <= 100_000, "watts are not believed");
      }
    }

    /**
     * It answers for a model from now on, and for no other.
     *
     * @param manifest the model's hash; empty where it answers for none
     * @param file SHA-256 of the weights
     * @param build of the engine: only nodes of one build go on for each other
     * @param sampled whether the sampler is ours, so that another can go on
     * @param prefillTps tokens of a prompt a second, as measured
     * @param decodeTps tokens of an answer a second in one slot, as measured
     */
    record Serving(
        String manifest,
        String file,
        String build,
        boolean sampled,
        int slots,
        int contextTokens,
        int prefillTps,
        int decodeTps)
        implements FromNode {
      public Serving {
        shortText(manifest, "manifest");
        shortText(file, "file");
        shortText(build, "build");
        bounded(slots, SLOTS_MAX, "slots");
        bounded(contextTokens, TOKENS_MAX, "contextTokens");
        bounded(prefillTps, TOKENS_PER_SECOND_MAX, "prefillTps");
        bounded(decodeTps, TOKENS_PER_SECOND_MAX, "decodeTps");
      }

      /** None. */
      public static final Serving NOTHING = new Serving("", "", "", false, 0, 0, 0, 0);
    }

    /**
     * How it is.
     *
     * @param accepting whether it takes work now
     * @param why not
     * @param active answers that it gives, to whomever
     * @param memoryBytes that may be used
     */
    record Status(boolean accepting, String why, int active, long memoryBytes) implements FromNode {
      public Status {
        shortText(why, "why");
        bounded(active, SLOTS_MAX, "active");
        bounded(memoryBytes, BYTES_MAX, "memoryBytes");
      }
    }

    /** It is there. */
    record Pong(long nanos) implements FromNode {}

    /** A prompt is being read. */
    record Started(long job, int prompt) implements FromNode {
      public Started {
        bounded(prompt, TOKENS_MAX, "prompt");
      }
    }

    /**
     * A piece of an answer.
     *
     * @param tokens since the last piece
     * @param count of all tokens of the answer so far
     */
    record Text(long job, String text, List<Integer> tokens, int count) implements FromNode {
      public Text {
        require(text != null && text.length() <= 64 * 1024, "text is too long");
        require(tokens != null && tokens.size() <= 4096, "tokens are too many");
        tokens = List.copyOf(tokens);
        tokens.forEach(t -> bounded(t, VOCABULARY_MAX, "a token"));
        bounded(count, TOKENS_MAX, "count");
      }
    }

    record Ended(long job, EndReason reason, int prompt, int count) implements FromNode {
      public Ended {
        require(reason != null, "reason is missing");
        bounded(prompt, TOKENS_MAX, "prompt");
        bounded(count, TOKENS_MAX, "count");
      }
    }

    /**
     * There will be no more of it.
     *
     * @param yielded whether the owner needs the machine, which is nobody's fault
     */
    record Failed(long job, EngineFailure.Code code, String message, boolean yielded)
        implements FromNode {
      public Failed {
        require(code != null && message != null && message.length() <= 1024, "failed how?");
      }
    }

    record Counted(long job, int tokens) implements FromNode {
      public Counted {
        bounded(tokens, TOKENS_MAX, "tokens");
      }
    }

    record Embedded(long job, List<Float> values, int tokens) implements FromNode {
      public Embedded {
        require(values != null && values.size() <= 16_384, "values are too many");
        values = List.copyOf(values);
        values.forEach(v -> require(Float.isFinite(v), "a value is no number"));
        bounded(tokens, TOKENS_MAX, "tokens");
      }
    }

    /**
     * A part of a file that a gateway wanted.
     *
     * @param base64 of the bytes; empty where it has no such file
     */
    record Chunk(long job, String base64) implements FromNode {
      public Chunk {
        require(
            base64 != null && base64.length() <= (FromGateway.Want.LENGTH_MAX + 2) / 3 * 4,
            "base64 is missing, or too long");
      }
    }
  }

  /** What a gateway says. */
  @JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "m")
  @JsonSubTypes({
    @JsonSubTypes.Type(value = FromGateway.Challenge.class, name = "challenge"),
    @JsonSubTypes.Type(value = FromGateway.Welcome.class, name = "welcome"),
    @JsonSubTypes.Type(value = FromGateway.Refused.class, name = "refused"),
    @JsonSubTypes.Type(value = FromGateway.Offer.class, name = "offer"),
    @JsonSubTypes.Type(value = FromGateway.Ping.class, name = "ping"),
    @JsonSubTypes.Type(value = FromGateway.Generate.class, name = "generate"),
    @JsonSubTypes.Type(value = FromGateway.Count.class, name = "count"),
    @JsonSubTypes.Type(value = FromGateway.Embed.class, name = "embed"),
    @JsonSubTypes.Type(value = FromGateway.Cancel.class, name = "cancel"),
    @JsonSubTypes.Type(value = FromGateway.Flow.class, name = "flow"),
    @JsonSubTypes.Type(value = FromGateway.Paid.class, name = "paid"),
    @JsonSubTypes.Type(value = FromGateway.Want.class, name = "want"),
  })
  sealed interface FromGateway extends Message {
    /**
     * @param nonce 0x and 64 hexadecimal digits, never the same
     * @param gateway its public key, so that a signature is for it alone
     */
    record Challenge(int version, String nonce, String gateway) implements FromGateway {
      public Challenge {
        require(nonce != null && nonce.matches("0x[0-9a-f]{64}"), "nonce is 32 bytes");
        shortText(gateway, "gateway");
      }
    }

    /**
     * The node has joined.
     *
     * @param pool that it works for; empty for the public one
     * @param vouched whether its earnings are released at once; else they are pending
     * @param files opens models' files, as a bearer token
     */
    record Welcome(String pool, boolean vouched, String files) implements FromGateway {
      public Welcome {
        shortText(pool, "pool");
        shortText(files, "files");
      }
    }

    /** It may not join; the connection ends. */
    record Refused(String code, String message) implements FromGateway {
      public Refused {
        shortText(code, "code");
        require(message != null && message.length() <= 1024, "message is too long");
      }
    }

    /**
     * Models that are wanted, the dearest need first.
     *
     * @param contextTokens that an answer must have room for
     * @param least the coarsest quantisation; empty for any
     */
    record Offer(List<Wanted> models) implements FromGateway {
      public record Wanted(Manifest manifest, int contextTokens, String least) {
        public Wanted {
          require(manifest != null && contextTokens > 0, "a model and its context are wanted");
          shortText(least, "least");
        }
      }

      public Offer {
        require(models != null && models.size() <= 256, "models are too many");
        models = List.copyOf(models);
      }
    }

    record Ping(long nanos) implements FromGateway {}

    /** See {@link dev.gridtie.grid.engine.Ask}. */
    record Generate(long job, List<Turn> turns, Sampling sampling, int max, List<Integer> said)
        implements FromGateway {
      public Generate {
        require(turns != null && sampling != null && said != null, "something is missing");
        turns = List.copyOf(turns);
        said = List.copyOf(said);
        bounded(max, Integer.MAX_VALUE, "max");
      }
    }

    record Count(long job, List<Turn> turns) implements FromGateway {
      public Count {
        turns = List.copyOf(turns);
      }
    }

    record Embed(long job, String text) implements FromGateway {}

    record Cancel(long job) implements FromGateway {}

    /** Whether an answer goes on, or waits for whoever reads it. */
    record Flow(long job, boolean on) implements FromGateway {}

    /**
     * What an answer was worth.
     *
     * @param micro micro-credits
     * @param pending whether it is held until the work is verified
     */
    record Paid(long job, long micro, boolean pending) implements FromGateway {}

    /** A part of a file that another node needs. */
    record Want(long job, String file, long offset, int length) implements FromGateway {
      /** So much fits into a message. */
      public static final int LENGTH_MAX = 128 * 1024;

      public Want {
        require(file != null && file.matches("[0-9a-f]{64}"), "file is a SHA-256");
        require(offset >= 0 && length > 0 && length <= LENGTH_MAX, "a part of a file");
      }
    }
  }
}
