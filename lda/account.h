/* Changing virtual_users, whatever columns the table of this site has. */
#ifndef VMAIL_ACCOUNT_H
#define VMAIL_ACCOUNT_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct db;

struct account {
    const char *address;       /* local@domain */
    const char *password_hash; /* as Dovecot reads it, "{SCHEME}…"; NULL: no log-in */
    const char *home;          /* NULL: the default */
    const char *format;        /* "maildir", "mbox"; NULL: the site's */
    int64_t quota_bytes;       /* 0: none */
};

/* Adds the account, and its domain where virtual_domains lacks it. ERROR_USAGE: it exists, its address
 * cannot be one, or the table has no column for what is asked. *@ret_id is its id. */
bool account_add(struct db *db, const struct account *account, int64_t *ret_id,
                 struct error *err);

/* Sets the column enabled (or active). ERROR_USAGE where the table has neither. */
bool account_enable(struct db *db, int64_t id, bool enabled, struct error *err);

#endif
