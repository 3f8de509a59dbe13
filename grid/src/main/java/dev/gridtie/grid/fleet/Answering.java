package dev.gridtie.grid.fleet;

import dev.gridtie.grid.dispatch.Request;
import dev.gridtie.grid.dispatch.Slot;
import dev.gridtie.grid.engine.Ask;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.EngineFailure;
import dev.gridtie.grid.engine.Place;
import dev.gridtie.grid.engine.Turn;
import dev.gridtie.grid.link.Message.FromGateway;
import dev.gridtie.grid.link.Message.FromNode;
import dev.gridtie.grid.pay.PayFormula;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * One answer on its way over the grid. A node that vanishes, stalls or turns slow is replaced, and
 * the next goes on from the tokens that the client has: the same weights, template, sampler and
 * seed, so it says what the first would have said. A first token that is late is asked of a second
 * node too. State: guarded by its own monitor, under which the listener is called, so that it hears
 * one thing after the other.
 */
final class Answering implements Engine.Generation {
  /** How often an answer changes nodes before it is given up. */
  static final int LOSSES_MAX = 12;

  /** How often because a node seemed stalled or slow: where all are, changing does not help. */
  private static final int DOUBTS_MAX = 4;

  /** Tokens at an answer's end that stand for no text: of a stop text, or of half a character. */
  private static final int UNTOLD_MAX = 256;

  /** No token stands for more characters, over a whole answer. */
  private static final int CHARS_PER_TOKEN_MAX = 1_024;

  /** A stall is not called one before this. */
  private static final long STALL_NANOS_MIN = 400_000_000L;

  /** A first token is not late before this. */
  private static final long FIRST_NANOS_MIN = 500_000_000L;

  /** Asked of a second node after so many times what is usual; of another alone after more. */
  private static final int HEDGE_TIMES = 2;

  private static final int LOST_TIMES = 6;

  /** Slow is a quarter of what is usual here, over so long. */
  private static final long SLOW_WINDOW_NANOS = 3_000_000_000L;

  private static final double SLOW_PART = 0.25;

  private final Grid grid;
  private final Ask ask;
  private final Engine.Listener listener;
  private final long conversation;
  private final int promptMax;
  private final List<Integer> said = new ArrayList<>();
  private final Set<String> lostOn = new HashSet<>();
  private Group group;
  private @Nullable Request waiting;
  private @Nullable Leg leg;
  private @Nullable Leg hedge;
  private int parts;
  private int losses;
  private int doubts;
  private int refusals;
  private long chars;

  /** As the gateway has counted; −1 where it has not, and what nodes say is within bounds. */
  private int counted = -1;

  private int promptTokens = -1;
  private boolean paused;
  private boolean over;

  /** One node's part. State: guarded by the answer's monitor. */
  final class Leg {
    final Member member;
    final Slot slot;
    final long job;
    final int part;
    final int from = said.size();
    final long begun = grid.now();
    long firstAt;
    long lastAt;
    long windowAt;
    int windowTokens;
    int prompt;
    boolean closed;

    /** Whether it had to wait for its reader, so that its time says nothing of it. */
    boolean heldUp = paused;

    Leg(Member member, Slot slot, int part) {
      this.member = member;
      this.slot = slot;
      this.part = part;
      this.job = grid.newJob();
    }

    void hear(FromNode message) {
      Answering.this.hear(this, message);
    }

    void vanished() {
      synchronized (Answering.this) {
        lose(this, true);
      }
    }
  }

  Answering(Grid grid, Group group, Ask ask, Engine.Listener listener) {
    this.grid = grid;
    this.group = group;
    this.ask = ask;
    this.listener = listener;
    this.said.addAll(ask.said());
    this.conversation = conversation(ask.turns());
    this.promptMax = PromptCounts.most(ask.turns());
    PromptCounts counts = group.counts();
    if (counts != null) {
      counts.known(ask.turns()).ifPresentOrElse(n -> counted = n, () -> countLater(counts));
    }
  }

  private void countLater(PromptCounts counts) {
    grid.later(
        () -> {
          try {
            int tokens = counts.count(ask.turns());
            synchronized (this) {
              counted = tokens;
            }
          } catch (Engine.EngineException e) {
            // What its nodes say is within bounds.
          }
        });
  }

  /** The prompt's tokens: the gateway's own count where there is one, else a node's. */
  private int prompt(Leg from) {
    return counted >= 0 ? counted : from.prompt;
  }

  /** A conversation is what it began with. */
  private static long conversation(List<Turn> turns) {
    long hash = 17;
    for (Turn turn : turns.subList(0, Math.min(2, turns.size()))) {
      hash = hash * 0x9e3779b97f4a7c15L + turn.content().hashCode();
      if (turn.role().equals("user")) {
        break;
      }
    }
    return hash == 0 ? 1 : hash;
  }

  /** Looks for a node; false where too many wait. */
  synchronized boolean begin() {
    grid.began(this, group);
    boolean accepted = seek();
    if (!accepted) {
      over = true;
      grid.ended(this, group);
    }
    return accepted;
  }

  private boolean seek() {
    Request request =
        new Request(
            conversation,
            said.isEmpty() ? ask.place().priority() : Request.PRIORITY_MAX, // it is being read
            grid.now() + waitNanosMax(),
            lostOn,
            new Request.Taker() {
              @Override
              public void take(Slot slot) {
                Answering.this.take(slot);
              }

              @Override
              public void late() {
                fail(noTurn());
              }
            });
    waiting = request;
    if (group.dispatcher().submit(request)) {
      return true;
    }
    waiting = null;
    return false;
  }

  /** What has been said nobody else goes on with, so it waits as if there were nobody. */
  private long waitNanosMax() {
    return (said.isEmpty() ? ask.place() : Place.LAST).waitMax().toNanos();
  }

  private synchronized void take(Slot slot) {
    waiting = null;
    Member member = grid.member(slot.node());
    if (over || member == null) {
      group.dispatcher().released(slot);
      if (!over) {
        again();
      }
      return;
    }
    leg = open(member, slot);
  }

  private Leg open(Member member, Slot slot) {
    Leg opened = new Leg(member, slot, parts++);
    member.legs().put(opened.job, opened);
    member.send(
        new FromGateway.Generate(
            opened.job, ask.turns(), ask.sampling(), ask.maxTokens(), List.copyOf(said)));
    if (paused) {
      member.send(new FromGateway.Flow(opened.job, false));
    }
    if (member.isGone()) {
      grid.later(opened::vanished); // it went between being chosen and being asked
    }
    return opened;
  }

  private synchronized void hear(Leg from, FromNode message) {
    if (over || from.closed) {
      return;
    }
    switch (message) {
      case FromNode.Started started -> {
        if (started.prompt() > promptMax) {
          grid.misbehaved(from.member, "it counts more tokens than the prompt can have");
          return;
        }
        from.prompt = started.prompt();
      }
      case FromNode.Text text -> text(from, text);
      case FromNode.Ended ended -> ended(from, ended);
      case FromNode.Failed failed -> failed(from, failed);
      default -> throw new IllegalStateException("no message of an answer");
    }
  }

  private void text(Leg from, FromNode.Text text) {
    win(from);
    boolean honest =
        text.count() == said.size() + text.tokens().size()
            && text.count() <= (ask.maxTokens() == 0 ? group.contextTokens() : ask.maxTokens());
    chars += text.text().length();
    if (!honest || chars > (long) CHARS_PER_TOKEN_MAX * (text.count() + UNTOLD_MAX)) {
      grid.misbehaved(from.member, "it counts tokens that it has not said");
      return;
    }
    long now = grid.now();
    if (from.firstAt == 0) {
      from.firstAt = now;
      from.windowAt = now;
      group.dispatcher().first(from.slot, now - from.begun);
      listener.by(from.member.address());
      if (promptTokens < 0) {
        promptTokens = prompt(from);
        listener.started(promptTokens);
      }
    } else if (!paused) {
      group.dispatcher().gap(from.slot, now - from.lastAt);
    }
    from.lastAt = now;
    from.windowTokens += text.tokens().size();
    said.addAll(text.tokens());
    listener.text(text.text(), text.tokens(), said.size());
  }

  /** The first of two to say something goes on alone. */
  private void win(Leg from) {
    Leg other = from == leg ? hedge : leg;
    if (hedge != null && other != null) {
      leg = from;
      hedge = null;
      other.member.send(new FromGateway.Cancel(other.job));
      close(other);
      group.dispatcher().released(other.slot);
    }
  }

  private void ended(Leg from, FromNode.Ended ended) {
    win(from);
    boolean honest =
        ended.count() >= said.size()
            && ended.count() <= said.size() + UNTOLD_MAX
            && (ask.maxTokens() == 0 || ended.count() <= ask.maxTokens());
    if (!honest) {
      grid.misbehaved(from.member, "it counts tokens that it has not said");
      return;
    }
    over = true;
    leg = null;
    close(from);
    int count = said.size(); // those that were seen, whatever it claims
    paid(from, count);
    from.member.answers.incrementAndGet();
    grid.answered(from.member, count - from.from);
    if (from.firstAt == 0) {
      listener.by(from.member.address());
    }
    if (promptTokens < 0) {
      promptTokens = prompt(from);
      listener.started(promptTokens);
    }
    grid.ended(this, group);
    group.dispatcher().finished(from.slot, true);
    listener.ended(ended.reason(), promptTokens, count);
  }

  private void failed(Leg from, FromNode.Failed failed) {
    EngineFailure failure = Group.failure(failed);
    boolean refused = !failure.retryable() && said.size() == ask.said().size();
    if (refused && ++refusals < Group.OPINIONS && group.size() > lostOn.size() + 1) {
      lose(from, false); // another may see it differently, and one is not believed alone
      return;
    }
    if (refused) {
      over = true;
      for (Leg each : open()) {
        close(each);
        group.dispatcher().released(each.slot);
      }
      grid.ended(this, group);
      listener.failed(failure);
      return;
    }
    boolean blamed = !failed.yielded() && failure.code() != EngineFailure.Code.OVERLOADED;
    lose(from, blamed);
  }

  private List<Leg> open() {
    List<Leg> open = new ArrayList<>();
    if (leg != null) {
      open.add(leg);
    }
    if (hedge != null) {
      open.add(hedge);
    }
    return open;
  }

  /** A node's part is over before the answer is; another takes the rest. */
  private void lose(Leg from, boolean blamed) {
    if (over || from.closed) {
      return;
    }
    close(from);
    lostOn.add(from.member.address());
    paid(from, said.size());
    if (blamed) {
      from.member.lost.incrementAndGet();
      grid.lost(from.member);
      group.dispatcher().finished(from.slot, false);
    } else {
      group.dispatcher().released(from.slot);
    }
    if (from == hedge) {
      hedge = null;
      return;
    }
    leg = hedge;
    hedge = null;
    if (leg == null) {
      again();
    }
  }

  private void again() {
    if (!group.key().sampled() && said.size() > ask.said().size()) {
      fail( // nobody can go on from what another's sampler has said
          new EngineFailure(
              EngineFailure.Code.UNAVAILABLE,
              "the node was lost, and nobody can go on with what its engine has said; send the"
                  + " request again",
              true));
      return;
    }
    if (++losses > LOSSES_MAX) {
      fail(EngineFailure.crashed());
      return;
    }
    if (lostOn.size() >= group.size() && !cross()) {
      lostOn.clear(); // all have been tried; whoever is back may have another go
    }
    if (!seek()) {
      fail(noTurn());
    }
  }

  /** Where nothing was said yet, nodes with another build of the engine will do. */
  private boolean cross() {
    Optional<Group> beside = said.isEmpty() ? grid.beside(group) : Optional.empty();
    beside.ifPresent(
        to -> {
          grid.moved(group, to);
          group = to;
        });
    return beside.isPresent();
  }

  private synchronized EngineFailure noTurn() {
    boolean busy = said.size() == ask.said().size() && group.size() > 0;
    return busy ? Group.busy() : Group.none();
  }

  private void close(Leg from) {
    from.closed = true;
    from.member.legs().remove(from.job);
  }

  /** What was done is paid, to each its part. */
  private void paid(Leg from, int upTo) {
    int made = upTo - from.from;
    if (made <= 0) {
      return; // nobody has anything of it
    }
    from.member.tokens.addAndGet(made);
    long busy = grid.now() - from.begun;
    if (!from.heldUp) {
      group.dispatcher().measured(from.slot, made, busy);
    }
    int sharing = Math.max(1, from.slot.running());
    long joules = busy / 1_000_000 * from.member.hello().watts() / 1_000 / sharing;
    grid.work(
        new WorkDone(
            grid.run() + "-" + from.job,
            from.member.address(),
            from.member.pool(),
            from.member.vouched(),
            from.job,
            group.manifest(),
            group.key().manifest(),
            group.variant().quantization(),
            new PayFormula.Work(prompt(from) + from.from, 0, made),
            from.slot.reliabilityPpm(),
            joules));
  }

  private synchronized void fail(EngineFailure failure) {
    if (over) {
      return;
    }
    over = true;
    grid.ended(this, group);
    listener.failed(failure);
  }

  /** Looks whether the nodes do what they should; called every few milliseconds. */
  synchronized void check(long now) {
    Leg running = leg;
    Request late = waiting;
    if (late != null && late.deadlineNanos() <= now && group.dispatcher().withdraw(late)) {
      fail(noTurn()); // where no node is left, nobody else looks at the time
      return;
    }
    if (!over && late != null && group.size() == 0 && said.isEmpty()) {
      seekBeside(late);
      return;
    }
    if (over || paused || running == null) {
      return;
    }
    if (running.firstAt == 0) {
      checkFirst(running, now);
    } else if (doubts < DOUBTS_MAX) {
      checkFlow(running, now);
    }
  }

  /** Its group has no node any more: another may have. */
  private void seekBeside(Request late) {
    if (grid.beside(group).isPresent() && group.dispatcher().withdraw(late)) {
      waiting = null;
      if (!cross() || !seek()) {
        fail(noTurn());
      }
    }
  }

  private void checkFirst(Leg running, long now) {
    long usual = Math.max(FIRST_NANOS_MIN, group.dispatcher().firstNanos(running.slot));
    long waited = now - running.begun;
    if (waited > LOST_TIMES * usual) {
      doubt(running);
    } else if (waited > HEDGE_TIMES * usual && hedge == null && grid.mayHedge()) {
      Slot second = group.dispatcher().spare(request(running));
      if (second != null) {
        hedge(second);
      }
    }
  }

  private void hedge(Slot second) {
    Member member = grid.member(second.node());
    if (member == null) {
      group.dispatcher().released(second);
    } else {
      grid.hedged();
      hedge = open(member, second);
    }
  }

  private Request request(Leg running) {
    Set<String> not = new HashSet<>(lostOn);
    not.add(running.member.address());
    return new Request(0, 0, 0, not, NOBODY);
  }

  private static final Request.Taker NOBODY =
      new Request.Taker() {
        @Override
        public void take(Slot slot) {}

        @Override
        public void late() {}
      };

  private void checkFlow(Leg running, long now) {
    long stall = group.dispatcher().stallNanos(running.slot, STALL_NANOS_MIN << doubts);
    if (now - running.lastAt > stall && group.dispatcher().free() > 0) {
      doubt(running);
      return;
    }
    long window = now - running.windowAt;
    if (window < SLOW_WINDOW_NANOS) {
      return;
    }
    double rate = running.windowTokens * 1e9 / window;
    // By its own measure too: strangers who are much too fast make no honest node slow.
    double usual = Math.min(group.usualRate(), running.slot.tokensPerSecond());
    boolean slow = rate < SLOW_PART * usual && group.dispatcher().free() > 0;
    group.rate(rate);
    running.windowAt = now;
    running.windowTokens = 0;
    if (slow) {
      doubt(running);
    }
  }

  private void doubt(Leg running) {
    doubts++;
    running.member.send(new FromGateway.Cancel(running.job));
    lose(running, true);
  }

  @Override
  public void cancel() {
    Request withdrawn;
    synchronized (this) {
      if (over) {
        return;
      }
      over = true;
      withdrawn = waiting;
      for (Leg each : open()) {
        each.member.send(new FromGateway.Cancel(each.job));
        close(each);
        paid(each, each == leg ? said.size() : each.from);
        group.dispatcher().released(each.slot);
      }
      grid.ended(this, group);
    }
    if (withdrawn != null) {
      boolean unused = group.dispatcher().withdraw(withdrawn);
    }
  }

  @Override
  public synchronized void pause() {
    flow(true);
  }

  @Override
  public synchronized void resume() {
    flow(false);
  }

  private void flow(boolean newPaused) {
    if (over || paused == newPaused) {
      return;
    }
    paused = newPaused;
    Leg running = leg;
    if (running != null) {
      running.heldUp = true;
      running.lastAt = grid.now();
      running.windowAt = grid.now();
      running.windowTokens = 0;
      running.member.send(new FromGateway.Flow(running.job, !newPaused));
    }
  }
}
