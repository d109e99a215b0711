/*
 * PostgreSQL: libpq without blocking, so that every wait has an end of our own and INSERTs travel
 * while the disk flushes the message (pipeline mode).
 *
 * Only unnamed statements and transaction-local settings are used: PgBouncer's transaction mode
 * works.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "store/db_pgsql_internal.h"

/* How much longer than the server's own statement_timeout we wait for its answer. */
#define GRACE_S 5

static struct pgsql *own(const struct db *db)
{
    return db->own;
}

/* ------------------------------------------------------------------ errors */

/* Always false. */
static bool lost(struct db *db, const char *what, struct error *err)
{
    struct pgsql *pgsql = own(db);
    g_autofree char *line = pgsql->connection == NULL
                                ? g_strdup("not connected")
                                : db_one_line(pgsql->pq.PQerrorMessage(pgsql->connection));

    error_set(err, ERROR_TEMPORARY, "cannot %s %s: %s", what, db->name,
              line[0] == '\0' ? "connection lost" : line);
    db->fault = DB_FAULT_LOST;
    return false;
}

/* By SQLSTATE class and code (PostgreSQL manual, appendix A). */
static const struct {
    const char *prefix;
    enum error_kind kind;
    enum db_fault fault;
    const char *advice;
} states[] = {
    {"23505", ERROR_TEMPORARY, DB_FAULT_UNIQUE, NULL},
    {"40003", ERROR_TEMPORARY, DB_FAULT_LOST, NULL},
    {"40", ERROR_TEMPORARY, DB_FAULT_CONFLICT, NULL},
    {"55P03", ERROR_TEMPORARY, DB_FAULT_CONFLICT, NULL},
    {"42P01", ERROR_CONFIG, DB_FAULT_MISSING, "run 'vmail migrate'"},
    {"42703", ERROR_CONFIG, DB_FAULT_MISSING, "run 'vmail migrate'"},
    {"42883", ERROR_CONFIG, DB_FAULT_MISSING, "run 'vmail migrate'"},
    {"3F000", ERROR_CONFIG, DB_FAULT_MISSING, "run 'vmail migrate'"},
    {"42P10", ERROR_CONFIG, DB_FAULT_MISSING, "run 'vmail migrate'"}, /* ON CONFLICT: no such index */
    {"22P05", ERROR_CONFIG, DB_FAULT_OTHER, "the database must have ENCODING 'UTF8'"},
    {"23503", ERROR_CONFIG, DB_FAULT_OTHER, "the ids of user_query must be those of virtual_users"},
    {"42501", ERROR_CONFIG, DB_FAULT_OTHER, "GRANT the database user the right"},
    {"2200H", ERROR_CONFIG, DB_FAULT_OTHER,
     "an id has reached the end of its type: make it BIGINT, see docs/sql.md"},
    {"25006", ERROR_TEMPORARY, DB_FAULT_OTHER,
     "this server is read-only (a standby?); list all hosts with target_session_attrs=read-write"},
    {"22", ERROR_TEMPORARY, DB_FAULT_ROW, NULL},    /* data exception */
    {"23", ERROR_TEMPORARY, DB_FAULT_ROW, NULL},    /* a constraint of the site */
    {"54", ERROR_TEMPORARY, DB_FAULT_ROW, NULL},    /* too large for an index */
    {"P0001", ERROR_TEMPORARY, DB_FAULT_ROW, NULL}, /* a trigger of the site */
    {"08", ERROR_TEMPORARY, DB_FAULT_LOST, NULL},
    {"57P0", ERROR_TEMPORARY, DB_FAULT_LOST, NULL},
    {"", ERROR_TEMPORARY, DB_FAULT_OTHER, NULL},
};

/* Always false. */
static bool fail(struct db *db, const PGresult *result, struct error *err)
{
    struct pgsql *pgsql = own(db);
    const char *state = pgsql->pq.PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *primary = pgsql->pq.PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    size_t i = 0;

    if (state == NULL || pgsql->pq.PQstatus(pgsql->connection) == CONNECTION_BAD)
        state = "08006";
    while (!g_str_has_prefix(state, states[i].prefix))
        i++;

    g_autofree char *line =
        db_one_line(primary != NULL ? primary : pgsql->pq.PQresultErrorMessage(result));

    error_set(err, states[i].kind, "cannot ask %s: %s (SQLSTATE %s)%s%s", db->name, line, state,
              states[i].advice == NULL ? "" : "; ",
              states[i].advice == NULL ? "" : states[i].advice);
    db->fault = states[i].fault;
    return false;
}

/* ------------------------------------------------------------------ waiting */

static gint64 deadline_of(const struct db *db)
{
    return g_get_monotonic_time() + (gint64)(db->timeout_s + GRACE_S) * G_USEC_PER_SEC;
}

/* The answer does not come: the connection is of no use any more. Always false. */
static bool too_slow(struct db *db, struct error *err)
{
    struct pgsql *pgsql = own(db);

    pgsql->pq.PQfinish(pgsql->connection);
    pgsql->connection = NULL;
    error_set(err, ERROR_TEMPORARY, "cannot ask %s: no answer within %d s", db->name,
              db->timeout_s + GRACE_S);
    db->fault = DB_FAULT_LOST;
    return false;
}

/* Waits for the socket. */
static bool wait_socket(struct db *db, short events, gint64 deadline, short *ret_events,
                        struct error *err)
{
    struct pgsql *pgsql = own(db);
    struct pollfd poller = {.fd = pgsql->pq.PQsocket(pgsql->connection), .events = events};

    for (;;) {
        gint64 left_ms = (deadline - g_get_monotonic_time()) / 1000 + 1;

        if (left_ms <= 0)
            return too_slow(db, err);

        int ready = poll(&poller, 1, (int)MIN(left_ms, G_MAXINT));

        if (ready > 0) {
            *ret_events = poller.revents;
            return true;
        }
        if (ready < 0 && errno != EINTR) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot wait for %s", db->name);
            db->fault = DB_FAULT_LOST;
            return false;
        }
    }
}

/* Sends what libpq holds in its buffer; reads meanwhile, because a server whose answers nobody reads
 * stops reading too. */
static bool flush(struct db *db, struct error *err)
{
    struct pgsql *pgsql = own(db);
    gint64 deadline = deadline_of(db);
    int left;

    while ((left = pgsql->pq.PQflush(pgsql->connection)) > 0) {
        short events;

        if (!wait_socket(db, POLLIN | POLLOUT, deadline, &events, err))
            return false;
        if ((events & POLLIN) != 0 && !pgsql->pq.PQconsumeInput(pgsql->connection))
            return lost(db, "ask", err);
    }
    return left == 0 || lost(db, "ask", err);
}

/* The next result, or NULL at the end of a statement. */
static bool next_result(struct db *db, gint64 deadline, PGresult **ret_result, struct error *err)
{
    struct pgsql *pgsql = own(db);

    while (pgsql->pq.PQisBusy(pgsql->connection)) {
        short events;

        if (!wait_socket(db, POLLIN, deadline, &events, err))
            return false;
        if (!pgsql->pq.PQconsumeInput(pgsql->connection))
            break; /* PQgetResult tells what happened */
    }
    *ret_result = pgsql->pq.PQgetResult(pgsql->connection);
    return true;
}

/* ------------------------------------------------------------------ connection */

static void ignore_notice(void *ctx, const char *message)
{
    (void)ctx;
    (void)message;
}

static void forget_queue(struct pgsql *pgsql)
{
    g_queue_clear_full(&pgsql->queued, g_free);
    pgsql->syncs = 0;
    pgsql->unsynced = false;
}

static void pgsql_disconnect(struct db *db)
{
    struct pgsql *pgsql = own(db);

    if (pgsql == NULL)
        return;
    forget_queue(pgsql);
    if (pgsql->connection != NULL)
        pgsql->pq.PQfinish(pgsql->connection);
    pgsql->connection = NULL;
}

/* A refused connection has no SQLSTATE that libpq would show: the server's English or translated
 * words are all there is. Only what is certain is called a matter of configuration. */
static bool needs_a_person(const char *message)
{
    static const char *const signs[] = {
        "authentication failed", "no password supplied", "pg_hba.conf", "does not exist",
        "invalid connection option", "invalid URI", "invalid port", "certificate",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(signs); i++)
        if (strstr(message, signs[i]) != NULL)
            return true;
    return false;
}

static bool pgsql_connect(struct db *db, struct error *err)
{
    if (db->own == NULL) {
        g_autofree struct pgsql *fresh = g_new0(struct pgsql, 1);

        if (!pq_api_load(&fresh->pq, err))
            return false;
        g_queue_init(&fresh->queued);
        db->own = g_steal_pointer(&fresh);
    }

    struct pgsql *pgsql = own(db);
    char timeout[16];
    /* What stands before "dbname" gives way to the URI, what stands behind it does not. GSSAPI is
     * not asked for unless the URI says so: it costs a round trip on each TCP connection. */
    const char *const keywords[] = {"connect_timeout", "gssencmode", "fallback_application_name",
                                    "dbname", "client_encoding", NULL};
    const char *const values[] = {timeout, "disable", db->application, db->uri, "UTF8", NULL};

    /* per host: several dead ones must not use up the delivery's deadline */
    g_snprintf(timeout, sizeof timeout, "%d", CLAMP(db->timeout_s / 3, 2, 10));
    /* dates are read as ISO 8601, whatever the site's default: libpq has no keyword for it, and "options"
     * PgBouncer would refuse */
    g_setenv("PGDATESTYLE", "ISO", TRUE);
    pgsql->connection = pgsql->pq.PQconnectdbParams(keywords, values, 1);
    if (pgsql->connection == NULL) {
        error_set(err, ERROR_TEMPORARY, "cannot connect to %s: out of memory", db->name);
        return false;
    }
    pgsql->pq.PQsetNoticeProcessor(pgsql->connection, ignore_notice, NULL);
    if (pgsql->pq.PQstatus(pgsql->connection) != CONNECTION_OK ||
        pgsql->pq.PQsetnonblocking(pgsql->connection, 1) < 0) {
        lost(db, "connect to", err);
        if (needs_a_person(err->text))
            err->kind = ERROR_CONFIG;
        pgsql_disconnect(db);
        return false;
    }
    return true;
}

static bool pgsql_alive(struct db *db)
{
    struct pgsql *pgsql = own(db);

    if (pgsql->connection == NULL)
        return false;

    struct pollfd poller = {.fd = pgsql->pq.PQsocket(pgsql->connection), .events = POLLIN};

    if (poll(&poller, 1, 0) > 0)
        pgsql->pq.PQconsumeInput(pgsql->connection);
    return pgsql->pq.PQstatus(pgsql->connection) == CONNECTION_OK;
}

static void pgsql_release(struct db *db)
{
    g_free(db->own);
}

static bool connected(struct db *db, struct error *err)
{
    struct pgsql *pgsql = own(db);

    if (pgsql->connection != NULL && pgsql->pq.PQstatus(pgsql->connection) == CONNECTION_OK)
        return true;
    return lost(db, "ask", err);
}

/* ------------------------------------------------------------------ parameters */

static bool send_statement(struct db *db, const char *sql, const struct db_value *values,
                           size_t count, struct error *err)
{
    struct pgsql *pgsql = own(db);
    struct pgsql_parameters parameters = {0};

    pgsql_parameters_fill(&parameters, values, count);

    int sent = pgsql->pq.PQsendQueryParams(pgsql->connection, sql, (int)count, parameters.types,
                                           parameters.values, parameters.lengths,
                                           parameters.formats, 0);

    pgsql_parameters_clear(&parameters);
    return sent == 1 || lost(db, "ask", err);
}

/* ------------------------------------------------------------------ one statement, waited for */

/* Reads the answer to its end, also behind an error; the first error is the one reported. */
static bool read_answer(struct db *db, db_row_fn *row, void *ctx, struct error *err)
{
    struct pgsql *pgsql = own(db);
    bool ok = true;
    PGresult *result;

    for (;;) {
        /* the wait is for the next piece, not for all of them: long listings are no timeout */
        if (!next_result(db, deadline_of(db), &result, err))
            return false;
        if (result == NULL)
            return ok;
        switch (pgsql->pq.PQresultStatus(result)) {
        case PGRES_SINGLE_TUPLE:
        case PGRES_TUPLES_OK:
            if (ok && row != NULL)
                ok = pgsql_give_rows(own(db), result, row, ctx, err);
            db->changes = g_ascii_strtoll(pgsql->pq.PQcmdTuples(result), NULL, 10);
            break;
        case PGRES_COMMAND_OK:
        case PGRES_EMPTY_QUERY:
            db->changes = g_ascii_strtoll(pgsql->pq.PQcmdTuples(result), NULL, 10);
            break;
        default:
            if (ok)
                ok = fail(db, result, err);
            break;
        }
        pgsql->pq.PQclear(result);
    }
}

static bool pgsql_collect(struct db *db, struct error *err);

/* Nothing queued, not in pipeline mode. */
static bool make_plain(struct db *db, struct error *err)
{
    struct pgsql *pgsql = own(db);

    if (!connected(db, err) || !pgsql_collect(db, err))
        return false;
    if (pgsql->pq.PQpipelineStatus(pgsql->connection) != PQ_PIPELINE_OFF &&
        !pgsql->pq.PQexitPipelineMode(pgsql->connection))
        return lost(db, "ask", err);
    return true;
}

static bool pgsql_exec(struct db *db, const char *sql, const struct db_value *values, size_t count,
                       db_row_fn *row, void *ctx, struct error *err)
{
    struct pgsql *pgsql = own(db);

    db->changes = 0;
    if (!make_plain(db, err) || !send_statement(db, sql, values, count, err))
        return false;
    pgsql->pq.PQsetSingleRowMode(pgsql->connection);
    return flush(db, err) && read_answer(db, row, ctx, err);
}

static bool pgsql_exec_script(struct db *db, const char *sql, struct error *err)
{
    struct pgsql *pgsql = own(db);

    if (!make_plain(db, err))
        return false;
    if (!pgsql->pq.PQsendQuery(pgsql->connection, sql))
        return lost(db, "ask", err);
    return flush(db, err) && read_answer(db, NULL, NULL, err);
}

/* ------------------------------------------------------------------ queued statements */

static bool pgsql_queue(struct db *db, const char *sql, const struct db_value *values, size_t count,
                        db_row_fn *row, void *ctx, struct error *err)
{
    struct pgsql *pgsql = own(db);

    if (!connected(db, err))
        return false;
    if (pgsql->pq.PQpipelineStatus(pgsql->connection) == PQ_PIPELINE_OFF &&
        !pgsql->pq.PQenterPipelineMode(pgsql->connection))
        return lost(db, "ask", err);
    if (!send_statement(db, sql, values, count, err))
        return false;

    struct queued *queued = g_new0(struct queued, 1);

    *queued = (struct queued){.row = row, .ctx = ctx};
    g_queue_push_tail(&pgsql->queued, queued);
    pgsql->unsynced = true;
    return true;
}

static bool pgsql_send(struct db *db, struct error *err)
{
    struct pgsql *pgsql = own(db);

    if (!pgsql->unsynced)
        return true;
    if (!connected(db, err))
        return false;
    if (!pgsql->pq.PQpipelineSync(pgsql->connection))
        return lost(db, "ask", err);
    pgsql->unsynced = false;
    pgsql->syncs++;
    return flush(db, err);
}

/* Takes one result of the queue's head. */
static bool take_queued(struct db *db, PGresult *result, struct error *err)
{
    struct pgsql *pgsql = own(db);
    const struct queued *queued = g_queue_peek_head(&pgsql->queued);

    switch (pgsql->pq.PQresultStatus(result)) {
    case PGRES_TUPLES_OK:
        return queued == NULL || queued->row == NULL ||
               pgsql_give_rows(own(db), result, queued->row, queued->ctx, err);
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        return true;
    case PGRES_PIPELINE_ABORTED:
        error_set(err, ERROR_TEMPORARY, "cannot ask %s: an earlier statement failed", db->name);
        return false;
    default:
        return fail(db, result, err);
    }
}

static bool pgsql_collect(struct db *db, struct error *err)
{
    struct pgsql *pgsql = own(db);
    bool ok = true;

    if (!pgsql_send(db, err)) {
        forget_queue(pgsql);
        return false;
    }
    while (pgsql->syncs > 0) {
        PGresult *result;

        if (!next_result(db, deadline_of(db), &result, ok ? err : &(struct error){0})) {
            forget_queue(pgsql);
            return false;
        }
        if (result == NULL) {
            if (pgsql->pq.PQstatus(pgsql->connection) == CONNECTION_BAD) {
                forget_queue(pgsql);
                return ok ? lost(db, "ask", err) : false;
            }
            g_free(g_queue_pop_head(&pgsql->queued));
            continue;
        }
        if (pgsql->pq.PQresultStatus(result) == PGRES_PIPELINE_SYNC)
            pgsql->syncs--;
        else if (ok)
            ok = take_queued(db, result, err);
        pgsql->pq.PQclear(result);
    }
    return ok;
}

/* ------------------------------------------------------------------ transactions */

static bool pgsql_begin(struct db *db, struct error *err)
{
    char timeout[16];

    g_snprintf(timeout, sizeof timeout, "%ds", db->timeout_s);

    const struct db_value values[] = {db_text(timeout)};

    /* a site that switched flushing off for its other data does not mean its mail */
    return pgsql_queue(db, db->read_only ? "BEGIN READ ONLY" : "BEGIN", NULL, 0, NULL, NULL, err) &&
           pgsql_queue(db,
                       "SELECT set_config('statement_timeout', $1, true), "
                       "CASE current_setting('synchronous_commit') WHEN 'off' "
                       "THEN set_config('synchronous_commit', 'local', true) END",
                       values, 1, NULL, NULL, err);
}

static void pgsql_rollback(struct db *db)
{
    struct pgsql *pgsql = own(db);
    struct error ignored = {0};

    if (pgsql->connection == NULL)
        return;
    pgsql_collect(db, &ignored);
    if (pgsql->connection == NULL || !make_plain(db, &ignored) ||
        pgsql->pq.PQtransactionStatus(pgsql->connection) == PQTRANS_IDLE)
        return;
    if (!pgsql_exec(db, "ROLLBACK", NULL, 0, NULL, NULL, &ignored))
        pgsql_disconnect(db); /* the server rolls back when it sees the end of the connection */
}

/* What COMMIT answered: "COMMIT", or "ROLLBACK" for a transaction that had failed before. */
static enum db_outcome outcome_of(struct db *db, PGresult *result, struct error *err)
{
    struct pgsql *pgsql = own(db);

    if (pgsql->pq.PQresultStatus(result) == PGRES_COMMAND_OK) {
        if (strcmp(pgsql->pq.PQcmdStatus(result), "COMMIT") == 0)
            return DB_DURABLE;
        error_set(err, ERROR_TEMPORARY, "cannot commit to %s: the server rolled back", db->name);
        db->fault = DB_FAULT_OTHER;
        return DB_UNDONE;
    }
    fail(db, result, err);
    return db->fault == DB_FAULT_LOST ? DB_UNKNOWN : DB_UNDONE;
}

static enum db_outcome pgsql_commit(struct db *db, struct error *err)
{
    struct pgsql *pgsql = own(db);

    if (!make_plain(db, err)) {
        pgsql_rollback(db);
        return DB_UNDONE;
    }
    if (!send_statement(db, "COMMIT", NULL, 0, err)) {
        pgsql_rollback(db);
        return DB_UNKNOWN; /* part of it may have gone out */
    }

    enum db_outcome outcome = DB_UNKNOWN;
    bool answered = false;
    PGresult *result = NULL;

    if (!flush(db, err))
        return DB_UNKNOWN;
    while (next_result(db, deadline_of(db), &result, answered ? &(struct error){0} : err) &&
           result != NULL) {
        if (!answered)
            outcome = outcome_of(db, result, err);
        answered = true;
        pgsql->pq.PQclear(result);
    }
    if (!answered && db->fault != DB_FAULT_LOST)
        lost(db, "commit to", err);
    return outcome;
}

/* ------------------------------------------------------------------ notifications */

static bool pgsql_listen(struct db *db, const char *channel, struct error *err)
{
    /* an identifier cannot be a parameter */
    for (const char *p = channel; *p != '\0'; p++)
        if (!g_ascii_isalnum(*p) && *p != '_') {
            error_set(err, ERROR_USAGE, "cannot listen for %s: not a plain name", channel);
            return false;
        }

    g_autofree char *sql = g_strdup_printf("LISTEN %s", channel);

    return db_exec(db, sql, NULL, 0, NULL, NULL, err);
}

static int pgsql_socket(const struct db *db)
{
    struct pgsql *pgsql = own(db);

    return pgsql->connection == NULL ? -1 : pgsql->pq.PQsocket(pgsql->connection);
}

static bool pgsql_notifications(struct db *db, db_notified_fn *notified, void *ctx,
                                struct error *err)
{
    struct pgsql *pgsql = own(db);
    PGnotify *notification;

    if (!connected(db, err))
        return false;
    if (!pgsql->pq.PQconsumeInput(pgsql->connection))
        return lost(db, "listen to", err);
    while ((notification = pgsql->pq.PQnotifies(pgsql->connection)) != NULL) {
        notified(ctx, notification->relname, notification->extra);
        pgsql->pq.PQfreemem(notification);
    }
    return true;
}

const struct db_driver db_driver_pgsql = {
    .connect = pgsql_connect,
    .disconnect = pgsql_disconnect,
    .alive = pgsql_alive,
    .exec = pgsql_exec,
    .exec_script = pgsql_exec_script,
    .queue = pgsql_queue,
    .send = pgsql_send,
    .collect = pgsql_collect,
    .begin = pgsql_begin,
    .commit = pgsql_commit,
    .rollback = pgsql_rollback,
    .listen = pgsql_listen,
    .socket = pgsql_socket,
    .notifications = pgsql_notifications,
    .release = pgsql_release,
};
