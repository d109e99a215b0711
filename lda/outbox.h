/* The plan made concrete for the store: contents written, rows made, sends bound to their functions. */
#ifndef VMAIL_OUTBOX_H
#define VMAIL_OUTBOX_H

#include "lda/base/error.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct config;
struct delivery;
struct delivery_plan;
struct envelope;
struct message;
struct plan;
struct sieve_result;
struct store;
struct user;

/* All borrowed. */
struct outbox_input {
    const struct config *config;
    const struct envelope *envelope;
    const struct user *user;
    struct message *message;           /* as spooled */
    const char *message_id;            /* kept with the delivery's key, for people; or NULL */
    const struct sieve_result *result; /* for what Sieve wants remembered */
    struct delivery *delivery;
    bool ignore_quota;
};

struct outbox;

/* Takes those answers out of @plan that their correspondent had within the period already (with the
 * copy that :fcc would have stored), and notes it. */
bool outbox_forget_answered(struct plan *plan, struct store *store, int64_t user_id,
                            struct error *err);

/* Writes edited messages into the delivery and makes a row for each content. @plan must outlive the
 * outbox. */
bool outbox_new(const struct outbox_input *input, const struct plan *plan,
                struct outbox **ret_outbox, struct error *err);
void outbox_free(struct outbox *outbox);

/* For delivery_commit; lives as long as the outbox. */
const struct delivery_plan *outbox_plan(const struct outbox *outbox);
/* char *: failures that a script allowed. */
const GPtrArray *outbox_notes(const struct outbox *outbox);
/* After a failed commit: did a send fail for good? *@ret_send is its index in the plan. */
bool outbox_refused(const struct outbox *outbox, guint *ret_send);

#endif
