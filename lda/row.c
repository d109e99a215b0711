#include "lda/row.h"

#include <string.h>

#include <glib.h>

#include "lda/mail/date.h"
#include "lda/mail/message.h"
#include "store/search_text.h"
#include "store/store.h"

#define REFERENCES_MAX 200 /* ids kept of a thread: the first one and the last ones */

/* All fields of one name, decoded, joined by ", ". NULL without one. */
static char *joined(struct headers *headers, const char *name)
{
    GString *text = NULL;

    for (size_t i = headers_find(headers, name, 0); i != HEADERS_NONE;
         i = headers_find(headers, name, i + 1)) {
        if (text == NULL)
            text = g_string_new(NULL);
        else
            g_string_append(text, ", ");
        g_string_append(text, headers_value(headers, i));
        if (text->len > SEARCH_FIELD_MAX * 2)
            break;
    }
    return text == NULL ? NULL : g_string_free(text, FALSE);
}

/* Adds the <ids> of @text to @ids, without the brackets. */
static void add_ids(GPtrArray *ids, const char *text)
{
    const char *open;

    while (text != NULL && (open = strchr(text, '<')) != NULL) {
        const char *close = strpbrk(open + 1, "<> \t");

        if (close == NULL)
            return;
        if (*close == '>' && close > open + 1) {
            g_autofree char *id = g_strndup(open + 1, (gsize)(close - open - 1));

            if (!g_ptr_array_find_with_equal_func(ids, id, g_str_equal, NULL)) {
                if (ids->len == REFERENCES_MAX)
                    g_ptr_array_remove_index(ids, 1);
                g_ptr_array_add(ids, g_steal_pointer(&id));
            }
        }
        text = close;
    }
}

char *row_message_id(struct message *message)
{
    struct headers *headers = message_headers(message);
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    const char *value = headers_get(headers, "Message-ID");

    add_ids(ids, value);
    if (ids->len > 0)
        return g_strdup(ids->pdata[0]);
    return value != NULL && value[0] != '\0' ? g_strdup(value) : NULL; /* broken, still a name */
}

static char *references(struct headers *headers)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);

    add_ids(ids, headers_get(headers, "References"));
    add_ids(ids, headers_get(headers, "In-Reply-To"));
    if (ids->len == 0)
        return NULL;
    g_ptr_array_add(ids, NULL);
    return g_strjoinv(" ", (char **)ids->pdata);
}

static int64_t date_of(struct headers *headers, int64_t when)
{
    const char *text = headers_get_raw(headers, "Date");
    struct mail_date date;

    if (text == NULL || !date_parse(text, &date) || date_is_absurd(date.utc, when))
        return when;
    return date.utc;
}

int64_t row_received_at(struct message *message)
{
    const char *received = headers_get_raw(message_headers(message), "Received");
    const char *semicolon = received == NULL ? NULL : strrchr(received, ';');
    const char *text = semicolon != NULL ? semicolon + 1
                                         : headers_get_raw(message_headers(message), "Date");
    struct mail_date date;

    return text != NULL && date_parse(text, &date) ? date.utc : 0;
}

bool row_new(struct message *message, const char *recipient, int64_t when,
             struct header_row **ret_row, struct error *err)
{
    struct headers *headers = message_headers(message);
    bool has_attachment;

    if (!message_has_attachment(message, &has_attachment, err))
        return false;
    struct header_row *row = g_new0(struct header_row, 1);
    g_autofree char *to = joined(headers, "To");
    g_autofree char *cc = joined(headers, "Cc");
    g_autofree char *bcc = joined(headers, "Bcc");
    g_autofree char *copies = bcc == NULL ? g_strdup(cc)
                                          : g_strconcat(cc == NULL ? "" : cc, ", ", bcc, NULL);
    row->subject = g_strdup(headers_get(headers, "Subject"));
    row->sender = joined(headers, "From");
    if (row->sender == NULL)
        row->sender = g_strdup(headers_get(headers, "Sender"));
    row->recipient = g_strdup(to != NULL && to[0] != '\0' ? to : recipient);
    row->date = date_of(headers, when);
    row->message_id = row_message_id(message);
    row->refs = references(headers);
    row->has_attachment = has_attachment;
    row->search_document = search_document_new(row->subject, row->sender, row->recipient, copies,
                                               headers_get(headers, "List-Id"));
    *ret_row = row;
    return true;
}

void row_free(struct header_row *row)
{
    if (row == NULL)
        return;
    /* const for the store, which only reads them; made by row_new */
    g_free((char *)row->subject);
    g_free((char *)row->sender);
    g_free((char *)row->recipient);
    g_free((char *)row->message_id);
    g_free((char *)row->refs);
    g_free((char *)row->search_document);
    g_free(row);
}

void row_free_made(void *ctx, struct header_row *row)
{
    (void)ctx;
    row_free(row);
}
