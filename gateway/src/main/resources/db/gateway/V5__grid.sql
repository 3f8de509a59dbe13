-- Pools of nodes, and who was invited into them (in a file these stand beside the ledger).
CREATE TABLE pool (
  name ${text} PRIMARY KEY,
  shared ${int} NOT NULL,
  vouched ${int} NOT NULL,
  created ${int} NOT NULL,
  closed ${int} NOT NULL
) ${keyed};

CREATE TABLE pool_invitation (
  id ${text} PRIMARY KEY,
  pool ${text} NOT NULL,
  label ${text} NOT NULL,
  node ${text} NOT NULL,
  created ${int} NOT NULL,
  expires ${int} NOT NULL,
  revoked ${int} NOT NULL
) ${keyed};

-- What nodes have done, a row for each part of an answer: what an entry's evidence is the hash of.
CREATE TABLE grid_work (
  id ${text} PRIMARY KEY,
  node ${text} NOT NULL,
  pool ${text} NOT NULL,
  model ${text} NOT NULL,
  quantization ${text} NOT NULL,
  prefill ${int} NOT NULL,
  decode ${int} NOT NULL,
  flop ${text} NOT NULL,
  batch ${text} NOT NULL,
  created ${int} NOT NULL
) ${keyed};
CREATE INDEX grid_work_node ON grid_work (node, created);

-- What nodes have come to: FLOP that are less than a micro-credit wait here for more.
CREATE TABLE grid_node (
  address ${text} NOT NULL,
  pool ${text} NOT NULL,
  carry ${text} NOT NULL,
  tokens ${int} NOT NULL,
  answers ${int} NOT NULL,
  released ${text} NOT NULL,
  pending ${text} NOT NULL,
  PRIMARY KEY (address, pool)
) ${keyed};
