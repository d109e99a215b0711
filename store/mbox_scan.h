/*
 * The messages of an mbox, and the mboxes of a user.
 *
 * A message begins at a line that is a From_ line with a date, as for Dovecot; a Content-Length that
 * leads to one is believed. Messages that we did not store have no X-Vmail-Key: their content key is a
 * digest of the headers that stay. Two that are alike are told apart by ".2", ".3" behind it.
 */
#ifndef VMAIL_STORE_MBOX_SCAN_H
#define VMAIL_STORE_MBOX_SCAN_H

#include "lda/base/error.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mbox_message {
    off_t offset;          /* of its From_ line */
    off_t header;          /* behind that */
    off_t body;            /* behind the empty line; the end where there is none */
    off_t end;             /* without the line end that separates it from the next */
    off_t next;            /* of the next From_ line, or the end of the file */
    off_t size;            /* as its row has it: without From_ line and headers of state */
    int64_t received_at;   /* the From_ line's date */
    const char *key;       /* content key */
    const char *letters;   /* flags as Maildir has them: "DFRST", sorted */
    const char *keywords;  /* separated by spaces; "" */
    bool is_first;
};

/* Calls @found for each message, in the file's order; false from it ends the scan (with err filled). What
 * @message points to is gone after the call. Under a lock, or what is found may be torn. */
typedef bool mbox_found(const struct mbox_message *message, void *ctx, struct error *err);
bool mbox_scan(int fd, const char *name, mbox_found *found, void *ctx, struct error *err);
/* From @offset on, where an entry begins: its numbers ".2" count from there. */
bool mbox_scan_from(int fd, off_t offset, const char *name, mbox_found *found, void *ctx,
                    struct error *err);

/* SHA-256 of the message's body, and its length. */
bool mbox_body_digest(int fd, const struct mbox_message *message, const char *name,
                      char ret_digest[65], struct error *err);

/* Row names of all mboxes below the home, sorted, INBOX first. Array of char *. What begins with a dot,
 * locks, and files that are no mbox are passed over. */
bool mbox_list(int home, GPtrArray **ret_mailboxes, struct error *err);

#endif
