/* Rows follow mboxes, on both databases: what Dovecot and mail tools do to the file, and is_read from SQL
 * into it, while deliveries hold the lock. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "delivery_fixture.h"
#include "lda/base/io.h"
#include "mbox_files.h"
#include "store/mbox.h"
#include "store/mbox_entry.h"
#include "store/sync.h"

static const char *const inbox[] = {"INBOX", NULL};
static const char *const both[] = {"INBOX", "Work", NULL};

/* ------------------------------------------------------------------ sync */

/* The body's size as the subject: it shows that all of the message was there, and nothing else. */
static bool make_row(void *ctx, int fd, const char *name, struct header_row **ret_row,
                     struct error *err)
{
    g_autofree char *text = g_malloc0(65536);
    size_t length;

    (void)ctx;
    if (!io_read_at(fd, text, (size_t)lseek(fd, 0, SEEK_END), 0, name, err))
        return false;
    length = strlen(text);
    assert_null(strstr(text, "Status:"));
    assert_false(g_str_has_prefix(text, "From "));
    *ret_row = g_new0(struct header_row, 1);
    (*ret_row)->subject = g_strdup_printf("%zu bytes", length);
    (*ret_row)->date = 1700000000;
    return true;
}

static void free_row(void *ctx, struct header_row *row)
{
    (void)ctx;
    g_free((char *)row->subject);
    g_free(row);
}

static struct sync_counts run_sync(const struct sync_options *options)
{
    const struct sync_user user = {.id = world.user.id, .address = "u1@x.example",
                                   .home = world.user.home, .mbox = true,
                                   .mbox_locks = "dotlock fcntl"};
    const struct sync_host host = {.make_row = make_row, .free_row = free_row};
    const struct sync_options usual = {.min_age_s = 2};
    struct sync_counts counts = {0};
    struct error err = {0};

    if (!sync_run(world.db, &user, &host, options != NULL ? options : &usual, &counts, &err))
        fail_msg("%s", err.text);
    return counts;
}

static int64_t differences(const struct sync_counts *counts)
{
    return counts->added + counts->removed + counts->moved + counts->flagged + counts->carried;
}

static int64_t number(const char *sql)
{
    return test_sql_int(world.db, sql);
}

/* ------------------------------------------------------------------ tests */

static void deliveries_are_in_line(void **state)
{
    struct sync_counts counts;

    (void)state;
    world_deliver_to(&world, KEY_1, both);
    counts = run_sync(NULL);
    assert_int_equal(differences(&counts), 0);
    assert_int_equal(counts.files, 2);
    assert_int_equal(counts.folders, 4); /* INBOX, Drafts, Sent, Work */
}

static void flags_follow(void **state)
{
    struct sync_counts counts;
    g_autofree char *flags = NULL;

    (void)state;
    world_deliver_to(&world, KEY_1, inbox);
    world_deliver_to(&world, KEY_2, inbox);
    mbox_file_replace("INBOX", "From: a@",
                      "Status: RO\nX-Status: AF\nX-Keywords: work $label1    \nX-UID: 7\nFrom: a@");
    counts = run_sync(NULL);
    assert_int_equal(counts.flagged, 1);
    assert_int_equal(differences(&counts), 1);
    flags = test_sql_text(world.db, "SELECT flags FROM email_headers WHERE is_read");
    assert_string_equal(flags, "\\Answered \\Flagged work $label1");
    assert_int_equal(number("SELECT count(*) FROM email_headers WHERE is_read"), 1);
    counts = run_sync(NULL);
    assert_int_equal(differences(&counts), 0);
}

static void moves_keep_their_rows(void **state)
{
    struct sync_counts counts;
    g_autofree char *text = NULL;
    int64_t id;

    (void)state;
    world_deliver_to(&world, KEY_1, inbox);
    id = number("SELECT id FROM email_headers");
    text = mbox_file_text("INBOX");
    mbox_file_write("INBOX", "");
    mbox_file_write("Archive", text);
    counts = run_sync(NULL);
    assert_int_equal(counts.moved, 1);
    assert_int_equal(differences(&counts), 1);
    assert_int_equal(number("SELECT id FROM email_headers WHERE mailbox = 'Archive'"), id);
    mbox_file_write("Archive", "");
    counts = run_sync(NULL);
    assert_int_equal(counts.removed, 1);
    assert_int_equal(world_rows(&world), 0);
}

static void what_others_stored(void **state)
{
    struct sync_counts counts;
    g_autofree char *subject = NULL;
    const size_t size = strlen("Subject: foreign\n\nnot ours\n");
    g_autofree char *want = g_strdup_printf("%zu bytes", size);

    (void)state;
    world_deliver_to(&world, KEY_1, inbox);
    mbox_file_write("Sent",
                    FOREIGN FOREIGN "From y Sat Nov 29 07:44:20 2025\nStatus: R\nSubject: foreign"
                                    "\n\nnot ours\n\n");
    counts = run_sync(NULL);
    assert_int_equal(counts.added, 3);
    assert_int_equal(number("SELECT count(DISTINCT file) FROM email_headers WHERE mailbox = 'Sent'"), 3);
    assert_int_equal(number("SELECT sum(size) FROM email_headers WHERE mailbox = 'Sent'"), 3 * size);
    assert_int_equal(number("SELECT count(*) FROM email_headers WHERE is_read"), 1);
    subject = test_sql_text(world.db, "SELECT subject FROM email_headers WHERE mailbox = 'Sent'");
    assert_string_equal(subject, want);
    /* the flags are not part of what they are known by */
    mbox_file_replace("Sent", "Subject", "Status: RO\nX-UID: 1\nSubject");
    counts = run_sync(NULL);
    assert_int_equal(counts.flagged, 1);
    assert_int_equal(differences(&counts), 1);
}

static void is_read_is_carried(void **state)
{
    const struct sync_options check = {.full = true, .check_only = true};
    struct sync_counts counts;
    g_autofree char *first = NULL, *second = NULL;

    (void)state;
    for (int i = 0; i < 3; i++) {
        g_autofree char *key = g_strnfill(64, (char)('1' + i));

        world_deliver_to(&world, key, inbox);
    }
    test_sql(world.db, "UPDATE email_headers SET is_read = TRUE "
                       "WHERE id > (SELECT min(id) FROM email_headers)");
    counts = run_sync(&check);
    assert_int_equal(counts.carried, 2);
    first = mbox_file_text("INBOX");
    assert_null(strstr(first, "Status: R"));
    counts = run_sync(NULL);
    assert_int_equal(counts.carried, 2);
    assert_int_equal(differences(&counts), 2);
    assert_int_equal(counts.waiting, 0);
    second = mbox_file_text("INBOX");
    assert_int_equal(g_strrstr(second, "Status: R") != strstr(second, "Status: R"), true);
    assert_int_equal(number("SELECT count(*) FROM email_headers WHERE is_read"), 2);
    counts = run_sync(NULL);
    assert_int_equal(differences(&counts), 0);
    /* back again; and where file and row both changed, the file wins */
    test_sql(world.db, "UPDATE email_headers SET is_read = NOT is_read");
    mbox_file_replace("INBOX", "From: a@", "Status: R\nFrom: a@");
    counts = run_sync(NULL);
    assert_int_equal(counts.carried, 2);
    assert_int_equal(number("SELECT count(*) FROM email_headers WHERE is_read"), 1);
    counts = run_sync(NULL);
    assert_int_equal(differences(&counts), 0);
}

static void reindex(void **state)
{
    const struct sync_options rebuild = {.full = true, .rebuild = true};
    struct sync_counts counts;

    (void)state;
    world_deliver_to(&world, KEY_1, both);
    mbox_file_replace("INBOX", "From: a@", "Status: R\nFrom: a@");
    test_sql(world.db, "UPDATE email_headers SET is_read = TRUE WHERE mailbox = 'Work'; "
                       "DELETE FROM email_headers WHERE mailbox = 'INBOX'");
    counts = run_sync(&rebuild);
    assert_int_equal(counts.added, 1);
    assert_int_equal(counts.rebuilt, 1);
    assert_int_equal(counts.carried, 1);
    assert_int_equal(counts.waiting, 0);
    assert_int_equal(number("SELECT count(*) FROM email_headers WHERE is_read"), 2);
    assert_int_equal(number("SELECT count(DISTINCT substr(file, 1, 24)) FROM email_headers"), 1);
}

/* A delivery that died before COMMIT: what it added is no message. */
static void what_is_not_committed_gets_no_row(void **state)
{
    struct sync_counts counts;

    (void)state;
    commit_faults.next = COMMIT_DIES_BEFORE;
    world_deliver_and_die(&world, KEY_1, both, COMMIT_DEATH_STATUS);
    commit_faults.next = COMMIT_PASSES;
    counts = run_sync(NULL);
    assert_int_equal(differences(&counts), 0);
    world_deliver_to(&world, KEY_1, both);
    counts = run_sync(NULL);
    assert_int_equal(differences(&counts), 0);
    assert_int_equal(world_rows(&world), 2);
}

static void an_mbox_that_stands_still_is_not_read(void **state)
{
    const struct timespec long_ago[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    struct sync_counts counts;

    (void)state;
    world_deliver_to(&world, KEY_1, both);
    for (int i = 0; i < 2; i++) {
        static const char *const mailboxes[] = {"INBOX", "Work", "Sent", "Drafts"};

        for (size_t k = 0; k < G_N_ELEMENTS(mailboxes); k++) {
            g_autofree char *path = mbox_file_path(mailboxes[k]);

            assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
        }
        counts = run_sync(NULL);
        assert_int_equal(counts.unchanged_folders, i == 0 ? 0 : 4);
    }
    test_sql(world.db, "UPDATE email_headers SET is_read = TRUE WHERE mailbox = 'Work'");
    counts = run_sync(NULL);
    assert_int_equal(counts.unchanged_folders, 3);
    assert_int_equal(counts.carried, 1);
}

/* ------------------------------------------------------------------ main */

#define T(name) cmocka_unit_test_setup_teardown(name, set_up_mbox_world, tear_down_world)

static int run_on(enum db_kind kind, const char *name)
{
    const struct CMUnitTest tests[] = {
        T(deliveries_are_in_line), T(flags_follow), T(moves_keep_their_rows), T(what_others_stored),
        T(is_read_is_carried), T(reindex), T(what_is_not_committed_gets_no_row),
        T(an_mbox_that_stands_still_is_not_read),
    };

    (void)kind;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return test_on_each_database("sync of mboxes", &database, run_on);
}
