/*
 * Names of mailboxes: as people write them, as rows hold them, as Maildir++ puts them on disk.
 *
 *   "INBOX/중요.2024"  →  row "중요.2024"  →  directory ".&yRHGlA-.2024"
 *
 * A row name is UTF-8 with '.' between levels and without the "INBOX." prefix that some clients
 * see. On disk it is modified UTF-7 (RFC 3501 5.1.3) behind a dot.
 */
#ifndef VMAIL_STORE_MAILBOX_NAME_H
#define VMAIL_STORE_MAILBOX_NAME_H

#include "lda/base/error.h"

#include <stdbool.h>

/* The row name of what a script, a client or an option wrote ('.' or '/' between levels). g_free.
 * ERROR_BAD_DATA: cannot be a folder (empty level, control character, broken UTF-8, too long). */
bool mailbox_name_canonical(const char *written, char **ret_mailbox, struct error *err);

/* The directory below the home of a row name: "." for INBOX. g_free. */
char *mailbox_name_to_dir(const char *mailbox);

/* The row name of a directory ".X.Y"; false where it cannot be one (not valid modified UTF-7, empty
 * levels). g_free. */
bool mailbox_name_from_dir(const char *dir, char **ret_mailbox);

/* Modified UTF-7 of valid UTF-8. g_free. */
char *mailbox_name_encode(const char *utf8);
/* False: not modified UTF-7 as RFC 3501 wants it (one name, one form). g_free. */
bool mailbox_name_decode(const char *utf7, char **ret_utf8);

bool mailbox_is_inbox(const char *mailbox);

#endif
