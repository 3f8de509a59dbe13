package dev.gridtie.app;

import com.sun.management.OperatingSystemMXBean;
import dev.gridtie.base.ready.Check;
import dev.gridtie.base.ready.Finding;
import java.lang.management.ManagementFactory;
import java.util.List;

/** What is tested of a machine that is to answer for others. */
final class NodeChecks {
  /** Less than this holds no model that is worth asking for. */
  private static final long MEMORY_BYTES_LOW = 1L << 30;

  private NodeChecks() {}

  static List<Check> all(Install install) {
    return List.of(
        new Check(
            "memory",
            "that an engine has room for a model",
            () -> {
              OperatingSystemMXBean system =
                  ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
              long free = system.getFreeMemorySize();
              String detail = (free >> 20) + " MiB are free";
              return free < MEMORY_BYTES_LOW
                  ? new Finding.Warning(
                      "little memory is free",
                      detail,
                      "end what uses it, or contribute a smaller model (./gridtie node --help)")
                  : Finding.ok(detail);
            }));
  }
}
