#include "store/rows.h"

#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "store/rows_values.h"
#include "store/store-internal.h"

/* In characters, as VARCHAR(n) counts. */
#define CHARACTERS 255
#define MESSAGE_ID_CHARACTERS 1024
/* An entry of a PostgreSQL index holds 2704 bytes, and what a sender makes up need not compress. */
#define MESSAGE_ID_BYTES 2048

/* An index stands on it: cut in bytes as well. */
static const char *cut_message_id(const char *text, char **ret_memory)
{
    const char *cut = store_cut(text, MESSAGE_ID_CHARACTERS, ret_memory);

    if (cut == NULL || strlen(cut) <= MESSAGE_ID_BYTES)
        return cut;

    const char *end = g_utf8_find_prev_char(cut, cut + MESSAGE_ID_BYTES + 1);
    char *shorter = g_strndup(cut, (gsize)(end - cut));

    g_free(*ret_memory);
    *ret_memory = shorter;
    return shorter;
}

void rows_values_fill(struct rows_values *filled, const struct row_place *place,
                      const struct header_row *row)
{
    char **memory = filled->memory;

    memset(filled, 0, sizeof *filled);
    filled->values[ROWS_USER_ID] = db_int(place->user_id);
    filled->values[ROWS_SUBJECT] = db_text(store_cut(row->subject, CHARACTERS, &memory[0]));
    filled->values[ROWS_SENDER] = db_text(store_cut(row->sender, CHARACTERS, &memory[1]));
    filled->values[ROWS_RECIPIENT] = db_text(store_cut(row->recipient, CHARACTERS, &memory[2]));
    filled->values[ROWS_DATE] = db_time(row->date);
    filled->values[ROWS_IS_READ] = db_bool(place->is_read);
    filled->values[ROWS_MAILBOX] = db_text(place->mailbox);
    filled->values[ROWS_MESSAGE_ID] = db_text(cut_message_id(row->message_id, &memory[3]));
    filled->values[ROWS_FILE] = db_text(place->file);
    filled->values[ROWS_SIZE] = db_int(place->size);
    filled->values[ROWS_FLAGS] = db_text(place->flags == NULL ? "" : place->flags);
    filled->values[ROWS_REFS] = db_text(store_cut(row->refs, SIZE_MAX, &memory[4]));
    filled->values[ROWS_HAS_ATTACHMENT] = db_bool(row->has_attachment);
    filled->values[ROWS_RECEIVED_AT] = db_time(place->received_at);
    filled->values[ROWS_DOCUMENT] = db_text(store_cut(row->search_document, SIZE_MAX, &memory[5]));
}

void rows_values_clear(struct rows_values *filled)
{
    for (size_t i = 0; i < G_N_ELEMENTS(filled->memory); i++)
        g_clear_pointer(&filled->memory[i], g_free);
}

bool rows_queue_insert(struct db *db, const struct row_place *place, const struct header_row *row,
                       struct error *err)
{
    static const char sql[] =
        "INSERT INTO email_headers (" ROWS_COLUMNS ") VALUES (" ROWS_PARAMETERS ") "
        "ON CONFLICT (user_id, mailbox, file) DO UPDATE SET subject = excluded.subject, "
        "sender = excluded.sender, recipient = excluded.recipient, date = excluded.date, "
        "is_read = excluded.is_read, file_is_read = excluded.file_is_read, "
        "message_id = excluded.message_id, size = excluded.size, flags = excluded.flags, "
        "refs = excluded.refs, has_attachment = excluded.has_attachment, "
        "received_at = excluded.received_at, search_document = excluded.search_document";
    struct rows_values filled;
    bool queued;

    rows_values_fill(&filled, place, row);
    queued = db_queue(db, sql, filled.values, ROWS_COLUMN_COUNT, NULL, NULL, err);
    rows_values_clear(&filled);
    return queued;
}

bool rows_queue_delete(struct db *db, int64_t user_id, const char *mailbox, const char *file,
                       struct error *err)
{
    const struct db_value values[] = {db_int(user_id), db_text(mailbox), db_text(file)};

    return db_queue(db, "DELETE FROM email_headers WHERE user_id = $1 AND mailbox = $2 AND file = $3",
                    values, G_N_ELEMENTS(values), NULL, NULL, err);
}
