/** Sign-in-with-x: a wallet shows who it is, without paying (CAIP-122; EIP-4361 on EVM). */
@NullMarked
package dev.gridtie.x402.siwx;

import org.jspecify.annotations.NullMarked;
