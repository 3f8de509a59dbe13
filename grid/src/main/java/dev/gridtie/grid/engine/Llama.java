package dev.gridtie.grid.engine;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BOOLEAN;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * llama.cpp v0.5.0 through java.lang.foreign: the few calls we make, and the three structs that
 * travel by value. Their layout is that version's only, and so the version and the library's own
 * defaults, read through our layout, are checked before anything else is done. For one thread, in a
 * process of its own: a fault in here ends the process.
 */
final class Llama implements AutoCloseable {
  /** What the library says of itself. */
  static final String VERSION = "0.5.0-dev";

  /** What its files are called by. */
  private static final String FILE_VERSION = "0.5.0";

  /** struct llama_model_params, 80 bytes. */
  private static final StructLayout MODEL_PARAMS =
      MemoryLayout.structLayout(
          ADDRESS.withName("devices"),
          ADDRESS.withName("tensor_buft_overrides"),
          JAVA_INT.withName("n_gpu_layers"),
          JAVA_INT.withName("split_mode"),
          JAVA_INT.withName("load_mode"),
          JAVA_INT.withName("lazy_mode"),
          JAVA_INT.withName("main_gpu"),
          MemoryLayout.paddingLayout(4),
          ADDRESS.withName("tensor_split"),
          ADDRESS.withName("progress_callback"),
          ADDRESS.withName("progress_callback_user_data"),
          ADDRESS.withName("kv_overrides"),
          JAVA_BYTE.withName("vocab_only"),
          JAVA_BYTE.withName("check_tensors"),
          JAVA_BYTE.withName("use_extra_bufts"),
          JAVA_BYTE.withName("no_host"),
          JAVA_BYTE.withName("no_alloc"),
          JAVA_BYTE.withName("load_mtp"),
          MemoryLayout.paddingLayout(2));

  /** struct llama_context_params, 160 bytes. */
  private static final StructLayout CONTEXT_PARAMS =
      MemoryLayout.structLayout(
          JAVA_INT.withName("n_ctx"),
          JAVA_INT.withName("n_batch"),
          JAVA_INT.withName("n_ubatch"),
          JAVA_INT.withName("n_seq_max"),
          JAVA_INT.withName("n_rs_seq"),
          JAVA_INT.withName("n_outputs_max"),
          JAVA_INT.withName("n_outputs_max_per_seq"),
          JAVA_INT.withName("n_threads"),
          JAVA_INT.withName("n_threads_batch"),
          JAVA_INT.withName("ctx_type"),
          JAVA_INT.withName("rope_scaling_type"),
          JAVA_INT.withName("pooling_type"),
          JAVA_INT.withName("attention_type"),
          JAVA_INT.withName("flash_attn_type"),
          JAVA_FLOAT.withName("rope_freq_base"),
          JAVA_FLOAT.withName("rope_freq_scale"),
          JAVA_FLOAT.withName("yarn_ext_factor"),
          JAVA_FLOAT.withName("yarn_attn_factor"),
          JAVA_FLOAT.withName("yarn_beta_fast"),
          JAVA_FLOAT.withName("yarn_beta_slow"),
          JAVA_INT.withName("yarn_orig_ctx"),
          JAVA_FLOAT.withName("defrag_thold"),
          ADDRESS.withName("cb_eval"),
          ADDRESS.withName("cb_eval_user_data"),
          JAVA_INT.withName("type_k"),
          JAVA_INT.withName("type_v"),
          ADDRESS.withName("abort_callback"),
          ADDRESS.withName("abort_callback_data"),
          JAVA_BYTE.withName("embeddings"),
          JAVA_BYTE.withName("offload_kqv"),
          JAVA_BYTE.withName("no_perf"),
          JAVA_BYTE.withName("op_offload"),
          JAVA_BYTE.withName("swa_full"),
          JAVA_BYTE.withName("kv_unified"),
          MemoryLayout.paddingLayout(2),
          ADDRESS.withName("samplers"),
          JAVA_LONG.withName("n_samplers"),
          ADDRESS.withName("ctx_other"));

  /** struct llama_batch, 56 bytes. */
  private static final StructLayout BATCH =
      MemoryLayout.structLayout(
          JAVA_INT.withName("n_tokens"),
          MemoryLayout.paddingLayout(4),
          ADDRESS.withName("token"),
          ADDRESS.withName("embd"),
          ADDRESS.withName("pos"),
          ADDRESS.withName("n_seq_id"),
          ADDRESS.withName("seq_id"),
          ADDRESS.withName("logits"));

  private static final int TYPE_F32 = 0;
  private static final int TYPE_F16 = 1;
  private static final int FLASH_ATTENTION_OFF = 0;

  private final Arena arena = Arena.ofConfined();
  private final SymbolLookup symbols;
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
  private final int batchMax;
  private int batchSize;

  /** The library is not the one that this code was written for, or would not do what was asked. */
  static final class LlamaException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    LlamaException(String message) {
      super(message);
    }
  }

  /**
   * Loads the library and a model.
   *
   * @param libraries the folder with libllama and its backends
   * @param file a GGUF
   * @param sequences how many can be in one batch
   * @param contextTokens of each sequence
   * @param batchMax tokens in one batch
   */
  Llama(Path libraries, Path file, int sequences, int contextTokens, int batchMax, int threads) {
    this.batchMax = batchMax;
    this.symbols = load(libraries);
    requireVersion();
    call("llama_backend_init", FunctionDescriptor.ofVoid());
    call(
        libraryOf("ggml", libraries),
        "ggml_backend_load_all_from_path",
        FunctionDescriptor.ofVoid(ADDRESS),
        arena.allocateFrom(libraries.toString()));

    MemorySegment modelParams = struct("llama_model_default_params", MODEL_PARAMS);
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
    this.model =
        (MemorySegment)
            call(
                "llama_model_load_from_file",
                FunctionDescriptor.of(ADDRESS, ADDRESS, MODEL_PARAMS),
                arena.allocateFrom(file.toString()),
                modelParams);
    if (model.address() == 0) {
      throw new LlamaException("llama.cpp cannot load " + file.getFileName());
    }
    this.vocabulary =
        (MemorySegment)
            call("llama_model_get_vocab", FunctionDescriptor.of(ADDRESS, ADDRESS), model);
    this.vocabularySize =
        (int) call("llama_vocab_n_tokens", FunctionDescriptor.of(JAVA_INT, ADDRESS), vocabulary);

    MemorySegment params = struct("llama_context_default_params", CONTEXT_PARAMS);
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
    this.context =
        (MemorySegment)
            call(
                "llama_init_from_model",
                FunctionDescriptor.of(ADDRESS, ADDRESS, CONTEXT_PARAMS),
                model,
                params);
    if (context.address() == 0) {
      throw new LlamaException(
          "llama.cpp cannot make a context of "
              + sequences
              + " times "
              + contextTokens
              + " tokens");
    }
    int perSequence =
        (int) call("llama_n_ctx_seq", FunctionDescriptor.of(JAVA_INT, ADDRESS), context);
    if (perSequence < contextTokens) {
      throw new LlamaException(
          "llama.cpp gives each sequence " + perSequence + " tokens, not " + contextTokens);
    }
    this.memory =
        (MemorySegment) call("llama_get_memory", FunctionDescriptor.of(ADDRESS, ADDRESS), context);

    this.decode = handle("llama_decode", FunctionDescriptor.of(JAVA_INT, ADDRESS, BATCH));
    this.logitsIth =
        handle("llama_get_logits_ith", FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_INT));
    this.tokenize =
        handle(
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
        handle(
            "llama_token_to_piece",
            FunctionDescriptor.of(
                JAVA_INT, ADDRESS, JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT, JAVA_BOOLEAN));
    this.isEndOfGeneration =
        handle("llama_vocab_is_eog", FunctionDescriptor.of(JAVA_BOOLEAN, ADDRESS, JAVA_INT));
    this.seqRemove =
        handle(
            "llama_memory_seq_rm",
            FunctionDescriptor.of(JAVA_BOOLEAN, ADDRESS, JAVA_INT, JAVA_INT, JAVA_INT));

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
        throw new LlamaException("llama_decode ended with status " + status);
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
        throw new LlamaException("there are no logits for token " + index + " of the batch");
      }
      MemorySegment.copy(
          row.reinterpret(4L * vocabularySize), JAVA_FLOAT, 0, into, 0, vocabularySize);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  /** Forgets what a sequence holds. */
  void forget(int sequence) {
    try {
      boolean unused = (boolean) seqRemove.invokeExact(memory, sequence, -1, -1);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  // Text and tokens

  int vocabularySize() {
    return vocabularySize;
  }

  /**
   * The tokens of a text.
   *
   * @param special whether the names of control tokens in it mean these tokens
   */
  int[] tokenize(String text, boolean special) {
    byte[] utf8 = text.getBytes(UTF_8);
    try (Arena call = Arena.ofConfined()) {
      MemorySegment in = call.allocate(Math.max(1, utf8.length));
      MemorySegment.copy(utf8, 0, in, JAVA_BYTE, 0, utf8.length);
      int room = utf8.length + 8;
      MemorySegment out = call.allocate(JAVA_INT, room);
      int count =
          (int) tokenize.invokeExact(vocabulary, in, utf8.length, out, room, false, special);
      if (count < 0) {
        throw new LlamaException("a text of " + utf8.length + " bytes has more tokens than bytes");
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

  /** The names of all control tokens. */
  List<String> controlTexts() {
    MethodHandle isControl =
        handle("llama_vocab_is_control", FunctionDescriptor.of(JAVA_BOOLEAN, ADDRESS, JAVA_INT));
    MethodHandle textOf =
        handle("llama_vocab_get_text", FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_INT));
    List<String> texts = new ArrayList<>();
    try {
      for (int token = 0; token < vocabularySize; token++) {
        if ((boolean) isControl.invokeExact(vocabulary, token)) {
          MemorySegment text = (MemorySegment) textOf.invokeExact(vocabulary, token);
          texts.add(text.reinterpret(Long.MAX_VALUE).getString(0));
        }
      }
    } catch (Throwable e) {
      throw rethrown(e);
    }
    return texts;
  }

  // The model

  int trainedContext() {
    return (int) call("llama_model_n_ctx_train", FunctionDescriptor.of(JAVA_INT, ADDRESS), model);
  }

  long parameters() {
    return (long) call("llama_model_n_params", FunctionDescriptor.of(JAVA_LONG, ADDRESS), model);
  }

  /** The chat template that the file carries, where it does. */
  Optional<String> chatTemplate() {
    MemorySegment text =
        (MemorySegment)
            call(
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
        (int) call("llama_vocab_" + which, FunctionDescriptor.of(JAVA_INT, ADDRESS), vocabulary);
    if (token < 0) {
      return "";
    }
    MemorySegment text =
        (MemorySegment)
            call(
                "llama_vocab_get_text",
                FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_INT),
                vocabulary,
                token);
    return text.address() == 0 ? "" : text.reinterpret(Long.MAX_VALUE).getString(0);
  }

  @Override
  public void close() {
    call("llama_free", FunctionDescriptor.ofVoid(ADDRESS), context);
    call("llama_model_free", FunctionDescriptor.ofVoid(ADDRESS), model);
    arena.close();
  }

  // Binding

  private static Path library(String name, Path libraries) {
    List<String> candidates =
        List.of(
            "lib" + name + ".so",
            "lib" + name + ".v" + FILE_VERSION + ".so",
            "lib" + name + ".dylib",
            "lib" + name + ".v" + FILE_VERSION + ".dylib",
            name + ".dll");
    for (String candidate : candidates) {
      if (Files.exists(libraries.resolve(candidate))) {
        return libraries.resolve(candidate);
      }
    }
    throw new LlamaException("there is no lib" + name + " in " + libraries);
  }

  private SymbolLookup load(Path libraries) {
    return libraryOf("llama", libraries);
  }

  private SymbolLookup libraryOf(String name, Path libraries) {
    return SymbolLookup.libraryLookup(library(name, libraries), arena);
  }

  private void requireVersion() {
    MemorySegment text = (MemorySegment) call("llama_version", FunctionDescriptor.of(ADDRESS));
    String version = text.reinterpret(64).getString(0);
    if (!version.equals(VERSION)) {
      throw new LlamaException(
          "this is written for llama.cpp " + VERSION + ", and the library is " + version);
    }
  }

  private MemorySegment struct(String function, StructLayout layout) {
    try {
      MethodHandle handle = handle(function, FunctionDescriptor.of(layout));
      return (MemorySegment) handle.invoke((java.lang.foreign.SegmentAllocator) arena);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  /** The library's defaults stand where our layout says, or the layout is another version's. */
  private static void requireDefaults(
      String name,
      ValueLayout type,
      MemorySegment struct,
      StructLayout layout,
      Object... fieldsAndValues) {
    for (int i = 0; i < fieldsAndValues.length; i += 2) {
      String field = (String) fieldsAndValues[i];
      int expected = (int) fieldsAndValues[i + 1];
      int actual =
          type == JAVA_BYTE
              ? struct.get(JAVA_BYTE, offset(layout, field))
              : struct.get(JAVA_INT, offset(layout, field));
      if (actual != expected) {
        throw new LlamaException(
            name
                + "."
                + field
                + " defaults to "
                + actual
                + " where "
                + expected
                + " is expected: another layout");
      }
    }
  }

  /** Sizes of the three structs, in the order model, context, batch: bytes. */
  static List<Long> structSizes() {
    return List.of(MODEL_PARAMS.byteSize(), CONTEXT_PARAMS.byteSize(), BATCH.byteSize());
  }

  private static long offset(StructLayout layout, String field) {
    return layout.byteOffset(MemoryLayout.PathElement.groupElement(field));
  }

  private static void setInt(MemorySegment struct, String field, int value) {
    struct.set(JAVA_INT, offset(CONTEXT_PARAMS, field), value);
  }

  private static void setPointer(MemorySegment struct, String field, MemorySegment value) {
    struct.set(ADDRESS, offset(BATCH, field), value);
  }

  private MethodHandle handle(String function, FunctionDescriptor type) {
    return handle(symbols, function, type);
  }

  private static MethodHandle handle(SymbolLookup from, String function, FunctionDescriptor type) {
    MemorySegment address =
        from.find(function).orElseThrow(() -> new LlamaException("the library has no " + function));
    return Linker.nativeLinker().downcallHandle(address, type);
  }

  private Object call(String function, FunctionDescriptor type, Object... arguments) {
    return call(symbols, function, type, arguments);
  }

  private static Object call(
      SymbolLookup from, String function, FunctionDescriptor type, Object... arguments) {
    try {
      Object result = handle(from, function, type).invokeWithArguments(arguments);
      return result == null ? MemorySegment.NULL : result;
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  private static RuntimeException rethrown(Throwable e) {
    return switch (e) {
      case RuntimeException runtime -> runtime;
      case Error error -> throw error;
      default -> new IllegalStateException(e);
    };
  }
}
