-- A day's books, closed: canonical JSON, whose hash stands in the log.
CREATE TABLE closing (
  day ${text} PRIMARY KEY,
  until_seq ${int} NOT NULL,
  json ${text} NOT NULL
) ${keyed};
