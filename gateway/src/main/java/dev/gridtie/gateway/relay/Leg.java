package dev.gridtie.gateway.relay;

import dev.gridtie.gateway.catalog.Endpoint;
import dev.gridtie.gateway.catalog.Model;

/** A model, and one endpoint that may answer for it. */
public record Leg(Model model, Endpoint endpoint) {}
