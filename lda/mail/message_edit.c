/* Edits: kept as a changed list of fields and another body source; the original stays as it is. */
#include "message.h"

#include "charset.h"
#include "message-internal.h"

#include <string.h>

#define LINE_MAX_8BIT 900 /* RFC 5322 2.1.1 allows 998; a longer line of text wants base64 */
#define HASH_BUFFER 65536

/* --- the message as it is now --------------------------------------------------------------- */

static const char *line_end(const struct message *message)
{
    return message->crlf ? "\r\n" : "\n";
}

/* LF text with the line ends of the message. */
static void add_lines(const struct message *message, struct source_builder *builder,
                      const char *text)
{
    for (;;) {
        size_t length = strcspn(text, "\n");

        source_builder_add(builder, text, length);
        if (text[length] == '\0')
            return;
        source_builder_add_string(builder, line_end(message));
        text += length + 1;
    }
}

/* Header with its empty line. */
static void add_header(const struct message *message, struct source_builder *builder)
{
    bool ends_line = true;

    for (guint i = 0; i < message->headers->fields->len; i++) {
        const struct field *field = g_ptr_array_index(message->headers->fields, i);

        if (!ends_line)
            source_builder_add_string(builder, line_end(message));
        ends_line = field->ends_line;
        if (field->source != NULL)
            source_builder_add_range(builder, field->source, field->offset,
                                     field->offset + field->length);
        else
            add_lines(message, builder, field->text);
    }
    if (message->rest_begin >= 0) {
        if (!ends_line)
            source_builder_add_string(builder, line_end(message));
        source_builder_add_range(builder, message->source, message->rest_begin, message->rest_end);
        ends_line = message->rest_ends_line;
    }
    if (!ends_line)
        source_builder_add_string(builder, line_end(message));
    source_builder_add_string(builder, line_end(message));
}

struct source *message_flatten(const struct message *message)
{
    struct source_builder *builder = source_builder_new();

    if (!message_is_edited(message)) {
        source_builder_add_range(builder, message->source, message->header_begin,
                                 source_size(message->source));
        return source_builder_finish(builder);
    }
    add_header(message, builder);
    source_builder_add_range(builder, message->body_source, message->body_begin, message->body_end);
    return source_builder_finish(builder);
}

bool message_is_edited(const struct message *message)
{
    return message->header_edited || message->content_edited;
}

bool message_write(struct message *message, int fd, struct error *err)
{
    struct source *all = message_flatten(message);
    bool ok = source_write(all, 0, source_size(all), fd, err);

    source_unref(all);
    return ok;
}

/* Bare LFs of the source, each a CRLF on the wire. */
static bool count_bare_lf(const struct source *source, off_t *ret_count, struct error *err)
{
    g_autofree char *buffer = g_malloc(HASH_BUFFER);
    off_t count = 0;
    char before = '\0';

    for (off_t at = 0; at < source_size(source);) {
        size_t length = (size_t)MIN((off_t)HASH_BUFFER, source_size(source) - at);

        if (!source_read(source, at, buffer, length, err))
            return false;
        for (const char *p = memchr(buffer, '\n', length); p != NULL;
             p = memchr(p + 1, '\n', length - (size_t)(p + 1 - buffer)))
            count += (p > buffer ? p[-1] : before) != '\r';
        before = buffer[length - 1];
        at += (off_t)length;
    }
    *ret_count = count;
    return true;
}

bool message_size_crlf(struct message *message, off_t *ret_size, struct error *err)
{
    struct source *all = message_flatten(message);
    off_t count = 0;
    bool ok = count_bare_lf(all, &count, err);

    if (ok)
        *ret_size = source_size(all) + count;
    source_unref(all);
    return ok;
}

bool message_header_bytes(struct message *message, size_t limit, GBytes **ret_bytes,
                          struct error *err)
{
    struct source_builder *builder = source_builder_new();
    struct source *header;
    bool ok;

    add_header(message, builder);
    header = source_builder_finish(builder);
    ok = source_read_bytes(header, 0, source_size(header), limit, ret_bytes, err);
    source_unref(header);
    return ok;
}

/* --- header --------------------------------------------------------------------------------- */

bool message_header_name_is_valid(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length > 255)
        return false;
    for (const char *at = name; *at != '\0'; at++)
        if (*at <= ' ' || *at >= 0x7f || *at == ':')
            return false;
    return true;
}

/* @text is ready for the wire. */
static void insert_field(struct message *message, size_t index, const char *name, const char *text)
{
    headers_insert(message->headers, index, field_new_added(name, text));
    message->header_edited = true;
}

void message_add_header(struct message *message, const char *name, const char *value, bool last)
{
    g_autofree char *text = charset_encode_header(value, strlen(name) + 2);

    g_return_if_fail(message_header_name_is_valid(name));
    insert_field(message, last ? headers_count(message->headers) : 0, name, text);
}

void message_delete_header(struct message *message, size_t index)
{
    g_return_if_fail(index < headers_count(message->headers));
    headers_remove(message->headers, index);
    message->header_edited = true;
}

/* --- content -------------------------------------------------------------------------------- */

/* The tree no longer tells of the message; its parts stay readable. */
static void make_stale(struct message *message)
{
    if (message->root != NULL)
        g_ptr_array_add(message->stale, message->root);
    message->root = NULL;
    message->mime_truncated = false;
}

/* Takes the caller's count of @source. */
static void set_body(struct message *message, struct source *source, off_t begin, off_t end)
{
    make_stale(message);
    source_unref(message->body_source);
    message->body_source = source;
    message->body_begin = begin;
    message->body_end = end;
    message->content_edited = true;
}

static bool is_content_field(const char *name)
{
    return g_ascii_strncasecmp(name, "Content-", 8) == 0;
}

static void remove_content_fields(struct message *message)
{
    for (size_t i = headers_count(message->headers); i > 0; i--)
        if (is_content_field(headers_name(message->headers, i - 1)))
            headers_remove(message->headers, i - 1);
    message->header_edited = true;
}

static void add_mime_version(struct message *message)
{
    if (headers_find(message->headers, "MIME-Version", 0) == HEADERS_NONE)
        insert_field(message, headers_count(message->headers), "MIME-Version", "1.0");
}

static char *one_line(const char *value)
{
    char *line = g_strdup(value);

    for (char *at = line; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            *at = ' ';
    return line;
}

static void add_plain_field(struct message *message, const char *name, const char *value)
{
    g_autofree char *line = one_line(value);

    insert_field(message, headers_count(message->headers), name, line);
}

void message_set_content(struct message *message, const char *content_type,
                         const char *transfer_encoding, const void *body, size_t length)
{
    remove_content_fields(message);
    add_mime_version(message);
    add_plain_field(message, "Content-Type", content_type);
    if (transfer_encoding != NULL)
        add_plain_field(message, "Content-Transfer-Encoding", transfer_encoding);
    set_body(message, source_new_bytes(body, length), 0, (off_t)length);
}

void message_set_entity(struct message *message, const void *entity, size_t length)
{
    AUTO_MESSAGE parsed = message_open_bytes(entity, length, &message->limits);

    remove_content_fields(message);
    add_mime_version(message);
    for (guint i = 0; i < parsed->headers->fields->len; i++) {
        struct field *field = g_ptr_array_index(parsed->headers->fields, i);

        if (!is_content_field(field->name))
            continue;
        field->refs++;
        headers_insert(message->headers, headers_count(message->headers), field);
    }
    set_body(message, source_ref(parsed->body_source), parsed->body_begin, parsed->body_end);
}

void message_replace_part(struct message *message, struct message_part *part, const void *entity,
                          size_t length)
{
    struct source_builder *builder;
    struct source *body;

    if (part->parent == NULL) {
        message_set_entity(message, entity, length);
        return;
    }
    builder = source_builder_new();
    source_builder_add_range(builder, message->body_source, message->body_begin,
                             part->entity_begin);
    source_builder_add(builder, entity, length);
    source_builder_add_range(builder, message->body_source, part->body_end, message->body_end);
    body = source_builder_finish(builder);
    set_body(message, body, 0, source_size(body));
}

/* --- enclose -------------------------------------------------------------------------------- */

/* A boundary made of the digest of all that it must not occur in: who could put it there would have
 * to know the digest of his own message. */
static bool make_boundary(const struct source *source, const char *text, char **ret_boundary,
                          struct error *err)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree char *buffer = g_malloc(HASH_BUFFER);

    g_checksum_update(checksum, (const guchar *)text, (gssize)strlen(text));
    for (off_t at = 0; at < source_size(source);) {
        size_t length = (size_t)MIN((off_t)HASH_BUFFER, source_size(source) - at);

        if (!source_read(source, at, buffer, length, err))
            return false;
        g_checksum_update(checksum, (const guchar *)buffer, (gssize)length);
        at += (off_t)length;
    }
    *ret_boundary = g_strdup_printf("=_%.48s", g_checksum_get_string(checksum));
    return true;
}

static bool lines_are_short(const char *text)
{
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");

        if (length > LINE_MAX_8BIT)
            return false;
        text += length + (text[length] == '\n');
    }
    return true;
}

/* The text/plain part: header, empty line, body without its last line end. */
static char *text_entity(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *entity = g_string_new("Content-Type: text/plain; charset=utf-8\n");

    if (lines_are_short(valid)) {
        g_string_append_printf(entity, "Content-Transfer-Encoding: %s\n\n",
                               g_str_is_ascii(valid) ? "7bit" : "8bit");
        for (const char *at = valid; *at != '\0'; at++)
            if (*at != '\r')
                g_string_append_c(entity, *at);
    } else {
        g_autofree char *base64 = g_base64_encode((const guchar *)valid, strlen(valid));

        g_string_append(entity, "Content-Transfer-Encoding: base64\n\n");
        for (size_t at = 0; base64[at] != '\0'; at += strnlen(base64 + at, 76))
            g_string_append_printf(entity, "%.76s\n", base64 + at);
    }
    if (entity->str[entity->len - 1] == '\n')
        g_string_truncate(entity, entity->len - 1);
    return g_string_free(entity, FALSE);
}

bool message_enclose(struct message *message, const char *text, struct error *err)
{
    struct source *original = message_flatten(message);
    g_autofree char *boundary = NULL;
    g_autofree char *type = NULL;
    g_autofree char *entity = NULL;
    g_autofree char *head = NULL;
    g_autofree char *tail = NULL;
    struct source_builder *builder;
    struct source *body;

    if (!make_boundary(original, text, &boundary, err)) {
        source_unref(original);
        return false;
    }
    entity = text_entity(text);
    head = g_strdup_printf("--%s\n%s\n--%s\nContent-Type: message/rfc822\n\n", boundary, entity,
                           boundary);
    tail = g_strdup_printf("\n--%s--\n", boundary);
    builder = source_builder_new();
    add_lines(message, builder, head);
    source_builder_add_range(builder, original, 0, source_size(original));
    add_lines(message, builder, tail);
    source_unref(original);

    remove_content_fields(message);
    add_mime_version(message);
    type = g_strdup_printf("multipart/mixed; boundary=\"%s\"", boundary);
    add_plain_field(message, "Content-Type", type);
    body = source_builder_finish(builder);
    set_body(message, body, 0, source_size(body));
    return true;
}
