-- Search by quarters of a year: an entry of the index belongs to one user and one quarter,
-- "<user_id>_<quarter>_<letters>", so that a search reads the newest ones until its page is full and
-- never all rows of a large mailbox that hold a word (docs/search.md).

-- Quarters counted from 1990: 1 is its first, 999 all that is beyond; 0 what is before, and what has no date.
CREATE FUNCTION vmail_search_period(p_date timestamp) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN isfinite(p_date)
        THEN greatest(0, least(999, (extract(year FROM p_date)::integer - 1990) * 4 +
                                    extract(quarter FROM p_date)::integer))
        ELSE 0 END
$$;

-- The index tokens that a row must have to hold every word (store/search_text.h tells what they are), with
-- '#' for the quarter. Only letters whose tokens are certain are used: what is left out is compared all
-- the same, by vmail_has_words.
CREATE OR REPLACE FUNCTION vmail_query_tokens(p_user integer, p_words text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT p_user || '_#_' || token), '{}')
    FROM regexp_matches(vmail_fold(p_words),
             '[a-z0-9\u00e0-\u00f6\u00f8-\u017e\u03b1-\u03c9\u0430-\u044f\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3]+',
             'g') AS run,
         LATERAL (SELECT CASE WHEN substr(run[1], place, 2) ~ '^[a-z0-9]{2}$'
                              THEN substr(run[1], place, 3) ELSE substr(run[1], place, 2) END
                  FROM generate_series(1, greatest(length(run[1]) - 1, 1)) AS place) AS pieces(token)
    WHERE token ~ '^[a-z0-9]{3}$' OR (length(token) = 2 AND token ~ '[^a-z0-9]')
       OR (length(run[1]) = 1 AND token ~ '[\u3041-\u30fa\u4e00-\u9fa5\uac00-\ud7a3]')
$$;

-- The same as arrays to ask email_search.tokens @> for, one for each quarter that may have rows of the user.
-- None where no token is certain.
CREATE FUNCTION vmail_query_token_sets(p_user integer, p_words text) RETURNS SETOF text[]
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 20 AS $$
    WITH words AS MATERIALIZED (SELECT vmail_query_tokens(p_user, p_words)::text AS tokens)
    SELECT replace(words.tokens, '#', period::text)::text[]
    FROM words,
         (SELECT 0 AS period
          UNION
          SELECT generate_series(vmail_search_period(min(h.date)), vmail_search_period(max(h.date)))
          FROM email_headers h WHERE h.user_id = p_user AND isfinite(h.date)) AS periods
    WHERE words.tokens <> '{}'
$$;

-- As before: rows of a user that hold every word, in one field or anywhere. "+ 0" keeps the planner from
-- reading all of the user's entries for each quarter.
CREATE OR REPLACE FUNCTION vmail_search(p_user integer, p_words text, p_field text DEFAULT NULL)
    RETURNS SETOF email_headers LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT h.* FROM email_headers h
    WHERE h.user_id = p_user
      AND h.id IN (SELECT s.id FROM vmail_query_token_sets(p_user, p_words) AS t (tokens)
                   CROSS JOIN LATERAL (SELECT s.id FROM email_search s
                                       WHERE s.tokens @> t.tokens AND s.user_id + 0 = p_user) AS s
                   UNION ALL
                   SELECT p.id FROM email_search_pending p WHERE p.user_id = p_user
                   UNION ALL
                   SELECT a.id FROM email_headers a
                   WHERE a.user_id = p_user AND vmail_query_tokens(p_user, p_words) = '{}')
      AND vmail_has_words(
              vmail_field(vmail_document(h.search_document, h.subject, h.sender, h.recipient),
                          p_field), p_words)
$$;

-- Every entry is made anew by vmail sync; until then a search compares the rows one by one.
TRUNCATE email_search;
INSERT INTO email_search_pending (user_id, id)
SELECT user_id, id FROM email_headers WHERE user_id IS NOT NULL
ON CONFLICT DO NOTHING;
