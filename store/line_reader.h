/* Reads a file of any size line by line, by pread: the descriptor's position stays as it is. */
#ifndef VMAIL_STORE_LINE_READER_H
#define VMAIL_STORE_LINE_READER_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct line_reader;

/* A line with its "\n", or a piece of one that is longer than the buffer (256 KiB). */
struct line {
    const char *text;   /* until the next call */
    size_t length;
    off_t offset;       /* in the file */
    bool begins;        /* at the line's start; else the line goes on from the piece before */
    bool ends;          /* with "\n" */
};

/* @fd and @name are borrowed. */
struct line_reader *line_reader_new(int fd, off_t offset, const char *name);
void line_reader_free(struct line_reader *reader);

/* *@ret_more false: the end of the file. */
bool line_reader_next(struct line_reader *reader, struct line *ret_line, bool *ret_more,
                      struct error *err);
/* Goes on at @offset, which must be the start of a line. */
void line_reader_seek(struct line_reader *reader, off_t offset);

#endif
