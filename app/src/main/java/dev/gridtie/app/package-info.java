/**
 * The command line, configuration and wiring: the only place that reads arguments, files and
 * environment and builds objects.
 */
@NullMarked
package dev.gridtie.app;

import org.jspecify.annotations.NullMarked;
