#include "store/line_reader.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#define BUFFER_SIZE (256 * 1024)

struct line_reader {
    int fd;
    const char *name;
    off_t offset;        /* of buffer[0] in the file */
    size_t at, length;   /* unread: buffer[at] up to buffer[length] */
    bool at_start;       /* the next byte begins a line */
    bool ended;          /* nothing behind buffer[length] */
    char buffer[BUFFER_SIZE];
};

struct line_reader *line_reader_new(int fd, off_t offset, const char *name)
{
    struct line_reader *reader = g_malloc(sizeof *reader);

    reader->fd = fd;
    reader->name = name;
    reader->offset = 0;
    reader->length = 0;
    line_reader_seek(reader, offset);
    return reader;
}

void line_reader_free(struct line_reader *reader)
{
    g_free(reader);
}

void line_reader_seek(struct line_reader *reader, off_t offset)
{
    off_t end = reader->offset + (off_t)reader->length;

    reader->at_start = true;
    if (offset >= reader->offset && offset <= end && reader->length > 0) {
        reader->at = (size_t)(offset - reader->offset);
        return;
    }
    reader->offset = offset;
    reader->at = reader->length = 0;
    reader->ended = false;
}

/* Moves what is unread to the front and reads behind it. */
static bool fill(struct line_reader *reader, struct error *err)
{
    size_t rest = reader->length - reader->at;

    memmove(reader->buffer, reader->buffer + reader->at, rest);
    reader->offset += (off_t)reader->at;
    reader->at = 0;
    reader->length = rest;
    while (reader->length < BUFFER_SIZE && !reader->ended) {
        ssize_t got = pread(reader->fd, reader->buffer + reader->length,
                            BUFFER_SIZE - reader->length,
                            reader->offset + (off_t)reader->length);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read %s", reader->name);
            return false;
        }
        reader->ended = got == 0;
        reader->length += (size_t)got;
    }
    return true;
}

bool line_reader_next(struct line_reader *reader, struct line *ret_line, bool *ret_more,
                      struct error *err)
{
    const char *start = reader->buffer + reader->at;
    const char *end = memchr(start, '\n', reader->length - reader->at);

    if (end == NULL && !reader->ended) {
        if (!fill(reader, err))
            return false;
        start = reader->buffer;
        end = memchr(start, '\n', reader->length);
    }

    size_t length = end != NULL ? (size_t)(end - start) + 1 : reader->length - reader->at;

    *ret_more = length > 0;
    *ret_line = (struct line){
        .text = start,
        .length = length,
        .offset = reader->offset + (off_t)reader->at,
        .begins = reader->at_start,
        .ends = end != NULL,
    };
    reader->at += length;
    reader->at_start = end != NULL;
    return true;
}
