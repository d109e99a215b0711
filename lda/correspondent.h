/* contacts_from_received: who writes to the user goes to the address book. */
#ifndef VMAIL_CORRESPONDENT_H
#define VMAIL_CORRESPONDENT_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct db;
struct message;

/* Counts a use of the message's From address in the user's address book. Not for lists, bulk and
 * automatic mail, and mail without an address. */
bool correspondent_note(struct db *db, int64_t user_id, struct message *message,
                        struct error *err);

#endif
