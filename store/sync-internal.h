/* What the files of a sync run share: sync.c the run, sync_folder.c one folder's rows and files,
 * sync_unknown.c files that need a row and rows that lost their file, sync_rows.c rows on their way to
 * the database. */
#ifndef VMAIL_STORE_SYNC_INTERNAL_H
#define VMAIL_STORE_SYNC_INTERNAL_H

#include "store/scan.h"
#include "store/sync.h"

#include <glib.h>

struct db_value;
struct row_place;
struct rows_batch;

#define UNKNOWN_MAX 50000     /* files without a row that are kept in memory to find moves */

/* A row whose file is not where it was. */
struct missing_row {
    int64_t id, size;
    char *mailbox, *file, *message_id;
    bool is_read, file_is_read;
    bool taken;              /* its file was found elsewhere */
};

/* Where a message of an mbox lies, as long as the file has this stamp. */
struct sync_mbox_place {
    off_t header, body, end;
    int64_t received_at;
    struct scan_stamp stamp;
};

/* A file to make a row of. */
struct unknown_file {
    struct sync_mbox_place *mbox; /* a message in the mbox @path; NULL: a file */
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
    char *directory;                  /* of the file opened last, and its descriptor */
    int directory_fd;
    int statements;                   /* queued in the open transaction */
    struct rows_batch *rows[2];       /* being filled: new ones, made again */
    struct rows_batch *sent;          /* handed to the server in the open transaction, which holds
                                       * nothing else; NULL: none */
    int64_t files;
};

/* --- sync.c */

void sync_note(const struct sync *sync, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Writes all rows that are on their way, and ends the open transaction, when there is one. */
bool sync_commit_batch(struct sync *sync, struct error *err);
/* Opens a transaction when none is, and ends one that is full. */
bool sync_next_statement(struct sync *sync, struct error *err);
/* Queues a statement; nothing when the run only checks. */
bool sync_queue(struct sync *sync, const char *sql, const struct db_value *values, size_t count,
                struct error *err);

/* A folder that went away, became something else or may not be read is left as it is for next time; the
 * others are no worse for it. False: @err is something else. */
bool sync_pass_folder(struct sync *sync, struct folder_state *state, struct error *err);

/* --- sync_folder.c */

/* Compares the folder's rows and files: flags are queued, missing rows and unknown files gathered. A
 * folder that goes away meanwhile is left for next time. */
bool sync_compare_folder(struct sync *sync, const struct scan_folder *folder,
                         struct folder_state *state, struct error *err);
/* All rows of a mailbox without a folder miss their files. */
bool sync_miss_mailbox(struct sync *sync, const char *mailbox, struct error *err);
bool sync_same_stamps(const struct scan_stamp *a, const struct scan_stamp *b);

/* --- sync_mbox.c */

/* The mboxes of a home as folders, and the stamp of one; as scan_folders and scan_stamp. */
bool sync_mbox_folders(int home, GPtrArray **ret_folders, struct error *err);
bool sync_mbox_stamp(int home, const char *path, struct scan_stamp *ret_stamp, struct error *err);
/* As scan_files; *@ret_stamp is of what was seen. *@ret_busy: somebody holds its lock for long, nothing was
 * looked at. */
bool sync_mbox_files(struct sync *sync, const char *mailbox, struct scan_stamp *ret_stamp,
                     scan_found *found, void *ctx, bool *ret_busy, struct error *err);
/* Writes \Seen into the messages: @wishes, key → GINT_TO_POINTER(1: not seen, 2: seen). *@ret_done: the
 * keys of those that have it now. */
bool sync_mbox_carry(struct sync *sync, const char *mailbox, GHashTable *wishes,
                     GHashTable **ret_done, struct error *err);
/* The message as a file of its own, without what the mbox added; its mtime is when it was received. -1
 * with err->code ENOENT: the mbox was changed since. */
int sync_mbox_extract(const struct sync *sync, const struct unknown_file *file, struct error *err);

/* --- sync_rows.c */

/* Puts the row (new, or @rebuild: made again) on its way; it arrives by sync_commit_batch at the latest. Rows
 * go in transactions of their own; of one that the database refuses only that row is lost, with a note. */
bool sync_rows_add(struct sync *sync, const struct row_place *place, bool rebuild,
                   const struct header_row *row, struct error *err);
/* Waits for the rows that were sent, if any. */
bool sync_rows_settle(struct sync *sync, struct error *err);
/* Sends what is there, and waits for it. */
bool sync_rows_flush(struct sync *sync, struct error *err);
void sync_rows_forget(struct sync *sync);

/* --- sync_unknown.c */

void sync_unknown_file_free(gpointer data);
/* "size message-id", by which a moved message is known again. g_free. */
char *sync_message_key(int64_t size, const char *message_id);
/* Gives the files in hand their rows: moved ones, or new ones. */
bool sync_add_unknown(struct sync *sync, struct error *err);
/* What is still missing is gone. */
bool sync_remove_missing(struct sync *sync, struct error *err);

#endif
