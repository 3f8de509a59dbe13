package dev.gridtie.gateway.receipts;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Ids;
import dev.gridtie.base.Json;
import tools.jackson.databind.JsonNode;

/** How a signed receipt stands in the log: as its hash, under an id that follows from its own. */
public final class Receipts {
  private Receipts() {}

  /** The id of the entry that witnesses a receipt. */
  public static String entryId(String receiptId) {
    return Ids.derived("witness " + receiptId);
  }

  /**
   * A document's hash for a receipt, of which nobody who does not have the receipt can tell what
   * was hashed: SHA-256(salt ‖ SHA-256(document)), hexadecimal.
   *
   * @param salt 16 bytes, drawn for this receipt
   * @param sha256 of the document
   */
  public static String salted(byte[] salt, byte[] sha256) {
    return Hex.encode(Hashes.sha256(salt, sha256)).substring(2);
  }

  /** What that entry says: the SHA-256 of the signed receipt's canonical JSON, hexadecimal. */
  public static String hash(JsonNode signed) {
    return Hex.encode(Hashes.sha256(Json.canonical(signed).getBytes(UTF_8))).substring(2);
  }
}
