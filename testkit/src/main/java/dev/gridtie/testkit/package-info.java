/**
 * What tests of several modules share: a seeded generator, and a chain that can be made to
 * misbehave.
 */
@NullMarked
package dev.gridtie.testkit;

import org.jspecify.annotations.NullMarked;
