package dev.gridtie.x402.evm.batch;

import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.batch.BatchTypes.Authorization;
import dev.gridtie.x402.evm.batch.BatchTypes.ChannelConfig;
import dev.gridtie.x402.evm.batch.BatchTypes.Claim;
import dev.gridtie.x402.evm.batch.BatchTypes.Payload;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.List;

/** Calls of the contract that keeps the channels, in the contract ABI. */
final class BatchCalls {
  private static final String CONFIG = "(address,address,address,address,address,uint40,bytes32)";
  private static final String CLAIMS = "(((" + CONFIG.substring(1) + ",uint128),bytes,uint128)[]";
  private static final int WORD = 32;

  /** Words of a claim before its signature: channel, ceiling, place of the signature, total. */
  private static final int CLAIM_HEAD_WORDS = 10;

  private BatchCalls() {}

  static byte[] deposit(Payload.Deposit deposit) {
    boolean erc3009 = deposit.authorization() instanceof Authorization.Erc3009;
    EvmAddress collector = erc3009 ? BatchTypes.ERC3009_COLLECTOR : BatchTypes.PERMIT2_COLLECTOR;
    return Abi.concat(
        Abi.selector("deposit(" + CONFIG + ",uint128,address,bytes)"),
        deposit.config().words(),
        Abi.word(deposit.amount()),
        Abi.word(collector),
        Abi.trailingBytes(9, collectorData(deposit.authorization())));
  }

  private static byte[] collectorData(Authorization authorization) {
    return switch (authorization) {
      case Authorization.Erc3009 a ->
          Abi.concat(
              Abi.word(a.validAfter()),
              Abi.word(a.validBefore()),
              a.salt(),
              Abi.trailingBytes(3, a.signature()));
      case Authorization.Permit2 a -> {
        byte[] signature = bytes(a.signature());
        yield Abi.concat(
            Abi.word(a.nonce()),
            Abi.word(a.deadline()),
            number(4L * WORD),
            number(4L * WORD + signature.length),
            signature,
            bytes(new byte[0]));
      }
    };
  }

  private static byte[] number(long value) {
    return Abi.word(BigInteger.valueOf(value));
  }

  /** Length, and bytes to the end of a word. */
  private static byte[] bytes(byte[] bytes) {
    int padded = (bytes.length + WORD - 1) / WORD * WORD;
    return Abi.concat(number(bytes.length), Arrays.copyOf(bytes, padded));
  }

  /** The array of claims: its length, where each begins, and each. */
  private static byte[] array(List<Claim> claims) {
    byte[][] bodies = new byte[claims.size()][];
    byte[][] places = new byte[claims.size()][];
    long at = (long) WORD * claims.size();
    for (int i = 0; i < bodies.length; i++) {
      Claim claim = claims.get(i);
      bodies[i] =
          Abi.concat(
              claim.config().words(),
              Abi.word(claim.maxClaimable()),
              number((long) CLAIM_HEAD_WORDS * WORD),
              Abi.word(claim.totalClaimed()),
              bytes(claim.signature()));
      places[i] = number(at);
      at += bodies[i].length;
    }
    return Abi.concat(number(claims.size()), Abi.concat(places), Abi.concat(bodies));
  }

  /** By whoever has the receiver's authorizer's key. */
  static byte[] claim(List<Claim> claims) {
    return Abi.concat(Abi.selector("claim(" + CLAIMS + ")"), number(WORD), array(claims));
  }

  /** By anybody, with that key's signature. */
  static byte[] claimWithSignature(List<Claim> claims, byte[] signature) {
    byte[] array = array(claims);
    return Abi.concat(
        Abi.selector("claimWithSignature(" + CLAIMS + ",bytes)"),
        number(2L * WORD),
        number(2L * WORD + array.length),
        array,
        bytes(signature));
  }

  static byte[] settle(EvmAddress receiver, EvmAddress token) {
    return Abi.call("settle(address,address)", Abi.word(receiver), Abi.word(token));
  }

  static byte[] refundWithSignature(
      ChannelConfig config, BigInteger amount, BigInteger nonce, byte[] signature) {
    return Abi.concat(
        Abi.selector("refundWithSignature(" + CONFIG + ",uint128,uint256,bytes)"),
        config.words(),
        Abi.word(amount),
        Abi.word(nonce),
        Abi.trailingBytes(9, signature));
  }

  static byte[] initiateWithdraw(ChannelConfig config, BigInteger amount) {
    return Abi.call("initiateWithdraw(" + CONFIG + ",uint128)", config.words(), Abi.word(amount));
  }

  static byte[] finalizeWithdraw(ChannelConfig config) {
    return Abi.call("finalizeWithdraw(" + CONFIG + ")", config.words());
  }

  /** Several calls in one transaction, all or none. */
  static byte[] multicall(List<byte[]> calls) {
    byte[][] bodies = new byte[calls.size()][];
    byte[][] places = new byte[calls.size()][];
    long at = (long) WORD * calls.size();
    for (int i = 0; i < bodies.length; i++) {
      bodies[i] = bytes(calls.get(i));
      places[i] = number(at);
      at += bodies[i].length;
    }
    return Abi.concat(
        Abi.selector("multicall(bytes[])"),
        number(WORD),
        number(calls.size()),
        Abi.concat(places),
        Abi.concat(bodies));
  }
}
