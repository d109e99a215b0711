-- Search by quarters of a year: an entry of the index belongs to one user and one quarter, its tokens are
-- "<user_id>_<quarter>_<letters>", so that a search reads the newest ones until its page is full and
-- never all rows of a large mailbox that hold a word (docs/search.md). Quarters count from 1990: 1 is
-- its first, 0 what is before and what has no date.

DROP TRIGGER email_search_update;
DROP TRIGGER email_search_delete;

-- Every entry is made anew by vmail sync; until then a search compares the rows one by one.
DROP TABLE email_search;
CREATE VIRTUAL TABLE email_search USING fts5 (
    tokens, content = '', columnsize = 0, detail = none, tokenize = "ascii tokenchars '_'"
);
DELETE FROM email_search_gone;
-- What the row's date was when its entry was made; no type: as it stood there.
ALTER TABLE email_search_gone ADD COLUMN date;
INSERT INTO email_search_pending (user_id, id)
SELECT user_id, id FROM email_headers WHERE typeof(user_id) = 'integer'
ON CONFLICT DO NOTHING;

CREATE TRIGGER email_search_update AFTER UPDATE OF search_document, user_id, date ON email_headers
WHEN OLD.search_document IS NOT NEW.search_document OR OLD.user_id IS NOT NEW.user_id
  OR OLD.date IS NOT NEW.date
BEGIN
    INSERT INTO email_search_gone (id, user_id, search_document, date)
    SELECT OLD.id, OLD.user_id, OLD.search_document, OLD.date
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
    INSERT INTO email_search_gone (id, user_id, search_document, date)
    SELECT OLD.id, OLD.user_id, OLD.search_document, OLD.date
    WHERE OLD.search_document IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM email_search_pending
                      WHERE user_id = OLD.user_id AND id = OLD.id);
    DELETE FROM email_search_pending WHERE user_id = OLD.user_id AND id = OLD.id;
END;
