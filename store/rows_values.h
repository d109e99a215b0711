/* The columns of a row as values, cut to what the table holds. */
#ifndef VMAIL_STORE_ROWS_VALUES_H
#define VMAIL_STORE_ROWS_VALUES_H

#include "store/db.h"

struct header_row;
struct row_place;

/* In the order of ROWS_COLUMNS; is_read stands for file_is_read as well. */
enum rows_column {
    ROWS_USER_ID, ROWS_SUBJECT, ROWS_SENDER, ROWS_RECIPIENT, ROWS_DATE, ROWS_IS_READ, ROWS_MAILBOX,
    ROWS_MESSAGE_ID, ROWS_FILE, ROWS_SIZE, ROWS_FLAGS, ROWS_REFS, ROWS_HAS_ATTACHMENT,
    ROWS_RECEIVED_AT, ROWS_DOCUMENT, ROWS_COLUMN_COUNT
};

#define ROWS_COLUMNS \
    "user_id, subject, sender, recipient, date, is_read, file_is_read, mailbox, message_id, file, " \
    "size, flags, refs, has_attachment, received_at, search_document"
/* One row: $1 … $15. */
#define ROWS_PARAMETERS "$1, $2, $3, $4, $5, $6, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15"

struct rows_values {
    struct db_value values[ROWS_COLUMN_COUNT];
    char *memory[6]; /* what had to be cut */
};

/* Borrows from @place and @row. */
void rows_values_fill(struct rows_values *filled, const struct row_place *place,
                      const struct header_row *row);
void rows_values_clear(struct rows_values *filled);

#endif
