-- The entries as a published log, and what this one has cosigned of others'.

CREATE TABLE IF NOT EXISTS log_tile (
  level ${int} NOT NULL,
  n ${int} NOT NULL,
  hashes ${blob} NOT NULL,
  PRIMARY KEY (level, n)
) ${keyed};

CREATE TABLE IF NOT EXISTS log_checkpoint (
  size ${int} PRIMARY KEY,
  root ${blob} NOT NULL,
  note ${text} NOT NULL,
  time ${int} NOT NULL
) ${strict};

CREATE TABLE IF NOT EXISTS log_witnessed (
  origin ${text} PRIMARY KEY,
  size ${int} NOT NULL,
  root ${blob} NOT NULL
) ${keyed};
