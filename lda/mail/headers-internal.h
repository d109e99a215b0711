/* How lists of fields are read and changed; inside lda/mail only. */
#ifndef VMAIL_MAIL_HEADERS_INTERNAL_H
#define VMAIL_MAIL_HEADERS_INTERNAL_H

#include "headers.h"
#include "source.h"

/* A field as it stands in a source (text is a copy, within the bounds), or one that was added
 * (source NULL, text is all of it). Counted: copies of a message share fields. */
struct field {
    unsigned refs;
    struct source *source;
    off_t offset; /* of the field with line ends, and of lines behind it that are no field */
    off_t length;
    bool ends_line; /* its last byte is LF */
    char *name;
    char *text; /* from name to the last line end */
    size_t text_length;
    size_t value_at; /* behind the colon */
    char *raw;       /* made when asked for */
    char *value;     /* made when asked for */
};

/* What a field costs beyond its text, for the bounds. */
#define FIELD_OVERHEAD 160

struct headers {
    GPtrArray *fields;
    bool truncated;
    const char *const *charsets; /* borrowed */
};

struct headers *headers_new(const char *const *charsets);
struct headers *headers_copy(const struct headers *headers, const char *const *charsets);
void headers_free(struct headers *headers);

struct field *field_new_added(const char *name, const char *text);
void headers_insert(struct headers *headers, size_t index, struct field *field);
void headers_remove(struct headers *headers, size_t index);

/* --- scanning ------------------------------------------------------------------------------- */

struct header_limits {
    size_t max_bytes;
    size_t max_fields;
    size_t max_field_bytes;
};

enum header_scan_result {
    HEADER_SCAN_MORE,
    HEADER_SCAN_END,      /* the line was the empty one */
    HEADER_SCAN_NO_HEADER /* the first line is no field: the body begins with it */
};

struct header_scan {
    struct header_limits limits;
    struct headers *headers;
    struct source *source; /* borrowed */
    GString *text;         /* of the field being read */
    off_t field_begin;
    bool in_field;
    bool seen_field;
    bool last_ends_line;
    size_t used;
    off_t rest_begin; /* the first byte that belongs to no kept field; -1: all are kept */
};

void header_scan_init(struct header_scan *scan, struct source *source,
                      const struct header_limits *limits, const char *const *charsets);

/* Lines of the header in order. */
enum header_scan_result header_scan_line(struct header_scan *scan, const struct line *line);

/* Ends the last field at @end (where the empty line begins) and gives the list; the scan is
 * cleared. */
struct headers *header_scan_finish(struct header_scan *scan, off_t end);

#endif
