/*
 * Where the bytes of a message come from: ranges of a file and pieces of memory in a row, read by
 * position, never as a whole. Immutable and counted. Inside lda/mail only.
 */
#ifndef VMAIL_MAIL_SOURCE_H
#define VMAIL_MAIL_SOURCE_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <glib.h>

struct source;

/* Takes @fd over; reads bytes 0 to @size of it. */
struct source *source_new_fd(int fd, off_t size);
struct source *source_new_bytes(const void *data, size_t length);
struct source *source_ref(struct source *source);
void source_unref(struct source *source);

off_t source_size(const struct source *source);

/* Exactly @size bytes at @offset; a file that has become shorter is an error. */
bool source_read(const struct source *source, off_t offset, void *buffer, size_t size,
                 struct error *err);

/* At most @limit bytes of the range. */
bool source_read_bytes(const struct source *source, off_t begin, off_t end, size_t limit,
                       GBytes **ret_bytes, struct error *err);

/* Writes the range to @fd in a stream. */
bool source_write(const struct source *source, off_t begin, off_t end, int fd, struct error *err);

/* A source made of pieces of others; pieces share what they are made of. */
struct source_builder;
struct source_builder *source_builder_new(void);
void source_builder_add(struct source_builder *builder, const void *data, size_t length);
void source_builder_add_string(struct source_builder *builder, const char *text);
void source_builder_add_range(struct source_builder *builder, const struct source *source,
                              off_t begin, off_t end);
struct source *source_builder_finish(struct source_builder *builder);

/* --- lines ---------------------------------------------------------------------------------- */

#define LINE_READER_BUFFER 65536

/* A line, or a piece of one that is longer than LINE_READER_BUFFER. */
struct line {
    off_t offset;
    const char *data; /* with its line end; valid until the next call */
    size_t length;
    bool begins; /* the first piece */
    bool ends;   /* the last piece: ends in LF, or the range ends */
};

struct source_reader {
    const struct source *source;
    off_t end;
    off_t next;  /* position behind what is in the buffer */
    size_t at;   /* in the buffer */
    size_t have; /* bytes in the buffer */
    bool middle; /* the last piece did not end its line */
    char *buffer;
};

void source_reader_init(struct source_reader *reader, const struct source *source, off_t begin,
                      off_t end);
void source_reader_clear(struct source_reader *reader);

/* *ret_end at the end of the range; @ret_line is set otherwise. */
bool source_reader_next(struct source_reader *reader, struct line *ret_line, bool *ret_end,
                      struct error *err);

/* Bytes of the line end (0 to 2) of a piece that ends its line. */
size_t line_end_length(const struct line *line);

#endif
