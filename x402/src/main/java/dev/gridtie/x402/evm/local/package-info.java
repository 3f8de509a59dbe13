/** A test chain on this machine: anvil as a child process, with a test coin. */
@NullMarked
package dev.gridtie.x402.evm.local;

import org.jspecify.annotations.NullMarked;
