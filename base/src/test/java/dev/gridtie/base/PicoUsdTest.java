package dev.gridtie.base;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.math.BigInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PicoUsdTest {
  @Test
  void atomicUnitsOfSixDecimalsAreExact() {
    assertThat(PicoUsd.ofAtomic(BigInteger.ONE, 6)).isEqualTo(PicoUsd.of(1_000_000));
  }

  @Test
  void aQuoteIsRoundedUpAndAPayoutDown() {
    PicoUsd justAbove = PicoUsd.of(1_000_001);
    assertThat(justAbove.toAtomicRoundedUp(6)).isEqualTo(BigInteger.TWO);
    assertThat(justAbove.toAtomicRoundedDown(6)).isEqualTo(BigInteger.ONE);
    assertThat(PicoUsd.of(1_000_000).toAtomicRoundedUp(6)).isEqualTo(BigInteger.ONE);
    assertThat(PicoUsd.ZERO.toAtomicRoundedUp(6)).isZero();
  }

  @Test
  void dollarsAreReadAndWrittenExactly() {
    assertThat(PicoUsd.ofDollars("0.25").pico()).isEqualTo(250_000_000_000L);
    assertThat(PicoUsd.ofDollars("100").toString()).isEqualTo("$100");
    assertThat(PicoUsd.of(118_000_000).dollars()).isEqualTo("0.000118");
  }

  @Test
  void moneyIsNeverNegativeAndNeverFinerThanItsUnit() {
    assertThatThrownBy(() -> PicoUsd.of(1).minus(PicoUsd.of(2)))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> PicoUsd.ofDollars("-1")).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> PicoUsd.ofDollars("0.0000000000001"))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> PicoUsd.ofDollars("ten")).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> PicoUsd.ofAtomic(BigInteger.ONE, 37))
        .isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> PicoUsd.ofAtomic(BigInteger.ONE, -1))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void aCoinFinerThanTheUnitIsAskedExactlyAndCreditedRoundedDown() {
    PicoUsd price = PicoUsd.of(2_008_000_000);
    assertThat(price.toAtomicRoundedUp(18)).isEqualTo(new BigInteger("2008000000000000"));
    assertThat(price.toAtomicRoundedDown(18)).isEqualTo(new BigInteger("2008000000000000"));
    assertThat(PicoUsd.ofAtomic(new BigInteger("2008000000000000"), 18)).isEqualTo(price);
    assertThat(PicoUsd.ofAtomic(new BigInteger("2008000000999999"), 18)).isEqualTo(price);
    assertThat(PicoUsd.ofAtomic(BigInteger.ONE, 12)).isEqualTo(PicoUsd.of(1));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "1e30000000",
        "1e-30000000",
        "1e999999999",
        "-1e30000000",
        "1e19",
        "0x10",
        "١",
        "1e",
        "",
        " 1",
        "NaN"
      })
  void whatIsNoAmountIsRefusedBeforeItIsWrittenOut(String text) {
    assertThatThrownBy(() -> PicoUsd.ofDollars(text)).hasMessageContaining("not an amount");
    assertThatThrownBy(() -> PicoUsd.ofDollarsPerMillion(text)).hasMessageContaining("not an");
    assertThatThrownBy(() -> PicoUsd.ofDollarsRoundedDown(text)).hasMessageContaining("not an");
    assertThatThrownBy(() -> PicoUsd.ofDollarsPerMillionRoundedDown(text))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void aLongTextIsNeitherReadNorRepeated() {
    String nines = "9".repeat(1_000_000);
    assertThatThrownBy(() -> PicoUsd.ofDollars(nines))
        .satisfies(e -> assertThat(e.getMessage()).hasSizeLessThan(200));
    assertThatThrownBy(() -> Numbers.uint256(nines))
        .satisfies(e -> assertThat(e.getMessage()).hasSizeLessThan(200));
  }

  @Test
  void pricesForAMillionAreExactAndLimitsAreRoundedDown() {
    assertThat(PicoUsd.ofDollarsPerMillion("0.25")).isEqualTo(PicoUsd.of(250_000));
    assertThat(PicoUsd.ofDollarsPerMillion("1e3")).isEqualTo(PicoUsd.of(1_000_000_000));
    assertThat(PicoUsd.ofDollarsPerMillionRoundedDown("0.0000009")).isEqualTo(PicoUsd.ZERO);
    assertThat(PicoUsd.ofDollarsRoundedDown("0.1234567890129"))
        .isEqualTo(PicoUsd.of(123_456_789_012L));
    assertThatThrownBy(() -> PicoUsd.ofDollarsPerMillion("0.0000001"))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void wholeNumbersAreReadWithinTheirBoundsAlone() {
    BigInteger largest = BigInteger.TWO.pow(256).subtract(BigInteger.ONE);
    assertThat(Numbers.uint256(largest.toString())).isEqualTo(largest);
    assertThat(Numbers.whole("2147483647", 1, Integer.MAX_VALUE)).isEqualTo(Integer.MAX_VALUE);
    assertThat(Numbers.integer("-12", 2)).isEqualTo(-12);
    for (String text :
        new String[] {largest.add(BigInteger.ONE).toString(), "-1", "-0", "01", "+1", "1.0", ""}) {
      assertThatThrownBy(() -> Numbers.uint256(text)).isInstanceOf(NumberFormatException.class);
    }
    assertThatThrownBy(() -> Numbers.whole("2147483648", 1, Integer.MAX_VALUE))
        .hasMessageContaining("from 1 to 2147483647");
    assertThatThrownBy(() -> Numbers.whole("0", 1, 5)).hasMessageContaining("from 1 to 5");
  }
}
