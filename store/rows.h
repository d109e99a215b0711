/* Rows of email_headers: written by deliveries, and by sync and reindex. */
#ifndef VMAIL_STORE_ROWS_H
#define VMAIL_STORE_ROWS_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct db;
struct header_row;

/* Where the message lies: what the store knows of a row. */
struct row_place {
    int64_t user_id;
    const char *mailbox;     /* canonical */
    const char *file;        /* base name without flags */
    int64_t size;
    bool is_read;
    const char *flags;       /* "\\Answered \\Flagged $label1", without \\Seen; NULL: none */
    int64_t received_at;     /* UTC seconds */
};

/* Queues (db_queue) the insertion. A row of the same user, mailbox and file is written over: a
 * delivery and a sync that meet make one row. */
bool rows_queue_insert(struct db *db, const struct row_place *place, const struct header_row *row,
                       struct error *err);
/* Queues the removal of the row, where there is one. */
bool rows_queue_delete(struct db *db, int64_t user_id, const char *mailbox, const char *file,
                       struct error *err);

#endif
