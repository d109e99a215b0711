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

/* Below the home; g_free. */
char *home_path(const char *below);
void rename_in_home(const char *from, const char *to);

/* What Dovecot does to the only message in new/ (fit for commit_faults.meanwhile). Its user reads it. */
void client_reads(void *ctx);
/* Its user moves it, IMAP MOVE: a link under the new name @ctx, then the old name goes. */
void client_moves(void *ctx);

/* A delivery of KEY_1 breaks off: the pending file is left, and no row. */
void die_before_commit(const char *const *mailboxes);
/* So many files with their rows, one delivery remembered, nothing pending. Fails the test. */
void files_settled(int files);

/* A send function that counts, or fails. */
struct outbox {
    int sent;
    bool fails;
};
bool send_one(void *ctx, struct error *err);

#endif
