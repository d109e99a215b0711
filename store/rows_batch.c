#include "store/rows_batch.h"

#include <string.h>

#include "store/db.h"
#include "store/rows.h"
#include "store/rows_values.h"

/* Rows of a batch, and bytes of text: a transaction's length, and what is held in memory. */
#define ROWS_MAX 500
#define BYTES_MAX (2 * 1024 * 1024)

struct batch_row {
    struct db_value values[ROWS_COLUMN_COUNT]; /* text is the row's own */
    char *place;                               /* the key in rows_batch.places */
};

struct rows_batch {
    int64_t user_id;
    bool rebuild;
    size_t bytes;
    GPtrArray *rows;    /* of struct batch_row */
    GHashTable *places; /* "mailbox/file" → number + 1 */
};

static void batch_row_free(gpointer data)
{
    struct batch_row *row = data;

    for (size_t i = 0; i < ROWS_COLUMN_COUNT; i++)
        if (row->values[i].type == DB_TEXT)
            g_free((char *)row->values[i].text);
    g_free(row->place);
    g_free(row);
}

struct rows_batch *rows_batch_new(int64_t user_id, bool rebuild)
{
    struct rows_batch *batch = g_new0(struct rows_batch, 1);

    batch->user_id = user_id;
    batch->rebuild = rebuild;
    batch->rows = g_ptr_array_new_with_free_func(batch_row_free);
    batch->places = g_hash_table_new(g_str_hash, g_str_equal);
    return batch;
}

void rows_batch_free(struct rows_batch *batch)
{
    if (!batch)
        return;
    g_hash_table_unref(batch->places);
    g_ptr_array_unref(batch->rows);
    g_free(batch);
}

void rows_batch_add(struct rows_batch *batch, const struct row_place *place,
                    const struct header_row *header)
{
    struct batch_row *row = g_new0(struct batch_row, 1);
    struct rows_values filled;
    guint number;

    rows_values_fill(&filled, place, header);
    for (size_t i = 0; i < ROWS_COLUMN_COUNT; i++) {
        row->values[i] = filled.values[i];
        if (row->values[i].type == DB_TEXT) {
            row->values[i].text = g_strdup(row->values[i].text);
            batch->bytes += strlen(row->values[i].text);
        }
    }
    rows_values_clear(&filled);
    row->place = g_strdup_printf("%s/%s", place->mailbox, place->file);
    /* ON CONFLICT DO UPDATE refuses to meet a row twice in one statement */
    number = GPOINTER_TO_UINT(g_hash_table_lookup(batch->places, row->place));
    if (number == 0) {
        g_ptr_array_add(batch->rows, row);
        number = batch->rows->len;
    } else {
        g_hash_table_remove(batch->places, row->place);
        batch_row_free(batch->rows->pdata[number - 1]);
        batch->rows->pdata[number - 1] = row;
    }
    g_hash_table_insert(batch->places, row->place, GUINT_TO_POINTER(number));
}

bool rows_batch_is_full(const struct rows_batch *batch)
{
    return batch->rows->len >= ROWS_MAX || batch->bytes >= BYTES_MAX;
}

guint rows_batch_count(const struct rows_batch *batch)
{
    return batch->rows->len;
}

bool rows_batch_rebuilds(const struct rows_batch *batch)
{
    return batch->rebuild;
}

static const char *text_of(const struct rows_batch *batch, guint number, enum rows_column column)
{
    return ((const struct batch_row *)batch->rows->pdata[number])->values[column].text;
}

const char *rows_batch_mailbox(const struct rows_batch *batch, guint number)
{
    return text_of(batch, number, ROWS_MAILBOX);
}

const char *rows_batch_file(const struct rows_batch *batch, guint number)
{
    return text_of(batch, number, ROWS_FILE);
}

/* ------------------------------------------------------------------ statements */

/* The envelope's recipient stays where the file names none, and with it the document that holds it. */
#define RECIPIENT "coalesce(excluded.recipient, email_headers.recipient)"
#define RECEIVED_AT "coalesce(email_headers.received_at, excluded.received_at)"
#define DOCUMENT \
    "CASE WHEN excluded.recipient IS NULL AND email_headers.recipient IS NOT NULL " \
    "THEN coalesce(email_headers.search_document, excluded.search_document) " \
    "ELSE excluded.search_document END"

#define CONFLICT(more_columns) \
    " ON CONFLICT (user_id, mailbox, file) DO UPDATE SET subject = excluded.subject, " \
    "sender = excluded.sender, recipient = " RECIPIENT ", date = excluded.date, " \
    "message_id = excluded.message_id, size = excluded.size, refs = excluded.refs, " \
    "has_attachment = excluded.has_attachment, received_at = " RECEIVED_AT ", " \
    "search_document = " DOCUMENT more_columns " WHERE "

#define FLAGS \
    ", is_read = excluded.is_read, file_is_read = excluded.file_is_read, flags = excluded.flags"

/* The row reads otherwise. */
#define DIFFERS(is_not, of_flags, own_flags) \
    "(email_headers.subject, email_headers.sender, email_headers.recipient, email_headers.date, " \
    "email_headers.message_id, email_headers.size, email_headers.refs, " \
    "email_headers.has_attachment, email_headers.received_at, " \
    "email_headers.search_document" own_flags ") " is_not \
    " (excluded.subject, excluded.sender, " RECIPIENT ", excluded.date, excluded.message_id, " \
    "excluded.size, excluded.refs, excluded.has_attachment, " RECEIVED_AT ", " \
    DOCUMENT of_flags ")"
#define DIFFERS_WITH_FLAGS(is_not) \
    DIFFERS(is_not, ", excluded.is_read, excluded.file_is_read, excluded.flags", \
            ", email_headers.is_read, email_headers.file_is_read, email_headers.flags")

#define ONE "INSERT INTO email_headers (" ROWS_COLUMNS ") VALUES (" ROWS_PARAMETERS ")"
/* The user's id, then an array for each column. */
#define MANY \
    "INSERT INTO email_headers (" ROWS_COLUMNS ") " \
    "SELECT $1, subject, sender, recipient, date, is_read, is_read, mailbox, message_id, file, " \
    "size, flags, refs, has_attachment, received_at, search_document " \
    "FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamp[], $6::boolean[], $7::text[], " \
    "$8::text[], $9::text[], $10::bigint[], $11::text[], $12::text[], $13::boolean[], " \
    "$14::timestamp[], $15::text[]) AS batch (subject, sender, recipient, date, is_read, mailbox, " \
    "message_id, file, size, flags, refs, has_attachment, received_at, search_document)"

#define SQLITE_IS_NOT "IS NOT"
#define PGSQL_IS_NOT "IS DISTINCT FROM"

static const char sqlite_new[] = ONE CONFLICT(FLAGS) DIFFERS_WITH_FLAGS(SQLITE_IS_NOT);
static const char sqlite_again[] = ONE CONFLICT("") DIFFERS(SQLITE_IS_NOT, "", "");
static const char pgsql_new[] = MANY CONFLICT(FLAGS) DIFFERS_WITH_FLAGS(PGSQL_IS_NOT);
static const char pgsql_again[] = MANY CONFLICT("") DIFFERS(PGSQL_IS_NOT, "", "");

/* @count rows from @first on in one statement. */
static bool queue_pgsql(const struct rows_batch *batch, guint first, guint count, struct db *db,
                        struct error *err)
{
    struct db_value values[ROWS_COLUMN_COUNT] = {db_int(batch->user_id)};
    g_autofree struct db_value *items = g_new(struct db_value, (gsize)count * ROWS_COLUMN_COUNT);

    for (guint column = 1; column < ROWS_COLUMN_COUNT; column++) {
        struct db_value *array = items + (gsize)column * count;

        for (guint i = 0; i < count; i++)
            array[i] = ((const struct batch_row *)batch->rows->pdata[first + i])->values[column];
        values[column] = db_array(array, count);
    }
    return db_queue(db, batch->rebuild ? pgsql_again : pgsql_new, values, ROWS_COLUMN_COUNT, NULL,
                    NULL, err);
}

bool rows_batch_queue_one(const struct rows_batch *batch, guint number, struct db *db,
                          struct error *err)
{
    const struct batch_row *row = batch->rows->pdata[number];

    if (db_kind(db) == DB_PGSQL)
        return queue_pgsql(batch, number, 1, db, err);
    return db_queue(db, batch->rebuild ? sqlite_again : sqlite_new, row->values, ROWS_COLUMN_COUNT,
                    NULL, NULL, err);
}

bool rows_batch_queue(const struct rows_batch *batch, struct db *db, struct error *err)
{
    if (db_kind(db) == DB_PGSQL)
        return batch->rows->len == 0 || queue_pgsql(batch, 0, batch->rows->len, db, err);
    for (guint i = 0; i < batch->rows->len; i++)
        if (!rows_batch_queue_one(batch, i, db, err))
            return false;
    return true;
}
