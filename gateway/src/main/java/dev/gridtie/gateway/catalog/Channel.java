package dev.gridtie.gateway.catalog;

import dev.gridtie.gateway.answer.AnswerSource;

/**
 * One way to an endpoint: one of its keys, with a circuit breaker of its own.
 *
 * @param label names the key without giving it away
 */
public record Channel(String label, AnswerSource source, Breaker breaker) {}
