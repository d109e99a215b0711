/* A user's home, a database and a store, for tests of the delivery transaction. */
#ifndef VMAIL_TESTS_DELIVERY_WORLD_H
#define VMAIL_TESTS_DELIVERY_WORLD_H

#include "store/store.h"

#include "database.h"

#define MESSAGE "From: a@example.org\nSubject: hello\n\nbody\n"
#define KEY_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define KEY_2 "2222222222222222222222222222222222222222222222222222222222222222"

struct world {
    struct test_database *database;
    struct db *db;
    struct store *store;
    struct store_options options;
    char *home_path;
    struct store_user user;
};

/* A fresh home and empty tables; the database itself is shared by the program's tests. */
void world_open(struct world *world, struct test_database *database);
void world_close(struct world *world);
/* The store again, after options were changed. */
void world_restart(struct world *world);
/* No connection may live across fork: around it, and again in the child. */
void world_disconnect(struct world *world);
void world_connect(struct world *world);

/* One delivery of MESSAGE from begin to free; @targets NULL: INBOX. */
struct attempt {
    const char *key;
    const struct delivery_target *targets;
    size_t target_count;
    const struct delivery_send *sends;
    size_t send_count;
    const struct delivery_mark *marks;
    size_t mark_count;
    bool nowhere;               /* no target at all */
    /* answers */
    enum delivery_state state;
    struct delivery_result result;
    struct error err;
};
bool world_deliver(struct world *world, struct attempt *attempt);
void attempt_clear(struct attempt *attempt);
/* Delivers to the given mailboxes, each without flags; the result is thrown away. Fails the test when it
 * fails. */
void world_deliver_to(struct world *world, const char *key, const char *const *mailboxes);
/* As world_deliver_to in a child that is expected to die (see __wrap_db_commit) with status @status. */
void world_deliver_and_die(struct world *world, const char *key, const char *const *mailboxes,
                           int status);

/* Files in "new", ".Work/cur", …; 0 where the folder is missing. */
int world_count(const struct world *world, const char *path);
/* Message files in all folders. */
int world_count_all(const struct world *world);
/* What lies in vmail-pending. */
int world_count_pending(const struct world *world);
/* The only file of a folder; g_free. */
char *world_only_file(const struct world *world, const char *path);
/* Rows of the user, and deliveries. */
int64_t world_rows(const struct world *world);
int64_t world_keys(const struct world *world);
/* Every file has its row, with its mailbox, and every row its file. Fails the test. */
void world_check_rows(const struct world *world);

extern const struct header_row a_row;

#endif
