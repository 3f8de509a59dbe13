package dev.gridtie.x402.evm.permit2;

import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmChain;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.Movement;
import dev.gridtie.x402.evm.Sightings;
import dev.gridtie.x402.evm.Transfers;
import dev.gridtie.x402.evm.permit2.Permit2Types.Authorization;
import dev.gridtie.x402.facilitator.PaymentScheme.Settlement;
import dev.gridtie.x402.facilitator.SignedTransaction;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * The transfer that a permit allows, by one of x402's proxies.
 *
 * @param amount that is moved: all of it, or what was used
 * @param data the call of the proxy
 * @param allowedAlong whether the payer's allowance to Permit2 comes along with it
 */
public record Permit2Settlement(
    EvmChain chain,
    Authorization authorization,
    BigInteger amount,
    byte[] data,
    boolean allowedAlong,
    Optional<EvmAddress> onlyFrom,
    Codes codes)
    implements Movement {

  @Override
  public EvmAddress to() {
    return authorization.spender();
  }

  /** Permit2 takes a permit up to and with its deadline. */
  @Override
  public BigInteger deadline() {
    return authorization.deadline().add(BigInteger.ONE);
  }

  @Override
  public boolean moved(EvmChain.Receipt receipt) {
    return Transfers.in(
        receipt, authorization.token(), authorization.from(), authorization.witness().to(), amount);
  }

  /** Permit2 keeps a bit for each nonce of an owner: word {@code nonce >> 8}. */
  @Override
  public boolean isUsed(EvmAddress asking) throws UnreachableException, RefusedException {
    BigInteger word =
        Abi.uint(
            chain.call(
                asking,
                Permit2Types.PERMIT2,
                Abi.call(
                    "nonceBitmap(address,uint256)",
                    Abi.word(authorization.from()),
                    Abi.word(authorization.nonce().shiftRight(8)))));
    return word.testBit(authorization.nonce().intValue() & 0xff);
  }

  /**
   * A nonce says only that it was used, not for what: the payer may have given it up. So another
   * transaction counts where it is the same call of the same proxy, as ours with a higher fee is,
   * or anybody's who settles an exact payment.
   */
  @Override
  public Use use(Optional<SignedTransaction> sent) throws UnreachableException, RefusedException {
    if (isGivenUp()) {
      return new Use.Elsewhere();
    }
    List<byte[]> between =
        List.of(
            Transfers.EVENT,
            Abi.word(authorization.from()),
            Abi.word(authorization.witness().to()));
    Sightings lately = Sightings.of(chain, authorization.token(), between, true);
    Use use = use(lately);
    return use instanceof Use.Unclear && !lately.complete()
        ? use(Sightings.of(chain, authorization.token(), between, false))
        : use;
  }

  private Use use(Sightings transfers) throws UnreachableException, RefusedException {
    boolean unclear = !transfers.complete();
    int looked = 0;
    for (EvmChain.Log log : transfers.logs().reversed()) {
      if (!Transfers.is(
          log, authorization.token(), authorization.from(), authorization.witness().to(), amount)) {
        continue;
      }
      looked++;
      if (looked > LOOKED_AT_MAX) {
        return new Use.Unclear("too many transfers look the same");
      }
      Optional<EvmChain.Call> call = chain.transaction(log.transactionHash());
      if (call.isEmpty() || !isOfAProxy(call.get())) {
        unclear = true; // another contract may have called the proxy
      } else if (isThis(call.get())) {
        Optional<EvmChain.Receipt> receipt = chain.receipt(log.transactionHash());
        if (receipt.isPresent() && receipt.get().succeeded() && moved(receipt.get())) {
          return new Use.Moved(receipt.get());
        }
      }
    }
    return unclear
        ? new Use.Unclear("the permit is used up, and it cannot be seen by which transaction")
        : new Use.Elsewhere();
  }

  /** How many transfers that look the same are looked at. */
  private static final int LOOKED_AT_MAX = 64;

  private boolean isOfAProxy(EvmChain.Call call) {
    return call.to().equals(Optional.of(to()))
        || call.to().equals(Optional.of(authorization.token()));
  }

  /** Whether a call settles this permit: our very call, or another's with or without allowance. */
  private boolean isThis(EvmChain.Call call) {
    return call.to().equals(Optional.of(to()))
        && (Arrays.equals(call.data(), data)
            || isExactly(call.data(), Permit2Facilitator.SETTLE, 0)
            || isExactly(call.data(), Permit2Facilitator.SETTLE_WITH_PERMIT, ALLOWANCE_WORDS));
  }

  /** How many words of an allowance (EIP-2612) may stand before the permit. */
  private static final int ALLOWANCE_WORDS = 5;

  /** Whether it is this call of the exact proxy, with this permit behind so many words. */
  private boolean isExactly(byte[] call, String function, int wordsBefore) {
    byte[] words =
        Abi.concat(
            authorization.permitWords(),
            Abi.word(authorization.from()),
            authorization.witness().words());
    int at = 4 + wordsBefore * 32;
    return onlyFrom.isEmpty()
        && call.length > at + words.length
        && Arrays.equals(Arrays.copyOf(call, 4), Abi.selector(function))
        && Arrays.equals(Arrays.copyOfRange(call, at, at + words.length), words);
  }

  /** Whether the payer has given its nonce up. */
  private boolean isGivenUp() throws UnreachableException, RefusedException {
    List<byte[]> byPayer = List.of(GIVEN_UP_EVENT, Abi.word(authorization.from()));
    Sightings lately = Sightings.of(chain, Permit2Types.PERMIT2, byPayer, true);
    return isGivenUpIn(lately)
        || (!lately.complete()
            && isGivenUpIn(Sightings.of(chain, Permit2Types.PERMIT2, byPayer, false)));
  }

  private boolean isGivenUpIn(Sightings sightings) {
    BigInteger word = authorization.nonce().shiftRight(8);
    int bit = authorization.nonce().intValue() & 0xff;
    return sightings.logs().stream()
        .map(EvmChain.Log::data)
        .anyMatch(
            both ->
                both.length == 64
                    && Abi.uint(Arrays.copyOf(both, 32)).equals(word)
                    && Abi.uint(Arrays.copyOfRange(both, 32, 64)).testBit(bit));
  }

  private static final byte[] GIVEN_UP_EVENT =
      Transfers.event("UnorderedNonceInvalidation(address,uint256,uint256)");

  @Override
  public Optional<Debit> debit() {
    return Optional.of(
        new Debit(
            authorization.from(),
            authorization.token(),
            amount,
            "permit2 " + authorization.nonce(),
            allowedAlong ? Optional.empty() : Optional.of(Permit2Types.PERMIT2)));
  }

  @Override
  public Settlement.Settled settled(EvmChain.Receipt receipt) {
    return new Settlement.Settled(
        receipt.transactionHash(), authorization.from().toString(), amount, receipt.feeWei());
  }
}
