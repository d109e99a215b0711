/* Many rows made from files, in as few statements as the database can: PostgreSQL spends more on
 * parsing and planning an INSERT than on the row. */
#ifndef VMAIL_STORE_ROWS_BATCH_H
#define VMAIL_STORE_ROWS_BATCH_H

#include "lda/base/error.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct db;
struct header_row;
struct row_place;
struct rows_batch;

/* @user_id: of all rows. @rebuild: the files have rows, which are made again. They keep what the file
 * cannot say (when it came and, without a To field, to whom), and their flags and is_read, which have been
 * compared already. Without @rebuild a row that is there after all (a delivery was quicker) is given the
 * file's flags. A row that reads the same already is not written. */
struct rows_batch *rows_batch_new(int64_t user_id, bool rebuild);
void rows_batch_free(struct rows_batch *batch); /* takes NULL */

/* Copies the row; one of the same mailbox and file takes its place. */
void rows_batch_add(struct rows_batch *batch, const struct row_place *place,
                    const struct header_row *row);
/* Time to hand it over. */
bool rows_batch_is_full(const struct rows_batch *batch);
guint rows_batch_count(const struct rows_batch *batch);
/* Borrowed, for messages. */
const char *rows_batch_mailbox(const struct rows_batch *batch, guint number);
const char *rows_batch_file(const struct rows_batch *batch, guint number);
bool rows_batch_rebuilds(const struct rows_batch *batch);

/* Queues (db_queue) all rows, or the one; the batch stays as it is. */
bool rows_batch_queue(const struct rows_batch *batch, struct db *db, struct error *err);
bool rows_batch_queue_one(const struct rows_batch *batch, guint number, struct db *db,
                          struct error *err);

#endif
