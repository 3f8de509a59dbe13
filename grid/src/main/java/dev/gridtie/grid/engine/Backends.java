package dev.gridtie.grid.engine;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What a folder of libraries lets a model be computed on: ggml's backends and their devices. */
final class Backends {
  /** A name longer than this is not one. */
  private static final int NAME_BYTES_MAX = 256;

  private final NativeLibrary registry;
  private final NativeLibrary base;
  private final Arena arena;

  /** Loads all backends that this machine has what it takes for. */
  Backends(Path libraries, Arena arena) {
    this.arena = arena;
    this.base = new NativeLibrary(libraries, "ggml-base", Llama.FILE_VERSION, arena);
    this.registry = new NativeLibrary(libraries, "ggml", Llama.FILE_VERSION, arena);
    registry.call(
        "ggml_backend_load_all_from_path",
        FunctionDescriptor.ofVoid(ADDRESS),
        arena.allocateFrom(libraries.toString()));
    Path older = older(libraries);
    if (Files.isRegularFile(older) && devices().stream().noneMatch(Device::isGraphics)) {
      registry.call(
          "ggml_backend_load",
          FunctionDescriptor.of(ADDRESS, ADDRESS),
          arena.allocateFrom(older.toString()));
    }
  }

  /** The same backend for CUDA's version before, which comes in a package of its own. */
  static Path older(Path libraries) {
    String name = String.valueOf(libraries.getFileName());
    return libraries
        .resolve("../../../" + name + "-ext/bins/" + name + "/fallback/libggml-cuda.so")
        .normalize();
  }

  List<Device> devices() {
    long count = (long) registry.call("ggml_backend_dev_count", FunctionDescriptor.of(JAVA_LONG));
    List<Device> devices = new ArrayList<>();
    for (long i = 0; i < count; i++) {
      devices.add(
          device(
              (MemorySegment)
                  registry.call(
                      "ggml_backend_dev_get", FunctionDescriptor.of(ADDRESS, JAVA_LONG), i)));
    }
    return devices;
  }

  private Device device(MemorySegment device) {
    FunctionDescriptor text = FunctionDescriptor.of(ADDRESS, ADDRESS);
    int kind =
        (int) base.call("ggml_backend_dev_type", FunctionDescriptor.of(JAVA_INT, ADDRESS), device);
    MemorySegment free = arena.allocate(JAVA_LONG);
    MemorySegment total = arena.allocate(JAVA_LONG);
    base.call(
        "ggml_backend_dev_memory",
        FunctionDescriptor.ofVoid(ADDRESS, ADDRESS, ADDRESS),
        device,
        free,
        total);
    Device.Kind[] kinds = Device.Kind.values();
    return new Device(
        string(base.call("ggml_backend_dev_name", text, device)),
        string(base.call("ggml_backend_dev_description", text, device)),
        kind >= 0 && kind < kinds.length ? kinds[kind] : Device.Kind.ACCELERATOR,
        total.get(JAVA_LONG, 0),
        free.get(JAVA_LONG, 0));
  }

  private static String string(Object address) {
    return ((MemorySegment) address).reinterpret(NAME_BYTES_MAX).getString(0);
  }
}
