package dev.gridtie.x402.solana;

import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What a Solana transaction says: a message of version 0, without address lookup tables.
 *
 * @param signers how many of the accounts must sign; the first pays the fee
 * @param readonlySigners how many of those are not written
 * @param readonlyOthers how many of the rest are not written
 * @param accounts signers first, in each part the writable first
 */
public record SolanaMessage(
    int signers,
    int readonlySigners,
    int readonlyOthers,
    List<SolanaAddress> accounts,
    byte[] blockhash,
    List<Compiled> instructions) {
  /** The longest transaction that a Solana node takes (one packet). */
  public static final int BYTES_MAX = 1232;

  private static final int VERSION_0 = 0x80;

  public SolanaMessage {
    accounts = List.copyOf(accounts);
    instructions = List.copyOf(instructions);
  }

  /**
   * An instruction whose accounts are named by their place.
   *
   * @param program its place among the accounts
   */
  public record Compiled(int program, byte[] accounts, byte[] data) {}

  /** An account of an instruction. */
  public record Meta(SolanaAddress address, boolean signer, boolean writable) {}

  /** An instruction before it is put into a message. */
  public record Instruction(SolanaAddress program, List<Meta> accounts, byte[] data) {
    public Instruction {
      accounts = List.copyOf(accounts);
    }
  }

  /** Reading ended in the middle, or found something that is none. */
  public static final class MalformedException extends Exception {
    private static final long serialVersionUID = 1L;

    MalformedException(String message) {
      super(message);
    }
  }

  /** Ranks as the official client does: signers, then what is written; the same by their text. */
  private static final Comparator<Meta> ORDER =
      Comparator.comparing((Meta m) -> !m.signer())
          .thenComparing(m -> !m.writable())
          .thenComparing(m -> m.address().toString().toLowerCase(Locale.ROOT))
          .thenComparing(m -> swapCase(m.address().toString()));

  /** Lower case before upper, where two texts differ in nothing else. */
  private static String swapCase(String text) {
    StringBuilder out = new StringBuilder();
    for (char c : text.toCharArray()) {
      out.append(Character.isUpperCase(c) ? Character.toLowerCase(c) : Character.toUpperCase(c));
    }
    return out.toString();
  }

  /** Puts instructions into a message. */
  public static SolanaMessage of(
      SolanaAddress feePayer, byte[] blockhash, List<Instruction> instructions) {
    Map<SolanaAddress, Meta> all = new LinkedHashMap<>();
    for (Instruction instruction : instructions) {
      instruction.accounts().forEach(m -> all.merge(m.address(), m, SolanaMessage::both));
      all.merge(
          instruction.program(),
          new Meta(instruction.program(), false, false),
          SolanaMessage::both);
    }
    all.remove(feePayer);
    List<Meta> sorted = new ArrayList<>(all.values());
    sorted.sort(ORDER);
    sorted.addFirst(new Meta(feePayer, true, true));
    List<SolanaAddress> accounts = sorted.stream().map(Meta::address).toList();
    List<Compiled> compiled = new ArrayList<>();
    for (Instruction i : instructions) {
      byte[] places = new byte[i.accounts().size()];
      for (int n = 0; n < places.length; n++) {
        places[n] = (byte) accounts.indexOf(i.accounts().get(n).address());
      }
      compiled.add(new Compiled(accounts.indexOf(i.program()), places, i.data()));
    }
    return new SolanaMessage(
        (int) sorted.stream().filter(Meta::signer).count(),
        (int) sorted.stream().filter(m -> m.signer() && !m.writable()).count(),
        (int) sorted.stream().filter(m -> !m.signer() && !m.writable()).count(),
        accounts,
        blockhash,
        compiled);
  }

  private static Meta both(Meta a, Meta b) {
    return new Meta(a.address(), a.signer() || b.signer(), a.writable() || b.writable());
  }

  public SolanaAddress feePayer() {
    return accounts.getFirst();
  }

  public SolanaAddress program(Compiled instruction) {
    return accounts.get(instruction.program());
  }

  /** An instruction's account, by its place there. */
  public SolanaAddress account(Compiled instruction, int place) {
    return accounts.get(instruction.accounts()[place] & 0xff);
  }

  /** Whether an instruction names an account. */
  public boolean names(Compiled instruction, SolanaAddress address) {
    for (byte place : instruction.accounts()) {
      if (accounts.get(place & 0xff).equals(address)) {
        return true;
      }
    }
    return false;
  }

  public byte[] encode() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(VERSION_0);
    out.write(signers);
    out.write(readonlySigners);
    out.write(readonlyOthers);
    writeLength(out, accounts.size());
    accounts.forEach(a -> out.writeBytes(a.bytes()));
    out.writeBytes(blockhash);
    writeLength(out, instructions.size());
    for (Compiled i : instructions) {
      out.write(i.program());
      writeLength(out, i.accounts().length);
      out.writeBytes(i.accounts());
      writeLength(out, i.data().length);
      out.writeBytes(i.data());
    }
    writeLength(out, 0); // lookup tables
    return out.toByteArray();
  }

  /** A length in seven bits a byte, the lowest first. */
  static void writeLength(ByteArrayOutputStream out, int length) {
    int rest = length;
    while (rest > 0x7f) {
      out.write(rest & 0x7f | 0x80);
      rest >>>= 7;
    }
    out.write(rest);
  }

  /** Reads bytes in order, and never past their end. */
  static final class In {
    private final byte[] bytes;
    private int at;

    In(byte[] bytes) {
      this.bytes = bytes;
    }

    int one() throws MalformedException {
      return take(1)[0] & 0xff;
    }

    byte[] take(int length) throws MalformedException {
      if (length < 0 || length > bytes.length - at) {
        throw new MalformedException("it ends in the middle");
      }
      at += length;
      return Arrays.copyOfRange(bytes, at - length, at);
    }

    /** At most two bytes: nothing in a packet is longer. */
    int length() throws MalformedException {
      int low = one();
      if (low < 0x80) {
        return low;
      }
      int high = one();
      if (high == 0 || high >= 0x80) {
        throw new MalformedException("a length is not in its shortest form");
      }
      return low & 0x7f | high << 7;
    }

    byte[] rest() throws MalformedException {
      return take(bytes.length - at);
    }

    void requireEnd() throws MalformedException {
      if (at != bytes.length) {
        throw new MalformedException("something follows its end");
      }
    }
  }

  /**
   * Reads a message.
   *
   * @throws MalformedException where it is none of version 0, names accounts that are not there, or
   *     uses lookup tables
   */
  public static SolanaMessage decode(byte[] bytes) throws MalformedException {
    In in = new In(bytes);
    if (in.one() != VERSION_0) {
      throw new MalformedException("it is not of version 0");
    }
    int signers = in.one();
    int readonlySigners = in.one();
    int readonlyOthers = in.one();
    List<SolanaAddress> accounts = new ArrayList<>();
    int count = in.length();
    for (int i = 0; i < count; i++) {
      accounts.add(SolanaAddress.of(in.take(SolanaAddress.LENGTH)));
    }
    if (signers < 1
        || readonlySigners >= signers
        || signers + readonlyOthers > count
        || accounts.stream().distinct().count() != count) {
      throw new MalformedException("its header does not fit its accounts");
    }
    byte[] blockhash = in.take(SolanaAddress.LENGTH);
    List<Compiled> instructions = new ArrayList<>();
    int number = in.length();
    for (int i = 0; i < number; i++) {
      int program = in.one();
      byte[] places = in.take(in.length());
      byte[] data = in.take(in.length());
      boolean known = program < count && program > 0;
      for (byte place : places) {
        known &= (place & 0xff) < count;
      }
      if (!known) {
        throw new MalformedException("an instruction names an account that is not there");
      }
      instructions.add(new Compiled(program, places, data));
    }
    if (in.length() != 0) {
      throw new MalformedException("address lookup tables are not taken");
    }
    in.requireEnd();
    return new SolanaMessage(
        signers, readonlySigners, readonlyOthers, accounts, blockhash, instructions);
  }

  @Override
  public String toString() {
    return "message " + HexFormat.of().formatHex(encode());
  }
}
