package dev.gridtie.x402.solana.exact;

import dev.gridtie.base.Json;
import dev.gridtie.x402.server.ChargeScheme;
import dev.gridtie.x402.solana.SolanaAddress;
import dev.gridtie.x402.solana.SolanaMessage.Compiled;
import dev.gridtie.x402.solana.SolanaToken;
import dev.gridtie.x402.solana.SolanaTransaction;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import tools.jackson.databind.node.ObjectNode;

/**
 * Charges by scheme exact in one coin on Solana.
 *
 * @param payTo who receives; its associated token account must exist
 * @param feePayer who pays the fee: the facilitator
 * @param maxTimeoutSeconds how long a payment made now must stay valid
 */
public record SolanaExactServer(
    SolanaToken token, SolanaAddress payTo, SolanaAddress feePayer, long maxTimeoutSeconds)
    implements ChargeScheme {

  @Override
  public String scheme() {
    return SolanaExactTypes.SCHEME;
  }

  @Override
  public String network() {
    return token.network();
  }

  @Override
  public String asset() {
    return token.mint().toString();
  }

  @Override
  public boolean takes(PaymentPayload payment) {
    return true;
  }

  @Override
  public PaymentRequirements requirements(BigInteger atomicAmount) {
    ObjectNode extra = Json.object().put("feePayer", feePayer.toString());
    return new PaymentRequirements(
        scheme(), network(), atomicAmount, asset(), payTo.toString(), maxTimeoutSeconds, extra);
  }

  @Override
  public String paymentKey(PaymentPayload payment) throws MalformedPaymentException {
    return paymentKey(token.network(), payment);
  }

  /**
   * Names a payment for ever: what is signed, whoever's signatures are on it yet.
   *
   * @throws MalformedPaymentException where the payload cannot be read
   */
  public static String paymentKey(String network, PaymentPayload payment)
      throws MalformedPaymentException {
    return SolanaExactTypes.paymentKey(network, payment);
  }

  @Override
  public String payer(PaymentPayload payment) throws MalformedPaymentException {
    SolanaTransaction transaction = SolanaExactTypes.transaction(payment);
    for (Compiled instruction : transaction.message().instructions()) {
      var transfer = SolanaExactTypes.transfer(transaction.message(), instruction);
      if (transfer.isPresent()) {
        return transfer.get().authority().toString();
      }
    }
    throw new MalformedPaymentException("the transaction has no transfer");
  }

  @Override
  public int decimals() {
    return token.decimals();
  }
}
