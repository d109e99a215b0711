/* What is left of a delivery, on both databases, when the disk or the database fails. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "delivery_fixture.h"

static const char *const inbox[] = {"INBOX", NULL};
static const char *const work[] = {"Work", NULL};
static const char *const three[] = {"INBOX", "Work", "중요", NULL};

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

static int run_on(enum db_kind kind, const char *name)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up_world, tear_down_world)
        T(undone_leaves_nothing),
        T(undone_after_a_client_touched_it),
        T(undone_copies_go_too),
        T(lost_answers_are_settled),
        T(lost_answer_and_the_database_stays_away),
        T(another_machine_was_first),
        T(links_refused_are_copies),
#undef T
    };

    (void)kind;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return test_on_each_database("failures of a delivery", &database, run_on);
}
