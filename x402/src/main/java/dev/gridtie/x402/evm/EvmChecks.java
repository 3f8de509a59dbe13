package dev.gridtie.x402.evm;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.gridtie.base.ready.Finding;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** What is tested of an EVM chain, of a coin on it, and of the keys that pay its gas. */
public final class EvmChecks {
  /** How old the newest block of a chain that goes on may be. */
  private static final Duration BLOCK_AGE_MAX = Duration.ofMinutes(3);

  /** How far the newest block may be ahead of this machine's clock. */
  private static final Duration AHEAD_MAX = Duration.ofSeconds(60);

  /** Gas of one settlement, generously. */
  private static final BigInteger SETTLEMENT_GAS = BigInteger.valueOf(120_000);

  /** For how many settlements a key must have gas, and for how many it had better. */
  private static final BigInteger SETTLEMENTS_MIN = BigInteger.TEN;

  private static final BigInteger SETTLEMENTS_LOW = BigInteger.valueOf(100);

  private static final int WORD = 32;

  /** The largest name or version that is read from a contract, in bytes. */
  private static final int TEXT_BYTES_MAX = 256;

  private static final EvmAddress NOBODY = EvmAddress.of("0x" + "0".repeat(40));

  private EvmChecks() {}

  /** Whether the configured chain answers and goes on. */
  public static Finding chain(EvmChain chain, long chainId, InstantSource clock)
      throws UnreachableException, RefusedException {
    Optional<Finding> other = otherChain(chain, chainId);
    if (other.isPresent()) {
      return other.get();
    }
    EvmChain.Block head = chain.latestBlock();
    Instant mined = Instant.ofEpochSecond(head.timestamp());
    Duration age = Duration.between(mined, clock.instant());
    if (age.compareTo(AHEAD_MAX.negated()) < 0) {
      return new Finding.Warning(
          "this machine's clock is behind the chain's",
          "by " + age.negated().toSeconds() + " s",
          "set the clock by NTP: payments are valid from and until a time");
    }
    if (age.compareTo(BLOCK_AGE_MAX) > 0 && !minesOnDemand(chain)) {
      return new Finding.Failed(
          "the chain has had no new block for " + age.toMinutes() + " minutes",
          "block " + head.number(),
          "see whether the node behind chain.rpc has lost its peers, or this machine's clock is ahead");
    }
    return Finding.ok("block " + head.number());
  }

  private static boolean minesOnDemand(EvmChain chain) throws UnreachableException {
    try {
      String client = chain.clientVersion().toLowerCase(Locale.ROOT);
      return List.of("anvil", "hardhat", "ganache").stream().anyMatch(client::startsWith);
    } catch (RefusedException e) {
      return false;
    }
  }

  private static Optional<Finding> otherChain(EvmChain chain, long chainId)
      throws UnreachableException, RefusedException {
    long actual = chain.chainId();
    return actual == chainId
        ? Optional.empty()
        : Optional.of(
            Finding.failed(
                "another chain answers: " + actual + ", and " + chainId + " is configured",
                "set chain.rpc to a node of chain "
                    + chainId
                    + ", or chain.network to eip155:"
                    + actual));
  }

  /**
   * Whether a coin is what is configured of it: its chain, that its contract is there, its
   * decimals, its EIP-712 domain; and whether the contracts that its schemes settle by are there.
   *
   * @param contracts by what they are for
   * @param signed whether payers sign for the coin itself (EIP-3009), so that its domain must be
   *     known
   * @return {@link Finding.Failed} where the chain says that something is wrong
   * @throws UnreachableException where the chain says nothing
   */
  public static Finding coin(
      EvmChain chain, EvmToken token, Map<String, EvmAddress> contracts, boolean signed)
      throws UnreachableException {
    try {
      long chainId = Long.parseLong(token.network().substring("eip155:".length()));
      Optional<Finding> other = otherChain(chain, chainId);
      if (other.isPresent()) {
        return other.get();
      }
      if (chain.code(token.address()).length == 0) {
        return new Finding.Failed(
            "there is no contract at the coin's address",
            token.address() + " on " + token.network(),
            "set chain.token to the coin's contract on this chain");
      }
      List<EvmChain.Trial> said =
          chain.callAll(
              List.of(
                  question(token, "decimals()"),
                  question(token, "DOMAIN_SEPARATOR()"),
                  question(token, "eip712Domain()"),
                  question(token, "name()"),
                  question(token, "version()")));
      Optional<byte[]> decimals = answer(said.get(0));
      if (decimals.isEmpty() || decimals.get().length < WORD) {
        return new Finding.Failed(
            "the coin's contract does not say its decimals",
            token.address().toString(),
            "set chain.token to a coin's contract (ERC-20 with decimals())");
      }
      BigInteger actual = Abi.uint(Arrays.copyOf(decimals.get(), WORD));
      if (!actual.equals(BigInteger.valueOf(token.decimals()))) {
        return new Finding.Failed(
            "the coin has "
                + clip(actual)
                + " decimals, and "
                + token.decimals()
                + " are configured",
            token.address().toString(),
            actual.bitLength() > 8
                ? "set chain.token to a coin's contract (ERC-20 with decimals())"
                : "set chain.decimals to " + actual);
      }
      Optional<Finding> domain = domain(token, chainId, said, signed);
      return domain.isPresent() ? domain.get() : contracts(chain, token, contracts);
    } catch (RefusedException e) {
      throw new UnreachableException("the chain refuses: " + e.getMessage());
    }
  }

  private static EvmChain.Question question(EvmToken token, String function) {
    return new EvmChain.Question(NOBODY, token.address(), Abi.selector(function));
  }

  /** What a function has answered; empty where the contract has none of this name. */
  private static Optional<byte[]> answer(EvmChain.Trial trial) throws UnreachableException {
    return switch (trial) {
      case EvmChain.Trial.Done done ->
          done.result().length == 0 ? Optional.empty() : Optional.of(done.result());
      case EvmChain.Trial.Refused refused -> {
        String why = String.valueOf(refused.why().getMessage());
        if (!why.toLowerCase(Locale.ROOT).contains("revert")) {
          throw new UnreachableException("the chain refuses: " + why); // a limit, not an answer
        }
        yield Optional.empty();
      }
    };
  }

  private static Optional<Finding> domain(
      EvmToken token, long chainId, List<EvmChain.Trial> said, boolean signed)
      throws UnreachableException {
    byte[] ours = separator(token, chainId, token.name(), token.version());
    Optional<byte[]> separator = answer(said.get(1)).filter(s -> s.length == WORD);
    Optional<byte[]> described = answer(said.get(2));
    if (separator.isEmpty() && described.isPresent()) {
      separator =
          Optional.of(
              separator(token, chainId, text(described.get(), 1), text(described.get(), 2)));
    }
    if (separator.isPresent() && Arrays.equals(separator.get(), ours)) {
      return Optional.empty();
    }
    if (separator.isEmpty()) {
      return signed
          ? Optional.of(
              new Finding.Failed(
                  "the coin does not say its EIP-712 domain, so that no signature for it can be checked",
                  token.address().toString(),
                  "offer it by exact-permit2 or upto (chain.schemes), or name another coin"))
          : Optional.empty();
    }
    String name = answer(said.get(3)).map(a -> text(a, 0)).orElse("");
    String version = answer(said.get(4)).map(a -> text(a, 0)).orElse(token.version());
    boolean known = Arrays.equals(separator.get(), separator(token, chainId, name, version));
    return Optional.of(
        new Finding.Failed(
            "the coin's EIP-712 name or version is another one than is configured",
            "configured: '"
                + token.name()
                + "', '"
                + token.version()
                + "'"
                + (known ? "; the contract's: '" + name + "', '" + version + "'" : ""),
            known
                ? "set chain.tokenName to '"
                    + name
                    + "' and chain.tokenVersion to '"
                    + version
                    + "'"
                : "set chain.tokenName and chain.tokenVersion to those that the coin's documentation names"));
  }

  private static byte[] separator(EvmToken token, long chainId, String name, String version) {
    return Eip712.domainSeparator(name, version, chainId, token.address());
  }

  /** The text whose offset is a word of an answer; empty where there is none. */
  private static String text(byte[] answer, int word) {
    int at = offset(answer, word * WORD);
    int length = at < 0 ? -1 : offset(answer, at);
    if (length < 0 || length > TEXT_BYTES_MAX || at + WORD + length > answer.length) {
      return "";
    }
    String text = new String(answer, at + WORD, length, UTF_8);
    return text.codePoints().anyMatch(Character::isISOControl) ? "" : text;
  }

  private static int offset(byte[] answer, int at) {
    if (at + WORD > answer.length) {
      return -1;
    }
    BigInteger value = Abi.uint(Arrays.copyOfRange(answer, at, at + WORD));
    return value.bitLength() > 20 ? -1 : value.intValue();
  }

  private static Finding contracts(
      EvmChain chain, EvmToken token, Map<String, EvmAddress> contracts)
      throws UnreachableException, RefusedException {
    List<String> missing = new ArrayList<>();
    List<String> where = new ArrayList<>();
    for (var contract : contracts.entrySet()) {
      if (chain.code(contract.getValue()).length == 0) {
        missing.add(contract.getKey());
        where.add(contract.getKey() + " at " + contract.getValue());
      }
    }
    return missing.isEmpty()
        ? Finding.ok(token.name() + ", " + token.decimals() + " decimals")
        : new Finding.Failed(
            "contracts that the offered schemes settle by are not on this chain: "
                + String.join(", ", missing),
            String.join(", ", where),
            "leave the schemes that need them out of chain.schemes");
  }

  private static String clip(BigInteger value) {
    return value.bitLength() > 8 ? "no sensible number of" : value.toString();
  }

  /** Whether each key can pay for the next settlements. */
  public static Finding gas(EvmChain chain, List<EvmAddress> keys, BigInteger feeCap)
      throws UnreachableException, RefusedException {
    BigInteger price =
        chain.latestBlock().baseFee().shiftLeft(1).add(chain.priorityFee()).min(feeCap);
    BigInteger one = price.multiply(SETTLEMENT_GAS);
    boolean low = false;
    for (EvmAddress key : keys) {
      BigInteger balance = chain.balance(key);
      BigInteger reaches = one.signum() == 0 ? SETTLEMENTS_LOW : balance.divide(one);
      if (balance.signum() == 0 || reaches.compareTo(SETTLEMENTS_MIN) < 0) {
        return new Finding.Failed(
            "the key that pays for gas has too little of the chain's coin",
            key + " has " + ether(balance) + ", enough for " + reaches + " settlements",
            "send " + key + " at least " + ether(one.multiply(SETTLEMENTS_LOW)));
      }
      low |= reaches.compareTo(SETTLEMENTS_LOW) < 0;
    }
    return low
        ? new Finding.Warning(
            "gas is running out",
            keys.size() == 1 ? keys.getFirst().toString() : keys.toString(),
            "send each key at least " + ether(one.multiply(SETTLEMENTS_LOW)))
        : Finding.ok();
  }

  private static String ether(BigInteger wei) {
    return new BigDecimal(wei, 18).stripTrailingZeros().toPlainString() + " of the chain's coin";
  }
}
