/*
 * One message as an mbox holds it:
 *
 *   From sender@example.org Sat Nov 29 07:44:19 2025       local time, as Dovecot, Postfix, procmail
 *   X-Vmail-Key: 0123…                                     the content key, 32 hex digits
 *   Status: R                                              flags, where there are any
 *   …the message, lines "From " quoted as ">From "…
 *                                                          an empty line
 *
 * The content key stands in a header of its own because nothing else stays: Dovecot rewrites the file and
 * moves messages within it, but leaves headers that it does not know; IMAP COPY and MOVE take it along.
 * Its first digits are the delivery's, so that all entries of one delivery are known by them.
 *
 * Headers that carry state in an mbox (Status, X-UID, Content-Length …) and a foreign X-Vmail-Key are
 * taken out of what is delivered: a sender could mark his message as read, or break the file, with them.
 */
#ifndef VMAIL_STORE_MBOX_ENTRY_H
#define VMAIL_STORE_MBOX_ENTRY_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MBOX_KEY_HEADER "X-Vmail-Key"
#define MBOX_KEY_DIGITS 32         /* of a content key */
#define MBOX_KEY_DELIVERY_DIGITS 24 /* of it, the delivery's own */

struct mbox_entry {
    const char *sender;      /* envelope; NULL or "": MAILER-DAEMON */
    int64_t received_at;
    const char *key;         /* content key */
    const char *letters;     /* Maildir's: "DFRST", any of them */
    const char *keywords;    /* separated by spaces; NULL, "": none */
    const char *imapbase;    /* value of an X-IMAPbase header, for the first message; NULL: none */
};

struct mbox_measure {
    off_t length;            /* all of it, From_ line and empty line at the end too */
    off_t size;              /* without From_ line, state headers and the line at the end: a row's size */
    off_t body_length;
    char body_digest[65];    /* SHA-256 */
};

/* The content key of copy @copy of delivery @key (64 digits) in @mailbox. g_free. */
char *mbox_key_of(const char *key, const char *mailbox, unsigned copy);

/* Sends the message in @fd as an entry to @sink, piece by piece, and measures it. @sink NULL: measures
 * only. */
typedef bool mbox_sink(void *ctx, const char *data, size_t length, struct error *err);
bool mbox_entry_make(int fd, const struct mbox_entry *entry, mbox_sink *sink, void *ctx,
                     struct mbox_measure *ret_measure, struct error *err);

/* Is @line one that carries state (Status, X-Status, X-Keywords, X-UID, X-IMAP, X-IMAPbase,
 * Content-Length)? */
bool mbox_line_is_state(const char *line, size_t length);
/* Does @line begin with the field "@name:"? *@ret_value: offset of what follows, blanks passed over;
 * may be NULL. */
bool mbox_line_is_field(const char *line, size_t length, const char *name, size_t *ret_value);

/* Is @line, with or without its end, a From_ line? *@ret_time: its date; may be NULL. */
bool mbox_line_is_from(const char *line, size_t length, int64_t *ret_time);

#endif
