package dev.gridtie.grid.node;

import dev.gridtie.grid.engine.Ask;
import dev.gridtie.grid.engine.EndReason;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.Engine.EngineException;
import dev.gridtie.grid.engine.EngineFailure;
import dev.gridtie.grid.engine.Generator;
import dev.gridtie.grid.link.Message.FromGateway;
import dev.gridtie.grid.link.Message.FromNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * The answers that a node gives. Gateways' wishes come on their event loops, and what the engine
 * says goes to them on the thread it comes on. State: the answers under way, and what runs, which
 * the steward writes.
 */
final class Work {
  private final ModelFiles files;
  private final Map<Job, Running> running = new ConcurrentHashMap<>();
  private final AtomicInteger active = new AtomicInteger();
  private final AtomicLong answers = new AtomicLong();
  private final AtomicLong tokens = new AtomicLong();
  private volatile @Nullable Served served;
  private volatile boolean throttled;

  private record Job(Uplink uplink, long id) {}

  /** An answer under way: it waits while its reader does, or while too much power is taken. */
  private final class Running {
    final Engine.Generation generation;
    private volatile boolean readerWaits;

    Running(Engine.Generation generation) {
      this.generation = generation;
    }

    void reader(boolean waits) {
      readerWaits = waits;
      settle();
    }

    void settle() {
      if (readerWaits || throttled) {
        generation.pause();
      } else {
        generation.resume();
      }
    }
  }

  Work(ModelFiles files) {
    this.files = files;
  }

  /** What runs; null while nothing does. */
  @Nullable Served served() {
    return served;
  }

  void serve(Served newServed) {
    served = newServed;
  }

  int active() {
    return active.get();
  }

  long answers() {
    return answers.get();
  }

  long tokens() {
    return tokens.get();
  }

  /** Whether answers wait, because the machine takes too much power. */
  void throttle(boolean on) {
    if (on != throttled) {
      throttled = on;
      running.values().forEach(Running::settle);
    }
  }

  /** Ends all that runs, now: others go on with it. Whether anything ran. */
  boolean giveBack(String reason) {
    Served gives = served;
    if (gives == null) {
      return false;
    }
    served = null;
    for (Job job : List.copyOf(running.keySet())) {
      Running one = running.remove(job);
      if (one != null) {
        active.decrementAndGet();
        job.uplink()
            .send(new FromNode.Failed(job.id(), EngineFailure.Code.UNAVAILABLE, reason, true));
        if (!(gives.engine() instanceof Engine)) {
          one.generation.cancel();
        }
      }
    }
    gives.abandon();
    return true;
  }

  /** A gateway wants something of the engine, or of a file. */
  void heard(Uplink from, FromGateway message) {
    switch (message) {
      case FromGateway.Generate generate -> generate(from, generate);
      case FromGateway.Cancel cancel -> {
        Running one = running.get(new Job(from, cancel.job()));
        if (one != null) {
          one.generation.cancel();
        }
      }
      case FromGateway.Flow flow -> {
        Running one = running.get(new Job(from, flow.job()));
        if (one != null) {
          one.reader(!flow.on());
        }
      }
      case FromGateway.Count count ->
          aside(
              from,
              count.job(),
              engine -> new FromNode.Counted(count.job(), engine.count(count.turns())));
      case FromGateway.Embed embed -> aside(from, embed.job(), engine -> embedded(engine, embed));
      case FromGateway.Want want -> give(from, want);
      default -> {}
    }
  }

  /** A connection has ended: nobody reads its answers any more. */
  void ended(Uplink from) {
    running.forEach(
        (job, one) -> {
          if (job.uplink() == from) {
            one.generation.cancel();
          }
        });
  }

  /** There is room again for what is sent. */
  void drained(Uplink from) {
    running.forEach(
        (job, one) -> {
          if (job.uplink() == from) {
            one.settle();
          }
        });
  }

  private void generate(Uplink from, FromGateway.Generate generate) {
    Served now = served;
    Job job = new Job(from, generate.job());
    if (now == null) {
      from.send(
          new FromNode.Failed(
              generate.job(), EngineFailure.Code.UNAVAILABLE, "the machine rests", true));
      return;
    }
    if (active.incrementAndGet() > now.fit().slots()) {
      active.decrementAndGet();
      from.send(
          new FromNode.Failed(
              generate.job(), EngineFailure.Code.OVERLOADED, "all slots are taken", false));
      return;
    }
    Ask ask = new Ask(generate.turns(), generate.sampling(), generate.max(), generate.said());
    try {
      Voice voice = new Voice(job);
      Engine.Generation generation = now.engine().generate(ask, voice);
      running.put(job, new Running(generation));
      voice.begun(generation);
    } catch (EngineException | IllegalArgumentException e) {
      active.decrementAndGet();
      EngineFailure.Code code =
          e instanceof EngineException engine
              ? engine.failure().code()
              : EngineFailure.Code.INVALID_MESSAGES;
      from.send(
          new FromNode.Failed(
              generate.job(), code, short120(String.valueOf(e.getMessage())), false));
    }
  }

  /** Tells a gateway what the engine says. */
  private final class Voice implements Engine.Listener {
    private final Job job;
    private volatile boolean over;
    private volatile Engine.@Nullable Generation generation;

    Voice(Job job) {
      this.job = job;
    }

    void begun(Engine.Generation begun) {
      generation = begun;
      if (over) {
        running.remove(job);
      }
    }

    @Override
    public void started(int promptTokens) {
      job.uplink().send(new FromNode.Started(job.id(), promptTokens));
    }

    @Override
    public void text(String text, List<Integer> newTokens, int completionTokens) {
      tokens.addAndGet(newTokens.size());
      job.uplink().send(new FromNode.Text(job.id(), text, newTokens, completionTokens));
      Engine.Generation speaking = generation;
      if (speaking != null && (throttled || job.uplink().isFull())) {
        speaking.pause();
      }
    }

    @Override
    public void ended(EndReason reason, int promptTokens, int completionTokens) {
      if (end()) {
        answers.addAndGet(reason == EndReason.CANCELLED ? 0 : 1);
        job.uplink().send(new FromNode.Ended(job.id(), reason, promptTokens, completionTokens));
      }
    }

    @Override
    public void failed(EngineFailure failure) {
      if (end()) {
        job.uplink()
            .send(
                new FromNode.Failed(job.id(), failure.code(), short120(failure.message()), false));
      }
    }

    /** Whether this was its end, and nobody has ended it before. */
    private boolean end() {
      boolean begun = generation != null;
      over = true;
      boolean mine = running.remove(job) != null || !begun;
      if (mine) {
        active.decrementAndGet();
      }
      return mine;
    }
  }

  private interface Question {
    FromNode answer(Generator engine) throws EngineException;
  }

  private void aside(Uplink from, long job, Question question) {
    Served now = served;
    Thread.ofVirtual()
        .name("aside")
        .start(
            () -> {
              try {
                if (now == null) {
                  from.send(
                      new FromNode.Failed(
                          job, EngineFailure.Code.UNAVAILABLE, "the machine rests", true));
                } else {
                  from.send(question.answer(now.engine()));
                }
              } catch (EngineException e) {
                from.send(
                    new FromNode.Failed(
                        job, e.failure().code(), short120(e.failure().message()), false));
              }
            });
  }

  private static FromNode embedded(Generator engine, FromGateway.Embed embed)
      throws EngineException {
    Engine.Embedded one = engine.embed(embed.text());
    List<Float> values = new ArrayList<>();
    for (float value : one.values()) {
      values.add(value);
    }
    return new FromNode.Embedded(embed.job(), values, one.tokens());
  }

  private void give(Uplink from, FromGateway.Want want) {
    Thread.ofVirtual()
        .name("give")
        .start(
            () -> {
              byte[] bytes = new byte[0];
              try {
                bytes = files.part(want.file(), want.offset(), want.length());
              } catch (IOException e) {
                System.err.println("gridtie: giving a file: " + e.getMessage());
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt(); // the node ends
              }
              from.send(new FromNode.Chunk(want.job(), Base64.getEncoder().encodeToString(bytes)));
            });
  }

  private static String short120(String text) {
    return text.length() <= 120 ? text : text.substring(0, 120);
  }
}
