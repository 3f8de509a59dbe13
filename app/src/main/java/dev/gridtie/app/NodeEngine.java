package dev.gridtie.app;

import dev.gridtie.grid.engine.Device;
import dev.gridtie.grid.engine.Engine;
import dev.gridtie.grid.engine.Sandbox;
import dev.gridtie.grid.node.Hardware;
import dev.gridtie.grid.node.HostFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Which build of llama.cpp a node runs. One for a graphics processor is taken only where it finds
 * one it can use: a driver or a library that is missing would have it compute on the processor, in
 * memory that nobody has set aside.
 *
 * @param hardware what the machine is to that build: without a graphics processor where it is not
 *     used
 */
record NodeEngine(Path libraries, Hardware hardware) {
  private static final String AUTO = "auto";

  /**
   * Chooses, and says on standard error what is missing where a graphics processor stays idle.
   *
   * @param asked {@code auto}, {@code cpu}, {@code cuda} or {@code vulkan}
   * @param log where engines write their errors
   * @param sandbox whether what asks the drivers must have one
   * @throws Main.Failure where what was asked for cannot be used
   */
  static NodeEngine choose(
      String asked,
      Install install,
      Hardware found,
      HostFiles host,
      Path log,
      Sandbox.Mode sandbox) {
    for (String kind : kinds(asked, found.gpuKind())) {
      Path libraries =
          Engine.libraries(install.root().resolve("native/" + kind + "/node_modules"), kind);
      List<Device> devices = List.of();
      String problem = "";
      if (!libraries.endsWith("linux-x64-" + kind)) {
        problem =
            "an engine for "
                + kind
                + " is to be had for Linux on x86-64 alone; a server of your own can use it: --server";
      } else if (!Files.isDirectory(libraries)) {
        problem = "the engine for " + kind + " is not installed: ./gridtie build " + kind;
      } else {
        try {
          devices =
              Device.all(libraries, log, sandbox).stream().filter(Device::isGraphics).toList();
          problem = "the engine for " + kind + " finds no graphics processor: " + needs(kind);
        } catch (IOException e) {
          problem = "the engine for " + kind + " cannot start: " + e.getMessage();
        }
      }
      if (!devices.isEmpty()) {
        return new NodeEngine(libraries, found.with(devices, host));
      }
      if (!asked.equals(AUTO)) {
        throw new Main.Failure(problem);
      }
      if (!found.gpu().isEmpty()) {
        System.err.println("gridtie: " + found.gpu() + ": " + problem);
      }
    }
    Path usual = Engine.libraries(install.nodeModules());
    boolean metal = asked.equals(AUTO) && Engine.backend(usual).equals("metal");
    return new NodeEngine(usual, metal ? found : found.with(List.of(), host));
  }

  /** None: a server of the owner's answers, with whatever it uses of the machine. */
  static NodeEngine none(Install install, Hardware found) {
    return new NodeEngine(Engine.libraries(install.nodeModules()), found);
  }

  /** What is tried, best first; Metal is part of the usual build. */
  private static List<String> kinds(String asked, String gpuKind) {
    return switch (asked) {
      case AUTO ->
          switch (gpuKind) {
            case "cuda" -> List.of("cuda", "vulkan");
            case "metal" -> List.of();
            default -> List.of("vulkan");
          };
      case "cpu" -> List.of();
      case "cuda", "vulkan" -> List.of(asked);
      default -> throw new Main.Failure("--engine must be auto, cpu, cuda or vulkan");
    };
  }

  private static String needs(String kind) {
    return kind.equals("cuda")
        ? "it needs NVIDIA's driver and CUDA's runtime, version 12 or 13 (libcudart, libcublas);"
            + " the engine for vulkan needs the driver alone"
        : "it needs the processor's Vulkan driver (vulkaninfo --summary lists those there are)";
  }
}
