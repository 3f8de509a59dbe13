package dev.gridtie.grid.pay;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.grid.model.Manifest;
import dev.gridtie.grid.model.Variant;
import dev.gridtie.grid.pay.PayFormula.Energy;
import dev.gridtie.grid.pay.PayFormula.Work;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;

class PayFormulaTest {
  private static final BigInteger FLOP_PER_CREDIT = new BigInteger("140000000000000000");

  private static Manifest model(
      String id, long active, long total, int layers, int attention, int cache) {
    Variant variant =
        new Variant("Q4_K_M", "0".repeat(64), 1 << 16, 1 << 16, List.of("0".repeat(64)));
    return new Manifest(
        id,
        "apache-2.0",
        "0".repeat(64),
        131_072,
        active,
        total,
        layers,
        attention,
        cache,
        List.of(variant));
  }

  static final Manifest LLAMA_8B =
      model("llama-3.1-8b", 8_030_000_000L, 8_030_000_000L, 32, 4096, 2048);
  static final Manifest LLAMA_70B =
      model("llama-3.3-70b", 70_000_000_000L, 70_000_000_000L, 80, 8192, 2048);
  static final Manifest QWEN_30B_A3B =
      model("qwen3-30b-a3b", 3_300_000_000L, 30_500_000_000L, 48, 4096, 1024);

  @Test
  void aMillionTokensOfLlama70BAreACreditOfWork() {
    BigInteger work = PayFormula.work(LLAMA_70B, new Work(0, 0, 1));
    assertThat(work.multiply(BigInteger.valueOf(1_000_000))).isEqualTo(FLOP_PER_CREDIT);
  }

  @Test
  void attentionGrowsWithThePosition() {
    BigInteger first = PayFormula.work(LLAMA_8B, new Work(0, 0, 1));
    BigInteger at8192 = PayFormula.work(LLAMA_8B, new Work(0, 8192, 1));
    assertThat(at8192.subtract(first)).isEqualTo(BigInteger.valueOf(4L * 32 * 4096 * 8192));
  }

  @Test
  void workInPartsIsWorkInOne() {
    BigInteger whole = PayFormula.work(LLAMA_8B, new Work(0, 100, 50));
    BigInteger parts =
        PayFormula.work(LLAMA_8B, new Work(0, 100, 20))
            .add(PayFormula.work(LLAMA_8B, new Work(0, 120, 30)));
    assertThat(parts).isEqualTo(whole);
  }

  @Test
  void cachedTokensAreNotPaidAgain() {
    assertThat(PayFormula.work(LLAMA_8B, new Work(10, 990, 0)))
        .isLessThan(PayFormula.work(LLAMA_8B, new Work(1000, 0, 0)));
  }

  @Test
  void aMixtureOfExpertsIsPaidForWhatComputesAndALittleForWhatItHolds() {
    BigInteger moe =
        PayFormula.pay(QWEN_30B_A3B, "Q4_K_M", new Work(0, 0, 1000), 1_000_000, Energy.UNKNOWN);
    BigInteger dense =
        PayFormula.pay(LLAMA_8B, "Q4_K_M", new Work(0, 0, 1000), 1_000_000, Energy.UNKNOWN);
    assertThat(moe).isLessThan(dense);
    assertThat(PayFormula.holdingPpm(QWEN_30B_A3B)).isEqualTo(1_500_000);
    assertThat(PayFormula.holdingPpm(LLAMA_8B)).isEqualTo(1_000_000);
  }

  @Test
  void finerWeightsAndReliabilityPayMore() {
    Work work = new Work(0, 0, 1000);
    BigInteger q4 = PayFormula.pay(LLAMA_8B, "Q4_K_M", work, 1_000_000, Energy.UNKNOWN);
    BigInteger q8 = PayFormula.pay(LLAMA_8B, "Q8_0", work, 1_000_000, Energy.UNKNOWN);
    BigInteger shaky = PayFormula.pay(LLAMA_8B, "Q8_0", work, 600_000, Energy.UNKNOWN);
    BigInteger broken = PayFormula.pay(LLAMA_8B, "Q8_0", work, 1, Energy.UNKNOWN);
    assertThat(q8).isGreaterThan(q4).isGreaterThan(shaky);
    assertThat(broken).as("never less than half").isEqualTo(q8.divide(BigInteger.TWO));
  }

  @Test
  void theBonusCoversElectricityUpToABound() {
    Work work = new Work(0, 0, 1000);
    BigInteger plain = PayFormula.pay(LLAMA_8B, "Q4_K_M", work, 1_000_000, Energy.UNKNOWN);
    BigInteger flopPerKwh = FLOP_PER_CREDIT;
    long covered =
        plain.multiply(BigInteger.valueOf(3_600_000)).divide(flopPerKwh).longValueExact();
    assertThat(
            PayFormula.pay(
                LLAMA_8B, "Q4_K_M", work, 1_000_000, new Energy(covered / 2, flopPerKwh)))
        .as("what was earned covers it")
        .isEqualTo(plain);
    BigInteger lifted =
        PayFormula.pay(
            LLAMA_8B, "Q4_K_M", work, 1_000_000, new Energy(covered * 5 / 4, flopPerKwh));
    assertThat(lifted).isGreaterThan(plain).isLessThan(plain.multiply(BigInteger.TWO));
    BigInteger most =
        PayFormula.pay(
            LLAMA_8B, "Q4_K_M", work, 1_000_000, new Energy(Long.MAX_VALUE / 4, flopPerKwh));
    assertThat(most).isEqualTo(plain.multiply(BigInteger.valueOf(6)));
  }

  /**
   * @param tokens of answers a second, all slots together
   */
  private record Example(
      String machine, Manifest model, String quantization, int tokens, int watts) {}

  private static final List<Example> EXAMPLES =
      List.of(
          new Example("GTX 1060 6 GB", LLAMA_8B, "Q4_K_M", 18, 110),
          new Example("RTX 4090", LLAMA_8B, "Q8_0", 420, 350),
          new Example("M3 Pro laptop", LLAMA_8B, "Q4_K_M", 32, 35),
          new Example("H100, 80 GB", LLAMA_70B, "Q8_0", 380, 650),
          new Example("Jetson Orin Nano", LLAMA_8B, "Q4_K_M", 11, 15));

  /** Each answer has 100 tokens; of its prompt 400 are read, and 500 were read before. */
  private static final Work ANSWER = new Work(400, 500, 100);

  /** $0.30, where a credit is worth $0.50. */
  private static final BigInteger FLOP_PER_KWH =
      FLOP_PER_CREDIT.multiply(BigInteger.valueOf(6)).divide(BigInteger.TEN);

  /** What an hour of answers earns, without the bonus and with it. */
  private static String row(Example e) {
    long answers = e.tokens() * 3600L / ANSWER.decodeTokens();
    Energy energy = new Energy(e.watts() * 3600L / answers, FLOP_PER_KWH);
    return String.format(
        Locale.ROOT,
        "| %s | %s %s | %d | %d | %s | %s | %s |",
        e.machine(),
        e.model().id(),
        e.quantization(),
        e.tokens(),
        e.watts(),
        credits(hour(e, Energy.UNKNOWN, answers)),
        credits(hour(e, energy, answers)),
        credits(energy.cost().multiply(BigInteger.valueOf(answers))));
  }

  private static BigInteger hour(Example e, Energy energy, long answers) {
    return PayFormula.pay(e.model(), e.quantization(), ANSWER, 980_000, energy)
        .multiply(BigInteger.valueOf(answers));
  }

  private static String credits(BigInteger flop) {
    return new BigDecimal(flop)
        .divide(new BigDecimal(FLOP_PER_CREDIT), MathContext.DECIMAL64)
        .setScale(4, java.math.RoundingMode.DOWN)
        .toPlainString();
  }

  @Test
  void theExamplesInTheGuideAreWhatTheFormulaGives() throws IOException {
    EXAMPLES.forEach(e -> System.out.println(row(e)));
    Path guide = Path.of(System.getProperty("gridtie.root"), "docs", "contribute.md");
    String text = Files.readString(guide);
    for (Example example : EXAMPLES) {
      assertThat(text).as(row(example)).contains(row(example));
    }
  }
}
