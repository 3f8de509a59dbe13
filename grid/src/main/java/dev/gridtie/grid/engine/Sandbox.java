package dev.gridtie.grid.engine;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Starts a Java program of ours that reads what may come from anybody, a model's file, with as
 * little as it needs: its pipes, the runtime, the libraries, the file, and the devices that a
 * graphics processor is reached by. Two layers, where the machine has them: a view of the file
 * system (bubblewrap's namespaces, else Landlock), and a list of system calls that are refused,
 * which the program takes on itself ({@link Confinement#seccomp}). The environment is empty in any
 * case, but for what drivers read.
 */
public final class Sandbox {
  /** What is done where a layer cannot be had. */
  public enum Mode {
    /** The engine does not start. */
    REQUIRED,
    /** It starts with the layers that there are, and says which are missing. */
    AUTO,
    /** There is no sandbox, but for the empty environment. */
    OFF;

    /**
     * By its name in configurations.
     *
     * @throws IllegalArgumentException where it is not one of them
     */
    public static Mode of(String name) {
      return switch (name) {
        case "required" -> REQUIRED;
        case "auto" -> AUTO;
        case "off" -> OFF;
        default ->
            throw new IllegalArgumentException(
                "the engine's sandbox is required, auto or off, not " + name);
      };
    }
  }

  /**
   * A program that was started.
   *
   * @param files what keeps files from it: {@code bubblewrap}, {@code Landlock}, or empty
   * @param missing why nothing does; empty where something does
   */
  public record Started(Process process, String files, String missing) {}

  private static final int PROBE_SECONDS = 20;

  /** What a child keeps of our environment: drivers and the loader read these. */
  private static final Set<String> KEPT =
      Set.of(
          "LD_LIBRARY_PATH",
          "CUDA_VISIBLE_DEVICES",
          "NVIDIA_VISIBLE_DEVICES",
          "HIP_VISIBLE_DEVICES",
          "ROCR_VISIBLE_DEVICES",
          "GGML_VK_VISIBLE_DEVICES",
          "VK_ICD_FILENAMES",
          "VK_DRIVER_FILES");

  private static final Map<String, String> GIVEN =
      Map.of(
          "PATH", "/usr/bin:/bin",
          "LC_ALL", "C.UTF-8",
          "HOME", "/",
          "CUDA_CACHE_DISABLE", "1",
          "MESA_SHADER_CACHE_DISABLE", "true");

  /** Of the system: its libraries, what the loader and drivers are configured by. */
  private static final List<Path> SYSTEM =
      Stream.of(
              "/lib",
              "/lib64",
              "/usr/lib",
              "/usr/lib64",
              "/usr/lib32",
              "/usr/local/cuda",
              "/opt/rocm",
              "/etc/ld.so.cache",
              "/etc/vulkan",
              "/etc/OpenCL",
              "/usr/share/vulkan",
              "/usr/share/glvnd",
              "/usr/share/drirc.d",
              "/usr/share/libdrm",
              "/usr/share/nvidia")
          .map(Path::of)
          .toList();

  private static final List<Path> KERNEL =
      Stream.of(
              "/sys",
              "/proc/cpuinfo",
              "/proc/meminfo",
              "/proc/stat",
              "/proc/driver",
              "/proc/version",
              "/proc/cgroups",
              "/proc/sys/kernel",
              "/proc/sys/vm")
          .map(Path::of)
          .toList();

  private static final List<Path> DEVICES =
      Stream.of("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom").map(Path::of).toList();

  private static @Nullable Optional<String> bubblewrapWrong;

  private Sandbox() {}

  /**
   * Starts one.
   *
   * @param under what it is started under, such as {@code nice -n 19}; usually nothing
   * @param options of the virtual machine
   * @param main the class
   * @param readable besides the runtime and our own code: files and folders
   * @param log where its errors go
   */
  static Started start(
      Mode mode,
      List<String> under,
      List<String> options,
      Class<?> main,
      List<Path> readable,
      Path log)
      throws IOException {
    return start(mode, true, under, options, main, readable, log);
  }

  /**
   * The same.
   *
   * @param namespaces false to use Landlock even where bubblewrap works
   */
  static Started start(
      Mode mode,
      boolean namespaces,
      List<String> under,
      List<String> options,
      Class<?> main,
      List<Path> readable,
      Path log)
      throws IOException {
    Path runtime = Path.of(System.getProperty("java.home")).toRealPath();
    Path java = runtime.resolve("bin/java");
    List<Path> code =
        Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
            .filter(entry -> !entry.isEmpty())
            .map(entry -> Path.of(entry).toAbsolutePath())
            .toList();
    List<String> program = new ArrayList<>(List.of(java.toString()));
    program.addAll(options);
    program.addAll(
        List.of(
            "-cp",
            String.join(File.pathSeparator, code.stream().map(Path::toString).toList()),
            main.getName()));
    List<Path> all = new ArrayList<>(code);
    all.add(runtime);
    readable.forEach(f -> all.add(f.toAbsolutePath()));

    String missing = mode == Mode.OFF ? "it is switched off" : "";
    String files = "";
    if (mode != Mode.OFF) {
      Optional<String> wrong =
          namespaces ? bubblewrap(all) : Optional.of("bubblewrap is not to be used");
      if (wrong.isEmpty()) {
        files = "bubblewrap";
        program.addAll(0, bubblewrapped(all));
      } else if (Confinement.landlockVersion() > 0) {
        files = "Landlock";
        program = landlocked(java, code, all, program);
      } else {
        missing =
            Confinement.isLinux()
                ? wrong.get() + ", and this kernel has no Landlock"
                : "this system has neither bubblewrap nor Landlock";
      }
    }
    if (mode == Mode.REQUIRED && files.isEmpty()) {
      throw new IOException("a sandbox is required for engines, and cannot be had: " + missing);
    }
    program.addAll(0, under);
    ProcessBuilder builder =
        new ProcessBuilder(program)
            .directory(new File("/"))
            .redirectError(ProcessBuilder.Redirect.appendTo(log.toFile()));
    Map<String, String> environment = builder.environment();
    environment.keySet().retainAll(KEPT);
    environment.putAll(GIVEN);
    return new Started(builder.start(), files, missing);
  }

  // Bubblewrap

  private static List<String> bubblewrapped(List<Path> readable) throws IOException {
    List<String> command =
        new ArrayList<>(
            List.of(
                "bwrap",
                "--unshare-all",
                "--die-with-parent",
                "--new-session",
                "--cap-drop",
                "ALL",
                "--proc",
                "/proc",
                "--dev",
                "/dev",
                "--tmpfs",
                "/tmp"));
    List<Path> seen = new ArrayList<>(SYSTEM);
    seen.add(Path.of("/sys"));
    for (Path one : seen) {
      if (Files.isSymbolicLink(one)) {
        command.addAll(
            List.of("--symlink", Files.readSymbolicLink(one).toString(), one.toString()));
      } else {
        command.addAll(List.of("--ro-bind-try", one.toString(), one.toString()));
      }
    }
    for (Path device : graphics()) {
      command.addAll(List.of("--dev-bind-try", device.toString(), device.toString()));
    }
    for (Path one : readable) {
      Path real = Files.exists(one) ? one.toRealPath() : one;
      command.addAll(List.of("--ro-bind-try", real.toString(), one.toString()));
      command.addAll(List.of("--ro-bind-try", real.toString(), real.toString()));
    }
    command.addAll(List.of("--chdir", "/", "--"));
    return command;
  }

  /** Why bubblewrap cannot be used here; empty where it can. Tried once. */
  private static synchronized Optional<String> bubblewrap(List<Path> readable) throws IOException {
    Optional<String> known = bubblewrapWrong;
    if (known == null) {
      known = probe(readable);
      bubblewrapWrong = known;
    }
    return known;
  }

  private static Optional<String> probe(List<Path> readable) throws IOException {
    if (!Confinement.isLinux()) {
      return Optional.of("bubblewrap is for Linux alone");
    }
    List<String> command = bubblewrapped(readable);
    command.addAll(command.indexOf("--chdir"), List.of("--ro-bind", "/bin/true", "/gridtie-probe"));
    command.add("/gridtie-probe");
    try {
      Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
      process.getOutputStream().close();
      boolean ended = process.waitFor(PROBE_SECONDS, TimeUnit.SECONDS);
      if (ended && process.exitValue() == 0) {
        return Optional.empty();
      }
      process.destroyForcibly();
      String said =
          new String(
              process.getInputStream().readNBytes(300), java.nio.charset.StandardCharsets.UTF_8);
      return Optional.of("bubblewrap does not work here (" + said.strip() + ")");
    } catch (IOException e) {
      return Optional.of("bubblewrap is not installed");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }

  /** The device nodes that a graphics processor is reached by. */
  private static List<Path> graphics() throws IOException {
    List<Path> found = new ArrayList<>(List.of(Path.of("/dev/dri"), Path.of("/dev/kfd")));
    if (Files.isDirectory(Path.of("/dev"))) {
      try (Stream<Path> nodes = Files.list(Path.of("/dev"))) {
        nodes.filter(n -> n.getFileName().toString().startsWith("nvidia")).forEach(found::add);
      }
    }
    return found.stream().filter(Files::exists).toList();
  }

  // Landlock: it binds the thread that asks for it and what that becomes. So a small virtual
  // machine asks, and becomes the one that is wanted, every thread of which is bound then.

  private static List<String> landlocked(
      Path java, List<Path> code, List<Path> readable, List<String> program) throws IOException {
    List<String> command =
        new ArrayList<>(
            List.of(
                java.toString(),
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-XX:-UsePerfData",
                "-Xmx32m",
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                String.join(File.pathSeparator, code.stream().map(Path::toString).toList()),
                Sandbox.class.getName()));
    readable.forEach(f -> command.add(f.toString()));
    command.add("--");
    command.addAll(program);
    return command;
  }

  /** Called with what is readable, {@code --}, and a program to become. */
  public static void main(String[] arguments) throws IOException {
    int end = Arrays.asList(arguments).indexOf("--");
    List<Path> readable = new ArrayList<>();
    for (String one : Arrays.asList(arguments).subList(0, end)) {
      readable.add(Path.of(one));
    }
    readable.addAll(SYSTEM);
    readable.addAll(KERNEL);
    readable.add(Path.of("/proc/" + ProcessHandle.current().pid()));
    List<Path> devices = new ArrayList<>(DEVICES);
    devices.addAll(graphics());
    List<String> program = List.of(arguments).subList(end + 1, arguments.length);
    List<Path> runnable = new ArrayList<>(List.of(Path.of(program.getFirst())));
    for (String loader :
        List.of(
            "/lib64/ld-linux-x86-64.so.2",
            "/lib/ld-linux-aarch64.so.1",
            "/lib/ld-musl-x86_64.so.1")) {
      if (Files.exists(Path.of(loader))) {
        runnable.add(Path.of(loader).toRealPath());
      }
    }
    if (!Confinement.landlock(readable, devices, runnable)) {
      System.err.println("Landlock refuses its rules");
      System.exit(1);
    }
    int error = Confinement.become(program);
    System.err.println("the engine's program cannot be started under Landlock: error " + error);
    System.exit(1);
  }
}
