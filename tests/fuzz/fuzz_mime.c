/* A message asked for everything, edited, and read again. */
#include "fuzz.h"

#include "lda/mail/address.h"
#include "lda/mail/date.h"
#include "lda/mail/message.h"

#include <string.h>

#include <glib.h>

#define PARTS_ASKED 200 /* the rest is the same again */

static void check_text(const char *text)
{
    g_assert(text == NULL || g_utf8_validate(text, -1, NULL));
}

static void ask_headers(struct headers *headers)
{
    for (size_t i = 0; i < headers_count(headers); i++) {
        check_text(headers_value(headers, i));
        g_assert(strpbrk(headers_value(headers, i), "\r\n") == NULL);
        g_assert(message_header_name_is_valid(headers_name(headers, i)) ||
                 strlen(headers_name(headers, i)) > 255);
    }
}

static void ask_part(struct message_part *part)
{
    g_autofree char *text = NULL;
    g_autoptr(GBytes) content = NULL;
    g_autoptr(GBytes) outside = NULL;
    struct error err;

    ask_headers(message_part_headers(part));
    check_text(message_part_filename(part));
    check_text(message_part_param(part, "charset"));
    check_text(message_part_disposition_param(part, "size"));
    g_assert(message_part_body_size(part) >= 0);
    g_assert(message_part_text(part, 10000, &text, &err));
    check_text(text);
    g_assert(message_part_content(part, 100, &content, &err));
    g_assert(g_bytes_get_size(content) <= 100);
    g_assert(message_part_outside(part, 100, &outside, &err));
}

static void ask_message(struct message *message)
{
    struct message_part *root;
    struct error err;
    size_t parts = 0;
    bool has;

    ask_headers(message_headers(message));
    g_assert(message_mime(message, &root, &err));
    for (struct message_part *part = root; part != NULL && parts < PARTS_ASKED;
         part = message_part_next(part, NULL), parts++)
        ask_part(part);
    g_assert(message_has_attachment(message, &has, &err));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct message_options options = {.max_parts = 500, .max_depth = 20, .max_fields = 200};
    AUTO_MESSAGE message = message_open_bytes(data, size, &options);
    AUTO_MESSAGE copy = message_copy(message);
    struct message_part *root;
    struct error err;
    off_t body = message_body_size(message);

    ask_message(message);
    if (headers_count(message_headers(message)) > 0)
        message_delete_header(message, 0);
    message_add_header(message, "X-Test", "안녕", true);
    g_assert(message_body_size(message) == body);
    g_assert(message_mime(message, &root, &err));
    if (message_part_first_child(root) != NULL)
        message_replace_part(message, message_part_first_child(root), "A: b\n\nnew", 9);
    ask_message(message);
    g_assert(message_enclose(message, "text", &err));
    ask_message(message);
    g_assert(!message_is_edited(copy));
    message_set_entity(copy, data, size);
    ask_message(copy);
    return 0;
}
