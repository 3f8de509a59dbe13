-- What strangers have cost: gas by named tallies, each forgotten when its time is over (Unix seconds).
CREATE TABLE gas_tally (
  name ${text} PRIMARY KEY,
  amount ${text} NOT NULL,
  until ${int} NOT NULL
) ${keyed};
CREATE INDEX gas_tally_until ON gas_tally (until);

-- What payers have paid for answers that were given first, in pico-dollars, and how often they have not.
CREATE TABLE payer_history (
  payer ${text} PRIMARY KEY,
  paid ${text} NOT NULL,
  defaults ${int} NOT NULL,
  -- Unix milliseconds.
  updated ${int} NOT NULL
) ${keyed};
CREATE INDEX payer_history_updated ON payer_history (updated);

-- Answers that were given first and never paid, in pico-dollars.
CREATE TABLE payer_default (
  payment_key ${text} PRIMARY KEY,
  amount ${text} NOT NULL,
  -- Unix milliseconds.
  at ${int} NOT NULL
) ${keyed};
CREATE INDEX payer_default_at ON payer_default (at);
