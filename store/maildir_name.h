/*
 * Names of message files:  <seconds>.V<32 hex digits>.<host>,S=<size>,W=<size with CRLF>:2,<flags>
 *
 * The name of a delivery is made of what is the same on every try: when the MTA took the message, the
 * delivery key, the mailbox, the host and the sizes. So link() itself says EEXIST where an earlier try
 * left a file whose witness was lost, and a file can be recognised wherever it went.
 * S= and W= spare Dovecot the reading of the file.
 */
#ifndef VMAIL_STORE_MAILDIR_NAME_H
#define VMAIL_STORE_MAILDIR_NAME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MAILDIR_KEY_DIGITS 24   /* of the key, in every name of a delivery */
#define MAILDIR_COPY_DIGITS 8   /* of the mailbox and the number of the copy in it */

/* Base name without flags; g_free. @key: 64 hex digits; @mailbox: row name; @copy: 0 for the first
 * file of this delivery in this mailbox. @host is made fit for a file name. */
char *maildir_name_build(int64_t seconds, const char *key, const char *mailbox, unsigned copy,
                         const char *host, off_t size, off_t size_crlf);

/* Is @name (with or without flags) a file of the delivery @key? */
bool maildir_name_has_key(const char *name, const char *key);
/* Of the delivery @key, for this mailbox and copy? */
bool maildir_name_is_copy(const char *name, const char *key, const char *mailbox, unsigned copy);

/* The value of ",S=" or ",W="; -1 where there is none. @what is 'S' or 'W'. */
off_t maildir_name_size(const char *name, char what);

/* The letter of a system flag ("\\Seen": 'S'), 0 for a keyword or what Maildir has no letter for. */
char maildir_flag_letter(const char *flag);

#endif
