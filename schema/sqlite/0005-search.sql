-- Search: the index, the rows that wait for it, and what an application selects from
-- (docs/sql.md, docs/search.md).

-- Newest first for one user, whatever the mailbox: the first pages of a common word.
CREATE INDEX IF NOT EXISTS email_headers_user_date ON email_headers (user_id, date, id);
-- Small: only what a search asks for by state or size and a walk by date would find late.
CREATE INDEX email_headers_user_flagged ON email_headers (user_id, date, id)
    WHERE flags LIKE '%\Flagged%';
CREATE INDEX email_headers_user_unread ON email_headers (user_id, date, id) WHERE NOT is_read;
CREATE INDEX email_headers_user_large ON email_headers (user_id, date, id) WHERE size >= 1048576;

-- Index tokens of a row, "<user_id>_<letters>", separated by spaces. rowid is email_headers.id.
-- No text is kept (content=''): an entry is removed by giving the same tokens again, which are made
-- from the document in email_search_gone.
CREATE VIRTUAL TABLE email_search USING fts5 (
    tokens, content = '', columnsize = 0, detail = none, tokenize = "ascii tokenchars '_'"
);

-- Rows that are not in email_search yet. A search looks at them one by one. A user_id that an application
-- made something else than a number is no user's.
CREATE TABLE email_search_pending (
    user_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (user_id, id)
) WITHOUT ROWID;

-- Entries of email_search whose row is gone or reads differently now.
CREATE TABLE email_search_gone (
    id INTEGER PRIMARY KEY,
    user_id INTEGER NOT NULL,
    search_document TEXT NOT NULL
);

CREATE TRIGGER email_search_insert AFTER INSERT ON email_headers
WHEN typeof(NEW.user_id) = 'integer'
BEGIN
    INSERT INTO email_search_pending (user_id, id) VALUES (NEW.user_id, NEW.id)
    ON CONFLICT DO NOTHING;
END;

CREATE TRIGGER email_search_update AFTER UPDATE OF search_document, user_id ON email_headers
WHEN OLD.search_document IS NOT NEW.search_document OR OLD.user_id IS NOT NEW.user_id
BEGIN
    INSERT INTO email_search_gone (id, user_id, search_document)
    SELECT OLD.id, OLD.user_id, OLD.search_document
    WHERE typeof(OLD.user_id) = 'integer' AND OLD.search_document IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM email_search_pending
                      WHERE user_id = OLD.user_id AND id = OLD.id);
    DELETE FROM email_search_pending WHERE user_id = OLD.user_id AND id = OLD.id;
    INSERT INTO email_search_pending (user_id, id)
    SELECT NEW.user_id, NEW.id WHERE typeof(NEW.user_id) = 'integer';
END;

CREATE TRIGGER email_search_delete AFTER DELETE ON email_headers
WHEN typeof(OLD.user_id) = 'integer'
BEGIN
    INSERT INTO email_search_gone (id, user_id, search_document)
    SELECT OLD.id, OLD.user_id, OLD.search_document
    WHERE OLD.search_document IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM email_search_pending
                      WHERE user_id = OLD.user_id AND id = OLD.id);
    DELETE FROM email_search_pending WHERE user_id = OLD.user_id AND id = OLD.id;
END;

-- Rows from before this migration wait as well.
INSERT INTO email_search_pending (user_id, id)
SELECT user_id, id FROM email_headers WHERE typeof(user_id) = 'integer';

-- The folded fields of the search document, for comparisons: instr(from_text, 'kim') > 0. A row that
-- an application inserted without a document is compared by its columns, in lower case.
CREATE VIEW email_search_text AS
SELECT id, user_id, document,
    CASE instr(document, char(28)) WHEN 0 THEN document
         ELSE substr(document, 1, instr(document, char(28)) - 1) END AS subject_text,
    substr(document, instr(document, char(28)) + 1,
           instr(document, char(29)) - instr(document, char(28)) - 1) AS from_text,
    substr(document, instr(document, char(29)) + 1,
           instr(document, char(30)) - instr(document, char(29)) - 1) AS to_text,
    substr(document, instr(document, char(30)) + 1,
           instr(document, char(31)) - instr(document, char(30)) - 1) AS cc_text,
    CASE instr(document, char(31)) WHEN 0 THEN ''
         ELSE substr(document, instr(document, char(31)) + 1) END AS list_text
FROM (SELECT id, user_id,
             coalesce(search_document,
                      lower(coalesce(subject, '') || char(28) || coalesce(sender, '') || char(29) ||
                            coalesce(recipient, '') || char(30) || char(31))) AS document
      FROM email_headers);
