-- What a header row says beyond the mission's columns: where the message lies, and what threads, lists
-- and searches need.

ALTER TABLE email_headers ADD COLUMN IF NOT EXISTS mailbox VARCHAR(1024);      -- "INBOX", "X.Y"
ALTER TABLE email_headers ADD COLUMN IF NOT EXISTS message_id VARCHAR(1024);   -- without <>
ALTER TABLE email_headers ADD COLUMN IF NOT EXISTS file VARCHAR(255);          -- base name, no flags
ALTER TABLE email_headers ADD COLUMN IF NOT EXISTS size INTEGER;               -- bytes on disk
ALTER TABLE email_headers ADD COLUMN IF NOT EXISTS flags TEXT;                 -- "\Answered $label1"
ALTER TABLE email_headers ADD COLUMN IF NOT EXISTS refs TEXT;                  -- message ids, without <>
ALTER TABLE email_headers ADD COLUMN IF NOT EXISTS has_attachment BOOLEAN DEFAULT FALSE;
ALTER TABLE email_headers ADD COLUMN IF NOT EXISTS received_at TIMESTAMP;      -- delivered here, UTC
ALTER TABLE email_headers ADD COLUMN IF NOT EXISTS search_document TEXT;       -- uncut subject, addresses

-- One row per file: a delivery and a sync that meet write the same one.
CREATE UNIQUE INDEX IF NOT EXISTS email_headers_file ON email_headers (user_id, mailbox, file);
-- A mailbox newest first; a message by its id (threads, duplicates).
CREATE INDEX IF NOT EXISTS email_headers_mailbox_date ON email_headers (user_id, mailbox, date);
CREATE INDEX IF NOT EXISTS email_headers_message_id ON email_headers (user_id, message_id);
