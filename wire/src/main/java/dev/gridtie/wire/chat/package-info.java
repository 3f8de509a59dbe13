/**
 * A conversation in no dialect: what all of them can say, what comes back, and how a dialect is
 * read and written.
 */
@NullMarked
package dev.gridtie.wire.chat;

import org.jspecify.annotations.NullMarked;
