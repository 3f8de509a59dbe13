package dev.gridtie.grid.engine;

import static dev.gridtie.grid.engine.LlamaLayouts.BATCH;
import static dev.gridtie.grid.engine.LlamaLayouts.CONTEXT_PARAMS;
import static dev.gridtie.grid.engine.LlamaLayouts.offset;
import static dev.gridtie.grid.engine.NativeLibrary.rethrown;
import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.gridtie.grid.engine.NativeLibrary.NativeException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * A second context on a model, which computes what a text is like instead of what comes next: the
 * mean of its tokens' last hidden states, at unit length. For the same one thread.
 */
final class EmbeddingContext implements AutoCloseable {
  private static final int POOLING_MEAN = 1;
  private static final int SEQUENCE = 0;

  private final NativeLibrary library;
  private final MemorySegment context;
  private final MemorySegment memory;
  private final int dimensions;
  private final int contextTokens;
  private final MethodHandle decode;
  private final MethodHandle ofSequence;
  private final MethodHandle forget;

  EmbeddingContext(NativeLibrary library, MemorySegment model, int contextTokens, int threads) {
    this.library = library;
    this.contextTokens = contextTokens;
    MemorySegment params = library.struct("llama_context_default_params", CONTEXT_PARAMS);
    set(params, "n_ctx", contextTokens);
    // A text is pooled over one batch: it must fit whole.
    set(params, "n_batch", contextTokens);
    set(params, "n_ubatch", contextTokens);
    set(params, "n_threads", threads);
    set(params, "n_threads_batch", threads);
    set(params, "pooling_type", POOLING_MEAN);
    params.set(JAVA_BYTE, offset(CONTEXT_PARAMS, "embeddings"), (byte) 1);
    this.context =
        (MemorySegment)
            library.call(
                "llama_init_from_model",
                FunctionDescriptor.of(ADDRESS, ADDRESS, CONTEXT_PARAMS),
                model,
                params);
    if (context.address() == 0) {
      throw new NativeException("llama.cpp cannot make a context for embeddings");
    }
    this.memory =
        (MemorySegment)
            library.call("llama_get_memory", FunctionDescriptor.of(ADDRESS, ADDRESS), context);
    this.dimensions =
        (int) library.call("llama_model_n_embd", FunctionDescriptor.of(JAVA_INT, ADDRESS), model);
    this.decode = library.handle("llama_decode", FunctionDescriptor.of(JAVA_INT, ADDRESS, BATCH));
    this.ofSequence =
        library.handle(
            "llama_get_embeddings_seq", FunctionDescriptor.of(ADDRESS, ADDRESS, JAVA_INT));
    this.forget =
        library.handle(
            "llama_memory_clear",
            FunctionDescriptor.ofVoid(ADDRESS, java.lang.foreign.ValueLayout.JAVA_BOOLEAN));
  }

  private static void set(MemorySegment struct, String field, int value) {
    struct.set(JAVA_INT, offset(CONTEXT_PARAMS, field), value);
  }

  int contextTokens() {
    return contextTokens;
  }

  /** The embedding of a text of 1 to {@link #contextTokens} tokens. */
  float[] embed(int[] tokens) {
    try (Arena call = Arena.ofConfined()) {
      if (memory.address() != 0) {
        forget.invokeExact(memory, true);
      }
      int status = (int) decode.invokeExact(context, batch(tokens, call));
      if (status != 0) {
        throw new NativeException("llama_decode ended with status " + status);
      }
      MemorySegment row = (MemorySegment) ofSequence.invokeExact(context, SEQUENCE);
      if (row.address() == 0) {
        throw new NativeException("there is no embedding of the text");
      }
      float[] values = new float[dimensions];
      MemorySegment.copy(row.reinterpret(4L * dimensions), JAVA_FLOAT, 0, values, 0, dimensions);
      return unit(values);
    } catch (Throwable e) {
      throw rethrown(e);
    }
  }

  private static MemorySegment batch(int[] tokens, Arena arena) {
    MemorySegment positions = arena.allocate(JAVA_INT, tokens.length);
    MemorySegment counts = arena.allocate(JAVA_INT, tokens.length);
    MemorySegment sequence = arena.allocateFrom(JAVA_INT, SEQUENCE);
    MemorySegment sequences = arena.allocate(ADDRESS, tokens.length);
    MemorySegment outputs = arena.allocate(JAVA_BYTE, tokens.length);
    for (int i = 0; i < tokens.length; i++) {
      positions.setAtIndex(JAVA_INT, i, i);
      counts.setAtIndex(JAVA_INT, i, 1);
      sequences.setAtIndex(ADDRESS, i, sequence);
      outputs.set(JAVA_BYTE, i, (byte) 1);
    }
    MemorySegment batch = arena.allocate(BATCH);
    batch.set(JAVA_INT, offset(BATCH, "n_tokens"), tokens.length);
    pointer(batch, "token", arena.allocateFrom(JAVA_INT, tokens));
    pointer(batch, "embd", MemorySegment.NULL);
    pointer(batch, "pos", positions);
    pointer(batch, "n_seq_id", counts);
    pointer(batch, "seq_id", sequences);
    pointer(batch, "logits", outputs);
    return batch;
  }

  private static void pointer(MemorySegment batch, String field, MemorySegment value) {
    batch.set(ADDRESS, offset(BATCH, field), value);
  }

  private static float[] unit(float[] values) {
    double square = 0;
    for (float value : values) {
      square += (double) value * value;
    }
    double length = Math.sqrt(square);
    for (int i = 0; i < values.length && length > 0; i++) {
      values[i] = (float) (values[i] / length);
    }
    return values;
  }

  @Override
  public void close() {
    library.call("llama_free", FunctionDescriptor.ofVoid(ADDRESS), context);
  }
}
