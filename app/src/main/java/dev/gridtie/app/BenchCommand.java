package dev.gridtie.app;

import picocli.CommandLine.Command;

/** {@code gridtie bench}: measures. */
@Command(
    name = "bench",
    mixinStandardHelpOptions = true,
    description = "Measures this program on this machine.")
final class BenchCommand {}
