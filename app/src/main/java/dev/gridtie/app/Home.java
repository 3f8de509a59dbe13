package dev.gridtie.app;

import static java.nio.charset.StandardCharsets.US_ASCII;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.ledger.Location;
import dev.gridtie.ledger.log.SignedNote;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.solana.Base58;
import dev.gridtie.x402.solana.SolanaKey;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.SecureRandom;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * The folder where a gateway keeps what it must not lose.
 *
 * <pre>
 * ledger.db      the ledger, payments, receipts, with ledger.head and ledger.seal beside it
 * ledger.yaml    where the ledger is instead, if it is on PostgreSQL
 * keys/          private keys, a file each, readable by their owner alone
 * logs/          what children print
 * chain/         the local test chain's state
 * up.json        how to reach what is running
 * </pre>
 */
record Home(Path path) {
  private static final Set<PosixFilePermission> OWNER_ONLY_DIRECTORY =
      PosixFilePermissions.fromString("rwx------");
  private static final Set<PosixFilePermission> OWNER_ONLY =
      PosixFilePermissions.fromString("rw-------");

  /** The home that was named, else {@code GRIDTIE_HOME}, else {@code ~/.gridtie}. */
  static Home of(Optional<Path> named) {
    return new Home(
        named
            .or(
                () ->
                    Optional.ofNullable(System.getenv("GRIDTIE_HOME"))
                        .filter(h -> !h.isEmpty())
                        .map(Path::of))
            .orElse(Path.of(System.getProperty("user.home"), ".gridtie"))
            .toAbsolutePath()
            .normalize());
  }

  /** Creates the folders that are missing. */
  void create() throws IOException {
    for (Path folder : List.of(path, keys(), logs())) {
      Files.createDirectories(folder, PosixFilePermissions.asFileAttribute(OWNER_ONLY_DIRECTORY));
    }
  }

  /** Where its ledger is: in it, or where its {@code ledger.yaml} says. */
  Location ledger() throws IOException {
    return LedgerAt.of(path);
  }

  Path keys() {
    return path.resolve("keys");
  }

  Path logs() {
    return path.resolve("logs");
  }

  Path chain() {
    return path.resolve("chain");
  }

  Path upJson() {
    return path.resolve("up.json");
  }

  Path keyFile(String name) {
    return keys().resolve(name + ".key");
  }

  /** An EVM key of this home, made where it is missing. */
  EvmKey evmKey(String name) throws IOException {
    Path file = keyFile(name);
    if (!Files.exists(file)) {
      writeSecret(file, EvmKey.random(new SecureRandom()).revealHex() + "\n");
    }
    return readEvmKey(file);
  }

  /** Keeps a key that came from elsewhere; never over another. */
  void keep(String name, EvmKey key) throws IOException {
    writeSecret(keyFile(name), key.revealHex() + "\n");
  }

  /** A Solana key of this home, made where it is missing: base58 of its seed. */
  SolanaKey solanaKey(String name) throws IOException {
    Path file = keyFile(name);
    if (!Files.exists(file)) {
      writeSecret(file, SolanaKey.random(new SecureRandom()).revealBase58() + "\n");
    }
    try {
      return SolanaKey.ofSeed(Base58.decode(Files.readString(file).strip(), 32));
    } catch (IllegalArgumentException e) {
      throw new IOException(file + " does not hold a Solana key: base58 of a seed of 32 bytes");
    }
  }

  /** Reads an EVM key: 0x-hexadecimal on one line. The message of a failure does not repeat it. */
  static EvmKey readEvmKey(Path file) throws IOException {
    try {
      return EvmKey.of(Files.readString(file).strip());
    } catch (IllegalArgumentException e) {
      throw new IOException(file + " does not hold a private key: " + e.getMessage());
    }
  }

  /** The Ed25519 key that signs receipts, made where it is missing. */
  KeyPair receiptKey() throws IOException {
    return ed25519Key("receipt");
  }

  /**
   * Who signs the log's checkpoints: a key of its own, made where it is missing, and a name that
   * follows from it and so is nobody else's.
   */
  SignedNote.Signer logSigner() throws IOException {
    KeyPair pair = ed25519Key("log");
    String hash = Hex.encode(Hashes.sha256(pair.getPublic().getEncoded())).substring(2);
    return new SignedNote.Signer("gridtie-" + hash.substring(0, 16), pair);
  }

  private KeyPair ed25519Key(String name) throws IOException {
    Path file = keyFile(name);
    try {
      if (!Files.exists(file)) {
        KeyPair pair = KeyPairGenerator.getInstance("Ed25519").generateKeyPair();
        Base64.Encoder base64 = Base64.getEncoder();
        writeSecret(
            file,
            base64.encodeToString(pair.getPrivate().getEncoded())
                + "\n"
                + base64.encodeToString(pair.getPublic().getEncoded())
                + "\n");
      }
      List<String> lines = Files.readAllLines(file, US_ASCII);
      KeyFactory factory = KeyFactory.getInstance("Ed25519");
      Base64.Decoder base64 = Base64.getDecoder();
      return new KeyPair(
          factory.generatePublic(new X509EncodedKeySpec(base64.decode(lines.get(1)))),
          factory.generatePrivate(new PKCS8EncodedKeySpec(base64.decode(lines.get(0)))));
    } catch (GeneralSecurityException | IllegalArgumentException | IndexOutOfBoundsException e) {
      throw new IOException(file + " does not hold an Ed25519 key");
    }
  }

  /**
   * Writes a secret to a file that only its owner can read from its first byte on; never over
   * another.
   */
  private static void writeSecret(Path file, String secret) throws IOException {
    try {
      Files.createFile(file, PosixFilePermissions.asFileAttribute(OWNER_ONLY));
      Files.writeString(file, secret, US_ASCII, StandardOpenOption.WRITE, StandardOpenOption.SYNC);
    } catch (FileAlreadyExistsException e) {
      // Another of us was faster; its key stands.
    }
  }
}
