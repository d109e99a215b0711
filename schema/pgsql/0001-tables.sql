-- The tables that Postfix, Dovecot and applications already know. What exists on a running server is
-- left as it is found.

CREATE TABLE IF NOT EXISTS virtual_domains (
    id SERIAL PRIMARY KEY,
    name VARCHAR(255) NOT NULL UNIQUE
);

CREATE TABLE IF NOT EXISTS virtual_users (
    id SERIAL PRIMARY KEY,
    domain_id INTEGER REFERENCES virtual_domains(id) ON DELETE CASCADE,
    email VARCHAR(255) NOT NULL UNIQUE,
    password VARCHAR(255),
    home VARCHAR(1024),                       -- NULL: <vmail_root>/<domain>/<user>
    mail_format VARCHAR(16),                  -- maildir, mbox; NULL: the site's
    enabled BOOLEAN NOT NULL DEFAULT TRUE,
    quota_bytes BIGINT NOT NULL DEFAULT 0,    -- 0: no limit
    quota_count BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS virtual_aliases (
    id SERIAL PRIMARY KEY,
    domain_id INTEGER REFERENCES virtual_domains(id) ON DELETE CASCADE,
    source VARCHAR(255) NOT NULL,
    destination VARCHAR(255) NOT NULL,
    UNIQUE (source, destination)
);

CREATE TABLE IF NOT EXISTS email_headers (
    id SERIAL PRIMARY KEY,
    user_id INTEGER REFERENCES virtual_users(id),
    subject VARCHAR(255),
    sender VARCHAR(255),
    recipient VARCHAR(255),
    date TIMESTAMP,                           -- UTC
    is_read BOOLEAN DEFAULT FALSE
);

CREATE TABLE IF NOT EXISTS contacts (
    id SERIAL PRIMARY KEY,
    user_id INTEGER REFERENCES virtual_users(id),
    contact_name VARCHAR(255),
    contact_email VARCHAR(255)
);
