package dev.gridtie.gateway.till;

import dev.gridtie.ledger.Migrations;

/** The tables that a gateway keeps beside the ledger. */
public final class GatewayTables {
  public static final Migrations MIGRATIONS = new Migrations("gateway", "db/gateway");

  private GatewayTables() {}
}
