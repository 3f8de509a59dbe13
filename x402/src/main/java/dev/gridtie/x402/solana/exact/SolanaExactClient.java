package dev.gridtie.x402.solana.exact;

import dev.gridtie.base.Json;
import dev.gridtie.x402.client.Commitment;
import dev.gridtie.x402.client.PaymentSigner;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.solana.SolanaAddress;
import dev.gridtie.x402.solana.SolanaChain;
import dev.gridtie.x402.solana.SolanaInstructions;
import dev.gridtie.x402.solana.SolanaKey;
import dev.gridtie.x402.solana.SolanaMessage;
import dev.gridtie.x402.solana.SolanaToken;
import dev.gridtie.x402.solana.SolanaTransaction;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/**
 * Signs payments of scheme exact on Solana: a transfer between associated token accounts, whose fee
 * the facilitator pays.
 */
public final class SolanaExactClient implements PaymentSigner {
  /** Where a mint's account has its decimals. */
  private static final int MINT_DECIMALS_AT = 44;

  private static final int U64_BITS = 64;

  private final SolanaKey key;
  private final String network;
  private final SolanaChain chain;
  private final InstantSource clock;
  private final SecureRandom random;

  /** With the system's clock. */
  public SolanaExactClient(SolanaKey key, String network, SolanaChain chain, SecureRandom random) {
    this(key, network, chain, InstantSource.system(), random);
  }

  /**
   * @param network CAIP-2, that the chain is of
   */
  public SolanaExactClient(
      SolanaKey key, String network, SolanaChain chain, InstantSource clock, SecureRandom random) {
    this.clock = clock;
    this.key = key;
    this.network = network;
    this.chain = chain;
    this.random = random;
  }

  @Override
  public boolean canSign(PaymentRequirements requirements) {
    return requirements.scheme().equals(SolanaExactTypes.SCHEME)
        && requirements.network().equals(network);
  }

  @Override
  public JsonNode sign(int version, PaymentRequirements requirements)
      throws MalformedPaymentException {
    String feePayer = Json.text(requirements.extra(), "feePayer");
    if (feePayer == null) {
      throw new MalformedPaymentException("extra must name the feePayer");
    }
    if (requirements.amount().bitLength() > U64_BITS) {
      throw new MalformedPaymentException("amount exceeds 64 bits");
    }
    SolanaAddress mint = SolanaExactTypes.address(requirements.asset(), "asset");
    SolanaAddress payTo = SolanaExactTypes.address(requirements.payTo(), "payTo");
    try {
      SolanaToken token = token(mint);
      SolanaMessage message =
          SolanaMessage.of(
              SolanaExactTypes.address(feePayer, "feePayer"),
              blockhash(requirements.extra()),
              List.of(
                  SolanaInstructions.unitLimit(SolanaExactTypes.UNITS),
                  SolanaInstructions.unitPrice(),
                  SolanaExactTypes.transfer(
                      token.program(),
                      SolanaAddress.tokenAccount(key.address(), token.program(), mint),
                      mint,
                      SolanaAddress.tokenAccount(payTo, token.program(), mint),
                      key.address(),
                      requirements.amount(),
                      token.decimals()),
                  SolanaInstructions.memo(requirements.extra(), random)));
      return SolanaExactTypes.payload(SolanaTransaction.of(message).signedBy(key));
    } catch (UnreachableException | SolanaChain.RefusedException e) {
      throw new MalformedPaymentException("the chain cannot be asked: " + e.getMessage());
    }
  }

  private SolanaToken token(SolanaAddress mint)
      throws MalformedPaymentException, UnreachableException, SolanaChain.RefusedException {
    SolanaChain.Account account =
        chain
            .account(mint)
            .orElseThrow(() -> new MalformedPaymentException("there is no coin " + mint));
    if (account.data().length <= MINT_DECIMALS_AT) {
      throw new MalformedPaymentException(mint + " is no coin");
    }
    return new SolanaToken(network, mint, account.owner(), account.data()[MINT_DECIMALS_AT]);
  }

  /** The server's hint, or the chain's own. */
  private byte[] blockhash(JsonNode extra)
      throws MalformedPaymentException, UnreachableException, SolanaChain.RefusedException {
    Optional<byte[]> hint = SolanaInstructions.recentBlockhash(extra);
    return hint.isPresent() ? hint.get() : chain.latestBlockhash().hash();
  }

  /**
   * It ends with its block, whatever the server asks. Which transaction it became only the fee's
   * payer knows, so that the chain cannot be asked and it counts for good.
   */
  @Override
  public Commitment commitment(PaymentRequirements requirements, JsonNode payload) {
    return new Commitment(
        requirements.amount(),
        clock.instant().getEpochSecond() + SolanaInstructions.BLOCKHASH_SECONDS_MAX,
        Optional.empty());
  }
}
