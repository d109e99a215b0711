/*
 * What a delivery or a rewrite that broke off left in an mbox is brought in order by the next who locks
 * it: the journal says what was going on, the database whether it was committed.
 */
#ifndef VMAIL_STORE_MBOX_RECOVER_H
#define VMAIL_STORE_MBOX_RECOVER_H

#include "lda/base/error.h"

#include <stdbool.h>

struct mbox;
struct store;
struct store_user;

/* Locks the mbox and puts it in order: afterwards no torn entry is in it, and no journal is open. Nothing
 * may be queued or begun on the store's connection. @journal_fd: the mailbox's journal, or -1 where it has
 * none. A message that somebody else wrote behind stays when it is whole: its own retry finds it. */
bool mbox_recover(struct store *store, const struct store_user *user, struct mbox *mbox,
                  int dir, int journal_fd, struct error *err);

/* Opens, locks (waiting at most @timeout_s), recovers and closes one mailbox; all is well where it does not
 * exist. */
bool mbox_recover_mailbox(struct store *store, const struct store_user *user, const char *mailbox,
                          int timeout_s, struct error *err);

/* All mailboxes that the delivery @key (NULL: any) was at. With @timeout_s 0 those that are locked by others
 * are passed over. */
bool mbox_recover_user(struct store *store, const struct store_user *user, const char *key,
                       int timeout_s, struct error *err);

#endif
