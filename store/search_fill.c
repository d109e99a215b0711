/*
 * Filling the index: what waits in email_search_pending moves into email_search.
 *
 * A batch is one transaction: the rows are taken out of the waiting list and put into the index in
 * it, so a search sees each row in one of the two at any moment. A row that changes while its batch
 * runs waits again when the batch has committed.
 */
#include "store/search.h"

#include <string.h>

#include "store/db.h"
#include "store/search_text.h"

#define BATCH_ROWS 500

struct waiting_row {
    int64_t user_id, id;
    char *document; /* NULL: the row has none */
    char *subject, *sender, *recipient;
    char *date; /* as the database writes it; NULL: none */
    bool exists;
};

static void waiting_row_free(gpointer data)
{
    struct waiting_row *row = data;

    g_free(row->document);
    g_free(row->subject);
    g_free(row->sender);
    g_free(row->recipient);
    g_free(row->date);
    g_free(row);
}

/* SQLite gives back whatever an application put in; the tokens walk by letters. */
static char *valid_text(const char *text)
{
    return text ? g_utf8_make_valid(text, -1) : NULL;
}

static bool take_waiting(void *ctx, const struct db_row *row, struct error *err)
{
    struct waiting_row *waiting = g_new0(struct waiting_row, 1);

    (void)err;
    waiting->user_id = db_row_int(row, 0);
    waiting->id = db_row_int(row, 1);
    waiting->document = valid_text(db_row_text(row, 2));
    waiting->subject = valid_text(db_row_text(row, 3));
    waiting->sender = valid_text(db_row_text(row, 4));
    waiting->recipient = valid_text(db_row_text(row, 5));
    waiting->exists = !db_row_is_null(row, 6);
    waiting->date = g_strdup(db_row_text(row, 7));
    g_ptr_array_add(ctx, waiting);
    return true;
}

/* Tokens separated as the index wants them. */
static char *tokens_text(enum db_kind kind, const struct waiting_row *row)
{
    g_autofree char *prefix = search_prefix_new(row->user_id, search_period(row->date));
    g_autoptr(GPtrArray) tokens = search_tokens_new(prefix, row->document);
    GString *out = g_string_new(kind == DB_PGSQL ? "{" : NULL);

    for (guint i = 0; i < tokens->len; i++) {
        if (i > 0)
            g_string_append_c(out, kind == DB_PGSQL ? ',' : ' ');
        g_string_append(out, tokens->pdata[i]);
    }
    if (kind == DB_PGSQL)
        g_string_append_c(out, '}');
    return g_string_free(out, FALSE);
}

/* A row that an application inserted gets the document that a delivery would have given it. */
static bool give_document(struct db *db, struct waiting_row *waiting, struct error *err)
{
    struct db_value values[3];

    waiting->document =
        search_document_new(waiting->subject, waiting->sender, waiting->recipient, NULL, NULL);
    values[0] = db_text(waiting->document);
    values[1] = db_int(waiting->id);
    values[2] = db_int(waiting->user_id);
    return db_queue(db,
                    "UPDATE email_headers SET search_document = $1 "
                    "WHERE id = $2 AND user_id = $3 AND search_document IS NULL",
                    values, 3, NULL, NULL, err);
}

static bool queue_not_waiting(struct db *db, const struct waiting_row *waiting, struct error *err)
{
    struct db_value values[2] = {db_int(waiting->user_id), db_int(waiting->id)};

    return db_queue(db, "DELETE FROM email_search_pending WHERE user_id = $1 AND id = $2", values,
                    2, NULL, NULL, err);
}

static bool queue_sqlite_row(struct db *db, const struct waiting_row *waiting, struct error *err)
{
    g_autofree char *tokens = NULL;
    struct db_value values[2] = {db_int(waiting->id)};

    if (!queue_not_waiting(db, waiting, err))
        return false;
    if (!waiting->exists)
        return true;
    tokens = tokens_text(DB_SQLITE, waiting);
    values[1] = db_text(tokens);
    return db_queue(db, "INSERT INTO email_search (rowid, tokens) VALUES ($1, $2)", values, 2, NULL,
                    NULL, err);
}

/* A batch's entries in one statement: to parse and plan one for each row costs the server more than to
 * insert it. Tokens hold letters, digits and '_' only, so that the arrays need no escapes. */
static bool queue_pgsql_rows(struct db *db, const GPtrArray *rows, struct error *err)
{
    g_autoptr(GString) users = g_string_new("{"), ids = g_string_new("{");
    g_autoptr(GString) documents = g_string_new("{"), dates = g_string_new("{");
    struct db_value values[4];

    for (guint i = 0; i < rows->len; i++) {
        const struct waiting_row *waiting = rows->pdata[i];
        const char *separator = i ? "," : "";
        g_autofree char *tokens = tokens_text(DB_PGSQL, waiting);

        g_string_append_printf(users, "%s%" G_GINT64_FORMAT, separator, waiting->user_id);
        g_string_append_printf(ids, "%s%" G_GINT64_FORMAT, separator, waiting->id);
        g_string_append(documents, separator);
        g_string_append_c(documents, '"');
        g_string_append(documents, tokens);
        g_string_append_c(documents, '"');
        g_string_append_printf(dates, waiting->date ? "%s\"%s\"" : "%sNULL", separator, waiting->date);
    }
    g_string_append_c(users, '}');
    g_string_append_c(ids, '}');
    g_string_append_c(documents, '}');
    g_string_append_c(dates, '}');
    values[0] = db_text(users->str);
    values[1] = db_text(ids->str);
    values[2] = db_text(documents->str);
    values[3] = db_text(dates->str);
    return rows->len == 0 ||
           db_queue(db,
                    "INSERT INTO email_search (user_id, id, tokens, date) "
                    "SELECT u, i, t::text[], d FROM unnest($1::bigint[], $2::bigint[], "
                    "$3::text[], $4::timestamp[]) AS batch (u, i, t, d) "
                    "ON CONFLICT (user_id, id) DO UPDATE SET tokens = excluded.tokens, "
                    "date = excluded.date",
                    values, 4, NULL, NULL, err);
}

/* Takes the rows from the waiting list (in PostgreSQL they are taken already) into the index. */
static bool queue_rows(struct db *db, const GPtrArray *rows, struct error *err)
{
    bool pgsql = db_kind(db) == DB_PGSQL;

    for (guint i = 0; i < rows->len; i++) {
        struct waiting_row *waiting = rows->pdata[i];
        bool bare = waiting->exists && !waiting->document;

        /* the document's trigger puts the row back on the list */
        if (bare && (!give_document(db, waiting, err) || !queue_not_waiting(db, waiting, err)))
            return false;
        if (!pgsql && !queue_sqlite_row(db, waiting, err))
            return false;
    }
    return !pgsql || queue_pgsql_rows(db, rows, err);
}

/* SQLite: entries of rows that are gone go first, because an id may be in use again. */
static bool remove_gone(struct db *db, struct error *err)
{
    g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(waiting_row_free);

    if (!db_exec(db,
                 "SELECT user_id, id, search_document, NULL, NULL, NULL, 1, date "
                 "FROM email_search_gone",
                 NULL, 0, take_waiting, gone, err))
        return false;
    for (guint i = 0; i < gone->len; i++) {
        const struct waiting_row *row = gone->pdata[i];
        g_autofree char *tokens = tokens_text(DB_SQLITE, row);
        struct db_value values[2] = {db_int(row->id), db_text(tokens)};

        if (!db_queue(db,
                      "INSERT INTO email_search (email_search, rowid, tokens) "
                      "VALUES ('delete', $1, $2)",
                      values, 2, NULL, NULL, err) ||
            !db_queue(db, "DELETE FROM email_search_gone WHERE id = $1", values, 1, NULL, NULL,
                      err))
            return false;
    }
    return true;
}

static const char sqlite_take[] =
    "SELECT p.user_id, p.id, h.search_document, h.subject, h.sender, h.recipient, h.id, h.date "
    "FROM (SELECT user_id, id FROM email_search_pending ORDER BY user_id, id LIMIT $1) p "
    "LEFT JOIN email_headers h ON h.id = p.id AND h.user_id = p.user_id";

/* PostgreSQL takes the batch out of the list first and reads the rows by a second statement.
 * Whoever changes a row holds its waiting entry locked (the trigger's ON CONFLICT DO UPDATE): we
 * pass over it (and over what another filler has). What was committed before we got the lock, the
 * second statement's newer snapshot sees. MATERIALIZED: as a subselect the planner may run the LIMIT
 * once for each row of the list. LATERAL … OFFSET 0: each row through the primary key. In a table that nobody
 * has analyzed yet (after a restore) the planner would read all of it for each batch. */
static const char pgsql_take[] =
    "WITH batch AS MATERIALIZED (SELECT user_id, id FROM email_search_pending "
    "ORDER BY user_id, id LIMIT $1 FOR UPDATE SKIP LOCKED) "
    "DELETE FROM email_search_pending p USING batch b "
    "WHERE p.user_id = b.user_id AND p.id = b.id RETURNING p.id";
static const char pgsql_read[] =
    "SELECT h.user_id, h.id, h.search_document, h.subject, h.sender, h.recipient, h.id, h.date "
    "FROM unnest($1::bigint[]) AS batch (id) CROSS JOIN LATERAL ("
    "SELECT user_id, id, search_document, subject, sender, recipient, date FROM email_headers "
    "WHERE id = batch.id AND user_id IS NOT NULL OFFSET 0) h ORDER BY h.user_id, h.id";

struct id_list {
    GString *literal;
    int64_t count;
};

static bool take_id(void *ctx, const struct db_row *row, struct error *err)
{
    struct id_list *list = ctx;

    (void)err;
    g_string_append_printf(list->literal, "%s%" G_GINT64_FORMAT, list->count ? "," : "",
                           db_row_int(row, 0));
    list->count++;
    return true;
}

/* The rows of a batch; *@ret_taken counts entries of the list, also of rows that are gone. */
static bool take_batch(struct db *db, int64_t limit, GPtrArray *rows, int64_t *ret_taken,
                       struct error *err)
{
    struct db_value count = db_int(limit), ids;
    struct id_list list;
    bool done;

    if (db_kind(db) == DB_SQLITE) {
        if (!remove_gone(db, err) || !db_exec(db, sqlite_take, &count, 1, take_waiting, rows, err))
            return false;
        *ret_taken = rows->len;
        return true;
    }
    list = (struct id_list){.literal = g_string_new("{")};
    done = db_exec(db, pgsql_take, &count, 1, take_id, &list, err);
    if (done && list.count > 0) {
        g_string_append_c(list.literal, '}');
        ids = db_text(list.literal->str);
        done = db_exec(db, pgsql_read, &ids, 1, take_waiting, rows, err);
    }
    g_string_free(list.literal, TRUE);
    *ret_taken = list.count;
    return done;
}

static bool fill_batch(struct db *db, int64_t limit, int64_t *ret_rows, struct error *err)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(waiting_row_free);
    int64_t taken;

    if (!db_begin(db, err))
        return false;
    if (!take_batch(db, limit, rows, &taken, err))
        goto failed;
    if (!queue_rows(db, rows, err))
        goto failed;
    if (db_commit(db, err) != DB_DURABLE)
        return false;
    *ret_rows = taken;
    return true;

failed:
    db_rollback(db);
    return false;
}

/* PostgreSQL's GIN index collects what is new in a list that every search reads through: into the
 * tree with it. Only its owner may; where we are not, autovacuum does it. */
static bool settle_index(struct db *db, struct error *err)
{
    if (db_kind(db) != DB_PGSQL)
        return true;
    return db_exec(db,
                   "SELECT gin_clean_pending_list(c.oid) FROM pg_class c "
                   "WHERE c.oid = 'email_search_tokens'::regclass "
                   "AND pg_has_role(c.relowner, 'USAGE')",
                   NULL, 0, NULL, NULL, err);
}

bool search_fill(struct db *db, int64_t limit, int64_t *ret_filled, struct error *err)
{
    int64_t filled = 0, waiting, rows;

    if (!search_pending_count(db, &waiting, err))
        return false;
    if (limit <= 0 || limit > waiting)
        limit = waiting;
    do {
        if (!fill_batch(db, MIN(MAX(limit - filled, 1), BATCH_ROWS), &rows, err))
            return false;
        filled += rows;
    } while (rows > 0 && filled < limit);
    if (filled > 0 && !settle_index(db, err))
        return false;
    *ret_filled = filled;
    return true;
}

bool search_pending_count(struct db *db, int64_t *ret_count, struct error *err)
{
    bool found;
    int64_t count = 0;

    if (!db_query_int(db, "SELECT count(*) FROM email_search_pending", NULL, 0, &found, &count,
                      err))
        return false;
    *ret_count = count;
    return true;
}
