/** What is offered: models, their prices, limits and engines. */
@NullMarked
package dev.gridtie.gateway.catalog;

import org.jspecify.annotations.NullMarked;
