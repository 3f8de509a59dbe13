package dev.gridtie.x402.solana.exact;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.Json;
import dev.gridtie.x402.client.PaymentSigner;
import dev.gridtie.x402.facilitator.UnreachableException;
import dev.gridtie.x402.solana.Base58;
import dev.gridtie.x402.solana.SolanaAddress;
import dev.gridtie.x402.solana.SolanaChain;
import dev.gridtie.x402.solana.SolanaKey;
import dev.gridtie.x402.solana.SolanaMessage;
import dev.gridtie.x402.solana.SolanaToken;
import dev.gridtie.x402.solana.SolanaTransaction;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.List;
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
  private final SecureRandom random;

  /**
   * @param network CAIP-2, that the chain is of
   */
  public SolanaExactClient(SolanaKey key, String network, SolanaChain chain, SecureRandom random) {
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
                  SolanaExactTypes.unitLimit(),
                  SolanaExactTypes.unitPrice(),
                  SolanaExactTypes.transfer(
                      token.program(),
                      SolanaAddress.tokenAccount(key.address(), token.program(), mint),
                      mint,
                      SolanaAddress.tokenAccount(payTo, token.program(), mint),
                      key.address(),
                      requirements.amount(),
                      token.decimals()),
                  SolanaExactTypes.memo(memo(requirements.extra()))));
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
    String hint = Json.text(extra, "recentBlockhash");
    if (hint == null) {
      return chain.latestBlockhash().hash();
    }
    try {
      return Base58.decode(hint, SolanaAddress.LENGTH);
    } catch (IllegalArgumentException e) {
      throw new MalformedPaymentException("recentBlockhash must be base58 of 32 bytes");
    }
  }

  /** The seller's words, or random ones, so that two equal payments are two transactions. */
  private byte[] memo(JsonNode extra) throws MalformedPaymentException {
    String wanted = Json.text(extra, "memo");
    if (wanted != null) {
      byte[] bytes = wanted.getBytes(UTF_8);
      if (bytes.length > SolanaExactTypes.MEMO_BYTES_MAX) {
        throw new MalformedPaymentException(
            "memo is longer than " + SolanaExactTypes.MEMO_BYTES_MAX + " bytes");
      }
      return bytes;
    }
    byte[] bytes = new byte[16];
    random.nextBytes(bytes);
    return HexFormat.of().formatHex(bytes).getBytes(US_ASCII);
  }
}
