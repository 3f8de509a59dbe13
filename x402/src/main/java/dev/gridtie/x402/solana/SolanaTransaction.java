package dev.gridtie.x402.solana;

import dev.gridtie.x402.solana.SolanaMessage.MalformedException;
import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;

/**
 * A Solana transaction: a message, and a signature for each of its signers in order; 64 zero bytes
 * stand for one that is still missing.
 *
 * @param messageBytes as they were signed
 */
public record SolanaTransaction(
    List<byte[]> signatures, byte[] messageBytes, SolanaMessage message) {
  public SolanaTransaction {
    signatures = List.copyOf(signatures);
  }

  /** One that nobody has signed. */
  public static SolanaTransaction of(SolanaMessage message) {
    List<byte[]> empty = new ArrayList<>();
    for (int i = 0; i < message.signers(); i++) {
      empty.add(new byte[SolanaKey.SIGNATURE_LENGTH]);
    }
    return new SolanaTransaction(empty, message.encode(), message);
  }

  /** The same with a signer's signature. */
  public SolanaTransaction signedBy(SolanaKey key) {
    int place = message.accounts().indexOf(key.address());
    if (place < 0 || place >= message.signers()) {
      throw new IllegalArgumentException(key.address() + " is no signer of this transaction");
    }
    List<byte[]> signed = new ArrayList<>(signatures);
    signed.set(place, key.sign(messageBytes));
    return new SolanaTransaction(signed, messageBytes, message);
  }

  /** Whether a signer's signature is there and good. */
  public boolean isSignedBy(SolanaAddress signer) {
    int place = message.accounts().indexOf(signer);
    return place >= 0
        && place < message.signers()
        && SolanaKey.verify(signer, messageBytes, signatures.get(place));
  }

  /** What the chain calls it: the fee payer's signature. */
  public String id() {
    return Base58.encode(signatures.getFirst());
  }

  public byte[] encode() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    SolanaMessage.writeLength(out, signatures.size());
    signatures.forEach(out::writeBytes);
    out.writeBytes(messageBytes);
    return out.toByteArray();
  }

  public String toBase64() {
    return Base64.getEncoder().encodeToString(encode());
  }

  /**
   * Reads a transaction.
   *
   * @throws MalformedException where it is none, longer than a packet, or its signatures do not fit
   *     its message
   */
  public static SolanaTransaction decode(byte[] bytes) throws MalformedException {
    if (bytes.length > SolanaMessage.BYTES_MAX) {
      throw new MalformedException("it is longer than " + SolanaMessage.BYTES_MAX + " bytes");
    }
    SolanaMessage.In in = new SolanaMessage.In(bytes);
    int count = in.length();
    List<byte[]> signatures = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      signatures.add(in.take(SolanaKey.SIGNATURE_LENGTH));
    }
    byte[] rest = in.rest();
    SolanaMessage message = SolanaMessage.decode(rest);
    if (count != message.signers()) {
      throw new MalformedException("it has " + count + " signatures for its signers");
    }
    if (!Arrays.equals(message.encode(), rest)) {
      throw new MalformedException("it is not in its shortest form");
    }
    return new SolanaTransaction(signatures, rest, message);
  }

  /**
   * Reads standard base64.
   *
   * @throws MalformedException where it is none, or no transaction
   */
  public static SolanaTransaction fromBase64(String text) throws MalformedException {
    try {
      return decode(Base64.getDecoder().decode(text));
    } catch (IllegalArgumentException e) {
      throw new MalformedException("it is not base64");
    }
  }
}
