/*
 * Rows follow the files: a Maildir on a real disk, changed as Dovecot, a client, an operator and an
 * enemy would, and the rows compared with it after each step, in both databases.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "database.h"
#include "store/rows.h"
#include "store/search_text.h"
#include "store/store.h"
#include "store/sync.h"

static struct test_database *database;
static struct db *db;
static char *home_path;
static int home;
static int made;           /* rows made by the host */
static void (*meanwhile)(void); /* called while the host makes a row; NULL: nothing */
static GString *notes;
static int sent_seen;      /* calls of sent */

/* ------------------------------------------------------------------ the host: a row of a file */

/* The messages of this test are "id|subject": enough for a row, no parser. */
static bool make_row(void *ctx, int fd, const char *name, struct header_row **ret_row,
                     struct error *err)
{
    char text[512];
    ssize_t length = read(fd, text, sizeof text - 1);
    struct header_row *row;
    char *bar;

    (void)ctx;
    if (meanwhile)
        meanwhile();
    if (length <= 0 || !memchr(text, '|', (size_t)length)) {
        error_set(err, ERROR_BAD_DATA, "%s is no message", name);
        return false;
    }
    text[length] = 0;
    bar = strchr(text, '|');
    *bar = 0;
    row = g_new0(struct header_row, 1);
    row->message_id = g_strdup(text);
    row->subject = g_strdup(bar + 1);
    row->date = 1700000000;
    row->search_document = search_document_new(row->subject, NULL, NULL, NULL, NULL);
    *ret_row = row;
    made++;
    return true;
}

static void free_row(void *ctx, struct header_row *row)
{
    (void)ctx;
    g_free((char *)row->message_id);
    g_free((char *)row->subject);
    g_free((char *)row->search_document);
    g_free(row);
}

static bool sent(void *ctx, struct db *connection, int64_t user_id, const struct header_row *row,
                 struct error *err)
{
    (void)ctx;
    (void)connection;
    (void)row;
    (void)err;
    assert_int_equal(user_id, 1);
    sent_seen++;
    return true;
}

static void note(void *ctx, const char *text)
{
    (void)ctx;
    g_string_append_printf(notes, "%s\n", text);
}

static const struct sync_host host = { .make_row = make_row, .free_row = free_row, .sent = sent,
                                       .note = note };

static struct sync_counts run_options(const struct sync_options *options)
{
    struct sync_user user = { .id = 1, .address = "u1@x.example", .home = home };
    struct sync_counts counts = { 0 };
    struct error err = { 0 };

    if (!sync_run(db, &user, &host, options, &counts, &err))
        fail_msg("%s", err.text);
    return counts;
}

/* Stamps settle two seconds after a change: a test looks at every folder instead of waiting. */
static struct sync_counts run(void)
{
    struct sync_options options = { .full = true, .sent_mailboxes = "Sent" };

    return run_options(&options);
}

/* ------------------------------------------------------------------ the Maildir */

static void make_dir(const char *path)
{
    if (mkdirat(home, path, 0700) != 0 && errno != EEXIST)
        fail_msg("mkdir %s: %s", path, strerror(errno));
}

static void make_folder(const char *dir)
{
    static const char *const parts[] = { "", "/cur", "/new", "/tmp" };

    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *path = g_strconcat(dir, parts[i], NULL);

        make_dir(path);
    }
}

static void write_file(const char *path, const char *text)
{
    int fd = openat(home, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void move(const char *from, const char *to)
{
    if (renameat(home, from, home, to) != 0)
        fail_msg("rename %s %s: %s", from, to, strerror(errno));
}

static void delete(const char *path)
{
    assert_int_equal(unlinkat(home, path, 0), 0);
}

static bool exists(const char *path)
{
    return faccessat(home, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* All rows of user 1: "mailbox/file read [flags] subject; …" */
static void expect_rows(const char *want)
{
    g_autofree char *got = test_sql_text(
        db, db_kind(db) == DB_PGSQL
                ? "SELECT string_agg(mailbox || '/' || file || ' ' || CASE WHEN is_read THEN 'S' "
                  "ELSE '-' END || ' [' || flags || '] ' || subject, '; ' ORDER BY mailbox COLLATE "
                  "\"C\", file COLLATE \"C\") FROM email_headers WHERE user_id = 1"
                : "SELECT group_concat(mailbox || '/' || file || ' ' || CASE WHEN is_read THEN 'S' "
                  "ELSE '-' END || ' [' || flags || '] ' || subject, '; ') FROM (SELECT * FROM "
                  "email_headers WHERE user_id = 1 ORDER BY mailbox, file)");

    assert_string_equal(got, want);
}

static int64_t id_of(const char *file)
{
    g_autofree char *sql =
        g_strdup_printf("SELECT id FROM email_headers WHERE user_id = 1 AND file = '%s'", file);

    return test_sql_int(db, sql);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int start(void **state)
{
    (void)state;
    test_sql(db, "DELETE FROM email_headers; DELETE FROM sync_folders; DELETE FROM contacts");
    home_path = g_dir_make_tmp("vmail-sync-XXXXXX", NULL);
    home = open(home_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    make_folder(".");
    make_folder(".Sent");
    made = sent_seen = 0;
    notes = g_string_new(NULL);
    return home < 0;
}

static int stop(void **state)
{
    (void)state;
    close(home);
    nftw(home_path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    g_clear_pointer(&home_path, g_free);
    g_string_free(notes, TRUE);
    return 0;
}

/* ------------------------------------------------------------------ the tests */

static void test_story(void **state)
{
    struct sync_counts counts;
    int64_t a, b;

    (void)state;
    write_file("new/1700000001.a", "a@x|first");
    write_file("cur/1700000002.b:2,S", "b@x|second");
    write_file(".Sent/cur/1700000003.c:2,S", "c@x|sent");
    counts = run();
    assert_int_equal(counts.added, 3);
    assert_int_equal(sent_seen, 1);
    expect_rows("INBOX/1700000001.a - [] first; INBOX/1700000002.b S [] second; "
                "Sent/1700000003.c S [] sent");
    a = id_of("1700000001.a");
    b = id_of("1700000002.b");

    /* nothing changed: nothing is made, nothing written */
    made = 0;
    counts = run();
    assert_int_equal(counts.added + counts.removed + counts.moved + counts.flagged + made, 0);

    /* read, flagged, answered; a keyword with and one without a name */
    write_file("dovecot-keywords", "0 $label1\n1 work\n");
    move("new/1700000001.a", "cur/1700000001.a:2,FRSaz");
    counts = run();
    assert_int_equal(counts.added + counts.removed + counts.moved, 0);
    expect_rows("INBOX/1700000001.a S [\\Answered \\Flagged $label1] first; "
                "INBOX/1700000002.b S [] second; Sent/1700000003.c S [] sent");

    /* moved by name, into a folder that is new, with a name that is not ASCII (중요) */
    make_folder(".&yRHGlA-");
    move("cur/1700000001.a:2,FRSaz", ".&yRHGlA-/cur/1700000001.a:2,F");
    counts = run();
    assert_int_equal(counts.moved, 1);
    assert_int_equal(counts.removed + counts.added, 0);
    expect_rows("INBOX/1700000002.b S [] second; Sent/1700000003.c S [] sent; "
                "중요/1700000001.a - [\\Flagged] first");
    assert_int_equal(id_of("1700000001.a"), a);

    /* moved as Dovecot does: under a new name. The message id tells */
    move("cur/1700000002.b:2,S", ".&yRHGlA-/cur/1700000009.new:2,");
    counts = run();
    assert_int_equal(counts.moved, 1);
    assert_int_equal(id_of("1700000009.new"), b);

    /* expunged; a folder removed with what was in it */
    delete(".Sent/cur/1700000003.c:2,S");
    counts = run();
    assert_int_equal(counts.removed, 1);
    delete(".&yRHGlA-/cur/1700000009.new:2,");
    delete(".&yRHGlA-/cur/1700000001.a:2,F");
    unlinkat(home, ".&yRHGlA-/cur", AT_REMOVEDIR);
    unlinkat(home, ".&yRHGlA-/new", AT_REMOVEDIR);
    unlinkat(home, ".&yRHGlA-/tmp", AT_REMOVEDIR);
    unlinkat(home, ".&yRHGlA-", AT_REMOVEDIR);
    counts = run();
    assert_int_equal(counts.removed, 2);
    expect_rows("");
}

/* A copy in another folder is a message of its own; the old row stays with the old file. */
static void test_copy(void **state)
{
    struct sync_counts counts;
    int64_t a;

    (void)state;
    write_file("cur/1.a:2,", "a@x|first");
    run();
    a = id_of("1.a");
    write_file(".Sent/cur/1.a:2,", "a@x|first");
    counts = run();
    assert_int_equal(counts.added, 1);
    assert_int_equal(counts.moved + counts.removed, 0);
    expect_rows("INBOX/1.a - [] first; Sent/1.a - [] first");
    /* and when the first one goes then, it goes */
    delete("cur/1.a:2,");
    counts = run();
    assert_int_equal(counts.removed, 1);
    expect_rows("Sent/1.a - [] first");
    assert_int_not_equal(id_of("1.a"), a);
}

/* is_read changed by an application goes into the file's name, once, and comes back as it is. */
static void test_carry(void **state)
{
    struct sync_counts counts;

    (void)state;
    write_file("new/1.a", "a@x|first");
    write_file("cur/2.b:2,FRS", "b@x|second");
    run();
    test_sql(db, "UPDATE email_headers SET is_read = NOT is_read WHERE user_id = 1");
    counts = run();
    assert_int_equal(counts.carried, 2);
    assert_true(exists("cur/1.a:2,S"));
    assert_false(exists("new/1.a"));
    assert_true(exists("cur/2.b:2,FR"));
    expect_rows("INBOX/1.a S [] first; INBOX/2.b - [\\Answered \\Flagged] second");
    counts = run();
    assert_int_equal(counts.carried + counts.flagged, 0);
    expect_rows("INBOX/1.a S [] first; INBOX/2.b - [\\Answered \\Flagged] second");
}

/* Both sides changed: the file wins, and both stay so. */
static void test_file_wins(void **state)
{
    struct sync_counts counts;

    (void)state;
    write_file("cur/1.a:2,", "a@x|first");
    write_file("cur/2.b:2,S", "b@x|second");
    run();
    /* 1: the client reads it, the application reads it too. 2: the client unreads it, the
     * application unread it and read it again */
    move("cur/1.a:2,", "cur/1.a:2,S");
    move("cur/2.b:2,S", "cur/2.b:2,");
    test_sql(db, "UPDATE email_headers SET is_read = TRUE WHERE user_id = 1");
    counts = run();
    assert_int_equal(counts.carried, 0);
    expect_rows("INBOX/1.a S [] first; INBOX/2.b - [] second");
    counts = run();
    assert_int_equal(counts.carried + counts.flagged, 0);
    assert_true(exists("cur/1.a:2,S"));
    assert_true(exists("cur/2.b:2,"));
}

/* A change in SQL is found although no folder changed, and while the stamps say "as before". */
static void test_stamps(void **state)
{
    struct sync_options options = { .sent_mailboxes = "Sent" };
    struct timespec old[2] = { { 1600000000, 0 }, { 1600000000, 0 } };
    struct sync_counts counts;

    (void)state;
    write_file("cur/1.a:2,", "a@x|first");
    assert_int_equal(utimensat(home, "cur", old, 0), 0);
    assert_int_equal(utimensat(home, "new", old, 0), 0);
    assert_int_equal(utimensat(home, ".Sent/cur", old, 0), 0);
    assert_int_equal(utimensat(home, ".Sent/new", old, 0), 0);
    counts = run_options(&options);
    assert_int_equal(counts.unchanged_folders, 0);
    assert_int_equal(counts.added, 1);
    counts = run_options(&options);
    assert_int_equal(counts.folders, 2);
    assert_int_equal(counts.unchanged_folders, 2);
    assert_int_equal(counts.files, 0);
    test_sql(db, "UPDATE email_headers SET is_read = TRUE WHERE user_id = 1");
    counts = run_options(&options);
    assert_int_equal(counts.carried, 1);
    assert_true(exists("cur/1.a:2,S"));
    /* a change less than two seconds ago is not trusted to be the last one */
    counts = run_options(&options);
    assert_int_equal(counts.unchanged_folders, 1);
    /* only_mailboxes looks nowhere else */
    {
        const char *const only[] = { "Sent", NULL };
        struct sync_options one = { .full = true, .only_mailboxes = only };

        delete("cur/1.a:2,S");
        counts = run_options(&one);
        assert_int_equal(counts.folders, 1);
        assert_int_equal(counts.removed, 0);
        counts = run();
        assert_int_equal(counts.removed, 1);
    }
}

static void test_hostile(void **state)
{
    struct sync_counts counts;
    g_autofree char *long_name = g_strnfill(200, 'x');
    g_autofree char *long_path = g_strconcat("cur/", long_name, ":2,S", NULL);
    g_autofree char *want = NULL;

    (void)state;
    make_dir("cur/a-directory:2,S");
    assert_int_equal(mkfifoat(home, "new/a-fifo", 0600), 0);
    assert_int_equal(symlinkat("/etc/passwd", home, "cur/a-link:2,"), 0);
    assert_int_equal(symlinkat("/etc", home, ".Link"), 0);
    make_dir(".NoCur");
    make_dir(".");
    make_dir(".&broken");
    make_dir(".&broken/cur");
    make_dir("..double");
    make_dir("..double/cur");
    write_file("new/.hidden", "h@x|hidden");
    write_file("new/with\nnewline", "n@x|newline");
    write_file("new/bad\xff" "utf8", "n@x|utf8");
    write_file("new/empty", "");
    write_file("new/':DROP TABLE--", "q@x|quote");
    write_file("cur/1.a:2,SSSFF~!x", "a@x|odd flags");
    write_file(long_path, "l@x|long name");
    counts = run();
    assert_int_equal(counts.added, 3);
    assert_true(counts.ignored >= 6);
    want = g_strdup_printf("INBOX/':DROP TABLE-- - [] quote; INBOX/1.a S [\\Flagged] odd flags; "
                           "INBOX/%s S [] long name", long_name);
    expect_rows(want);
    /* rows edited by hand into nonsense: no place at all, a place that cannot be */
    test_sql(db, "INSERT INTO email_headers (user_id, mailbox, file) VALUES (1, '../../etc', 'x'), "
                 "(1, NULL, NULL), (1, 'INBOX', '../../../etc/passwd')");
    counts = run();
    assert_int_equal(counts.removed, 2);
    assert_int_equal(test_sql_int(db, "SELECT count(*) FROM email_headers WHERE user_id = 1"), 4);
}

/* A file that a delivery has just published gets no row before its time, and never two. */
static void test_delivery_at_the_same_time(void **state)
{
    struct sync_options young = { .full = true, .min_age_s = 3600 };
    struct sync_counts counts;
    struct header_row row = { .subject = "first", .date = 1700000000, .message_id = "a@x" };
    struct row_place place = { .user_id = 1, .mailbox = "INBOX", .file = "1.a", .size = 9,
                               .received_at = 1700000000 };
    struct error err = { 0 };

    (void)state;
    write_file("new/1.a", "a@x|first");
    counts = run_options(&young);
    assert_int_equal(counts.waiting, 1);
    assert_int_equal(counts.added, 0);
    expect_rows("");
    /* sync was quicker after all: the delivery's insert finds the row and writes it over */
    run();
    assert_true(db_begin(db, &err));
    assert_true(rows_queue_insert(db, &place, &row, &err));
    assert_int_equal(db_commit(db, &err), DB_DURABLE);
    expect_rows("INBOX/1.a - [] first");
    counts = run();
    assert_int_equal(counts.added + counts.removed, 0);
}

static void test_check_only(void **state)
{
    struct sync_options check = { .full = true, .check_only = true };
    struct sync_counts counts;

    (void)state;
    write_file("cur/1.a:2,", "a@x|first");
    write_file("cur/2.b:2,", "b@x|second");
    write_file("cur/3.c:2,", "c@x|third");
    run();
    delete("cur/1.a:2,");
    move("cur/2.b:2,", "cur/2.b:2,S");
    move("cur/3.c:2,", ".Sent/cur/3.c:2,");
    write_file("cur/4.d:2,", "d@x|fourth");
    counts = run_options(&check);
    assert_int_equal(counts.removed, 1);
    assert_int_equal(counts.flagged, 1);
    assert_int_equal(counts.moved, 1);
    assert_int_equal(counts.added, 1);
    expect_rows("INBOX/1.a - [] first; INBOX/2.b - [] second; INBOX/3.c - [] third");
}

/* reindex: contents come from the files again, ids and what an application said about is_read stay. */
static void test_rebuild(void **state)
{
    struct sync_options rebuild = { .full = true, .rebuild = true };
    struct sync_counts counts;
    int64_t a;

    (void)state;
    write_file("cur/1.a:2,", "a@x|first");
    write_file("cur/2.b:2,S", "b@x|second");
    run();
    a = id_of("1.a");
    test_sql(db, "UPDATE email_headers SET subject = 'nonsense', search_document = NULL, "
                 "is_read = TRUE WHERE user_id = 1 AND file = '1.a'");
    counts = run_options(&rebuild);
    assert_int_equal(counts.rebuilt, 2);
    assert_int_equal(counts.added + counts.removed, 0);
    expect_rows("INBOX/1.a S [] first; INBOX/2.b S [] second");
    assert_int_equal(id_of("1.a"), a);
    assert_true(exists("cur/1.a:2,S"));
    counts = run();
    assert_int_equal(counts.carried + counts.flagged, 0);
    /* from files alone */
    test_sql(db, "DELETE FROM email_headers");
    counts = run_options(&rebuild);
    assert_int_equal(counts.added, 2);
    expect_rows("INBOX/1.a S [] first; INBOX/2.b S [] second");
}

/* What only the database knew survives a rebuild: to whom a message without a To field came (and that it
 * is found by it), and when. */
static void test_rebuild_keeps(void **state)
{
    struct sync_options rebuild = { .full = true, .rebuild = true };
    g_autofree char *document = search_document_new("first", NULL, "bob@x.example", NULL, NULL);
    struct header_row row = { .subject = "first", .recipient = "bob@x.example",
                              .date = 1700000000, .search_document = document };
    struct row_place place = { .user_id = 1, .mailbox = "INBOX", .file = "1.a", .size = 9,
                               .received_at = 1600000000 };
    struct error err = { 0 };
    g_autofree char *kept = NULL;

    (void)state;
    write_file("new/1.a", "a@x|first");
    assert_true(db_begin(db, &err));
    assert_true(rows_queue_insert(db, &place, &row, &err));
    assert_int_equal(db_commit(db, &err), DB_DURABLE);
    assert_int_equal(run_options(&rebuild).rebuilt, 1);
    kept = test_sql_text(db, "SELECT recipient || ' ' || received_at || ' ' || message_id || ' ' || "
                             "search_document FROM email_headers WHERE user_id = 1");
    assert_string_equal(kept, "bob@x.example 2020-09-13 12:26:40 a@x "
                              "first\x1c\x1d" "bob@x.example\x1e\x1f");
}

/* What an application says while reindex reads files stands; and a row that reads as its file does is not
 * written at all: no new version, no index touched. */
static void mark_as_read(void)
{
    struct db *other = test_database_connect(database);

    test_sql(other, "UPDATE email_headers SET is_read = TRUE, flags = '$label1' "
                    "WHERE user_id = 1 AND file = '1.a'");
    db_close(other);
}

static void test_rebuild_leaves_alone(void **state)
{
    struct sync_options rebuild = { .full = true, .rebuild = true };
    const char *version = db_kind(db) == DB_PGSQL ? "SELECT sum(xmin::text::bigint) FROM email_headers"
                                                  : "SELECT total_changes()";
    int64_t before;

    (void)state;
    write_file("cur/1.a:2,", "a@x|first");
    write_file("cur/2.b:2,S", "b@x|second");
    run();
    before = test_sql_int(db, version);
    assert_int_equal(run_options(&rebuild).rebuilt, 2);
    assert_int_equal(test_sql_int(db, version), before);
    meanwhile = mark_as_read;
    assert_int_equal(run_options(&rebuild).rebuilt, 2);
    meanwhile = NULL;
    expect_rows("INBOX/1.a S [$label1] first; INBOX/2.b S [] second");
}

/* One row that the database refuses costs no other its place, and is tried again. */
static void test_a_row_is_refused(void **state)
{
    struct sync_counts counts;

    (void)state;
    test_sql(db, db_kind(db) == DB_PGSQL
                     ? "ALTER TABLE email_headers ADD CONSTRAINT not_evil CHECK (subject <> 'evil')"
                     : "CREATE TRIGGER not_evil BEFORE INSERT ON email_headers "
                       "WHEN NEW.subject = 'evil' BEGIN SELECT RAISE(ABORT, 'not_evil'); END");
    write_file("cur/1.a:2,", "a@x|first");
    write_file("cur/2.b:2,S", "b@x|evil");
    write_file("cur/3.c:2,F", "c@x|third");
    counts = run();
    assert_int_equal(counts.added, 2);
    assert_int_equal(counts.ignored, 1);
    expect_rows("INBOX/1.a - [] first; INBOX/3.c - [\\Flagged] third");
    assert_non_null(strstr(notes->str, "u1@x.example: 2.b in INBOX: no row: "));
    assert_non_null(strstr(notes->str, "not_evil"));
    test_sql(db, db_kind(db) == DB_PGSQL ? "ALTER TABLE email_headers DROP CONSTRAINT not_evil"
                                         : "DROP TRIGGER not_evil");
    assert_int_equal(run().added, 1);
}

/* A file that was renamed while the directories were read is seen twice: one row, the later look. Text
 * is text, whatever it looks like in a statement or an array. */
static void test_odd_batches(void **state)
{
    struct sync_counts counts;

    (void)state;
    write_file("new/1.a", "a@x|first");
    write_file("cur/1.a:2,S", "a@x|first");
    write_file("cur/2.\"\\{},NULL", "\"\\@x|NULL");
    write_file("cur/3.c", "{}@x|\"},{\\\\\"'");
    counts = run();
    assert_int_equal(counts.added, 4);
    expect_rows("INBOX/1.a S [] first; INBOX/2.\"\\{},NULL - [] NULL; "
                "INBOX/3.c - [] \"},{\\\\\"'");
    counts = run();
    assert_int_equal(counts.added + counts.removed + counts.moved, 0);
}

/* More rows than a batch holds, some of them moved here meanwhile. */
static void test_several_batches(void **state)
{
    struct sync_counts counts;

    (void)state;
    make_folder(".Work");
    for (int i = 0; i < 1200; i++) {
        g_autofree char *path = g_strdup_printf("cur/%d.m:2,", i);
        g_autofree char *text = g_strdup_printf("m%d@x|m%d", i, i);

        write_file(path, text);
    }
    assert_int_equal(run().added, 1200);
    for (int i = 0; i < 1200; i++) {
        g_autofree char *from = g_strdup_printf("cur/%d.m:2,", i);
        g_autofree char *to = g_strdup_printf(".Work/cur/%d.n:2,", i);
        g_autofree char *new_path = g_strdup_printf(".Work/cur/%d.o:2,", i);

        if (i % 3 == 0)
            move(from, to); /* a new name, as Dovecot gives it */
        else if (i % 3 == 1)
            write_file(new_path, "new@x|new");
    }
    counts = run();
    assert_int_equal(counts.moved, 400);
    assert_int_equal(counts.added, 400);
    assert_int_equal(counts.removed, 0);
    assert_int_equal(test_sql_int(db, "SELECT count(*) FROM email_headers WHERE mailbox = 'Work'"), 800);
}

static void change_owner(const char *path, uid_t owner)
{
    assert_int_equal(fchownat(home, path, owner, (gid_t)-1, AT_SYMLINK_NOFOLLOW), 0);
}

/* What may not be read for a while loses no row, and no other folder is worse for it. */
static void test_not_readable(void **state)
{
    static const char *const paths[] = { ".", "cur", "new", ".Sent", ".Sent/cur", ".Sent/new",
                                         ".Locked", ".Locked/cur", ".Locked/new" };
    static const char *const closed[] = { ".Locked", ".Locked/cur" };
    const uid_t nobody = 65534;
    bool root = geteuid() == 0;

    (void)state;
    make_folder(".Locked");
    write_file("cur/1.a:2,", "a@x|first");
    write_file(".Locked/cur/2.b:2,", "b@x|second");
    run();
    for (size_t i = 0; root && i < G_N_ELEMENTS(paths); i++)
        change_owner(paths[i], nobody);
    for (size_t i = 0; i < G_N_ELEMENTS(closed); i++) {
        struct sync_counts counts;
        g_autofree char *path = g_strdup_printf("cur/3.c%zu:2,", i);

        write_file(path, "c@x|third");
        if (root)
            change_owner(path, nobody);
        assert_int_equal(fchmodat(home, closed[i], 0, 0), 0);
        if (root)
            assert_int_equal(seteuid(nobody), 0);
        counts = run();
        if (root)
            assert_int_equal(seteuid(0), 0);
        assert_int_equal(fchmodat(home, closed[i], 0700, 0), 0);
        assert_int_equal(counts.removed, 0);
        assert_int_equal(counts.added, 1);
        assert_int_equal(counts.waiting, 1);
        assert_non_null(strstr(notes->str, "Permission denied"));
        g_string_truncate(notes, 0);
    }
    assert_int_equal(run().removed, 0);
    expect_rows("INBOX/1.a - [] first; INBOX/3.c0 - [] third; INBOX/3.c1 - [] third; "
                "Locked/2.b - [] second");
}

/* A folder that becomes something else between two looks, or while its files are read. */
static void swap_cur(void)
{
    meanwhile = NULL;
    move(".Work/cur", ".Work/away");
    assert_int_equal(symlinkat("away", home, ".Work/cur"), 0);
}

static void swap_file(void)
{
    meanwhile = NULL;
    for (int i = 0; i < 3; i++) {
        g_autofree char *path = g_strdup_printf("cur/%d.a:2,", i);

        if (unlinkat(home, path, 0) != 0)
            fail_msg("%s", strerror(errno));
        if (i == 0)
            assert_int_equal(symlinkat("/etc/passwd", home, path), 0);
        else if (i == 1)
            assert_int_equal(mkfifoat(home, path, 0600), 0);
        else
            make_dir(path);
    }
}

static void test_changed_while_read(void **state)
{
    struct sync_counts counts;

    (void)state;
    make_folder(".Work");
    write_file("cur/0.a:2,", "a0@x|a0");
    write_file("cur/1.a:2,", "a1@x|a1");
    write_file("cur/2.a:2,", "a2@x|a2");
    meanwhile = swap_file; /* while the first of them is read, all become something else */
    counts = run();
    assert_int_equal(counts.added, 1);
    assert_int_equal(counts.waiting, 2);
    counts = run();
    assert_int_equal(counts.removed, 1);
    assert_int_equal(counts.ignored, 3);
    expect_rows("");
    write_file(".Work/cur/1.w:2,", "w@x|work");
    write_file("cur/9.a:2,", "a9@x|a9");
    meanwhile = swap_cur; /* while INBOX's file is read, after all directories were */
    counts = run();
    assert_int_equal(counts.added, 1);
    assert_int_equal(counts.waiting, 1);
    counts = run();
    expect_rows("INBOX/9.a - [] a9");
    assert_int_equal(counts.added + counts.removed, 0);
}

/* Rows edited by hand into nonsense: set right where they name a file, else left alone; the second run has
 * nothing to do. */
static void test_nonsense(void **state)
{
    static const bool rebuilds[] = { false, true };

    for (size_t i = 0; i < G_N_ELEMENTS(rebuilds); i++) {
        struct sync_options options = { .full = true, .rebuild = rebuilds[i] };
        struct sync_counts counts;

        stop(state);
        start(state);
        write_file("cur/1.a:2,S", "a@x|first");
        write_file("cur/2.b:2,", "b@x|second");
        write_file("cur/3.c:2,F", "c@x|third");
        run();
        test_sql(db, "UPDATE email_headers SET is_read = NULL, flags = NULL WHERE file = '1.a'");
        test_sql(db, "UPDATE email_headers SET file_is_read = NULL, message_id = NULL, size = -1 "
                     "WHERE file = '2.b'");
        test_sql(db, db_kind(db) == DB_PGSQL
                         ? "UPDATE email_headers SET flags = repeat('x ', 1000000), user_id = 1 "
                           "WHERE file = '3.c'"
                         : "UPDATE email_headers SET flags = x'ff00ff', is_read = 'maybe', "
                           "file_is_read = 17, size = 'large' WHERE file = '3.c'");
        test_sql(db, "INSERT INTO email_headers (user_id, mailbox, file) VALUES "
                     "(NULL, 'INBOX', '1.a'), (1, NULL, '1.a'), (1, 'INBOX', ''), "
                     "(1, '', '1.a'), (1, '%s%n', '\n')");
        if (db_kind(db) == DB_SQLITE)
            test_sql(db, "PRAGMA foreign_keys = OFF; /* as applications have it */"
                         "INSERT INTO email_headers (user_id, mailbox, file) VALUES "
                         "(1, x'ff', 'x'), (1, 'a' || char(0) || 'b', 'x'), (1, 'INBOX', x'00ff'), "
                         "(1, CAST(x'ff' AS TEXT), CAST(x'fe' AS TEXT)), ('one', 'INBOX', 'x');"
                         "PRAGMA foreign_keys = ON");
        counts = run_options(&options);
        assert_int_equal(counts.added + counts.moved, 0);
        counts = run_options(&options);
        counts = run();
        assert_int_equal(counts.added + counts.moved + counts.flagged + counts.removed +
                             counts.carried, 0);
        test_sql(db, db_kind(db) == DB_PGSQL
                         ? "DELETE FROM email_headers WHERE user_id IS NULL OR mailbox IS NULL OR "
                           "mailbox = ''"
                         : "DELETE FROM email_headers WHERE typeof(user_id) <> 'integer' OR "
                           "typeof(mailbox) <> 'text' OR mailbox = '' OR file = x'00ff' OR "
                           "instr(mailbox, char(0)) > 0");
        /* is_read = NULL counts as not read, and is carried into the file that nobody changed */
        expect_rows("INBOX/1.a - [] first; INBOX/2.b - [] second; "
                    "INBOX/3.c - [\\Flagged] third");
        assert_true(exists("cur/1.a:2,"));
        assert_int_equal(test_sql_int(db, "SELECT count(*) FROM email_headers WHERE "
                                          "is_read IS NULL OR file_is_read IS NULL OR "
                                          "file_is_read <> is_read"), 0);
        if (db_kind(db) == DB_SQLITE)
            assert_int_equal(test_sql_int(db, "SELECT count(*) FROM email_headers WHERE "
                                              "is_read NOT IN (0, 1)"), 0);
    }
}

/* Two hundred files with every combination of flags, shuffled by name a few times: rows = files,
 * all of them. */
static void test_many(void **state)
{
    static const char letters[] = "DFPRST";
    static const char *const names[] = { "\\Draft", "\\Flagged", "$Forwarded", "\\Answered", NULL,
                                         "\\Deleted" };
    GRand *rand = g_rand_new_with_seed(7);
    g_autofree unsigned *flags = g_new0(unsigned, 200);
    g_autofree char **paths = g_new0(char *, 200);

    (void)state;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 200; i++) {
            g_autoptr(GString) path = g_string_new(NULL);

            flags[i] = (unsigned)g_rand_int_range(rand, 0, 64);
            g_string_printf(path, "%scur/1700000%03d.m:2,", g_rand_boolean(rand) ? ".Sent/" : "",
                            i);
            for (int b = 0; b < 6; b++)
                if (flags[i] >> b & 1)
                    g_string_append_c(path, letters[b]);
            if (round == 0) {
                g_autofree char *text = g_strdup_printf("m%d@x|m%d", i, i);

                write_file(path->str, text);
            } else {
                move(paths[i], path->str);
            }
            g_free(paths[i]);
            paths[i] = g_string_free(g_steal_pointer(&path), FALSE);
        }
        run();
        assert_int_equal(test_sql_int(db, "SELECT count(*) FROM email_headers WHERE user_id = 1"),
                         200);
        for (int i = 0; i < 200; i++) {
            g_autofree char *sql = g_strdup_printf(
                "SELECT mailbox || ' ' || CASE WHEN is_read THEN 'S' ELSE '-' END || ' ' || flags "
                "FROM email_headers WHERE user_id = 1 AND file = '1700000%03d.m'", i);
            g_autofree char *got = test_sql_text(db, sql);

            assert_int_equal(strncmp(got, "Sent", 4) == 0, paths[i][0] == '.');
            assert_int_equal(strstr(got, " S ") != NULL, flags[i] >> 4 & 1);
            for (int b = 0; b < 6; b++)
                if (names[b])
                    assert_int_equal(strstr(got, names[b]) != NULL, flags[i] >> b & 1);
        }
    }
    for (int i = 0; i < 200; i++)
        g_free(paths[i]);
    g_rand_free(rand);
}

/* ------------------------------------------------------------------ all at the same time */

/* Publishes files and commits their rows a moment later, as a delivery does. */
static void deliver_some(int number)
{
    struct db *own = test_database_connect(database);
    struct error err = { 0 };

    for (int i = 0; i < 40; i++) {
        g_autofree char *file = g_strdup_printf("17000%d%04d.d", number, i);
        g_autofree char *path = g_strdup_printf("new/%s", file);
        g_autofree char *tmp = g_strdup_printf("tmp/%s", file);
        g_autofree char *text = g_strdup_printf("%s@x|delivered", file);
        struct header_row row = { .subject = "delivered", .date = 1700000000 };
        struct row_place place = { .user_id = 1, .mailbox = "INBOX", .file = file,
                                   .received_at = 1700000000 };

        write_file(tmp, text);
        if (!db_begin(own, &err) || !rows_queue_insert(own, &place, &row, &err) ||
            !db_send(own, &err))
            _exit(2);
        move(tmp, path);
        if (db_commit(own, &err) != DB_DURABLE)
            _exit(3);
    }
    db_close(own);
    _exit(0);
}

/* Reads, flags, moves and deletes what it finds, as a client does. */
static void disturb(int number)
{
    static const char *const dirs[] = { "new", "cur", ".Sent/cur" };
    static const char *const flags[] = { "", "S", "FS", "RS", "F" };
    GRand *rand = g_rand_new_with_seed((guint32)number);

    for (int i = 0; i < 400; i++) {
        const char *dir = dirs[g_rand_int_range(rand, 0, 3)];
        g_autofree char *whole = g_build_filename(home_path, dir, NULL);
        GDir *stream = g_dir_open(whole, 0, NULL);
        const char *name = g_dir_read_name(stream);

        for (int skip = g_rand_int_range(rand, 0, 20); name && skip > 0; skip--) {
            const char *next = g_dir_read_name(stream);

            name = next ? next : name;
        }
        if (name) {
            g_autofree char *from = g_strconcat(dir, "/", name, NULL);
            g_autofree char *base = g_strndup(name, strcspn(name, ":"));
            g_autofree char *to =
                g_strconcat(dirs[g_rand_int_range(rand, 1, 3)], "/", base, ":2,",
                            flags[g_rand_int_range(rand, 0, 5)], NULL);

            /* seldom enough that of 80 messages most are left, whoever is faster */
            if (g_rand_int_range(rand, 0, 40) == 0)
                unlinkat(home, from, 0);
            else
                renameat(home, from, home, to);
        }
        g_dir_close(stream);
    }
    g_rand_free(rand);
    _exit(0);
}

/* An application flips is_read. */
static void flip(int number)
{
    struct db *own = test_database_connect(database);
    struct error err = { 0 };

    for (int i = 0; i < 40; i++) {
        struct db_value values[] = { db_int(i % 7) };

        if (!db_exec(own,
                     "UPDATE email_headers SET is_read = NOT is_read WHERE user_id = 1 "
                     "AND id % 7 = $1",
                     values, 1, NULL, NULL, &err) &&
            db_fault(own) != DB_FAULT_CONFLICT)
            _exit(4);
    }
    db_close(own);
    _exit(number ? 0 : 1);
}

static int compare_lines(const char *const *a, const char *const *b)
{
    return strcmp(*a, *b);
}

/* The files as rows should be: "mailbox/file read [flags]", sorted. */
static char *describe_files(void)
{
    static const struct {
        const char *dir, *mailbox;
    } dirs[] = { { "new", "INBOX" }, { "cur", "INBOX" }, { ".Sent/cur", "Sent" } };
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

    for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++) {
        g_autofree char *whole = g_build_filename(home_path, dirs[i].dir, NULL);
        GDir *stream = g_dir_open(whole, 0, NULL);
        const char *name;

        while ((name = g_dir_read_name(stream))) {
            g_autofree char *base = g_strndup(name, strcspn(name, ":"));
            const char *letters = strchr(name, ':') ? strchr(name, ':') : "";

            g_ptr_array_add(lines, g_strdup_printf("%s/%s %s [%s%s%s]", dirs[i].mailbox, base,
                                                   strchr(letters, 'S') ? "S" : "-",
                                                   strchr(letters, 'R') ? "\\Answered" : "",
                                                   strchr(letters, 'R') && strchr(letters, 'F')
                                                       ? " " : "",
                                                   strchr(letters, 'F') ? "\\Flagged" : ""));
        }
        g_dir_close(stream);
    }
    g_ptr_array_sort(lines, (GCompareFunc)compare_lines);
    g_ptr_array_add(lines, NULL);
    return g_strjoinv("; ", (char **)lines->pdata);
}

/* Deliveries, clients, an application and sync at once. Whatever the order of things was, at the end
 * the rows are the files, each once. */
static void test_all_at_once(void **state)
{
    void (*const parts[])(int) = { deliver_some, deliver_some, disturb, disturb, flip };
    pid_t children[G_N_ELEMENTS(parts)];
    size_t running = G_N_ELEMENTS(parts);
    struct sync_options options = { .full = true };
    g_autofree char *files = NULL, *rows = NULL;

    (void)state;
    /* no connection of ours may be open across the fork */
    db_close(g_steal_pointer(&db));
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        children[i] = fork();
        if (children[i] == 0)
            parts[i]((int)i);
    }
    db = test_database_connect(database);
    while (running > 0) {
        run_options(&options);
        for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
            int status;

            if (children[i] > 0 && waitpid(children[i], &status, WNOHANG) == children[i]) {
                if (status != 0)
                    fail_msg("part %zu ended with %x", i, (unsigned)status);
                children[i] = 0;
                running--;
            }
        }
    }
    /* twice: a flag carried in the last run is compared in the next */
    run_options(&options);
    run_options(&options);
    files = describe_files();
    rows = test_sql_text(
        db, db_kind(db) == DB_PGSQL
                ? "SELECT string_agg(mailbox || '/' || file || ' ' || CASE WHEN is_read THEN 'S' "
                  "ELSE '-' END || ' [' || flags || ']', '; ' ORDER BY mailbox COLLATE \"C\", file "
                  "COLLATE \"C\") FROM email_headers WHERE user_id = 1"
                : "SELECT group_concat(mailbox || '/' || file || ' ' || CASE WHEN is_read THEN 'S' "
                  "ELSE '-' END || ' [' || flags || ']', '; ') FROM (SELECT * FROM email_headers "
                  "WHERE user_id = 1 ORDER BY mailbox, file)");
    assert_string_equal(rows, files);
    assert_true(strlen(files) > 1000);
}

static int run_on(enum db_kind kind, const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_story, start, stop),
        cmocka_unit_test_setup_teardown(test_copy, start, stop),
        cmocka_unit_test_setup_teardown(test_carry, start, stop),
        cmocka_unit_test_setup_teardown(test_file_wins, start, stop),
        cmocka_unit_test_setup_teardown(test_stamps, start, stop),
        cmocka_unit_test_setup_teardown(test_hostile, start, stop),
        cmocka_unit_test_setup_teardown(test_delivery_at_the_same_time, start, stop),
        cmocka_unit_test_setup_teardown(test_check_only, start, stop),
        cmocka_unit_test_setup_teardown(test_rebuild, start, stop),
        cmocka_unit_test_setup_teardown(test_rebuild_keeps, start, stop),
        cmocka_unit_test_setup_teardown(test_rebuild_leaves_alone, start, stop),
        cmocka_unit_test_setup_teardown(test_a_row_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(test_odd_batches, start, stop),
        cmocka_unit_test_setup_teardown(test_several_batches, start, stop),
        cmocka_unit_test_setup_teardown(test_not_readable, start, stop),
        cmocka_unit_test_setup_teardown(test_changed_while_read, start, stop),
        cmocka_unit_test_setup_teardown(test_nonsense, start, stop),
        cmocka_unit_test_setup_teardown(test_many, start, stop),
        cmocka_unit_test_setup_teardown(test_all_at_once, start, stop),
    };
    int failed;

    (void)kind;
    db = test_database_connect(database);
    failed = cmocka_run_group_tests_name(name, tests, NULL, NULL);
    db_close(g_steal_pointer(&db));
    return failed;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return test_on_each_database("sync", &database, run_on);
}
