/*
 * A list of header fields in the order of the message: of a message, or of one of its MIME parts.
 *
 * Bounded when read; values are unfolded and decoded when asked for, and kept. Read-only here: the
 * fields of a message are edited through message.h. Strings live as long as the list and until the
 * field is deleted.
 */
#ifndef VMAIL_MAIL_HEADERS_H
#define VMAIL_MAIL_HEADERS_H

#include <stdbool.h>
#include <stddef.h>

struct headers;

#define HEADERS_NONE ((size_t)-1)

size_t headers_count(const struct headers *headers);

/* The name as written, without colon and space: printable ASCII. @index < count. */
const char *headers_name(const struct headers *headers, size_t index);

/* The value as written, unfolded (line ends removed, the white space behind them kept) and trimmed
 * at both ends. May hold 8-bit bytes in any charset; NUL bytes and bare CR have become '?' and
 * space. This is what the address and date parsers take. */
const char *headers_raw(struct headers *headers, size_t index);

/* The value decoded (RFC 2047, raw 8-bit): valid UTF-8, trimmed, no CR, LF or NUL. */
const char *headers_value(struct headers *headers, size_t index);

/* The first field called @name (any case) at or behind @from; HEADERS_NONE when there is none:
 *   for (i = headers_find(h, "Received", 0); i != HEADERS_NONE; i = headers_find(h, "Received", i +
 * 1)) */
size_t headers_find(const struct headers *headers, const char *name, size_t from);

/* The first field called @name, decoded or raw; NULL when there is none. */
const char *headers_get(struct headers *headers, const char *name);
const char *headers_get_raw(struct headers *headers, const char *name);

/* How many fields are called @name. */
size_t headers_count_of(const struct headers *headers, const char *name);

/* True when the bounds cut it: fields are missing, or one is shorter than in the message. */
bool headers_truncated(const struct headers *headers);

#endif
