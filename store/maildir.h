/*
 * Maildir++ folders below a home: opening, making, listing what a delivery published.
 *
 * All by openat from the home's descriptor; a link that a user planted is never followed.
 */
#ifndef VMAIL_STORE_MAILDIR_H
#define VMAIL_STORE_MAILDIR_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* Opens the folder of a row name. -1 with err->code ENOENT: there is none; ENOTDIR, ELOOP,
 * ENAMETOOLONG: none can be, something else stands in its place. */
int maildir_open(int home, const char *mailbox, struct error *err);

/* Makes its directory alone, no mailbox yet. */
bool maildir_make_dir(int home, const char *mailbox, struct error *err);

/* Makes what is missing of it: the folder, cur, new, tmp (0700), maildirfolder; durably. Codes as in
 * maildir_open. Returns its descriptor. */
int maildir_make(int home, const char *mailbox, struct error *err);

/* Does a failure mean that no folder can be there, so that INBOX must take the mail? */
bool maildir_is_blocked(const struct error *err);

/* Opens cur, new or tmp of a folder. */
int maildir_open_sub(int folder, const char *sub, const char *mailbox, struct error *err);

/* Gives the file @from_name in @from the name @name in @to (new/ or cur/ of a folder): a link, or a
 * copy through @folder's tmp/ where the file system refuses links. EEXIST in err->code: the name is
 * taken. *@ret_copied says which. A copy is flushed, its name not yet. */
bool maildir_place(int from, const char *from_name, int folder, int to, const char *name,
                   bool *ret_copied, struct error *err);

#endif
