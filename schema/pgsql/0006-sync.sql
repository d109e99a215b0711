-- Sync: what it saw last, and the word to the watcher when an application changes is_read.

-- The file's \Seen when file and row last agreed (a new file is not seen). Where is_read differs
-- from it, an application changed the row and sync carries that into the file's name.
ALTER TABLE email_headers ADD COLUMN file_is_read BOOLEAN DEFAULT FALSE;
UPDATE email_headers SET file_is_read = is_read;
CREATE INDEX email_headers_carry ON email_headers (user_id, mailbox)
    WHERE is_read IS DISTINCT FROM file_is_read;

-- Change stamps of a folder (nanoseconds): while they stay the same, it is not read again.
CREATE TABLE sync_folders (
    user_id INTEGER NOT NULL,
    mailbox TEXT NOT NULL,
    new_mtime BIGINT NOT NULL,
    cur_mtime BIGINT NOT NULL,
    keywords_mtime BIGINT NOT NULL,
    PRIMARY KEY (user_id, mailbox)
);

-- sync --watch listens on vmail_is_read; the payload is the user's id. Its own updates set both
-- columns alike and say nothing.
CREATE FUNCTION email_headers_tell_is_read() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('vmail_is_read', NEW.user_id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER email_headers_is_read AFTER UPDATE OF is_read ON email_headers
    FOR EACH ROW WHEN (NEW.user_id IS NOT NULL AND
                       NEW.is_read IS DISTINCT FROM OLD.is_read AND
                       NEW.is_read IS DISTINCT FROM NEW.file_is_read)
    EXECUTE FUNCTION email_headers_tell_is_read();
