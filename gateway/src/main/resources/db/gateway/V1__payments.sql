-- What a gateway had before migrations were kept: a file that has it already is left as it is.

CREATE TABLE IF NOT EXISTS payment (
  key ${text} PRIMARY KEY,
  state ${text} NOT NULL,
  fingerprint ${text} NOT NULL,
  signature ${text} NOT NULL,
  payer ${text} NOT NULL,
  version ${int} NOT NULL,
  message ${text} NOT NULL,
  requirements ${text} NOT NULL,
  sent_hash ${text} NOT NULL,
  sent_raw ${blob},
  sent_nonce ${text} NOT NULL,
  sent_block ${int} NOT NULL,
  tx ${text} NOT NULL,
  request_id ${text} NOT NULL,
  seed ${int} NOT NULL,
  attempts ${int} NOT NULL,
  holding ${int} NOT NULL,
  reason ${text} NOT NULL,
  created ${int} NOT NULL,
  updated ${int} NOT NULL
) ${keyed};
CREATE INDEX IF NOT EXISTS payment_state_updated ON payment (state, updated);

CREATE TABLE IF NOT EXISTS delivered (
  payment_key ${text} PRIMARY KEY,
  body ${blob} NOT NULL,
  events ${int} NOT NULL,
  finish ${text} NOT NULL,
  receipt_id ${text} NOT NULL,
  created ${int} NOT NULL,
  stored ${int} NOT NULL
) ${keyed};

CREATE TABLE IF NOT EXISTS payment_name (
  payer ${text} NOT NULL,
  id ${text} NOT NULL,
  fingerprint ${text} NOT NULL,
  payment_key ${text} NOT NULL,
  stored ${int} NOT NULL,
  PRIMARY KEY (payer, id)
) ${keyed};

CREATE TABLE IF NOT EXISTS draft (
  payment_key ${text} PRIMARY KEY,
  receipt ${text} NOT NULL,
  due ${text} NOT NULL
) ${keyed};

CREATE TABLE IF NOT EXISTS receipt (
  id ${text} PRIMARY KEY,
  json ${text} NOT NULL
) ${keyed};

CREATE TABLE IF NOT EXISTS channel (
  id ${text} NOT NULL,
  network ${text} NOT NULL,
  config ${text} NOT NULL,
  charged ${text} NOT NULL,
  voucher_max ${text},
  voucher_signature ${blob},
  balance ${text} NOT NULL,
  claimed ${text} NOT NULL,
  withdraw_requested ${int} NOT NULL,
  refund_nonce ${text} NOT NULL,
  state_at ${int} NOT NULL,
  booked ${text} NOT NULL,
  unclaimed_since ${int},
  PRIMARY KEY (network, id)
) ${keyed};
CREATE INDEX IF NOT EXISTS channel_unclaimed ON channel (unclaimed_since);

CREATE TABLE IF NOT EXISTS usage (
  id ${text} PRIMARY KEY,
  key_id ${text} NOT NULL,
  time ${int} NOT NULL,
  model ${text} NOT NULL,
  provider ${text} NOT NULL,
  dialect ${text} NOT NULL,
  streamed ${int} NOT NULL,
  input ${int} NOT NULL,
  cache_read ${int} NOT NULL,
  cache_write ${int} NOT NULL,
  output ${int} NOT NULL,
  reasoning ${int} NOT NULL,
  cost ${text} NOT NULL,
  finish ${text} NOT NULL,
  first_byte_ms ${int} NOT NULL,
  total_ms ${int} NOT NULL,
  outcome ${text} NOT NULL,
  endpoint ${text} NOT NULL DEFAULT ''
) ${keyed};
CREATE INDEX IF NOT EXISTS usage_key ON usage (key_id, time);
