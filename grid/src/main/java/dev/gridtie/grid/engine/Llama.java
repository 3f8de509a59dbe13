package dev.gridtie.grid.engine;

import static dev.gridtie.grid.engine.LlamaLayouts.BATCH;
import static dev.gridtie.grid.engine.LlamaLayouts.CONTEXT_PARAMS;
import static dev.gridtie.grid.engine.LlamaLayouts.MODEL_PARAMS;
import static dev.gridtie.grid.engine.LlamaLayouts.offset;
import static dev.gridtie.grid.engine.LlamaLayouts.requireDefaults;
import static dev.gridtie.grid.engine.NativeLibrary.rethrown;
import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BOOLEAN;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.grid.engine.NativeLibrary.NativeException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.Optional;

/**
 * llama.cpp v0.5.0 through java.lang.foreign: the few calls we make, and the three structs that
 * travel by value. Their layout is that version's only, and so the version and the library's own
 * defaults, read through our layout, are checked before anything else is done. For one thread, but
 * for {@link #tokenize} and {@link #isControl}, and in a process of its own: a fault in here ends
 * the process.
 */
final class Llama implements PromptEncoder.Tokenizer, AutoCloseable {
  /** What the library says of itself. */
  static final String VERSION = "0.5.0-dev";

  /** What its files are called by. */
  static final String FILE_VERSION = "0.5.0";

  private static final int TYPE_F32 = 0;
  private static final int TYPE_F16 = 1;
  private static final int FLASH_ATTENTION_OFF = 0;

  // llama_token_attr, in llama.h
  private static final int ATTRIBUTE_UNKNOWN = 1;
  private static final int ATTRIBUTE_CONTROL = 1 << 3;

  /** Shared: prompts are tokenised beside the thread that computes. */
  private final Arena arena = Arena.ofShared();

  private final NativeLibrary library;
  private final MethodHandle decode;
  private final MethodHandle logitsIth;
  private final MethodHandle tokenize;
  private final MethodHandle tokenToPiece;
  private final MethodHandle isEndOfGeneration;
  private final MethodHandle seqRemove;
  private final MemorySegment model;
  private final MemorySegment vocabulary;
  private final MemorySegment context;
  private final MemorySegment memory;
  private final MemorySegment batch;
  private final MemorySegment batchTokens;
  private final MemorySegment batchPositions;
  private final MemorySegment batchSequences;
  private final MemorySegment batchOutputs;
  private final int vocabularySize;
  private final BitSet controls;
  private final int batchMax;
  private int batchSize;

  /**
   * Loads the library and a model.
   *
   * @param libraries the folder with libllama and its backends
   * @param file a GGUF
   * @param sequences how many can be in one batch; 0 where prompts are only to be counted: the
   *     weights stay on the disk then
   * @param contextTokens of each sequence
   * @param batchMax tokens in one batch
   * @param progress is told of what is loaded and computed
   */
  Llama(
      Path libraries,
      Path file,
      int sequences,
      int contextTokens,
      int batchMax,
      int threads,
      Progress progress) {
    this.batchMax = batchMax;
    this.library = new NativeLibrary(libraries, "llama", FILE_VERSION, arena);
    requireVersion();
    library.call("llama_backend_init", FunctionDescriptor.ofVoid());
    var unused = new Backends(libraries, arena);

    MemorySegment modelParams = library.struct("llama_model_default_params", MODEL_PARAMS);
    requireDefaults(
        "llama_model_params",
        JAVA_INT,
        modelParams,
        MODEL_PARAMS,
        "n_gpu_layers",
        -1,
        "main_gpu",
        0);
    requireDefaults(
        "llama_model_params",
        JAVA_BYTE,
        modelParams,
        MODEL_PARAMS,
        "vocab_only",
        0,
        "use_extra_bufts",
        1,
        "no_alloc",
        0);
    boolean countsOnly = sequences == 0;
    modelParams.set(JAVA_BYTE, offset(MODEL_PARAMS, "vocab_only"), (byte) (countsOnly ? 1 : 0));
    modelParams.set(
        ADDRESS,
        offset(MODEL_PARAMS, "progress_callback"),
        upcall(
            progress,
            "loading",
            FunctionDescriptor.of(JAVA_BOOLEAN, ValueLayout.JAVA_FLOAT, ADDRESS),
            MethodType.methodType(boolean.class, float.class, MemorySegment.class)));
    this.model =
        (MemorySegment)
            library.call(
                "llama_model_load_from_file",
                FunctionDescriptor.of(ADDRESS, ADDRESS, MODEL_PARAMS),
                arena.allocateFrom(file.toString()),
                modelParams);
    if (model.address() == 0) {
      throw new NativeException("llama.cpp cannot load " + file.getFileName());
    }
    this.vocabulary =
        (MemorySegment)
            library.call("llama_model_get_vocab", FunctionDescriptor.of(ADDRESS, ADDRESS), model);
    this.vocabularySize =
        (int)
            library.call(
                "llama_vocab_n_tokens", FunctionDescriptor.of(JAVA_INT, ADDRESS), vocabulary);

    MemorySegment params = library.struct("llama_context_default_params", CONTEXT_PARAMS);
    requireDefaults(
        "llama_context_params",
        JAVA_INT,
        params,
        CONTEXT_PARAMS,
        "n_ctx",
        512,
        "n_batch",
        2048,
        "n_ubatch",
        512,
        "n_seq_max",
        1,
        "flash_attn_type",
        -1,
        "type_k",
        TYPE_F16,
        "type_v",
        TYPE_F16);
    requireDefaults(
        "llama_context_params",
        JAVA_BYTE,
        params,
        CONTEXT_PARAMS,
        "embeddings",
        0,
        "offload_kqv",
        1,
        "kv_unified",
        0);
    setInt(params, "n_ctx", sequences * contextTokens);
    setInt(params, "n_batch", batchMax);
    setInt(params, "n_ubatch", batchMax);
    setInt(params, "n_seq_max", sequences);
    setInt(params, "n_threads", threads);
    setInt(params, "n_threads_batch", threads);
    // Keys and values unrounded and attention in one plain order: the batch a token is computed in
    // then matters least.
    setInt(params, "flash_attn_type", FLASH_ATTENTION_OFF);
    setInt(params, "type_k", TYPE_F32);
    setInt(params, "type_v", TYPE_F32);
    params.set(
        ADDRESS,
        offset(CONTEXT_PARAMS, "abort_callback"),
        upcall(
            progress,
            "computing",
            FunctionDescriptor.of(JAVA_BOOLEAN, ADDRESS),
            MethodType.methodType(boolean.class, MemorySegment.class)));
    this.context =
        countsOnly
            ? MemorySegment.NULL
            : (MemorySegment)
                library.call(
                    "llama_init_from_model",
                    FunctionDescriptor.of(ADDRESS, ADDRESS, CONTEXT_PARAMS),
                    model,
                    params);
    if (!countsOnly && context.address() == 0) {
      throw new NativeException(
          "llama.cpp cannot make a context of "
              + sequences
              + " times "
              + contextTokens
              + " tokens");
    }
    int perSequence =
        countsOnly
            ? 0
            : (int)
                library.call("llama_n_ctx_seq", FunctionDescriptor.of(JAVA_INT, ADDRESS), context);
    if (perSequence < contextTokens) {
      throw new NativeException(
          "llama.cpp gives each sequence " + perSequence + " tokens, not " + contextTokens);
    }
    this.memory =
        countsOnly
            ? MemorySegment.NULL
            : (MemorySegment)
                library.call("llama_get_memory", FunctionDescriptor.of(ADDRESS, ADDRESS), context);

    this.decode = library.handle("llama_decode", FunctionDescriptor.of(JAVA_INT, ADDRESS, BATCH));
    this.logitsIth =
        library.handle("llama_get_logits_ith", FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_INT));
    this.tokenize =
        library.handle(
            "llama_tokenize",
            FunctionDescriptor.of(
                JAVA_INT,
                ADDRESS,
                ADDRESS,
                JAVA_INT,
                ADDRESS,
                JAVA_INT,
                JAVA_BOOLEAN,
                JAVA_BOOLEAN));
    this.tokenToPiece =
        library.handle(
            "llama_token_to_piece",
            FunctionDescriptor.of(
                JAVA_INT, ADDRESS, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT, JAVA_BOOLEAN));
    this.isEndOfGeneration =
        library.handle(
            "llama_vocab_is_eog", FunctionDescriptor.of(JAVA_BOOLEAN, ADDRESS, JAVA_INT));
    this.seqRemove =
        library.handle(
            "llama_memory_seq_rm",
            FunctionDescriptor.of(JAVA_BOOLEAN, ADDRESS, JAVA_INT, JAVA_INT, JAVA_INT));

    this.controls = controls();
    this.batchTokens = arena.allocate(JAVA_INT, batchMax);
    this.batchPositions = arena.allocate(JAVA_INT, batchMax);
    MemorySegment sequenceCounts = arena.allocate(JAVA_INT, batchMax);
    this.batchSequences = arena.allocate(JAVA_INT, batchMax);
    MemorySegment sequencePointers = arena.allocate(ADDRESS, batchMax);
    for (int i = 0; i < batchMax; i++) {
      sequenceCounts.setAtIndex(JAVA_INT, i, 1);
      sequencePointers.setAtIndex(ADDRESS, i, batchSequences.asSlice(4L * i, 4));
    }
    this.batchOutputs = arena.allocate(JAVA_BYTE, batchMax);
    this.batch = arena.allocate(BATCH);
    setPointer(batch, "token", batchTokens);
    setPointer(batch, "embd", MemorySegment.NULL);
    setPointer(batch, "pos", batchPositions);
    setPointer(batch, "n_seq_id", sequenceCounts);
    setPointer(batch, "seq_id", sequencePointers);
    setPointer(batch, "logits", batchOutputs);
  }

  private MemorySegment upcall(
      Progress progress, String method, FunctionDescriptor type, MethodType javaType) {
    try {
      MethodHandle handle = MethodHandles.lookup().bind(progress, method, javaType);
      return Linker.nativeLinker().upcallStub(handle, type, arena);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(e);
    }
  }

  // The batch being filled

  void clearBatch() {
    batchSize = 0;
  }

  int batchSize() {
    return batchSize;
  }

  /** Adds a token to the batch and returns its index in it. */
  int add(int token, int position, int sequence, boolean wantLogits) {
    if (batchSize == batchMax) {
      throw new IllegalStateException("the batch is full");
    }
    batchTokens.setAtIndex(JAVA_INT, batchSize, token);
    batchPositions.setAtIndex(JAVA_INT, batchSize, position);
    batchSequences.setAtIndex(JAVA_INT, batchSize, sequence);
    batchOutputs.set(JAVA_BYTE, batchSize, (byte) (wantLogits ? 1 : 0));
    return batchSize++;
  }

  /** Computes the batch. */
  void decode() {
    batch.set(JAVA_INT, offset(BATCH, "n_tokens"), batchSize);
    try {
      int status = (int) decode.invokeExact(context, batch);
      if (status != 0) {
        throw new NativeException("llama_decode ended with status " + status);
      }
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  /** Copies the logits of the batch's token {@code index} into {@code into}. */
  void logits(int index, float[] into) {
    try {
      MemorySegment row = (MemorySegment) logitsIth.invokeExact(context, index);
      if (row.address() == 0) {
        throw new NativeException("there are no logits for token " + index + " of the batch");
      }
      MemorySegment.copy(
          row.reinterpret(4L * vocabularySize), JAVA_FLOAT, 0, into, 0, vocabularySize);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  /** Forgets what a sequence holds from a position on. */
  void forgetFrom(int sequence, int position) {
    try {
      boolean unused = (boolean) seqRemove.invokeExact(memory, sequence, position, -1);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  // Text and tokens

  int vocabularySize() {
    return vocabularySize;
  }

  @Override
  public int[] tokenize(String text, boolean special) {
    byte[] utf8 = text.getBytes(UTF_8);
    try (Arena call = Arena.ofConfined()) {
      MemorySegment in = call.allocate(Math.max(1, utf8.length));
      MemorySegment.copy(utf8, 0, in, JAVA_BYTE, 0, utf8.length);
      int room = utf8.length + 8;
      MemorySegment out = call.allocate(JAVA_INT, room);
      int count =
          (int) tokenize.invokeExact(vocabulary, in, utf8.length, out, room, false, special);
      if (count < 0) {
        throw new NativeException("a text of " + utf8.length + " bytes has more tokens than bytes");
      }
      return out.asSlice(0, 4L * count).toArray(JAVA_INT);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  /** The bytes of a token; control tokens have none. Part of a character, perhaps. */
  byte[] piece(int token) {
    try (Arena call = Arena.ofConfined()) {
      int room = 256;
      MemorySegment out = call.allocate(room);
      int count = (int) tokenToPiece.invokeExact(vocabulary, token, out, room, 0, false);
      if (count < 0) {
        room = -count;
        out = call.allocate(room);
        count = (int) tokenToPiece.invokeExact(vocabulary, token, out, room, 0, false);
      }
      return out.asSlice(0, Math.max(0, count)).toArray(JAVA_BYTE);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  boolean endsGeneration(int token) {
    try {
      return (boolean) isEndOfGeneration.invokeExact(vocabulary, token);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  @Override
  public boolean isControl(int token) {
    return controls.get(token);
  }

  /** All tokens that a text can name and must not be able to. */
  private BitSet controls() {
    MethodHandle attributes =
        library.handle("llama_vocab_get_attr", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT));
    BitSet found = new BitSet(vocabularySize);
    try {
      for (int token = 0; token < vocabularySize; token++) {
        int of = (int) attributes.invokeExact(vocabulary, token);
        found.set(token, (of & (ATTRIBUTE_UNKNOWN | ATTRIBUTE_CONTROL)) != 0);
      }
    } catch (Throwable e) {
      throw rethrown(e);
    }
    return found;
  }

  // The model

  /** A second context on this model, for embeddings. */
  EmbeddingContext embeddings(int contextTokens, int threads) {
    return new EmbeddingContext(library, model, contextTokens, threads);
  }

  int trainedContext() {
    return (int)
        library.call("llama_model_n_ctx_train", FunctionDescriptor.of(JAVA_INT, ADDRESS), model);
  }

  long parameters() {
    return (long)
        library.call("llama_model_n_params", FunctionDescriptor.of(JAVA_LONG, ADDRESS), model);
  }

  /** The chat template that the file carries, where it does. */
  Optional<String> chatTemplate() {
    MemorySegment text =
        (MemorySegment)
            library.call(
                "llama_model_chat_template",
                FunctionDescriptor.of(ADDRESS, ADDRESS, ADDRESS),
                model,
                MemorySegment.NULL);
    return text.address() == 0
        ? Optional.empty()
        : Optional.of(text.reinterpret(Long.MAX_VALUE).getString(0));
  }

  /** The text of a special token: {@code bos} or {@code eos}; empty where there is none. */
  String specialText(String which) {
    int token =
        (int)
            library.call(
                "llama_vocab_" + which, FunctionDescriptor.of(JAVA_INT, ADDRESS), vocabulary);
    if (token < 0) {
      return "";
    }
    MemorySegment text =
        (MemorySegment)
            library.call(
                "llama_vocab_get_text",
                FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_INT),
                vocabulary,
                token);
    return text.address() == 0 ? "" : text.reinterpret(Long.MAX_VALUE).getString(0);
  }

  @Override
  public void close() {
    if (context.address() != 0) {
      library.call("llama_free", FunctionDescriptor.ofVoid(ADDRESS), context);
    }
    library.call("llama_model_free", FunctionDescriptor.ofVoid(ADDRESS), model);
    arena.close();
  }

  // Small things

  private void requireVersion() {
    MemorySegment text =
        (MemorySegment) library.call("llama_version", FunctionDescriptor.of(ADDRESS));
    String version = text.reinterpret(64).getString(0);
    if (!version.equals(VERSION)) {
      throw new NativeException(
          "this is written for llama.cpp " + VERSION + ", and the library is " + version);
    }
  }

  private static void setInt(MemorySegment struct, String field, int value) {
    struct.set(JAVA_INT, offset(CONTEXT_PARAMS, field), value);
  }

  private static void setPointer(MemorySegment struct, String field, MemorySegment value) {
    struct.set(ADDRESS, offset(BATCH, field), value);
  }
}
