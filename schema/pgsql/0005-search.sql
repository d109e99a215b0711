-- Search: the index, the rows that wait for it, and the functions an application selects from
-- (docs/sql.md, docs/search.md).

-- Newest first for one user, whatever the mailbox: the first pages of a common word.
CREATE INDEX IF NOT EXISTS email_headers_user_date ON email_headers (user_id, date, id);
-- Small: only what a search asks for by state or size and a walk by date would find late.
CREATE INDEX email_headers_user_flagged ON email_headers (user_id, date, id)
    WHERE flags LIKE '%\\Flagged%';
CREATE INDEX email_headers_user_unread ON email_headers (user_id, date, id) WHERE NOT is_read;
CREATE INDEX email_headers_user_large ON email_headers (user_id, date, id) WHERE size >= 1048576;

-- Index tokens of a row, "<user_id>_<letters>". The user stands inside the token, so that an
-- entry of the index holds one user's rows only. "C": bytes are compared, not a language's order.
CREATE TABLE email_search (
    user_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    date TIMESTAMP,                           -- the row's: candidates are looked at newest first
    tokens TEXT[] COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, id)
);
-- Filled in batches by vmail sync, which empties the index's own pending list when it is done: filling
-- is four times as fast as without that list, and a search finds it empty.
CREATE INDEX email_search_tokens ON email_search USING gin (tokens)
    WITH (fastupdate = on, gin_pending_list_limit = 4096);

-- Rows that are not in email_search yet, or read differently there. A search looks at them one by one.
CREATE TABLE email_search_pending (
    user_id INTEGER NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (user_id, id)
);

CREATE FUNCTION email_search_wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- DO UPDATE, not NOTHING: it locks an entry that is there, so that a filler passes over it
    -- until this change is committed
    INSERT INTO email_search_pending (user_id, id) VALUES (NEW.user_id, NEW.id)
    ON CONFLICT (user_id, id) DO UPDATE SET id = excluded.id;
    RETURN NULL;
END $$;

CREATE FUNCTION email_search_forget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM email_search WHERE user_id = OLD.user_id AND id = OLD.id;
    DELETE FROM email_search_pending WHERE user_id = OLD.user_id AND id = OLD.id;
    RETURN NULL;
END $$;

CREATE TRIGGER email_search_insert AFTER INSERT ON email_headers
    FOR EACH ROW WHEN (NEW.user_id IS NOT NULL) EXECUTE FUNCTION email_search_wait();
CREATE TRIGGER email_search_update AFTER UPDATE OF search_document, date ON email_headers
    FOR EACH ROW WHEN (NEW.user_id IS NOT NULL AND
                       (NEW.search_document IS DISTINCT FROM OLD.search_document OR
                        NEW.date IS DISTINCT FROM OLD.date))
    EXECUTE FUNCTION email_search_wait();
-- "a" before "i": the old user's entry goes before the new user's waits
CREATE TRIGGER email_search_a_move AFTER UPDATE OF user_id ON email_headers
    FOR EACH ROW WHEN (OLD.user_id IS NOT NULL AND NEW.user_id IS DISTINCT FROM OLD.user_id)
    EXECUTE FUNCTION email_search_forget();
CREATE TRIGGER email_search_move AFTER UPDATE OF user_id ON email_headers
    FOR EACH ROW WHEN (NEW.user_id IS NOT NULL AND NEW.user_id IS DISTINCT FROM OLD.user_id)
    EXECUTE FUNCTION email_search_wait();
CREATE TRIGGER email_search_delete AFTER DELETE ON email_headers
    FOR EACH ROW WHEN (OLD.user_id IS NOT NULL) EXECUTE FUNCTION email_search_forget();

-- Rows from before this migration wait as well.
INSERT INTO email_search_pending (user_id, id)
SELECT user_id, id FROM email_headers WHERE user_id IS NOT NULL;

-- Text as a search compares it: NFKC, lower case, single spaces. What vmail writes is folded by full
-- Unicode case folding; the two letters where lower() is not that are replaced here.
CREATE FUNCTION vmail_fold(p_text text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT btrim(regexp_replace(
        replace(replace(lower(normalize(coalesce(p_text, ''), NFKC)), 'ß', 'ss'), 'ς', 'σ'),
        '\s+', ' ', 'g'))
$$;

-- The document of a row; one that an application inserted without it is compared by its columns.
CREATE FUNCTION vmail_document(p_document text, p_subject text, p_sender text, p_recipient text)
    RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(p_document,
        lower(coalesce(p_subject, '') || chr(28) || coalesce(p_sender, '') || chr(29) ||
              coalesce(p_recipient, '') || chr(30) || chr(31)))
$$;

-- Field of a document: 'subject', 'from', 'to', 'cc', 'list'; NULL: all of it.
CREATE FUNCTION vmail_field(p_document text, p_field text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE p_field
        WHEN 'subject' THEN split_part(p_document, chr(28), 1)
        WHEN 'from' THEN split_part(split_part(p_document, chr(28), 2), chr(29), 1)
        WHEN 'to' THEN split_part(split_part(p_document, chr(29), 2), chr(30), 1)
        WHEN 'cc' THEN split_part(split_part(p_document, chr(30), 2), chr(31), 1)
        WHEN 'list' THEN split_part(p_document, chr(31), 2)
        ELSE p_document END
$$;

-- The index tokens that a row must have to hold every word (store/search_text.h tells what they are).
-- Only letters whose tokens are certain are used: what is left out is compared all the same, by
-- vmail_has_words.
CREATE FUNCTION vmail_query_tokens(p_user integer, p_words text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT p_user || '_' || token), '{}')
    FROM regexp_matches(vmail_fold(p_words),
             '[a-z0-9\u00e0-\u00f6\u00f8-\u017e\u03b1-\u03c9\u0430-\u044f\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3]+',
             'g') AS run,
         LATERAL (SELECT CASE WHEN substr(run[1], place, 2) ~ '^[a-z0-9]{2}$'
                              THEN substr(run[1], place, 3) ELSE substr(run[1], place, 2) END
                  FROM generate_series(1, greatest(length(run[1]) - 1, 1)) AS place) AS pieces(token)
    WHERE token ~ '^[a-z0-9]{3}$' OR (length(token) = 2 AND token ~ '[^a-z0-9]')
       OR (length(run[1]) = 1 AND token ~ '[\u3041-\u30fa\u4e00-\u9fa5\uac00-\ud7a3]')
$$;

-- Does the text hold every word of p_words? Words are separated by white space.
CREATE FUNCTION vmail_has_words(p_text text, p_words text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(bool_and(strpos(p_text, word) > 0), true)
    FROM unnest(string_to_array(vmail_fold(p_words), ' ')) AS word
$$;

-- Rows of a user that hold every word, in one field or anywhere. Put ORDER BY, LIMIT and more
-- conditions around it: the planner sees through the function.
CREATE FUNCTION vmail_search(p_user integer, p_words text, p_field text DEFAULT NULL)
    RETURNS SETOF email_headers LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT h.* FROM email_headers h
    WHERE h.user_id = p_user
      AND h.id IN (SELECT s.id FROM email_search s
                   WHERE s.tokens @> vmail_query_tokens(p_user, p_words) AND s.user_id = p_user
                   UNION ALL
                   SELECT p.id FROM email_search_pending p WHERE p.user_id = p_user)
      AND vmail_has_words(
              vmail_field(vmail_document(h.search_document, h.subject, h.sender, h.recipient),
                          p_field), p_words)
$$;
