/* Handing mail to the MTA's sendmail, and messages to programs, as the plan says. */
#ifndef VMAIL_SEND_H
#define VMAIL_SEND_H

#include "lda/base/error.h"

#include <stdbool.h>

struct config;
struct envelope;
struct message;
struct plan_send;
struct user;

struct send_job {
    const struct config *config;
    const struct envelope *envelope;
    const struct user *user;
    struct message *message;      /* as spooled */
    const struct plan_send *send;
    bool refused;                 /* set by a failure that no retry cures */
    char *note;                   /* for the log: what a script allowed to fail, or had to do without; g_free */
};

/* Does what job->send says; @ctx is the struct send_job (shape of delivery_send.send). False: the
 * MTA has not taken it. The message of a redirect leaves as it came, but for what this delivery put on
 * top (Return-Path, X-Original-To) and with X-Sieve-Redirected-From. */
bool send_run(void *ctx, struct error *err);

/* True for the exit statuses of sendmail that no retry cures. */
bool send_status_is_final(int status);

#endif
