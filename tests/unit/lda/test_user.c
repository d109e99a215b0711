#include "lda/user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <cmocka.h>

#include "lda/account.h"
#include "lda/base/cleanup.h"
#include "lda/config.h"
#include "store/db.h"
#include "store/store.h"

struct fixture {
    char *dir;
    struct config *config;
    struct db *db;
};

static int setup(void **state)
{
    struct fixture *f = g_new0(struct fixture, 1);
    struct db_options options = {.create = true};
    struct error err;

    f->dir = g_dir_make_tmp("vmail-user-XXXXXX", NULL);
    f->config = config_new();
    g_autofree char *uri = g_strdup_printf("sqlite:%s/vmail.db", f->dir);
    g_autofree char *root = g_build_filename(f->dir, "mail", NULL);
    if (!config_set(f->config, "vmail_root", root, &err) ||
        !db_open(uri, &options, &f->db, &err))
        fail_msg("%s", err.text);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->dir);

    db_close(f->db);
    config_free(f->config);
    g_free(f->dir);
    g_free(f);
    return g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL) ? 0 : 1;
}

static void sql(struct fixture *f, const char *text)
{
    struct error err;

    if (!db_exec_script(f->db, text, &err))
        fail_msg("%s", err.text);
}

static void addresses(void **state)
{
    struct fixture *f = *state;
    g_autofree char *root = g_build_filename(f->dir, "mail", NULL);
    static const struct {
        const char *address;
        enum user_answer want;
        const char *want_home, *want_detail; /* home below vmail_root */
    } rows[] = {
        {"alice@example.com", USER_FOUND, "example.com/alice", NULL},
        {"Alice@Example.COM", USER_FOUND, "example.com/alice", NULL},
        {"alice+Lists@example.com", USER_FOUND, "example.com/alice", "Lists"},
        {"alice+@example.com", USER_FOUND, "example.com/alice", ""},
        {"bob+own@example.com", USER_FOUND, "example.com/bob+own", NULL},
        {"alice-x@example.com", USER_NONE, NULL, NULL},
        {"nobody@example.com", USER_NONE, NULL, NULL},
        {"alice", USER_NONE, NULL, NULL},
        {"../alice@example.com", USER_NONE, NULL, NULL},
        {"a/b@example.com", USER_NONE, NULL, NULL},
        {".alice@example.com", USER_NONE, NULL, NULL},
        {"alice@..", USER_NONE, NULL, NULL},
        {"x' OR '1'='1@example.com", USER_NONE, NULL, NULL},
        {"", USER_NONE, NULL, NULL},
    };

    sql(f, "CREATE TABLE virtual_users (id INTEGER PRIMARY KEY, email TEXT);"
           "INSERT INTO virtual_users (email) VALUES ('alice@example.com'),"
           " ('bob+own@example.com');");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct user *user = NULL;
        struct error err;
        enum user_answer got = user_look_up(f->db, f->config, rows[i].address, &user, &err);

        if (got != rows[i].want)
            fail_msg("%s: %d %s", rows[i].address, got, got == USER_FOUND ? "" : err.text);
        if (got == USER_NONE) {
            assert_int_equal(err.kind, ERROR_NO_USER);
            continue;
        }
        g_autofree char *home = g_build_filename(root, rows[i].want_home, NULL);
        assert_string_equal(user->home, home);
        assert_string_equal(user_home_below_root(user, f->config), rows[i].want_home);
        if (g_strcmp0(user->detail, rows[i].want_detail) != 0)
            fail_msg("%s: detail %s", rows[i].address, user->detail);
        assert_true(user->enabled);
        user_free(user);
    }
}

static void columns_of_a_site(void **state)
{
    struct fixture *f = *state;
    struct user *user = NULL;
    struct error err;

    sql(f, "CREATE TABLE accounts (n INTEGER PRIMARY KEY, login TEXT, box TEXT, kind TEXT,"
           " locked INTEGER, space INTEGER);"
           "INSERT INTO accounts VALUES (7, 'kim@x.kr', '/srv/kim/', 'mbox', 0, 1000),"
           " (8, 'lee@x.kr', 'x.kr/lee/', NULL, 1, 0), (9, 'bad@x.kr', '/srv/../etc', NULL, 0, 0);");
    assert_true(config_set(f->config, "user_query",
                           "SELECT n AS id, login AS email, box AS home, kind AS format,"
                           " NOT locked AS enabled, space AS quota_bytes"
                           " FROM accounts WHERE login = $1", &err));
    assert_int_equal(user_look_up(f->db, f->config, "kim@x.kr", &user, &err), USER_FOUND);
    assert_int_equal(user->id, 7);
    assert_string_equal(user->home, "/srv/kim");
    assert_true(user->mbox);
    assert_true(user->enabled);
    assert_int_equal(user->quota_bytes, 1000);
    assert_null(user_home_below_root(user, f->config));
    user_free(user);
    assert_int_equal(user_look_up(f->db, f->config, "lee@x.kr", &user, &err), USER_FOUND);
    assert_false(user->enabled);
    assert_false(user->mbox);
    assert_string_equal(user_home_below_root(user, f->config), "x.kr/lee");
    user_free(user);
    assert_int_equal(user_look_up(f->db, f->config, "bad@x.kr", &user, &err), USER_FAILED);
    assert_int_equal(err.kind, ERROR_CONFIG);
}

static void broken_queries_defer(void **state)
{
    static const char *const queries[] = {
        "SELECT email FROM virtual_users WHERE email = $1",
        "SELECT * FROM no_such_table WHERE email = $1",
        "SELECT id, email FROM virtual_users WHERE $1 = $1",
    };
    struct fixture *f = *state;
    struct user *user;
    struct error err;

    sql(f, "CREATE TABLE virtual_users (id INTEGER PRIMARY KEY, email TEXT);"
           "INSERT INTO virtual_users (email) VALUES ('a@x'), ('b@x');");
    for (size_t i = 0; i < G_N_ELEMENTS(queries); i++) {
        assert_true(config_set(f->config, "user_query", queries[i], &err));
        if (user_look_up(f->db, f->config, "a@x", &user, &err) != USER_FAILED)
            fail_msg("%s", queries[i]);
        assert_true(err.kind == ERROR_CONFIG || err.kind == ERROR_TEMPORARY);
    }
}

static void a_link_in_the_way_of_the_home(void **state)
{
    struct fixture *f = *state;
    g_autofree char *domain = g_build_filename(f->dir, "mail/example.com", NULL);
    g_autofree char *link_path = g_build_filename(domain, "eve", NULL);
    g_autofree char *home = g_build_filename(domain, "alice", NULL);
    struct user alice = {.home = home};
    struct user eve = {.home = link_path};
    struct error err;
    struct stat st;

    assert_int_equal(user_open_home(&alice, f->config, false, &err), -1);
    assert_int_equal(err.code, ENOENT);
    AUTO_FD fd = user_open_home(&alice, f->config, true, &err);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(symlink("alice", link_path), 0);
    assert_int_equal(user_open_home(&eve, f->config, true, &err), -1);
}

/* --- vmail user */

static void adding_to_our_table(void **state)
{
    struct fixture *f = *state;
    struct account account = {.address = "Kim@X.kr", .format = "mbox", .quota_bytes = 5000};
    struct user *user = NULL;
    struct error err;
    int64_t id;

    if (!store_migrate(f->db, TEST_SOURCE_DIR "/schema", NULL, NULL, &err))
        fail_msg("%s", err.text);
    if (!account_add(f->db, &account, &id, &err))
        fail_msg("%s", err.text);
    assert_false(account_add(f->db, &account, &id, &err));
    assert_int_equal(err.kind, ERROR_USAGE);
    assert_non_null(strstr(err.text, "exists already"));
    assert_int_equal(user_look_up(f->db, f->config, "kim@x.kr", &user, &err), USER_FOUND);
    assert_int_equal(user->id, id);
    assert_true(user->mbox);
    assert_int_equal(user->quota_bytes, 5000);
    user_free(user);
    assert_true(account_enable(f->db, id, false, &err));
    assert_int_equal(user_look_up(f->db, f->config, "kim@x.kr", &user, &err), USER_FOUND);
    assert_false(user->enabled);
    user_free(user);
    account.address = "../x@y";
    assert_false(account_add(f->db, &account, &id, &err));
}

/* The tables of the usual tutorials: a password that must be there, no enabled. */
static void adding_to_a_table_that_was_there(void **state)
{
    struct fixture *f = *state;
    struct account account = {.address = "kim@x.kr"};
    struct error err;
    g_autofree char *password = NULL;
    int64_t id;

    sql(f, "CREATE TABLE virtual_domains (id INTEGER PRIMARY KEY, name VARCHAR(50) NOT NULL);"
           "CREATE TABLE virtual_users (id INTEGER PRIMARY KEY, domain_id INTEGER NOT NULL,"
           " password VARCHAR(106) NOT NULL, email VARCHAR(120) NOT NULL UNIQUE);"
           "INSERT INTO virtual_domains VALUES (5, 'x.kr');");
    if (!account_add(f->db, &account, &id, &err))
        fail_msg("%s", err.text);
    struct db_value values[] = {db_int(id)};
    assert_true(db_query_text(f->db, "SELECT password || ' ' || domain_id FROM virtual_users"
                              " WHERE id = $1", values, 1, &password, &err));
    assert_string_equal(password, "{CRYPT}! 5"); /* no password fits it */
    account.address = "lee@x.kr";
    account.home = "/srv/lee";
    assert_false(account_add(f->db, &account, &id, &err));
    assert_non_null(strstr(err.text, "no column home"));
    assert_false(account_enable(f->db, id, false, &err));
    assert_non_null(strstr(err.text, "no column enabled"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(columns_of_a_site, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_queries_defer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_in_the_way_of_the_home, setup, teardown),
        cmocka_unit_test_setup_teardown(adding_to_our_table, setup, teardown),
        cmocka_unit_test_setup_teardown(adding_to_a_table_that_was_there, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
