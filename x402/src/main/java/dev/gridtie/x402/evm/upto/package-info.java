/** Scheme upto on EVM: a ceiling is signed, what was used is paid. */
@NullMarked
package dev.gridtie.x402.evm.upto;

import org.jspecify.annotations.NullMarked;
