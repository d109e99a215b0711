-- What makes a delivery happen once, and what Sieve remembers: written in the delivery's transaction.

-- The key of every delivery (docs/transaction.md), kept longer than the MTA keeps mail.
CREATE TABLE IF NOT EXISTS deliveries (
    user_id INTEGER NOT NULL,
    delivery_key BYTEA NOT NULL,
    delivered_at TIMESTAMP NOT NULL,
    queue_id VARCHAR(255),
    message_id VARCHAR(1024),
    PRIMARY KEY (user_id, delivery_key)
);
CREATE INDEX IF NOT EXISTS deliveries_delivered_at ON deliveries (delivered_at);

-- Who was answered (RFC 5230 4.2): one answer per key and address until it expires.
CREATE TABLE IF NOT EXISTS sieve_replies (
    user_id INTEGER NOT NULL,
    reply_key BYTEA NOT NULL,
    address VARCHAR(320) NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    PRIMARY KEY (user_id, reply_key, address)
);
CREATE INDEX IF NOT EXISTS sieve_replies_expires_at ON sieve_replies (expires_at);

-- What was seen (RFC 7352).
CREATE TABLE IF NOT EXISTS sieve_duplicates (
    user_id INTEGER NOT NULL,
    duplicate_key BYTEA NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    PRIMARY KEY (user_id, duplicate_key)
);
CREATE INDEX IF NOT EXISTS sieve_duplicates_expires_at ON sieve_duplicates (expires_at);
