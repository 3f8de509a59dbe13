-- What happened to credits on a day, in micro-credits: for supply and velocity.
CREATE TABLE credit_day (
  day ${text} PRIMARY KEY,
  minted ${text} NOT NULL,
  spent ${text} NOT NULL,
  transferred ${text} NOT NULL
) ${keyed};
