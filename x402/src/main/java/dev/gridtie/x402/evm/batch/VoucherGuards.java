package dev.gridtie.x402.evm.batch;

import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.Signatures;
import dev.gridtie.x402.evm.batch.BatchTypes.ChannelConfig;
import dev.gridtie.x402.evm.batch.BatchTypes.Payload;
import dev.gridtie.x402.evm.batch.BatchTypes.Voucher;
import dev.gridtie.x402.facilitator.PaymentRefusedException;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.Refusal;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.Optional;

/** What can be said of a voucher without asking a chain. */
public final class VoucherGuards {
  private static final String P = BatchTypes.CODE;

  private VoucherGuards() {}

  /**
   * Whether a voucher that a plain key signs is good, by what is known of its channel. Whether that
   * is fresh enough is the caller's to know.
   *
   * @return why it is not; empty where it is
   */
  public static Optional<Refusal> refusal(
      Payload payload, PaymentRequirements requirements, long chainId, ChannelState known) {
    try {
      requireConfig(payload, requirements, chainId);
      Voucher voucher = payload.voucher();
      byte[] digest = Voucher.digest(voucher.channelId(), voucher.maxClaimable(), chainId);
      if (!Signatures.recover(digest, voucher.signature())
          .equals(Optional.of(payload.config().payerAuthorizer()))) {
        throw new PaymentRefusedException(
            P + "voucher_signature", "the voucher is not signed by the channel's payerAuthorizer");
      }
      requireBorne(voucher, known, known.balance());
      return Optional.empty();
    } catch (PaymentRefusedException e) {
      return Optional.of(e.why());
    }
  }

  /** The channel is the one that was asked for, and is what the voucher names. */
  static void requireConfig(Payload payload, PaymentRequirements requirements, long chainId)
      throws PaymentRefusedException {
    ChannelConfig config = payload.config();
    if (!Arrays.equals(config.id(chainId), payload.voucher().channelId())) {
      throw new PaymentRefusedException(
          P + "channel_id_mismatch", "the voucher is on another channel than is described");
    }
    if (!config.receiver().lower().equalsIgnoreCase(requirements.payTo())) {
      throw new PaymentRefusedException(
          P + "receiver_mismatch", "the channel pays somebody else; pay " + requirements.payTo());
    }
    String authorizer = Json.text(requirements.extra(), "receiverAuthorizer");
    if (authorizer == null || !config.receiverAuthorizer().lower().equalsIgnoreCase(authorizer)) {
      throw new PaymentRefusedException(
          P + "receiver_authorizer_mismatch", "the channel's receiverAuthorizer is not ours");
    }
    if (!config.token().lower().equalsIgnoreCase(requirements.asset())) {
      throw new PaymentRefusedException(
          P + "token_mismatch", "the channel is in another coin; pay in " + requirements.asset());
    }
    if (config.withdrawDelay() < BatchTypes.DELAY_MIN
        || config.withdrawDelay() > BatchTypes.DELAY_MAX) {
      throw new PaymentRefusedException(
          P + "withdraw_delay_out_of_range",
          "withdrawDelay must be from "
              + BatchTypes.DELAY_MIN
              + " to "
              + BatchTypes.DELAY_MAX
              + " seconds");
    }
    if (config.withdrawDelay() != requirements.extra().path("withdrawDelay").asLong(-1)) {
      throw new PaymentRefusedException(
          P + "withdraw_delay_mismatch", "the channel's withdrawDelay is not what was asked");
    }
  }

  /** There is as much in the channel, and it was not claimed before. */
  static void requireBorne(Voucher voucher, ChannelState state, BigInteger bears)
      throws PaymentRefusedException {
    if (voucher.maxClaimable().compareTo(bears) > 0) {
      throw new PaymentRefusedException(
          P + "cumulative_exceeds_balance",
          "the voucher is for "
              + voucher.maxClaimable()
              + " in all, and the channel has had "
              + bears
              + "; deposit more");
    }
    if (voucher.maxClaimable().compareTo(state.totalClaimed()) <= 0) {
      throw new PaymentRefusedException(
          P + "cumulative_below_claimed",
          state.totalClaimed() + " of this channel have been claimed already");
    }
  }
}
