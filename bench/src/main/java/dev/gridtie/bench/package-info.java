/** Load with a fixed rate, and what it measures. */
package dev.gridtie.bench;
