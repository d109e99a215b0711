#include "delivery_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct test_database *database;
struct world world;

int set_up_world(void **state)
{
    (void)state;
    memset(&commit_faults, 0, sizeof commit_faults);
    link_fault = 0;
    flock_fault = 0;
    rename_fault = 0;
    world_open(&world, database);
    return 0;
}

int set_up_mbox_world(void **state)
{
    set_up_world(state);
    world.user.format = STORE_MBOX;
    world.options.lock_timeout_s = 5;
    world_restart(&world);
    test_sql(world.db, "DELETE FROM sync_folders");
    return 0;
}

int tear_down_world(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

char *home_path(const char *below)
{
    return g_build_filename(world.home_path, below, NULL);
}

void rename_in_home(const char *from, const char *to)
{
    if (renameat(world.user.home, from, world.user.home, to) < 0)
        fail_msg("rename %s to %s: %s", from, to, g_strerror(errno));
}

void client_reads(void *ctx)
{
    g_autofree char *name = world_only_file(&world, "new");
    g_autofree char *from = g_strdup_printf("new/%s", name);
    g_autofree char *to = g_strdup_printf("cur/%s:2,S", name);

    (void)ctx;
    rename_in_home(from, to);
}

void client_moves(void *ctx)
{
    const char *to = ctx;
    g_autofree char *name = world_only_file(&world, "new");
    g_autofree char *from = g_strdup_printf("new/%s", name);

    assert_int_equal(linkat(world.user.home, from, world.user.home, to, 0), 0);
    assert_int_equal(unlinkat(world.user.home, from, 0), 0);
}

void die_before_commit(const char *const *mailboxes)
{
    commit_faults.next = COMMIT_DIES_BEFORE;
    world_deliver_and_die(&world, KEY_1, mailboxes, COMMIT_DEATH_STATUS);
    commit_faults.next = COMMIT_PASSES;
    assert_int_equal(world_count_pending(&world), 1);
    assert_int_equal(world_rows(&world), 0);
}

void files_settled(int files)
{
    assert_int_equal(world_count_all(&world), files);
    assert_int_equal(world_count_pending(&world), 0);
    assert_int_equal(world_keys(&world), 1);
    world_check_rows(&world);
}

bool send_one(void *ctx, struct error *err)
{
    struct outbox *outbox = ctx;

    if (outbox->fails) {
        error_set(err, ERROR_TEMPORARY, "sendmail says no");
        return false;
    }
    outbox->sent++;
    return true;
}
