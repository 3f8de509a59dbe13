/** Runs open-weight models: llama.cpp in a child process, batched, with a sampler of our own. */
@NullMarked
package dev.gridtie.grid.engine;

import org.jspecify.annotations.NullMarked;
