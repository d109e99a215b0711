/* The database half of a delivery: key, rows and marks in one transaction. */
#ifndef VMAIL_STORE_DELIVERY_ROWS_H
#define VMAIL_STORE_DELIVERY_ROWS_H

#include "lda/base/error.h"

#include <stdbool.h>

struct delivery;
struct delivery_plan;

enum rows_outcome {
    ROWS_OK,
    ROWS_ALREADY,  /* the key is committed: another process, or an earlier COMMIT that we doubted */
    ROWS_FAILED,   /* definitely nothing was written */
    ROWS_UNKNOWN,  /* COMMIT was sent, the answer is lost, and the database stays away */
};

/* Begins the transaction and sends everything without waiting (SQLite: runs it). */
bool rows_send(struct delivery *delivery, const struct delivery_plan *plan, struct error *err);

/* Waits for the answers; what a second try cures (a dead idle connection, a deadlock) is tried again.
 * ROWS_OK: only COMMIT is missing. */
enum rows_outcome rows_collect(struct delivery *delivery, const struct delivery_plan *plan,
                               struct error *err);

/* Commits, and finds out what happened when the answer is lost. Never ROWS_OK and not durable. */
enum rows_outcome rows_commit(struct delivery *delivery, const struct delivery_plan *plan,
                              struct error *err);

#endif
