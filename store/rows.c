#include "store/rows.h"

#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "store/db.h"
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

#define INSERT \
    "INSERT INTO email_headers (user_id, subject, sender, recipient, date, is_read, file_is_read, " \
    "mailbox, message_id, file, size, flags, refs, has_attachment, received_at, search_document) " \
    "VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) "

bool rows_queue_insert(struct db *db, const struct row_place *place, const struct header_row *row,
                       struct error *err)
{
    static const char sql[] =
        INSERT
        "ON CONFLICT (user_id, mailbox, file) DO UPDATE SET subject = excluded.subject, "
        "sender = excluded.sender, recipient = excluded.recipient, date = excluded.date, "
        "is_read = excluded.is_read, file_is_read = excluded.file_is_read, "
        "message_id = excluded.message_id, size = excluded.size, flags = excluded.flags, "
        "refs = excluded.refs, has_attachment = excluded.has_attachment, "
        "received_at = excluded.received_at, search_document = excluded.search_document";
    /* As above, but the envelope's recipient stays, and with it the document that holds it. */
    static const char rebuild_sql[] =
        INSERT
        "ON CONFLICT (user_id, mailbox, file) DO UPDATE SET subject = excluded.subject, "
        "sender = excluded.sender, "
        "recipient = coalesce(excluded.recipient, email_headers.recipient), "
        "date = excluded.date, "
        "is_read = excluded.is_read, file_is_read = excluded.file_is_read, "
        "message_id = excluded.message_id, size = excluded.size, flags = excluded.flags, "
        "refs = excluded.refs, has_attachment = excluded.has_attachment, "
        "received_at = coalesce(email_headers.received_at, excluded.received_at), "
        "search_document = CASE WHEN excluded.recipient IS NULL AND "
        "email_headers.recipient IS NOT NULL "
        "THEN coalesce(email_headers.search_document, excluded.search_document) "
        "ELSE excluded.search_document END";
    g_autofree char *subject = NULL, *sender = NULL, *recipient = NULL, *message_id = NULL;
    g_autofree char *refs = NULL, *document = NULL;
    const struct db_value values[] = {
        db_int(place->user_id),
        db_text(store_cut(row->subject, CHARACTERS, &subject)),
        db_text(store_cut(row->sender, CHARACTERS, &sender)),
        db_text(store_cut(row->recipient, CHARACTERS, &recipient)),
        db_time(row->date),
        db_bool(place->is_read),
        db_text(place->mailbox),
        db_text(cut_message_id(row->message_id, &message_id)),
        db_text(place->file),
        db_int(place->size),
        db_text(place->flags == NULL ? "" : place->flags),
        db_text(store_cut(row->refs, SIZE_MAX, &refs)),
        db_bool(row->has_attachment),
        db_time(place->received_at),
        db_text(store_cut(row->search_document, SIZE_MAX, &document)),
    };

    return db_queue(db, place->rebuild ? rebuild_sql : sql, values, G_N_ELEMENTS(values), NULL, NULL, err);
}

bool rows_queue_delete(struct db *db, int64_t user_id, const char *mailbox, const char *file,
                       struct error *err)
{
    const struct db_value values[] = {db_int(user_id), db_text(mailbox), db_text(file)};

    return db_queue(db, "DELETE FROM email_headers WHERE user_id = $1 AND mailbox = $2 AND file = $3",
                    values, G_N_ELEMENTS(values), NULL, NULL, err);
}
