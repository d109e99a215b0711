#include "headers.h"

#include "charset.h"
#include "headers-internal.h"

#include <string.h>

#include <glib.h>

#define NAME_MAX_LENGTH 998 /* of a line, RFC 5322 2.1.1 */

/* --- fields --------------------------------------------------------------------------------- */

static void field_unref(gpointer data)
{
    struct field *field = data;

    if (--field->refs > 0)
        return;
    source_unref(field->source);
    g_free(field->name);
    g_free(field->text);
    g_free(field->raw);
    g_free(field->value);
    g_free(field);
}

/* @text is "Name: value\n"; takes it over. */
static struct field *field_new(char *text, size_t length)
{
    struct field *field = g_new0(struct field, 1);
    const char *colon = memchr(text, ':', length);
    size_t name_length = (size_t)(colon - text);

    field->refs = 1;
    field->text = text;
    field->text_length = length;
    field->value_at = name_length + 1;
    while (name_length > 0 && (text[name_length - 1] == ' ' || text[name_length - 1] == '\t'))
        name_length--;
    field->name = g_strndup(text, name_length);
    return field;
}

struct field *field_new_added(const char *name, const char *text)
{
    char *line = g_strdup_printf("%s: %s\n", name, text);
    struct field *field = field_new(line, strlen(line));

    field->ends_line = true;
    return field;
}

/* Unfolds (RFC 5322 2.2.3): line ends go, the space behind them stays. */
static char *unfold(const char *text, size_t length)
{
    GString *raw = g_string_sized_new(length);

    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n')
            continue;
        if (text[i] == '\r' && (i + 1 == length || text[i + 1] == '\n'))
            continue;
        if (text[i] == '\0')
            g_string_append_c(raw, '?');
        else
            g_string_append_c(raw, text[i] == '\r' ? ' ' : text[i]);
    }
    return g_strstrip(g_string_free(raw, FALSE));
}

static const char *field_raw(struct field *field)
{
    if (field->raw == NULL)
        field->raw = unfold(field->text + field->value_at, field->text_length - field->value_at);
    return field->raw;
}

/* --- lists ---------------------------------------------------------------------------------- */

struct headers *headers_new(const char *const *charsets)
{
    struct headers *headers = g_new0(struct headers, 1);

    headers->fields = g_ptr_array_new_with_free_func(field_unref);
    headers->charsets = charsets;
    return headers;
}

struct headers *headers_copy(const struct headers *headers, const char *const *charsets)
{
    struct headers *copy = headers_new(charsets);

    copy->truncated = headers->truncated;
    for (guint i = 0; i < headers->fields->len; i++) {
        struct field *field = g_ptr_array_index(headers->fields, i);

        field->refs++;
        g_ptr_array_add(copy->fields, field);
    }
    return copy;
}

void headers_free(struct headers *headers)
{
    if (headers == NULL)
        return;
    g_ptr_array_unref(headers->fields);
    g_free(headers);
}

void headers_insert(struct headers *headers, size_t index, struct field *field)
{
    g_ptr_array_insert(headers->fields, (gint)index, field);
}

void headers_remove(struct headers *headers, size_t index)
{
    g_ptr_array_remove_index(headers->fields, (guint)index);
}

size_t headers_count(const struct headers *headers)
{
    return headers->fields->len;
}

static struct field *field_at(const struct headers *headers, size_t index)
{
    g_assert(index < headers->fields->len);
    return g_ptr_array_index(headers->fields, index);
}

const char *headers_name(const struct headers *headers, size_t index)
{
    return field_at(headers, index)->name;
}

const char *headers_raw(struct headers *headers, size_t index)
{
    return field_raw(field_at(headers, index));
}

const char *headers_value(struct headers *headers, size_t index)
{
    struct field *field = field_at(headers, index);

    if (field->value == NULL)
        field->value = g_strstrip(charset_decode_header(field_raw(field), headers->charsets));
    return field->value;
}

size_t headers_find(const struct headers *headers, const char *name, size_t from)
{
    for (size_t i = from; i < headers->fields->len; i++) {
        const char *other = field_at(headers, i)->name;

        /* most differ in the first letter already, case aside */
        if (((other[0] ^ name[0]) & ~0x20) == 0 && g_ascii_strcasecmp(other, name) == 0)
            return i;
    }
    return HEADERS_NONE;
}

const char *headers_get(struct headers *headers, const char *name)
{
    size_t index = headers_find(headers, name, 0);

    return index == HEADERS_NONE ? NULL : headers_value(headers, index);
}

const char *headers_get_raw(struct headers *headers, const char *name)
{
    size_t index = headers_find(headers, name, 0);

    return index == HEADERS_NONE ? NULL : headers_raw(headers, index);
}

size_t headers_count_of(const struct headers *headers, const char *name)
{
    size_t count = 0;

    for (size_t i = headers_find(headers, name, 0); i != HEADERS_NONE;
         i = headers_find(headers, name, i + 1))
        count++;
    return count;
}

bool headers_truncated(const struct headers *headers)
{
    return headers->truncated;
}

/* --- scanning ------------------------------------------------------------------------------- */

void header_scan_init(struct header_scan *scan, struct source *source,
                      const struct header_limits *limits, const char *const *charsets)
{
    memset(scan, 0, sizeof(*scan));
    scan->limits = *limits;
    scan->source = source;
    scan->headers = headers_new(charsets);
    scan->text = g_string_new(NULL);
    scan->rest_begin = -1;
    scan->last_ends_line = true;
}

/* True when the line begins with "name:"; space before the colon is obsolete, but read. */
static bool begins_field(const char *data, size_t length)
{
    size_t at = 0;

    while (at < length && at <= NAME_MAX_LENGTH && data[at] > ' ' && data[at] < 0x7f &&
           data[at] != ':')
        at++;
    if (at == 0)
        return false;
    while (at < length && (data[at] == ' ' || data[at] == '\t'))
        at++;
    return at < length && data[at] == ':';
}

static void end_field(struct header_scan *scan, off_t end)
{
    struct field *field;

    if (!scan->seen_field || scan->rest_begin >= 0)
        return;
    if (scan->used + scan->text->len + FIELD_OVERHEAD > scan->limits.max_bytes ||
        scan->headers->fields->len >= scan->limits.max_fields) {
        scan->headers->truncated = true;
        scan->rest_begin = scan->field_begin;
        return;
    }
    scan->used += scan->text->len + FIELD_OVERHEAD;
    field = field_new(g_memdup2(scan->text->str, scan->text->len + 1), scan->text->len);
    field->source = source_ref(scan->source);
    field->offset = scan->field_begin;
    field->length = end - scan->field_begin;
    field->ends_line = scan->last_ends_line;
    g_ptr_array_add(scan->headers->fields, field);
}

static void add_text(struct header_scan *scan, const struct line *line)
{
    size_t room = scan->limits.max_field_bytes - MIN(scan->text->len, scan->limits.max_field_bytes);

    if (line->length > room)
        scan->headers->truncated = true;
    g_string_append_len(scan->text, line->data, (gssize)MIN(line->length, room));
}

enum header_scan_result header_scan_line(struct header_scan *scan, const struct line *line)
{
    if (line->begins) {
        if (line->ends && line->length == line_end_length(line))
            return HEADER_SCAN_END;
        if (line->data[0] == ' ' || line->data[0] == '\t') {
            if (!scan->seen_field)
                return HEADER_SCAN_NO_HEADER;
        } else if (begins_field(line->data, line->length)) {
            end_field(scan, line->offset);
            scan->seen_field = true;
            scan->in_field = true;
            scan->field_begin = line->offset;
            g_string_truncate(scan->text, 0);
        } else {
            if (!scan->seen_field)
                return HEADER_SCAN_NO_HEADER;
            scan->in_field = false; /* no field and no continuation: passed over, as Dovecot does */
        }
    }
    if (scan->in_field && scan->rest_begin < 0)
        add_text(scan, line);
    scan->last_ends_line = line->data[line->length - 1] == '\n';
    return HEADER_SCAN_MORE;
}

struct headers *header_scan_finish(struct header_scan *scan, off_t end)
{
    struct headers *headers = scan->headers;

    end_field(scan, end);
    g_string_free(scan->text, TRUE);
    memset(scan, 0, offsetof(struct header_scan, rest_begin));
    return headers;
}
