package dev.gridtie.gateway.gate;

import dev.gridtie.gateway.catalog.ModelOffer;
import dev.gridtie.wire.openai.ChatRequest;
import java.math.BigInteger;

/**
 * A request that could be served once it is paid.
 *
 * @param fingerprint of method, path and body: two requests with the same are the same request
 * @param requestSha256 of the body, hexadecimal
 * @param promptTokens counted
 * @param maxTokens of the answer
 * @param quote the upper bound of the price, atomic units
 */
public record Order(
    String fingerprint,
    String requestSha256,
    ChatRequest request,
    ModelOffer model,
    int promptTokens,
    int maxTokens,
    BigInteger quote) {}
