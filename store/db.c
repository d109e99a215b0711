/* The driver-independent half: URIs, values, rows as typed columns. */
#include "store/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "store/db_internal.h"

#define DEFAULT_TIMEOUT_S 30

/* ------------------------------------------------------------------ URIs */

static bool is_postgres(const char *uri)
{
    return g_str_has_prefix(uri, "postgresql://") || g_str_has_prefix(uri, "postgres://");
}

/* Takes "password=…" out of a query part. */
static void strip_query_password(GString *uri)
{
    static const char *const words[] = {"?password=", "&password=", "?sslpassword=",
                                        "&sslpassword="};

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        char *at = strstr(uri->str, words[i]);

        if (at == NULL)
            continue;
        size_t start = (size_t)(at - uri->str) + strlen(words[i]);
        size_t length = strcspn(uri->str + start, "&");

        g_string_erase(uri, (gssize)start, (gssize)length);
        g_string_insert(uri, (gssize)start, "…");
    }
}

/* The URI as it may be shown: without passwords. g_free. */
static char *shown_name(const char *uri)
{
    if (!is_postgres(uri))
        return g_strdup(uri);

    const char *start = strstr(uri, "://") + 3;
    size_t authority = strcspn(start, "/?");
    const char *at = memrchr(start, '@', authority);
    const char *colon = at == NULL ? NULL : memchr(start, ':', (size_t)(at - start));
    GString *shown = g_string_new(uri);

    if (colon != NULL)
        g_string_erase(shown, colon - uri, at - colon);
    strip_query_password(shown);
    return g_string_free(shown, FALSE);
}

bool db_open(const char *uri, const struct db_options *options, struct db **ret_db,
             struct error *err)
{
    static const struct db_options defaults;

    if (options == NULL)
        options = &defaults;

    g_autoptr(db_t) db = g_new0(struct db, 1);

    if (is_postgres(uri)) {
        db->driver = &db_driver_pgsql;
        db->kind = DB_PGSQL;
    } else if (g_str_has_prefix(uri, "sqlite:") && uri[7] != '\0') {
        db->driver = &db_driver_sqlite;
        db->kind = DB_SQLITE;
    } else {
        g_autofree char *shown = shown_name(uri);

        error_set(err, ERROR_CONFIG,
                  "cannot use database \"%s\": expected sqlite:/path or postgresql://user@host/name",
                  shown);
        return false;
    }
    db->uri = g_strdup(uri);
    db->name = shown_name(uri);
    db->application = g_strdup(options->application == NULL ? "vmail" : options->application);
    db->create = options->create;
    db->read_only = options->read_only;
    db->timeout_s = options->timeout_s > 0 ? options->timeout_s : DEFAULT_TIMEOUT_S;
    if (!db->driver->connect(db, err))
        return false;
    *ret_db = g_steal_pointer(&db);
    return true;
}

void db_close(struct db *db)
{
    if (db == NULL)
        return;
    if (db->driver != NULL) {
        db->driver->disconnect(db);
        db->driver->release(db);
    }
    g_free(db->uri);
    g_free(db->name);
    g_free(db->application);
    g_free(db);
}

enum db_kind db_kind(const struct db *db)
{
    return db->kind;
}

const char *db_name(const struct db *db)
{
    return db->name;
}

bool db_alive(struct db *db)
{
    return db->driver->alive(db);
}

int db_set_timeout(struct db *db, int timeout_s)
{
    int before = db->timeout_s;

    db->timeout_s = timeout_s;
    return before;
}

bool db_reconnect(struct db *db, struct error *err)
{
    db->driver->disconnect(db);
    db->in_transaction = false;
    return db->driver->connect(db, err);
}

enum db_fault db_fault(const struct db *db)
{
    return db->fault;
}

/* ------------------------------------------------------------------ statements */

bool db_exec(struct db *db, const char *sql, const struct db_value *values, size_t count,
             db_row_fn *row, void *ctx, struct error *err)
{
    db->fault = DB_FAULT_NONE;
    return db->driver->exec(db, sql, values, count, row, ctx, err);
}

int64_t db_changes(const struct db *db)
{
    return db->changes;
}

struct single {
    bool found;
    int64_t number;
    char *text;
};

static bool take_single(void *ctx, const struct db_row *row, struct error *err)
{
    struct single *single = ctx;

    (void)err;
    if (single->found || db_row_is_null(row, 0))
        return true;
    single->found = true;
    single->number = db_row_int(row, 0);
    single->text = g_strdup(db_row_text(row, 0));
    return true;
}

bool db_query_int(struct db *db, const char *sql, const struct db_value *values, size_t count,
                  bool *ret_found, int64_t *ret_value, struct error *err)
{
    struct single single = {0};
    bool ok = db_exec(db, sql, values, count, take_single, &single, err);

    g_free(single.text);
    if (!ok)
        return false;
    if (single.found)
        *ret_value = single.number;
    *ret_found = single.found;
    return true;
}

bool db_query_text(struct db *db, const char *sql, const struct db_value *values, size_t count,
                   char **ret_value, struct error *err)
{
    struct single single = {0};

    if (!db_exec(db, sql, values, count, take_single, &single, err)) {
        g_free(single.text);
        return false;
    }
    *ret_value = single.text;
    return true;
}

bool db_exec_script(struct db *db, const char *sql, struct error *err)
{
    db->fault = DB_FAULT_NONE;
    return db->driver->exec_script(db, sql, err);
}

bool db_queue(struct db *db, const char *sql, const struct db_value *values, size_t count,
              db_row_fn *row, void *ctx, struct error *err)
{
    return db->driver->queue(db, sql, values, count, row, ctx, err);
}

bool db_send(struct db *db, struct error *err)
{
    return db->driver->send(db, err);
}

bool db_collect(struct db *db, struct error *err)
{
    return db->driver->collect(db, err);
}

bool db_begin(struct db *db, struct error *err)
{
    db->fault = DB_FAULT_NONE;
    if (!db->driver->begin(db, err))
        return false;
    db->in_transaction = true;
    return true;
}

bool db_in_transaction(const struct db *db)
{
    return db->in_transaction;
}

enum db_outcome db_commit(struct db *db, struct error *err)
{
    enum db_outcome outcome = db->driver->commit(db, err);

    db->in_transaction = false;
    return outcome;
}

void db_rollback(struct db *db)
{
    if (!db->in_transaction)
        return;

    enum db_fault fault = db->fault; /* the caller may ask after the rollback */

    db->driver->rollback(db);
    db->fault = fault;
    db->in_transaction = false;
}

bool db_listen(struct db *db, const char *channel, struct error *err)
{
    return db->driver->listen(db, channel, err);
}

int db_socket(const struct db *db)
{
    return db->driver->socket(db);
}

bool db_notifications(struct db *db, db_notified_fn *notified, void *ctx, struct error *err)
{
    return db->driver->notifications(db, notified, ctx, err);
}

/* ------------------------------------------------------------------ rows */

int db_row_columns(const struct db_row *row)
{
    return row->columns;
}

const char *db_row_name(const struct db_row *row, int column)
{
    return column < 0 || column >= row->columns ? NULL : row->name(row, column);
}

const char *db_row_text(const struct db_row *row, int column)
{
    return column < 0 || column >= row->columns ? NULL : row->text(row, column);
}

bool db_row_is_null(const struct db_row *row, int column)
{
    return db_row_text(row, column) == NULL;
}

int64_t db_row_int(const struct db_row *row, int column)
{
    const char *text = db_row_text(row, column);

    return text == NULL ? 0 : g_ascii_strtoll(text, NULL, 10);
}

double db_row_real(const struct db_row *row, int column)
{
    const char *text = db_row_text(row, column);

    return text == NULL ? 0 : g_ascii_strtod(text, NULL);
}

bool db_row_bool(const struct db_row *row, int column)
{
    static const char *const yes[] = {"t", "true", "1", "y", "yes", "on"};
    const char *text = db_row_text(row, column);

    for (size_t i = 0; text != NULL && i < G_N_ELEMENTS(yes); i++)
        if (strcasecmp(text, yes[i]) == 0)
            return true;
    return false;
}

int64_t db_row_time(const struct db_row *row, int column)
{
    const char *text = db_row_text(row, column);
    struct tm tm = {0};

    if (text == NULL || sscanf(text, "%d-%d-%d%*1[ T]%d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                               &tm.tm_hour, &tm.tm_min, &tm.tm_sec) < 3)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm);
}

const void *db_row_bytes(const struct db_row *row, int column, size_t *ret_length)
{
    *ret_length = 0;
    if (column < 0 || column >= row->columns)
        return NULL;
    return row->bytes(row, column, ret_length);
}

/* ------------------------------------------------------------------ for the drivers */

void db_time_format(int64_t seconds, char text[DB_TIME_TEXT_SIZE])
{
    /* years 1 and 9999: what both databases hold and what compares as text */
    const int64_t least = -62135596800, most = 253402300799;
    time_t clock = (time_t)CLAMP(seconds, least, most);
    struct tm tm;

    gmtime_r(&clock, &tm);
    g_snprintf(text, DB_TIME_TEXT_SIZE, "%04d-%02d-%02d %02d:%02d:%02d", tm.tm_year + 1900,
               tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

char *db_one_line(const char *message)
{
    char *line = g_strdup(message == NULL ? "no message" : message);

    g_strdelimit(line, "\n\r\t", ' ');
    return g_strstrip(line);
}
