/* maildirsize and the limits in it, on both databases. */
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

static const char *const inbox[] = {"INBOX", NULL};

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
    files_settled(1);
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

static int run_on(enum db_kind kind, const char *name)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up_world, tear_down_world)
        T(quota),
        T(quota_does_not_bounce_what_is_delivered),
        T(quota_counts_only_what_is_added),
        T(quota_is_counted_anew),
        T(quota_file_planted),
#undef T
    };

    (void)kind;
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    return test_on_each_database("quota", &database, run_on);
}
