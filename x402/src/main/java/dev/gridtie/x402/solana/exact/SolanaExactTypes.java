package dev.gridtie.x402.solana.exact;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.solana.SolanaAddress;
import dev.gridtie.x402.solana.SolanaInstructions;
import dev.gridtie.x402.solana.SolanaMessage;
import dev.gridtie.x402.solana.SolanaMessage.Instruction;
import dev.gridtie.x402.solana.SolanaMessage.MalformedException;
import dev.gridtie.x402.solana.SolanaMessage.Meta;
import dev.gridtie.x402.solana.SolanaTransaction;
import dev.gridtie.x402.wire.Fields;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import java.math.BigInteger;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/** What travels in scheme exact on Solana: a transfer that its payer has signed. */
final class SolanaExactTypes {
  static final String SCHEME = "exact";

  /** Compute units that the transfer may use. */
  static final int UNITS = 20_000;

  /** The most that a facilitator pays for one, in millionths of a lamport. */
  static final long MICROLAMPORTS_MAX = 5_000_000;

  static final byte TRANSFER_CHECKED = 12;

  private SolanaExactTypes() {}

  /** The transaction in a payload. */
  static SolanaTransaction transaction(PaymentPayload payment) throws MalformedPaymentException {
    try {
      return SolanaTransaction.fromBase64(Fields.text(payment.payload(), "transaction"));
    } catch (MalformedException e) {
      throw new MalformedPaymentException("transaction: " + e.getMessage());
    }
  }

  static JsonNode payload(SolanaTransaction transaction) {
    return Json.object().put("transaction", transaction.toBase64());
  }

  /**
   * Names a payment for ever: a message can be signed by its fee payer and taken once. Its
   * signatures do not count, for the fee payer's is still to come.
   */
  static String paymentKey(String network, PaymentPayload payment)
      throws MalformedPaymentException {
    byte[] message = transaction(payment).messageBytes();
    byte[] hash = Hashes.sha256((network + "|").getBytes(UTF_8), message);
    return "solana-" + Hex.encode(hash).substring(2);
  }

  static SolanaAddress address(String text, String what) throws MalformedPaymentException {
    try {
      return SolanaAddress.of(text);
    } catch (IllegalArgumentException e) {
      throw new MalformedPaymentException(what + " must be an address: base58 of 32 bytes");
    }
  }

  // Instructions

  static Instruction transfer(
      SolanaAddress program,
      SolanaAddress source,
      SolanaAddress mint,
      SolanaAddress destination,
      SolanaAddress authority,
      BigInteger amount,
      int decimals) {
    byte[] data =
        SolanaInstructions.little(10)
            .put(TRANSFER_CHECKED)
            .putLong(amount.longValue())
            .put((byte) decimals)
            .array();
    return new Instruction(
        program,
        List.of(
            new Meta(source, false, true),
            new Meta(mint, false, false),
            new Meta(destination, false, true),
            new Meta(authority, true, false)),
        data);
  }

  /** A transfer as it stands in a message. */
  record Transfer(
      SolanaAddress program,
      SolanaAddress source,
      SolanaAddress mint,
      SolanaAddress destination,
      SolanaAddress authority,
      BigInteger amount) {}

  /** An instruction as a transfer; empty where it is none. */
  static Optional<Transfer> transfer(SolanaMessage message, SolanaMessage.Compiled instruction) {
    SolanaAddress program = message.program(instruction);
    boolean is =
        (program.equals(SolanaAddress.TOKEN) || program.equals(SolanaAddress.TOKEN_2022))
            && instruction.data().length == 10
            && instruction.data()[0] == TRANSFER_CHECKED
            && instruction.accounts().length == 4;
    return is
        ? Optional.of(
            new Transfer(
                program,
                message.account(instruction, 0),
                message.account(instruction, 1),
                message.account(instruction, 2),
                message.account(instruction, 3),
                SolanaInstructions.u64(instruction.data(), 1)))
        : Optional.empty();
  }
}
