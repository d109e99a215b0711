/* What a delivery sends and remembers, on both databases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "delivery_fixture.h"

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
    files_settled(1);
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
    files_settled(1);
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

static int run_on(enum db_kind kind, const char *name)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up_world, tear_down_world)
        T(redirect_is_not_sent_twice),
        T(a_mark_that_cannot_be_written),
        T(a_reply_that_fails_is_a_note),
        T(marks_are_part_of_the_transaction),
        T(marks_move_their_end),
#undef T
    };

    (void)kind;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return test_on_each_database("sends of a delivery", &database, run_on);
}
