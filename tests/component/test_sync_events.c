/* Events of a real disk, by inotify and, where the kernel lets us, by fanotify: each change of a
 * Maildir says where to look, and nothing else does. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <glib.h>

#include "store/sync_events.h"

static char *root;
static int home;
static struct sync_events *events;
static GHashTable *seen; /* "7 INBOX-dir" */
static bool use_fanotify;

static void make_dir(const char *path)
{
    g_autofree char *whole = g_build_filename(root, path, NULL);

    if (mkdir(whole, 0700) != 0)
        fail_msg("mkdir %s: %s", path, strerror(errno));
}

static void write_file(const char *path)
{
    g_autofree char *whole = g_build_filename(root, path, NULL);

    assert_true(g_file_set_contents(whole, "x", 1, NULL));
}

static void move(const char *from, const char *to)
{
    g_autofree char *old = g_build_filename(root, from, NULL);
    g_autofree char *new = g_build_filename(root, to, NULL);

    assert_int_equal(rename(old, new), 0);
}

static void make_folder(const char *path)
{
    g_autofree char *cur = g_strconcat(path, "/cur", NULL), *new = g_strconcat(path, "/new", NULL);

    make_dir(path);
    make_dir(cur);
    make_dir(new);
}

static void add_home(void)
{
    g_autofree char *path = g_build_filename(root, "home", NULL);
    struct error err = { 0 };

    if (!sync_events_add_home(events, 7, home, path, &err))
        fail_msg("%s", err.text);
}

static int start(void **state)
{
    struct error err = { 0 };
    g_autofree char *path = NULL;

    (void)state;
    root = g_dir_make_tmp("vmail-events-XXXXXX", NULL);
    make_folder("home");
    make_folder("home/.Sent");
    make_folder("other");
    path = g_build_filename(root, "home", NULL);
    home = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    events = sync_events_open(root, use_fanotify, &err);
    seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (events)
        add_home();
    return events == NULL;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int stop(void **state)
{
    (void)state;
    sync_events_close(g_steal_pointer(&events));
    g_hash_table_unref(seen);
    close(home);
    nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    g_clear_pointer(&root, g_free);
    return 0;
}

static void on_changed(void *ctx, int64_t id, const char *dir)
{
    (void)ctx;
    g_hash_table_add(seen, g_strdup_printf("%d %s", (int)id, dir ? dir : "folders"));
}

static void take(void)
{
    struct error err = { 0 };
    bool overflow;

    if (!sync_events_read(events, on_changed, NULL, &overflow, &err))
        fail_msg("%s", err.text);
    assert_false(overflow);
}

/* Waits for @want (events are there at once, but nobody promises it), then nothing else was seen. */
static void expect(const char *want)
{
    struct pollfd poll_fd = { .fd = sync_events_fd(events), .events = POLLIN };

    for (int i = 0; i < 200 && !g_hash_table_contains(seen, want); i++) {
        poll(&poll_fd, 1, 50);
        take();
    }
    if (!g_hash_table_remove(seen, want))
        fail_msg("%s: nothing said \"%s\"", sync_events_kind(events), want);
    if (g_hash_table_size(seen) > 0) {
        g_autofree gpointer *keys = g_hash_table_get_keys_as_array(seen, NULL);

        fail_msg("%s: \"%s\" was said too", want, (char *)keys[0]);
    }
}

static void test_changes(void **state)
{
    (void)state;
    write_file("home/new/1.a");
    expect("7 .");
    move("home/new/1.a", "home/cur/1.a:2,S");
    expect("7 .");
    move("home/cur/1.a:2,S", "home/cur/1.a:2,FS");
    expect("7 .");
    write_file("home/.Sent/cur/2.b:2,S");
    expect("7 .Sent");
    /* out of one, into the other: both must be looked at */
    move("home/cur/1.a:2,FS", "home/.Sent/cur/1.a:2,FS");
    take();
    assert_true(g_hash_table_remove(seen, "7 ."));
    expect("7 .Sent");
    unlinkat(home, ".Sent/cur/2.b:2,S", 0);
    expect("7 .Sent");
    write_file("home/dovecot-keywords");
    expect("7 .");
    write_file("home/.Sent/dovecot-keywords");
    expect("7 .Sent");
}

static void test_folders_come_and_go(void **state)
{
    (void)state;
    make_dir("home/.New");
    expect("7 folders");
    add_home();
    make_dir("home/.New/cur");
    expect("7 folders");
    add_home();
    write_file("home/.New/cur/3.c:2,");
    expect("7 .New");
    move("home/.New", "home/.Renamed");
    expect("7 folders");
    add_home();
    write_file("home/.Renamed/cur/4.d:2,");
    expect("7 .Renamed");
}

/* What is not mail, and who is not watched, says nothing. */
static void test_silence(void **state)
{
    (void)state;
    write_file("other/new/1.a");
    write_file("home/dovecot.index.log");
    write_file("home/dovecot-uidlist.lock");
    make_dir("home/sieve");
    write_file("home/sieve/x.sieve");
    /* a link out of the tree is not followed */
    assert_int_equal(symlinkat("/etc", home, ".Link"), 0);
    add_home();
    write_file("home/new/2.b");
    expect("7 .");
}

static void append(const char *path)
{
    g_autofree char *whole = g_build_filename(root, path, NULL);
    g_autofree char *lock = g_strconcat(whole, ".lock", NULL);
    int fd;

    assert_true(g_file_set_contents(lock, "1:host", -1, NULL));
    fd = open(whole, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "From x\n", 7), 7);
    close(fd);
    assert_int_equal(unlink(lock), 0);
}

/* Writing to an mbox under its dotlock, in INBOX and in folders, also new ones. */
static void test_mboxes(void **state)
{
    struct error err = { 0 };
    g_autofree char *path = g_build_filename(root, "mboxes", NULL);
    int fd;

    (void)state;
    make_dir("mboxes");
    make_dir("mboxes/mail");
    make_dir("mboxes/mail/.imap");
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 2; i++) {
        if (!sync_events_add_mbox_home(events, 8, fd, path, &err))
            fail_msg("%s", err.text);
        take(); /* fanotify saw them being made */
        g_hash_table_remove_all(seen);
        if (i > 0)
            break;
        append("mboxes/mbox");
        expect("8 mbox");
        append("mboxes/mbox");
        expect("8 mbox");
        append("mboxes/mail/Work");
        expect("8 mail/Work");
        write_file("mboxes/notes");
        write_file("mboxes/mail/.subscriptions");
        make_dir("mboxes/vmail-pending");
        make_dir("mboxes/mail/X");
        expect("8 folders");
    }
    append("mboxes/mail/X/Y");
    expect("8 mail/X/Y");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_changes, start, stop),
        cmocka_unit_test_setup_teardown(test_folders_come_and_go, start, stop),
        cmocka_unit_test_setup_teardown(test_silence, start, stop),
        cmocka_unit_test_setup_teardown(test_mboxes, start, stop),
    };
    int failed = cmocka_run_group_tests_name("inotify", tests, NULL, NULL);

    /* without the right to, this is inotify once more */
    use_fanotify = true;
    return failed + cmocka_run_group_tests_name("fanotify if permitted", tests, NULL, NULL) != 0;
}
