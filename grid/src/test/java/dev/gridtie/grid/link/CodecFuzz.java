package dev.gridtie.grid.link;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.grid.engine.EngineFailure;
import dev.gridtie.grid.engine.Sampling;
import dev.gridtie.grid.engine.Turn;
import dev.gridtie.grid.link.Codec.MalformedMessageException;
import dev.gridtie.grid.link.Message.FromGateway;
import dev.gridtie.grid.link.Message.FromNode;
import dev.gridtie.testkit.Seeded;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CodecFuzz {
  private static final FromNode.Hello HELLO =
      new FromNode.Hello(
          1,
          "0x" + "ab".repeat(20),
          "0x" + "00".repeat(65),
          "Ada",
          "eu",
          "",
          "a machine",
          1,
          2,
          3,
          4);

  private static final List<FromNode> NODES =
      List.of(
          HELLO,
          new FromNode.Serving("m", "f", "b", true, 4, 1024, 10, 20),
          new FromNode.Status(true, "", 3, 1 << 30),
          new FromNode.Pong(-5),
          new FromNode.Started(7, 12),
          new FromNode.Text(7, "hé\n\"😀", List.of(1, 2, 3), 9),
          new FromNode.Ended(7, EndReason.LENGTH, 12, 9),
          new FromNode.Failed(7, EngineFailure.Code.CRASHED, "why", true),
          new FromNode.Counted(7, 5),
          new FromNode.Embedded(7, List.of(0.5f, -1f), 3),
          new FromNode.Chunk(7, "AAAA"));

  private static final List<FromGateway> GATEWAYS =
      List.of(
          new FromGateway.Challenge(1, "0x" + "01".repeat(32), "key"),
          new FromGateway.Welcome("pool", true, "token"),
          new FromGateway.Refused("code", "why"),
          new FromGateway.Offer(List.of()),
          new FromGateway.Ping(1),
          new FromGateway.Generate(
              1,
              List.of(new Turn("user", "x")),
              new Sampling(1, 0, 1, 0, -9, List.of("stop")),
              5,
              List.of(4)),
          new FromGateway.Count(1, List.of()),
          new FromGateway.Embed(1, "x"),
          new FromGateway.Cancel(1),
          new FromGateway.Flow(1, false),
          new FromGateway.Paid(0, 5, true),
          new FromGateway.Want(1, "a".repeat(64), 0, 10));

  @Test
  void everyMessageIsReadAsItWasWritten() throws Exception {
    for (FromNode message : NODES) {
      assertThat(Codec.fromNode(Codec.write(message))).isEqualTo(message);
    }
    for (FromGateway message : GATEWAYS) {
      assertThat(Codec.fromGateway(Codec.write(message))).isEqualTo(message);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "null",
        "[]",
        "{}",
        "{\"m\":\"root\"}",
        "{\"m\":\"pong\",\"nanos\":1} x",
        "{\"m\":\"pong\",\"nanos\":1,\"more\":2}",
        "{\"m\":\"pong\",\"nanos\":1,\"nanos\":2}",
        "{\"m\":\"pong\",\"nanos\":null}",
        "{\"m\":\"pong\"}",
        "{\"m\":\"text\",\"job\":1,\"text\":null,\"tokens\":[],\"count\":1}",
        "{\"m\":\"text\",\"job\":1,\"text\":\"a\",\"tokens\":[null],\"count\":1}",
        "{\"m\":\"started\",\"job\":1,\"prompt\":-1}",
        "{\"m\":\"failed\",\"job\":1,\"code\":\"NONE\",\"message\":\"\",\"yielded\":false}",
        "{\"m\":\"generate\",\"job\":1,\"turns\":[],\"sampling\":null,\"max\":1,\"said\":[]}",
        "{\"m\":\"serving\",\"manifest\":\"\",\"file\":\"\",\"build\":\"\",\"sampled\":true,\"slots\":99999,\"contextTokens\":1,\"prefillTps\":1,\"decodeTps\":1}",
        "{\"m\":\"pong\",\"nanos\":123456789012345678901234567890123456789}",
        "{\"m\":\"counted\",\"job\":1,\"tokens\":2147483647}",
        "{\"m\":\"counted\",\"job\":1,\"tokens\":NaN}",
        "{\"m\":\"started\",\"job\":1,\"prompt\":2147483647}",
        "{\"m\":\"ended\",\"job\":1,\"reason\":\"STOP\",\"prompt\":1,\"count\":2147483647}",
        "{\"m\":\"text\",\"job\":1,\"text\":\"a\",\"tokens\":[-1],\"count\":1}",
        "{\"m\":\"text\",\"job\":1,\"text\":\"a\",\"tokens\":[2147483647],\"count\":1}",
        "{\"m\":\"embedded\",\"job\":1,\"values\":[1e999],\"tokens\":1}",
        "{\"m\":\"embedded\",\"job\":1,\"values\":[NaN],\"tokens\":1}",
        "{\"m\":\"status\",\"accepting\":true,\"why\":\"\",\"active\":2147483647,\"memoryBytes\":1}",
        "{\"m\":\"status\",\"accepting\":true,\"why\":\"\",\"active\":1,\"memoryBytes\":9223372036854775807}",
        "{\"m\":\"serving\",\"manifest\":\"\",\"file\":\"\",\"build\":\"\",\"sampled\":true,\"slots\":1,\"contextTokens\":1,\"prefillTps\":1,\"decodeTps\":2147483647}"
      })
  void whatNoNodeSaysIsRefused(String frame) {
    assertThatThrownBy(() -> Codec.fromNode(frame)).isInstanceOf(MalformedMessageException.class);
  }

  @Test
  void whatOnlyAGatewaySaysIsNotHeardFromANode() {
    for (FromGateway message : GATEWAYS) {
      assertThatThrownBy(() -> Codec.fromNode(Codec.write(message)))
          .isInstanceOf(MalformedMessageException.class);
    }
  }

  @Test
  void aGiantIsRefusedUnread() {
    String giant = "{\"m\":\"pong\",\"nanos\":" + " ".repeat(Protocol.FROM_NODE_BYTES_MAX) + "1}";
    assertThatThrownBy(() -> Codec.fromNode(giant)).hasMessageContaining("more than");
    String deep = "{\"m\":\"text\",\"job\":" + "[".repeat(5_000);
    assertThatThrownBy(() -> Codec.fromNode(deep)).isInstanceOf(MalformedMessageException.class);
  }

  /** Bent messages are either read as another message that may be said, or refused; never more. */
  @Test
  void bentMessagesAreReadOrRefused() {
    Seeded seeded = new Seeded(77);
    for (int i = 0; i < 50_000; i++) {
      FromNode message = NODES.get((seeded.below(NODES.size())));
      StringBuilder bent = new StringBuilder(Codec.write(message));
      for (int b = (1 + seeded.below(4)); b > 0 && bent.length() > 1; b--) {
        int at = (seeded.below(bent.length()));
        switch ((seeded.below(3))) {
          case 0 -> bent.deleteCharAt(at);
          case 1 -> bent.setCharAt(at, (char) (1 + seeded.below(300)));
          default -> bent.insert(at, "\"{}[],:0-9e".charAt((seeded.below(11))));
        }
      }
      try {
        FromNode read = Codec.fromNode(bent.toString());
        assertThat(read).isNotNull();
      } catch (MalformedMessageException e) {
        assertThat(e.getMessage()).doesNotContain(bent);
      }
    }
  }
}
