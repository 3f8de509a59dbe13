package dev.gridtie.x402.evm;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.chain.JsonRpc;
import dev.gridtie.x402.facilitator.UnreachableException;
import java.math.BigInteger;
import java.net.URI;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** An EVM chain behind JSON-RPC over HTTP (EIP-1474). Safe for use by many threads. */
public final class JsonRpcChain implements EvmChain {
  private final JsonRpc rpc;

  /**
   * @param timeout for one call, from connecting to the last byte
   */
  public JsonRpcChain(URI url, Duration timeout) {
    this.rpc = new JsonRpc(url, timeout);
  }

  @Override
  public String clientVersion() throws UnreachableException, RefusedException {
    return ask("web3_clientVersion").asString("");
  }

  @Override
  public long chainId() throws UnreachableException, RefusedException {
    return quantity(ask("eth_chainId")).longValueExact();
  }

  @Override
  public Block latestBlock() throws UnreachableException, RefusedException {
    return block(ask("eth_getBlockByNumber", "latest", false));
  }

  @Override
  public Optional<Block> block(long number) throws UnreachableException, RefusedException {
    JsonNode block = ask("eth_getBlockByNumber", "0x" + Long.toHexString(number), false);
    return block.isObject() ? Optional.of(block(block)) : Optional.empty();
  }

  private static Block block(JsonNode block) throws UnreachableException {
    JsonNode baseFee = block.path("baseFeePerGas");
    return new Block(
        quantity(block.path("number")).longValueExact(),
        block.path("hash").asString(""),
        quantity(block.path("timestamp")).longValueExact(),
        baseFee.isString() ? quantity(baseFee) : BigInteger.ZERO);
  }

  @Override
  public byte[] code(EvmAddress address) throws UnreachableException, RefusedException {
    return bytes(ask("eth_getCode", address.lower(), "latest"));
  }

  @Override
  public byte[] call(Question question) throws UnreachableException, RefusedException {
    return bytes(ask("eth_call", transaction(question), state(question)));
  }

  @Override
  public List<Trial> callAll(List<Question> questions) throws UnreachableException {
    List<Trial> trials = new ArrayList<>();
    for (JsonRpc.Answered answer :
        rpc.askAll(questions.stream().map(JsonRpcChain::calling).toList())) {
      trials.add(trial(answer));
    }
    return trials;
  }

  private static JsonRpc.Call calling(Question question) {
    return new JsonRpc.Call("eth_call", transaction(question), state(question));
  }

  /** Of which state a question is asked. */
  private static String state(Question question) {
    return question.asSent().filter(EvmChain.AsSent::next).isPresent() ? "pending" : "latest";
  }

  @Override
  public Glance glance(EvmAddress account, Question question)
      throws UnreachableException, RefusedException {
    List<JsonRpc.Answered> answers =
        rpc.askAll(
            List.of(new JsonRpc.Call("eth_getCode", account.lower(), "latest"), calling(question)));
    return new Glance(bytes(result(answers.get(0))), trial(answers.get(1)));
  }

  private static Trial trial(JsonRpc.Answered answer) throws UnreachableException {
    try {
      return new Trial.Done(bytes(result(answer)));
    } catch (RefusedException e) {
      return new Trial.Refused(e);
    }
  }

  private static JsonNode result(JsonRpc.Answered answer) throws RefusedException {
    try {
      return answer.orThrow();
    } catch (JsonRpc.ErrorException e) {
      throw new RefusedException(String.valueOf(e.getMessage()));
    }
  }

  @Override
  public BigInteger estimateGas(Question question) throws UnreachableException, RefusedException {
    return quantity(ask("eth_estimateGas", transaction(question), state(question)));
  }

  @Override
  public BigInteger priorityFee() throws UnreachableException, RefusedException {
    return quantity(ask("eth_maxPriorityFeePerGas"));
  }

  @Override
  public BigInteger balance(EvmAddress address) throws UnreachableException, RefusedException {
    return quantity(ask("eth_getBalance", address.lower(), "latest"));
  }

  @Override
  public BigInteger pendingNonce(EvmAddress address) throws UnreachableException, RefusedException {
    return quantity(ask("eth_getTransactionCount", address.lower(), "pending"));
  }

  @Override
  public BigInteger minedNonce(EvmAddress address) throws UnreachableException, RefusedException {
    return quantity(ask("eth_getTransactionCount", address.lower(), "latest"));
  }

  @Override
  public void sendRaw(byte[] signed) throws UnreachableException, RefusedException {
    ask("eth_sendRawTransaction", Hex.encode(signed));
  }

  @Override
  public Optional<Receipt> receipt(String transactionHash)
      throws UnreachableException, RefusedException {
    JsonNode receipt = ask("eth_getTransactionReceipt", transactionHash);
    if (!receipt.isObject()) {
      return Optional.empty();
    }
    BigInteger fee =
        quantity(receipt.path("gasUsed")).multiply(quantity(receipt.path("effectiveGasPrice")));
    return Optional.of(
        new Receipt(
            transactionHash,
            EvmAddress.of(receipt.path("from").asString("")),
            quantity(receipt.path("status")).signum() == 1,
            quantity(receipt.path("blockNumber")).longValueExact(),
            fee,
            logs(receipt.path("logs"))));
  }

  @Override
  public Optional<Call> transaction(String transactionHash)
      throws UnreachableException, RefusedException {
    JsonNode transaction = ask("eth_getTransactionByHash", transactionHash);
    if (!transaction.isObject()) {
      return Optional.empty();
    }
    JsonNode to = transaction.path("to");
    return Optional.of(
        new Call(
            to.isString() ? Optional.of(EvmAddress.of(to.stringValue())) : Optional.empty(),
            bytes(transaction.path("input"))));
  }

  @Override
  public List<Log> logs(
      EvmAddress contract, long fromBlock, Optional<Long> toBlock, List<byte[]> topics)
      throws UnreachableException, RefusedException {
    ObjectNode filter = Json.object();
    filter.put("address", contract.lower());
    filter.put("fromBlock", "0x" + Long.toHexString(fromBlock));
    filter.put("toBlock", toBlock.map(b -> "0x" + Long.toHexString(b)).orElse("latest"));
    ArrayNode list = filter.putArray("topics");
    topics.forEach(t -> list.add(Hex.encode(t)));
    return logs(ask("eth_getLogs", filter));
  }

  private static List<Log> logs(JsonNode array) throws UnreachableException {
    List<Log> logs = new ArrayList<>();
    for (JsonNode log : array) {
      List<byte[]> topics = new ArrayList<>();
      for (JsonNode topic : log.path("topics")) {
        topics.add(bytes(topic));
      }
      logs.add(
          new Log(
              EvmAddress.of(log.path("address").asString("")),
              topics,
              bytes(log.path("data")),
              log.path("transactionHash").asString("")));
    }
    return logs;
  }

  private static ObjectNode transaction(Question question) {
    ObjectNode call = Json.object();
    call.put("from", question.from().lower());
    call.put("to", question.to().lower());
    call.put("data", Hex.encode(question.data()));
    question
        .asSent()
        .ifPresent(
            terms -> {
              terms.gas().ifPresent(gas -> call.put("gas", hex(gas)));
              call.put("maxFeePerGas", hex(terms.maxFee()));
              call.put("maxPriorityFeePerGas", hex(terms.tip()));
            });
    return call;
  }

  private static String hex(BigInteger quantity) {
    return "0x" + quantity.toString(16);
  }

  /**
   * One JSON-RPC call with any method: for the test chain's own ones.
   *
   * @param params texts, booleans or JSON nodes
   */
  public JsonNode ask(String method, Object... params)
      throws UnreachableException, RefusedException {
    try {
      return rpc.ask(method, params);
    } catch (JsonRpc.ErrorException e) {
      throw new RefusedException(String.valueOf(e.getMessage()));
    }
  }

  private static BigInteger quantity(JsonNode node) throws UnreachableException {
    String text = node.asString("");
    if (!text.matches("0x[0-9a-fA-F]{1,64}")) {
      throw new UnreachableException("expected a quantity (0x…), got " + node.getNodeType());
    }
    return new BigInteger(text.substring(2), 16);
  }

  private static byte[] bytes(JsonNode node) throws UnreachableException {
    try {
      return Hex.decode(node.asString(""));
    } catch (IllegalArgumentException e) {
      throw new UnreachableException("expected bytes (0x…), got " + node.getNodeType());
    }
  }
}
