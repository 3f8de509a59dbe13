package dev.gridtie.base;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/** Whether bytes are UTF-8 (RFC 3629 §4), without making a text of them. */
public final class Utf8 {
  private static final VarHandle EIGHT =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

  private static final long HIGH_BITS = 0x8080808080808080L;

  private Utf8() {}

  /** Whether all of it is well-formed: no overlong form, no surrogate, nothing cut off. */
  public static boolean isValid(byte[] bytes) {
    int at = 0;
    while (at < bytes.length) {
      if (at + Long.BYTES <= bytes.length && ((long) EIGHT.get(bytes, at) & HIGH_BITS) == 0) {
        at += Long.BYTES; // ASCII, as nearly all JSON is
      } else {
        int length = length(bytes, at);
        if (length == 0) {
          return false;
        }
        at += length;
      }
    }
    return true;
  }

  /** How many bytes the character at a place has; 0 where there is none. */
  private static int length(byte[] bytes, int at) {
    int lead = bytes[at] & 0xff;
    if (lead < 0x80) {
      return 1;
    }
    int length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    if (length == 0 || at + length > bytes.length) {
      return 0;
    }
    int second = bytes[at + 1] & 0xff;
    int from = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    int to = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (second < from || second > to) {
      return 0;
    }
    for (int i = at + 2; i < at + length; i++) {
      if ((bytes[i] & 0xc0) != 0x80) {
        return 0;
      }
    }
    return length;
  }
}
