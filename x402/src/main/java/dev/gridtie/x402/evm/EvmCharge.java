package dev.gridtie.x402.evm;

import dev.gridtie.x402.server.ChargeScheme;

/** What all schemes that charge in one EVM token have in common. */
public interface EvmCharge extends ChargeScheme {
  EvmToken token();

  @Override
  default String network() {
    return token().network();
  }

  @Override
  default String asset() {
    return token().address().toString();
  }

  @Override
  default int decimals() {
    return token().decimals();
  }
}
