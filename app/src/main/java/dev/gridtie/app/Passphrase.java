package dev.gridtie.app;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.util.Arrays;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import org.jspecify.annotations.Nullable;

/**
 * What private files are encrypted by: scrypt (N = 2^17, r = 8, p = 1) and AES-256-GCM. The form is
 * a magic line, 32 bytes of salt, 12 of nonce, and the text with its tag.
 */
final class Passphrase {
  static final int LENGTH_MIN = 12;
  private static final byte[] MAGIC = "gridtie-sealed-1\n".getBytes(US_ASCII);
  private static final int SALT_BYTES = 32;
  private static final int NONCE_BYTES = 12;
  private static final int TAG_BITS = 128;

  private Passphrase() {}

  /**
   * The passphrase of a file's first line, of a variable of the environment, or typed.
   *
   * @param twice whether it is typed twice, for it is new
   * @throws IOException where there is none, or it is too short to be of use
   */
  static char[] of(@Nullable Path file, @Nullable String variable, boolean twice)
      throws IOException {
    char[] given;
    if (file != null) {
      given = Files.readString(file).lines().findFirst().orElse("").toCharArray();
    } else if (variable != null) {
      String value = System.getenv(variable);
      if (value == null) {
        throw new IOException("the environment has no " + variable);
      }
      given = value.toCharArray();
    } else {
      given = typed(twice);
    }
    if (given.length < LENGTH_MIN) {
      throw new IOException(
          "a backup's passphrase must have at least " + LENGTH_MIN + " characters");
    }
    return given;
  }

  private static char[] typed(boolean twice) throws IOException {
    var console = System.console();
    char[] first = console == null ? null : console.readPassword("Passphrase for private keys: ");
    if (console == null || first == null) {
      throw new IOException(
          "private keys need a passphrase: name it with --passphrase-file or --passphrase-env, or run this at a terminal");
    }
    char[] second = twice ? console.readPassword("The same again: ") : first;
    if (!Arrays.equals(first, second)) {
      throw new IOException("the two passphrases differ");
    }
    return first;
  }

  static byte[] seal(byte[] text, char[] passphrase, SecureRandom random) {
    byte[] salt = new byte[SALT_BYTES];
    byte[] nonce = new byte[NONCE_BYTES];
    random.nextBytes(salt);
    random.nextBytes(nonce);
    try {
      byte[] sealed = cipher(Cipher.ENCRYPT_MODE, passphrase, salt, nonce).doFinal(text);
      return ByteBuffer.allocate(MAGIC.length + SALT_BYTES + NONCE_BYTES + sealed.length)
          .put(MAGIC)
          .put(salt)
          .put(nonce)
          .put(sealed)
          .array();
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("this JDK has no AES-256-GCM", e);
    }
  }

  /**
   * Opens what was sealed.
   *
   * @throws IOException where the passphrase is another, or a byte was changed
   */
  static byte[] open(byte[] sealed, char[] passphrase) throws IOException {
    ByteBuffer in = ByteBuffer.wrap(sealed);
    byte[] magic = new byte[MAGIC.length];
    byte[] salt = new byte[SALT_BYTES];
    byte[] nonce = new byte[NONCE_BYTES];
    if (in.remaining() < MAGIC.length + SALT_BYTES + NONCE_BYTES) {
      throw new IOException("the private files are cut short");
    }
    in.get(magic).get(salt).get(nonce);
    byte[] text = new byte[in.remaining()];
    in.get(text);
    if (!Arrays.equals(magic, MAGIC)) {
      throw new IOException(
          "the private files are sealed in a form that this gridtie does not know");
    }
    try {
      return cipher(Cipher.DECRYPT_MODE, passphrase, salt, nonce).doFinal(text);
    } catch (GeneralSecurityException e) {
      throw new IOException("the passphrase does not open the private files", e);
    }
  }

  private static Cipher cipher(int mode, char[] passphrase, byte[] salt, byte[] nonce)
      throws GeneralSecurityException {
    Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
    cipher.init(
        mode,
        new SecretKeySpec(Keystore.derived(passphrase, salt), "AES"),
        new GCMParameterSpec(TAG_BITS, nonce));
    cipher.updateAAD(MAGIC);
    return cipher;
  }
}
