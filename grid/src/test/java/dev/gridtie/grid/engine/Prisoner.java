package dev.gridtie.grid.engine;

import java.io.IOException;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.stream.Stream;

/** Tries, in a sandbox, what an engine must not be able to do; says of each whether it could. */
final class Prisoner {
  private Prisoner() {}

  /**
   * Called with a file that it may read, one that it may not, a folder, a port that is listened on
   * and the id of its parent.
   */
  public static void main(String[] given) throws Exception {
    try (var in =
        new java.io.BufferedReader(
            new java.io.InputStreamReader(System.in, java.nio.charset.StandardCharsets.UTF_8))) {
      String[] arguments = in.readLine().split(" ", -1);
      Confinement.limit();
      boolean filtered = Confinement.seccomp();
      Map<String, Callable<Object>> tries = new TreeMap<>();
      tries.put("allowed", () -> Files.readAllBytes(Path.of(arguments[0])));
      tries.put("secret", () -> Files.readAllBytes(Path.of(arguments[1])));
      tries.put("listing", () -> list(Path.of(arguments[1]).getParent()));
      tries.put("passwd", () -> Files.readAllBytes(Path.of("/etc/passwd")));
      tries.put("writing", () -> Files.write(Path.of(arguments[2], "written"), new byte[1]));
      tries.put("overwriting", () -> Files.write(Path.of(arguments[0]), new byte[1]));
      tries.put("connecting", () -> new Socket("127.0.0.1", Integer.parseInt(arguments[3])));
      tries.put("listening", () -> new ServerSocket(0));
      tries.put("parent", () -> Files.readAllBytes(Path.of("/proc", arguments[4], "cmdline")));
      tries.put("environ", () -> Files.readAllBytes(Path.of("/proc", arguments[4], "environ")));
      tries.put("shell", () -> new ProcessBuilder("/bin/sh", "-c", "true").start().waitFor());
      tries.put("thread", Prisoner::thread);
      System.out.println("filtered " + filtered);
      System.out.println("variable " + (System.getenv("GRIDTIE_TEST_SECRET") != null));
      tries.forEach((name, one) -> System.out.println(name + " " + could(one)));
      System.out.println("end true");
    }
  }

  private static Object thread() throws InterruptedException {
    Thread thread = new Thread(() -> {});
    thread.start();
    thread.join();
    return thread;
  }

  private static Object list(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.toList();
    }
  }

  private static boolean could(Callable<Object> one) {
    try {
      Object unused = one.call();
      return true;
    } catch (Exception | LinkageError e) {
      return false;
    }
  }
}
