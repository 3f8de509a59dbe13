package dev.gridtie.grid.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.gridtie.grid.node.Hardware;
import dev.gridtie.grid.node.HostFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the libraries themselves say they can compute on, in a process of their own. */
class DeviceIT {
  private static final Path ROOT = Path.of(System.getProperty("gridtie.root"));

  @TempDir private Path folder;

  @Test
  void theUsualBuildComputesOnTheProcessor() throws Exception {
    Path libraries = Engine.libraries(ROOT.resolve("native/node_modules"));
    List<Device> devices = Device.all(libraries, folder.resolve("engine.log"), Sandbox.Mode.AUTO);
    assertThat(devices).anyMatch(d -> d.kind() == Device.Kind.CPU);
    assertThat(devices).noneMatch(d -> d.name().isEmpty() || d.description().isEmpty());
    long cpu =
        devices.stream()
            .filter(d -> d.kind() == Device.Kind.CPU)
            .mapToLong(Device::memoryBytes)
            .max()
            .orElseThrow();
    assertThat(cpu).isBetween(1L << 28, 1L << 46);
    assertThat(devices).allMatch(d -> d.freeBytes() >= 0 && d.freeBytes() <= d.memoryBytes());
  }

  @Test
  void aFolderWithoutLibrariesSaysSo() {
    assertThatThrownBy(() -> Device.all(folder, folder.resolve("engine.log"), Sandbox.Mode.AUTO))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("there is no libggml-base in");
  }

  /** What is not used takes no memory that nobody has set aside for it. */
  @Test
  void aMachineIsWhatItsEngineFinds() {
    HostFiles host = new HostFiles(folder);
    Hardware rtx =
        new Hardware("cpu", 8, List.of(), 16L << 30, "RTX 4090", "cuda", 24L << 30, 450, true);
    Hardware without = rtx.with(List.of(), host);
    assertThat(without.gpuBytes()).isZero();
    assertThat(without.gpu()).isEmpty();
    assertThat(without.watts()).isEqualTo(64);
    assertThat(without.powerReadable()).isFalse();
    Device two = new Device("Vulkan1", "RTX 3060", Device.Kind.GPU, 12L << 30, 1);
    Device one = new Device("Vulkan0", "RTX 4090", Device.Kind.GPU, 24L << 30, 1);
    assertThat(rtx.with(List.of(one, two), host).gpuBytes()).isEqualTo(36L << 30);
    Device shared = new Device("Vulkan0", "Iris", Device.Kind.INTEGRATED, 16L << 30, 1);
    Hardware laptop =
        new Hardware("cpu", 8, List.of(), 16L << 30, "", "", 0, 64, true)
            .with(List.of(shared), host);
    assertThat(laptop.gpuBytes()).as("its memory is the machine's").isZero();
    assertThat(laptop.gpu()).isEqualTo("Iris");
    assertThat(laptop.gpuKind()).isEqualTo("vulkan");
  }
}
