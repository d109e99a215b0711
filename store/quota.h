/*
 * Quota as Maildir++ keeps it: the file `maildirsize`, whose lines add up, shared with Dovecot's
 * "maildir" quota driver.
 *
 * Cheap: one small file is read, one line appended. Exact up to deliveries that run at the same
 * moment. Before mail is refused, the sum is made anew from the files (unless that was done within
 * the last 15 minutes), because users delete mail by ways that do not tell.
 */
#ifndef VMAIL_STORE_QUOTA_H
#define VMAIL_STORE_QUOTA_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct store;
struct store_user;

/* Would @bytes and @count more be too much? ERROR_QUOTA or ERROR_QUOTA_DEFER with a sentence. Users
 * without limits cost nothing. */
bool quota_check(struct store *store, const struct store_user *user, int64_t bytes, int64_t count,
                 struct error *err);

/* They came in. Where there is no maildirsize nothing is done. A failure is for a note: the sum heals. */
bool quota_add(const struct store_user *user, int64_t bytes, int64_t count, struct error *err);

#endif
