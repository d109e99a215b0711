/*
 * A page of the rows that a query finds (its SQL: search_statement.h).
 *
 * A page is found in up to three steps. First the newest HEAD_ROWS rows of the user (or of the
 * mailbox, or of the days, that the query names) are compared one by one: a common word fills its
 * page there, and no index can be faster. How many were found there tells how common the query is:
 * where LONG_HEAD_ROWS fill the page by that measure, they are compared next. What is rarer than
 * that the token index answers, with few candidates. So the cost does not depend on the database's
 * guess how common a word is.
 *
 * Rows that an application left without a date (or with one that is none: infinity, a word) come
 * behind all others, by a step of their own; a page's key says of them the first day of year 1.
 */
#include "store/search.h"

#include <string.h>

#include "store/db.h"
#include "store/search_query.h"
#include "store/search_statement.h"

#define HEAD_ROWS 2000
#define LONG_HEAD_ROWS 20000
#define LIMIT_MAX 10000
/* Relevance is weighed among this many of the newest matches. */
#define RELEVANCE_ROWS 1000
#define COMMON_ROWS 50
/* Older than all dates. */
#define UNDATED "0001-01-01 00:00:00"

/* ------------------------------------------------------------------ page keys */

/* Where the page before ended: "score,seconds,id"; microseconds do not occur in our dates, but an
 * application's row may have some: the date goes as text. */
struct page_key {
    int score;
    char *date;
    int64_t id;
    bool undated; /* behind all dates */
};

/* "2024-01-31T12:00:00", perhaps with a fraction; a day that there is. */
static bool is_date(const char *text)
{
    g_autofree char *whole = NULL;
    g_autoptr(GDateTime) date = NULL;
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    size_t length = strlen(text);

    if (length < 19 || length > 32 || strspn(text, "0123456789-T:.") != length)
        return false;
    whole = g_strndup(text, 19);
    date = g_date_time_new_from_iso8601(whole, utc);
    return date != NULL && strspn(text + 19, ".0123456789") == length - 19;
}

/* The date of a key as the database has it; NULL: it cannot be one. What stands behind "~" is some
 * text that an application put into SQLite's column as a date. */
static char *key_date(const char *text, enum db_kind kind)
{
    g_autofree char *odd = NULL;

    if (is_date(text))
        return g_strdelimit(g_strdup(text), "T", ' ');
    if (kind == DB_SQLITE && *text == '~')
        odd = g_uri_unescape_string(text + 1, NULL);
    return odd && g_utf8_validate(odd, -1, NULL) ? g_steal_pointer(&odd) : NULL;
}

static bool page_key_parse(const char *text, enum db_kind kind, struct page_key *ret_key,
                           struct error *err)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", 4);
    g_autofree char *date = NULL;
    char *score_end, *id_end;

    if (g_strv_length(parts) == 3) {
        gint64 score = g_ascii_strtoll(parts[0], &score_end, 10);
        gint64 id = g_ascii_strtoll(parts[2], &id_end, 10);

        if (parts[0][0] && !*score_end && parts[2][0] && !*id_end && score >= 0 &&
            score < G_MAXINT && (date = key_date(parts[1], kind))) {
            ret_key->score = (int)score;
            ret_key->undated = strcmp(date, UNDATED) == 0;
            ret_key->date = g_steal_pointer(&date);
            ret_key->id = id;
            return true;
        }
    }
    error_set(err, ERROR_USAGE, "\"%s\" is not the key of a page", text);
    return false;
}

static char *page_key_format(const struct search_hit *hit)
{
    g_autofree char *date =
        g_strdelimit(g_strdup(hit->undated ? UNDATED : hit->date), " ", 'T');

    if (!is_date(date) || (!hit->undated && hit->date[10] != ' ')) {
        g_autofree char *escaped = g_uri_escape_string(hit->date, NULL, FALSE);

        g_free(date);
        date = g_strconcat("~", escaped, NULL);
    }
    return g_strdup_printf("%d,%s,%" G_GINT64_FORMAT, hit->score, date, hit->id);
}

/* " AND (date, id) < (key)" for @table. */
static void add_key(struct statement *statement, const char *table, const struct page_key *key)
{
    if (!key)
        return;
    g_string_append_printf(statement->sql, " AND (%s.date, %s.id) < (", table, table);
    statement_add_text(statement, g_strdup(key->date));
    statement_add(statement, statement->kind == DB_PGSQL ? "::timestamp, " : ", ");
    statement_add_int(statement, key->id);
    statement_add(statement, ")");
}

/* ------------------------------------------------------------------ rows */

static void search_hit_free(gpointer data)
{
    struct search_hit *hit = data;

    g_free(hit->subject);
    g_free(hit->sender);
    g_free(hit->recipient);
    g_free(hit->date);
    g_free(hit->mailbox);
    g_free(hit->file);
    g_free(hit->message_id);
    g_free(hit->references);
    g_free(hit->flags);
    g_free(hit);
}

void search_page_free(struct search_page *page)
{
    if (!page)
        return;
    g_ptr_array_unref(page->hits);
    g_free(page->next);
    g_free(page);
}

static const char hit_columns[] =
    "h.id, h.subject, h.sender, h.recipient, h.date, h.mailbox, h.file, h.message_id, h.refs, "
    "h.size, h.is_read, h.flags, h.has_attachment";

static char *text_of(const struct db_row *row, int column)
{
    const char *text = db_row_text(row, column);

    return text ? g_utf8_make_valid(text, -1) : g_strdup("");
}

static bool take_hit(void *ctx, const struct db_row *row, struct error *err)
{
    GPtrArray *hits = ctx;
    struct search_hit *hit = g_new0(struct search_hit, 1);

    (void)err;
    hit->id = db_row_int(row, 0);
    hit->subject = text_of(row, 1);
    hit->sender = text_of(row, 2);
    hit->recipient = text_of(row, 3);
    hit->date = text_of(row, 4);
    hit->mailbox = text_of(row, 5);
    hit->file = text_of(row, 6);
    hit->message_id = text_of(row, 7);
    hit->references = text_of(row, 8);
    hit->size = db_row_int(row, 9);
    hit->is_read = db_row_bool(row, 10);
    hit->flags = text_of(row, 11);
    hit->has_attachment = db_row_bool(row, 12);
    hit->score = (int)db_row_int(row, 13);
    hit->undated = db_row_bool(row, 14);
    g_ptr_array_add(hits, hit);
    return true;
}

static bool statement_run(const struct statement *statement, struct db *db, GPtrArray *hits,
                          struct error *err)
{
    return db_exec(db, statement->sql->str, (const struct db_value *)statement->values->data,
                   statement->values->len, take_hit, hits, err);
}

/* Conditions that every row of the answer fulfils and an index by date can use: they bound the walk
 * by date. Text and states are compared afterwards. */
static void add_bounds(struct statement *statement, const struct query *query)
{
    if (query->type == QUERY_AND) {
        for (size_t i = 0; i < query->n_children; i++)
            add_bounds(statement, query->children[i]);
    } else if (query->type == QUERY_IN || query->type == QUERY_BEFORE ||
               query->type == QUERY_AFTER || query->type == QUERY_UNREAD ||
               query->type == QUERY_FLAGGED || query->type == QUERY_LARGER) {
        statement_add(statement, " AND ");
        statement_add_condition(statement, query);
    }
}

/* " AND (h.date is one)". In SQLite any text may stand there; what does not begin with a digit is none.
 * "+": the walk's own bounds are the better ones for an index. */
static void add_dated(struct statement *statement)
{
    statement_add(statement, statement->kind == DB_PGSQL
                                 ? " AND h.date > '" UNDATED "' AND h.date < '10000-01-01'"
                                 : " AND +h.date > '" UNDATED "' AND +h.date < ':'");
}

/* Does the query ask for a time? What has no date is in none. */
static bool has_period(const struct query *query)
{
    if (query->type == QUERY_AND) {
        for (size_t i = 0; i < query->n_children; i++)
            if (has_period(query->children[i]))
                return true;
        return false;
    }
    return query->type == QUERY_BEFORE || query->type == QUERY_AFTER;
}

/* The undated rows that fulfil @query, the highest id first. The user stands in each term, so that each
 * is looked up in the index: usually there is nothing. */
static void add_undated(struct statement *statement, const struct query *query, const int64_t *below,
                        int limit)
{
    statement_add(statement,
                  statement->kind == DB_PGSQL
                      ? " FROM email_headers h WHERE (h.user_id = $1 AND h.date IS NULL OR "
                        "h.user_id = $1 AND h.date <= '" UNDATED "' OR "
                        "h.user_id = $1 AND h.date >= '10000-01-01')"
                      : " FROM email_headers h WHERE (h.user_id = $1 AND h.date IS NULL OR "
                        "h.user_id = $1 AND h.date <= '" UNDATED "' OR "
                        "h.user_id = $1 AND h.date >= ':')");
    statement_add(statement, " AND ");
    statement_add_condition(statement, query);
    if (below) {
        statement_add(statement, " AND h.id < ");
        statement_add_int(statement, *below);
    }
    g_string_append_printf(statement->sql, " ORDER BY h.id DESC LIMIT %d", limit);
}

/* The rows that a walk by date compares: the user's, within the bounds. */
static void add_walk(struct statement *statement, const struct query *query,
                     const struct page_key *key)
{
    statement_add(statement, " FROM email_headers h WHERE h.user_id = $1");
    add_dated(statement);
    add_bounds(statement, query);
    add_key(statement, "h", key);
}

/* Those that fulfil @query among the newest @rows within the bounds. The end of the walk is a date
 * looked up first (only the index is read for it), so that the walk stops as soon as the page is
 * full; a walk over "SELECT … LIMIT" would go on to its end to be sorted. */
static bool run_head(struct db *db, int64_t user_id, const struct query *query,
                     const struct page_key *key, int rows, int limit, GPtrArray *hits,
                     struct error *err)
{
    struct statement statement;
    struct db_value user = db_int(user_id);
    bool done;

    statement_init(&statement, db_kind(db), user_id);
    g_array_append_val(statement.values, user);
    statement_add(&statement, "SELECT ");
    statement_add(&statement, hit_columns);
    statement_add(&statement, ", 0, 0");
    add_walk(&statement, query, key);
    statement_add(&statement, " AND h.date >= coalesce((SELECT h.date");
    add_walk(&statement, query, key);
    g_string_append_printf(statement.sql,
                           " ORDER BY h.date DESC, h.id DESC LIMIT 1 OFFSET %d), "
                           "'0001-01-01 00:00:00') AND ",
                           rows);
    statement_add_condition(&statement, query);
    g_string_append_printf(statement.sql, " ORDER BY h.date DESC, h.id DESC LIMIT %d", limit);
    done = statement_run(&statement, db, hits, err);
    statement_clear(&statement);
    return done;
}

/* As add_select below, in PostgreSQL by the index: candidates newest first, the rows looked up one by one
 * until the page is full; a database that looks all of them up and sorts then takes several times as long
 * where they are many. "OFFSET 0" keeps it from that. What waits for the index, and may read differently
 * there, is a candidate by its row's date. */
static void add_pgsql_indexed(struct statement *statement, const struct query *query,
                              const struct page_key *key, int limit)
{
    statement_add(statement, " FROM (SELECT h.* FROM (SELECT s.id, s.date FROM email_search s WHERE ");
    statement_add_tokens(statement, query);
    statement_add(statement, " AND s.user_id = $1 AND s.date > '" UNDATED "' AND "
                             "s.date < '10000-01-01' AND NOT EXISTS (SELECT 1 FROM "
                             "email_search_pending p WHERE p.user_id = $1 AND p.id = s.id)");
    add_key(statement, "s", key);
    statement_add(statement,
                  " UNION ALL SELECT h.id, h.date FROM email_search_pending p "
                  "JOIN email_headers h ON h.id = p.id AND h.user_id = $1 WHERE p.user_id = $1");
    add_dated(statement);
    add_key(statement, "h", key);
    statement_add(statement,
                  " ORDER BY date DESC, id DESC OFFSET 0) c CROSS JOIN LATERAL "
                  "(SELECT h.* FROM email_headers h WHERE h.id = c.id AND h.user_id = $1 AND "
                  "h.date = c.date AND ");
    statement_add_condition(statement, query);
    g_string_append_printf(statement->sql,
                           " OFFSET 0) h ORDER BY c.date DESC, c.id DESC LIMIT %d) h "
                           "ORDER BY h.date DESC, h.id DESC",
                           limit);
}

/* The rows that fulfil @query, newest first. Where the token index helps, SQLite must start from
 * it:
 * "+" keeps it from walking all of the user's rows in the order of their dates instead (measured:
 * 60 ms against 1 ms at a million rows). */
static void add_select(struct statement *statement, const struct query *query, bool use_index,
                       const struct page_key *key, int limit)
{
    bool indexed = use_index && search_is_indexed(query, statement->user_id);

    if (indexed && statement->kind == DB_PGSQL) {
        add_pgsql_indexed(statement, query, key, limit);
        return;
    }
    statement_add(statement, " FROM email_headers h WHERE ");
    statement_add(statement,
                  indexed ? "+h.user_id = $1" : "h.user_id = $1");
    if (indexed) {
        statement_add(statement, " AND ");
        statement_add_candidates(statement, query);
    }
    add_dated(statement);
    statement_add(statement, " AND ");
    statement_add_condition(statement, query);
    add_key(statement, "h", key);
    g_string_append_printf(statement->sql, " ORDER BY h.date DESC, h.id DESC LIMIT %d", limit);
}

/* All rows, by the index where it helps. */
static bool run_all(struct db *db, int64_t user_id, const struct query *query,
                    const struct page_key *key, int limit, GPtrArray *hits, struct error *err)
{
    struct statement statement;
    struct db_value user = db_int(user_id);
    bool done;

    statement_init(&statement, db_kind(db), user_id);
    g_array_append_val(statement.values, user);
    statement_add(&statement, "SELECT ");
    statement_add(&statement, hit_columns);
    statement_add(&statement, ", 0, 0");
    add_select(&statement, query, true, key, limit);
    done = statement_run(&statement, db, hits, err);
    statement_clear(&statement);
    return done;
}

/* Adds the undated rows behind @hits. */
static bool run_undated(struct db *db, int64_t user_id, const struct query *query,
                        const struct page_key *key, int limit, GPtrArray *hits, struct error *err)
{
    struct statement statement;
    struct db_value user = db_int(user_id);
    bool done;

    statement_init(&statement, db_kind(db), user_id);
    g_array_append_val(statement.values, user);
    statement_add(&statement, "SELECT ");
    statement_add(&statement, hit_columns);
    statement_add(&statement, ", 0, 1");
    add_undated(&statement, query, key && key->undated ? &key->id : NULL, limit);
    done = statement_run(&statement, db, hits, err);
    statement_clear(&statement);
    return done;
}

/* Steps one to three. */
static bool run_dated(struct db *db, int64_t user_id, const struct query *query,
                        const struct page_key *key, int limit, GPtrArray *hits, struct error *err)
{
    guint wanted = (guint)limit;
    int rows;

    if (!run_head(db, user_id, query, key, HEAD_ROWS, limit, hits, err))
        return false;
    if (hits->len >= wanted)
        return true;
    rows = hits->len > 0 ? (int)(HEAD_ROWS / hits->len * wanted) * 3 / 2 : G_MAXINT;
    if (rows <= LONG_HEAD_ROWS) {
        g_ptr_array_set_size(hits, 0);
        if (!run_head(db, user_id, query, key, rows, limit, hits, err))
            return false;
        if (hits->len >= wanted)
            return true;
    }
    g_ptr_array_set_size(hits, 0);
    return run_all(db, user_id, query, key, limit, hits, err);
}

static bool run_by_date(struct db *db, int64_t user_id, const struct query *query,
                        const struct page_key *key, int limit, GPtrArray *hits, struct error *err)
{
    if (!(key && key->undated) && !run_dated(db, user_id, query, key, limit, hits, err))
        return false;
    if (hits->len >= (guint)limit || has_period(query))
        return true;
    return run_undated(db, user_id, query, key, limit - (int)hits->len, hits, err);
}

/* ------------------------------------------------------------------ relevance */

/* What a word counts where it stands: subject 8, sender 4, elsewhere 1. A negated word counts
 * nothing. */
static void add_score(struct statement *statement, const struct query *query)
{
    static const struct {
        enum query_type field;
        int weight;
    } weights[] = {{QUERY_SUBJECT, 8}, {QUERY_FROM, 4}, {QUERY_TEXT, 1}};

    if (query->type == QUERY_AND || query->type == QUERY_OR) {
        for (size_t i = 0; i < query->n_children; i++)
            add_score(statement, query->children[i]);
        return;
    }
    if (!search_is_text(query->type))
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(weights); i++) {
        if (query->type != QUERY_TEXT && query->type != weights[i].field &&
            weights[i].field != QUERY_TEXT)
            continue;
        statement_add(statement, " + CASE WHEN ");
        statement_add_contains(statement, weights[i].field, query->text);
        g_string_append_printf(statement->sql, " THEN %d ELSE 0 END", weights[i].weight);
    }
}

static bool run_relevance(struct db *db, int64_t user_id, const struct query *query,
                          const struct page_key *key, int limit, GPtrArray *hits, struct error *err)
{
    struct statement statement;
    struct db_value user = db_int(user_id);
    bool common, done;

    /* as by date: where the newest rows fill a page, the word is common and the walk is quicker */
    if (!run_head(db, user_id, query, NULL, HEAD_ROWS, COMMON_ROWS, hits, err))
        return false;
    common = hits->len == COMMON_ROWS;
    g_ptr_array_set_size(hits, 0);
    statement_init(&statement, db_kind(db), user_id);
    g_array_append_val(statement.values, user);
    statement_add(&statement, "SELECT ");
    statement_add(&statement, hit_columns);
    statement_add(&statement, ", h.score, h.undated FROM (SELECT * FROM (SELECT h.*, 0");
    add_score(&statement, query);
    statement_add(&statement, " AS score, h.date AS sort_date, 0 AS undated");
    add_select(&statement, query, !common, NULL, RELEVANCE_ROWS);
    statement_add(&statement, ") dated");
    if (!has_period(query)) {
        statement_add(&statement, " UNION ALL SELECT * FROM (SELECT h.*, 0");
        add_score(&statement, query);
        statement_add(&statement, " AS score, ");
        statement_add(&statement, db_kind(db) == DB_PGSQL ? "timestamp '" UNDATED "'"
                                                          : "'" UNDATED "'");
        statement_add(&statement, " AS sort_date, 1 AS undated");
        add_undated(&statement, query, NULL, RELEVANCE_ROWS);
        statement_add(&statement, ") undated");
    }
    statement_add(&statement, ") h");
    if (key) {
        statement_add(&statement, " WHERE (h.score, h.sort_date, h.id) < (");
        statement_add_int(&statement, key->score);
        statement_add(&statement, ", ");
        statement_add_text(&statement, g_strdup(key->date));
        statement_add(&statement, statement.kind == DB_PGSQL ? "::timestamp, " : ", ");
        statement_add_int(&statement, key->id);
        statement_add(&statement, ")");
    }
    g_string_append_printf(statement.sql, " ORDER BY h.score DESC, h.sort_date DESC, h.id DESC LIMIT %d",
                           limit);
    done = statement_run(&statement, db, hits, err);
    statement_clear(&statement);
    return done;
}

/* ------------------------------------------------------------------ the door */

bool search_run(struct db *db, int64_t user_id, const struct query *query,
                const struct search_options *options, struct search_page **ret_page,
                struct error *err)
{
    g_autoptr(GPtrArray) hits = g_ptr_array_new_with_free_func(search_hit_free);
    struct page_key key = {0};
    const struct page_key *after = NULL;
    struct search_page *page;
    bool done;
    int limit;

    if (options->limit < 1 || options->limit > LIMIT_MAX) {
        error_set(err, ERROR_USAGE, "a page has 1 to %d messages, not %d", LIMIT_MAX,
                  options->limit);
        return false;
    }
    if (options->after) {
        if (!page_key_parse(options->after, db_kind(db), &key, err))
            return false;
        after = &key;
    }
    /* one more than asked for tells whether there is a next page */
    limit = options->limit + 1;
    if (options->sort == SEARCH_SORT_RELEVANCE) {
        done = run_relevance(db, user_id, query, after, limit, hits, err);
    } else {
        done = run_by_date(db, user_id, query, after, limit, hits, err);
    }
    g_free(key.date);
    if (!done)
        return false;
    page = g_new0(struct search_page, 1);
    if (hits->len == (guint)limit) {
        g_ptr_array_set_size(hits, options->limit);
        page->next = page_key_format(hits->pdata[hits->len - 1]);
    }
    page->hits = g_steal_pointer(&hits);
    *ret_page = page;
    return true;
}
