/* What can be asked of a part: where it stands, what its header says, what is in it. */
#include "message.h"

#include "charset.h"
#include "message-internal.h"

#include <string.h>

#include <gmime/gmime.h>

#define READ_SIZE 32768
#define HTML_EXTRA (4u << 20) /* markup that is read beyond the text that is asked for */

static void free_part(struct message_part *part)
{
    if (part->own_headers)
        headers_free(part->headers);
    source_unref(part->source);
    message_params_free(part->type_params);
    message_params_free(part->disposition_params);
    g_free(part->type);
    g_free(part->subtype);
    g_free(part->boundary);
    g_free(part->disposition);
    g_free(part->encoding);
    g_free(part);
}

void message_part_free_tree(struct message_part *root)
{
    struct message_part *part = root;

    while (part != NULL) {
        struct message_part *next;

        if (part->first != NULL) { /* the deepest first, without recursion */
            part = part->first;
            continue;
        }
        next = part->next != NULL ? part->next : part->parent;
        if (part->parent != NULL)
            part->parent->first = part->next;
        free_part(part);
        part = next;
    }
}

/* --- walking -------------------------------------------------------------------------------- */

struct message_part *message_part_parent(const struct message_part *part)
{
    return part->parent;
}

struct message_part *message_part_first_child(const struct message_part *part)
{
    return part->first;
}

struct message_part *message_part_next_sibling(const struct message_part *part)
{
    return part->next;
}

struct message_part *message_part_next(const struct message_part *part,
                                       const struct message_part *root)
{
    if (part->first != NULL)
        return part->first;
    while (part != NULL && part != root) {
        if (part->next != NULL)
            return part->next;
        part = part->parent;
    }
    return NULL;
}

size_t message_part_depth(const struct message_part *part)
{
    return part->depth;
}

/* --- header --------------------------------------------------------------------------------- */

struct headers *message_part_headers(struct message_part *part)
{
    return part->headers;
}

const char *message_part_type(const struct message_part *part)
{
    return part->type;
}

const char *message_part_subtype(const struct message_part *part)
{
    return part->subtype;
}

bool message_part_is(const struct message_part *part, const char *type, const char *subtype)
{
    return g_ascii_strcasecmp(part->type, type) == 0 &&
           g_ascii_strcasecmp(part->subtype, subtype) == 0;
}

/* The parameters begin behind the first ';'. A name that does not occur there is not searched for:
 * starting GMime costs a tenth of a millisecond, and most mail has no file name. */
static const char *param_of(struct message_part *part, const char *field,
                            struct message_params **params, const char *name)
{
    const char *raw = headers_get_raw(part->headers, field);
    const char *semicolon = raw == NULL ? NULL : strchr(raw, ';');

    if (semicolon == NULL || strcasestr(semicolon, name) == NULL)
        return NULL;
    return message_params_get(params, semicolon + 1, name, part->message->limits.charsets);
}

const char *message_part_param(struct message_part *part, const char *name)
{
    return param_of(part, "Content-Type", &part->type_params, name);
}

const char *message_part_disposition_param(struct message_part *part, const char *name)
{
    return param_of(part, "Content-Disposition", &part->disposition_params, name);
}

const char *message_part_disposition(struct message_part *part)
{
    return part->disposition;
}

const char *message_part_filename(struct message_part *part)
{
    const char *name = message_part_disposition_param(part, "filename");

    if (name == NULL || name[0] == '\0')
        name = message_part_param(part, "name");
    return name == NULL || name[0] == '\0' ? NULL : name;
}

const char *message_part_encoding(struct message_part *part)
{
    return part->encoding;
}

off_t message_part_body_size(const struct message_part *part)
{
    return part->body_end - part->body_begin;
}

/* --- attachments ---------------------------------------------------------------------------- */

/* Parts that mail programs do not show as attachments, although they look like some. */
static bool is_signature(const struct message_part *part)
{
    return message_part_is(part, "application", "pgp-signature") ||
           message_part_is(part, "application", "pkcs7-signature") ||
           message_part_is(part, "application", "x-pkcs7-signature") ||
           message_part_is(part, "application", "pgp-encrypted") ||
           message_part_is(part, "application", "pgp-keys");
}

/* A picture or style that the HTML beside it shows. */
static bool is_shown_inside(struct message_part *part)
{
    return part->parent != NULL && message_part_is(part->parent, "multipart", "related") &&
           part->parent->first != part && strcmp(part->type, "message") != 0 &&
           (part->disposition == NULL || strcmp(part->disposition, "inline") == 0);
}

static bool is_attachment(struct message_part *part)
{
    if (strcmp(part->type, "multipart") == 0 || is_signature(part))
        return false;
    if (part->disposition != NULL && strcmp(part->disposition, "attachment") == 0)
        return true;
    if (part->parent != NULL && (message_part_is(part->parent, "multipart", "report") ||
                                 message_part_is(part->parent, "multipart", "encrypted")))
        return false; /* the parts of a bounce, the text of an encrypted message */
    if (is_shown_inside(part))
        return false;
    if (strcmp(part->type, "text") == 0)
        return message_part_filename(part) != NULL;
    return true;
}

bool message_has_attachment(struct message *message, bool *ret_has, struct error *err)
{
    struct message_part *root;
    struct message_part *part;

    if (!message_mime(message, &root, err))
        return false;
    for (part = root; part != NULL; part = message_part_next(part, NULL))
        if (is_attachment(part))
            break;
    *ret_has = part != NULL;
    return true;
}

/* --- content -------------------------------------------------------------------------------- */

bool message_part_raw(struct message_part *part, size_t limit, GBytes **ret_bytes,
                      struct error *err)
{
    return source_read_bytes(part->source, part->body_begin, part->body_end, limit, ret_bytes, err);
}

bool message_part_prologue(struct message_part *part, size_t limit, GBytes **ret_bytes,
                           struct error *err)
{
    off_t end = part->boundary == NULL     ? part->body_begin
                : part->first_boundary < 0 ? part->body_end
                                           : part->first_boundary;

    return source_read_bytes(part->source, part->body_begin, end, limit, ret_bytes, err);
}

bool message_part_epilogue(struct message_part *part, size_t limit, GBytes **ret_bytes,
                           struct error *err)
{
    off_t begin = part->epilogue < 0 ? part->body_end : part->epilogue;

    return source_read_bytes(part->source, begin, part->body_end, limit, ret_bytes, err);
}

bool message_part_outside(struct message_part *part, size_t limit, GBytes **ret_bytes,
                          struct error *err)
{
    g_autoptr(GBytes) before = NULL;
    g_autoptr(GBytes) after = NULL;
    GByteArray *both;

    if (!message_part_prologue(part, limit, &before, err) ||
        !message_part_epilogue(part, limit - g_bytes_get_size(before), &after, err))
        return false;
    both = g_bytes_unref_to_array(g_steal_pointer(&before));
    g_byte_array_append(both, g_bytes_get_data(after, NULL), (guint)g_bytes_get_size(after));
    *ret_bytes = g_byte_array_free_to_bytes(both);
    return true;
}

static GMimeContentEncoding gmime_encoding(const char *name)
{
    if (strcmp(name, "base64") == 0)
        return GMIME_CONTENT_ENCODING_BASE64;
    if (strcmp(name, "quoted-printable") == 0)
        return GMIME_CONTENT_ENCODING_QUOTEDPRINTABLE;
    if (strcmp(name, "x-uuencode") == 0 || strcmp(name, "uuencode") == 0 ||
        strcmp(name, "x-uue") == 0 || strcmp(name, "uue") == 0)
        return GMIME_CONTENT_ENCODING_UUENCODE;
    return GMIME_CONTENT_ENCODING_BINARY;
}

bool message_part_content(struct message_part *part, size_t limit, GBytes **ret_bytes,
                          struct error *err)
{
    GMimeContentEncoding encoding = gmime_encoding(part->encoding);
    g_autofree char *buffer = NULL;
    GMimeFilter *filter;
    GString *content;
    off_t at = part->body_begin;
    bool ok = true;

    if (encoding == GMIME_CONTENT_ENCODING_BINARY || part->boundary != NULL)
        return message_part_raw(part, limit, ret_bytes, err);
    filter = g_mime_filter_basic_new(encoding, FALSE);
    content = g_string_new(NULL);
    buffer = g_malloc(READ_SIZE);
    while (ok && content->len < limit) {
        size_t length = (size_t)MIN((off_t)READ_SIZE, part->body_end - at);
        char *out;
        size_t out_length;
        size_t out_space;

        ok = source_read(part->source, at, buffer, length, err);
        if (!ok)
            break;
        at += (off_t)length;
        g_mime_filter_filter(filter, buffer, length, 0, &out, &out_length, &out_space);
        g_string_append_len(content, out, (gssize)MIN(out_length, limit - content->len));
        if (at < part->body_end)
            continue;
        /* Apart: GMime's complete does not look for uuencode's "begin". */
        g_mime_filter_complete(filter, buffer, 0, 0, &out, &out_length, &out_space);
        g_string_append_len(content, out, (gssize)MIN(out_length, limit - content->len));
        break;
    }
    g_object_unref(filter);
    if (!ok) {
        g_string_free(content, TRUE);
        return false;
    }
    *ret_bytes = g_string_free_to_bytes(content);
    return true;
}

/* CRLF → LF, and not longer than @limit. */
static char *finish_text(char *text, size_t limit)
{
    char *out = text;

    for (const char *in = text; *in != '\0'; in++)
        if (*in != '\r' || in[1] != '\n')
            *out++ = *in;
    *out = '\0';
    text[charset_cut_bytes(text, (size_t)(out - text), limit)] = '\0';
    return text;
}

static bool read_text(struct message_part *part, size_t limit, char **ret_text, struct error *err)
{
    g_autoptr(GBytes) content = NULL;
    const char *charset = NULL;
    gconstpointer data;
    gsize length;

    if (!message_part_content(part, limit, &content, err))
        return false;
    if (strcmp(part->type, "text") == 0)
        charset = message_part_param(part, "charset");
    data = g_bytes_get_data(content, &length);
    *ret_text = charset_to_utf8(data, length, charset, part->message->limits.charsets);
    return true;
}

bool message_part_text_source(struct message_part *part, size_t limit, char **ret_text,
                              struct error *err)
{
    char *text;

    if (!read_text(part, limit, &text, err))
        return false;
    *ret_text = finish_text(text, limit);
    return true;
}

bool message_part_text(struct message_part *part, size_t limit, char **ret_text, struct error *err)
{
    g_autofree char *html = NULL;

    if (!message_part_is(part, "text", "html") &&
        !message_part_is(part, "application", "xhtml+xml"))
        return message_part_text_source(part, limit, ret_text, err);
    if (!read_text(part, limit > SIZE_MAX - HTML_EXTRA ? limit : limit + HTML_EXTRA, &html, err))
        return false;
    *ret_text = finish_text(html_to_text(html), limit);
    return true;
}
