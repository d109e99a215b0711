#include "message.h"

#include "charset.h"
#include "message-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct message_options defaults = {
    .max_header_bytes = 1 << 20,
    .max_fields = 10000,
    .max_field_bytes = 256 << 10,
    .max_part_header_bytes = 64 << 10,
    .max_parts = 10000,
    .max_depth = 100,
};

static size_t choose(size_t given, size_t fallback)
{
    return given == 0 ? fallback : given;
}

static void copy_options(struct message *message, const struct message_options *options)
{
    static const struct message_options none;
    const struct message_options *o = options == NULL ? &none : options;
    struct message_options *limits = &message->limits;

    limits->max_header_bytes = choose(o->max_header_bytes, defaults.max_header_bytes);
    limits->max_fields = choose(o->max_fields, defaults.max_fields);
    limits->max_field_bytes = choose(o->max_field_bytes, defaults.max_field_bytes);
    limits->max_part_header_bytes =
        choose(o->max_part_header_bytes, defaults.max_part_header_bytes);
    limits->max_parts = choose(o->max_parts, defaults.max_parts);
    limits->max_depth = choose(o->max_depth, defaults.max_depth);
    message->own_charsets =
        g_strdupv((char **)(o->charsets == NULL ? charset_default_fallbacks : o->charsets));
    limits->charsets = (const char *const *)message->own_charsets;
}

static bool is_mbox_line(const struct line *line)
{
    return line->length >= 5 && memcmp(line->data, "From ", 5) == 0;
}

/* Reads the header; the message has its source and options. */
static bool read_header(struct message *message, struct error *err)
{
    const struct header_limits limits = {message->limits.max_header_bytes,
                                         message->limits.max_fields,
                                         message->limits.max_field_bytes};
    off_t size = source_size(message->source);
    struct source_reader reader;
    struct header_scan scan;
    struct line line;
    bool in_mbox_line = false;
    bool last_ends_line = true;
    bool end = false;
    bool ok;
    off_t fields_end = size;

    message->body_begin = message->body_end = size;
    source_reader_init(&reader, message->source, 0, size);
    header_scan_init(&scan, message->source, &limits, message->limits.charsets);
    while ((ok = source_reader_next(&reader, &line, &end, err)) && !end) {
        enum header_scan_result result;

        if (line.begins && line.ends && line_end_length(&line) == 2)
            message->crlf = message->crlf || line.offset == message->header_begin;
        if (line.begins)
            in_mbox_line = line.offset == 0 && is_mbox_line(&line);
        if (in_mbox_line) {
            message->header_begin = line.offset + (off_t)line.length;
            continue;
        }
        result = header_scan_line(&scan, &line);
        if (result == HEADER_SCAN_MORE) {
            last_ends_line = line.data[line.length - 1] == '\n';
            continue;
        }
        fields_end = line.offset;
        message->body_begin =
            result == HEADER_SCAN_END ? line.offset + (off_t)line.length : line.offset;
        break;
    }
    source_reader_clear(&reader);
    message->headers = header_scan_finish(&scan, fields_end);
    message->rest_begin = scan.rest_begin;
    message->rest_end = fields_end;
    message->rest_ends_line = last_ends_line;
    message->body_source = source_ref(message->source);
    return ok;
}

static struct message *message_new(struct source *source, const struct message_options *options)
{
    struct message *message = g_new0(struct message, 1);

    message->source = source;
    message->stale = g_ptr_array_new_with_free_func((GDestroyNotify)message_part_free_tree);
    copy_options(message, options);
    return message;
}

struct message *message_open_fd(int fd, const struct message_options *options, struct error *err)
{
    struct message *message;
    struct stat st;
    int own;

    if (fstat(fd, &st) < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot look at the message");
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        error_set(err, ERROR_TEMPORARY, "cannot read the message: it is not in a regular file");
        return NULL;
    }
    own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read the message");
        return NULL;
    }
    message = message_new(source_new_fd(own, st.st_size), options);
    if (!read_header(message, err)) {
        message_free(message);
        return NULL;
    }
    return message;
}

struct message *message_open_bytes(const void *data, size_t length,
                                   const struct message_options *options)
{
    struct message *message = message_new(source_new_bytes(data, length), options);
    struct error err;

    read_header(message, &err); /* memory does not fail */
    return message;
}

struct message *message_copy(const struct message *message)
{
    struct message *copy = message_new(source_ref(message->source), &message->limits);

    copy->headers = headers_copy(message->headers, copy->limits.charsets);
    copy->header_edited = message->header_edited;
    copy->content_edited = message->content_edited;
    copy->crlf = message->crlf;
    copy->header_begin = message->header_begin;
    copy->rest_begin = message->rest_begin;
    copy->rest_end = message->rest_end;
    copy->rest_ends_line = message->rest_ends_line;
    copy->body_source = source_ref(message->body_source);
    copy->body_begin = message->body_begin;
    copy->body_end = message->body_end;
    return copy;
}

void message_free(struct message *message)
{
    if (message == NULL)
        return;
    message_part_free_tree(message->root);
    g_ptr_array_unref(message->stale);
    headers_free(message->headers);
    source_unref(message->body_source);
    source_unref(message->source);
    g_strfreev(message->own_charsets);
    g_free(message);
}

struct headers *message_headers(struct message *message)
{
    return message->headers;
}

const char *const *message_charsets(const struct message *message)
{
    return message->limits.charsets;
}

off_t message_size(struct message *message)
{
    struct source *all = message_flatten(message);
    off_t size = source_size(all);

    source_unref(all);
    return size;
}

off_t message_body_size(const struct message *message)
{
    return message->body_end - message->body_begin;
}

bool message_body_raw(struct message *message, size_t limit, GBytes **ret_bytes, struct error *err)
{
    return source_read_bytes(message->body_source, message->body_begin, message->body_end, limit,
                             ret_bytes, err);
}

bool message_mime(struct message *message, struct message_part **ret_root, struct error *err)
{
    if (message->root == NULL && !mime_scan(message, &message->root, &message->mime_truncated, err))
        return false;
    *ret_root = message->root;
    return true;
}

bool message_mime_truncated(const struct message *message)
{
    return message->mime_truncated;
}
