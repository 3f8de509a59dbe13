-- Accounts with limits, holds that expire, and the writers that share one ledger.

ALTER TABLE account ADD COLUMN debit_only ${int} NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN overdraft ${text} NOT NULL DEFAULT '0';
-- Milliseconds since 1970; null where a hold does not expire.
ALTER TABLE hold ADD COLUMN expires ${int};
CREATE INDEX hold_expires ON hold (expires) WHERE ended = 0 AND expires IS NOT NULL;

-- How many transactions each writer has committed: asked after a connection was lost in a commit.
CREATE TABLE writer (
  id ${text} PRIMARY KEY,
  commits ${int} NOT NULL,
  seen ${int} NOT NULL
) ${keyed};
