/* The answers to what the Sieve engine asks (sieve/host.h), from the user's store and database. */
#ifndef VMAIL_SIEVE_HOST_IMPL_H
#define VMAIL_SIEVE_HOST_IMPL_H

#include "lda/base/error.h"
#include "sieve/host.h"

#include <stdbool.h>

struct config;
struct db;
struct envelope;
struct script_cache;
struct store;
struct store_user;
struct user;

/* Whom the questions are about; all borrowed. */
struct sieve_host_site {
    const struct config *config;
    struct db *db;                 /* NULL: no address book */
    struct store *store;           /* NULL: no mailboxes, no memory (vmail sieve test) */
    const struct store_user *store_user;
    const struct user *user;
    const struct envelope *envelope;
    int home;                      /* -1: there is none yet */
    struct script_cache *scripts;  /* is told what scripts include; NULL: nobody is */
    /* The first question that could not be answered for a reason that time cures: the delivery is
     * deferred then, instead of being filed by a script that saw half the truth. */
    bool failed;
    struct error failure;
};

/* Fills @host with functions that ask @site. */
void sieve_host_fill(struct sieve_host *host, struct sieve_host_site *site);

#endif
