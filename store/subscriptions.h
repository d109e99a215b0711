/* The file `subscriptions` in the Maildir's root, as Dovecot reads and writes it (both versions). */
#ifndef VMAIL_STORE_SUBSCRIPTIONS_H
#define VMAIL_STORE_SUBSCRIPTIONS_H

#include "lda/base/error.h"

#include <stdbool.h>

/* Adds the mailboxes (row names, NULL-terminated) that are not in it. */
bool subscriptions_add(int home, const char *const *mailboxes, struct error *err);
/* The same for the file @name in @dir: ".subscriptions" in the folder of mboxes. */
bool subscriptions_add_to(int dir, const char *name, const char *const *mailboxes,
                          struct error *err);

#endif
