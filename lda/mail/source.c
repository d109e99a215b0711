#include "source.h"

#include "lda/base/io.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define COPY_BUFFER 65536

/* What pieces are made of. */
struct base {
    unsigned refs;
    int fd; /* -1: bytes */
    GBytes *bytes;
};

struct piece {
    off_t begin; /* in the source */
    off_t length;
    struct base *base;
    off_t base_offset;
};

struct source {
    unsigned refs;
    off_t size;
    GArray *pieces;
};

struct source_builder {
    struct source *source;
    GByteArray *pending; /* small additions in a row become one piece */
};

static void base_unref(struct base *base)
{
    if (--base->refs > 0)
        return;
    if (base->fd >= 0)
        close(base->fd);
    if (base->bytes != NULL)
        g_bytes_unref(base->bytes);
    g_free(base);
}

static void piece_clear(gpointer data)
{
    struct piece *piece = data;

    base_unref(piece->base);
}

static struct source *source_new(void)
{
    struct source *source = g_new0(struct source, 1);

    source->refs = 1;
    source->pieces = g_array_new(FALSE, FALSE, sizeof(struct piece));
    g_array_set_clear_func(source->pieces, piece_clear);
    return source;
}

/* Takes the caller's count of @base. */
static void append_piece(struct source *source, struct base *base, off_t offset, off_t length)
{
    struct piece piece = {source->size, length, base, offset};

    if (length <= 0) {
        base_unref(base);
        return;
    }
    g_array_append_val(source->pieces, piece);
    source->size += length;
}

static struct base *base_new(int fd, GBytes *bytes)
{
    struct base *base = g_new0(struct base, 1);

    base->refs = 1;
    base->fd = fd;
    base->bytes = bytes;
    return base;
}

struct source *source_new_fd(int fd, off_t size)
{
    struct source *source = source_new();

    append_piece(source, base_new(fd, NULL), 0, size);
    return source;
}

struct source *source_new_bytes(const void *data, size_t length)
{
    struct source *source = source_new();

    append_piece(source, base_new(-1, g_bytes_new(data, length)), 0, (off_t)length);
    return source;
}

struct source *source_ref(struct source *source)
{
    source->refs++;
    return source;
}

void source_unref(struct source *source)
{
    if (source == NULL || --source->refs > 0)
        return;
    g_array_unref(source->pieces);
    g_free(source);
}

off_t source_size(const struct source *source)
{
    return source->size;
}

/* The piece that holds @offset, which is within the source. */
static size_t find_piece(const struct source *source, off_t offset)
{
    size_t low = 0;
    size_t high = source->pieces->len;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (g_array_index(source->pieces, struct piece, middle).begin <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

bool source_read(const struct source *source, off_t offset, void *buffer, size_t size,
                 struct error *err)
{
    char *out = buffer;

    while (size > 0) {
        const struct piece *piece;
        off_t skip;
        size_t length;

        if (offset < 0 || offset >= source->size) {
            error_set(err, ERROR_TEMPORARY, "cannot read the message: it ends too early");
            return false;
        }
        piece = &g_array_index(source->pieces, struct piece, find_piece(source, offset));
        skip = offset - piece->begin;
        length = (size_t)MIN((off_t)size, piece->length - skip);
        if (piece->base->fd >= 0) {
            if (!io_read_at(piece->base->fd, out, length, piece->base_offset + skip, "the message",
                            err))
                return false;
        } else {
            const char *data = g_bytes_get_data(piece->base->bytes, NULL);

            memcpy(out, data + piece->base_offset + skip, length);
        }
        out += length;
        size -= length;
        offset += (off_t)length;
    }
    return true;
}

bool source_read_bytes(const struct source *source, off_t begin, off_t end, size_t limit,
                       GBytes **ret_bytes, struct error *err)
{
    size_t length = (size_t)MIN((uint64_t)(end > begin ? end - begin : 0), (uint64_t)limit);
    g_autofree char *data = g_malloc(length + 1);

    if (!source_read(source, begin, data, length, err))
        return false;
    *ret_bytes = g_bytes_new_take(g_steal_pointer(&data), length);
    return true;
}

bool source_write(const struct source *source, off_t begin, off_t end, int fd, struct error *err)
{
    g_autofree char *buffer = g_malloc(COPY_BUFFER);

    while (begin < end) {
        size_t length = (size_t)MIN((off_t)COPY_BUFFER, end - begin);

        if (!source_read(source, begin, buffer, length, err) ||
            !io_write(fd, buffer, length, "the message", err))
            return false;
        begin += (off_t)length;
    }
    return true;
}

/* --- builder -------------------------------------------------------------------------------- */

struct source_builder *source_builder_new(void)
{
    struct source_builder *builder = g_new0(struct source_builder, 1);

    builder->source = source_new();
    builder->pending = g_byte_array_new();
    return builder;
}

static void flush_pending(struct source_builder *builder)
{
    size_t length = builder->pending->len;

    if (length == 0)
        return;
    append_piece(builder->source, base_new(-1, g_byte_array_free_to_bytes(builder->pending)), 0,
                 (off_t)length);
    builder->pending = g_byte_array_new();
}

void source_builder_add(struct source_builder *builder, const void *data, size_t length)
{
    while (length > 0) { /* GByteArray counts in guint */
        guint part = (guint)MIN(length, (size_t)1 << 30);

        if (builder->pending->len > (guint)1 << 29)
            flush_pending(builder);
        g_byte_array_append(builder->pending, data, part);
        data = (const char *)data + part;
        length -= part;
    }
}

void source_builder_add_string(struct source_builder *builder, const char *text)
{
    source_builder_add(builder, text, strlen(text));
}

void source_builder_add_range(struct source_builder *builder, const struct source *source,
                              off_t begin, off_t end)
{
    flush_pending(builder);
    while (begin < end) {
        const struct piece *piece =
            &g_array_index(source->pieces, struct piece, find_piece(source, begin));
        off_t skip = begin - piece->begin;
        off_t length = MIN(end - begin, piece->length - skip);

        piece->base->refs++;
        append_piece(builder->source, piece->base, piece->base_offset + skip, length);
        begin += length;
    }
}

struct source *source_builder_finish(struct source_builder *builder)
{
    struct source *source = builder->source;

    flush_pending(builder);
    g_byte_array_unref(builder->pending);
    g_free(builder);
    return source;
}

/* --- lines ---------------------------------------------------------------------------------- */

void source_reader_init(struct source_reader *reader, const struct source *source, off_t begin,
                      off_t end)
{
    memset(reader, 0, sizeof(*reader));
    reader->source = source;
    reader->next = begin;
    reader->end = end;
    reader->buffer = g_malloc(LINE_READER_BUFFER);
}

void source_reader_clear(struct source_reader *reader)
{
    g_free(reader->buffer);
    reader->buffer = NULL;
}

/* Moves what is left to the front and fills up. */
static bool refill(struct source_reader *reader, struct error *err)
{
    size_t room;

    memmove(reader->buffer, reader->buffer + reader->at, reader->have - reader->at);
    reader->have -= reader->at;
    reader->at = 0;
    room = (size_t)MIN((off_t)(LINE_READER_BUFFER - reader->have), reader->end - reader->next);
    if (room == 0)
        return true;
    if (!source_read(reader->source, reader->next, reader->buffer + reader->have, room, err))
        return false;
    reader->have += room;
    reader->next += (off_t)room;
    return true;
}

bool source_reader_next(struct source_reader *reader, struct line *ret_line, bool *ret_end,
                      struct error *err)
{
    const char *newline = NULL;

    if (reader->have > reader->at)
        newline = memchr(reader->buffer + reader->at, '\n', reader->have - reader->at);
    if (newline == NULL && reader->next < reader->end) {
        if (!refill(reader, err))
            return false;
        newline = memchr(reader->buffer + reader->at, '\n', reader->have - reader->at);
    }
    if (reader->at == reader->have) {
        *ret_end = true;
        return true;
    }
    ret_line->data = reader->buffer + reader->at;
    ret_line->length =
        newline != NULL ? (size_t)(newline - ret_line->data) + 1 : reader->have - reader->at;
    ret_line->offset = reader->next - (off_t)(reader->have - reader->at);
    ret_line->begins = !reader->middle;
    reader->at += ret_line->length;
    ret_line->ends = newline != NULL || (reader->next == reader->end && reader->at == reader->have);
    reader->middle = !ret_line->ends;
    *ret_end = false;
    return true;
}

size_t line_end_length(const struct line *line)
{
    if (line->length == 0 || line->data[line->length - 1] != '\n')
        return 0;
    return line->length >= 2 && line->data[line->length - 2] == '\r' ? 2 : 1;
}
