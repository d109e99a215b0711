/* A delivery that broke off, on both databases: what its retry and the sweep make of it. */
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

/* ------------------------------------------------------------------ crashes */

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
    files_settled(3);
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
    files_settled(3);
}

static void crash_then_the_user_read_it(void **state)
{
    (void)state;
    die_before_commit(inbox);
    client_reads(NULL);
    world_deliver_to(&world, KEY_1, inbox);
    files_settled(1);
    assert_int_equal(test_sql_int(world.db, "SELECT count(*) FROM email_headers WHERE is_read"), 1);
}

static void crash_then_the_user_moved_it(void **state)
{
    (void)state;
    die_before_commit(inbox);
    client_moves((char *)".Sent/cur/1700000000.M1P1.other,S=1:2,FS");
    world_deliver_to(&world, KEY_1, inbox);
    files_settled(1);
    assert_int_equal(world_count(&world, ".Sent/cur"), 1);

    g_autofree char *mailbox = test_sql_text(world.db, "SELECT mailbox FROM email_headers");

    assert_string_equal(mailbox, "Sent");
}

static void crash_then_the_script_changed(void **state)
{
    (void)state;
    die_before_commit(three);
    world_deliver_to(&world, KEY_1, work);
    files_settled(1);
    assert_int_equal(world_count(&world, ".Work/new"), 1);
}

static void crash_then_the_script_discards(void **state)
{
    struct attempt attempt = {.key = KEY_1, .nowhere = true};

    (void)state;
    die_before_commit(three);
    assert_true(world_deliver(&world, &attempt));
    attempt_clear(&attempt);
    files_settled(0);
}

/* The pending file's name was lost, what it published was not: a file system that reorders. */
static void crash_and_the_witness_is_lost(void **state)
{
    (void)state;
    die_before_commit(three);
    assert_int_equal(unlinkat(world.user.home, "vmail-pending/" KEY_1 ".0", 0), 0);
    world_deliver_to(&world, KEY_1, three);
    files_settled(3);
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
    files_settled(1);
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
    files_settled(1);
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
        T(sweep),
#undef T
    };

    (void)kind;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return test_on_each_database("crashes of a delivery", &database, run_on);
}
