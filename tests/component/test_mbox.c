/* Deliveries into mboxes, on both databases: what lies in the file after each outcome, crashes, and what
 * others did to the file before the retry. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
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
#include "store/mbox_scan.h"

static const char *const inbox[] = {"INBOX", NULL};
static const char *const work[] = {"Work", NULL};
static const char *const three[] = {"INBOX", "Work", "중요.2025", NULL};

#define KEY_3 "3333333333333333333333333333333333333333333333333333333333333333"

/* ------------------------------------------------------------------ looking at files */

static void append_mbox(const char *mailbox, const char *text)
{
    g_autofree char *path = mbox_file_path(mailbox);
    int fd = open(path, O_WRONLY | O_APPEND);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void cut_mbox(const char *mailbox, off_t from_end)
{
    g_autofree char *path = mbox_file_path(mailbox);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - from_end), 0);
}

static bool count_message(const struct mbox_message *message, void *ctx, struct error *err)
{
    (void)message;
    (void)err;
    ++*(int *)ctx;
    return true;
}

static int messages_in(const char *mailbox)
{
    g_autofree char *path = mbox_file_path(mailbox);
    int fd = open(path, O_RDONLY | O_CLOEXEC), count = 0;
    struct error err = {0};

    if (fd < 0)
        return 0;
    assert_true(mbox_scan(fd, path, count_message, &count, &err));
    close(fd);
    return count;
}

/* The message of KEY_* and of MESSAGE, whole, not counting others. */
static int whole_in(const char *mailbox)
{
    g_autofree char *text = mbox_file_text(mailbox);
    int count = 0;

    for (const char *at = text; (at = strstr(at, "\nbody\n\n")) != NULL; at++)
        count++;
    return count;
}

struct check {
    const char *mailbox;
    int messages, foreign;
};

static bool check_message(const struct mbox_message *message, void *ctx, struct error *err)
{
    struct check *check = ctx;
    const struct db_value values[] = {
        db_int(world.user.id), db_text(check->mailbox), db_text(message->key),
        db_bool(strchr(message->letters, 'S') != NULL), db_int(message->size),
    };
    int64_t count = 0;
    bool found;

    if (message->key[0] == 'h') {
        check->foreign++;
        return true;
    }
    check->messages++;
    if (!db_query_int(world.db,
                      "SELECT count(*) FROM email_headers WHERE user_id = $1 AND mailbox = $2 "
                      "AND file = $3 AND is_read = $4 AND size = $5",
                      values, 5, &found, &count, err))
        return false;
    if (count != 1)
        fail_msg("%d rows for %s in %s", (int)count, message->key, check->mailbox);
    return true;
}

/* Each of our messages has its row and each row its message; nothing is left but the journals. */
static void settled(int messages, int foreign)
{
    g_autoptr(GPtrArray) mailboxes = NULL;
    struct check check = {.mailbox = NULL};
    struct error err = {0};

    assert_true(mbox_list(world.user.home, &mailboxes, &err));
    for (guint i = 0; i < mailboxes->len; i++) {
        g_autofree char *path = mbox_file_path(mailboxes->pdata[i]);
        g_autofree char *lock = g_strconcat(path, ".lock", NULL);
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        assert_true(fd >= 0);
        check.mailbox = mailboxes->pdata[i];
        if (!mbox_scan(fd, path, check_message, &check, &err))
            fail_msg("%s", err.text);
        close(fd);
        assert_int_not_equal(access(lock, F_OK), 0);
    }
    assert_int_equal(check.messages, messages);
    assert_int_equal(check.foreign, foreign);
    assert_int_equal(world_rows(&world), messages);
    assert_int_equal(world_count_pending(&world), 0);
}

/* ------------------------------------------------------------------ what a delivery makes */

static void plain(void **state)
{
    struct attempt attempt = {.key = KEY_1};
    g_autofree char *path = mbox_file_path("INBOX");
    struct stat st;

    (void)state;
    assert_true(world_deliver(&world, &attempt));

    g_autofree char *text = mbox_file_text("INBOX");
    g_autofree char *key = mbox_key_of(KEY_1, "INBOX", 0);
    g_autofree char *rest = g_strdup_printf("\nX-Vmail-Key: %s\n" MESSAGE "\n", key);
    const struct delivery_stored *stored = g_ptr_array_index(attempt.result.stored, 0);

    assert_true(g_str_has_prefix(text, "From MAILER-DAEMON "));
    assert_string_equal(strchr(text, '\n'), rest);
    assert_true(mbox_line_is_from(text, (size_t)(strchr(text, '\n') - text), NULL));
    assert_string_equal(stored->mailbox, "INBOX");
    assert_string_equal(stored->file, key);
    assert_true(g_str_has_prefix(key, "111111111111111111111111"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    settled(1, 0);
    world_deliver_to(&world, KEY_2, inbox);
    settled(2, 0);
    attempt_clear(&attempt);
}

static void three_targets(void **state)
{
    g_autofree char *subscriptions = g_build_filename(world.home_path, "mail/.subscriptions", NULL);
    g_autofree char *text = NULL, *file = NULL;

    (void)state;
    world_deliver_to(&world, KEY_1, three);
    settled(3, 0);
    assert_int_equal(messages_in("중요.2025"), 1);
    assert_int_equal(world_count(&world, "mail/&yRHGlA-"), 1);
    assert_true(g_file_get_contents(subscriptions, &text, NULL, NULL));
    assert_string_equal(text, "V\t2\n\nINBOX\nSent\nDrafts\nWork\n&yRHGlA-\t2025\n");
    /* all by one prefix */
    file = test_sql_text(world.db, "SELECT count(DISTINCT substr(file, 1, 24)) FROM email_headers");
    assert_string_equal(file, "1");
}

static void flags(void **state)
{
    static const char *const wanted[] = {"\\Seen", "\\Flagged", "$label1", "bad word", NULL};
    static const char *const more[] = {"\\Answered", "work", NULL};
    const struct delivery_target target = {.mailbox = "INBOX", .row = &a_row, .flags = wanted};
    const struct delivery_target second = {.mailbox = "INBOX", .row = &a_row, .flags = more};
    struct attempt attempt = {.key = KEY_1, .targets = &target, .target_count = 1};
    struct attempt again = {.key = KEY_2, .targets = &second, .target_count = 1};

    (void)state;
    assert_true(world_deliver(&world, &attempt));
    assert_int_equal(attempt.result.notes->len, 1); /* the keyword that is none */

    g_autofree char *text = mbox_file_text("INBOX");

    assert_non_null(strstr(text, "\nStatus: R\nX-Status: F\nX-Keywords: $label1\n"));
    assert_non_null(strstr(text, "\nX-IMAPbase: "));
    assert_non_null(strstr(text, " 0000000000 $label1\n"));
    assert_true(world_deliver(&world, &again));
    assert_int_equal(again.result.notes->len, 0);
    g_free(text);
    text = mbox_file_text("INBOX");
    /* the first message names the new keyword too */
    assert_non_null(strstr(text, " 0000000000 $label1 work\n"));
    assert_non_null(strstr(text, "\nX-Status: A\nX-Keywords: work\n"));

    g_autofree char *column = test_sql_text(
        world.db, "SELECT flags FROM email_headers ORDER BY id DESC");

    assert_string_equal(column, "\\Answered work");
    settled(2, 0);
    attempt_clear(&attempt);
    attempt_clear(&again);
}

/* What a sender puts in to deceive the reader of an mbox. */
static void hostile_content(void **state)
{
    static const char mail[] =
        "Status: RO\nX-IMAPbase: 1 1\nX-Vmail-Key: 00000000000000000000000000000000\n"
        "Content-Length: 3\n continued\nx-uid: 7\nSubject: hi\n\tthere\n\n"
        "From a@b Sat Nov 29 07:44:19 2025\nSubject: forged\n\n>From here\nno end";
    const struct delivery_target target = {.mailbox = "INBOX", .row = &a_row};
    const struct delivery_plan plan = {
        .targets = &target, .target_count = 1, .sender = "evil sender\n@example.org"};
    struct delivery *delivery;
    struct delivery_result result;
    enum delivery_state answer;
    struct error err = {0};

    (void)state;
    mbox_file_write("INBOX", "From y@example.net Sat Nov 29 07:44:19 2025\nSubject: cut\n\nno end");
    assert_true(delivery_begin(world.store, &world.user, &delivery, &err));
    assert_true(io_write(delivery_fd(delivery), mail, sizeof mail - 1, "spool", &err));
    assert_true(delivery_identify(delivery, KEY_1, NULL, &answer, &err));
    if (!delivery_commit(delivery, &plan, &result, &err))
        fail_msg("%s", err.text);
    delivery_result_clear(&result);
    delivery_free(delivery);

    g_autofree char *text = mbox_file_text("INBOX");
    g_autofree char *key = mbox_key_of(KEY_1, "INBOX", 0);
    const char *ours = strstr(text, "no end\n\nFrom evil_sender_@example.org ");
    g_autofree char *rest = g_strdup_printf(
        "\nX-Vmail-Key: %s\nSubject: hi\n\tthere\n\n>From a@b Sat Nov 29 07:44:19 2025\n"
        "Subject: forged\n\n>From here\nno end\n\n", key);

    assert_non_null(ours);
    assert_string_equal(strchr(ours + 8, '\n'), rest);
    settled(1, 1);
}

static void two_contents_in_one_mailbox(void **state)
{
    struct delivery_target targets[] = {
        {.mailbox = "Work", .row = &a_row},
        {.mailbox = "INBOX", .row = &a_row},
        {.mailbox = "Work", .row = &a_row},
    };
    const struct delivery_plan plan = {.targets = targets, .target_count = 3};
    struct delivery *delivery;
    struct delivery_result result;
    struct error err = {0};
    enum delivery_state answer;
    int fd;

    (void)state;
    for (int round = 0; round < 2; round++) {
        assert_true(delivery_begin(world.store, &world.user, &delivery, &err));
        assert_true(io_write(delivery_fd(delivery), MESSAGE, strlen(MESSAGE), "spool", &err));
        assert_true(delivery_identify(delivery, round == 0 ? KEY_1 : KEY_2, NULL, &answer, &err));
        assert_true(delivery_new_content(delivery, &fd, &targets[2].content, &err));
        assert_true(io_write(fd, "X: y\n" MESSAGE, strlen(MESSAGE) + 5, "edited", &err));
        commit_faults.next = round == 0 ? COMMIT_UNDONE : COMMIT_PASSES;
        assert_int_equal(delivery_commit(delivery, &plan, &result, &err), round == 1);
        delivery_result_clear(&result);
        delivery_free(delivery);
        error_clear(&err);
        settled(round == 1 ? 3 : 0, 0);
    }
    assert_int_equal(messages_in("Work"), 2);
}

/* ------------------------------------------------------------------ what cannot be a mailbox */

static void links_are_not_followed(void **state)
{
    g_autofree char *outside = g_build_filename(world.home_path, "outside", NULL);
    struct attempt attempt = {.key = KEY_1};
    struct stat st;

    (void)state;
    assert_true(g_file_set_contents(outside, FOREIGN, -1, NULL));
    world_deliver_to(&world, KEY_2, inbox);
    assert_int_equal(symlinkat("../outside", world.user.home, "mail/Work"), 0);
    world_deliver_to(&world, KEY_3, work);
    assert_int_equal(messages_in("INBOX"), 2);
    assert_int_equal(unlinkat(world.user.home, "mbox", 0), 0);
    assert_int_equal(symlinkat("outside", world.user.home, "mbox"), 0);
    assert_false(world_deliver(&world, &attempt));
    assert_int_equal(attempt.err.kind, ERROR_TEMPORARY);
    attempt_clear(&attempt);
    assert_int_equal(stat(outside, &st), 0);
    assert_int_equal(st.st_size, strlen(FOREIGN));
}

static void blocked_mailboxes_fall_back(void **state)
{
    static const char *const wishes[][2] = {
        {"Work.2025", NULL}, /* Work is a file */
        {"Dir", NULL},       /* is a folder */
        {"Notes", NULL},     /* is a file, but no mbox */
        {"Fifo", NULL},
    };

    (void)state;
    world_deliver_to(&world, KEY_1, work);
    assert_int_equal(mkdirat(world.user.home, "mail/Dir", 0700), 0);
    assert_int_equal(mkfifoat(world.user.home, "mail/Fifo", 0600), 0);
    mbox_file_write("Notes", "milk, bread\n");
    for (size_t i = 0; i < G_N_ELEMENTS(wishes); i++) {
        struct delivery_target target = {.mailbox = wishes[i][0], .row = &a_row};
        struct attempt attempt = {.targets = &target, .target_count = 1};

        assert_true(world_deliver(&world, &attempt));
        assert_true(((struct delivery_stored *)attempt.result.stored->pdata[0])->fallback);
        assert_int_equal(attempt.result.notes->len, 1);
        attempt_clear(&attempt);
        assert_int_equal(messages_in("INBOX"), i + 1);
    }

    g_autofree char *notes = mbox_file_text("Notes");

    assert_string_equal(notes, "milk, bread\n");
    settled(1 + (int)G_N_ELEMENTS(wishes), 0);
}

/* Its offsets beyond 4 GiB, in a file that is a hole. */
static void beyond_4_gib(void **state)
{
    g_autofree char *path = mbox_file_path("INBOX");
    struct stat before, after;
    int fd;

    (void)state;
    world_deliver_to(&world, KEY_1, inbox);
    fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "\n\n", 2, (off_t)5 << 30), 2);
    close(fd);
    assert_int_equal(stat(path, &before), 0);
    commit_faults.next = COMMIT_UNDONE;

    struct attempt attempt = {.key = KEY_2};

    assert_false(world_deliver(&world, &attempt));
    attempt_clear(&attempt);
    assert_int_equal(stat(path, &after), 0);
    assert_true(after.st_size == before.st_size);
    world_deliver_to(&world, KEY_2, inbox);
    assert_int_equal(stat(path, &after), 0);
    assert_true(after.st_size > before.st_size && after.st_size < before.st_size + 1000);
    assert_int_equal(world_rows(&world), 2);
    assert_int_equal(truncate(path, 0), 0);
}

static void a_lock_that_is_held(void **state)
{
    g_autofree char *path = mbox_file_path("INBOX");
    struct attempt attempt = {.key = KEY_1};
    pid_t holder;
    int ready[2];
    char byte;

    (void)state;
    world_deliver_to(&world, KEY_2, inbox);
    world.options.lock_timeout_s = 1;
    world_restart(&world);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    holder = fork();
    if (holder == 0) {
        struct flock whole = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
        int fd = open(path, O_RDWR);

        /* as Dovecot reads */
        _exit(fd >= 0 && fcntl(fd, F_SETLK, &whole) == 0 && write(ready[1], "x", 1) == 1 &&
                      pause() < 0 ? 0 : 1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_false(world_deliver(&world, &attempt));
    assert_int_equal(attempt.err.kind, ERROR_TEMPORARY);
    assert_non_null(strstr(attempt.err.text, "cannot lock mbox"));
    attempt_clear(&attempt);
    settled(1, 0);
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    world_deliver_to(&world, KEY_1, inbox);
    settled(2, 0);
}

/* ------------------------------------------------------------------ the database says no */

static void commit_undone(void **state)
{
    struct attempt attempt = {.key = KEY_1};

    (void)state;
    world_deliver_to(&world, KEY_2, three);
    append_mbox("INBOX", FOREIGN);

    g_autofree char *before = mbox_file_text("INBOX");

    commit_faults.next = COMMIT_UNDONE;
    assert_false(world_deliver(&world, &attempt));
    attempt_clear(&attempt);

    g_autofree char *after = mbox_file_text("INBOX");

    assert_string_equal(before, after);
    settled(3, 1);
    world_deliver_to(&world, KEY_1, three);
    settled(6, 1);
}

static void lost_answer(enum commit_fault fault)
{
    struct attempt attempt = {.key = KEY_1}, again = {.key = KEY_1};

    commit_faults.next = fault;
    commit_faults.no_reconnect = true;
    assert_false(world_deliver(&world, &attempt));
    assert_int_equal(attempt.err.kind, ERROR_TEMPORARY);
    attempt_clear(&attempt);
    commit_faults.no_reconnect = false;
    /* another delivery comes first: it must find out, and keep or take back */
    world_deliver_to(&world, KEY_2, inbox);
    assert_int_equal(whole_in("INBOX"), fault == COMMIT_LOST_DONE ? 2 : 1);
    assert_true(world_deliver(&world, &again));
    assert_int_equal(again.state, fault == COMMIT_LOST_DONE ? DELIVERY_ALREADY : DELIVERY_RESUMED);
    attempt_clear(&again);
    settled(2, 0);
}

static void lost_answer_done(void **state)
{
    (void)state;
    lost_answer(COMMIT_LOST_DONE);
}

static void lost_answer_undone(void **state)
{
    (void)state;
    lost_answer(COMMIT_LOST_UNDONE);
}

/* ------------------------------------------------------------------ crashes */

static void die(const char *key, const char *const *mailboxes, enum commit_fault fault)
{
    commit_faults.next = fault;
    world_deliver_and_die(&world, key, mailboxes, COMMIT_DEATH_STATUS);
    commit_faults.next = COMMIT_PASSES;
    assert_int_equal(world_count_pending(&world), 1);
}

static void crash_before_commit(void **state)
{
    (void)state;
    die(KEY_1, three, COMMIT_DIES_BEFORE);
    world_deliver_to(&world, KEY_1, three);
    settled(3, 0);
}

static void crash_after_commit(void **state)
{
    struct attempt attempt = {.key = KEY_1};

    (void)state;
    die(KEY_1, three, COMMIT_DIES_AFTER);
    assert_true(world_deliver(&world, &attempt));
    assert_int_equal(attempt.state, DELIVERY_ALREADY);
    attempt_clear(&attempt);
    settled(3, 0);
}

static void crash_then_another_delivery(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        die(KEY_1, inbox, round == 0 ? COMMIT_DIES_BEFORE : COMMIT_DIES_AFTER);
        world_deliver_to(&world, round == 0 ? KEY_2 : KEY_3, inbox);
        assert_int_equal(whole_in("INBOX"), round == 0 ? 1 : 3);
    }
    world_deliver_to(&world, KEY_1, inbox);
    settled(3, 0);
}

static void crash_with_a_torn_end(void **state)
{
    /* what got lost of the entry: the last byte, a line's end, half the body … all but the first */
    size_t losses[] = {1, 2, 4, 8, 40, 60, 80, 100, 0};
    g_autofree char *entry = NULL;
    size_t length;

    (void)state;
    world_deliver_to(&world, KEY_2, inbox);
    entry = mbox_file_text("INBOX");
    length = strlen(entry);
    losses[G_N_ELEMENTS(losses) - 1] = length - 1;
    for (size_t i = 0; i < G_N_ELEMENTS(losses); i++) {
        die(KEY_1, inbox, COMMIT_DIES_BEFORE);
        cut_mbox("INBOX", (off_t)losses[i]);
        world_deliver_to(&world, KEY_3, work);  /* elsewhere: does not touch it */
        world_deliver_to(&world, KEY_1, inbox);
        assert_int_equal(whole_in("INBOX"), 2);
        settled(3, 0);
        mbox_file_write("INBOX", entry);
        test_sql(world.db, "DELETE FROM deliveries WHERE queue_id IS NOT NULL; "
                           "DELETE FROM email_headers WHERE id > (SELECT min(id) FROM email_headers)");
        mbox_file_write("Work", "");
    }
}

static void crash_then_another_script(void **state)
{
    (void)state;
    die(KEY_1, three, COMMIT_DIES_BEFORE);
    assert_int_equal(messages_in("중요.2025"), 1);
    world_deliver_to(&world, KEY_1, work);
    assert_int_equal(messages_in("INBOX"), 0);
    assert_int_equal(messages_in("중요.2025"), 0);
    settled(1, 0);
}

/* The leftover under the key did not survive the power cut; the journals did. */
static void crash_and_the_witness_is_lost(void **state)
{
    g_autofree char *command = g_strdup_printf("rm %s/vmail-pending/*", world.home_path);

    (void)state;
    die(KEY_1, three, COMMIT_DIES_BEFORE);
    assert_int_equal(system(command), 0);
    world_deliver_to(&world, KEY_1, work);
    /* INBOX still has what nobody wants: the next who comes there sees that no row is about it */
    world_deliver_to(&world, KEY_2, three);
    settled(4, 0);
    assert_int_equal(messages_in("INBOX"), 1);
}

/* Dovecot saw the message before the retry: it writes headers, and moves what lies behind. */
static void crash_then_dovecot_wrote_headers(void **state)
{
    (void)state;
    world_deliver_to(&world, KEY_2, inbox);
    die(KEY_1, inbox, COMMIT_DIES_BEFORE);
    for (int i = 0; i < 2; i++)
        mbox_file_replace("INBOX", "From: a@", i == 0 ? "X-UID: 1    \nStatus: O\nFrom: b@"
                                                      : "X-UID: 2    \nStatus: RO\nFrom: a@");
    world_deliver_to(&world, KEY_3, work);
    world_deliver_to(&world, KEY_1, inbox);
    settled(3, 0);
}

static void crash_then_others_wrote_behind(void **state)
{
    (void)state;
    die(KEY_1, inbox, COMMIT_DIES_BEFORE);
    mbox_file_replace("INBOX", "From: a@", "Status: RO\nX-Keywords:       \nFrom: a@");
    append_mbox("INBOX", FOREIGN);
    /* it is whole and somebody may have read it: it stays, and its own retry takes it */
    world_deliver_to(&world, KEY_2, inbox);
    assert_int_equal(whole_in("INBOX"), 2);
    assert_int_equal(world_rows(&world), 1);
    world_deliver_to(&world, KEY_1, inbox);
    assert_int_equal(whole_in("INBOX"), 2);
    settled(2, 1);
    assert_int_equal(test_sql_int(world.db, "SELECT count(*) FROM email_headers WHERE is_read"), 1);
}

static void crash_torn_then_others_wrote_behind(void **state)
{
    (void)state;
    die(KEY_1, inbox, COMMIT_DIES_BEFORE);
    cut_mbox("INBOX", 3); /* "dy\n\n" less one */
    append_mbox("INBOX", "\n\n" FOREIGN);
    world_deliver_to(&world, KEY_2, inbox);
    assert_int_equal(messages_in("INBOX"), 2);
    world_deliver_to(&world, KEY_1, inbox);
    settled(2, 1);
}

static void crash_behind_others_then_another_script(void **state)
{
    (void)state;
    world_deliver_to(&world, KEY_2, inbox);
    die(KEY_1, three, COMMIT_DIES_BEFORE);
    append_mbox("INBOX", FOREIGN);
    append_mbox("Work", FOREIGN);
    world_deliver_to(&world, KEY_1, work);
    settled(2, 2);
    assert_int_equal(messages_in("INBOX"), 2); /* KEY_2's and the foreign one */
    assert_int_equal(messages_in("Work"), 2);
}

/* IMAP MOVE: the same headers in another mbox. */
static void crash_then_the_user_moved_it(void **state)
{
    g_autofree char *text = NULL;

    (void)state;
    die(KEY_1, inbox, COMMIT_DIES_BEFORE);
    text = mbox_file_text("INBOX");
    mbox_file_write("INBOX", "");
    mbox_file_write("Archive", text);
    world_deliver_to(&world, KEY_1, inbox);
    assert_int_equal(messages_in("INBOX"), 0);
    settled(1, 0);
}

static void crash_then_the_user_copied_it(void **state)
{
    g_autofree char *text = NULL;

    (void)state;
    die(KEY_1, inbox, COMMIT_DIES_BEFORE);
    text = mbox_file_text("INBOX");
    append_mbox("INBOX", FOREIGN);
    mbox_file_write("Archive", text);
    world_deliver_to(&world, KEY_1, inbox);
    /* the copy is the user's: it stays and gets its row from sync */
    assert_int_equal(whole_in("INBOX"), 1);
    assert_int_equal(whole_in("Archive"), 1);
    assert_int_equal(world_rows(&world), 1);
}

static void crash_then_the_mailbox_is_gone(void **state)
{
    (void)state;
    die(KEY_1, work, COMMIT_DIES_BEFORE);
    assert_int_equal(unlinkat(world.user.home, "mail/Work", 0), 0);
    world_deliver_to(&world, KEY_1, work);
    settled(1, 0);
}

static void the_sweep_recovers(void **state)
{
    struct store_sweep_counts counts = {0};
    struct error err = {0};

    (void)state;
    die(KEY_1, three, COMMIT_DIES_BEFORE);
    assert_int_equal(whole_in("INBOX"), 1);
    assert_true(store_sweep_user(world.store, &world.user, false, &counts, &err));
    assert_int_equal(counts.waiting, 1);
    assert_int_equal(whole_in("INBOX"), 0);
    world_deliver_to(&world, KEY_1, three);
    settled(3, 0);
}

/* ------------------------------------------------------------------ main */

#define T(name) cmocka_unit_test_setup_teardown(name, set_up_mbox_world, tear_down_world)

static int run_on(enum db_kind kind, const char *name)
{
    const struct CMUnitTest tests[] = {
        T(plain),
        T(three_targets),
        T(flags),
        T(hostile_content),
        T(two_contents_in_one_mailbox),
        T(links_are_not_followed),
        T(blocked_mailboxes_fall_back),
        T(beyond_4_gib),
        T(a_lock_that_is_held),
        T(commit_undone),
        T(lost_answer_done),
        T(lost_answer_undone),
        T(crash_before_commit),
        T(crash_after_commit),
        T(crash_then_another_delivery),
        T(crash_with_a_torn_end),
        T(crash_then_another_script),
        T(crash_and_the_witness_is_lost),
        T(crash_then_dovecot_wrote_headers),
        T(crash_then_others_wrote_behind),
        T(crash_torn_then_others_wrote_behind),
        T(crash_behind_others_then_another_script),
        T(crash_then_the_user_moved_it),
        T(crash_then_the_user_copied_it),
        T(crash_then_the_mailbox_is_gone),
        T(the_sweep_recovers),
    };

    (void)kind;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return test_on_each_database("mbox", &database, run_on);
}
