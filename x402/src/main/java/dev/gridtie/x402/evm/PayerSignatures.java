package dev.gridtie.x402.evm;

import dev.gridtie.base.Hex;
import dev.gridtie.x402.evm.EvmChain.Glance;
import dev.gridtie.x402.evm.EvmChain.Question;
import dev.gridtie.x402.evm.EvmChain.RefusedException;
import dev.gridtie.x402.evm.EvmChain.Trial;
import dev.gridtie.x402.facilitator.PaymentRefusedException;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.math.BigInteger;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * Whether a signature is its payer's. The payer's code decides how that is asked: without any, by
 * ECDSA; with some, by EIP-1271 and in no other way.
 */
public final class PayerSignatures {
  /** isValidSignature(bytes32,bytes) answers with its own selector (EIP-1271). */
  private static final byte[] EIP1271_MAGIC = Hex.decode("0x1626ba7e");

  /** The tail of a signature for a wallet that is not deployed yet (ERC-6492). */
  private static final byte[] ERC6492_TAIL =
      Hex.decode("0x6492649264926492649264926492649264926492649264926492649264926492");

  /** A payment's call, made when it is known that the payer's key has signed it. */
  public interface PaymentCall {
    Question question() throws PaymentRefusedException;
  }

  /** How many contract wallets' signatures are checked on the chain at once. */
  private static final int CHECKS_MAX = 32;

  /** How many of them for one wallet. */
  private static final int CHECKS_PER_WALLET_MAX = 4;

  /** The most gas that a wallet's own check of a signature may use. */
  private static final BigInteger CHECK_GAS_MAX = BigInteger.valueOf(250_000);

  private final EvmChain chain;
  private final EvmAddress asking;
  private final GasGuard guard;

  /** How many checks are under way, by wallet; guarded by this object, as their sum is. */
  private final Map<EvmAddress, Integer> asked = new HashMap<>();

  private int checks;

  /**
   * @param asking from whom the chain is asked: who would send the payment
   * @param guard is told who is a contract
   */
  PayerSignatures(EvmChain chain, EvmAddress asking, GasGuard guard) {
    this.chain = chain;
    this.asking = asking;
    this.guard = guard;
  }

  /**
   * A question on the terms on which its transaction would be sent: a contract can tell them from a
   * free question, and answer otherwise.
   */
  public Question asSent(Question question, BigInteger gas)
      throws UnreachableException, RefusedException {
    BigInteger tip = chain.priorityFee();
    BigInteger max = chain.latestBlock().baseFee().shiftLeft(1).add(tip);
    return new Question(
        question.from(),
        question.to(),
        question.data(),
        Optional.of(new EvmChain.AsSent(Optional.of(gas), max, tip, true)));
  }

  /** Tries what a contract wallet's payment would do, on the terms on which it would be sent. */
  public byte[] tryAsSent(Question question) throws UnreachableException, RefusedException {
    try {
      return chain.call(asSent(question, Sender.GAS_MAX));
    } catch (RefusedException e) {
      if (Sender.isAboutOurGas(e)) {
        throw new UnreachableException(asking + " cannot pay for gas: " + e.getMessage());
      }
      throw e;
    }
  }

  /**
   * Requires that the payer signed the digest.
   *
   * @param code of the refusal where not
   * @return whether the payer is a contract
   */
  public boolean require(EvmAddress payer, byte[] digest, byte[] signature, String code)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    boolean contract = chain.code(payer).length > 0;
    guard.noteContract(payer, contract);
    boolean valid =
        contract ? isValidEip1271(payer, digest, signature) : isByKey(payer, digest, signature);
    if (!contract && isUndeployed(signature)) {
      throw new PaymentRefusedException(
          "eip6492_factory_not_allowed",
          "wallets that are not deployed yet are not taken: deploy it first");
    }
    requireValid(valid, code);
    return contract;
  }

  /**
   * Requires that the payer signed the digest, and tries what its payment would do in the same
   * exchange with the chain. That is only asked where the signature is one by the payer's key.
   *
   * @param code of the refusal where not
   * @param payment the call that would move it where the payer is no contract
   * @return what it would do; empty where the payer is a contract
   */
  public Optional<Trial> requireAndTry(
      EvmAddress payer, byte[] digest, byte[] signature, String code, PaymentCall payment)
      throws PaymentRefusedException, UnreachableException, RefusedException {
    if (!isByKey(payer, digest, signature)) {
      boolean unused = require(payer, digest, signature, code); // a contract, or refused
      return Optional.empty();
    }
    Glance glance = chain.glance(payer, payment.question());
    guard.noteContract(payer, glance.code().length > 0);
    if (glance.code().length == 0) {
      return Optional.of(glance.trial());
    }
    requireValid(isValidEip1271(payer, digest, signature), code);
    return Optional.empty();
  }

  private static boolean isByKey(EvmAddress payer, byte[] digest, byte[] signature) {
    return Signatures.recover(digest, signature).equals(Optional.of(payer));
  }

  private static void requireValid(boolean valid, String code) throws PaymentRefusedException {
    if (!valid) {
      throw new PaymentRefusedException(
          code,
          "the signature is not the payer's over this authorisation (65 bytes, low s, v 27 or 28)");
    }
  }

  private static boolean isUndeployed(byte[] signature) {
    int length = signature.length;
    return length > ERC6492_TAIL.length
        && Arrays.equals(
            Arrays.copyOfRange(signature, length - ERC6492_TAIL.length, length), ERC6492_TAIL);
  }

  /** Takes part in the bound on wallets that are asked at once: each is a foreign program's run. */
  private synchronized void checking(EvmAddress wallet) throws UnreachableException {
    int now = asked.getOrDefault(wallet, 0);
    if (now >= CHECKS_PER_WALLET_MAX || checks >= CHECKS_MAX) {
      throw new UnreachableException(
          "as many contract wallets' signatures are being checked as may be; come again");
    }
    asked.put(wallet, now + 1);
    checks++;
  }

  private synchronized void checked(EvmAddress wallet) {
    checks--;
    asked.computeIfPresent(wallet, (w, n) -> n == 1 ? null : n - 1);
  }

  private boolean isValidEip1271(EvmAddress wallet, byte[] digest, byte[] signature)
      throws UnreachableException, RefusedException {
    byte[] call =
        Abi.concat(
            Abi.selector("isValidSignature(bytes32,bytes)"),
            digest,
            Abi.trailingBytes(1, signature));
    Question question = asSent(new Question(asking, wallet, call), CHECK_GAS_MAX);
    checking(wallet);
    try {
      byte[] answer = chain.call(question);
      return answer.length == 32 && Arrays.equals(answer, Arrays.copyOf(EIP1271_MAGIC, 32));
    } catch (RefusedException e) {
      if (Sender.isAboutOurGas(e)) {
        throw new UnreachableException(asking + " cannot pay for gas: " + e.getMessage());
      }
      return false;
    } finally {
      checked(wallet);
    }
  }
}
