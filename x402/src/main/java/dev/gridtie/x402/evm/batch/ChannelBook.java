package dev.gridtie.x402.evm.batch;

import dev.gridtie.base.Hex;
import dev.gridtie.base.Json;
import dev.gridtie.x402.client.JsonFile;
import dev.gridtie.x402.evm.EvmFields;
import dev.gridtie.x402.evm.batch.BatchTypes.ChannelConfig;
import dev.gridtie.x402.wire.Fields;
import dev.gridtie.x402.wire.MalformedPaymentException;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/** A payer's own account of its channels, in a file that outlives the process. */
public final class ChannelBook {
  private final JsonFile file;

  /**
   * A channel, as its payer knows it.
   *
   * @param network CAIP-2
   * @param balance what was put in and not taken out, atomic units
   * @param charged of it, by what was signed and answered
   * @param signed the most that vouchers which were sent can take of it, in all
   */
  public record Line(
      String network,
      ChannelConfig config,
      BigInteger balance,
      BigInteger charged,
      BigInteger signed) {
    public Line {
      signed = signed.max(charged);
    }

    /** A channel from which nothing was signed but what was charged. */
    public Line(String network, ChannelConfig config, BigInteger balance, BigInteger charged) {
      this(network, config, balance, charged, charged);
    }

    public BigInteger left() {
      return balance.subtract(charged).max(BigInteger.ZERO);
    }

    Line with(BigInteger newBalance, BigInteger newCharged) {
      return new Line(network, config, newBalance, newCharged, signed);
    }

    Line signedFor(BigInteger maxClaimable) {
      return new Line(network, config, balance, charged, signed.max(maxClaimable));
    }
  }

  public ChannelBook(Path file) {
    this.file = new JsonFile(file);
  }

  /** What is known of a channel. */
  public Optional<Line> find(byte[] channelId) throws IOException {
    JsonNode line = file.read().path(Hex.encode(channelId));
    return line.isMissingNode() ? Optional.empty() : Optional.of(read(line));
  }

  /** All channels. */
  public List<Line> all() throws IOException {
    List<Line> all = new ArrayList<>();
    for (JsonNode line : file.read()) {
      all.add(read(line));
    }
    return all;
  }

  private static Line read(JsonNode line) throws IOException {
    try {
      return new Line(
          Fields.text(line, "network"),
          ChannelConfig.fromJson(Fields.object(line, "config")),
          EvmFields.uint(line, "balance", 128),
          EvmFields.uint(line, "charged", 128),
          line.has("signed") ? EvmFields.uint(line, "signed", 128) : BigInteger.ZERO);
    } catch (MalformedPaymentException e) {
      throw new IOException("a channel in the wallet's book cannot be read: " + e.getMessage());
    }
  }

  /** Writes down what is known of a channel, before this returns. */
  public void put(byte[] channelId, Line line) throws IOException {
    file.change(
        lines -> {
          ObjectNode json = Json.object().put("network", line.network());
          json.set("config", line.config().toJson());
          json.put("balance", line.balance().toString());
          json.put("charged", line.charged().toString());
          json.put("signed", line.signed().toString());
          lines.set(Hex.encode(channelId), json);
        });
  }
}
