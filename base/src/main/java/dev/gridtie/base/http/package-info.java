/**
 * What a server on a public port needs, whatever it serves: bounds on connections and on bodies
 * under way. Nothing here knows what a request means.
 */
@NullMarked
package dev.gridtie.base.http;

import org.jspecify.annotations.NullMarked;
