/* What store/sync.h asks of us: rows from files, the address book from what users sent. */
#ifndef VMAIL_SYNC_HOST_H
#define VMAIL_SYNC_HOST_H

#include "lda/base/error.h"
#include "store/sync.h"

#include <glib.h>
#include <stdbool.h>

struct config;
struct db;
struct user;

struct syncer;

/* @note (may be NULL) gets sentences worth a line of log. Borrows @config. */
struct syncer *syncer_new(const struct config *config, void (*note)(void *ctx, const char *text),
                          void *note_ctx);
void syncer_free(struct syncer *syncer);

/* Brings one user's rows in line; sent_mailboxes in @options is filled here. A user without a home
 * yet has nothing to do. */
bool syncer_run(struct syncer *syncer, struct db *db, const struct user *user,
                const struct sync_options *options, struct sync_counts *counts,
                struct error *err);

/* Adds the numbers of @more to @counts. */
void sync_counts_add(struct sync_counts *counts, const struct sync_counts *more);
/* Rows and files that differed. */
int64_t sync_counts_differences(const struct sync_counts *counts);
/* Prints them: one line, or a JSON object with "users". */
void sync_counts_print(const struct sync_counts *counts, int64_t users, bool json);

#endif
