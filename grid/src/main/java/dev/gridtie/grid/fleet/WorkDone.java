package dev.gridtie.grid.fleet;

import dev.gridtie.grid.model.Manifest;
import dev.gridtie.grid.pay.PayFormula;

/**
 * What a node did for one answer, or for its part of one.
 *
 * @param id names it for ever
 * @param node the address that is paid
 * @param pool empty for the public one
 * @param vouched whether it is paid at once
 * @param job by which the node knows it
 * @param manifestHash the model's, as its group has it: computing it anew would take long
 * @param joules that it took, by what the node says its machine takes
 */
public record WorkDone(
    String id,
    String node,
    String pool,
    boolean vouched,
    long job,
    Manifest manifest,
    String manifestHash,
    String quantization,
    PayFormula.Work work,
    int reliabilityPpm,
    long joules) {}
