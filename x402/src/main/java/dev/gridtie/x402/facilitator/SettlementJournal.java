package dev.gridtie.x402.facilitator;

import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.node.ObjectNode;

/** Where a facilitator remembers what it has begun and how it ended, beyond its own end. */
public interface SettlementJournal extends AutoCloseable {
  /**
   * A payment that was to be settled.
   *
   * @param fingerprint of the whole request to settle: the same again is answered the same
   * @param sent its transaction, once there is one
   * @param result what was answered, once that is known
   */
  record Line(
      String key,
      String fingerprint,
      PaymentPayload payment,
      PaymentRequirements requirements,
      Optional<SignedTransaction> sent,
      Optional<ObjectNode> result,
      long epochSecond) {

    Line sending(SignedTransaction signed) {
      return new Line(
          key, fingerprint, payment, requirements, Optional.of(signed), result, epochSecond);
    }

    Line ended(ObjectNode newResult) {
      return new Line(
          key, fingerprint, payment, requirements, sent, Optional.of(newResult), epochSecond);
    }

    /** A transaction may be on the chain, and nobody knows yet. */
    boolean isOpen() {
      return sent.isPresent() && result.isEmpty();
    }
  }

  /** The latest line of a payment. */
  Optional<Line> find(String key);

  /** All that were begun and have not ended. */
  List<Line> open();

  /**
   * Writes a line, durably before it returns.
   *
   * @throws IOException where it cannot be written: then nothing must be sent
   */
  void write(Line line) throws IOException;

  /** Forgets a payment for which nothing was sent: it may come again. */
  void forget(String key) throws IOException;

  @Override
  void close() throws IOException;
}
