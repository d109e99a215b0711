/*
 * Rows follow the files: flags, moves, removals, what clients appended; and is_read, changed in
 * SQL, goes back into the file's name.
 *
 * Who wins: the file is the truth. A row keeps, in file_is_read, the state that sync last saw in
 * the file. When the file differs from it, the file changed since: it wins. Only when the file is
 * as it was and is_read is not, an application changed the row: the file follows. So both ends
 * converge after one pass and nothing goes back and forth.
 */
#ifndef VMAIL_STORE_SYNC_H
#define VMAIL_STORE_SYNC_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;
struct header_row;

/* What sync needs from above, because store knows no messages. Fills @row (strings on @row's own
 * terms, released by free_row) from the opened file; flags, mailbox, file name and user are set by sync.
 * false with ERROR_BAD_DATA: not a message, the file is left alone and counted. */
struct sync_host {
    bool (*make_row)(void *ctx, int fd, const char *name, struct header_row **ret_row,
                     struct error *err);
    void (*free_row)(void *ctx, struct header_row *row);
    /* A message appeared in a folder of sent mail, right after its make_row: its recipients go to
     * the address book. May be NULL. */
    bool (*sent)(void *ctx, struct db *db, int64_t user_id, const struct header_row *row,
                 struct error *err);
    /* Something worth a line of log, not an error. May be NULL. */
    void (*note)(void *ctx, const char *text);
    void *ctx;
};

struct sync_user {
    int64_t id;
    const char *address; /* for messages */
    int home;            /* descriptor of the home; borrowed */
    bool mbox;           /* keeps mail in mboxes, else in Maildir */
    const char *mbox_locks; /* as struct store_options has it */
};

struct sync_counts {
    int64_t folders, unchanged_folders; /* looked at, and of these skipped by their stamps */
    int64_t files;
    int64_t added, removed, moved, flagged; /* rows */
    int64_t rebuilt;                        /* rows made again (option rebuild) */
    int64_t carried;                        /* is_read taken from rows into files */
    int64_t ignored;                        /* files that are no messages */
    int64_t waiting;                        /* files too young or being delivered: next time */
};

struct sync_options {
    bool full;       /* look at every folder, whatever its stamp says */
    bool check_only; /* count what would change, change nothing */
    const char *sent_mailboxes; /* canonical names, separated by spaces: "Sent" */
    const char *const *only_mailboxes; /* NULL: all; else canonical names, NULL-terminated */
    bool rebuild;    /* make every row's contents again from its file (reindex); ids stay */
    int min_age_s;   /* a file without a row is given one when it is at least that old: a delivery
                      * publishes its file a moment before its row */
    /* Called now and then with the files looked at so far in this run; may be NULL. */
    void (*progress)(void *ctx, int64_t files);
    void *progress_ctx;
};

/* Brings the rows of one user in line. Safe against deliveries, Dovecot and another sync at the
 * same time. Adds to @counts. */
bool sync_run(struct db *db, const struct sync_user *user, const struct sync_host *host,
              const struct sync_options *options, struct sync_counts *counts, struct error *err);

#endif
