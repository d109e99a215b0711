/* What a message looks like in email_headers. */
#ifndef VMAIL_ROW_H
#define VMAIL_ROW_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct header_row;
struct message;

/* The row of @message: subject, sender, recipient decoded; @recipient stands in where there is no
 * To field (NULL: none); a missing or absurd Date becomes @when (UTC seconds). Never fails but
 * for reading the file: a message without a header has a row too. Free with row_free. */
bool row_new(struct message *message, const char *recipient, int64_t when,
             struct header_row **ret_row, struct error *err);
void row_free(struct header_row *row);

/* When the topmost Received field says that the message came, or the Date field where there is none
 * (UTC seconds); 0 where they do not. The same on every try of a delivery. */
int64_t row_received_at(struct message *message);

/* The Message-ID without its brackets; a broken one as it stands; NULL without one. g_free. */
char *row_message_id(struct message *message);

/* row_free in the shape of store/sync.h. */
void row_free_made(void *ctx, struct header_row *row);

#endif
