-- The tables that Postfix, Dovecot and applications already know. What exists on a running server is
-- left as it is found.

CREATE TABLE IF NOT EXISTS virtual_domains (
    id INTEGER PRIMARY KEY,
    name VARCHAR(255) NOT NULL UNIQUE
);

CREATE TABLE IF NOT EXISTS virtual_users (
    id INTEGER PRIMARY KEY,
    domain_id INTEGER REFERENCES virtual_domains(id) ON DELETE CASCADE,
    email VARCHAR(255) NOT NULL UNIQUE,
    password VARCHAR(255),
    home VARCHAR(1024),                       -- NULL: <vmail_root>/<domain>/<user>
    mail_format VARCHAR(16),                  -- maildir, mbox; NULL: the site's
    enabled BOOLEAN NOT NULL DEFAULT TRUE,
    quota_bytes INTEGER NOT NULL DEFAULT 0,   -- 0: no limit
    quota_count INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS virtual_aliases (
    id INTEGER PRIMARY KEY,
    domain_id INTEGER REFERENCES virtual_domains(id) ON DELETE CASCADE,
    source VARCHAR(255) NOT NULL,
    destination VARCHAR(255) NOT NULL,
    UNIQUE (source, destination)
);

CREATE TABLE IF NOT EXISTS email_headers (
    id INTEGER PRIMARY KEY,
    user_id INTEGER REFERENCES virtual_users(id),
    subject VARCHAR(255),
    sender VARCHAR(255),
    recipient VARCHAR(255),
    date TIMESTAMP,                           -- UTC, 'YYYY-MM-DD HH:MM:SS'
    is_read BOOLEAN DEFAULT FALSE
);

CREATE TABLE IF NOT EXISTS contacts (
    id INTEGER PRIMARY KEY,
    user_id INTEGER REFERENCES virtual_users(id),
    contact_name VARCHAR(255),
    contact_email VARCHAR(255)
);
