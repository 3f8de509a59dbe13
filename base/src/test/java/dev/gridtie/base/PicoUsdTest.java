package dev.gridtie.base;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.math.BigInteger;
import org.junit.jupiter.api.Test;

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
}
