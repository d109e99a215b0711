/*
 * What Dovecot knows of a mailbox beyond its messages: its id, and the annotations of IMAP METADATA.
 *
 * The id (MAILBOXID of RFC 8474, Dovecot's GUID) stands in the first line of dovecot-uidlist; the
 * annotations stand in the file of mail_attribute_dict, under the ids. Both are Dovecot's: here they
 * are only read, bounded, and never through a link. A mailbox that Dovecot has not opened yet, and
 * an mbox file, have neither.
 */
#ifndef VMAIL_MAILBOX_METADATA_H
#define VMAIL_MAILBOX_METADATA_H

#include "lda/base/error.h"

enum metadata_answer {
    METADATA_FOUND,
    METADATA_NONE,
    METADATA_FAILED, /* ERROR_BAD_DATA: a file that nobody can read; else time may cure it */
};

/* 32 hex digits, as Dovecot writes them, of a mailbox (row name). g_free. */
enum metadata_answer mailbox_id_of(int home, const char *mailbox, char **ret_id,
                                   struct error *err);

/* The mailbox (row name) with the id @id, compared without case. g_free. */
enum metadata_answer mailbox_find_by_id(int home, const char *id, char **ret_mailbox,
                                        struct error *err);

/* The value of "/private/…" or "/shared/…" (RFC 5464 3.2; names compare without case) of @mailbox (row
 * name), of the server where @mailbox is NULL. @file: the dictionary, relative to the home. Valid
 * UTF-8, cut at a NUL. g_free. */
enum metadata_answer mailbox_metadata(int home, const char *file, const char *mailbox,
                                      const char *annotation, char **ret_value,
                                      struct error *err);

#endif
