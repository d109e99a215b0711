/*
 * The order that keeps rows true while others write:
 *
 *   1. read the folder's stamp, then its rows, then its files. A row whose delivery committed
 * before 2 has its file on disk, so a row without a file is really one; a file whose row comes
 *      later is a file without a row, and giving it one meets the delivery's row in the unique
 * index.
 *   2. look again for files that seemed to be missing, until a look during which the directories
 *      did not change: readdir may pass over a file that is renamed meanwhile
 *   3. over all folders: missing rows and unknown files that belong together are moves
 *   4. add, remove, in transactions of BATCH statements, rows in transactions of their own; then
 *      keep the stamps
 */
#include "store/sync-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/db.h"
#include "store/mailbox_name.h"

#define BATCH 200 /* statements of a transaction */

static void missing_row_free(gpointer data)
{
    struct missing_row *row = data;

    g_free(row->mailbox);
    g_free(row->file);
    g_free(row->message_id);
    g_free(row);
}

static void folder_state_free(gpointer data)
{
    struct folder_state *state = data;

    g_free(state->mailbox);
    g_free(state);
}

void sync_note(const struct sync *sync, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list arguments;

    if (!sync->host->note)
        return;
    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    sync->host->note(sync->host->ctx, text);
}

/* ------------------------------------------------------------------ statements */

static bool commit_statements(struct sync *sync, struct error *err)
{
    sync->statements = 0;
    return !db_in_transaction(sync->db) || db_commit(sync->db, err) == DB_DURABLE;
}

bool sync_commit_batch(struct sync *sync, struct error *err)
{
    return sync_rows_flush(sync, err) && commit_statements(sync, err);
}

/* Opens a transaction when none is, and ends one that is full. */
bool sync_next_statement(struct sync *sync, struct error *err)
{
    if (!sync_rows_settle(sync, err) ||
        (sync->statements >= BATCH && !commit_statements(sync, err)))
        return false;
    sync->statements++;
    return db_in_transaction(sync->db) || db_begin(sync->db, err);
}

bool sync_queue(struct sync *sync, const char *sql, const struct db_value *values, size_t count,
                struct error *err)
{
    if (sync->options->check_only)
        return true;
    return sync_next_statement(sync, err) &&
           db_queue(sync->db, sql, values, count, NULL, NULL, err);
}

bool sync_pass_folder(struct sync *sync, struct folder_state *state, struct error *err)
{
    if (db_fault(sync->db) != DB_FAULT_NONE ||
        (err->code != ENOENT && err->code != ENOTDIR && err->code != ELOOP && err->code != EACCES))
        return false;
    if (err->code == EACCES)
        sync_note(sync, "%s: %s", sync->user->address, err->text);
    error_clear(err);
    state->unsettled = true;
    sync->counts->waiting++;
    return true;
}

/* ------------------------------------------------------------------ stamps */

struct stored_stamp {
    bool found;
    struct scan_stamp stamp;
};

static bool take_stamp(void *ctx, const struct db_row *row, struct error *err)
{
    struct stored_stamp *stored = ctx;

    (void)err;
    stored->found = true;
    stored->stamp.new_mtime_ns = db_row_int(row, 0);
    stored->stamp.cur_mtime_ns = db_row_int(row, 1);
    stored->stamp.keywords_mtime_ns = db_row_int(row, 2);
    return true;
}

/* Must the folder be read: its stamp differs, or an application changed is_read in it? */
static bool folder_changed(struct sync *sync, const char *mailbox, const struct scan_stamp *stamp,
                           bool *ret_changed, struct error *err)
{
    struct db_value values[2] = {db_int(sync->user->id), db_text(mailbox)};
    struct stored_stamp stored = {.found = false};
    int64_t one;
    bool found;

    if (!db_exec(sync->db,
                 "SELECT new_mtime, cur_mtime, keywords_mtime FROM sync_folders "
                 "WHERE user_id = $1 AND mailbox = $2",
                 values, 2, take_stamp, &stored, err))
        return false;
    if (!stored.found || !sync_same_stamps(&stored.stamp, stamp) ||
        stored.stamp.keywords_mtime_ns != stamp->keywords_mtime_ns) {
        *ret_changed = true;
        return true;
    }
    if (!db_query_int(sync->db,
                      db_kind(sync->db) == DB_PGSQL
                          ? "SELECT 1 FROM email_headers WHERE user_id = $1 AND mailbox = $2 AND "
                            "is_read IS DISTINCT FROM file_is_read LIMIT 1"
                          : "SELECT 1 FROM email_headers WHERE user_id = $1 AND mailbox = $2 AND "
                            "is_read IS NOT file_is_read LIMIT 1",
                      values, 2, &found, &one, err))
        return false;
    *ret_changed = found;
    return true;
}

static bool keep_stamps(struct sync *sync, struct error *err)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, sync->folders);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct folder_state *state = value;
        struct db_value values[5] = {
            db_int(sync->user->id),
            db_text(state->mailbox),
            db_int(state->stamp.new_mtime_ns),
            db_int(state->stamp.cur_mtime_ns),
            db_int(state->stamp.keywords_mtime_ns),
        };

        if (state->unsettled || !state->stamp.settled)
            continue;
        if (!sync_queue(
                sync,
                "INSERT INTO sync_folders (user_id, mailbox, new_mtime, cur_mtime, "
                "keywords_mtime) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_id, mailbox) "
                "DO UPDATE SET new_mtime = excluded.new_mtime, cur_mtime = excluded.cur_mtime, "
                "keywords_mtime = excluded.keywords_mtime",
                values, 5, err))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ a user */

static bool is_wanted(const struct sync *sync, const char *mailbox)
{
    return !sync->options->only_mailboxes ||
           g_strv_contains(sync->options->only_mailboxes, mailbox);
}

static bool sync_present(struct sync *sync, const GPtrArray *folders, struct error *err)
{
    for (guint i = 0; i < folders->len; i++) {
        const struct scan_folder *folder = folders->pdata[i];
        struct folder_state *state = g_new0(struct folder_state, 1);
        bool changed = true;

        state->mailbox = g_strdup(folder->mailbox);
        g_hash_table_replace(sync->folders, state->mailbox, state);
        if (!is_wanted(sync, folder->mailbox)) {
            state->unsettled = true;
            continue;
        }
        sync->counts->folders++;
        if (!(sync->user->mbox ? sync_mbox_stamp : scan_stamp)(sync->user->home, folder->dir,
                                                               &state->stamp, err)) {
            if (!sync_pass_folder(sync, state, err))
                return false;
            continue;
        }
        if (!sync->options->full && !sync->options->rebuild &&
            !folder_changed(sync, folder->mailbox, &state->stamp, &changed, err))
            return false;
        if (!changed) {
            sync->counts->unchanged_folders++;
            state->unsettled = true; /* the stamp is kept already */
            continue;
        }
        if (!sync_compare_folder(sync, folder, state, err))
            return false;
    }
    return true;
}

/* A folder that was not found because we may not look is no folder that is gone. */
static bool is_hidden(struct sync *sync, const char *mailbox)
{
    g_autofree char *dir = mailbox_name_to_dir(mailbox);
    g_autofree char *cur = g_strconcat(dir, "/cur", NULL);
    struct stat status;

    if (sync->user->mbox || strchr(dir, '/') != NULL ||
        fstatat(sync->user->home, cur, &status, AT_SYMLINK_NOFOLLOW) == 0 || errno == ENOENT ||
        errno == ENOTDIR || errno == ELOOP || errno == ENAMETOOLONG)
        return false;
    sync_note(sync, "%s: cannot look into %s: %s", sync->user->address, dir, g_strerror(errno));
    sync->counts->waiting++;
    return true;
}

/* Mailboxes that have rows but no folder: all their rows miss their files. Found by hopping through
 * the index from name to name; in SQLite over names that are no text, which would not come back as
 * they are and hold us here for ever. */
static bool sync_vanished(struct sync *sync, struct error *err)
{
    g_autofree char *last = g_strdup("");

    for (;;) {
        struct db_value values[2] = {db_int(sync->user->id), db_text(last)};
        char *mailbox = NULL;

        if (!db_query_text(sync->db,
                           db_kind(sync->db) == DB_PGSQL
                               ? "SELECT min(mailbox) FROM email_headers WHERE user_id = $1 "
                                 "AND mailbox > $2"
                               : "SELECT min(mailbox) FROM email_headers WHERE user_id = $1 "
                                 "AND mailbox > $2 AND typeof(mailbox) = 'text' "
                                 "AND instr(mailbox, char(0)) = 0",
                           values, 2, &mailbox, err))
            return false;
        if (!mailbox)
            return true;
        g_free(last);
        last = mailbox;
        if (g_hash_table_contains(sync->folders, mailbox) || !is_wanted(sync, mailbox) ||
            is_hidden(sync, mailbox))
            continue;
        if (!sync_miss_mailbox(sync, mailbox, err))
            return false;
        values[1] = db_text(mailbox);
        if (!sync_queue(sync, "DELETE FROM sync_folders WHERE user_id = $1 AND mailbox = $2",
                        values, 2, err))
            return false;
    }
}

static bool run(struct sync *sync, struct error *err)
{
    g_autoptr(GPtrArray) folders = NULL;

    return (sync->user->mbox ? sync_mbox_folders : scan_folders)(sync->user->home, &folders, err) &&
           sync_present(sync, folders, err) &&
           sync_vanished(sync, err) && sync_add_unknown(sync, err) &&
           sync_remove_missing(sync, err) && keep_stamps(sync, err) && sync_commit_batch(sync, err);
}

static bool run_once(struct db *db, const struct sync_user *user, const struct sync_host *host,
                     const struct sync_options *options, struct sync_counts *counts,
                     struct error *err)
{
    struct sync sync = {.db = db, .user = user, .host = host, .options = options, .counts = counts,
                        .directory_fd = -1};
    bool done;

    sync.missing = g_ptr_array_new_with_free_func(missing_row_free);
    sync.missing_by_file = g_hash_table_new(g_str_hash, g_str_equal);
    sync.missing_by_message = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    sync.unknown = g_ptr_array_new_with_free_func(sync_unknown_file_free);
    sync.folders = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, folder_state_free);
    done = run(&sync, err);
    if (!done)
        db_rollback(db);
    sync_rows_forget(&sync);
    if (sync.directory_fd >= 0)
        close(sync.directory_fd);
    g_free(sync.directory);
    g_hash_table_unref(sync.missing_by_file);
    g_hash_table_unref(sync.missing_by_message);
    g_hash_table_unref(sync.folders);
    g_ptr_array_unref(sync.missing);
    g_ptr_array_unref(sync.unknown);
    return done;
}

bool sync_run(struct db *db, const struct sync_user *user, const struct sync_host *host,
              const struct sync_options *options, struct sync_counts *counts, struct error *err)
{
    /* a deadlock with a delivery or another sync: again, from what is on disk now */
    for (int tries = 0;; tries++) {
        struct sync_counts saved = *counts;

        if (run_once(db, user, host, options, counts, err))
            return true;
        if (tries == 3 || db_fault(db) != DB_FAULT_CONFLICT) {
            error_prefix(err, "sync of %s", user->address);
            return false;
        }
        *counts = saved;
        error_clear(err);
    }
}
