/* The header rows and the schema they stand in: new, and on a server that has tables already. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "database.h"
#include "store/rows.h"
#include "store/store.h"

static struct test_database *database;
static enum db_kind kind;
static struct db *db;

static int set_up(void **state)
{
    (void)state;
    db = test_database_connect(database);
    test_sql(db, "DELETE FROM email_headers");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    db_close(db);
    return 0;
}

static void insert(const struct row_place *place, const struct header_row *row)
{
    struct error err = {0};

    if (!db_begin(db, &err) || !rows_queue_insert(db, place, row, &err) ||
        db_commit(db, &err) != DB_DURABLE)
        fail_msg("%s", err.text);
}

static const struct row_place a_place = {.user_id = 1, .mailbox = "INBOX", .file = "1.V2.h,S=3,W=4",
                                         .size = 3, .received_at = 1700000001};

/* ------------------------------------------------------------------ rows */

static void columns(void **state)
{
    const struct header_row row = {
        .subject = "안녕하세요",
        .sender = "홍길동 <a@example.org>",
        .recipient = "u1@x.example",
        .date = 1700000000,
        .message_id = "1@example.org",
        .refs = "0@example.org 1@example.org",
        .has_attachment = true,
        .search_document = "document",
    };
    struct row_place place = a_place;
    g_autofree char *text = NULL;

    (void)state;
    place.is_read = true;
    place.flags = "\\Flagged";
    insert(&place, &row);
    text = test_sql_text(db, "SELECT subject || '|' || sender || '|' || recipient || '|' || "
                             "CAST(date AS VARCHAR(19)) || '|' || mailbox || '|' || message_id || '|' || "
                             "file || '|' || size || '|' || flags || '|' || refs || '|' || "
                             "CAST(received_at AS VARCHAR(19)) || '|' || search_document "
                             "FROM email_headers WHERE is_read AND file_is_read AND has_attachment");
    assert_string_equal(text, "안녕하세요|홍길동 <a@example.org>|u1@x.example|2023-11-14 22:13:20|INBOX|"
                              "1@example.org|1.V2.h,S=3,W=4|3|\\Flagged|0@example.org 1@example.org|"
                              "2023-11-14 22:13:21|document");
}

/* VARCHAR(255) counts characters; what is cut is whole in the search document. */
static void long_text_is_cut_on_a_character(void **state)
{
    g_autoptr(GString) subject = g_string_new(NULL);
    struct header_row row = {.date = 1};

    (void)state;
    for (int i = 0; i < 300; i++)
        g_string_append(subject, "가");
    row.subject = subject->str;
    row.search_document = subject->str;
    insert(&a_place, &row);
    assert_int_equal(test_sql_int(db, "SELECT length(subject) FROM email_headers"), 255);
    assert_int_equal(test_sql_int(db, "SELECT length(search_document) FROM email_headers"), 300);
}

static void broken_text_is_made_valid(void **state)
{
    const struct header_row row = {.subject = "a\xff\xfe" "b", .sender = "\xc3", .date = INT64_MIN};

    (void)state;
    insert(&a_place, &row);

    g_autofree char *subject = test_sql_text(db, "SELECT subject FROM email_headers");

    assert_string_equal(subject, "a\xef\xbf\xbd\xef\xbf\xbd" "b");
}

/* A delivery and a sync that meet: one row. */
static void the_same_file_is_one_row(void **state)
{
    const struct header_row first = {.subject = "first", .date = 1};
    const struct header_row second = {.subject = "second", .date = 2};
    struct row_place other = a_place;
    struct error err = {0};

    (void)state;
    insert(&a_place, &first);
    insert(&a_place, &second);
    assert_int_equal(test_sql_int(db, "SELECT count(*) FROM email_headers"), 1);
    other.mailbox = "Work";
    insert(&other, &first);
    assert_int_equal(test_sql_int(db, "SELECT count(*) FROM email_headers"), 2);
    assert_true(db_begin(db, &err));
    assert_true(rows_queue_delete(db, 1, "Work", a_place.file, &err));
    assert_int_equal(db_commit(db, &err), DB_DURABLE);

    g_autofree char *subject = test_sql_text(db, "SELECT subject FROM email_headers");

    assert_string_equal(subject, "second");
}

/* ------------------------------------------------------------------ the schema */

static void nothing_is_missing(void **state)
{
    struct error err = {0};
    int missing;

    (void)state;
    assert_true(store_schema_missing(db, TEST_SOURCE_DIR "/schema", &missing, &err));
    assert_int_equal(missing, 0);
}

static void count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(int *)ctx;
}

/* An empty database beside the migrated one. */
static char *other_uri(const char *name)
{
    if (kind == DB_SQLITE)
        return g_strdup_printf("%s.%s", test_database_uri(database), name);

    g_autofree char *create = g_strdup_printf("CREATE DATABASE %s TEMPLATE template0", name);
    g_auto(GStrv) parts = g_strsplit(test_database_uri(database), "/postgres?", 2);

    test_sql(db, create);
    return g_strdup_printf("%s/%s?%s", parts[0], name, parts[1]);
}

static struct db *open_uri(const char *uri)
{
    const struct db_options options = {.create = true};
    struct error err = {0};
    struct db *other;

    if (!db_open(uri, &options, &other, &err))
        fail_msg("%s", err.text);
    return other;
}

/* As servers run by the usual how-to have it, and the mission's tables made by hand. */
static void a_running_server_is_left_as_it_is(void **state)
{
    g_autofree char *uri = other_uri("running");
    struct db *other = open_uri(uri);
    const char *serial = kind == DB_SQLITE ? "INTEGER" : "SERIAL";
    g_autofree char *tables = g_strdup_printf(
        "CREATE TABLE virtual_domains (id %1$s PRIMARY KEY, name VARCHAR(50) NOT NULL);"
        "CREATE TABLE virtual_users (id %1$s PRIMARY KEY, domain_id INTEGER NOT NULL, "
        "  password VARCHAR(106) NOT NULL, email VARCHAR(120) NOT NULL UNIQUE, department TEXT);"
        "CREATE TABLE virtual_aliases (id %1$s PRIMARY KEY, domain_id INTEGER NOT NULL, "
        "  source VARCHAR(100) NOT NULL, destination VARCHAR(100) NOT NULL);"
        "CREATE TABLE email_headers (id %1$s PRIMARY KEY, user_id INTEGER REFERENCES virtual_users(id), "
        "  subject VARCHAR(255), sender VARCHAR(255), recipient VARCHAR(255), date TIMESTAMP, "
        "  is_read BOOLEAN DEFAULT FALSE, size INTEGER);"
        "CREATE TABLE contacts (id %1$s PRIMARY KEY, user_id INTEGER REFERENCES virtual_users(id), "
        "  contact_name VARCHAR(255), contact_email VARCHAR(255));"
        "INSERT INTO virtual_domains (id, name) VALUES (1, 'x.example');"
        "INSERT INTO virtual_users (id, domain_id, password, email, department) "
        "  VALUES (1, 1, 'secret', 'u@x.example', 'sales');"
        "INSERT INTO email_headers (id, user_id, subject) VALUES (1, 1, 'old');"
        "INSERT INTO contacts (id, user_id, contact_name, contact_email) VALUES (1, 1, 'n', 'e@x')",
        serial);
    struct error err = {0};
    int applied = 0;

    (void)state;
    test_sql(other, tables);
    if (!store_migrate(other, TEST_SOURCE_DIR "/schema", count_name, &applied, &err))
        fail_msg("%s", err.text);
    assert_true(applied >= 4);

    g_autofree char *department = test_sql_text(other, "SELECT department FROM virtual_users");
    g_autofree char *subject = test_sql_text(other, "SELECT subject FROM email_headers WHERE id = 1");

    assert_string_equal(department, "sales");
    assert_string_equal(subject, "old");
    if (kind == DB_SQLITE) {
        assert_int_equal(test_sql_int(other, "SELECT count(*) FROM pragma_table_info('virtual_users')"),
                         5);
    } else {
        assert_int_equal(test_sql_int(other, "SELECT count(*) FROM information_schema.columns "
                                             "WHERE table_name = 'virtual_users'"),
                         5);
    }
    applied = 0;
    assert_true(store_migrate(other, TEST_SOURCE_DIR "/schema", count_name, &applied, &err));
    assert_int_equal(applied, 0);
    db_close(other);
}

static void two_migrations_at_once(void **state)
{
    g_autofree char *uri = other_uri("twice");
    pid_t children[3];

    (void)state;
    db_close(open_uri(uri));
    db_close(db);
    for (size_t i = 0; i < G_N_ELEMENTS(children); i++) {
        children[i] = fork();
        if (children[i] == 0) {
            struct error err = {0};
            struct db *other;
            bool ok = db_open(uri, NULL, &other, &err) &&
                      store_migrate(other, TEST_SOURCE_DIR "/schema", NULL, NULL, &err);

            if (!ok)
                fprintf(stderr, "%s\n", err.text);
            _exit(ok ? 0 : 1);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(children); i++) {
        int status;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    db = test_database_connect(database);

    struct db *other = open_uri(uri);

    assert_int_equal(test_sql_int(other, "SELECT count(*) - count(DISTINCT version) FROM schema_version"),
                     0);
    assert_true(test_sql_int(other, "SELECT count(*) FROM schema_version") >= 4);
    db_close(other);
}

static int run_on(enum db_kind which, const char *name)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(columns),
        T(long_text_is_cut_on_a_character),
        T(broken_text_is_made_valid),
        T(the_same_file_is_one_row),
        T(nothing_is_missing),
        T(a_running_server_is_left_as_it_is),
        T(two_migrations_at_once),
#undef T
    };

    kind = which;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return test_on_each_database("rows", &database, run_on);
}
