package dev.gridtie.x402.evm;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.gridtie.base.Hashes;
import java.math.BigInteger;
import java.util.Arrays;

/** ERC-20's Transfer event. */
public final class Transfers {
  public static final byte[] EVENT = event("Transfer(address,address,uint256)");

  private Transfers() {}

  /** The topic of an event. */
  public static byte[] event(String signature) {
    return Hashes.keccak256(signature.getBytes(US_ASCII));
  }

  /** Whether a transaction moved exactly this much of a token, from one to the other. */
  public static boolean in(
      EvmChain.Receipt receipt,
      EvmAddress token,
      EvmAddress from,
      EvmAddress to,
      BigInteger value) {
    return receipt.logs().stream().anyMatch(log -> is(log, token, from, to, value));
  }

  /** Whether an event says that exactly this much of a token went from one to the other. */
  public static boolean is(
      EvmChain.Log log, EvmAddress token, EvmAddress from, EvmAddress to, BigInteger value) {
    return log.address().equals(token)
        && log.topics().size() == 3
        && Arrays.equals(log.topics().get(0), EVENT)
        && EvmAddress.ofWord(log.topics().get(1)).equals(from)
        && EvmAddress.ofWord(log.topics().get(2)).equals(to)
        && Abi.uint(log.data()).equals(value);
  }
}
