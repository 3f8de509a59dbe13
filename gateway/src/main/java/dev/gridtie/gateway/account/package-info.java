/** Keys: who may call, how much they may spend, and what they have. */
@NullMarked
package dev.gridtie.gateway.account;

import org.jspecify.annotations.NullMarked;
