package dev.gridtie.gateway.edge;

import static org.assertj.core.api.Assertions.assertThat;

import dev.gridtie.wire.chat.ChatRequest;
import dev.gridtie.wire.chat.Dialect;
import dev.gridtie.wire.chat.Message;
import dev.gridtie.wire.chat.Part;
import dev.gridtie.wire.chat.Seal;
import java.util.List;
import org.junit.jupiter.api.Test;

class SealMemoryTest {
  private static final Part.Reasoning THOUGHT =
      new Part.Reasoning("hm", Seal.of(Seal.Origin.ANTHROPIC, "signature"));
  private static final Part.ToolCall CALL = new Part.ToolCall("call_1", "f", "{}", null);
  private final SealMemory memory = new SealMemory();

  private static ChatRequest turn(Part... assistant) {
    return ChatRequest.unread("m", Dialect.OPENAI, false)
        .withMessages(
            List.of(
                Message.text(Message.Role.USER, "go"),
                new Message(Message.Role.ASSISTANT, List.of(assistant)),
                Message.text(Message.Role.USER, "on")));
  }

  @Test
  void whatAClientLostIsPutBackBeforeItsCall() {
    memory.remember("alice", List.of(THOUGHT, CALL));
    assertThat(memory.restore("alice", turn(CALL)).messages().get(1).parts())
        .containsExactly(THOUGHT, CALL);
  }

  @Test
  void anotherAccountGetsNothingOfIt() {
    memory.remember("alice", List.of(THOUGHT, CALL));
    ChatRequest request = turn(CALL);
    assertThat(memory.restore("mallory", request)).isSameAs(request);
  }

  @Test
  void aClientThatKeptItsStateIsLeftAlone() {
    memory.remember("alice", List.of(THOUGHT, CALL));
    ChatRequest request =
        turn(new Part.Reasoning("mine", Seal.of(Seal.Origin.ANTHROPIC, "other")), CALL);
    assertThat(memory.restore("alice", request)).isSameAs(request);
  }

  @Test
  void strangersWithoutAnAccountShareNothing() {
    memory.remember("", List.of(THOUGHT, CALL));
    ChatRequest request = turn(CALL);
    assertThat(memory.restore("", request)).isSameAs(request);
  }
}
