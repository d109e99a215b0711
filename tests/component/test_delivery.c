/* What a delivery makes of files and rows, on both databases, also where a mailbox cannot be. */
#include <errno.h>
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
#include "store/maildir_name.h"

static const char *const inbox[] = {"INBOX", NULL};
static const char *const work[] = {"Work", NULL};
static const char *const three[] = {"INBOX", "Work", "중요", NULL};

/* ------------------------------------------------------------------ what a delivery makes */

static void plain(void **state)
{
    struct attempt attempt = {.key = KEY_1};
    struct stat st;

    (void)state;
    assert_true(world_deliver(&world, &attempt));
    assert_int_equal(attempt.state, DELIVERY_NEW);
    assert_int_equal(world_count(&world, "new"), 1);
    assert_int_equal(world_count_all(&world), 1);
    assert_int_equal(world_count_pending(&world), 0);
    assert_int_equal(world_keys(&world), 1);
    world_check_rows(&world);

    g_autofree char *name = world_only_file(&world, "new");
    g_autofree char *path = g_strdup_printf("%s/new/%s", world.home_path, name);
    g_autofree char *content = NULL;
    const struct delivery_stored *stored = g_ptr_array_index(attempt.result.stored, 0);

    assert_true(g_file_get_contents(path, &content, NULL, NULL));
    assert_string_equal(content, MESSAGE);
    assert_int_equal(maildir_name_size(name, 'S'), strlen(MESSAGE));
    assert_int_equal(maildir_name_size(name, 'W'), strlen(MESSAGE) + 4);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_nlink, 1);
    assert_string_equal(stored->mailbox, "INBOX");
    assert_string_equal(stored->file, name);
    attempt_clear(&attempt);
}

static void new_home_has_its_folders(void **state)
{
    static const char *const folders[] = {"cur", "new", "tmp", ".Sent/cur", ".Sent/new", ".Sent/tmp",
                                          ".Drafts/cur", "vmail-pending"};
    g_autofree char *subscriptions = home_path("subscriptions");
    g_autofree char *text = NULL;
    struct stat st;

    (void)state;
    world_deliver_to(&world, KEY_1, inbox);
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        assert_int_equal(fstatat(world.user.home, folders[i], &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
    }
    assert_int_equal(fstatat(world.user.home, ".Sent/maildirfolder", &st, 0), 0);
    assert_true(g_file_get_contents(subscriptions, &text, NULL, NULL));
    assert_string_equal(text, "V\t2\n\nINBOX\nSent\nDrafts\n");
}

static void three_targets_are_one_file(void **state)
{
    struct stat st;

    (void)state;
    world_deliver_to(&world, KEY_1, three);
    assert_int_equal(world_count(&world, "new"), 1);
    assert_int_equal(world_count(&world, ".Work/new"), 1);
    assert_int_equal(world_count(&world, ".&yRHGlA-/new"), 1);
    assert_int_equal(world_keys(&world), 1);
    world_check_rows(&world);

    g_autofree char *name = world_only_file(&world, ".Work/new");
    g_autofree char *path = g_strdup_printf(".Work/new/%s", name);

    assert_int_equal(fstatat(world.user.home, path, &st, 0), 0);
    assert_int_equal(st.st_nlink, 3);
}

static void flags_and_keywords(void **state)
{
    static const char *const flags[] = {"\\Seen", "\\flagged", "$label1", "중요", NULL};
    static const char *const more[] = {"$LABEL1", "\\Answered", NULL};
    const struct delivery_target targets[] = {
        {.mailbox = "Work", .flags = flags, .row = &a_row},
        {.mailbox = "INBOX/Work", .flags = more, .row = &a_row},
    };
    struct attempt attempt = {.key = KEY_1, .targets = targets, .target_count = 2};

    (void)state;
    assert_true(world_deliver(&world, &attempt));
    world_check_rows(&world);
    assert_int_equal(world_count_all(&world), 1);

    g_autofree char *name = world_only_file(&world, ".Work/cur");
    g_autofree char *keywords = home_path(".Work/dovecot-keywords");
    g_autofree char *text = NULL;
    g_autofree char *column = test_sql_text(world.db, "SELECT flags FROM email_headers");

    assert_true(g_str_has_suffix(name, ":2,FRSa"));
    assert_true(g_file_get_contents(keywords, &text, NULL, NULL));
    assert_string_equal(text, "0 $label1\n");
    assert_string_equal(column, "\\Answered \\Flagged $label1");
    assert_int_equal(attempt.result.notes->len, 1); /* the keyword that is none */
    attempt_clear(&attempt);
}

static void edited_content(void **state)
{
    struct delivery *delivery;
    struct delivery_target targets[] = {
        {.mailbox = "INBOX", .row = &a_row},
        {.mailbox = "INBOX", .row = &a_row},
    };
    const struct delivery_plan plan = {.targets = targets, .target_count = 2};
    struct delivery_result result;
    struct error err = {0};
    enum delivery_state answer;
    int fd;

    (void)state;
    assert_true(delivery_begin(world.store, &world.user, &delivery, &err));
    assert_int_equal(write(delivery_fd(delivery), MESSAGE, strlen(MESSAGE)), strlen(MESSAGE));
    assert_true(delivery_identify(delivery, KEY_1, NULL, &answer, &err));
    assert_true(delivery_new_content(delivery, &fd, &targets[1].content, &err));
    assert_int_equal(write(fd, "X: y\n" MESSAGE, strlen(MESSAGE) + 5), strlen(MESSAGE) + 5);
    if (!delivery_commit(delivery, &plan, &result, &err))
        fail_msg("%s", err.text);
    delivery_result_clear(&result);
    delivery_free(delivery);
    assert_int_equal(world_count(&world, "new"), 2);
    assert_int_equal(world_count_pending(&world), 0);
    assert_int_equal(test_sql_int(world.db, "SELECT sum(size) FROM email_headers"),
                     2 * strlen(MESSAGE) + 5);
    world_check_rows(&world);
}

/* ------------------------------------------------------------------ once */

static void the_same_key_is_delivered_once(void **state)
{
    struct attempt attempt = {.key = KEY_1};

    (void)state;
    world_deliver_to(&world, KEY_1, inbox);
    assert_true(world_deliver(&world, &attempt));
    assert_int_equal(attempt.state, DELIVERY_ALREADY);
    assert_int_equal(world_count_all(&world), 1);
    assert_int_equal(world_rows(&world), 1);
    assert_int_equal(world_count_pending(&world), 0);
    world_deliver_to(&world, KEY_2, inbox);
    assert_int_equal(world_rows(&world), 2);
}

static void without_a_key_each_is_new(void **state)
{
    (void)state;
    world_deliver_to(&world, NULL, inbox);
    world_deliver_to(&world, NULL, inbox);
    assert_int_equal(world_count(&world, "new"), 2);
    world_check_rows(&world);
}

static void two_at_once_on_one_key(void **state)
{
    struct attempt attempt = {.key = KEY_1};
    struct delivery *first;
    enum delivery_state answer;
    struct error err = {0};

    (void)state;
    assert_true(delivery_begin(world.store, &world.user, &first, &err));
    assert_int_equal(write(delivery_fd(first), MESSAGE, strlen(MESSAGE)), strlen(MESSAGE));
    assert_true(delivery_identify(first, KEY_1, NULL, &answer, &err));
    assert_false(world_deliver(&world, &attempt));
    assert_int_equal(attempt.err.kind, ERROR_TEMPORARY);
    assert_non_null(strstr(attempt.err.text, "another process"));
    delivery_free(first);
    assert_int_equal(world_count_pending(&world), 0);
    assert_int_equal(world_count_all(&world), 0);
    assert_true(world_deliver(&world, &attempt));
    world_check_rows(&world);
    attempt_clear(&attempt);
}

static void many_at_once_on_one_user(void **state)
{
    enum { CHILDREN = 4, EACH = 4 };
    pid_t children[CHILDREN];

    (void)state;
    world_deliver_to(&world, NULL, inbox);
    world_disconnect(&world);
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            world_connect(&world);
            for (int j = 0; j < EACH; j++)
                world_deliver_to(&world, NULL, three);
            _exit(0);
        }
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    world_connect(&world);
    assert_int_equal(world_count_all(&world), 3 * CHILDREN * EACH + 1);
    world_check_rows(&world);
}

/* ------------------------------------------------------------------ mailboxes that cannot be */

static void hostile_mailboxes_go_to_inbox(void **state)
{
    static const char *const names[] = {"../../etc", "a..b", "", "/", "x\ny", "\xff", "Blocked",
                                        "Linked"};
    int fd;

    (void)state;
    world_deliver_to(&world, NULL, inbox);
    fd = openat(world.user.home, ".Blocked", O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(symlinkat("/tmp", world.user.home, ".Linked"), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const struct delivery_target target = {.mailbox = names[i], .row = &a_row};
        struct attempt attempt = {.targets = &target, .target_count = 1};

        if (!world_deliver(&world, &attempt))
            fail_msg("%s: %s", names[i], attempt.err.text);
        assert_int_equal(attempt.result.notes->len, 1);

        const struct delivery_stored *stored = g_ptr_array_index(attempt.result.stored, 0);

        assert_string_equal(stored->mailbox, "INBOX");
        assert_true(stored->fallback);
        attempt_clear(&attempt);
    }
    assert_int_equal(world_count(&world, "new"), 1 + G_N_ELEMENTS(names));
    world_check_rows(&world);
}

/* @length characters of four bytes each that nothing compresses. */
static char *dense_text(size_t length)
{
    GString *text = g_string_new(NULL);
    guint32 random = 1;

    for (size_t i = 0; i < length; i++) {
        random = random * 1664525 + 1013904223;
        g_string_append_unichar(text, 0x20000 + (random >> 8) % 0xa000);
    }
    return g_string_free(text, FALSE);
}

/* What a sender writes into the header is never a reason to keep the message out: it would wait until
 * it bounces. An entry of an index of PostgreSQL holds 2704 bytes. */
static void hostile_header_texts(void **state)
{
    static const int64_t dates[] = {INT64_MIN, INT64_MAX, -62135596801, 253402300800};
    g_autofree char *text = dense_text(300000);
    const char *const broken = "\xff\xed\xa0\x80 \xf4\x90\x80\x80\xc3";

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(dates); i++) {
        const char *all = i % 2 == 0 ? text : broken;
        const struct header_row row = {all, all, all, dates[i], all, all, true, all};
        const struct delivery_target target = {.mailbox = "INBOX", .row = &row};
        struct attempt attempt = {.targets = &target, .target_count = 1};

        if (!world_deliver(&world, &attempt))
            fail_msg("%zu: %s", i, attempt.err.text);
        attempt_clear(&attempt);
    }
    world_check_rows(&world);
}

/* The longest name that can be a folder's, in letters that take most room. */
static void longest_mailbox_name(void **state)
{
    g_autofree char *name = NULL;
    struct attempt attempt = {0};

    (void)state;
    for (size_t length = 200; name == NULL; length--) {
        g_autofree char *text = dense_text(length);
        struct error ignored;

        if (!store_mailbox_canonical(text, &name, &ignored))
            name = NULL;
    }

    const struct delivery_target target = {.mailbox = name, .row = &a_row};

    attempt.targets = &target;
    attempt.target_count = 1;
    if (!world_deliver(&world, &attempt))
        fail_msg("%s", attempt.err.text);
    assert_string_equal(((struct delivery_stored *)attempt.result.stored->pdata[0])->mailbox, name);
    attempt_clear(&attempt);
    world_check_rows(&world);
}

/* A copy by a program that leaves empty folders out (tar, rsync, git): new/ is made again. */
static void folders_without_new(void **state)
{
    static const char *const both[] = {"INBOX", "Work", NULL};

    (void)state;
    world.options.no_autocreate = true;
    world_restart(&world);
    assert_true(store_mailbox_create(world.store, &world.user, "Work", &(struct error){0}));
    world_deliver_to(&world, NULL, inbox);

    g_autofree char *file = world_only_file(&world, "new");
    g_autofree char *from = g_strdup_printf("new/%s", file);
    g_autofree char *to = g_strdup_printf("cur/%s:2,S", file);

    rename_in_home(from, to);
    assert_int_equal(unlinkat(world.user.home, "new", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(world.user.home, ".Work/new", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(world.user.home, ".Work/tmp", AT_REMOVEDIR), 0);
    world_deliver_to(&world, NULL, both);
    assert_int_equal(world_count(&world, "new"), 1);
    assert_int_equal(world_count(&world, ".Work/new"), 1);
}

/* Something else in the place of a folder's new/ is not cured by time either. */
static void blocked_new_goes_to_inbox(void **state)
{
    int fd;

    (void)state;
    world_deliver_to(&world, NULL, work);
    rename_in_home(".Work/new", ".Work/old");
    fd = openat(world.user.home, ".Work/new", O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    world_deliver_to(&world, NULL, work);
    assert_int_equal(world_count(&world, "new"), 1);
}

static void autocreate_off(void **state)
{
    const struct delivery_target targets[] = {
        {.mailbox = "Work", .row = &a_row},
        {.mailbox = "Made", .create = true, .row = &a_row},
        {.mailbox = "INBOX", .row = &a_row},
    };
    struct attempt attempt = {.key = KEY_1, .targets = targets, .target_count = 3};

    (void)state;
    world.options.no_autocreate = true;
    world_restart(&world);
    assert_true(world_deliver(&world, &attempt));
    attempt_clear(&attempt);
    /* Work fell back to INBOX, where the message goes anyway: one copy */
    assert_int_equal(world_count(&world, "new"), 1);
    assert_int_equal(world_count(&world, ".Made/new"), 1);
    assert_int_equal(world_count_all(&world), 2);
    world_check_rows(&world);
}

static void links_in_the_home_are_not_followed(void **state)
{
    g_autofree char *elsewhere = g_dir_make_tmp("vmail-elsewhere-XXXXXX", NULL);
    struct attempt attempt = {.key = KEY_1};

    (void)state;
    world_deliver_to(&world, NULL, inbox);
    rename_in_home("new", "new.away");
    assert_int_equal(symlinkat(elsewhere, world.user.home, "new"), 0);
    assert_false(world_deliver(&world, &attempt));
    assert_int_equal(attempt.err.kind, ERROR_TEMPORARY);
    attempt_clear(&attempt);
    assert_int_equal(rmdir(elsewhere), 0); /* still empty */
}

static int run_on(enum db_kind kind, const char *name)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up_world, tear_down_world)
        T(plain),
        T(new_home_has_its_folders),
        T(three_targets_are_one_file),
        T(flags_and_keywords),
        T(edited_content),
        T(the_same_key_is_delivered_once),
        T(without_a_key_each_is_new),
        T(two_at_once_on_one_key),
        T(many_at_once_on_one_user),
        T(hostile_mailboxes_go_to_inbox),
        T(hostile_header_texts),
        T(longest_mailbox_name),
        T(folders_without_new),
        T(blocked_new_goes_to_inbox),
        T(autocreate_off),
        T(links_in_the_home_are_not_followed),
#undef T
    };

    (void)kind;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return test_on_each_database("delivery", &database, run_on);
}
