-- Several gateways on one database: who they are, and which of them works on a payment.

CREATE TABLE gateway (
  id ${text} PRIMARY KEY,
  -- Grows while the gateway lives.
  beat ${int} NOT NULL
) ${keyed};

ALTER TABLE payment ADD COLUMN owner ${text} NOT NULL DEFAULT '';

-- What limited keys have spent, by what is limited: total, day:2027-01-15, month:2027-01, model:…, place:….
CREATE TABLE budget (
  key_id ${text} NOT NULL,
  scope ${text} NOT NULL,
  spent ${text} NOT NULL,
  PRIMARY KEY (key_id, scope)
) ${keyed};

-- What of it a gateway may spend without asking. What is spent and all that is leased stay within the limit.
CREATE TABLE budget_lease (
  key_id ${text} NOT NULL,
  scope ${text} NOT NULL,
  gateway ${text} NOT NULL,
  amount ${text} NOT NULL,
  PRIMARY KEY (key_id, scope, gateway)
) ${keyed};

-- Keys, where they are not in a file of the home's.
CREATE TABLE api_key (
  id ${text} PRIMARY KEY,
  name ${text} NOT NULL UNIQUE,
  hash ${text} NOT NULL UNIQUE,
  label ${text} NOT NULL,
  limits ${text} NOT NULL,
  created ${int} NOT NULL,
  revoked ${int} NOT NULL
) ${keyed};
