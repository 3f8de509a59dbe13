-- What a ledger had before migrations were kept: a file that has it already is left as it is.

CREATE TABLE IF NOT EXISTS meta (
  key ${text} PRIMARY KEY,
  value ${int} NOT NULL
) ${keyed};

CREATE TABLE IF NOT EXISTS entry (
  seq ${int} PRIMARY KEY,
  id ${text} NOT NULL UNIQUE,
  body ${text} NOT NULL,
  hash ${blob} NOT NULL
) ${strict};

CREATE TABLE IF NOT EXISTS account (
  id ${text} PRIMARY KEY,
  credit_only ${int} NOT NULL,
  debits_pending ${text} NOT NULL,
  debits_posted ${text} NOT NULL,
  credits_pending ${text} NOT NULL,
  credits_posted ${text} NOT NULL
) ${keyed};

CREATE TABLE IF NOT EXISTS hold (
  id ${text} PRIMARY KEY,
  ended ${int} NOT NULL
) ${keyed};

INSERT INTO meta (key, value) VALUES ('schema', 1), ('commits', 0) ON CONFLICT DO NOTHING;
