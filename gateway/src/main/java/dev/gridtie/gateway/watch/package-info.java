/** What can be seen of the gateway at work: metrics, traces, the access log. */
@NullMarked
package dev.gridtie.gateway.watch;

import org.jspecify.annotations.NullMarked;
