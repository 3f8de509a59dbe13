package dev.gridtie.app;

import dev.gridtie.base.Json;
import dev.gridtie.base.ready.Check;
import dev.gridtie.gateway.gate.CoinClearance;
import dev.gridtie.gateway.gate.Offers.Offer;
import dev.gridtie.gateway.till.Till;
import dev.gridtie.x402.facilitator.Facilitator.Kind;
import dev.gridtie.x402.solana.JsonRpcSolana;
import dev.gridtie.x402.solana.SolanaAddress;
import dev.gridtie.x402.solana.SolanaChain;
import dev.gridtie.x402.solana.SolanaChecks;
import dev.gridtie.x402.solana.SolanaKey;
import dev.gridtie.x402.solana.SolanaToken;
import dev.gridtie.x402.solana.exact.SolanaExactFacilitator;
import dev.gridtie.x402.solana.exact.SolanaExactServer;
import java.io.IOException;
import java.net.URI;
import java.time.Duration;
import java.util.List;

/** What pays on one Solana. */
final class SolanaWiring implements ChainWiring {
  private final SolanaChain chain;
  private final String network;
  private final SolanaKey feePayer;
  private final List<Kind> kinds;

  SolanaWiring(GatewayConfig.Chain config, Home home) throws IOException {
    this.network = config.network();
    this.chain =
        new JsonRpcSolana(URI.create(config.rpc()), Duration.ofSeconds(config.rpcTimeoutSeconds()));
    this.feePayer = home.solanaKey("facilitator-solana");
    SolanaExactFacilitator exact =
        new SolanaExactFacilitator(
            chain, feePayer, Duration.ofSeconds(config.settleTimeoutSeconds()));
    this.kinds =
        List.of(
            new Kind(
                "exact",
                config.network(),
                p -> true,
                (p, r) -> SolanaExactServer.paymentKey(config.network(), p),
                Json.object().put("feePayer", feePayer.address().toString()),
                exact));
  }

  @Override
  public List<Kind> kinds() {
    return kinds;
  }

  @Override
  public List<Offer> offers(GatewayConfig.Chain coin, String receiver) throws IOException {
    for (String scheme : coin.schemes()) {
      if (!scheme.equals("exact")) {
        throw new IOException("chain.schemes: on Solana there is exact, not " + scheme);
      }
    }
    SolanaAddress payTo = address("chain.payTo", receiver);
    SolanaToken token = token(coin);
    if (List.of(SYSTEM, token.mint(), token.program()).contains(payTo)) {
      throw new IOException(
          "chain.payTo is "
              + payTo
              + ": what is paid there is lost; name an address whose key you have");
    }
    Till till = new Till(coin.network() + ":" + token.mint(), payTo.toString());
    return List.of(
        new Offer(
            new SolanaExactServer(token, payTo, feePayer.address(), coin.validSeconds()), till));
  }

  private static SolanaAddress address(String key, String value) throws IOException {
    try {
      return SolanaAddress.of(value);
    } catch (IllegalArgumentException e) {
      throw new IOException(key + " must be a Solana address: base58 of 32 bytes");
    }
  }

  @Override
  public List<String> signers() {
    return List.of(feePayer.address().toString());
  }

  @Override
  public String family() {
    return "solana:*";
  }

  @Override
  public List<Check> checks() {
    return List.of(
        new Check(
            "chain " + network,
            "that the configured cluster answers",
            () -> ChainWiring.reached(() -> SolanaChecks.chain(chain, network))),
        new Check(
            "gas " + network,
            "that the key that brings payments to the chain can pay its fees",
            () -> ChainWiring.reached(() -> SolanaChecks.fees(chain, feePayer.address()))));
  }

  @Override
  public List<Check> coinChecks(GatewayConfig.Chain coin, String receiver) throws IOException {
    SolanaToken token = token(coin);
    SolanaAddress payTo = address("chain.payTo", receiver);
    return List.of(
        new Check(
            "receiver " + coin.network() + ":" + coin.token(),
            "that the receiver has an account for the coin",
            () -> ChainWiring.reached(() -> SolanaChecks.receiver(chain, token, payTo))));
  }

  @Override
  public CoinClearance.Facts facts(GatewayConfig.Chain coin) throws IOException {
    SolanaToken token = token(coin);
    return () -> SolanaChecks.coin(chain, token);
  }

  private static SolanaToken token(GatewayConfig.Chain coin) throws IOException {
    String program = coin.tokenProgram();
    return new SolanaToken(
        coin.network(),
        address("chain.token", coin.token()),
        program == null ? SolanaAddress.TOKEN : address("chain.tokenProgram", program),
        coin.decimals());
  }

  /** The address of all zeroes: Solana's system program. */
  private static final SolanaAddress SYSTEM = SolanaAddress.of(new byte[SolanaAddress.LENGTH]);
}
