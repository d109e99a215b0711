-- Sync: what it saw last.

-- The file's \Seen when file and row last agreed (a new file is not seen). Where is_read differs
-- from it, an application changed the row and sync carries that into the file's name.
ALTER TABLE email_headers ADD COLUMN file_is_read BOOLEAN DEFAULT FALSE;
UPDATE email_headers SET file_is_read = is_read;
CREATE INDEX email_headers_carry ON email_headers (user_id, mailbox)
    WHERE is_read IS NOT file_is_read;

-- Change stamps of a folder (nanoseconds): while they stay the same, it is not read again.
CREATE TABLE sync_folders (
    user_id INTEGER NOT NULL,
    mailbox TEXT NOT NULL,
    new_mtime INTEGER NOT NULL,
    cur_mtime INTEGER NOT NULL,
    keywords_mtime INTEGER NOT NULL,
    PRIMARY KEY (user_id, mailbox)
);
