package dev.gridtie.app;

import dev.gridtie.base.Json;
import dev.gridtie.x402.client.PaymentSigner;
import dev.gridtie.x402.client.Validity;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmKey;
import dev.gridtie.x402.evm.batch.BatchSigner;
import dev.gridtie.x402.evm.batch.ChannelBook;
import dev.gridtie.x402.evm.exact.ExactClient;
import dev.gridtie.x402.evm.permit2.Permit2Client;
import dev.gridtie.x402.evm.upto.UptoClient;
import dev.gridtie.x402.wire.PaymentRequirements;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * The keys of a home that pay: {@code keys/wallet.key}, or an encrypted {@code keys/wallet.json}.
 */
record Wallet(EvmKey evm) {
  static final String NAME = "wallet";

  static Path keystore(Home home) {
    return home.keys().resolve(NAME + ".json");
  }

  static boolean exists(Home home) {
    return Files.exists(home.keyFile(NAME)) || Files.exists(keystore(home));
  }

  /**
   * Opens the wallet of a home.
   *
   * @param password opens an encrypted one
   * @throws IOException where there is none, or it does not open
   */
  static Wallet open(Home home, Passwords password) throws IOException {
    if (Files.exists(keystore(home))) {
      return new Wallet(Keystore.read(keystore(home), password.ask()));
    }
    if (!Files.exists(home.keyFile(NAME))) {
      throw new IOException(
          "there is no wallet in " + home.path() + ": make one with ./gridtie wallet new");
    }
    return new Wallet(Home.readEvmKey(home.keyFile(NAME)));
  }

  /** The address alone, which needs no password. */
  static EvmAddress address(Home home) throws IOException {
    if (Files.exists(keystore(home))) {
      try {
        String address =
            String.valueOf(Json.text(Json.parse(Files.readAllBytes(keystore(home))), "address"));
        return EvmAddress.of(address.startsWith("0x") ? address : "0x" + address);
      } catch (Json.MalformedJsonException | IllegalArgumentException e) {
        throw new IOException(keystore(home) + " is no keystore with an address");
      }
    }
    return open(home, () -> new char[0]).evm().address();
  }

  /** Where a password comes from. */
  interface Passwords {
    char[] ask() throws IOException;
  }

  /** {@code GRIDTIE_WALLET_PASSWORD}, else whoever sits at the terminal. */
  static char[] password(String prompt) throws IOException {
    String given = System.getenv("GRIDTIE_WALLET_PASSWORD");
    if (given != null) {
      return given.toCharArray();
    }
    var console = System.console();
    char[] typed = console == null ? null : console.readPassword("%s: ", prompt);
    if (typed == null) {
      throw new IOException(
          "the wallet is encrypted: set GRIDTIE_WALLET_PASSWORD, or run this at a terminal");
    }
    return typed;
  }

  /** The account of a home's channels. */
  static ChannelBook channels(Home home) {
    return new ChannelBook(home.path().resolve("wallet-channels.json"));
  }

  /** Pays from this wallet's channels; makes none of its own accord where the most is zero. */
  BatchSigner channelSigner(
      Home home, Function<PaymentRequirements, BigInteger> depositMax, Validity validity) {
    return new BatchSigner(evm, channels(home), depositMax, validity, new SecureRandom());
  }

  /** Every way that this wallet can sign but from channels. */
  List<PaymentSigner> signers(Validity validity) {
    SecureRandom random = new SecureRandom();
    List<PaymentSigner> signers = new ArrayList<>();
    signers.add(new ExactClient(evm, validity, random));
    signers.add(new UptoClient(evm, validity, random));
    signers.add(new Permit2Client(evm, validity, random));
    return signers;
  }
}
