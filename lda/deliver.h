/*
 * deliver(): one message to one recipient, from a descriptor to a file and a row.
 *
 * Used by vmail-lda, vmail-lmtpd and vmail replay alike; nothing about delivery lives in a front
 * end. The six steps stand in deliver.c, in order.
 */
#ifndef VMAIL_DELIVER_H
#define VMAIL_DELIVER_H

#include "lda/base/error.h"
#include "lda/envelope.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct site; /* lda/site.h */

struct deliver_options {
    const char *mailbox;     /* -m: instead of INBOX for the implicit and explicit keep; or NULL */
    const char *script;      /* a script file to run instead of the user's; or NULL */
    bool once;               /* --once: without a queue id content and mailbox make the key */
    bool dry_run;            /* print the plan, change nothing */
    bool explain;            /* the plan with each Sieve test's outcome */
    bool reject_by_status;   /* -e: a rejection is exit 77, not a message */
    bool replay;             /* ops: no auto-replies and notifications leave again */
    bool no_script;          /* kept as if there were no script, of the user or the site */
    bool ignore_quota;
    const char *const *flags; /* of what is kept: "\\Seen", "$label1"; NULL-terminated; or NULL */
};

enum deliver_outcome {
    DELIVER_STORED,          /* at least one file */
    DELIVER_DISCARDED,       /* accepted, nothing kept (discard, redirect only, reject by mail) */
    DELIVER_DUPLICATE,       /* this delivery was committed before: nothing done */
};

struct deliver_result {
    enum deliver_outcome outcome;
    char *message_id;        /* without <>; or NULL */
    char *summary;           /* "saved mail to INBOX, forwarded to <a@b>" */
    char *plan;              /* dry_run and explain: text for a person; else NULL */
    GPtrArray *notes;        /* char *: warnings that did not fail the delivery */
    GPtrArray *steps;        /* char *: how long each step took, when log_debug is on */
    uint64_t size;           /* bytes of the message as it came */
    double elapsed_ms;
};

/* Delivers what @input_fd holds up to its end. True: the file(s) and row(s) exist, durably, once
 * (or the script wanted none). False: nothing is left visible and @err says whether to retry.
 * @ret_result is filled as far as known in both cases (so that a failure can be logged with its
 * Message-ID); clear it always. */
bool deliver(struct site *site, const struct envelope *envelope, int input_fd,
             const struct deliver_options *options, struct deliver_result *ret_result,
             struct error *err);

void deliver_result_clear(struct deliver_result *result);

#endif
