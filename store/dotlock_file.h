/*
 * Small files that Dovecot rewrites too (subscriptions, dovecot-keywords): changed under its kind of
 * lock, "<name>.lock" holding the new content, renamed over the old.
 */
#ifndef VMAIL_STORE_DOTLOCK_FILE_H
#define VMAIL_STORE_DOTLOCK_FILE_H

#include "lda/base/error.h"

#include <stdbool.h>

/* Gets the present text ("" where there is no file) and returns the new one (g_malloc'd), or NULL: no
 * change is needed. */
typedef char *dotlock_file_edit(void *ctx, const char *text);

/* Waits for the lock some seconds at most; a lock that nobody touched for two minutes is stale. */
bool dotlock_file_rewrite(int dir, const char *name, dotlock_file_edit *edit, void *ctx,
                          struct error *err);

#endif
