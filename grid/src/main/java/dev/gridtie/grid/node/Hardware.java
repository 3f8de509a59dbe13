package dev.gridtie.grid.node;

import dev.gridtie.grid.engine.Device;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a machine is.
 *
 * @param cpu its name
 * @param cpuFeatures that engines make use of, such as {@code avx2}
 * @param memoryBytes of main memory
 * @param gpu its name; empty where there is none
 * @param gpuKind {@code cuda}, {@code rocm}, {@code vulkan} or {@code metal}; empty where there is
 *     none
 * @param gpuBytes of its own memory; 0 where it shares the main memory or has none
 * @param watts under load: of the graphics processor as its driver says, else a guess by cores
 * @param powerReadable whether what it takes can be measured
 */
public record Hardware(
    String cpu,
    int cores,
    List<String> cpuFeatures,
    long memoryBytes,
    String gpu,
    String gpuKind,
    long gpuBytes,
    int watts,
    boolean powerReadable) {
  private static final List<String> FEATURES =
      List.of(
          "sse4_2",
          "avx",
          "avx2",
          "fma",
          "f16c",
          "avx512f",
          "avx512_vnni",
          "avx_vnni",
          "amx_int8",
          "asimd",
          "asimddp",
          "i8mm",
          "sve");

  private static final int WATTS_PER_CORE = 8;
  private static final Pattern NUMBER = Pattern.compile("(\\d+)");

  public Hardware {
    cpuFeatures = List.copyOf(cpuFeatures);
  }

  /** Looks. Takes up to a few seconds: drivers' own tools are asked. */
  public static Hardware detect(HostFiles host, int cores, long memoryFallback) {
    String cpuInfo = host.read("proc/cpuinfo").orElse("");
    Gpu gpu = gpu(host);
    int watts = gpu.watts() > 0 ? gpu.watts() : cores * WATTS_PER_CORE;
    return new Hardware(
        cpuName(cpuInfo, host),
        cores,
        features(cpuInfo),
        memory(host).orElse(memoryFallback),
        gpu.name(),
        gpu.kind(),
        gpu.bytes(),
        watts,
        PowerMeter.of(host, gpu.kind()).isPresent());
  }

  private static String cpuName(String cpuInfo, HostFiles host) {
    return field(cpuInfo, "model name")
        .or(() -> field(cpuInfo, "Model"))
        .or(() -> host.read("proc/device-tree/model"))
        .or(() -> host.run("sysctl", "-n", "machdep.cpu.brand_string"))
        .map(n -> n.replaceAll("[^\\p{Print}]", "").replaceAll("\\s+", " "))
        .orElse("unknown processor");
  }

  private static Optional<String> field(String cpuInfo, String name) {
    return cpuInfo
        .lines()
        .filter(l -> l.startsWith(name) && l.contains(":"))
        .map(l -> l.substring(l.indexOf(':') + 1).strip())
        .findFirst();
  }

  private static List<String> features(String cpuInfo) {
    String flags = field(cpuInfo, "flags").or(() -> field(cpuInfo, "Features")).orElse("");
    List<String> words = List.of(flags.split(" "));
    return FEATURES.stream().filter(words::contains).toList();
  }

  /** Main memory, or what a container may take of it. */
  static Optional<Long> memory(HostFiles host) {
    Optional<Long> all = memInfo(host, "MemTotal");
    Optional<Long> limit = host.number("sys/fs/cgroup/memory.max");
    return limit.isPresent() && all.isPresent()
        ? Optional.of(Math.min(limit.get(), all.get()))
        : all;
  }

  /** Bytes of a line of {@code /proc/meminfo}. */
  static Optional<Long> memInfo(HostFiles host, String name) {
    return host.read("proc/meminfo").stream()
        .flatMap(String::lines)
        .filter(l -> l.startsWith(name + ":"))
        .map(NUMBER::matcher)
        .filter(Matcher::find)
        .map(m -> Long.parseLong(m.group(1)) * 1024)
        .findFirst();
  }

  /**
   * The same with what an engine has found on it.
   *
   * @param devices that a model can live on instead of the processor; none where it has to
   */
  public Hardware with(List<Device> devices, HostFiles host) {
    if (devices.isEmpty()) {
      boolean readable = PowerMeter.of(host, "").isPresent();
      return new Hardware(
          cpu, cores, cpuFeatures, memoryBytes, "", "", 0, cores * WATTS_PER_CORE, readable);
    }
    long own =
        devices.stream()
            .filter(d -> d.kind() == Device.Kind.GPU)
            .mapToLong(Device::memoryBytes)
            .sum();
    return new Hardware(
        cpu,
        cores,
        cpuFeatures,
        memoryBytes,
        gpu.isEmpty() ? devices.getFirst().description() : gpu,
        gpuKind.isEmpty() ? "vulkan" : gpuKind,
        own,
        watts,
        powerReadable);
  }

  private record Gpu(String name, String kind, long bytes, int watts) {}

  private static Gpu gpu(HostFiles host) {
    return nvidia(host)
        .or(() -> amd(host))
        .or(() -> apple(host))
        .or(() -> vulkan(host))
        .orElse(new Gpu("", "", 0, 0));
  }

  private static Optional<Gpu> nvidia(HostFiles host) {
    return host.run(
            "nvidia-smi",
            "--query-gpu=name,memory.total,power.limit",
            "--format=csv,noheader,nounits")
        .flatMap(out -> out.lines().findFirst())
        .map(line -> line.split(", "))
        .filter(parts -> parts.length == 3)
        .map(parts -> new Gpu(parts[0], "cuda", number(parts[1]) << 20, (int) number(parts[2])));
  }

  private static long number(String text) {
    Matcher matcher = NUMBER.matcher(text);
    return matcher.find() ? Long.parseLong(matcher.group(1)) : 0;
  }

  private static Optional<Gpu> amd(HostFiles host) {
    for (java.nio.file.Path card : host.list("sys/class/drm", "card?")) {
      String device = host.root().relativize(card).resolve("device").toString();
      Optional<Long> bytes = host.number(device + "/mem_info_vram_total");
      if (bytes.isPresent()) {
        boolean rocm = host.read("proc/devices").orElse("").contains("kfd");
        return Optional.of(new Gpu("AMD graphics", rocm ? "rocm" : "vulkan", bytes.get(), 0));
      }
    }
    return Optional.empty();
  }

  private static Optional<Gpu> apple(HostFiles host) {
    boolean mac = System.getProperty("os.name", "").toLowerCase(Locale.ROOT).contains("mac");
    boolean arm = System.getProperty("os.arch", "").contains("aarch64");
    return mac && arm
        ? Optional.of(
            new Gpu(
                host.run("sysctl", "-n", "machdep.cpu.brand_string").orElse("Apple"),
                "metal",
                0,
                0))
        : Optional.empty();
  }

  private static Optional<Gpu> vulkan(HostFiles host) {
    return host.run("vulkaninfo", "--summary").stream()
        .flatMap(String::lines)
        .filter(l -> l.contains("deviceName") && !l.contains("llvmpipe"))
        .map(l -> new Gpu(l.substring(l.indexOf('=') + 1).strip(), "vulkan", 0, 0))
        .findFirst();
  }

  /** In a line, for people. */
  public String summary() {
    List<String> parts = new ArrayList<>();
    parts.add(cpu + ", " + cores + " cores");
    parts.add((memoryBytes >> 30) + " GiB");
    if (!gpu.isEmpty()) {
      parts.add(gpu + (gpuBytes > 0 ? " " + (gpuBytes >> 30) + " GiB" : "") + " (" + gpuKind + ")");
    }
    String text = String.join(", ", parts);
    return text.length() <= 120 ? text : text.substring(0, 120);
  }
}
