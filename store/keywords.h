/* Keywords in Maildir file names: letters a…z, whose meaning stands in the folder's dovecot-keywords. */
#ifndef VMAIL_STORE_KEYWORDS_H
#define VMAIL_STORE_KEYWORDS_H

#include "lda/base/error.h"

#include <glib.h>
#include <stdbool.h>

/* Letters for @keywords (array of const char *) in the folder @dir, added to its dovecot-keywords where
 * they are new. @letters gets one letter each; a keyword that finds no place (26 are taken, or it cannot
 * be an IMAP keyword) is left out and named in @ret_dropped (g_free, NULL: none). */
bool keywords_assign(int dir, const GPtrArray *keywords, GString *letters, char **ret_dropped,
                     struct error *err);

#endif
