-- Whether a request's tokens are our own count, where its server gave none or one that cannot be.
ALTER TABLE usage ADD COLUMN estimated ${int} NOT NULL DEFAULT 0;
