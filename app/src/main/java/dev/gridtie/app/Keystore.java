package dev.gridtie.app;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.EvmKey;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.UUID;
import javax.crypto.Cipher;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.crypto.generators.SCrypt;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** A private key encrypted by a password: the Web3 Secret Storage format, version 3, scrypt. */
final class Keystore {
  private static final int N = 1 << 17;
  private static final int R = 8;
  private static final int P = 1;
  private static final int DERIVED_BYTES = 32;

  /** The most memory that another's file may make scrypt take: 128 · N · r bytes. */
  private static final long SCRYPT_BYTES_MAX = 512L * 1024 * 1024;

  private Keystore() {}

  /**
   * Writes a key, never over another.
   *
   * @throws FileAlreadyExistsException where something is there
   */
  static void write(Path file, EvmKey key, char[] password, SecureRandom random)
      throws IOException {
    byte[] salt = random(random, 32);
    byte[] iv = random(random, 16);
    byte[] derived = scrypt(password, salt, N, R, P);
    byte[] cipher = aes(Cipher.ENCRYPT_MODE, derived, iv, Hex.decode(key.revealHex()));
    ObjectNode json = Json.object();
    json.put("version", 3);
    json.put("id", UUID.randomUUID().toString());
    json.put("address", key.address().lower().substring(2));
    ObjectNode crypto = json.putObject("crypto");
    crypto.put("cipher", "aes-128-ctr");
    crypto.put("ciphertext", hex(cipher));
    crypto.putObject("cipherparams").put("iv", hex(iv));
    crypto.put("kdf", "scrypt");
    crypto
        .putObject("kdfparams")
        .put("dklen", DERIVED_BYTES)
        .put("n", N)
        .put("r", R)
        .put("p", P)
        .put("salt", hex(salt));
    crypto.put("mac", hex(mac(derived, cipher)));
    Files.createFile(
        file, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    Files.write(file, Json.writeBytes(json), StandardOpenOption.WRITE, StandardOpenOption.SYNC);
  }

  /**
   * Opens a key.
   *
   * @throws IOException where the password is another's, or the file is none of these
   */
  static EvmKey read(Path file, char[] password) throws IOException {
    try {
      JsonNode crypto = Json.parse(Files.readAllBytes(file)).path("crypto");
      JsonNode kdf = crypto.path("kdfparams");
      if (!crypto.path("kdf").asString("").equals("scrypt")
          || !crypto.path("cipher").asString("").equals("aes-128-ctr")) {
        throw new IOException(file + " is no keystore of version 3 with scrypt and aes-128-ctr");
      }
      int n = kdf.path("n").asInt();
      int r = kdf.path("r").asInt();
      int p = kdf.path("p").asInt();
      if (n < 2 || r < 1 || p < 1 || p > 16 || 128L * n * r > SCRYPT_BYTES_MAX) {
        throw new IOException(file + " asks for more work than a keystore needs");
      }
      byte[] derived = scrypt(password, bytes(kdf, "salt"), n, r, p);
      byte[] cipher = bytes(crypto, "ciphertext");
      if (!MessageDigest.isEqual(mac(derived, cipher), bytes(crypto, "mac"))) {
        throw new IOException("the password does not open " + file);
      }
      byte[] iv = bytes(crypto.path("cipherparams"), "iv");
      return EvmKey.of(Hex.encode(aes(Cipher.DECRYPT_MODE, derived, iv, cipher)));
    } catch (Json.MalformedJsonException | IllegalArgumentException e) {
      throw new IOException(file + " is no keystore of version 3");
    }
  }

  private static byte[] random(SecureRandom random, int length) {
    byte[] bytes = new byte[length];
    random.nextBytes(bytes);
    return bytes;
  }

  /** 32 bytes of a password, by the parameters that keys are written with here. */
  static byte[] derived(char[] password, byte[] salt) {
    return scrypt(password, salt, N, R, P);
  }

  private static byte[] scrypt(char[] password, byte[] salt, int n, int r, int p) {
    ByteBuffer utf8 = UTF_8.encode(CharBuffer.wrap(password));
    byte[] bytes = new byte[utf8.remaining()];
    utf8.get(bytes);
    try {
      return SCrypt.generate(bytes, salt, n, r, p, DERIVED_BYTES);
    } finally {
      Arrays.fill(bytes, (byte) 0);
    }
  }

  private static byte[] aes(int mode, byte[] derived, byte[] iv, byte[] text) {
    try {
      Cipher cipher = Cipher.getInstance("AES/CTR/NoPadding");
      cipher.init(
          mode, new SecretKeySpec(Arrays.copyOf(derived, 16), "AES"), new IvParameterSpec(iv));
      return cipher.doFinal(text);
    } catch (GeneralSecurityException e) {
      throw new IllegalArgumentException("not encrypted by AES-128-CTR", e);
    }
  }

  private static byte[] mac(byte[] derived, byte[] cipher) {
    return Hashes.keccak256(Arrays.copyOfRange(derived, 16, 32), cipher);
  }

  private static String hex(byte[] bytes) {
    return HexFormat.of().formatHex(bytes);
  }

  private static byte[] bytes(JsonNode json, String key) {
    return HexFormat.of().parseHex(json.path(key).asString(""));
  }
}
