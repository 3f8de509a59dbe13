-- All that a part's worth was computed from, so that anybody can compute it again; rows from before have no manifest.
ALTER TABLE grid_work ADD COLUMN manifest ${text} NOT NULL DEFAULT '';
ALTER TABLE grid_work ADD COLUMN cached ${int} NOT NULL DEFAULT 0;
ALTER TABLE grid_work ADD COLUMN reliability ${int} NOT NULL DEFAULT 0;
ALTER TABLE grid_work ADD COLUMN joules ${int} NOT NULL DEFAULT 0;
ALTER TABLE grid_work ADD COLUMN flop_per_kwh ${text} NOT NULL DEFAULT '0';
CREATE INDEX grid_work_batch ON grid_work (batch);

-- The models that were served, by their hash: canonical JSON.
CREATE TABLE grid_manifest (
  hash ${text} PRIMARY KEY,
  json ${text} NOT NULL
) ${keyed};
