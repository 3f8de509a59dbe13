package dev.gridtie.gateway.edge;

import dev.gridtie.gateway.nodes.GridFiles;
import dev.gridtie.grid.fleet.Grid;

/** The grid, as the edge works with it. */
public record GridDesk(Grid grid, GridFiles files, GridFeed feed) {}
