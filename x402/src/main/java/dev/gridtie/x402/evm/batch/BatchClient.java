package dev.gridtie.x402.evm.batch;

import dev.gridtie.base.Json;
import dev.gridtie.x402.client.Validity;
import dev.gridtie.x402.evm.Eip712;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.batch.BatchTypes.Authorization;
import dev.gridtie.x402.evm.batch.BatchTypes.ChannelConfig;
import dev.gridtie.x402.evm.batch.BatchTypes.Payload;
import dev.gridtie.x402.evm.batch.BatchTypes.Voucher;
import dev.gridtie.x402.evm.permit2.Permit2Types;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.security.SecureRandom;
import java.time.InstantSource;
import tools.jackson.databind.JsonNode;

/**
 * Signs deposits and vouchers of scheme batch-settlement. Pure but for time and randomness: which
 * channel there is and what was charged on it, its caller knows.
 */
public final class BatchClient {
  private final EvmKey payer;
  private final EvmKey voucherSigner;
  private final Validity validity;
  private final SecureRandom random;

  /**
   * @param voucherSigner signs vouchers: the payer's own key, or one that can do nothing else
   */
  public BatchClient(EvmKey payer, EvmKey voucherSigner, InstantSource clock, SecureRandom random) {
    this(payer, voucherSigner, Validity.usual(clock), random);
  }

  /** With a validity of deposits of their payer's choice. */
  public BatchClient(EvmKey payer, EvmKey voucherSigner, Validity validity, SecureRandom random) {
    this.payer = payer;
    this.voucherSigner = voucherSigner;
    this.validity = validity;
    this.random = random;
  }

  /**
   * The channel that requirements ask for.
   *
   * @param salt 32 bytes; another one is another channel between the same two
   * @throws MalformedPaymentException where they lack what a channel needs
   */
  public ChannelConfig channel(PaymentRequirements requirements, byte[] salt)
      throws MalformedPaymentException {
    JsonNode delay = requirements.extra().path("withdrawDelay");
    if (!delay.isIntegralNumber()
        || delay.asLong() < BatchTypes.DELAY_MIN
        || delay.asLong() > BatchTypes.DELAY_MAX) {
      throw new MalformedPaymentException(
          "extra.withdrawDelay must be from "
              + BatchTypes.DELAY_MIN
              + " to "
              + BatchTypes.DELAY_MAX
              + " seconds");
    }
    return new ChannelConfig(
        payer.address(),
        voucherSigner.address(),
        EvmFields.payTo(requirements),
        EvmFields.address(requirements.extra(), "receiverAuthorizer"),
        EvmFields.asset(requirements),
        delay.asLong(),
        salt);
  }

  /**
   * A voucher for one more call.
   *
   * @param charged what the channel was charged so far, in all
   */
  public Payload voucher(PaymentRequirements requirements, ChannelConfig config, BigInteger charged)
      throws MalformedPaymentException {
    return new Payload.Plain(config, signed(requirements, config, charged));
  }

  private Voucher signed(PaymentRequirements requirements, ChannelConfig config, BigInteger charged)
      throws MalformedPaymentException {
    long chainId = EvmFields.chainId(requirements);
    byte[] id = config.id(chainId);
    BigInteger most = charged.add(requirements.amount());
    return new Voucher(id, most, voucherSigner.sign(Voucher.digest(id, most, chainId)));
  }

  /**
   * A deposit, and a voucher for one more call on it.
   *
   * @param charged what the channel was charged so far, in all
   * @param amount to be put in, atomic units
   */
  public Payload deposit(
      PaymentRequirements requirements, ChannelConfig config, BigInteger charged, BigInteger amount)
      throws MalformedPaymentException {
    boolean permit2 =
        Permit2Types.METHOD.equals(Json.text(requirements.extra(), "assetTransferMethod"));
    Voucher voucher = signed(requirements, config, charged);
    byte[] fresh = new byte[32];
    random.nextBytes(fresh);
    BigInteger until = BigInteger.valueOf(validity.until(requirements));
    Authorization authorization =
        permit2
            ? permit2(requirements, config, amount, new BigInteger(1, fresh), until)
            : erc3009(requirements, config, amount, fresh, until);
    return new Payload.Deposit(config, voucher, amount, authorization);
  }

  private Authorization erc3009(
      PaymentRequirements requirements,
      ChannelConfig config,
      BigInteger amount,
      byte[] salt,
      BigInteger until)
      throws MalformedPaymentException {
    String name = Json.text(requirements.extra(), "name");
    String version = Json.text(requirements.extra(), "version");
    if (name == null || version == null) {
      throw new MalformedPaymentException("extra must hold the token's EIP-712 name and version");
    }
    long chainId = EvmFields.chainId(requirements);
    EvmAddress token = config.token();
    byte[] structHash =
        Authorization.Erc3009.structHash(
            payer.address(),
            amount,
            BigInteger.ZERO,
            until,
            Authorization.Erc3009.nonce(config.id(chainId), salt));
    byte[] digest =
        Eip712.digest(Eip712.domainSeparator(name, version, chainId, token), structHash);
    return new Authorization.Erc3009(BigInteger.ZERO, until, salt, payer.sign(digest));
  }

  private Authorization permit2(
      PaymentRequirements requirements,
      ChannelConfig config,
      BigInteger amount,
      BigInteger nonce,
      BigInteger deadline)
      throws MalformedPaymentException {
    long chainId = EvmFields.chainId(requirements);
    byte[] id = config.id(chainId);
    byte[] digest =
        Authorization.Permit2.digest(config.token(), amount, nonce, deadline, id, chainId);
    return new Authorization.Permit2(
        payer.address(),
        config.token(),
        amount,
        BatchTypes.PERMIT2_COLLECTOR,
        nonce,
        deadline,
        id,
        payer.sign(digest));
  }
}
