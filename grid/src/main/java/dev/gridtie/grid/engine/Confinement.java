package dev.gridtie.grid.engine;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * What a process on Linux takes from itself before it touches anything that comes from outside:
 * files by Landlock, system calls by seccomp, both for good and for all that it starts. Numbers are
 * those of linux/landlock.h, linux/seccomp.h and the tables of system calls.
 */
final class Confinement {
  private static final int LANDLOCK_CREATE = 444;
  private static final int LANDLOCK_ADD = 445;
  private static final int LANDLOCK_RESTRICT = 446;
  private static final int NO_NEW_PRIVILEGES = 38;
  private static final int OPEN_PATH = 0x200000 | 0x80000; // O_PATH | O_CLOEXEC
  private static final int LIMIT_CORE = 4;
  private static final int LIMIT_FILES = 7;
  private static final int FILES_MAX = 1024;

  private static final long EXECUTE = 1;
  private static final long WRITE_FILE = 1 << 1;
  private static final long READ_FILE = 1 << 2;
  private static final long READ_FOLDER = 1 << 3;
  private static final long IOCTL_DEVICE = 1 << 15;

  private static final int ALLOW = 0x7fff0000;
  private static final int REFUSE = 0x00050000 | 1; // EPERM
  private static final int UNKNOWN = 0x00050000 | 38; // ENOSYS
  private static final int END_PROCESS = 0x80000000;
  private static final int CLONE_THREAD = 0x10000;

  /** Of one processor: its name for audits, and the system calls that are refused. */
  private record Calls(int audit, int seccomp, int fork, int[] refused) {}

  /** Of both: newer ones have one number everywhere. */
  private static final int[] NEWER = {
    424, 425, 426, 427, 428, 429, 430, 431, 432, 433, 434, 438, 442, 443
  };

  private static final int CLONE3 = 435;

  // Sockets; starting programs; other processes; mounts and namespaces; the kernel; keys; the
  // clock.
  private static final Calls X86_64 =
      new Calls(
          0xC000003E,
          317,
          56,
          new int[] {
            41, 42, 43, 44, 49, 50, 53, 288, 57, 58, 59, 322, 62, 101, 310, 311, 312, 155, 161, 165,
            166, 272, 308, 103, 163, 167, 168, 169, 170, 171, 175, 176, 313, 179, 246, 320, 298,
            303, 304, 321, 323, 248, 249, 250, 164, 305
          });

  private static final Calls AARCH64 =
      new Calls(
          0xC00000B7,
          277,
          220,
          new int[] {
            198, 199, 200, 201, 202, 203, 206, 242, 221, 281, 129, 117, 270, 271, 272, 41, 51, 40,
            39, 97, 268, 116, 89, 224, 225, 142, 161, 162, 105, 106, 273, 60, 104, 294, 241, 264,
            265, 280, 282, 217, 218, 219, 170, 266
          });

  private static final Linker LINKER = Linker.nativeLinker();

  private Confinement() {}

  static boolean isLinux() {
    return System.getProperty("os.name", "").equals("Linux");
  }

  /** Which version of Landlock the kernel has; 0 for none. */
  static int landlockVersion() {
    return isLinux() ? Math.max(0, (int) syscall(LANDLOCK_CREATE, 0, 0, 1)) : 0;
  }

  /** No core dumps, and no more files than it needs. */
  static void limit() {
    try (Arena arena = Arena.ofConfined()) {
      MethodHandle set = function("setrlimit", FunctionDescriptor.of(JAVA_INT, JAVA_INT, ADDRESS));
      MemorySegment limits = arena.allocate(JAVA_LONG, 2);
      int unused = (int) set.invokeExact(LIMIT_CORE, limits);
      limits.setAtIndex(JAVA_LONG, 0, FILES_MAX);
      limits.setAtIndex(JAVA_LONG, 1, FILES_MAX);
      int unused2 = (int) set.invokeExact(LIMIT_FILES, limits);
    } catch (Throwable e) {
      throw NativeLibrary.rethrown(e);
    }
  }

  /**
   * From now on this thread, and every program that it becomes, sees but these files.
   *
   * @param readable files and folders
   * @param devices that may be written to
   * @param runnable programs
   * @return false where the kernel does not do it
   */
  static boolean landlock(List<Path> readable, List<Path> devices, List<Path> runnable) {
    int version = landlockVersion();
    if (version == 0) {
      return false;
    }
    long files = (1L << (version == 1 ? 13 : version == 2 ? 14 : version < 5 ? 15 : 16)) - 1;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment rules = arena.allocate(JAVA_LONG, 3);
      rules.setAtIndex(JAVA_LONG, 0, files);
      rules.setAtIndex(JAVA_LONG, 1, 3); // binding and connecting by TCP
      rules.setAtIndex(JAVA_LONG, 2, 3); // abstract sockets and signals to others
      int size = version < 4 ? 8 : version < 6 ? 16 : 24;
      int set = (int) syscall(LANDLOCK_CREATE, rules.address(), size, 0);
      if (set < 0) {
        return false;
      }
      readable.forEach(f -> allow(set, f, READ_FILE | READ_FOLDER));
      devices.forEach(
          f -> allow(set, f, (READ_FILE | WRITE_FILE | READ_FOLDER | IOCTL_DEVICE) & files));
      runnable.forEach(f -> allow(set, f, READ_FILE | EXECUTE));
      return noNewPrivileges() && syscall(LANDLOCK_RESTRICT, set, 0, 0) == 0;
    }
  }

  private static void allow(int set, Path file, long rights) {
    if (!Files.exists(file)) {
      return;
    }
    try (Arena arena = Arena.ofConfined()) {
      int opened =
          (int)
              function("open", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT), 2)
                  .invokeExact(arena.allocateFrom(file.toString()), OPEN_PATH);
      MemorySegment rule = arena.allocate(12);
      rule.set(JAVA_LONG_UNALIGNED, 0, Files.isDirectory(file) ? rights : rights & ~READ_FOLDER);
      rule.set(JAVA_INT_UNALIGNED, 8, opened);
      if (syscall(LANDLOCK_ADD, set, 1, rule.address()) != 0) {
        throw new IllegalStateException("Landlock takes no rule for " + file);
      }
    } catch (Throwable e) {
      throw NativeLibrary.rethrown(e);
    }
  }

  private static boolean noNewPrivileges() {
    try {
      return (int)
              function(
                      "prctl",
                      FunctionDescriptor.of(
                          JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
                      1)
                  .invokeExact(NO_NEW_PRIVILEGES, 1L, 0L, 0L, 0L)
          == 0;
    } catch (Throwable e) {
      throw NativeLibrary.rethrown(e);
    }
  }

  /**
   * From now on no thread of this process opens a socket, starts a program, or reaches for another
   * process, a mount or the kernel: it is told that this is not permitted.
   *
   * @return false where the kernel does not do it
   */
  static boolean seccomp() {
    String processor = System.getProperty("os.arch", "");
    Calls calls =
        switch (processor) {
          case "amd64", "x86_64" -> X86_64;
          case "aarch64" -> AARCH64;
          default -> null;
        };
    if (!isLinux() || calls == null || !noNewPrivileges()) {
      return false;
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment filter = arena.allocate(8L * 256, 8);
      int n = 0;
      n = put(filter, n, 0x20, 0, 0, 4); // load the processor
      n = put(filter, n, 0x15, 1, 0, calls.audit());
      n = put(filter, n, 0x06, 0, 0, END_PROCESS);
      n = put(filter, n, 0x20, 0, 0, 0); // load the call
      n = put(filter, n, 0x35, 0, 1, 0x40000000); // another way to name them, on x86-64
      n = put(filter, n, 0x06, 0, 0, REFUSE);
      for (int[] list : List.of(calls.refused(), NEWER)) {
        for (int call : list) {
          n = put(filter, n, 0x15, 0, 1, call);
          n = put(filter, n, 0x06, 0, 0, REFUSE);
        }
      }
      n = put(filter, n, 0x15, 0, 1, CLONE3); // its flags cannot be seen: the C library uses clone
      n = put(filter, n, 0x06, 0, 0, UNKNOWN);
      n = put(filter, n, 0x15, 0, 3, calls.fork());
      n = put(filter, n, 0x20, 0, 0, 16); // load its flags
      n = put(filter, n, 0x45, 1, 0, CLONE_THREAD);
      n = put(filter, n, 0x06, 0, 0, REFUSE);
      n = put(filter, n, 0x06, 0, 0, ALLOW);
      MemorySegment program = arena.allocate(16, 8);
      program.set(JAVA_SHORT, 0, (short) n);
      program.set(ADDRESS, 8, filter);
      return syscall(calls.seccomp(), 1, 1, program.address()) == 0; // for all threads
    }
  }

  private static int put(MemorySegment filter, int at, int code, int yes, int no, int value) {
    long from = 8L * at;
    filter.set(JAVA_SHORT, from, (short) code);
    filter.set(JAVA_BYTE, from + 2, (byte) yes);
    filter.set(JAVA_BYTE, from + 3, (byte) no);
    filter.set(JAVA_INT, from + 4, value);
    return at + 1;
  }

  /**
   * This process becomes another program; returns only where that cannot be.
   *
   * @return the number of the error
   */
  static int become(List<String> command) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment arguments = arena.allocate(ADDRESS, command.size() + 1L);
      for (int i = 0; i < command.size(); i++) {
        arguments.setAtIndex(ADDRESS, i, arena.allocateFrom(command.get(i)));
      }
      Linker.Option keep = Linker.Option.captureCallState("errno");
      MemorySegment state = arena.allocate(Linker.Option.captureStateLayout());
      MethodHandle exec =
          LINKER.downcallHandle(
              LINKER.defaultLookup().findOrThrow("execv"),
              FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS),
              keep);
      int unused = (int) exec.invokeExact(state, arena.allocateFrom(command.getFirst()), arguments);
      return state.get(JAVA_INT, 0);
    } catch (Throwable e) {
      throw NativeLibrary.rethrown(e);
    }
  }

  /** Four arguments, the last of which is 0. */
  private static long syscall(long number, long a, long b, long c) {
    try {
      return (long)
          function(
                  "syscall",
                  FunctionDescriptor.of(
                      JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
                  1)
              .invokeExact(number, a, b, c, 0L);
    } catch (Throwable e) {
      throw NativeLibrary.rethrown(e);
    }
  }

  private static MethodHandle function(String name, FunctionDescriptor type) {
    return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), type);
  }

  private static MethodHandle function(String name, FunctionDescriptor type, int variadicFrom) {
    return LINKER.downcallHandle(
        LINKER.defaultLookup().findOrThrow(name),
        type,
        Linker.Option.firstVariadicArg(variadicFrom));
  }
}
