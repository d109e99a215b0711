/* The delivery transaction: what is on disk and in the database after each outcome, on both databases. */
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

static char *home_path(const char *below)
{
    return g_build_filename(world.home_path, below, NULL);
}

static void rename_in_home(const char *from, const char *to)
{
    if (renameat(world.user.home, from, world.user.home, to) < 0)
        fail_msg("rename %s to %s: %s", from, to, g_strerror(errno));
}

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

/* ------------------------------------------------------------------ failures */

static void nothing_left(void)
{
    assert_int_equal(world_count_all(&world), 0);
    assert_int_equal(world_count_pending(&world), 0);
    assert_int_equal(world_rows(&world), 0);
    assert_int_equal(world_keys(&world), 0);
}

static void undone_leaves_nothing(void **state)
{
    const struct delivery_target targets[] = {
        {.mailbox = "INBOX", .row = &a_row},
        {.mailbox = "Work", .row = &a_row},
    };
    struct attempt attempt = {.key = KEY_1, .targets = targets, .target_count = 2};

    (void)state;
    commit_faults.next = COMMIT_UNDONE;
    assert_false(world_deliver(&world, &attempt));
    assert_int_equal(attempt.err.kind, ERROR_TEMPORARY);
    attempt_clear(&attempt);
    nothing_left();
    world_deliver_to(&world, KEY_1, inbox);
    assert_int_equal(world_count_all(&world), 1);
    world_check_rows(&world);
}

/* Dovecot takes the message out of new/ before we take it back. */
static void client_reads(void *ctx)
{
    g_autofree char *name = world_only_file(&world, "new");
    g_autofree char *from = g_strdup_printf("new/%s", name);
    g_autofree char *to = g_strdup_printf("cur/%s:2,S", name);

    (void)ctx;
    rename_in_home(from, to);
}

/* IMAP MOVE on Maildir: a link under a new name, then the old name goes. */
static void client_moves(void *ctx)
{
    const char *to = ctx;
    g_autofree char *name = world_only_file(&world, "new");
    g_autofree char *from = g_strdup_printf("new/%s", name);

    assert_int_equal(linkat(world.user.home, from, world.user.home, to, 0), 0);
    assert_int_equal(unlinkat(world.user.home, from, 0), 0);
}

/* IMAP COPY: a link under a new name, and the old one stays. */
static void client_copies(void *ctx)
{
    const char *to = ctx;
    g_autofree char *name = world_only_file(&world, "new");
    g_autofree char *from = g_strdup_printf("new/%s", name);

    assert_int_equal(linkat(world.user.home, from, world.user.home, to, 0), 0);
}

static void undone_copies_go_too(void **state)
{
    struct attempt attempt = {.key = KEY_1};

    (void)state;
    commit_faults.next = COMMIT_UNDONE;
    commit_faults.meanwhile = client_copies;
    commit_faults.ctx = (char *)".Sent/cur/1700000000.M1P1.other,S=1:2,S";
    assert_false(world_deliver(&world, &attempt));
    attempt_clear(&attempt);
    nothing_left();
    commit_faults.next = COMMIT_UNDONE;
    commit_faults.meanwhile = NULL;
    link_fault = EXDEV; /* copies, which share no inode */
    assert_false(world_deliver(&world, &attempt));
    attempt_clear(&attempt);
    nothing_left();
}

static void undone_after_a_client_touched_it(void **state)
{
    struct attempt attempt = {.key = KEY_1};

    (void)state;
    world_deliver_to(&world, KEY_2, work); /* makes the folders */
    for (int i = 0; i < 2; i++) {
        commit_faults.next = COMMIT_UNDONE;
        commit_faults.meanwhile = i == 0 ? client_reads : client_moves;
        commit_faults.ctx = (char *)".Work/cur/1700000000.M1P1.other,S=1:2,S";
        assert_false(world_deliver(&world, &attempt));
        attempt_clear(&attempt);
        assert_int_equal(world_count_all(&world), 1);
        assert_int_equal(world_count_pending(&world), 0);
        world_check_rows(&world);
    }
    assert_true(world_deliver(&world, &attempt));
    attempt_clear(&attempt);
    assert_int_equal(world_count_all(&world), 2);
    world_check_rows(&world);
}

static void lost_answers_are_settled(void **state)
{
    static const enum commit_fault faults[] = {COMMIT_LOST_DONE, COMMIT_LOST_UNDONE};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        commit_faults.next = faults[i];
        world_deliver_to(&world, i == 0 ? KEY_1 : KEY_2, three);
        assert_int_equal(world_count_all(&world), 3 * (i + 1));
        assert_int_equal(world_keys(&world), i + 1);
        assert_int_equal(world_count_pending(&world), 0);
        world_check_rows(&world);
    }
}

static void lost_answer_and_the_database_stays_away(void **state)
{
    static const enum commit_fault faults[] = {COMMIT_LOST_DONE, COMMIT_LOST_UNDONE};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        struct attempt attempt = {.key = i == 0 ? KEY_1 : KEY_2};

        commit_faults.next = faults[i];
        commit_faults.no_reconnect = true;
        assert_false(world_deliver(&world, &attempt));
        assert_int_equal(attempt.err.kind, ERROR_TEMPORARY);
        attempt_clear(&attempt);
        /* it may be committed: the file must stay, and its witness */
        assert_int_equal(world_count_all(&world), i + 1);
        assert_int_equal(world_count_pending(&world), 1);
        commit_faults.no_reconnect = false;
        assert_true(world_deliver(&world, &attempt));
        assert_int_equal(attempt.state,
                         faults[i] == COMMIT_LOST_DONE ? DELIVERY_ALREADY : DELIVERY_RESUMED);
        attempt_clear(&attempt);
        assert_int_equal(world_count_all(&world), i + 1);
        assert_int_equal(world_count_pending(&world), 0);
        world_check_rows(&world);
    }
}

/* Our connection breaks before COMMIT; another machine, whose locks we do not see, has the same message,
 * finds our file under its own name, and commits. @ctx NULL: it filed elsewhere. */
static void other_machine_commits(void *ctx)
{
    struct db *other = test_database_connect(database);
    g_autofree char *file = world_only_file(&world, "new");
    g_autofree char *row = g_strdup_printf(
        "INSERT INTO email_headers (user_id, mailbox, file, size, flags) VALUES (1, 'INBOX', '%s', %zu, '')",
        file, strlen(MESSAGE));

    test_sql(other, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'");
    while (db_alive(world.db))
        g_usleep(1000);
    test_sql(other, "INSERT INTO deliveries (user_id, delivery_key, delivered_at) "
                    "VALUES (1, '\\x" KEY_1 "', '2030-01-01')");
    if (ctx != NULL)
        test_sql(other, row);
    db_close(other);
}

static void another_machine_was_first(void **state)
{
    (void)state;
    if (db_kind(world.db) != DB_PGSQL)
        return;
    for (int i = 0; i < 2; i++) {
        struct attempt attempt = {.key = KEY_1};

        test_sql(world.db, "DELETE FROM deliveries");
        commit_faults.next = COMMIT_TRIED;
        commit_faults.meanwhile = other_machine_commits;
        commit_faults.ctx = i == 0 ? NULL : &attempt;
        assert_true(world_deliver(&world, &attempt));
        assert_true(attempt.result.already);
        attempt_clear(&attempt);
        assert_int_equal(world_count_all(&world), i);
        assert_int_equal(world_count_pending(&world), 0);
        world_check_rows(&world);
    }
}

static void links_refused_are_copies(void **state)
{
    static const int codes[] = {EMLINK, EPERM, EXDEV};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        g_autofree char *key = g_strnfill(64, (char)('a' + i));

        link_fault = codes[i];
        commit_faults.next = COMMIT_DIES_BEFORE;
        world_deliver_and_die(&world, key, inbox, COMMIT_DEATH_STATUS);
        commit_faults.next = COMMIT_PASSES;
        world_deliver_to(&world, key, inbox);
        assert_int_equal(world_count_all(&world), i + 1);
        assert_int_equal(world_count(&world, "tmp"), 0);
        world_check_rows(&world);
    }
    link_fault = EIO;

    struct attempt attempt = {.key = KEY_1};

    assert_false(world_deliver(&world, &attempt));
    assert_int_equal(attempt.err.kind, ERROR_TEMPORARY);
    attempt_clear(&attempt);
    assert_int_equal(world_count_all(&world), G_N_ELEMENTS(codes));
    assert_int_equal(world_count_pending(&world), 0);
}

struct outbox {
    int sent;
    bool fails;
};

static bool send_one(void *ctx, struct error *err)
{
    struct outbox *outbox = ctx;

    if (outbox->fails) {
        error_set(err, ERROR_TEMPORARY, "sendmail says no");
        return false;
    }
    outbox->sent++;
    return true;
}

/* ------------------------------------------------------------------ crashes */

static void die_before_commit(const char *const *mailboxes)
{
    commit_faults.next = COMMIT_DIES_BEFORE;
    world_deliver_and_die(&world, KEY_1, mailboxes, COMMIT_DEATH_STATUS);
    commit_faults.next = COMMIT_PASSES;
    assert_int_equal(world_count_pending(&world), 1);
    assert_int_equal(world_rows(&world), 0);
}

static void settled(int files)
{
    assert_int_equal(world_count_all(&world), files);
    assert_int_equal(world_count_pending(&world), 0);
    assert_int_equal(world_keys(&world), 1);
    world_check_rows(&world);
}

/* NFS without a lock daemon, FUSE: no locks, no rename that keeps what is there, perhaps no links. What
 * broke off goes on all the same. */
static void poor_file_systems(void **state)
{
    static const int link_codes[] = {0, EPERM, EOPNOTSUPP};
    struct store_sweep_counts counts = {0};
    struct error err;

    (void)state;
    flock_fault = ENOLCK;
    rename_fault = EINVAL;
    for (size_t i = 0; i < G_N_ELEMENTS(link_codes); i++) {
        g_autofree char *key = g_strnfill(64, (char)('a' + i));

        link_fault = link_codes[i];
        commit_faults.next = COMMIT_DIES_BEFORE;
        world_deliver_and_die(&world, key, inbox, COMMIT_DEATH_STATUS);
        commit_faults.next = COMMIT_PASSES;
        world_deliver_to(&world, key, inbox);
        world_deliver_to(&world, key, inbox);
        assert_int_equal(world_count_all(&world), i + 1);
        assert_int_equal(world_count_pending(&world), 0);
        world_check_rows(&world);
    }
    commit_faults.next = COMMIT_DIES_AFTER;
    world_deliver_and_die(&world, KEY_1, inbox, COMMIT_DEATH_STATUS);
    assert_true(store_sweep_user(world.store, &world.user, false, &counts, &err));
    assert_int_equal(counts.finished, 1);
    assert_int_equal(world_count_pending(&world), 0);
}

static void crash_before_commit(void **state)
{
    struct stat before, after;

    (void)state;
    die_before_commit(three);
    assert_int_equal(world_count_all(&world), 3);

    g_autofree char *name = world_only_file(&world, "new");
    g_autofree char *path = g_strdup_printf("new/%s", name);

    assert_int_equal(fstatat(world.user.home, path, &before, 0), 0);
    world_deliver_to(&world, KEY_1, three);
    assert_int_equal(fstatat(world.user.home, path, &after, 0), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    settled(3);
}

static void crash_after_commit(void **state)
{
    struct attempt attempt = {.key = KEY_1};

    (void)state;
    commit_faults.next = COMMIT_DIES_AFTER;
    world_deliver_and_die(&world, KEY_1, three, COMMIT_DEATH_STATUS);
    assert_int_equal(world_count_pending(&world), 1);
    commit_faults.next = COMMIT_PASSES;
    assert_true(world_deliver(&world, &attempt));
    assert_int_equal(attempt.state, DELIVERY_ALREADY);
    settled(3);
}

static void crash_then_the_user_read_it(void **state)
{
    (void)state;
    die_before_commit(inbox);
    client_reads(NULL);
    world_deliver_to(&world, KEY_1, inbox);
    settled(1);
    assert_int_equal(test_sql_int(world.db, "SELECT count(*) FROM email_headers WHERE is_read"), 1);
}

static void crash_then_the_user_moved_it(void **state)
{
    (void)state;
    die_before_commit(inbox);
    client_moves((char *)".Sent/cur/1700000000.M1P1.other,S=1:2,FS");
    world_deliver_to(&world, KEY_1, inbox);
    settled(1);
    assert_int_equal(world_count(&world, ".Sent/cur"), 1);

    g_autofree char *mailbox = test_sql_text(world.db, "SELECT mailbox FROM email_headers");

    assert_string_equal(mailbox, "Sent");
}

static void crash_then_the_script_changed(void **state)
{
    (void)state;
    die_before_commit(three);
    world_deliver_to(&world, KEY_1, work);
    settled(1);
    assert_int_equal(world_count(&world, ".Work/new"), 1);
}

static void crash_then_the_script_discards(void **state)
{
    struct attempt attempt = {.key = KEY_1, .nowhere = true};

    (void)state;
    die_before_commit(three);
    assert_true(world_deliver(&world, &attempt));
    attempt_clear(&attempt);
    settled(0);
}

/* The pending file's name was lost, what it published was not: a file system that reorders. */
static void crash_and_the_witness_is_lost(void **state)
{
    (void)state;
    die_before_commit(three);
    assert_int_equal(unlinkat(world.user.home, "vmail-pending/" KEY_1 ".0", 0), 0);
    world_deliver_to(&world, KEY_1, three);
    settled(3);
}

/* A retry that fails on its way must leave the traces for the one after it. */
static void crash_then_a_retry_that_gives_up(void **state)
{
    struct outbox outbox = {.fails = true};
    const struct delivery_send send = {.id = "redirect", .send = send_one, .ctx = &outbox};
    struct attempt attempt = {.key = KEY_1, .sends = &send, .send_count = 1};
    struct delivery *delivery;
    enum delivery_state answer;
    struct error err = {0};

    (void)state;
    die_before_commit(three);
    assert_true(delivery_begin(world.store, &world.user, &delivery, &err));
    assert_int_equal(write(delivery_fd(delivery), MESSAGE, strlen(MESSAGE)), strlen(MESSAGE));
    assert_true(delivery_identify(delivery, KEY_1, NULL, &answer, &err));
    assert_int_equal(answer, DELIVERY_RESUMED);
    delivery_free(delivery); /* the script's host failed, say */
    assert_int_equal(world_count_pending(&world), 1);
    assert_false(world_deliver(&world, &attempt)); /* the redirect fails, before anything is moved */
    attempt_clear(&attempt);
    assert_int_equal(world_count_all(&world), 3);
    commit_faults.next = COMMIT_UNDONE;
    outbox.fails = false;
    assert_false(world_deliver(&world, &attempt)); /* INBOX alone: the others were taken back */
    attempt_clear(&attempt);
    assert_int_equal(world_count_all(&world), 1);
    assert_int_equal(world_count(&world, "new"), 1);
    world_deliver_to(&world, KEY_1, work);
    settled(1);
}

/* The first plan cannot be carried out; the caller makes another one for the same delivery. */
static void a_second_plan_after_a_failure(void **state)
{
    struct outbox outbox = {.fails = true};
    const struct delivery_send send = {.id = "redirect", .send = send_one, .ctx = &outbox};
    const struct delivery_target target = {.mailbox = "INBOX", .row = &a_row};
    const struct delivery_plan first = {.sends = &send, .send_count = 1};
    const struct delivery_plan second = {.targets = &target, .target_count = 1};
    struct delivery_result result;
    struct delivery *delivery;
    enum delivery_state answer;
    struct error err = {0};

    (void)state;
    assert_true(delivery_begin(world.store, &world.user, &delivery, &err));
    assert_int_equal(write(delivery_fd(delivery), MESSAGE, strlen(MESSAGE)), strlen(MESSAGE));
    assert_true(delivery_identify(delivery, KEY_1, NULL, &answer, &err));
    assert_false(delivery_commit(delivery, &first, &result, &err));
    delivery_result_clear(&result);
    commit_faults.next = COMMIT_UNDONE;
    assert_false(delivery_commit(delivery, &second, &result, &err));
    delivery_result_clear(&result);
    assert_int_equal(world_count_all(&world), 0);
    assert_true(delivery_commit(delivery, &second, &result, &err));
    delivery_result_clear(&result);
    delivery_free(delivery);
    settled(1);
}

/* Cut off before the flush: the pending file is torn, nothing was published. */
static void torn_pending_file_is_replaced(void **state)
{
    int fd;

    (void)state;
    world_deliver_to(&world, KEY_2, inbox);
    fd = openat(world.user.home, "vmail-pending/" KEY_1 ".0", O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    world_deliver_to(&world, KEY_1, work);
    assert_int_equal(world_count_pending(&world), 0);
    world_check_rows(&world);

    g_autofree char *name = world_only_file(&world, ".Work/new");

    assert_int_equal(maildir_name_size(name, 'S'), strlen(MESSAGE));
}

/* However many tries broke off with edited contents, there is room for this one's. The published one
 * stays: it is a witness. */
static void contents_of_many_broken_tries(void **state)
{
    struct delivery *delivery;
    struct error err = {0};
    enum delivery_state answer;
    unsigned content;
    int fd;

    (void)state;
    world_deliver_to(&world, KEY_2, inbox);
    for (int i = 0; i < 100; i++) {
        g_autofree char *name = g_strdup_printf("vmail-pending/%s.%d", KEY_1, i);

        fd = openat(world.user.home, name, O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        close(fd);
    }
    assert_int_equal(linkat(world.user.home, "vmail-pending/" KEY_1 ".3", world.user.home,
                            "cur/1.x:2,", 0), 0);
    assert_true(delivery_begin(world.store, &world.user, &delivery, &err));
    assert_int_equal(write(delivery_fd(delivery), MESSAGE, strlen(MESSAGE)), strlen(MESSAGE));
    assert_true(delivery_identify(delivery, KEY_1, NULL, &answer, &err));
    assert_int_equal(answer, DELIVERY_RESUMED);
    assert_int_equal(world_count_pending(&world), 4);
    if (!delivery_new_content(delivery, &fd, &content, &err))
        fail_msg("%s", err.text);
    delivery_free(delivery);
}

/* ------------------------------------------------------------------ sends */

static void redirect_is_not_sent_twice(void **state)
{
    struct outbox bob = {0}, carol = {.fails = true}, reply = {0};
    const struct delivery_send sends[] = {
        {.id = "redirect:bob", .send = send_one, .ctx = &bob},
        {.id = "redirect:carol", .send = send_one, .ctx = &carol},
        {.id = "vacation", .after_commit = true, .send = send_one, .ctx = &reply},
    };
    struct attempt attempt = {.key = KEY_1, .sends = sends, .send_count = 3};

    (void)state;
    assert_false(world_deliver(&world, &attempt)); /* carol's fails */
    attempt_clear(&attempt);
    assert_int_equal(world_count_all(&world), 0);
    assert_int_equal(world_rows(&world), 0);
    carol.fails = false;
    commit_faults.next = COMMIT_UNDONE; /* both went out, then the database says no */
    assert_false(world_deliver(&world, &attempt));
    attempt_clear(&attempt);
    assert_int_equal(reply.sent, 0);
    assert_true(world_deliver(&world, &attempt));
    attempt_clear(&attempt);
    assert_true(world_deliver(&world, &attempt)); /* once more, by a retry that need not be */
    attempt_clear(&attempt);
    assert_int_equal(bob.sent, 1);
    assert_int_equal(carol.sent, 1);
    assert_int_equal(reply.sent, 1);
    settled(1);
}

static bool send_and_block_the_mark(void *ctx, struct error *err)
{
    int *sent = ctx;

    (void)err;
    (*sent)++;
    /* the disk is full, for one thing */
    return mkdirat(world.user.home, "vmail-pending/" KEY_1 ".sent", 0700) == 0;
}

/* To fail when the redirect is out would send it again with every retry. */
static void a_mark_that_cannot_be_written(void **state)
{
    int sent = 0;
    const struct delivery_send send = {.id = "redirect:bob", .send = send_and_block_the_mark,
                                       .ctx = &sent};
    struct attempt attempt = {.key = KEY_1, .sends = &send, .send_count = 1};

    (void)state;
    assert_true(world_deliver(&world, &attempt));
    assert_int_equal(attempt.result.notes->len, 1);
    attempt_clear(&attempt);
    assert_true(world_deliver(&world, &attempt));
    assert_int_equal(attempt.state, DELIVERY_ALREADY);
    attempt_clear(&attempt);
    assert_int_equal(sent, 1);
}

static void a_reply_that_fails_is_a_note(void **state)
{
    struct outbox reply = {.fails = true};
    const struct delivery_send send = {.id = "vacation", .after_commit = true, .send = send_one,
                                       .ctx = &reply};
    struct attempt attempt = {.key = KEY_1, .sends = &send, .send_count = 1};

    (void)state;
    assert_true(world_deliver(&world, &attempt));
    assert_int_equal(attempt.result.notes->len, 1);
    assert_string_equal(g_ptr_array_index(attempt.result.notes, 0), "sendmail says no");
    attempt_clear(&attempt);
    settled(1);
}

static void marks_are_part_of_the_transaction(void **state)
{
    const int64_t now = g_get_real_time() / G_USEC_PER_SEC;
    const struct delivery_mark marks[] = {
        {.reply = true, .key = KEY_2, .address = "a@example.org", .expires = now + 100},
        {.key = KEY_2, .expires = now + 100},
    };
    struct attempt attempt = {.key = KEY_1, .marks = marks, .mark_count = 2};
    struct error err = {0};
    bool yes;

    (void)state;
    commit_faults.next = COMMIT_UNDONE;
    assert_false(world_deliver(&world, &attempt));
    attempt_clear(&attempt);
    assert_true(store_duplicate_seen(world.store, 1, KEY_2, now, &yes, &err));
    assert_false(yes);
    assert_true(world_deliver(&world, &attempt));
    attempt_clear(&attempt);
    assert_true(store_reply_remembered(world.store, 1, KEY_2, "a@example.org", now, &yes, &err));
    assert_true(yes);
    assert_true(store_reply_remembered(world.store, 1, KEY_2, "b@example.org", now, &yes, &err));
    assert_false(yes);
    assert_true(store_reply_remembered(world.store, 1, KEY_2, "a@example.org", now + 101, &yes, &err));
    assert_false(yes);
    assert_true(store_duplicate_seen(world.store, 1, KEY_2, now, &yes, &err));
    assert_true(yes);
    assert_true(store_duplicate_seen(world.store, 2, KEY_2, now, &yes, &err));
    assert_false(yes);
}

/* "duplicate :last" (RFC 7352 3.1) and a renewed answer hand out a mark that is there: its end moves. */
static void marks_move_their_end(void **state)
{
    const int64_t now = g_get_real_time() / G_USEC_PER_SEC;

    (void)state;
    for (int i = 1; i <= 3; i++) {
        const struct delivery_mark marks[] = {
            {.reply = true, .key = KEY_2, .address = "a@example.org", .expires = now + 100 * i},
            {.key = KEY_2, .expires = now + 100 * i},
        };
        struct attempt attempt = {.marks = marks, .mark_count = 2};
        struct error err = {0};
        bool yes;

        assert_true(world_deliver(&world, &attempt));
        attempt_clear(&attempt);
        for (int after = -1; after <= 1; after += 2) {
            int64_t when = now + 100 * i + after;

            assert_true(store_duplicate_seen(world.store, 1, KEY_2, when, &yes, &err));
            assert_int_equal(yes, after < 0);
            assert_true(store_reply_remembered(world.store, 1, KEY_2, "a@example.org", when, &yes,
                                               &err));
            assert_int_equal(yes, after < 0);
        }
    }
}

/* ------------------------------------------------------------------ quota */

static void quota(void **state)
{
    struct attempt attempt = {.key = KEY_2};
    g_autofree char *path = home_path("maildirsize");
    g_autofree char *text = NULL;
    g_autofree char *want = g_strdup_printf("1000S,2C\n0 0\n%d 1\n%d 1\n", (int)strlen(MESSAGE),
                                            (int)strlen(MESSAGE));

    (void)state;
    world.user.quota_bytes = 1000;
    world.user.quota_count = 2;
    world_deliver_to(&world, NULL, inbox);
    world_deliver_to(&world, NULL, inbox);
    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    assert_string_equal(text, want);
    assert_false(world_deliver(&world, &attempt));
    assert_int_equal(attempt.err.kind, ERROR_QUOTA_DEFER);
    attempt_clear(&attempt);
    world.options.quota_bounces = true;
    world_restart(&world);
    assert_false(world_deliver(&world, &attempt));
    assert_int_equal(attempt.err.kind, ERROR_QUOTA);
    attempt_clear(&attempt);
    assert_int_equal(world_count_pending(&world), 0);
    assert_int_equal(world_count_all(&world), 2);
}

/* In the place of maildirsize: nothing that a delivery waits for, or that is counted wrong. */
static void quota_file_planted(void **state)
{
    static const char *const lines[] = {
        "1000S\n9223372036854775807 1\n9223372036854775807 1\n",
        "1000S\n-9223372036854775807 1\n-9223372036854775807 1\n",
        "1000S\n99999999999999999999999 99999999999999999999999\n1 1\n",
    };
    g_autofree char *path = home_path("maildirsize");
    g_autofree char *mail = home_path("cur/1.x,S=9223372036854775807:2,S");
    g_autofree char *mail_too = home_path("cur/2.x,S=9223372036854775807:2,S");
    struct attempt attempt = {0};
    struct stat st;

    (void)state;
    world_deliver_to(&world, NULL, inbox);
    assert_int_equal(mkfifo(path, 0600), 0);
    world_deliver_to(&world, NULL, inbox);
    world.user.quota_bytes = 1000;
    world_deliver_to(&world, NULL, inbox);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        assert_true(g_file_set_contents(path, lines[i], -1, NULL));
        world_deliver_to(&world, NULL, inbox);
    }
    assert_true(g_file_set_contents(mail, MESSAGE, -1, NULL));
    assert_true(g_file_set_contents(mail_too, MESSAGE, -1, NULL));
    unlink(path);
    assert_false(world_deliver(&world, &attempt));
    assert_int_equal(attempt.err.kind, ERROR_QUOTA_DEFER);
    attempt_clear(&attempt);
}

/* A committed delivery must not bounce, however full the mailbox is by now. */
static void quota_does_not_bounce_what_is_delivered(void **state)
{
    struct attempt attempt = {.key = KEY_1};

    (void)state;
    world.user.quota_count = 1;
    world_deliver_to(&world, KEY_1, inbox);
    assert_true(world_deliver(&world, &attempt));
    assert_int_equal(attempt.state, DELIVERY_ALREADY);
}

/* Nor may the retry of a published one be refused for its own file's sake. */
static void quota_counts_only_what_is_added(void **state)
{
    (void)state;
    world.user.quota_count = 1;
    die_before_commit(inbox);
    assert_int_equal(unlinkat(world.user.home, "maildirsize", 0), 0); /* as if Dovecot counted */
    world_deliver_to(&world, KEY_1, inbox);
    settled(1);
}

/* The user deleted mail by a way that keeps no sums: counted anew before anything is refused. */
static void quota_is_counted_anew(void **state)
{
    (void)state;
    world.user.quota_count = 1;
    world_deliver_to(&world, NULL, inbox);

    g_autofree char *name = world_only_file(&world, "new");
    g_autofree char *path = g_strdup_printf("new/%s", name);

    assert_int_equal(unlinkat(world.user.home, path, 0), 0);
    world_deliver_to(&world, NULL, inbox);
    assert_int_equal(world_count_all(&world), 1);
}

/* ------------------------------------------------------------------ sweep */

static void age(const char *path, int64_t seconds)
{
    const struct timespec times[2] = {{.tv_sec = time(NULL) - seconds},
                                      {.tv_sec = time(NULL) - seconds}};

    assert_int_equal(utimensat(world.user.home, path, times, 0), 0);
}

static void sweep(void **state)
{
    static const char *const left[] = {"vmail-pending/spool.1.00000001", "vmail-pending/spool.1.00000002",
                                       "vmail-pending/" KEY_1 ".0", "vmail-pending/" KEY_1 ".1",
                                       "vmail-pending/" KEY_2 ".0", "vmail-pending/unrelated"};
    struct store_sweep_counts counts = {0};
    struct error err = {0};

    (void)state;
    world_deliver_to(&world, KEY_1, inbox);
    for (size_t i = 0; i < G_N_ELEMENTS(left); i++) {
        int fd = openat(world.user.home, left[i], O_WRONLY | O_CREAT | O_EXCL, 0600);

        assert_true(fd >= 0);
        close(fd);
    }
    age(left[0], 7200);
    test_sql(world.db, "INSERT INTO sieve_replies (user_id, reply_key, address, expires_at) VALUES "
                       "(1, 'x', 'a', '2000-01-01 00:00:00'), (1, 'x', 'b', '2999-01-01 00:00:00')");
    assert_true(store_sweep_user(world.store, &world.user, true, &counts, &err));
    assert_true(store_sweep_rows(world.store, true, &counts, &err));
    assert_int_equal(world_count_pending(&world), G_N_ELEMENTS(left));
    assert_int_equal(counts.spools, 1);
    assert_int_equal(counts.finished, 1);
    assert_int_equal(counts.waiting, 1);
    assert_int_equal(counts.replies, 1);
    memset(&counts, 0, sizeof counts);
    age(left[4], 16 * 24 * 3600);
    assert_true(store_sweep_user(world.store, &world.user, false, &counts, &err));
    assert_true(store_sweep_rows(world.store, false, &counts, &err));
    assert_int_equal(counts.given_up, 1);
    assert_int_equal(counts.replies, 1);
    assert_int_equal(counts.keys, 0);
    assert_int_equal(world_count_pending(&world), 2); /* the young spool and the unrelated */
    test_sql(world.db, "UPDATE deliveries SET delivered_at = '2000-01-01 00:00:00'");
    assert_true(store_sweep_rows(world.store, false, &counts, &err));
    assert_int_equal(counts.keys, 1);
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
        T(undone_leaves_nothing),
        T(undone_after_a_client_touched_it),
        T(undone_copies_go_too),
        T(lost_answers_are_settled),
        T(lost_answer_and_the_database_stays_away),
        T(another_machine_was_first),
        T(links_refused_are_copies),
        T(poor_file_systems),
        T(crash_before_commit),
        T(crash_after_commit),
        T(crash_then_the_user_read_it),
        T(crash_then_the_user_moved_it),
        T(crash_then_the_script_changed),
        T(crash_then_the_script_discards),
        T(crash_and_the_witness_is_lost),
        T(crash_then_a_retry_that_gives_up),
        T(a_second_plan_after_a_failure),
        T(torn_pending_file_is_replaced),
        T(contents_of_many_broken_tries),
        T(redirect_is_not_sent_twice),
        T(a_mark_that_cannot_be_written),
        T(a_reply_that_fails_is_a_note),
        T(marks_are_part_of_the_transaction),
        T(marks_move_their_end),
        T(quota),
        T(quota_does_not_bounce_what_is_delivered),
        T(quota_counts_only_what_is_added),
        T(quota_is_counted_anew),
        T(quota_file_planted),
        T(sweep),
#undef T
    };

    (void)kind;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return test_on_each_database("delivery", &database, run_on);
}
