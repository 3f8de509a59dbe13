package dev.gridtie.grid.model;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.testkit.Seeded;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FitTest {
  private static final long GIB = 1L << 30;
  private static final Path MODELS = Path.of(System.getProperty("gridtie.root"), "models", "tiny");

  private static Variant variant(String quantization, long bytes) {
    int piece = Variant.PIECE_BYTES_MAX;
    String hash = String.format("%064x", bytes);
    return new Variant(
        quantization,
        hash,
        bytes,
        piece,
        java.util.Collections.nCopies((int) Math.ceilDiv(bytes, piece), hash));
  }

  private static Manifest model() {
    return new Manifest(
        "llama-8b",
        "llama",
        "0".repeat(64),
        131_072,
        8_000_000_000L,
        8_000_000_000L,
        32,
        4096,
        2048,
        List.of(
            variant("Q4_K_M", 5 * GIB),
            variant("F16", 16 * GIB),
            variant("Q8_0", 8 * GIB + GIB / 2)));
  }

  private static String best(long gib, int context, int slots, String least) {
    return Fit.best(model(), gib * GIB, 100 * GIB, context, slots, least)
        .map(f -> f.variant().quantization() + " x" + f.slots())
        .orElse("none");
  }

  @Test
  void theFinestThatFitsIsTaken() {
    assertThat(best(24, 4096, 4, "")).isEqualTo("F16 x4");
    assertThat(best(12, 4096, 4, "")).isEqualTo("Q8_0 x4");
    assertThat(best(8, 4096, 4, "")).isEqualTo("Q4_K_M x4");
    assertThat(best(4, 4096, 4, "")).isEqualTo("none");
  }

  @Test
  void fewerSlotsWhereTheCacheOfMoreDoesNotFit() {
    assertThat(best(10, 32_768, 8, "Q8_0")).isEqualTo("none");
    assertThat(best(10, 4096, 8, "Q8_0")).isEqualTo("Q8_0 x1");
    assertThat(best(7, 4096, 8, "")).isEqualTo("Q4_K_M x3");
  }

  @Test
  void whatIsTooCoarseOrTooLargeForTheDiskIsNotTaken() {
    assertThat(best(8, 4096, 4, "q8_0")).isEqualTo("none");
    assertThat(
            Fit.best(model(), 64 * GIB, 9 * GIB, 4096, 4, "")
                .orElseThrow()
                .variant()
                .quantization())
        .isEqualTo("Q8_0");
  }

  @Test
  void moreMemoryNeverGivesACoarserVariantAndWhatIsGivenFits() {
    Seeded seeded = new Seeded(11);
    for (int i = 0; i < 2_000; i++) {
      long less = (1 + seeded.below(30)) * GIB + (seeded.below(1001));
      long more = less + (seeded.below(11)) * GIB;
      int context = (128 + seeded.below(65409));
      int slots = (1 + seeded.below(16));
      var small = Fit.best(model(), less, 100 * GIB, context, slots, "");
      var large = Fit.best(model(), more, 100 * GIB, context, slots, "");
      if (small.isPresent()) {
        assertThat(small.get().bytes()).isLessThanOrEqualTo(less);
        assertThat(Precision.bits(large.orElseThrow().variant().quantization()))
            .isGreaterThanOrEqualTo(Precision.bits(small.get().variant().quantization()));
      }
    }
  }

  @Test
  void quantisationsAreKnownByTheirBits() {
    assertThat(
            List.of("Q8_0", "q4_k_m", "IQ3_XS", "F16", "bf16", "int4", "fp8", "mxfp4", "unknown"))
        .extracting(Precision::bits)
        .containsExactly(8, 4, 3, 16, 16, 4, 8, 4, 0);
  }

  @Test
  void aManifestIsReadFromTheFilesThemselves() throws Exception {
    Map<String, Path> files = new LinkedHashMap<>();
    for (String kind : List.of("Q4_0", "F16", "Q8_0")) {
      files.put(kind, MODELS.resolve("gridtie-tiny-" + kind + ".gguf"));
    }
    Manifest tiny = Gguf.manifest("gridtie/tiny", files, n -> {});
    assertThat(tiny.variants())
        .extracting(Variant::quantization)
        .containsExactly("F16", "Q8_0", "Q4_0");
    assertThat(tiny.totalParameters()).isBetween(2_000_000L, 2_500_000L);
    assertThat(tiny.activeParameters()).isEqualTo(tiny.totalParameters());
    assertThat(tiny.contextTokens()).isGreaterThanOrEqualTo(1024);
    assertThat(tiny.hash())
        .hasSize(64)
        .isEqualTo(Gguf.manifest("gridtie/tiny", files, n -> {}).hash());
    files.remove("Q4_0");
    assertThat(Gguf.manifest("gridtie/tiny", files, n -> {}).hash()).isNotEqualTo(tiny.hash());
  }

  @Test
  void aFileThatIsCutOrBentIsRefusedAndNeverMore(@TempDir Path folder) throws Exception {
    byte[] whole = Files.readAllBytes(MODELS.resolve("gridtie-tiny-Q4_0.gguf"));
    Seeded seeded = new Seeded(5);
    int refused = 0;
    for (int i = 0; i < 300; i++) {
      byte[] bent = java.util.Arrays.copyOf(whole, (1 + seeded.below(60000)));
      for (int b = 0; b < 5; b++) {
        bent[(seeded.below(bent.length))] = (byte) (seeded.below(256));
      }
      Path file = Files.write(folder.resolve("bent.gguf"), bent);
      try {
        assertThat(Gguf.read(file)).isNotNull(); // what was bent is not looked at
      } catch (java.io.IOException e) {
        refused++;
      }
    }
    assertThat(refused).isGreaterThan(100);
  }
}
