package dev.gridtie.x402.evm.batch;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.base.Json;
import dev.gridtie.x402.client.Validity;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.Eip712;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.SenderPool;
import dev.gridtie.x402.evm.Settler;
import dev.gridtie.x402.evm.batch.BatchTypes.Authorization;
import dev.gridtie.x402.evm.batch.BatchTypes.ChannelConfig;
import dev.gridtie.x402.evm.batch.BatchTypes.Claim;
import dev.gridtie.x402.evm.batch.BatchTypes.Payload;
import dev.gridtie.x402.evm.local.LocalChain;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.PaymentScheme.Verdict;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.math.BigInteger;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.node.ObjectNode;

/**
 * Scheme batch-settlement against a real EVM chain, and a contract with the published interface.
 */
class BatchFacilitatorIT {
  private static final BigInteger PRICE = BigInteger.valueOf(1_000);
  private static final BigInteger DEPOSIT = BigInteger.valueOf(10_000);

  /** The chain's time is moved by these tests. */
  private static final Validity LONG = new Validity(InstantSource.system(), Duration.ofHours(1));

  private static final SecureRandom RANDOM = new SecureRandom();
  private static final String P = "invalid_batch_settlement_evm_";

  @TempDir static Path directory;
  private static LocalChain chain;

  private EvmKey payer;
  private EvmKey authorizer;
  private EvmAddress receiver;
  private BatchFacilitator facilitator;
  private BatchClient client;
  private PaymentRequirements asked;
  private ChannelConfig channel;

  @BeforeAll
  static void startChain() throws Exception {
    Path root = Path.of(System.getProperty("gridtie.root"));
    int port;
    try (ServerSocket socket = new ServerSocket(0)) {
      port = socket.getLocalPort();
    }
    chain =
        LocalChain.start(LocalChain.program(root.resolve("native/node_modules")), directory, port);
  }

  @AfterAll
  static void stopChain() {
    chain.close();
  }

  @BeforeEach
  void freshKeys() throws Exception {
    EvmKey gas = EvmKey.random(RANDOM);
    chain.giveGas(gas.address());
    payer = EvmKey.random(RANDOM);
    authorizer = EvmKey.random(RANDOM);
    receiver = EvmKey.random(RANDOM).address();
    chain.mint(payer.address(), BigInteger.valueOf(1_000_000));
    EvmChain rpc = chain.rpc();
    SenderPool senders =
        SenderPool.of(
            rpc,
            LocalChain.CHAIN_ID,
            List.of(gas),
            BigInteger.valueOf(500_000_000_000L),
            InstantSource.system());
    facilitator =
        new BatchFacilitator(
            rpc,
            new Settler(rpc, senders, Duration.ofSeconds(5)),
            authorizer,
            InstantSource.system());
    client = new BatchClient(payer, payer, LONG, RANDOM);
    asked = asked(LocalChain.USDC, "eip3009", 900);
    channel = client.channel(asked, new byte[32]);
  }

  private PaymentRequirements asked(EvmAddress token, String method, long delay) {
    ObjectNode extra = Json.object();
    extra.put("name", "USDC").put("version", "2");
    extra.put("receiverAuthorizer", authorizer.address().toString());
    extra.put("withdrawDelay", delay);
    if (method.equals("permit2")) {
      extra.put("assetTransferMethod", method);
    }
    return new PaymentRequirements(
        BatchTypes.SCHEME,
        LocalChain.NETWORK,
        PRICE,
        token.toString(),
        receiver.toString(),
        3600,
        extra);
  }

  private PaymentPayload payment(Payload payload) throws Exception {
    return PaymentPayload.fromJson(
        PaymentPayload.v2(payload.toJson(), Json.array(), asked.toJson()));
  }

  private String refusal(Payload payload) throws Exception {
    return refusal(payment(payload), asked);
  }

  private String refusal(PaymentPayload payment, PaymentRequirements requirements)
      throws Exception {
    return switch (facilitator.verify(payment, requirements)) {
      case Verdict.Valid v -> "valid";
      case Verdict.Invalid i -> i.why().code();
    };
  }

  private ChannelState state() throws Exception {
    return ChannelState.of(chain.rpc(), receiver, channel.id(LocalChain.CHAIN_ID));
  }

  private Payload voucher(long charged) throws Exception {
    return client.voucher(asked, channel, BigInteger.valueOf(charged));
  }

  private void deposit() throws Exception {
    Payload deposit = client.deposit(asked, channel, BigInteger.ZERO, DEPOSIT);
    assertThat(refusal(deposit)).isEqualTo("valid");
    assertThat(facilitator.settle(payment(deposit), asked, t -> {}))
        .isInstanceOf(Settlement.Settled.class);
  }

  private Claim claim(Payload voucher, long total) {
    return new Claim(
        voucher.config(),
        voucher.voucher().maxClaimable(),
        voucher.voucher().signature(),
        BigInteger.valueOf(total));
  }

  private Settlement claimed(List<Claim> claims) throws Exception {
    return settle(new BatchDeed.ClaimMany(claims, Optional.empty()));
  }

  private Settlement settle(BatchDeed deed) throws Exception {
    return facilitator.settle(deed, LocalChain.CHAIN_ID, t -> {});
  }

  @Test
  void aChannelIsFilledUsedClaimedAndPaidOut() throws Exception {
    deposit();
    assertThat(state().balance()).isEqualTo(DEPOSIT);
    // Three calls that came to 300, 50 and 400: each voucher bears what was charged and one more.
    assertThat(refusal(voucher(0))).isEqualTo("valid");
    assertThat(refusal(voucher(300))).isEqualTo("valid");
    Payload last = voucher(350);
    assertThat(refusal(last)).isEqualTo("valid");
    assertThat(facilitator.settle(payment(last), asked, t -> {}))
        .isInstanceOfSatisfying(
            Settlement.Settled.class, s -> assertThat(s.transaction()).isEmpty());
    assertThat(claimed(List.of(claim(last, 750)))).isInstanceOf(Settlement.Settled.class);
    assertThat(state().totalClaimed()).isEqualTo(BigInteger.valueOf(750));
    assertThat(chain.usdc(receiver)).isZero();
    assertThat(settle(new BatchDeed.PayOut(receiver, LocalChain.USDC)))
        .isInstanceOf(Settlement.Settled.class);
    assertThat(chain.usdc(receiver)).isEqualTo(BigInteger.valueOf(750));
    // Again: nothing is taken twice.
    assertThat(claimed(List.of(claim(last, 750)))).isInstanceOf(Settlement.Settled.class);
    assertThat(settle(new BatchDeed.PayOut(receiver, LocalChain.USDC)))
        .isInstanceOf(Settlement.Settled.class);
    assertThat(chain.usdc(receiver)).isEqualTo(BigInteger.valueOf(750));
    // What is left goes back.
    byte[] refund =
        BatchTypes.refundDigest(
            channel.id(LocalChain.CHAIN_ID), BigInteger.ZERO, DEPOSIT, LocalChain.CHAIN_ID);
    assertThat(
            settle(
                new BatchDeed.GiveBack(
                    channel,
                    DEPOSIT,
                    BigInteger.ZERO,
                    List.of(),
                    Optional.of(authorizer.sign(refund)),
                    Optional.empty())))
        .isInstanceOf(Settlement.Settled.class);
    assertThat(chain.usdc(payer.address())).isEqualTo(BigInteger.valueOf(1_000_000 - 750));
    assertThat(
            settle(
                new BatchDeed.GiveBack(
                    channel,
                    DEPOSIT,
                    BigInteger.ZERO,
                    List.of(),
                    Optional.of(authorizer.sign(refund)),
                    Optional.empty())))
        .as("a refund's nonce is used once")
        .isInstanceOf(Settlement.Failed.class);
  }

  @Test
  void aWalletOfTwoKeysDepositsAndAKeyOfItsOwnSignsItsVouchers() throws Exception {
    EvmKey second = EvmKey.random(RANDOM);
    EvmAddress wallet = EvmKey.random(RANDOM).address();
    chain.placeWallet(wallet, payer.address(), second.address());
    chain.mint(wallet, BigInteger.valueOf(1_000_000));
    ChannelConfig own = channel;
    channel =
        new ChannelConfig(
            wallet,
            own.voucherSigner(),
            own.receiver(),
            own.receiverAuthorizer(),
            own.token(),
            own.withdrawDelay(),
            own.salt());
    byte[] id = channel.id(LocalChain.CHAIN_ID);
    BigInteger until = BigInteger.valueOf(Instant.now().getEpochSecond() + 7_200);
    byte[] digest =
        Eip712.digest(
            Eip712.domainSeparator("USDC", "2", LocalChain.CHAIN_ID, channel.token()),
            Authorization.Erc3009.structHash(
                wallet,
                DEPOSIT,
                BigInteger.ZERO,
                until,
                Authorization.Erc3009.nonce(id, new byte[32])));
    byte[] one = payer.sign(digest);
    Payload.Plain voucher = (Payload.Plain) voucher(0);
    for (byte[] signature :
        List.of(one, Abi.concat(one, one), Abi.concat(one, second.sign(digest)))) {
      Authorization a = new Authorization.Erc3009(BigInteger.ZERO, until, new byte[32], signature);
      Payload deposit = new Payload.Deposit(channel, voucher.voucher(), DEPOSIT, a);
      boolean both = signature.length == 130 && !Arrays.equals(signature, Abi.concat(one, one));
      assertThat(refusal(deposit))
          .isEqualTo(both ? "valid" : P + "receive_authorization_signature");
      if (both) {
        assertThat(facilitator.settle(payment(deposit), asked, t -> {}))
            .isInstanceOf(Settlement.Settled.class);
      }
    }
    assertThat(state().balance()).isEqualTo(DEPOSIT);
    assertThat(refusal(voucher(500))).isEqualTo("valid");
    assertThat(claimed(List.of(claim(voucher(500), 1_500)))).isInstanceOf(Settlement.Settled.class);
    assertThat(state().totalClaimed()).isEqualTo(BigInteger.valueOf(1_500));
  }

  @Test
  void aDepositByPermit2NeedsAnAllowanceOnce() throws Exception {
    asked = asked(LocalChain.USDC, "permit2", 900);
    Payload deposit = client.deposit(asked, channel, BigInteger.ZERO, DEPOSIT);
    assertThat(refusal(deposit)).isEqualTo(P + "permit2_allowance_required");
    chain.allowPermit2(LocalChain.USDC_TOKEN, payer.address());
    assertThat(refusal(deposit)).isEqualTo("valid");
    assertThat(facilitator.settle(payment(deposit), asked, t -> {}))
        .isInstanceOf(Settlement.Settled.class);
    assertThat(state().balance()).isEqualTo(DEPOSIT);
    assertThat(facilitator.settle(payment(deposit), asked, t -> {}))
        .as("what has arrived need not be brought")
        .isInstanceOfSatisfying(
            Settlement.Settled.class, s -> assertThat(s.transaction()).isEmpty());
    assertThat(refusal(deposit)).isEqualTo("valid");
    assertThat(state().balance()).isEqualTo(DEPOSIT);
  }

  @Test
  void aDepositCountsOnceHoweverOftenItIsBrought() throws Exception {
    Payload deposit = client.deposit(asked, channel, BigInteger.ZERO, DEPOSIT);
    assertThat(facilitator.settle(payment(deposit), asked, t -> {}))
        .isInstanceOf(Settlement.Settled.class);
    assertThat(facilitator.settle(payment(deposit), asked, t -> {}))
        .as("what has arrived need not be brought")
        .isInstanceOfSatisfying(
            Settlement.Settled.class, s -> assertThat(s.transaction()).isEmpty());
    assertThat(refusal(deposit)).isEqualTo("valid");
    assertThat(state().balance()).isEqualTo(DEPOSIT);
  }

  private static ObjectNode at(ObjectNode json, String path) {
    ObjectNode at = json;
    for (String key : path.split("/")) {
      at = (ObjectNode) at.path(key);
    }
    return at;
  }

  private String changed(Payload payload, String path, String key, String value) throws Exception {
    ObjectNode json = payload.toJson();
    (path.isEmpty() ? json : at(json, path)).put(key, value);
    return refusal(
        PaymentPayload.fromJson(PaymentPayload.v2(json, Json.array(), asked.toJson())), asked);
  }

  @Test
  void eachFieldOfADepositWrongInTurnHasItsCode() throws Exception {
    Payload good = client.deposit(asked, channel, BigInteger.ZERO, DEPOSIT);
    String other = "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65";
    String zeros = "0x" + "00".repeat(32);
    String erc = "deposit/authorization/erc3009Authorization";
    assertThat(refusal(good)).isEqualTo("valid");
    assertThat(changed(good, "", "type", "gift")).isEqualTo(P + "payload_type");
    assertThat(changed(good, "channelConfig", "payer", other)).isEqualTo(P + "channel_id_mismatch");
    assertThat(changed(good, "channelConfig", "receiver", other))
        .isEqualTo(P + "channel_id_mismatch");
    assertThat(changed(good, "voucher", "channelId", zeros)).isEqualTo(P + "channel_id_mismatch");
    assertThat(changed(good, "voucher", "maxClaimableAmount", "1001"))
        .isEqualTo(P + "voucher_signature");
    assertThat(changed(good, "deposit", "amount", "10001"))
        .isEqualTo(P + "receive_authorization_signature");
    assertThat(changed(good, erc, "validBefore", "1"))
        .isEqualTo(P + "payload_authorization_valid_before");
    assertThat(changed(good, erc, "validAfter", "99999999999"))
        .isEqualTo(P + "payload_authorization_valid_after");
    assertThat(changed(good, erc, "salt", zeros)).isEqualTo(P + "receive_authorization_signature");
    assertThat(changed(good, erc, "signature", "0x00"))
        .isEqualTo(P + "receive_authorization_signature");
    assertThat(refusal(client.deposit(asked, channel, BigInteger.ZERO, BigInteger.TWO.pow(64))))
        .isEqualTo(P + "insufficient_balance");
    assertThat(refusal(client.deposit(asked, channel, BigInteger.ZERO, BigInteger.valueOf(999))))
        .isEqualTo(P + "cumulative_exceeds_balance");
  }

  @Test
  void aChannelThatIsNotWhatWasAskedIsRefused() throws Exception {
    Payload good = client.deposit(asked, channel, BigInteger.ZERO, DEPOSIT);
    PaymentPayload payment = payment(good);
    ObjectNode json = asked.toJson();
    json.put("payTo", "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65");
    assertThat(refusal(payment, PaymentRequirements.fromJson(json)))
        .isEqualTo(P + "receiver_mismatch");
    json = asked.toJson();
    json.put("asset", LocalChain.PEGGED.address().toString());
    assertThat(refusal(payment, PaymentRequirements.fromJson(json)))
        .isEqualTo(P + "token_mismatch");
    json = asked.toJson();
    ((ObjectNode) json.path("extra"))
        .put("receiverAuthorizer", "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65");
    assertThat(refusal(payment, PaymentRequirements.fromJson(json)))
        .isEqualTo(P + "receiver_authorizer_mismatch");
    json = asked.toJson();
    ((ObjectNode) json.path("extra")).put("withdrawDelay", 901);
    assertThat(refusal(payment, PaymentRequirements.fromJson(json)))
        .isEqualTo(P + "withdraw_delay_mismatch");
    json = asked.toJson();
    ((ObjectNode) json.path("extra")).put("minDeposit", "20000");
    assertThat(refusal(payment, PaymentRequirements.fromJson(json)))
        .isEqualTo(P + "deposit_below_min_deposit");
    json = asked.toJson();
    ((ObjectNode) json.path("extra")).remove("name");
    assertThat(refusal(payment, PaymentRequirements.fromJson(json)))
        .isEqualTo(P + "missing_eip712_domain");
    json = asked.toJson();
    json.put("network", "eip155:8453");
    assertThat(refusal(payment, PaymentRequirements.fromJson(json)))
        .isEqualTo(P + "network_mismatch");
  }

  @Test
  void aVoucherThatTheChannelDoesNotBearIsRefused() throws Exception {
    assertThat(refusal(voucher(0))).isEqualTo(P + "channel_not_found");
    deposit();
    assertThat(refusal(voucher(9_000))).isEqualTo("valid");
    assertThat(refusal(voucher(9_001))).isEqualTo(P + "cumulative_exceeds_balance");
    BatchClient thief = new BatchClient(payer, EvmKey.random(RANDOM), LONG, RANDOM);
    assertThat(refusal(thief.voucher(asked, channel, BigInteger.ZERO)))
        .isEqualTo(P + "voucher_signature");
    Payload voucher = voucher(2_000);
    assertThat(claimed(List.of(claim(voucher, 3_000)))).isInstanceOf(Settlement.Settled.class);
    assertThat(refusal(voucher(1_000))).isEqualTo(P + "cumulative_below_claimed");
    assertThat(claimed(List.of(claim(voucher, 3_001))))
        .as("more than its voucher allows")
        .isInstanceOf(Settlement.Failed.class);
    assertThat(state().totalClaimed()).isEqualTo(BigInteger.valueOf(3_000));
  }

  @Test
  void aKeyThatOnlySignsVouchersCannotDeposit() throws Exception {
    EvmKey delegate = EvmKey.random(RANDOM);
    client = new BatchClient(payer, delegate, LONG, RANDOM);
    channel = client.channel(asked, new byte[32]);
    deposit();
    assertThat(refusal(voucher(500))).isEqualTo("valid");
    chain.mint(delegate.address(), DEPOSIT);
    BatchClient alone = new BatchClient(delegate, delegate, LONG, RANDOM);
    Payload forged = alone.deposit(asked, channel, BigInteger.ZERO, DEPOSIT);
    assertThat(refusal(forged)).isEqualTo(P + "receive_authorization_signature");
  }

  @Test
  void aWithdrawalCanBeClaimedAgainstBeforeItsDelayIsOver() throws Exception {
    deposit();
    Payload voucher = voucher(4_000);
    chain.as(payer.address(), BatchTypes.BATCH, BatchCalls.initiateWithdraw(channel, DEPOSIT));
    assertThat(state().withdrawRequestedAt()).isPositive();
    assertThat(claimed(List.of(claim(voucher, 5_000)))).isInstanceOf(Settlement.Settled.class);
    chain.raw().ask("evm_increaseTime", Json.trusted("901"));
    chain.raw().ask("evm_mine");
    chain.as(payer.address(), BatchTypes.BATCH, BatchCalls.finalizeWithdraw(channel));
    assertThat(chain.usdc(payer.address())).isEqualTo(BigInteger.valueOf(1_000_000 - 5_000));
    // Too late for what was not claimed: the channel is empty.
    assertThat(claimed(List.of(claim(voucher(5_000), 6_000))))
        .isInstanceOf(Settlement.Failed.class);
    assertThat(settle(new BatchDeed.PayOut(receiver, LocalChain.USDC)))
        .isInstanceOf(Settlement.Settled.class);
    assertThat(chain.usdc(receiver)).isEqualTo(BigInteger.valueOf(5_000));
  }

  @Test
  void manyChannelsAreClaimedInOneTransaction() throws Exception {
    List<Claim> claims = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      payer = EvmKey.random(RANDOM);
      chain.mint(payer.address(), DEPOSIT);
      client = new BatchClient(payer, payer, LONG, RANDOM);
      channel = client.channel(asked, new byte[32]);
      deposit();
      claims.add(claim(voucher(0), 1 + i));
    }
    assertThat(claimed(claims)).isInstanceOf(Settlement.Settled.class);
    assertThat(settle(new BatchDeed.PayOut(receiver, LocalChain.USDC)))
        .isInstanceOf(Settlement.Settled.class);
    assertThat(chain.usdc(receiver)).isEqualTo(BigInteger.valueOf(20 * 21 / 2));
    // Somebody else's signature over the same claims takes nothing.
    byte[] digest = BatchTypes.claimBatchDigest(claims, LocalChain.CHAIN_ID);
    assertThat(
            settle(
                new BatchDeed.ClaimMany(claims, Optional.of(EvmKey.random(RANDOM).sign(digest)))))
        .isInstanceOf(Settlement.Failed.class);
  }

  /**
   * Printed for docs/benchmarks: what a thousand requests cost in gas, by how channels are used.
   */
  @Test
  void manyRequestsShareTheGasOfOneTransaction() throws Exception {
    long alone = 0;
    for (int channels : new int[] {1, 10, 100}) {
      List<Claim> claims = new ArrayList<>();
      long deposits = 0;
      for (int i = 0; i < channels; i++) {
        payer = EvmKey.random(RANDOM);
        chain.mint(payer.address(), DEPOSIT);
        client = new BatchClient(payer, payer, LONG, RANDOM);
        channel = client.channel(asked, new byte[32]);
        Payload deposit = client.deposit(asked, channel, BigInteger.ZERO, DEPOSIT);
        deposits += gas(facilitator.settle(payment(deposit), asked, t -> {}));
        claims.add(claim(voucher(0), 900));
      }
      long claimed = gas(claimed(claims));
      long paidOut = gas(settle(new BatchDeed.PayOut(receiver, LocalChain.USDC)));
      System.out.printf(
          "%d channels: deposit %d gas each, claim %d each, payout %d%n",
          channels, deposits / channels, claimed / channels, paidOut);
      if (channels == 1) {
        alone = claimed;
      } else {
        assertThat(claimed / channels).as("together they cost less each").isLessThan(alone);
      }
    }
  }

  private static long gas(Settlement settlement) throws Exception {
    assertThat(settlement).isInstanceOf(Settlement.Settled.class);
    String hash = ((Settlement.Settled) settlement).transaction();
    return Long.decode(
        chain
            .raw()
            .ask("eth_getTransactionReceipt", Json.trusted("\"" + hash + "\""))
            .path("gasUsed")
            .asString());
  }
}
