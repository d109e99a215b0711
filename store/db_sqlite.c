/*
 * SQLite: WAL, synchronous=FULL, so that COMMIT means "on disk".
 *
 * The log (WAL) needs care of our own. Deliveries are one-shot processes: each one is the first
 * connection and reads the whole log to build its index again, and SQLite's own habits do not fit:
 * its checkpoint when the last connection closes costs two flushes for each delivery, and without it
 * nobody empties the log before 1,000 pages. So: no checkpoint by itself at close, but whoever
 * leaves the log longer than LOG_PAGES_MAX empties it, after its delivery is done.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "store/db_internal.h"

#define LOG_PAGES_MAX 128
/* Statements kept prepared per connection: all that one delivery runs, and a few of vmail's. */
#define STATEMENTS_MAX 64

struct sqlite {
    sqlite3 *handle;
    GHashTable *statements;  /* SQL text → sqlite3_stmt, not in use */
    int log_pages;           /* in the WAL after our last commit */
    struct error queued;     /* the first failure of a queued statement */
    bool queue_failed;
    gint64 busy_since_us;
};

static struct sqlite *own(const struct db *db)
{
    return db->own;
}

/* ------------------------------------------------------------------ errors */

struct cause {
    enum error_kind kind;
    enum db_fault fault;
    const char *advice; /* behind the reason, or NULL */
};

static struct cause cause_of_open(int system_errno)
{
    if (system_errno == ENOENT)
        return (struct cause){ERROR_CONFIG, DB_FAULT_MISSING,
                              "there is no such database; run 'vmail migrate' to make it"};
    if (system_errno == EACCES || system_errno == EPERM || system_errno == EROFS ||
        system_errno == EISDIR || system_errno == ENOTDIR)
        return (struct cause){ERROR_CONFIG, DB_FAULT_OTHER,
                              "the file and its folder must be writable for the vmail user"};
    return (struct cause){ERROR_TEMPORARY, DB_FAULT_OTHER, NULL};
}

static struct cause cause_of(struct db *db, int code)
{
    sqlite3 *handle = own(db)->handle;
    const char *message = sqlite3_errmsg(handle);

    switch (code & 0xff) {
    case SQLITE_CANTOPEN:
        return cause_of_open(sqlite3_system_errno(handle));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return (struct cause){ERROR_TEMPORARY, DB_FAULT_CONFLICT,
                              "another process holds it for longer than database_timeout"};
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return (struct cause){ERROR_CONFIG, DB_FAULT_OTHER,
                              "the file and its folder must be writable for the vmail user"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return (struct cause){ERROR_CONFIG, DB_FAULT_OTHER,
                              "the file is damaged: restore it, or rebuild it and run 'vmail reindex'"};
    case SQLITE_CONSTRAINT:
        if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY)
            return (struct cause){ERROR_TEMPORARY, DB_FAULT_UNIQUE, NULL};
        if (code == SQLITE_CONSTRAINT_FOREIGNKEY)
            return (struct cause){ERROR_CONFIG, DB_FAULT_OTHER,
                                  "the ids of user_query must be those of virtual_users"};
        return (struct cause){ERROR_TEMPORARY, DB_FAULT_ROW, NULL};
    case SQLITE_TOOBIG:
        return (struct cause){ERROR_TEMPORARY, DB_FAULT_ROW, NULL};
    case SQLITE_ERROR:
        if (strstr(message, "no such table") != NULL || strstr(message, "no such column") != NULL ||
            strstr(message, "has no column") != NULL ||
            strstr(message, "ON CONFLICT clause does not match") != NULL)
            return (struct cause){ERROR_CONFIG, DB_FAULT_MISSING, "run 'vmail migrate'"};
        return (struct cause){ERROR_TEMPORARY, DB_FAULT_OTHER, NULL};
    default:
        return (struct cause){ERROR_TEMPORARY, DB_FAULT_OTHER, NULL};
    }
}

/* Always false. */
static bool fail(struct db *db, int code, const char *what, struct error *err)
{
    struct cause cause = cause_of(db, code);
    g_autofree char *line = db_one_line(sqlite3_errmsg(own(db)->handle));
    int system_errno = (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN
                           ? sqlite3_system_errno(own(db)->handle)
                           : 0;

    error_set(err, cause.kind, "cannot %s %s: %s%s%s%s%s", what, db->name, line,
              system_errno == 0 ? "" : ": ", system_errno == 0 ? "" : g_strerror(system_errno),
              cause.advice == NULL ? "" : "; ", cause.advice == NULL ? "" : cause.advice);
    err->code = system_errno;
    db->fault = cause.fault;
    return false;
}

/* ------------------------------------------------------------------ connection */

/* Waits in short steps: SQLite's own handler sleeps up to 100 ms, an age where a commit takes two. */
static int busy(void *ctx, int tries)
{
    struct db *db = ctx;
    struct sqlite *sqlite = own(db);
    gint64 now = g_get_monotonic_time();

    if (tries == 0)
        sqlite->busy_since_us = now;
    if (now - sqlite->busy_since_us > (gint64)db->timeout_s * G_USEC_PER_SEC)
        return 0;

    int64_t us = MIN(500 + 250 * (int64_t)tries, 10000);
    struct timespec pause = {.tv_nsec = us * 1000};

    nanosleep(&pause, NULL);
    return 1;
}

static int log_grew(void *ctx, sqlite3 *handle, const char *schema, int pages)
{
    struct sqlite *sqlite = ctx;

    (void)schema;
    sqlite->log_pages = pages;
    /* a process that stays (lmtpd) empties the log as SQLite would; the others do at their end */
    if (pages >= LOG_PAGES_MAX * 8 &&
        sqlite3_wal_checkpoint_v2(handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL) == SQLITE_OK)
        sqlite->log_pages = 0;
    return SQLITE_OK;
}

static bool configure(struct db *db, struct error *err)
{
    struct sqlite *sqlite = own(db);
    int code = SQLITE_OK;

    sqlite3_extended_result_codes(sqlite->handle, 1);
    sqlite3_busy_handler(sqlite->handle, busy, db);
    sqlite3_db_config(sqlite->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(sqlite->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(sqlite->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_wal_hook(sqlite->handle, log_grew, sqlite);
    code = sqlite3_exec(sqlite->handle, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;", NULL,
                        NULL, NULL);
    if (code == SQLITE_OK && !db->read_only)
        code = sqlite3_exec(sqlite->handle, "PRAGMA journal_mode = WAL;", NULL, NULL, NULL);
    return code == SQLITE_OK || fail(db, code, "open", err);
}

static void sqlite_disconnect(struct db *db)
{
    struct sqlite *sqlite = own(db);

    if (sqlite == NULL || sqlite->handle == NULL)
        return;
    g_hash_table_remove_all(sqlite->statements);
    if (sqlite->log_pages > LOG_PAGES_MAX && sqlite3_get_autocommit(sqlite->handle))
        sqlite3_wal_checkpoint_v2(sqlite->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    sqlite3_close_v2(sqlite->handle);
    sqlite->handle = NULL;
    sqlite->log_pages = 0;
    sqlite->queue_failed = false;
}

static void finalize(gpointer statement)
{
    sqlite3_finalize(statement);
}

static bool sqlite_connect(struct db *db, struct error *err)
{
    if (db->own == NULL) {
        struct sqlite *fresh = g_new0(struct sqlite, 1);

        fresh->statements = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                                  finalize);
        db->own = fresh;
    }

    struct sqlite *sqlite = own(db);
    const char *path = db->uri + strlen("sqlite:");
    int flags = (db->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
                SQLITE_OPEN_NOMUTEX | (db->create ? SQLITE_OPEN_CREATE : 0);
    /* accounts' passwords lie in it: for its owner alone */
    mode_t mask = db->create ? umask(0077) : 0;
    int code = sqlite3_open_v2(path, &sqlite->handle, flags, NULL);

    if (code == SQLITE_OK) {
        bool ok = configure(db, err);

        if (db->create)
            umask(mask);
        if (!ok)
            sqlite_disconnect(db);
        return ok;
    }
    if (db->create)
        umask(mask);
    if (sqlite->handle == NULL) {
        error_set(err, ERROR_TEMPORARY, "cannot open %s: out of memory", db->name);
        return false;
    }
    /* SQLite does not always say ENOENT */
    if ((code & 0xff) == SQLITE_CANTOPEN && access(path, F_OK) < 0 && errno == ENOENT) {
        error_set(err, ERROR_CONFIG,
                  "cannot open %s: there is no such database; run 'vmail migrate' to make it",
                  db->name);
        err->code = ENOENT;
        db->fault = DB_FAULT_MISSING;
    } else {
        fail(db, code, "open", err);
    }
    sqlite_disconnect(db);
    return false;
}

static bool sqlite_alive(struct db *db)
{
    return own(db)->handle != NULL;
}

static void sqlite_release(struct db *db)
{
    struct sqlite *sqlite = own(db);

    if (sqlite == NULL)
        return;
    g_hash_table_destroy(sqlite->statements);
    g_free(sqlite);
}

/* ------------------------------------------------------------------ rows */

static const char *column_name(const struct db_row *row, int column)
{
    return sqlite3_column_name(row->source, column);
}

static const char *column_text(const struct db_row *row, int column)
{
    return (const char *)sqlite3_column_text(row->source, column);
}

static const void *column_bytes(const struct db_row *row, int column, size_t *ret_length)
{
    const void *bytes = sqlite3_column_blob(row->source, column);

    *ret_length = (size_t)sqlite3_column_bytes(row->source, column);
    return bytes;
}

/* ------------------------------------------------------------------ statements */

static bool connected(struct db *db, struct error *err)
{
    if (own(db) != NULL && own(db)->handle != NULL)
        return true;
    error_set(err, ERROR_TEMPORARY, "cannot use %s: not connected", db->name);
    db->fault = DB_FAULT_LOST;
    return false;
}

/* Takes a prepared statement out of the cache, or prepares one. */
static bool prepare(struct db *db, const char *sql, char **ret_key, sqlite3_stmt **ret_statement,
                    struct error *err)
{
    struct sqlite *sqlite = own(db);
    gpointer key = NULL, cached = NULL;

    if (g_hash_table_steal_extended(sqlite->statements, sql, &key, &cached)) {
        *ret_key = key;
        *ret_statement = cached;
        return true;
    }

    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v3(sqlite->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement,
                                  NULL);

    if (code != SQLITE_OK)
        return fail(db, code, "ask", err);
    *ret_key = g_strdup(sql);
    *ret_statement = statement;
    return true;
}

static void put_back(struct db *db, char *key, sqlite3_stmt *statement)
{
    GHashTable *statements = own(db)->statements;

    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    if (g_hash_table_size(statements) >= STATEMENTS_MAX)
        g_hash_table_remove_all(statements);
    g_hash_table_replace(statements, key, statement);
}

static int bind_value(sqlite3_stmt *statement, int index, const struct db_value *value)
{
    char time[DB_TIME_TEXT_SIZE];

    switch (value->type) {
    case DB_INT:
    case DB_BOOL:
        return sqlite3_bind_int64(statement, index, value->number);
    case DB_REAL:
        return sqlite3_bind_double(statement, index, value->real);
    case DB_TEXT:
        return sqlite3_bind_text(statement, index, value->text, -1, SQLITE_STATIC);
    case DB_BYTES:
        if (value->length == 0)
            return sqlite3_bind_zeroblob(statement, index, 0);
        return sqlite3_bind_blob64(statement, index, value->text, value->length, SQLITE_STATIC);
    case DB_TIME:
        db_time_format(value->number, time);
        return sqlite3_bind_text(statement, index, time, -1, SQLITE_TRANSIENT);
    case DB_ARRAY: /* SQLite has none */
    case DB_NULL:
        break;
    }
    return sqlite3_bind_null(statement, index);
}

/* By the name "$1", because SQLite numbers named parameters in the order it meets them. */
static int bind_values(sqlite3_stmt *statement, const struct db_value *values, size_t count)
{
    char name[16];

    for (size_t i = 0; i < count; i++) {
        g_snprintf(name, sizeof name, "$%zu", i + 1);

        int index = sqlite3_bind_parameter_index(statement, name);
        int code = index == 0 ? SQLITE_OK : bind_value(statement, index, &values[i]);

        if (code != SQLITE_OK)
            return code;
    }
    return SQLITE_OK;
}

static bool step_through(struct db *db, sqlite3_stmt *statement, db_row_fn *row, void *ctx,
                         struct error *err)
{
    struct db_row view = {.name = column_name, .text = column_text, .bytes = column_bytes,
                          .source = statement, .columns = sqlite3_column_count(statement)};
    int code;

    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        if (row != NULL && !row(ctx, &view, err))
            return false;
    return code == SQLITE_DONE || fail(db, code, "ask", err);
}

static bool sqlite_exec(struct db *db, const char *sql, const struct db_value *values, size_t count,
                        db_row_fn *row, void *ctx, struct error *err)
{
    char *key = NULL;
    sqlite3_stmt *statement = NULL;

    if (!connected(db, err) || !prepare(db, sql, &key, &statement, err))
        return false;

    int code = bind_values(statement, values, count);
    bool ok = code == SQLITE_OK ? step_through(db, statement, row, ctx, err)
                                : fail(db, code, "ask", err);

    db->changes = ok ? sqlite3_changes(own(db)->handle) : 0;
    put_back(db, key, statement);
    return ok;
}

static bool sqlite_exec_script(struct db *db, const char *sql, struct error *err)
{
    if (!connected(db, err))
        return false;

    int code = sqlite3_exec(own(db)->handle, sql, NULL, NULL, NULL);

    return code == SQLITE_OK || fail(db, code, "run a script on", err);
}

static bool sqlite_queue(struct db *db, const char *sql, const struct db_value *values,
                         size_t count, db_row_fn *row, void *ctx, struct error *err)
{
    struct sqlite *sqlite = own(db);

    (void)err;
    if (!sqlite->queue_failed && !db_exec(db, sql, values, count, row, ctx, &sqlite->queued))
        sqlite->queue_failed = true;
    return true;
}

static bool sqlite_send(struct db *db, struct error *err)
{
    (void)db;
    (void)err;
    return true;
}

static bool sqlite_collect(struct db *db, struct error *err)
{
    struct sqlite *sqlite = own(db);

    if (!sqlite->queue_failed)
        return true;
    sqlite->queue_failed = false;
    *err = sqlite->queued;
    return false;
}

/* ------------------------------------------------------------------ transactions */

static bool sqlite_begin(struct db *db, struct error *err)
{
    if (!connected(db, err))
        return false;
    own(db)->queue_failed = false;

    int code = sqlite3_exec(own(db)->handle, db->read_only ? "BEGIN" : "BEGIN IMMEDIATE", NULL, NULL,
                            NULL);

    return code == SQLITE_OK || fail(db, code, "begin a transaction in", err);
}

static void sqlite_rollback(struct db *db)
{
    struct sqlite *sqlite = own(db);

    sqlite->queue_failed = false;
    if (sqlite->handle != NULL && !sqlite3_get_autocommit(sqlite->handle))
        sqlite3_exec(sqlite->handle, "ROLLBACK", NULL, NULL, NULL);
}

static enum db_outcome sqlite_commit(struct db *db, struct error *err)
{
    if (!sqlite_collect(db, err)) {
        sqlite_rollback(db);
        return DB_UNDONE;
    }

    int code = sqlite3_exec(own(db)->handle, "COMMIT", NULL, NULL, NULL);

    if (code == SQLITE_OK)
        return DB_DURABLE;
    fail(db, code, "commit to", err);
    sqlite_rollback(db);
    /* When writing or flushing the log fails, the frames may nevertheless be in the file. This
     * process forgets them; but should every connection end before somebody writes over them, the
     * next process that opens the log finds a whole transaction and takes it for committed. */
    int primary = code & 0xff;

    return primary == SQLITE_BUSY || primary == SQLITE_LOCKED || primary == SQLITE_CONSTRAINT
               ? DB_UNDONE
               : DB_UNKNOWN;
}

/* ------------------------------------------------------------------ notifications: none */

static bool sqlite_listen(struct db *db, const char *channel, struct error *err)
{
    error_set(err, ERROR_USAGE, "cannot listen for %s: %s sends no notifications", channel, db->name);
    return false;
}

static int sqlite_socket(const struct db *db)
{
    (void)db;
    return -1;
}

static bool sqlite_notifications(struct db *db, db_notified_fn *notified, void *ctx,
                                 struct error *err)
{
    (void)db;
    (void)notified;
    (void)ctx;
    (void)err;
    return true;
}

const struct db_driver db_driver_sqlite = {
    .connect = sqlite_connect,
    .disconnect = sqlite_disconnect,
    .alive = sqlite_alive,
    .exec = sqlite_exec,
    .exec_script = sqlite_exec_script,
    .queue = sqlite_queue,
    .send = sqlite_send,
    .collect = sqlite_collect,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .listen = sqlite_listen,
    .socket = sqlite_socket,
    .notifications = sqlite_notifications,
    .release = sqlite_release,
};
