#include "delivery_fixture.h"

#include <string.h>

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
