/* What the files of a sync run share: sync.c the run, sync_folder.c one folder's rows and files,
 * sync_unknown.c files that need a row and rows that lost their file. */
#ifndef VMAIL_STORE_SYNC_INTERNAL_H
#define VMAIL_STORE_SYNC_INTERNAL_H

#include "store/scan.h"
#include "store/sync.h"

#include <glib.h>

struct db_value;

#define UNKNOWN_MAX 50000     /* files without a row that are kept in memory to find moves */

/* A row whose file is not where it was. */
struct missing_row {
    int64_t id, size;
    char *mailbox, *file, *message_id;
    bool is_read, file_is_read;
    bool taken;              /* its file was found elsewhere */
};

/* A file to make a row of. */
struct unknown_file {
    char *path;              /* below the home */
    char *name, *mailbox, *letters;
    char *flags;
    bool rebuild;            /* it has a row: made again */
    bool is_read;            /* of that row, after file and row were compared */
};

struct folder_state {
    char *mailbox;
    struct scan_stamp stamp;
    bool unsettled;          /* something was left for next time: do not keep the stamp */
};

struct sync {
    struct db *db;
    const struct sync_user *user;
    const struct sync_host *host;
    const struct sync_options *options;
    struct sync_counts *counts;
    GPtrArray *missing;               /* of struct missing_row */
    GHashTable *missing_by_file;      /* file → missing_row */
    GHashTable *missing_by_message;   /* "size message-id" → missing_row */
    GPtrArray *unknown;               /* of struct unknown_file */
    GHashTable *folders;              /* mailbox → struct folder_state */
    int statements;                   /* queued in the open transaction */
    int64_t files;
};

/* --- sync.c */

void sync_note(const struct sync *sync, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Ends the open transaction, when there is one. */
bool sync_commit_batch(struct sync *sync, struct error *err);
/* Opens a transaction when none is, and ends one that is full. */
bool sync_next_statement(struct sync *sync, struct error *err);
/* Queues a statement; nothing when the run only checks. */
bool sync_queue(struct sync *sync, const char *sql, const struct db_value *values, size_t count,
                struct error *err);

/* --- sync_folder.c */

/* Compares the folder's rows and files: flags are queued, missing rows and unknown files gathered. A
 * folder that goes away meanwhile is left for next time. */
bool sync_compare_folder(struct sync *sync, const struct scan_folder *folder,
                         struct folder_state *state, struct error *err);
/* All rows of a mailbox without a folder miss their files. */
bool sync_miss_mailbox(struct sync *sync, const char *mailbox, struct error *err);
bool sync_same_stamps(const struct scan_stamp *a, const struct scan_stamp *b);

/* --- sync_unknown.c */

void sync_unknown_file_free(gpointer data);
/* "size message-id", by which a moved message is known again. g_free. */
char *sync_message_key(int64_t size, const char *message_id);
/* Gives the files in hand their rows: moved ones, or new ones. */
bool sync_add_unknown(struct sync *sync, struct error *err);
/* What is still missing is gone. */
bool sync_remove_missing(struct sync *sync, struct error *err);

#endif
