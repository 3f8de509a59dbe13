package dev.gridtie.x402.evm;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import java.math.BigInteger;

/** Typed structured data hashing (EIP-712). */
public final class Eip712 {
  private static final byte[] DOMAIN_TYPEHASH =
      typeHash(
          "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

  private static final byte[] UNVERSIONED_DOMAIN_TYPEHASH =
      typeHash("EIP712Domain(string name,uint256 chainId,address verifyingContract)");

  private Eip712() {}

  /** The hash of a struct type's text. */
  public static byte[] typeHash(String type) {
    return Hashes.keccak256(type.getBytes(UTF_8));
  }

  /** The separator of a domain that has name, version, chain and contract. */
  public static byte[] domainSeparator(
      String name, String version, long chainId, EvmAddress contract) {
    return Hashes.keccak256(
        DOMAIN_TYPEHASH,
        Hashes.keccak256(name.getBytes(UTF_8)),
        Hashes.keccak256(version.getBytes(UTF_8)),
        Abi.word(BigInteger.valueOf(chainId)),
        Abi.word(contract));
  }

  /** The separator of a domain without a version, as Permit2's is. */
  public static byte[] domainSeparator(String name, long chainId, EvmAddress contract) {
    return Hashes.keccak256(
        UNVERSIONED_DOMAIN_TYPEHASH,
        Hashes.keccak256(name.getBytes(UTF_8)),
        Abi.word(BigInteger.valueOf(chainId)),
        Abi.word(contract));
  }

  /** What is signed: keccak256(0x1901 || domain separator || struct hash). */
  public static byte[] digest(byte[] domainSeparator, byte[] structHash) {
    return Hashes.keccak256(new byte[] {0x19, 0x01}, domainSeparator, structHash);
  }
}
