package dev.gridtie.gateway.edge;

import dev.gridtie.gateway.account.KeyBook;
import dev.gridtie.gateway.account.Purse;
import dev.gridtie.gateway.account.UsageLog;
import dev.gridtie.gateway.cache.AnswerCache;
import dev.gridtie.gateway.catalog.Catalog;
import dev.gridtie.gateway.gate.Offers;
import dev.gridtie.gateway.gate.PaymentDesk;
import dev.gridtie.gateway.relay.Relay;
import dev.gridtie.gateway.route.Affinity;
import dev.gridtie.gateway.route.Router;
import dev.gridtie.gateway.watch.Metrics;
import dev.gridtie.gateway.watch.Watch;
import dev.gridtie.ledger.Database;
import dev.gridtie.ledger.log.LedgerLog;
import dev.gridtie.ledger.log.Witness;
import dev.gridtie.x402.offer.OfferReceipts;
import java.time.InstantSource;
import java.util.Optional;
import java.util.random.RandomGenerator;

/**
 * What the edge works with.
 *
 * @param statements signs what a 402 offers, and that a payment was answered
 * @param grid the nodes, where this gateway takes any
 * @param keepWords whether those who watch may see what was asked and answered
 */
public record Services(
    Catalog catalog,
    Router router,
    Affinity affinity,
    Relay relay,
    PaymentDesk desk,
    Offers offers,
    KeyBook keys,
    UsageLog usage,
    Purse purse,
    AnswerCache cache,
    Watch watch,
    Metrics metrics,
    boolean keepWords,
    OfferReceipts statements,
    LedgerLog log,
    Witness witness,
    Database database,
    Optional<GridDesk> grid,
    InstantSource clock,
    RandomGenerator random) {}
