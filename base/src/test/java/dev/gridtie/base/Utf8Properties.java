package dev.gridtie.base;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import org.junit.jupiter.api.Test;

class Utf8Properties {
  private static final long SEED = 15;

  @Test
  void whatIsUtf8IsWhatJavasStrictDecoderTakes() {
    Random random = new Random(SEED);
    System.out.println("Utf8Properties seed " + SEED);
    int valid = 0;
    for (int i = 0; i < 200_000; i++) {
      byte[] bytes = bytes(random);
      boolean taken = decodes(bytes);
      valid += taken ? 1 : 0;
      assertThat(Utf8.isValid(bytes)).as(() -> Hex.encode(bytes)).isEqualTo(taken);
    }
    assertThat(valid).isBetween(20_000, 180_000);
  }

  /** Characters of all lengths, one byte of which may be changed. */
  private static byte[] bytes(Random random) {
    StringBuilder text = new StringBuilder();
    for (int length = random.nextInt(6); length > 0; length--) {
      text.append("x".repeat(random.nextInt(9)));
      int[] below = {0x80, 0x800, 0xd800, 0x10000, 0x110000};
      text.appendCodePoint(random.nextInt(below[random.nextInt(below.length)]));
    }
    byte[] bytes = text.toString().getBytes(StandardCharsets.UTF_8);
    if (bytes.length > 0 && random.nextBoolean()) {
      bytes[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
    }
    return bytes;
  }

  private static boolean decodes(byte[] bytes) {
    try {
      var unused = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes));
      return true;
    } catch (CharacterCodingException e) {
      return false;
    }
  }
}
