package dev.gridtie.x402.solana;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.x402.solana.SolanaMessage.Compiled;
import dev.gridtie.x402.solana.SolanaMessage.Instruction;
import dev.gridtie.x402.wire.MalformedPaymentException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/** Instructions that payments of all schemes have beside their own. */
public final class SolanaInstructions {
  public static final byte SET_UNIT_LIMIT = 2;
  public static final byte SET_UNIT_PRICE = 3;

  /**
   * How long, in seconds, a transaction's blockhash can be valid: 150 blocks of 0.4 s, and much
   * more where blocks are slow.
   */
  public static final long BLOCKHASH_SECONDS_MAX = 300;

  /** The longest memo, in bytes. */
  private static final int MEMO_BYTES_MAX = 256;

  private SolanaInstructions() {}

  /** How many compute units the transaction may use. */
  public static Instruction unitLimit(int units) {
    byte[] data = little(5).put(SET_UNIT_LIMIT).putInt(units).array();
    return new Instruction(SolanaAddress.COMPUTE_BUDGET, List.of(), data);
  }

  /** A millionth of a lamport for each: what the official client offers. */
  public static Instruction unitPrice() {
    byte[] data = little(9).put(SET_UNIT_PRICE).putLong(1).array();
    return new Instruction(SolanaAddress.COMPUTE_BUDGET, List.of(), data);
  }

  public static Instruction memo(byte[] text) {
    return new Instruction(SolanaAddress.MEMO, List.of(), text);
  }

  /**
   * The seller's words ({@code extra.memo}), or random ones, so that two equal payments are two
   * transactions.
   */
  public static Instruction memo(JsonNode extra, SecureRandom random)
      throws MalformedPaymentException {
    String wanted = Json.text(extra, "memo");
    if (wanted == null) {
      byte[] bytes = new byte[16];
      random.nextBytes(bytes);
      return memo(HexFormat.of().formatHex(bytes).getBytes(US_ASCII));
    }
    byte[] bytes = wanted.getBytes(UTF_8);
    if (bytes.length > MEMO_BYTES_MAX) {
      throw new MalformedPaymentException("memo is longer than " + MEMO_BYTES_MAX + " bytes");
    }
    return memo(bytes);
  }

  /** The server's hint of a recent block ({@code extra.recentBlockhash}); empty without one. */
  public static Optional<byte[]> recentBlockhash(JsonNode extra) throws MalformedPaymentException {
    String hint = Json.text(extra, "recentBlockhash");
    try {
      return hint == null
          ? Optional.empty()
          : Optional.of(Base58.decode(hint, SolanaAddress.LENGTH));
    } catch (IllegalArgumentException e) {
      throw new MalformedPaymentException("recentBlockhash must be base58 of 32 bytes");
    }
  }

  /** What a compute budget instruction sets its limit to; empty where it sets none. */
  public static Optional<BigInteger> unitLimit(SolanaMessage message, Compiled instruction) {
    byte[] data = instruction.data();
    return isBudget(message, instruction, SET_UNIT_LIMIT, 5)
        ? Optional.of(
            BigInteger.valueOf(
                Integer.toUnsignedLong(
                    ByteBuffer.wrap(data, 1, 4).order(ByteOrder.LITTLE_ENDIAN).getInt())))
        : Optional.empty();
  }

  /** What it sets the price of a unit to, in millionths of a lamport; empty where it sets none. */
  public static Optional<BigInteger> unitPrice(SolanaMessage message, Compiled instruction) {
    return isBudget(message, instruction, SET_UNIT_PRICE, 9)
        ? Optional.of(u64(instruction.data(), 1))
        : Optional.empty();
  }

  private static boolean isBudget(
      SolanaMessage message, Compiled instruction, byte kind, int length) {
    return message.program(instruction).equals(SolanaAddress.COMPUTE_BUDGET)
        && instruction.data().length == length
        && instruction.data()[0] == kind;
  }

  public static ByteBuffer little(int length) {
    return ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** A number in eight bytes, the lowest first, as unsigned. */
  public static BigInteger u64(byte[] data, int at) {
    long bits = ByteBuffer.wrap(data, at, 8).order(ByteOrder.LITTLE_ENDIAN).getLong();
    return new BigInteger(Long.toUnsignedString(bits));
  }
}
