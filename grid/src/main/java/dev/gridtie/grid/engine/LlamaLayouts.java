package dev.gridtie.grid.engine;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * The three structs of llama.h that travel by value, as llama.cpp v0.5.0 has them and no other
 * version.
 */
final class LlamaLayouts {
  /** struct llama_model_params, 80 bytes. */
  static final StructLayout MODEL_PARAMS =
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
  static final StructLayout CONTEXT_PARAMS =
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
  static final StructLayout BATCH =
      MemoryLayout.structLayout(
          JAVA_INT.withName("n_tokens"),
          MemoryLayout.paddingLayout(4),
          ADDRESS.withName("token"),
          ADDRESS.withName("embd"),
          ADDRESS.withName("pos"),
          ADDRESS.withName("n_seq_id"),
          ADDRESS.withName("seq_id"),
          ADDRESS.withName("logits"));

  private LlamaLayouts() {}

  /** The library's defaults stand where our layout says, or the layout is another version's. */
  static void requireDefaults(
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
        throw new NativeLibrary.NativeException(
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
  static List<Long> sizes() {
    return List.of(MODEL_PARAMS.byteSize(), CONTEXT_PARAMS.byteSize(), BATCH.byteSize());
  }

  static long offset(StructLayout layout, String field) {
    return layout.byteOffset(MemoryLayout.PathElement.groupElement(field));
  }
}
