/*
 * Statements over SQLite and PostgreSQL: the one place that knows both drivers.
 *
 *   db_open(uri) ── db_exec(sql, values, row function) ── db_begin … db_queue … db_commit ── db_close
 *
 * SQL is the same for both wherever it can be (db_kind tells where it cannot). Parameters are $1…$n
 * in both; SQL is never built from data. libpq is loaded (dlopen) when the first postgresql:// URI
 * is opened and not before.
 *
 * Errors: ERROR_TEMPORARY for what time can cure (server away, locked, full, read-only standby),
 * ERROR_CONFIG for what a person must mend (no such database, authentication, missing table); both
 * sentences say which. db_fault() tells the cases that a caller may want to handle itself.
 *
 * Not for threads; not across fork.
 */
#ifndef VMAIL_STORE_DB_H
#define VMAIL_STORE_DB_H

#include "lda/base/error.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct db_row;

enum db_kind { DB_SQLITE, DB_PGSQL };

/* ------------------------------------------------------------------ values */

enum db_type { DB_NULL, DB_INT, DB_REAL, DB_BOOL, DB_TEXT, DB_BYTES, DB_TIME, DB_ARRAY };

/* A parameter. Text is UTF-8 without NUL; PostgreSQL gets broken bytes as U+FFFD, SQLite as they are, so
 * what is kept must be valid (the caller's duty). Text and bytes are borrowed
 * until the call returns (db_queue copies). */
struct db_value {
    enum db_type type;
    int64_t number;     /* DB_INT, DB_BOOL, DB_TIME: seconds since the epoch */
    double real;
    const char *text;   /* DB_TEXT, DB_BYTES */
    size_t length;      /* of DB_BYTES; elements of DB_ARRAY */
    const struct db_value *elements; /* DB_ARRAY */
};

#define DB_VALUE_NULL ((struct db_value){.type = DB_NULL})
/* NULL text is SQL's NULL. */
static inline struct db_value db_text(const char *text)
{
    return (struct db_value){.type = text == NULL ? DB_NULL : DB_TEXT, .text = text};
}
static inline struct db_value db_int(int64_t number)
{
    return (struct db_value){.type = DB_INT, .number = number};
}
static inline struct db_value db_real(double real)
{
    return (struct db_value){.type = DB_REAL, .real = real};
}
static inline struct db_value db_bool(bool yes)
{
    return (struct db_value){.type = DB_BOOL, .number = yes};
}
/* UTC; for TIMESTAMP columns. Stored as TIMESTAMP in PostgreSQL, as 'YYYY-MM-DD HH:MM:SS' in SQLite,
 * where it compares as text. */
static inline struct db_value db_time(int64_t seconds)
{
    return (struct db_value){.type = DB_TIME, .number = seconds};
}
/* BYTEA / BLOB. */
static inline struct db_value db_bytes(const void *bytes, size_t length)
{
    return (struct db_value){.type = DB_BYTES, .text = bytes, .length = length};
}

/* PostgreSQL only (many rows in one statement, through unnest): all of one type but DB_BYTES and
 * DB_ARRAY, or NULL. SQL says which: $1::text[]. */
static inline struct db_value db_array(const struct db_value *elements, size_t count)
{
    return (struct db_value){.type = DB_ARRAY, .elements = elements, .length = count};
}

/* ------------------------------------------------------------------ connection */

struct db_options {
    bool create;              /* SQLite: make the file (0600) where there is none; vmail migrate */
    bool read_only;           /* SQLite: open for reading; PostgreSQL: read-only transactions */
    int timeout_s;            /* longest wait for the database: connecting, one statement, a lock.
                               * 0: 30 */
    const char *application;  /* application_name in pg_stat_activity; NULL: "vmail" */
};

/* "sqlite:/path/vmail.db", "postgresql://…" or "postgres://…" (as libpq reads them, several hosts
 * and target_session_attrs too). @options NULL: all defaults. */
bool db_open(const char *uri, const struct db_options *options, struct db **ret_db,
             struct error *err);
/* Takes NULL. A transaction left open is rolled back. */
void db_close(struct db *db);
typedef struct db db_t;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(db_t, db_close) /* g_autoptr(db_t) */

enum db_kind db_kind(const struct db *db);
/* The URI without its password, for messages. Borrowed. */
const char *db_name(const struct db *db);
/* Cheap look (no round trip): the server has not closed the connection so far as we know. */
bool db_alive(struct db *db);
/* Changes the longest wait (migrations, rebuilding an index); returns what it was. */
int db_set_timeout(struct db *db, int timeout_s);
/* Closes and opens the connection again; anything queued or begun is gone. */
bool db_reconnect(struct db *db, struct error *err);

/* What the last call that returned false failed on. */
enum db_fault {
    DB_FAULT_NONE,
    DB_FAULT_UNIQUE,     /* a unique index says no: somebody else was first */
    DB_FAULT_CONFLICT,   /* serialization failure, deadlock, locked: the transaction may be retried */
    DB_FAULT_LOST,       /* the connection; what was begun is undone (but see db_commit) */
    DB_FAULT_MISSING,    /* table or column missing: vmail migrate */
    DB_FAULT_ROW,        /* what the row holds: a constraint, a trigger, a limit of the database */
    DB_FAULT_OTHER,
};
enum db_fault db_fault(const struct db *db);

/* ------------------------------------------------------------------ statements */

/* One row of an answer; everything is borrowed until the row function returns. Columns count from
 * 0. A column that is NULL, or missing, gives 0, false, NULL. */
int db_row_columns(const struct db_row *row);
const char *db_row_name(const struct db_row *row, int column);   /* the column's name */
bool db_row_is_null(const struct db_row *row, int column);
const char *db_row_text(const struct db_row *row, int column);
int64_t db_row_int(const struct db_row *row, int column);
double db_row_real(const struct db_row *row, int column);
bool db_row_bool(const struct db_row *row, int column);          /* t, true, 1, y, yes, on */
int64_t db_row_time(const struct db_row *row, int column);       /* TIMESTAMP as UTC seconds */
/* BYTEA / BLOB. */
const void *db_row_bytes(const struct db_row *row, int column, size_t *ret_length);

/* Called for each row; false ends the statement and must have filled @err. It must not use the same
 * connection. */
typedef bool db_row_fn(void *ctx, const struct db_row *row, struct error *err);

/* Runs one statement to its end; rows arrive one by one (memory stays flat). @row may be NULL.
 * Queued statements are collected first. */
bool db_exec(struct db *db, const char *sql, const struct db_value *values, size_t count,
             db_row_fn *row, void *ctx, struct error *err);

/* Rows changed by the last db_exec (INSERT, UPDATE, DELETE). */
int64_t db_changes(const struct db *db);

/* The first column of the first row. *@ret_found says whether there was a row with a value; then
 * *@ret_value is set. */
bool db_query_int(struct db *db, const char *sql, const struct db_value *values, size_t count,
                  bool *ret_found, int64_t *ret_value, struct error *err);
bool db_query_text(struct db *db, const char *sql, const struct db_value *values, size_t count,
                   char **ret_value, struct error *err); /* g_free; NULL: no row, or NULL */

/* Runs a text of several statements without parameters (migrations). */
bool db_exec_script(struct db *db, const char *sql, struct error *err);

/* ------------------------------------------------------------------ without waiting */

/* Sends a statement without waiting for its answer (PostgreSQL: pipeline, works behind PgBouncer in
 * transaction mode; SQLite: runs it at once and keeps a failure for db_collect). @row is called in
 * db_collect (SQLite: at once). Use between db_begin and db_commit. */
bool db_queue(struct db *db, const char *sql, const struct db_value *values, size_t count,
              db_row_fn *row, void *ctx, struct error *err);
/* Hands what is queued to the server; does not wait for answers. */
bool db_send(struct db *db, struct error *err);
/* Waits for the answers of all that was queued. False: the first one that failed (the rest was not
 * run); the transaction can only be rolled back. */
bool db_collect(struct db *db, struct error *err);

/* ------------------------------------------------------------------ transactions */

/* SQLite: BEGIN IMMEDIATE (waits for the writer's lock). PostgreSQL: BEGIN, and the statement and
 * lock timeouts of this transaction, queued, not waited for. */
bool db_begin(struct db *db, struct error *err);
bool db_in_transaction(const struct db *db);

enum db_outcome {
    DB_DURABLE,  /* committed and on disk */
    DB_UNDONE,   /* definitely not committed; @err says why. The transaction is over */
    DB_UNKNOWN,  /* the connection broke after COMMIT was sent: ask again on a new one */
};
/* Collects what is queued, then commits. */
enum db_outcome db_commit(struct db *db, struct error *err);

/* Ends the transaction, whatever its state; cannot fail in a way that matters (a lost connection has
 * rolled back by itself). Nothing begun: does nothing. */
void db_rollback(struct db *db);

/* ------------------------------------------------------------------ being told (PostgreSQL) */

/* LISTEN needs a connection of its own, not one through PgBouncer's transaction mode. SQLite:
 * ERROR_USAGE. @channel is a plain identifier. */
bool db_listen(struct db *db, const char *channel, struct error *err);
/* Descriptor to poll for reading, -1 for SQLite. */
int db_socket(const struct db *db);
/* Calls @notified for each notification that has arrived; does not wait. */
typedef void db_notified_fn(void *ctx, const char *channel, const char *payload);
bool db_notifications(struct db *db, db_notified_fn *notified, void *ctx, struct error *err);

#endif
