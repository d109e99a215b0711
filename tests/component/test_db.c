/* Statements: the same answers from both databases, and which failures are which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "database.h"
#include "store/store.h"

static struct test_database *database;
static enum db_kind kind;
static struct db *db;

static int set_up(void **state)
{
    (void)state;
    db = test_database_connect(database);
    test_sql(db, "DROP TABLE IF EXISTS things");
    test_sql(db, kind == DB_SQLITE
                     ? "CREATE TABLE things (id INTEGER PRIMARY KEY, word TEXT UNIQUE, yes BOOLEAN, "
                       "at TIMESTAMP, raw BLOB, ratio REAL)"
                     : "CREATE TABLE things (id INTEGER PRIMARY KEY, word TEXT UNIQUE, yes BOOLEAN, "
                       "at TIMESTAMP, raw BYTEA, ratio DOUBLE PRECISION)");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    db_close(db);
    return 0;
}

static bool insert(int64_t id, const char *word, struct error *err)
{
    const struct db_value values[] = {db_int(id), db_text(word)};

    return db_exec(db, "INSERT INTO things (id, word) VALUES ($1, $2)", values, 2, NULL, NULL, err);
}

static bool queue_insert(int64_t id, const char *word, struct error *err)
{
    const struct db_value values[] = {db_int(id), db_text(word)};

    return db_queue(db, "INSERT INTO things (id, word) VALUES ($1, $2)", values, 2, NULL, NULL, err);
}

static int64_t count(void)
{
    return test_sql_int(db, "SELECT count(*) FROM things");
}

/* ------------------------------------------------------------------ values */

struct thing {
    int rows;
    int64_t id, at;
    char *word;
    bool yes, word_is_null;
    double ratio;
    unsigned char raw[8];
    size_t raw_length;
    char *name;
};

static bool take_thing(void *ctx, const struct db_row *row, struct error *err)
{
    struct thing *thing = ctx;
    const void *raw;

    (void)err;
    thing->rows++;
    thing->id = db_row_int(row, 0);
    thing->word = g_strdup(db_row_text(row, 1));
    thing->word_is_null = db_row_is_null(row, 1);
    thing->yes = db_row_bool(row, 2);
    thing->at = db_row_time(row, 3);
    raw = db_row_bytes(row, 4, &thing->raw_length);
    if (thing->raw_length > 0)
        memcpy(thing->raw, raw, MIN(thing->raw_length, sizeof thing->raw));
    thing->ratio = db_row_real(row, 5);
    thing->name = g_strdup(db_row_name(row, 1));
    assert_int_equal(db_row_columns(row), 6);
    assert_null(db_row_text(row, 6));
    assert_int_equal(db_row_int(row, -1), 0);
    return true;
}

static void values_come_back(void **state)
{
    static const unsigned char bytes[] = {0, 1, 0xff, '\\', 'x'};
    const struct db_value values[] = {
        db_int(7), db_text("중요 ' \" \\ $1"), db_bool(true), db_time(1700000000),
        db_bytes(bytes, sizeof bytes), db_real(0.5),
    };
    struct thing thing = {0};
    struct error err = {0};

    (void)state;
    /* parameters are found by their number, not by their place */
    assert_true(db_exec(db, "INSERT INTO things (ratio, raw, at, yes, word, id) VALUES "
                            "($6, $5, $4, $3, $2, $1)",
                        values, 6, NULL, NULL, &err));
    assert_int_equal(db_changes(db), 1);
    assert_true(db_exec(db, "SELECT id, word, yes, at, raw, ratio FROM things", NULL, 0, take_thing,
                        &thing, &err));
    assert_int_equal(thing.rows, 1);
    assert_int_equal(thing.id, 7);
    assert_string_equal(thing.word, "중요 ' \" \\ $1");
    assert_string_equal(thing.name, "word");
    assert_true(thing.yes);
    assert_int_equal(thing.at, 1700000000);
    assert_int_equal(thing.raw_length, sizeof bytes);
    assert_memory_equal(thing.raw, bytes, sizeof bytes);
    assert_true(thing.ratio == 0.5);
    g_free(thing.word);
    g_free(thing.name);
}

static void nulls_and_extremes(void **state)
{
    const struct db_value values[] = {db_int(1), db_text(NULL), db_bool(false), db_time(INT64_MAX),
                                      db_bytes("", 0)};
    struct thing thing = {0};
    struct error err = {0};

    (void)state;
    assert_true(db_exec(db, "INSERT INTO things (id, word, yes, at, raw) VALUES ($1, $2, $3, $4, $5)",
                        values, 5, NULL, NULL, &err));
    assert_true(db_exec(db, "SELECT id, word, yes, at, raw, ratio FROM things", NULL, 0, take_thing,
                        &thing, &err));
    assert_true(thing.word_is_null);
    assert_false(thing.yes);
    assert_int_equal(thing.at, 253402300799); /* the year 9999 */
    assert_int_equal(thing.raw_length, 0);
    g_free(thing.name);
}

static bool stop_at_three(void *ctx, const struct db_row *row, struct error *err)
{
    int *rows = ctx;

    (void)row;
    if (++*rows < 3)
        return true;
    error_set(err, ERROR_USAGE, "enough");
    return false;
}

/* A byte that is no UTF-8 comes from a script or a header: no reason to fail a delivery. */
static void broken_text_is_no_failure(void **state)
{
    const struct db_value values[] = {db_text("\xff\xed\xa0\x80")};
    struct error err;
    bool found;
    int64_t one;

    (void)state;
    if (!db_query_int(db, "SELECT 1 FROM things WHERE word = $1", values, 1, &found, &one, &err))
        fail_msg("%s", err.text);
    assert_false(found);
    assert_true(insert(1, "a\xc3", &err));
    assert_int_equal(count(), 1);
}

static void a_row_function_can_stop(void **state)
{
    struct error err = {0};
    int rows = 0;

    (void)state;
    for (int i = 0; i < 10; i++) {
        g_autofree char *word = g_strdup_printf("%d", i);

        assert_true(insert(i, word, &err));
    }
    assert_false(db_exec(db, "SELECT id FROM things", NULL, 0, stop_at_three, &rows, &err));
    assert_int_equal(rows, 3);
    assert_int_equal(err.kind, ERROR_USAGE);
    assert_int_equal(count(), 10); /* the connection is usable */
}

/* ------------------------------------------------------------------ failures */

static void failures_say_what_to_do(void **state)
{
    struct error err = {0};

    (void)state;
    assert_true(insert(1, "a", &err));
    assert_false(insert(2, "a", &err));
    assert_int_equal(db_fault(db), DB_FAULT_UNIQUE);
    assert_int_equal(err.kind, ERROR_TEMPORARY);
    assert_false(db_exec(db, "SELECT 1 FROM missing_table", NULL, 0, NULL, NULL, &err));
    assert_int_equal(db_fault(db), DB_FAULT_MISSING);
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "vmail migrate"));
    assert_false(db_exec(db, "SELECT missing_column FROM things", NULL, 0, NULL, NULL, &err));
    assert_int_equal(db_fault(db), DB_FAULT_MISSING);
    assert_false(db_exec(db, "NONSENSE", NULL, 0, NULL, NULL, &err));
    assert_int_equal(err.kind, ERROR_TEMPORARY);
    assert_int_equal(count(), 1);
}

static void bad_uris(void **state)
{
    static const struct {
        const char *uri;
        enum error_kind kind;
        const char *words; /* in the sentence */
    } rows[] = {
        {"mysql://x", ERROR_CONFIG, "sqlite:/path"},
        {"sqlite:", ERROR_CONFIG, "sqlite:/path"},
        {"sqlite:/nonexistent/vmail.db", ERROR_CONFIG, "vmail migrate"},
        {"sqlite:/dev/null/vmail.db", ERROR_CONFIG, "/dev/null/vmail.db"},
        {"sqlite:/tmp", ERROR_CONFIG, "/tmp"},
        {"postgresql://u:secret@127.0.0.1:1/x?connect_timeout=2", ERROR_TEMPORARY, "u@127.0.0.1:1/x"},
        {"postgresql://127.0.0.1:1/x?password=secret", ERROR_TEMPORARY, "127.0.0.1:1/x"},
        {"postgresql://127.0.0.1:1/x?no_such_option=1", ERROR_CONFIG, "no_such_option"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct error err = {0};
        struct db *other = NULL;

        if (db_open(rows[i].uri, NULL, &other, &err))
            fail_msg("%s opened", rows[i].uri);
        if (err.kind != rows[i].kind || strstr(err.text, rows[i].words) == NULL)
            fail_msg("%s: %d %s", rows[i].uri, err.kind, err.text);
        if (strstr(err.text, "secret") != NULL)
            fail_msg("the password is shown: %s", err.text);
    }
}

/* ------------------------------------------------------------------ transactions */

static void queue_and_commit(void **state)
{
    struct error err = {0};

    (void)state;
    assert_true(db_begin(db, &err));
    assert_true(db_in_transaction(db));
    assert_true(queue_insert(1, "a", &err));
    assert_true(queue_insert(2, "b", &err));
    assert_true(db_send(db, &err));
    assert_true(db_collect(db, &err));
    assert_true(queue_insert(3, "c", &err)); /* collected by the commit */
    assert_int_equal(db_commit(db, &err), DB_DURABLE);
    assert_false(db_in_transaction(db));
    assert_int_equal(count(), 3);
}

static void the_first_failure_is_reported(void **state)
{
    struct error err = {0};

    (void)state;
    assert_true(db_begin(db, &err));
    assert_true(queue_insert(1, "a", &err));
    assert_true(queue_insert(2, "a", &err));
    assert_true(queue_insert(3, "b", &err));
    assert_false(db_collect(db, &err));
    assert_int_equal(db_fault(db), DB_FAULT_UNIQUE);
    db_rollback(db);
    assert_int_equal(db_fault(db), DB_FAULT_UNIQUE);
    assert_int_equal(count(), 0);
    /* and at once again, the failure found by COMMIT */
    assert_true(db_begin(db, &err));
    assert_true(queue_insert(1, "a", &err));
    assert_true(queue_insert(2, "a", &err));
    assert_int_equal(db_commit(db, &err), DB_UNDONE);
    assert_int_equal(db_fault(db), DB_FAULT_UNIQUE);
    assert_int_equal(count(), 0);
    assert_true(insert(1, "a", &err));
}

static void rollback_undoes(void **state)
{
    struct error err = {0};

    (void)state;
    assert_true(db_begin(db, &err));
    assert_true(insert(1, "a", &err));
    assert_int_equal(count(), 1);
    db_rollback(db);
    assert_int_equal(count(), 0);
    db_rollback(db);
    /* queued and never collected */
    assert_true(db_begin(db, &err));
    assert_true(queue_insert(1, "a", &err));
    db_rollback(db);
    assert_int_equal(count(), 0);
}

static void a_lost_connection(void **state)
{
    struct error err = {0};
    struct db *other;

    (void)state;
    if (kind == DB_SQLITE)
        return;
    other = test_database_connect(database);

    int64_t pid = test_sql_int(db, "SELECT pg_backend_pid()");
    g_autofree char *kill = g_strdup_printf("SELECT pg_terminate_backend(%d)", (int)pid);

    assert_true(db_begin(db, &err));
    assert_true(queue_insert(1, "a", &err));
    assert_true(db_collect(db, &err));
    test_sql(other, kill);
    assert_int_not_equal(db_commit(db, &err), DB_DURABLE);
    assert_int_equal(db_fault(db), DB_FAULT_LOST);
    assert_int_equal(err.kind, ERROR_TEMPORARY);
    assert_false(db_alive(db));
    assert_false(insert(2, "b", &err));
    assert_int_equal(db_fault(db), DB_FAULT_LOST);
    assert_true(db_reconnect(db, &err));
    assert_true(db_alive(db));
    assert_int_equal(count(), 0);
    db_close(other);
}

/* A transaction of somebody else in the way: an error after the timeout, not for ever. */
static void a_lock_that_does_not_go_away(void **state)
{
    const struct db_options patient = {.timeout_s = 1};
    struct error err = {0};
    struct db *other;

    (void)state;
    assert_true(insert(1, "a", &err));
    assert_true(db_begin(db, &err));
    assert_true(insert(2, "b", &err));
    assert_true(db_open(test_database_uri(database), &patient, &other, &err));

    const struct db_value values[] = {db_int(2), db_text("b")};
    bool ok = db_begin(other, &err) &&
              db_exec(other, "INSERT INTO things (id, word) VALUES ($1, $2)", values, 2, NULL, NULL,
                      &err);

    assert_false(ok);
    assert_int_equal(err.kind, ERROR_TEMPORARY);
    db_close(other);
    assert_int_equal(db_commit(db, &err), DB_DURABLE);
}

/* A transaction of ours is on disk when it says so, whatever the site chose for its other data. */
static void commits_are_flushed(void **state)
{
    struct error err = {0};

    (void)state;
    if (kind == DB_SQLITE) {
        assert_int_equal(test_sql_int(db, "PRAGMA synchronous"), 2); /* FULL */
        return;
    }
    test_sql(db, "SET synchronous_commit = off");
    assert_true(db_begin(db, &err));

    g_autofree char *ours = test_sql_text(db, "SHOW synchronous_commit");

    assert_string_equal(ours, "local");
    db_rollback(db);
}

static void notified(void *ctx, const char *channel, const char *payload)
{
    g_string_append_printf(ctx, "%s %s\n", channel, payload);
}

static void notifications(void **state)
{
    g_autoptr(GString) heard = g_string_new(NULL);
    struct error err = {0};
    struct db *other;

    (void)state;
    if (kind == DB_SQLITE) {
        assert_false(db_listen(db, "vmail", &err));
        assert_int_equal(db_socket(db), -1);
        return;
    }
    other = test_database_connect(database);
    assert_false(db_listen(db, "x; DROP TABLE things", &err));
    assert_true(db_listen(db, "vmail", &err));
    test_sql(other, "NOTIFY vmail, '17'");
    for (int i = 0; i < 500 && heard->len == 0; i++) {
        assert_true(db_notifications(db, notified, heard, &err));
        g_usleep(10000);
    }
    assert_string_equal(heard->str, "vmail 17\n");
    db_close(other);
}

/* ------------------------------------------------------------------ SQLite's log */

static void the_log_does_not_grow_for_ever(void **state)
{
    struct error err = {0};
    int64_t first = 0, largest = 0;

    (void)state;
    if (kind != DB_SQLITE)
        return;
    for (int i = 0; i < 200; i++) {
        struct db *once = test_database_connect(database); /* as a delivery process */
        const struct db_value values[] = {db_int(i)};
        g_autofree char *log = g_strconcat(test_database_uri(database) + strlen("sqlite:"), "-wal",
                                           NULL);
        g_autofree char *text = NULL;
        gsize length = 0;

        assert_true(db_exec(once, "INSERT INTO things (id) VALUES ($1)", values, 1, NULL, NULL, &err));
        db_close(once);
        assert_true(g_file_get_contents(log, &text, &length, NULL));
        first = i == 0 ? (int64_t)length : first;
        largest = MAX(largest, (int64_t)length);
    }
    /* 128 pages and what one process adds, or what the migrations left; 200 insertions would be 400 */
    assert_in_range(largest, 1, MAX(first, 140 * 4120));
}

static int run_on(enum db_kind which, const char *name)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(values_come_back),
        T(nulls_and_extremes),
        T(broken_text_is_no_failure),
        T(a_row_function_can_stop),
        T(failures_say_what_to_do),
        T(bad_uris),
        T(queue_and_commit),
        T(the_first_failure_is_reported),
        T(rollback_undoes),
        T(a_lost_connection),
        T(a_lock_that_does_not_go_away),
        T(commits_are_flushed),
        T(notifications),
        T(the_log_does_not_grow_for_ever),
#undef T
    };

    kind = which;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return test_on_each_database("statements", &database, run_on);
}
