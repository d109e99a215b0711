#include "store/search_select.h"

#include "store/search_text.h"

static const char hit_columns[] =
    "h.id, h.subject, h.sender, h.recipient, h.date, h.mailbox, h.file, h.message_id, h.refs, "
    "h.size, h.is_read, h.flags, h.has_attachment";

/* ------------------------------------------------------------------ pieces */

/* " AND (date, id) < (key)" for @table. */
static void add_key(struct statement *statement, const char *table, const struct search_key *key)
{
    if (!key)
        return;
    g_string_append_printf(statement->sql, " AND (%s.date, %s.id) < (", table, table);
    statement_add_text(statement, g_strdup(key->date));
    statement_add(statement, statement->kind == DB_PGSQL ? "::timestamp, " : ", ");
    statement_add_int(statement, key->id);
    statement_add(statement, ")");
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

/* " AND (the date of @table is one)". In SQLite any text may stand there; what does not begin with a digit
 * is none. "+": the walk's own bounds are the better ones for an index. */
static void add_dated(struct statement *statement, const char *table)
{
    if (statement->kind == DB_PGSQL)
        g_string_append_printf(statement->sql,
                               " AND %s.date > '" SEARCH_UNDATED "' AND %s.date < '10000-01-01'",
                               table, table);
    else
        g_string_append_printf(statement->sql,
                               " AND +%s.date > '" SEARCH_UNDATED "' AND +%s.date < ':'", table,
                               table);
}

bool search_has_period(const struct query *query)
{
    if (query->type == QUERY_AND) {
        for (size_t i = 0; i < query->n_children; i++)
            if (search_has_period(query->children[i]))
                return true;
        return false;
    }
    return query->type == QUERY_BEFORE || query->type == QUERY_AFTER;
}

/* The rows that a walk by date compares: the user's, within the bounds. */
static void add_walk(struct statement *statement, const struct selection *selection)
{
    statement_add(statement, " FROM email_headers h WHERE h.user_id = $1");
    add_dated(statement, "h");
    add_bounds(statement, selection->query);
    add_key(statement, "h", selection->key);
}

static void add_query(struct statement *statement, const struct selection *selection)
{
    statement_add(statement, " AND ");
    statement_add_condition(statement, selection->query);
}

static void add_order(struct statement *statement, int limit)
{
    g_string_append_printf(statement->sql, " ORDER BY h.date DESC, h.id DESC LIMIT %d", limit);
}

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

static void add_columns(struct statement *statement, const struct selection *selection,
                        const char *undated)
{
    statement_add(statement, "SELECT ");
    statement_add(statement, hit_columns);
    statement_add(statement, ", 0");
    if (selection->scored)
        add_score(statement, selection->query);
    g_string_append_printf(statement->sql, ", %s", undated);
}

/* ------------------------------------------------------------------ without the index */

/* The end of the walk is a date looked up first (only the index is read for it), so that the walk stops
 * as soon as the page is full; a walk over "SELECT … LIMIT" would go on to its end to be sorted. */
void select_head(struct statement *statement, const struct selection *selection, int rows,
                 int limit)
{
    add_columns(statement, selection, "0");
    add_walk(statement, selection);
    statement_add(statement, " AND h.date >= coalesce((SELECT h.date");
    add_walk(statement, selection);
    g_string_append_printf(statement->sql,
                           " ORDER BY h.date DESC, h.id DESC LIMIT 1 OFFSET %d), "
                           "'" SEARCH_UNDATED "')",
                           rows);
    add_query(statement, selection);
    add_order(statement, limit);
}

void select_walk(struct statement *statement, const struct selection *selection, int limit)
{
    add_columns(statement, selection, "0");
    add_walk(statement, selection);
    add_query(statement, selection);
    add_order(statement, limit);
}

/* The user stands in each term, so that each is looked up in the index: usually there is nothing. */
void select_undated(struct statement *statement, const struct selection *selection, int limit)
{
    add_columns(statement, selection, "1");
    g_string_append_printf(statement->sql,
                           " FROM email_headers h WHERE (h.user_id = $1 AND h.date IS NULL OR "
                           "h.user_id = $1 AND h.date <= '" SEARCH_UNDATED "' OR "
                           "h.user_id = $1 AND h.date >= '%s')",
                           statement->kind == DB_PGSQL ? "10000-01-01" : ":");
    add_query(statement, selection);
    if (selection->key && selection->key->undated) {
        statement_add(statement, " AND h.id < ");
        statement_add_int(statement, selection->key->id);
    }
    g_string_append_printf(statement->sql, " ORDER BY h.id DESC LIMIT %d", limit);
}

/* ------------------------------------------------------------------ PostgreSQL's index */

/* The newest and the oldest quarter (search_period) of the user's rows within the query's days. */
static void add_periods(struct statement *statement, const struct selection *selection)
{
    for (int end = 0; end < 2; end++) {
        statement_add(statement, end ? ", (SELECT " : "(SELECT ");
        statement_add(statement, "vmail_search_period(h.date)");
        add_walk(statement, selection);
        statement_add(statement, end ? " ORDER BY h.date LIMIT 1)"
                                     : " ORDER BY h.date DESC LIMIT 1)");
    }
}

/* Quarter by quarter, the newest first: those that the index offers and those that wait for it and may read
 * differently there, by date; each row looked up and compared, until there are enough. So a word's cost is
 * that of its page, not of all rows that hold it. "OFFSET 0" and the nested LATERALs keep the order of the
 * steps; "user_id + 0": an index over all rows of the user is no way here. */
void select_indexed(struct statement *statement, const struct selection *selection, int limit)
{
    add_columns(statement, selection, "0");
    statement_add(statement, " FROM (WITH waiting AS MATERIALIZED (SELECT h.id, h.date, "
                             "vmail_search_period(h.date) AS period FROM email_search_pending p "
                             "JOIN email_headers h ON h.id = p.id AND h.user_id = $1 "
                             "WHERE p.user_id = $1");
    add_dated(statement, "h");
    add_key(statement, "h", selection->key);
    statement_add(statement, ") SELECT h.* FROM generate_series(");
    add_periods(statement, selection);
    statement_add(statement, ", -1) AS q (period) CROSS JOIN LATERAL (SELECT s.id, s.date FROM "
                             "(SELECT s.id, s.date FROM email_search s WHERE ");
    statement_add_tokens(statement, selection->query, "q.period");
    statement_add(statement, " AND s.user_id + 0 = $1");
    add_dated(statement, "s");
    add_key(statement, "s", selection->key);
    statement_add(statement,
                  " AND NOT EXISTS (SELECT 1 FROM email_search_pending p "
                  "WHERE p.user_id = $1 AND p.id = s.id) "
                  "UNION ALL SELECT w.id, w.date FROM waiting w WHERE w.period = q.period) s "
                  "ORDER BY s.date DESC, s.id DESC OFFSET 0) c CROSS JOIN LATERAL "
                  "(SELECT h.* FROM email_headers h WHERE h.id = c.id AND h.user_id = $1 AND "
                  "h.date = c.date");
    add_query(statement, selection);
    g_string_append_printf(statement->sql, " OFFSET 0) h LIMIT %d) h", limit);
    add_order(statement, limit);
}

/* ------------------------------------------------------------------ SQLite's index */

void select_range(struct statement *statement, const struct selection *selection)
{
    for (int end = 0; end < 2; end++) {
        statement_add(statement, end ? ", (SELECT h.date" : "SELECT (SELECT h.date");
        add_walk(statement, selection);
        statement_add(statement, end ? " ORDER BY h.date LIMIT 1)"
                                     : " ORDER BY h.date DESC LIMIT 1)");
    }
}

/* " AND (the row's date is of the quarter)": an entry may be of another row that had the id, where an
 * application said INSERT OR REPLACE, which calls no trigger. */
static void add_quarter(struct statement *statement, int period)
{
    if (period > 0) {
        statement_add(statement, " AND +h.date >= ");
        statement_add_text(statement, search_period_start_new(period));
    }
    if (period < SEARCH_PERIOD_LAST) {
        statement_add(statement, " AND +h.date < ");
        statement_add_text(statement, search_period_start_new(period + 1));
    }
}

/* "+" keeps SQLite from walking all of the user's rows in the order of their dates instead of starting from
 * the index (measured: 60 ms against 1 ms at a million rows). An entry whose row has got a date of another
 * quarter waits there. */
void select_quarter(struct statement *statement, const struct selection *selection, int period,
                    int limit)
{
    add_columns(statement, selection, "0");
    statement_add(statement, " FROM email_headers h WHERE +h.user_id = $1 AND ");
    statement_add_candidates(statement, selection->query, period);
    statement_add(statement, " AND NOT EXISTS (SELECT 1 FROM email_search_pending p "
                             "WHERE p.user_id = $1 AND p.id = h.id)");
    add_dated(statement, "h");
    add_quarter(statement, period);
    add_query(statement, selection);
    add_key(statement, "h", selection->key);
    add_order(statement, limit);
}

void select_waiting(struct statement *statement, const struct selection *selection, int limit)
{
    add_columns(statement, selection, "0");
    statement_add(statement, " FROM email_headers h WHERE +h.user_id = $1 AND h.id IN "
                             "(SELECT p.id FROM email_search_pending p WHERE p.user_id = $1)");
    add_dated(statement, "h");
    add_query(statement, selection);
    add_key(statement, "h", selection->key);
    add_order(statement, limit);
}
