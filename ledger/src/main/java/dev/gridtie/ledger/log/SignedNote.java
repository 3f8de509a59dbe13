package dev.gridtie.ledger.log;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Hashes;
import java.nio.ByteBuffer;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;

/**
 * A text and who has signed it (C2SP signed-note).
 *
 * @param text ends with a line's end
 * @param signatures each a line
 */
public record SignedNote(String text, List<Line> signatures) {
  /** The longest note that is read, and the most signatures on one. */
  private static final int LENGTH_MAX = 64 * 1024;

  private static final int SIGNATURES_MAX = 64;

  /** What a key signs: the text itself, or that it has seen it at a time (tlog-cosignature). */
  public enum Kind {
    SIGNATURE(1),
    COSIGNATURE(4);

    private final byte number;

    Kind(int number) {
      this.number = (byte) number;
    }
  }

  /**
   * A signature.
   *
   * @param name of the key
   * @param keyId four bytes of a hash of name and key
   */
  public record Line(String name, int keyId, byte[] signature) {
    /** As it stands in a note. */
    public String written() {
      byte[] all = ByteBuffer.allocate(4 + signature.length).putInt(keyId).put(signature).array();
      return "— " + name + " " + Base64.getEncoder().encodeToString(all) + "\n";
    }
  }

  /** The text is no note. */
  public static final class MalformedNoteException extends Exception {
    private static final long serialVersionUID = 1L;

    MalformedNoteException(String message) {
      super(message);
    }
  }

  /**
   * Whose signatures are looked for.
   *
   * @param key raw, 32 bytes
   */
  public record Verifier(String name, Kind kind, byte[] key) {
    /** An Ed25519 key's X.509 form is this and its 32 bytes (RFC 8410). */
    private static final byte[] X509 = HexFormat.of().parseHex("302a300506032b6570032100");

    public static Verifier of(String name, Kind kind, PublicKey key) {
      byte[] x509 = key.getEncoded();
      return new Verifier(name, kind, Arrays.copyOfRange(x509, x509.length - 32, x509.length));
    }

    /**
     * Reads {@code name+hash+base64}.
     *
     * @throws IllegalArgumentException where it is no such key
     */
    public static Verifier of(String written) {
      String[] parts = written.strip().split("\\+", 3);
      if (parts.length != 3 || !isName(parts[0])) {
        throw new IllegalArgumentException("a verifier key is written name+hash+key");
      }
      byte[] key = Base64.getDecoder().decode(parts[2]);
      for (Kind kind : Kind.values()) {
        if (key.length == 33 && key[0] == kind.number) {
          Verifier verifier = new Verifier(parts[0], kind, Arrays.copyOfRange(key, 1, 33));
          if (verifier.written().equals(written.strip())) {
            return verifier;
          }
        }
      }
      throw new IllegalArgumentException("not an Ed25519 verifier key, or its hash is wrong");
    }

    public String written() {
      byte[] typed = new byte[33];
      typed[0] = kind.number;
      System.arraycopy(key, 0, typed, 1, 32);
      return name
          + "+"
          + HexFormat.of().formatHex(ByteBuffer.allocate(4).putInt(keyId()).array())
          + "+"
          + Base64.getEncoder().encodeToString(typed);
    }

    int keyId() {
      byte[] hash = Hashes.sha256((name + "\n").getBytes(UTF_8), new byte[] {kind.number}, key);
      return ByteBuffer.wrap(hash).getInt();
    }

    /** When it has signed, where it has; a plain signature says no time: {@link Instant#EPOCH}. */
    public Optional<Instant> verify(SignedNote note) {
      return note.signatures().stream()
          .filter(line -> line.name().equals(name) && line.keyId() == keyId())
          .flatMap(line -> check(note.text(), line.signature()).stream())
          .findFirst();
    }

    private Optional<Instant> check(String text, byte[] signed) {
      try {
        long time = 0;
        String message = text;
        byte[] signature = signed;
        if (kind == Kind.COSIGNATURE) {
          if (signed.length != 72) {
            return Optional.empty();
          }
          time = ByteBuffer.wrap(signed).getLong();
          message = cosigned(time, text);
          signature = Arrays.copyOfRange(signed, 8, 72);
        }
        byte[] x509 = Arrays.copyOf(X509, X509.length + 32);
        System.arraycopy(key, 0, x509, X509.length, 32);
        Signature ed25519 = Signature.getInstance("Ed25519");
        ed25519.initVerify(
            KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(x509)));
        ed25519.update(message.getBytes(UTF_8));
        return ed25519.verify(signature)
            ? Optional.of(Instant.ofEpochSecond(time))
            : Optional.empty();
      } catch (GeneralSecurityException | java.time.DateTimeException e) {
        return Optional.empty();
      }
    }
  }

  /** Signs notes. */
  public record Signer(String name, KeyPair key) {
    public Signer {
      if (!isName(name)) {
        throw new IllegalArgumentException("a key's name has no spaces and no plus: " + name);
      }
    }

    public Verifier verifier(Kind kind) {
      return Verifier.of(name, kind, key.getPublic());
    }

    public Line sign(String text) {
      return new Line(name, verifier(Kind.SIGNATURE).keyId(), signed(key.getPrivate(), text));
    }

    /** Says that it has seen the text at a time, and what it has seen before agrees with it. */
    public Line cosign(String text, Instant now) {
      long time = now.getEpochSecond();
      byte[] signature = signed(key.getPrivate(), cosigned(time, text));
      return new Line(
          name,
          verifier(Kind.COSIGNATURE).keyId(),
          ByteBuffer.allocate(72).putLong(time).put(signature).array());
    }

    private static byte[] signed(PrivateKey key, String text) {
      try {
        Signature ed25519 = Signature.getInstance("Ed25519");
        ed25519.initSign(key);
        ed25519.update(text.getBytes(UTF_8));
        return ed25519.sign();
      } catch (GeneralSecurityException e) {
        throw new IllegalStateException("every Java platform has Ed25519", e);
      }
    }
  }

  private static String cosigned(long time, String text) {
    return "cosignature/v1\ntime " + time + "\n" + text;
  }

  private static boolean isName(String name) {
    return !name.isEmpty() && name.chars().noneMatch(c -> Character.isWhitespace(c) || c == '+');
  }

  /** With one more signature. */
  public SignedNote with(Line line) {
    List<Line> more = new ArrayList<>(signatures);
    more.add(line);
    return new SignedNote(text, List.copyOf(more));
  }

  public String written() {
    StringBuilder out = new StringBuilder(text).append('\n');
    signatures.forEach(line -> out.append(line.written()));
    return out.toString();
  }

  /**
   * Reads a note.
   *
   * @throws MalformedNoteException where it is none
   */
  public static SignedNote parse(String written) throws MalformedNoteException {
    int gap = written.lastIndexOf("\n\n");
    if (written.length() > LENGTH_MAX || gap < 0 || !written.endsWith("\n")) {
      throw new MalformedNoteException("a note is a text, an empty line, and signatures");
    }
    List<Line> lines = new ArrayList<>();
    for (String line : written.substring(gap + 2).split("\n", -1)) {
      if (!line.isEmpty()) {
        lines.add(line(line));
      }
    }
    if (lines.isEmpty() || lines.size() > SIGNATURES_MAX) {
      throw new MalformedNoteException("a note has from 1 to " + SIGNATURES_MAX + " signatures");
    }
    return new SignedNote(written.substring(0, gap + 1), List.copyOf(lines));
  }

  private static Line line(String line) throws MalformedNoteException {
    String[] words = line.split(" ", -1);
    if (words.length != 3 || !words[0].equals("—") || !isName(words[1])) {
      throw new MalformedNoteException("a signature's line is: — name base64");
    }
    try {
      byte[] all = Base64.getDecoder().decode(words[2]);
      if (all.length < 5) {
        throw new MalformedNoteException("a signature is too short");
      }
      return new Line(
          words[1], ByteBuffer.wrap(all).getInt(), Arrays.copyOfRange(all, 4, all.length));
    } catch (IllegalArgumentException e) {
      throw new MalformedNoteException("a signature is not base64");
    }
  }
}
