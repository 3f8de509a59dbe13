package dev.gridtie.gateway.answer;

import dev.gridtie.wire.chat.Usage;
import java.util.List;

/**
 * What texts are like.
 *
 * @param vectors one for each text, in order
 * @param usage the tokens of all texts together
 */
public record Embeddings(List<float[]> vectors, Usage usage) {
  public Embeddings {
    vectors = List.copyOf(vectors);
  }

  /**
   * Texts whose likeness is asked for.
   *
   * @param dimensions how many numbers each vector shall have; 0 leaves it to the model
   */
  public record Request(List<String> texts, int dimensions) {
    public Request {
      texts = List.copyOf(texts);
    }
  }

  /** What came of it. */
  public sealed interface Result {
    record Given(Embeddings embeddings) implements Result {}

    record Failed(Failure failure) implements Result {}
  }
}
