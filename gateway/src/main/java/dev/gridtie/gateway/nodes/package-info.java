/** The grid at a gateway: who may join, what their models are called, what they are paid. */
@org.jspecify.annotations.NullMarked
package dev.gridtie.gateway.nodes;
