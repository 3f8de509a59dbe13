package dev.gridtie.x402.evm.permit2;

import dev.gridtie.base.Hashes;
import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.evm.Abi;
import dev.gridtie.x402.evm.EvmAddress;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.facilitator.PaymentRefusedException;
import dev.gridtie.x402.wire.MalformedPaymentException;
import dev.gridtie.x402.wire.PaymentPayload;
import java.math.BigInteger;
import java.security.SignatureException;
import java.util.Arrays;
import java.util.Optional;
import org.web3j.crypto.SignedRawTransaction;
import org.web3j.crypto.TransactionDecoder;
import org.web3j.crypto.transaction.type.Transaction1559;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * Extension erc20ApprovalGasSponsoring: the payer signs the transaction by which it lets Permit2
 * move a coin; the facilitator pays its gas and brings it to the chain before the payment. For
 * coins without EIP-2612.
 *
 * @param raw the payer's transaction, as it is sent
 * @param nonce of the payer's account
 * @param call what it asks of the coin
 * @param gas its limit
 * @param maxFee the most wei for a unit of gas
 */
public record ApprovalSponsoring(
    byte[] raw, String hash, BigInteger nonce, byte[] call, BigInteger gas, BigInteger maxFee) {
  public static final String KEY = "erc20ApprovalGasSponsoring";

  /** The most gas that an approval may use. */
  private static final BigInteger GAS_MAX = BigInteger.valueOf(100_000);

  /** A transaction may ask for so many times the gas and the fee that an approval needs now. */
  private static final BigInteger GENEROUS = BigInteger.TWO;

  private static final byte[] APPROVE = Abi.selector("approve(address,uint256)");

  /** What a 402 declares, so that clients know of it. */
  public static ObjectNode declaration() {
    ObjectNode extension = Json.object();
    extension
        .putObject("info")
        .put(
            "description",
            "A transaction that approves Permit2, signed by you, is brought to the chain and its"
                + " gas paid.")
        .put("version", "1");
    ObjectNode schema = extension.putObject("schema").put("type", "object");
    var required = schema.putArray("required");
    for (String field :
        new String[] {"from", "asset", "spender", "amount", "signedTransaction", "version"}) {
      required.add(field);
    }
    return extension;
  }

  /**
   * The one that came with a payment, where one did.
   *
   * @param feeCapWei the most that is paid for a unit of gas
   * @throws PaymentRefusedException where it is not this payer's approval of Permit2 for this token
   */
  public static Optional<ApprovalSponsoring> of(
      PaymentPayload payment,
      EvmAddress payer,
      EvmAddress token,
      long chainId,
      BigInteger feeCapWei)
      throws PaymentRefusedException {
    JsonNode info = payment.extension(KEY);
    if (!info.isObject() || !info.has("signedTransaction")) {
      return Optional.empty();
    }
    byte[] raw;
    try {
      requireSame(info, "from", payer, "erc20_approval_from_mismatch");
      requireSame(info, "asset", token, "erc20_approval_asset_mismatch");
      requireSame(info, "spender", Permit2Types.PERMIT2, "erc20_approval_spender_not_permit2");
      raw = EvmFields.signature(info, "signedTransaction");
    } catch (MalformedPaymentException e) {
      throw new PaymentRefusedException("invalid_erc20_approval_extension_format", e.getMessage());
    }
    return Optional.of(read(raw, payer, token, chainId, feeCapWei));
  }

  private static void requireSame(JsonNode info, String field, EvmAddress right, String code)
      throws MalformedPaymentException, PaymentRefusedException {
    EvmAddress said = EvmFields.address(info, field);
    if (!said.equals(right)) {
      throw new PaymentRefusedException(code, field + " is " + said + " and must be " + right);
    }
  }

  private static ApprovalSponsoring read(
      byte[] raw, EvmAddress payer, EvmAddress token, long chainId, BigInteger feeCapWei)
      throws PaymentRefusedException {
    SignedRawTransaction signed;
    Transaction1559 transaction;
    byte[] data;
    EvmAddress to;
    try {
      if (!(TransactionDecoder.decode(Hex.encode(raw)) instanceof SignedRawTransaction s)
          || !(s.getTransaction() instanceof Transaction1559 t)) {
        throw new PaymentRefusedException(
            "erc20_approval_tx_parse_failed", "signedTransaction must be one of EIP-1559, signed");
      }
      signed = s;
      transaction = t;
      String text = s.getData();
      data = Hex.decode(text.startsWith("0x") ? text : "0x" + text);
      to = EvmAddress.of(s.getTo());
    } catch (RuntimeException e) {
      throw new PaymentRefusedException(
          "erc20_approval_tx_parse_failed", "signedTransaction cannot be read");
    }
    if (!to.equals(token)) {
      throw new PaymentRefusedException(
          "erc20_approval_tx_wrong_target", "signedTransaction calls " + to + ", not the coin");
    }
    requireApproval(data);
    try {
      if (!EvmAddress.of(signed.getFrom()).equals(payer)) {
        throw new PaymentRefusedException(
            "erc20_approval_tx_signer_mismatch", "signedTransaction is not signed by the payer");
      }
    } catch (SignatureException | RuntimeException e) {
      throw new PaymentRefusedException(
          "erc20_approval_tx_invalid_signature", "signedTransaction's signature cannot be read");
    }
    BigInteger gas = transaction.getGasLimit();
    BigInteger fee = transaction.getMaxFeePerGas();
    if (transaction.getChainId() != chainId
        || transaction.getValue().signum() != 0
        || gas.compareTo(GAS_MAX) > 0
        || fee.compareTo(feeCapWei) > 0) {
      throw new PaymentRefusedException(
          "erc20_approval_tx_invalid_calldata",
          "signedTransaction must be for chain "
              + chainId
              + ", move no value, use at most "
              + GAS_MAX
              + " gas and pay at most "
              + feeCapWei
              + " wei for each");
    }
    return new ApprovalSponsoring(
        raw, Hex.encode(Hashes.keccak256(raw)), transaction.getNonce(), data, gas, fee);
  }

  /** The most that its gas can cost, which its sender must hold before it is taken. */
  public BigInteger costWei() {
    return gas.multiply(maxFee);
  }

  /**
   * Requires that it asks for no more than an approval needs now: what is given for it beyond that
   * its payer would keep.
   *
   * @param gasNeeded by this very call
   * @param fee what gets a transaction mined now, in wei a unit
   */
  void requireModest(BigInteger gasNeeded, BigInteger fee) throws PaymentRefusedException {
    if (gas.compareTo(gasNeeded.multiply(GENEROUS)) > 0
        || maxFee.compareTo(fee.multiply(GENEROUS)) > 0) {
      throw new PaymentRefusedException(
          "erc20_approval_broadcast_failed",
          "signedTransaction asks for "
              + gas
              + " gas at "
              + maxFee
              + " wei, and an approval needs "
              + gasNeeded
              + " at "
              + fee
              + " now: sign it again for at most "
              + GENEROUS
              + " times that, or pay its gas yourself");
    }
  }

  private static void requireApproval(byte[] data) throws PaymentRefusedException {
    if (data.length < APPROVE.length
        || !Arrays.equals(Arrays.copyOf(data, APPROVE.length), APPROVE)) {
      throw new PaymentRefusedException(
          "erc20_approval_tx_wrong_selector", "signedTransaction is no approval");
    }
    if (data.length != APPROVE.length + 64) {
      throw new PaymentRefusedException(
          "erc20_approval_tx_invalid_calldata", "signedTransaction's approval cannot be read");
    }
    byte[] spender = Arrays.copyOfRange(data, APPROVE.length, APPROVE.length + 32);
    if (!Arrays.equals(spender, Abi.word(Permit2Types.PERMIT2))) {
      throw new PaymentRefusedException(
          "erc20_approval_tx_wrong_spender", "signedTransaction approves somebody else");
    }
  }
}
