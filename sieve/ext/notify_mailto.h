/*
 * The mailto method of notifications (RFC 5436): reading the URI (RFC 6068), writing the mail.
 */
#ifndef VMAIL_SIEVE_EXT_NOTIFY_MAILTO_H
#define VMAIL_SIEVE_EXT_NOTIFY_MAILTO_H

#include "sieve/sieve-internal.h"

struct mailto_recipient {
    const char *address; /* addr-spec */
    const char *text;    /* as a header field has it, encoded */
    bool cc;
};

struct mailto_field {
    const char *name;
    const char *value;   /* UTF-8 */
};

/* What a mailto URI says; all in the arena it was read into. */
struct mailto {
    GArray *recipients;  /* struct mailto_recipient */
    GArray *fields;      /* struct mailto_field: further header fields for the mail */
    const char *subject; /* UTF-8, or NULL */
    const char *body;    /* UTF-8 with LF, or NULL */
};

/* Reads the URI; NULL: it is not valid, *@ret_fault says why. */
struct mailto *mailto_parse(struct arena *arena, const char *uri, const char **ret_fault);

/* Adds a recipient that is no URI's (deprecated notify); false: not an address. */
bool mailto_add(struct arena *arena, struct mailto *mailto, const char *address);
struct mailto *mailto_new(struct arena *arena);

/* Why no notification must be sent for the present message (RFC 5436 2.7.1, RFC 3834), or NULL. */
const char *mailto_suppressed(struct sieve_run *run);

/* Fills action->mail and action->notify.to; message, from and importance of action->notify are
 * read. Recipients that this run notifies already are left away; false: none are left. */
bool mailto_compose(struct sieve_run *run, struct mailto *mailto, struct sieve_action *action);

#endif
