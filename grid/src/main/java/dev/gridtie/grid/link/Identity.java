package dev.gridtie.grid.link;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;

/** A node's key pair: it signs, and its address is where the node is paid. */
public interface Identity {
  /** 0x and 40 hexadecimal digits, in lower case. */
  String address();

  /** Signs a digest of 32 bytes. */
  byte[] sign(byte[] digest);

  /** Says whose key signed a digest. */
  interface Recovery {
    /**
     * The signer's address, in lower case.
     *
     * @throws IllegalArgumentException where this is no signature
     */
    String signer(byte[] digest, byte[] signature);
  }

  /**
   * What a node signs to join: for this gateway, this connection and this invitation alone, so that
   * nobody can say it again elsewhere. Of the form of a personal message (EIP-191), so that it is
   * no transaction.
   */
  static byte[] statement(String gateway, String nonce, String address, String invitation) {
    String said =
        "gridtie node joins\ngateway "
            + gateway
            + "\nnonce "
            + nonce
            + "\nnode "
            + address
            + "\ninvitation "
            + invitation;
    byte[] bytes = said.getBytes(UTF_8);
    byte[] prefix = ("\u0019Ethereum Signed Message:\n" + bytes.length).getBytes(UTF_8);
    return Hashes.keccak256(prefix, bytes);
  }
}
