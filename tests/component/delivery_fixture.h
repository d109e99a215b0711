/* The world around a test of the delivery, with faults to inject: one at a time. */
#ifndef VMAIL_TESTS_DELIVERY_FIXTURE_H
#define VMAIL_TESTS_DELIVERY_FIXTURE_H

#include "commit_faults.h"
#include "delivery_world.h"

/* For test_on_each_database. */
extern struct test_database *database;
extern struct world world;

/* cmocka's fixtures: no faults, a fresh home, empty tables. */
int set_up_world(void **state);
/* The user keeps mboxes. */
int set_up_mbox_world(void **state);
int tear_down_world(void **state);

#endif
