/* What the MTA says about a message, apart from the message: from whom, to whom, under which id. */
#ifndef VMAIL_ENVELOPE_H
#define VMAIL_ENVELOPE_H

#include "lda/base/error.h"

#include <stdbool.h>

struct envelope {
    char *user;               /* -d: the account, local@domain, perhaps with +detail */
    char *sender;             /* -f; "" is the null sender of bounces; NULL when not said */
    char *recipient;          /* -r: the final recipient; user when not said */
    char *original_recipient; /* -a: before aliases; recipient when not said */
    char *auth;               /* --auth: who logged in to submit it; NULL: nobody, or not said */
    /* --dsn (RFC 3461), as in the SMTP parameters; NULL: not given */
    char *dsn_notify;         /* "SUCCESS,DELAY" */
    char *dsn_orcpt;          /* "rfc822;a@b", xtext */
    char *dsn_ret;            /* "FULL" or "HDRS" */
    char *dsn_envid;          /* xtext */
    char *queue_id;           /* -q; NULL: piped by hand, always a new delivery */
};

/* Normalises in place what pipe(8) and people pass: strips <>, "MAILER-DAEMON" and "<>" become the
 * null sender, domains to lower case; recipients that are missing or no address are filled in. ERROR_USAGE
 * without a user that is an address. */
bool envelope_normalise(struct envelope *envelope, struct error *err);

/* One SMTP parameter of RFC 3461, "ENVID=x", "RET=HDRS", "NOTIFY=NEVER", "ORCPT=rfc822;a@b". An empty
 * value, and one that RFC 3461 does not allow, is as if nothing was said: the sender's mistake is not
 * the recipient's. ERROR_USAGE for another name. */
bool envelope_set_dsn(struct envelope *envelope, const char *parameter, struct error *err);

void envelope_clear(struct envelope *envelope);

#endif
