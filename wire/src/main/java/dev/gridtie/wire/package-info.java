/** The dialects, as pure functions: bytes to records, records to bytes. Never does I/O. */
@NullMarked
package dev.gridtie.wire;

import org.jspecify.annotations.NullMarked;
