package dev.gridtie.x402.evm.batch;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.client.Commitment;
import dev.gridtie.x402.client.PaymentSigner;
import dev.gridtie.x402.client.Validity;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.Signatures;
import dev.gridtie.x402.evm.batch.BatchTypes.ChannelConfig;
import dev.gridtie.x402.evm.batch.BatchTypes.Payload;
import dev.gridtie.x402.evm.batch.BatchTypes.Voucher;
import dev.gridtie.x402.evm.batch.ChannelBook.Line;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import dev.gridtie.x402.wire.PaymentRequirements;
import dev.gridtie.x402.wire.SettleResponse;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigInteger;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import tools.jackson.databind.JsonNode;

/**
 * Pays from channels by scheme batch-settlement: by a voucher where there is enough in the channel,
 * by a deposit and a voucher where one may be made. State: the book, and which channels wait for an
 * answer; one that waits is not used for another request.
 */
public final class BatchSigner implements PaymentSigner {
  private final EvmKey key;
  private final ChannelBook book;
  private final BatchClient client;
  private final Function<PaymentRequirements, BigInteger> depositMax;
  private final Set<String> waiting = new HashSet<>();

  /**
   * @param depositMax the most that a channel for these requirements may hold unspent by deposits
   *     made here, atomic units; zero makes none
   */
  public BatchSigner(
      EvmKey key,
      ChannelBook book,
      Function<PaymentRequirements, BigInteger> depositMax,
      InstantSource clock,
      SecureRandom random) {
    this(key, book, depositMax, Validity.usual(clock), random);
  }

  /** With a validity of deposits of their payer's choice. */
  public BatchSigner(
      EvmKey key,
      ChannelBook book,
      Function<PaymentRequirements, BigInteger> depositMax,
      Validity validity,
      SecureRandom random) {
    this.key = key;
    this.book = book;
    this.client = new BatchClient(key, key, validity, random);
    this.depositMax = depositMax;
  }

  private ChannelConfig config(PaymentRequirements asked) throws MalformedPaymentException {
    return client.channel(asked, new byte[32]);
  }

  private Line line(ChannelConfig config, PaymentRequirements asked)
      throws MalformedPaymentException {
    try {
      return book.find(config.id(EvmFields.chainId(asked)))
          .orElse(new Line(asked.network(), config, BigInteger.ZERO, BigInteger.ZERO));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public boolean keepsAccount(PaymentRequirements asked) {
    return asked.scheme().equals(BatchTypes.SCHEME);
  }

  @Override
  public synchronized boolean canSign(PaymentRequirements asked) {
    if (!keepsAccount(asked)) {
      return false;
    }
    try {
      ChannelConfig config = config(asked);
      Line line = line(config, asked);
      return !waiting.contains(Hex.encode(config.id(EvmFields.chainId(asked))))
          && (line.left().compareTo(asked.amount()) >= 0
              || line.left().add(deposit(line, asked)).compareTo(depositMax.apply(asked)) <= 0);
    } catch (MalformedPaymentException e) {
      return false;
    }
  }

  /** What must be put in for a request: what it lacks, or what the server wants at least. */
  private static BigInteger deposit(Line line, PaymentRequirements asked)
      throws MalformedPaymentException {
    BigInteger lacking = asked.amount().subtract(line.left());
    return asked.extra().has("minDeposit")
        ? lacking.max(EvmFields.uint(asked.extra(), "minDeposit", 128))
        : lacking;
  }

  @Override
  public synchronized JsonNode sign(int version, PaymentRequirements asked)
      throws MalformedPaymentException {
    ChannelConfig config = config(asked);
    Line line = line(config, asked);
    Payload payload =
        line.left().compareTo(asked.amount()) >= 0
            ? client.voucher(asked, config, line.charged())
            : client.deposit(asked, config, line.charged(), deposit(line, asked));
    waiting.add(Hex.encode(payload.voucher().channelId()));
    return payload.toJson();
  }

  /**
   * A voucher takes what it adds to those that were sent before; the next one replaces it. A
   * deposit takes what it puts in, and its voucher nothing beyond that.
   */
  @Override
  public synchronized Commitment commitment(PaymentRequirements asked, JsonNode json)
      throws MalformedPaymentException {
    Payload payload = Payload.fromJson(json);
    BigInteger added =
        payload
            .voucher()
            .maxClaimable()
            .subtract(line(payload.config(), asked).signed())
            .max(BigInteger.ZERO);
    return switch (payload) {
      case Payload.Deposit deposit ->
          new Commitment(
              added.max(deposit.amount()),
              switch (deposit.authorization()) {
                case BatchTypes.Authorization.Erc3009 a -> a.validBefore().longValueExact();
                case BatchTypes.Authorization.Permit2 a -> a.deadline().longValueExact() + 1;
              },
              Optional.empty());
      case Payload.Plain plain -> new Commitment(added, 0, Optional.empty());
      case Payload.Refund refund -> new Commitment(added, 0, Optional.empty());
    };
  }

  @Override
  public synchronized void committed(PaymentPayload payment) {
    try {
      Payload payload = Payload.fromJson(payment.payload());
      PaymentRequirements asked = payment.accepted().orElseThrow();
      Line before = line(payload.config(), asked);
      book.put(payload.voucher().channelId(), before.signedFor(payload.voucher().maxClaimable()));
    } catch (MalformedPaymentException e) {
      // Not of this scheme's making, and so not in the book.
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * A deposit of one's own choice, with a voucher that it needs.
   *
   * @param amount atomic units
   */
  public synchronized Payload deposit(PaymentRequirements asked, BigInteger amount)
      throws MalformedPaymentException {
    ChannelConfig config = config(asked);
    return client.deposit(asked, config, line(config, asked).charged(), amount);
  }

  /** Asks for what is left in the channel that these requirements are for. */
  public synchronized Payload refund(PaymentRequirements asked) throws MalformedPaymentException {
    ChannelConfig config = config(asked);
    PaymentRequirements nothing = asked.withAmount(BigInteger.ZERO);
    Voucher voucher = client.voucher(nothing, config, line(config, asked).charged()).voucher();
    return new Payload.Refund(config, voucher, Optional.empty());
  }

  @Override
  public synchronized void answered(PaymentPayload payment, Optional<SettleResponse> response) {
    try {
      Payload payload = Payload.fromJson(payment.payload());
      waiting.remove(Hex.encode(payload.voucher().channelId()));
      if (response.isPresent() && !response.get().success()) {
        return;
      }
      PaymentRequirements asked = payment.accepted().orElseThrow();
      Line before = line(payload.config(), asked);
      // Where nothing is said of the charge, as before a stream, the next refusal tells it.
      JsonNode state = response.map(r -> r.extra().path("channelState")).orElse(Json.object());
      BigInteger charged = before.charged();
      if (state.has("chargedCumulativeAmount")) {
        BigInteger said = EvmFields.uint(state, "chargedCumulativeAmount", 128);
        // More than was signed for cannot be claimed, whatever is said.
        charged = said.min(payload.voucher().maxClaimable()).max(before.charged());
      }
      BigInteger balance =
          switch (payload) {
            case Payload.Deposit deposit -> before.balance().add(deposit.amount());
            case Payload.Plain plain -> before.balance();
            case Payload.Refund refund ->
                state.has("balance") ? EvmFields.uint(state, "balance", 128) : charged;
          };
      book.put(payload.voucher().channelId(), before.with(balance, charged));
    } catch (MalformedPaymentException e) {
      // Not of this scheme's making, and so not in the book.
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Its channel may be used for another request. */
  @Override
  public synchronized void refused(PaymentPayload payment) {
    try {
      waiting.remove(Hex.encode(Payload.fromJson(payment.payload()).voucher().channelId()));
    } catch (MalformedPaymentException e) {
      // Not of this scheme's making.
    }
  }

  /** Adopts the server's account where this key's own signature bears it out. */
  @Override
  public synchronized boolean corrected(PaymentPayload payment, List<PaymentRequirements> offered) {
    try {
      refused(payment);
      Payload payload = Payload.fromJson(payment.payload());
      for (PaymentRequirements one : offered) {
        if (one.scheme().equals(BatchTypes.SCHEME) && one.extra().has("channelState")) {
          return adopt(payload, one);
        }
      }
      return false;
    } catch (MalformedPaymentException e) {
      return false;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private boolean adopt(Payload payload, PaymentRequirements offered)
      throws MalformedPaymentException, IOException {
    JsonNode state = offered.extra().path("channelState");
    byte[] channel = EvmFields.bytes(state, "channelId", 32);
    if (!Arrays.equals(channel, payload.voucher().channelId())) {
      return false;
    }
    BigInteger charged = EvmFields.uint(state, "chargedCumulativeAmount", 128);
    BigInteger balance = EvmFields.uint(state, "balance", 128);
    Line before = line(payload.config(), offered);
    if (charged.compareTo(before.charged()) > 0 && !isSigned(offered, channel, charged)) {
      return false; // it claims more than was ever signed
    }
    // Less than was put in is not believed: it would have this wallet put in more and more.
    Line after = before.with(balance.max(before.balance()), charged);
    if (after.equals(before)) {
      return false;
    }
    book.put(channel, after);
    return true;
  }

  private boolean isSigned(PaymentRequirements offered, byte[] channel, BigInteger charged)
      throws MalformedPaymentException {
    JsonNode proof = offered.extra().path("voucherState");
    if (Json.text(proof, "signature") == null) {
      return false;
    }
    BigInteger signed = EvmFields.uint(proof, "signedMaxClaimable", 128);
    byte[] digest = Voucher.digest(channel, signed, EvmFields.chainId(offered));
    return charged.compareTo(signed) <= 0
        && Signatures.recover(digest, EvmFields.signature(proof, "signature"))
            .equals(Optional.of(key.address()));
  }
}
