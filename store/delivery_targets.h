/* The file half of a delivery: from the plan's targets to files, and back. */
#ifndef VMAIL_STORE_DELIVERY_TARGETS_H
#define VMAIL_STORE_DELIVERY_TARGETS_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct delivery;
struct delivery_plan;

/* Fills delivery->targets: mailboxes opened, wishes for the same file united, files named, what an
 * earlier try published taken over. Nothing is visible yet. */
bool targets_build(struct delivery *delivery, const struct delivery_plan *plan, struct error *err);

/* Bytes and files that publishing will add; with @found_too also those of an earlier try. */
void targets_sum(const struct delivery *delivery, bool found_too, int64_t *ret_bytes,
                 int64_t *ret_count);

/* Flushes the contents that will be published. */
bool targets_sync_contents(struct delivery *delivery, struct error *err);

/* Publishes what is not there, takes back what an earlier try left and the plan does not want, and
 * makes both durable. On failure some may be visible: targets_take_back. */
bool targets_publish(struct delivery *delivery, struct error *err);

/* Takes back what this try published. False: something stays visible, @err says what. */
bool targets_take_back(struct delivery *delivery, struct error *err);

void target_free(void *target);

#endif
