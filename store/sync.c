/*
 * The order that keeps rows true while others write:
 *
 *   1. read the folder's stamp, then its rows, then its files. A row whose delivery committed before
 *      2 has its file on disk, so a row without a file is really one; a file whose row comes
 *      later is a file without a row, and giving it one meets the delivery's row in the unique index.
 *   2. look again for files that seemed to be missing, until a look during which the directories
 *      did not change: readdir may pass over a file that is renamed meanwhile
 *   3. over all folders: missing rows and unknown files that belong together are moves
 *   4. add, remove, in transactions of BATCH statements; then keep the stamps
 */
#include "store/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/path.h"
#include "store/db.h"
#include "store/rows.h"
#include "store/scan.h"
#include "store/store.h"

#define BATCH 200             /* statements of a transaction */
#define UNKNOWN_MAX 50000     /* files without a row that are kept in memory to find moves */
#define LOOKS_MAX 5           /* tries at a directory that changes while it is read */

/* A row of the folder in hand. */
struct known_row {
    int64_t id;
    bool is_read;
    bool file_is_read;       /* what the file said when they last agreed */
    char *flags;
    bool found;              /* its file is there */
};

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

/* The folder in hand. */
struct folder_pass {
    struct sync *sync;
    const struct scan_folder *folder;
    struct folder_state *state;
    GHashTable *rows;                 /* file → known_row */
    struct scan_keywords keywords;
    GPtrArray *carries;               /* of struct carry */
};

/* is_read to be written into a file's name. */
struct carry {
    char *entry;
    char *name, *letters;
    bool is_new;
    struct known_row *row;            /* borrowed from folder_pass.rows */
    struct unknown_file *rebuild;     /* to be rebuilt, under its new name; NULL: not */
};

static void known_row_free(gpointer data)
{
    struct known_row *row = data;

    g_free(row->flags);
    g_free(row);
}

static void missing_row_free(gpointer data)
{
    struct missing_row *row = data;

    g_free(row->mailbox);
    g_free(row->file);
    g_free(row->message_id);
    g_free(row);
}

static void unknown_file_free(gpointer data)
{
    struct unknown_file *file = data;

    g_free(file->path);
    g_free(file->name);
    g_free(file->mailbox);
    g_free(file->letters);
    g_free(file->flags);
    g_free(file);
}

static void folder_state_free(gpointer data)
{
    struct folder_state *state = data;

    g_free(state->mailbox);
    g_free(state);
}

static void carry_free(gpointer data)
{
    struct carry *carry = data;

    g_free(carry->entry);
    g_free(carry->name);
    g_free(carry->letters);
    if (carry->rebuild)
        unknown_file_free(carry->rebuild);
    g_free(carry);
}

static void note(const struct sync *sync, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void note(const struct sync *sync, const char *format, ...)
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

static bool commit_batch(struct sync *sync, struct error *err)
{
    sync->statements = 0;
    if (!db_in_transaction(sync->db))
        return true;
    return db_commit(sync->db, err) == DB_DURABLE;
}

/* Opens a transaction when none is, and ends one that is full. */
static bool next_statement(struct sync *sync, struct error *err)
{
    if (sync->statements >= BATCH && !commit_batch(sync, err))
        return false;
    sync->statements++;
    return db_in_transaction(sync->db) || db_begin(sync->db, err);
}

static bool queue(struct sync *sync, const char *sql, const struct db_value *values, size_t count,
                  struct error *err)
{
    if (sync->options->check_only)
        return true;
    return next_statement(sync, err) &&
           db_queue(sync->db, sql, values, count, NULL, NULL, err);
}

static bool queue_seen(struct sync *sync, const struct known_row *row, struct error *err)
{
    struct db_value values[3] = { db_bool(row->is_read), db_int(row->id),
                                  db_int(sync->user->id) };

    return queue(sync,
                 "UPDATE email_headers SET is_read = $1, file_is_read = $1 "
                 "WHERE id = $2 AND user_id = $3",
                 values, 3, err);
}

/* Only the base: an application may have changed is_read again since we read it. */
static bool queue_carried(struct sync *sync, const struct known_row *row, struct error *err)
{
    struct db_value values[3] = { db_bool(row->file_is_read), db_int(row->id),
                                  db_int(sync->user->id) };

    return queue(sync,
                 "UPDATE email_headers SET file_is_read = $1 WHERE id = $2 AND user_id = $3",
                 values, 3, err);
}

static bool queue_flags(struct sync *sync, const struct known_row *row, struct error *err)
{
    struct db_value values[3] = { db_text(row->flags), db_int(row->id), db_int(sync->user->id) };

    return queue(sync, "UPDATE email_headers SET flags = $1 WHERE id = $2 AND user_id = $3", values,
                 3, err);
}

/* ------------------------------------------------------------------ one folder */

static bool take_known(void *ctx, const struct db_row *row, struct error *err)
{
    GHashTable *rows = ctx;
    struct known_row *known = g_new0(struct known_row, 1);
    const char *flags = db_row_text(row, 4);

    (void)err;
    known->id = db_row_int(row, 0);
    known->is_read = db_row_bool(row, 2);
    known->file_is_read = db_row_bool(row, 3);
    known->flags = g_strdup(flags ? flags : "");
    g_hash_table_replace(rows, g_strdup(db_row_text(row, 1)), known);
    return true;
}

static bool load_rows(struct sync *sync, const char *mailbox, GHashTable **ret_rows,
                      struct error *err)
{
    struct db_value values[2] = { db_int(sync->user->id), db_text(mailbox) };
    g_autoptr(GHashTable) rows =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, known_row_free);

    /* what is still queued would change what we read */
    if (!commit_batch(sync, err) ||
        !db_exec(sync->db,
                 "SELECT id, file, is_read, file_is_read, flags FROM email_headers "
                 "WHERE user_id = $1 AND mailbox = $2 AND file IS NOT NULL",
                 values, 2, take_known, rows, err))
        return false;
    *ret_rows = g_steal_pointer(&rows);
    return true;
}

/* Compares \Seen by the rule of sync.h. *@ret_changed becomes true when the row's state changes;
 * *@ret_carry: it goes into the file, later. */
static bool compare_seen(struct folder_pass *pass, const struct scan_file *file,
                         struct known_row *row, bool *ret_changed, struct carry **ret_carry,
                         struct error *err)
{
    struct sync *sync = pass->sync;
    bool seen = strchr(file->flags, 'S') != NULL;
    struct carry *carry;

    if (seen != row->file_is_read) {
        *ret_changed = *ret_changed || row->is_read != seen;
        row->is_read = row->file_is_read = seen;
        return queue_seen(sync, row, err);
    }
    if (row->is_read == row->file_is_read)
        return true;
    carry = g_new0(struct carry, 1);
    carry->entry = g_strdup(file->entry);
    carry->name = g_strdup(file->name);
    carry->letters = g_strdup(file->flags);
    carry->is_new = file->is_new;
    carry->row = row;
    g_ptr_array_add(pass->carries, carry);
    *ret_carry = carry;
    return true;
}

static char *path_of(const struct scan_folder *folder, bool is_new, const char *entry)
{
    return g_strdup_printf("%s/%s/%s", folder->dir, is_new ? "new" : "cur", entry);
}

static struct unknown_file *unknown_file_new(const struct folder_pass *pass,
                                             const struct scan_file *file,
                                             const struct known_row *row, const char *flags)
{
    struct unknown_file *unknown = g_new0(struct unknown_file, 1);

    unknown->path = path_of(pass->folder, file->is_new, file->entry);
    unknown->name = g_strdup(file->name);
    unknown->mailbox = g_strdup(pass->folder->mailbox);
    unknown->letters = g_strdup(file->flags);
    unknown->flags = g_strdup(flags);
    unknown->rebuild = row != NULL;
    unknown->is_read = row ? row->is_read : strchr(file->flags, 'S') != NULL;
    return unknown;
}

static bool add_unknown(struct sync *sync, struct error *err);

static bool on_file(const struct scan_file *file, void *ctx, struct error *err)
{
    struct folder_pass *pass = ctx;
    struct sync *sync = pass->sync;
    struct known_row *row = g_hash_table_lookup(pass->rows, file->name);
    g_autofree char *flags = scan_flags_describe(file->flags, &pass->keywords);

    sync->counts->files++;
    sync->files++;
    if (sync->options->progress && sync->files % 64 == 0)
        sync->options->progress(sync->options->progress_ctx, sync->files);
    if (!row) {
        g_ptr_array_add(sync->unknown, unknown_file_new(pass, file, NULL, flags));
    } else {
        struct carry *carry = NULL;
        bool changed = strcmp(row->flags, flags) != 0;

        row->found = true;
        if (changed) {
            g_free(row->flags);
            row->flags = g_strdup(flags);
            if (!queue_flags(sync, row, err))
                return false;
        }
        if (!compare_seen(pass, file, row, &changed, &carry, err))
            return false;
        sync->counts->flagged += changed;
        if (sync->options->rebuild && !sync->options->check_only) {
            struct unknown_file *unknown = unknown_file_new(pass, file, row, flags);

            if (carry)
                carry->rebuild = unknown;
            else
                g_ptr_array_add(sync->unknown, unknown);
        }
    }
    return sync->unknown->len < UNKNOWN_MAX || add_unknown(sync, err);
}

/* The name with \Seen as the row wants it. */
static char *carried_name(const struct carry *carry)
{
    g_autoptr(GString) letters = g_string_new(NULL);

    for (const char *p = carry->letters; *p; p++)
        if (*p != 'S')
            g_string_append_c(letters, *p);
    if (carry->row->is_read) {
        size_t place = 0;

        while (place < letters->len && letters->str[place] < 'S')
            place++;
        g_string_insert_c(letters, (gssize)place, 'S');
    }
    return g_strdup_printf("%s:2,%s", carry->name, letters->str);
}

/* Renames the file as its row says. A file that went elsewhere meanwhile is left for next time. */
static bool carry_out(struct folder_pass *pass, struct carry *carry, int new_dir, int cur_dir,
                      struct error *err)
{
    struct sync *sync = pass->sync;
    g_autofree char *name = carried_name(carry);

    pass->state->unsettled = true;
    if (renameat2(carry->is_new ? new_dir : cur_dir, carry->entry, cur_dir, name,
                  RENAME_NOREPLACE) != 0) {
        if (errno == ENOENT || errno == EEXIST) {
            sync->counts->waiting++;
            return true;
        }
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot rename %s/%s", pass->folder->dir,
                        carry->entry);
        return false;
    }
    sync->counts->carried++;
    carry->row->file_is_read = carry->row->is_read;
    if (carry->rebuild) {
        g_free(carry->rebuild->path);
        carry->rebuild->path = path_of(pass->folder, false, name);
        g_ptr_array_add(sync->unknown, g_steal_pointer(&carry->rebuild));
    }
    return queue_carried(sync, carry->row, err);
}

static bool carry_all(struct folder_pass *pass, struct error *err)
{
    g_autofree char *new_path = g_strconcat(pass->folder->dir, "/new", NULL);
    g_autofree char *cur_path = g_strconcat(pass->folder->dir, "/cur", NULL);
    AUTO_FD new_dir = -1;
    AUTO_FD cur_dir = -1;

    if (pass->carries->len == 0)
        return true;
    if (pass->sync->options->check_only) {
        pass->sync->counts->carried += pass->carries->len;
        return true;
    }
    new_dir = path_open_dir(pass->sync->user->home, new_path, err);
    if (new_dir < 0)
        return false;
    cur_dir = path_open_dir(pass->sync->user->home, cur_path, err);
    if (cur_dir < 0)
        return false;
    for (guint i = 0; i < pass->carries->len; i++)
        if (!carry_out(pass, pass->carries->pdata[i], new_dir, cur_dir, err))
            return false;
    return true;
}

static bool on_second_look(const struct scan_file *file, void *ctx, struct error *err)
{
    struct folder_pass *pass = ctx;
    struct known_row *row = g_hash_table_lookup(pass->rows, file->name);

    (void)err;
    if (row)
        row->found = true;
    return true;
}

static bool any_missing(GHashTable *rows)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, rows);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (!((struct known_row *)value)->found)
            return true;
    return false;
}

static bool same_stamps(const struct scan_stamp *a, const struct scan_stamp *b)
{
    return a->new_mtime_ns == b->new_mtime_ns && a->cur_mtime_ns == b->cur_mtime_ns;
}

/* Looks until the directories stood still during a look; *@ret_sure false: they never did. */
static bool look_again(struct folder_pass *pass, bool *ret_sure, struct error *err)
{
    int home = pass->sync->user->home;
    const char *dir = pass->folder->dir;
    struct scan_stamp before, after;
    int64_t ignored = 0;

    for (int look = 0; look < LOOKS_MAX; look++) {
        if (!scan_stamp(home, dir, &before, err) ||
            !scan_files(home, dir, on_second_look, pass, &ignored, err) ||
            !scan_stamp(home, dir, &after, err))
            return false;
        if (same_stamps(&before, &after)) {
            *ret_sure = true;
            return true;
        }
    }
    *ret_sure = false;
    return true;
}

static bool take_message(void *ctx, const struct db_row *row, struct error *err)
{
    struct missing_row *missing = ctx;

    (void)err;
    missing->message_id = g_strdup(db_row_text(row, 0));
    missing->size = db_row_int(row, 1);
    return true;
}

static char *message_key(int64_t size, const char *message_id)
{
    return g_strdup_printf("%" PRId64 " %s", size, message_id);
}

static bool add_missing(struct sync *sync, const char *mailbox, const char *file,
                        const struct known_row *row, struct error *err)
{
    struct missing_row *missing = g_new0(struct missing_row, 1);
    struct db_value values[2] = { db_int(row->id), db_int(sync->user->id) };

    missing->id = row->id;
    missing->mailbox = g_strdup(mailbox);
    missing->file = g_strdup(file);
    missing->is_read = row->is_read;
    missing->file_is_read = row->file_is_read;
    g_ptr_array_add(sync->missing, missing);
    g_hash_table_replace(sync->missing_by_file, missing->file, missing);
    if (!db_exec(sync->db,
                 "SELECT message_id, size FROM email_headers WHERE id = $1 AND user_id = $2",
                 values, 2, take_message, missing, err))
        return false;
    if (missing->message_id && *missing->message_id)
        g_hash_table_replace(sync->missing_by_message,
                             message_key(missing->size, missing->message_id), missing);
    return true;
}

static bool add_all_missing(struct sync *sync, const char *mailbox, GHashTable *rows,
                            struct error *err)
{
    GHashTableIter iter;
    gpointer file, value;

    g_hash_table_iter_init(&iter, rows);
    while (g_hash_table_iter_next(&iter, &file, &value))
        if (!((struct known_row *)value)->found &&
            !add_missing(sync, mailbox, file, value, err))
            return false;
    return true;
}

static bool compare_folder(struct folder_pass *pass, struct error *err)
{
    struct sync *sync = pass->sync;
    bool sure = true;

    if (!scan_keywords_read(sync->user->home, pass->folder->dir, &pass->keywords, err) ||
        !load_rows(sync, pass->folder->mailbox, &pass->rows, err) ||
        !scan_files(sync->user->home, pass->folder->dir, on_file, pass, &sync->counts->ignored,
                    err) ||
        !carry_all(pass, err))
        return false;
    if (!any_missing(pass->rows))
        return true;
    if (!look_again(pass, &sure, err))
        return false;
    if (!sure) {
        pass->state->unsettled = true;
        sync->counts->waiting++;
        return true;
    }
    return add_all_missing(sync, pass->folder->mailbox, pass->rows, err);
}

static bool sync_folder(struct sync *sync, const struct scan_folder *folder,
                        struct folder_state *state, struct error *err)
{
    struct folder_pass pass = { .sync = sync, .folder = folder, .state = state };
    bool done;

    pass.carries = g_ptr_array_new_with_free_func(carry_free);
    done = compare_folder(&pass, err);
    if (!done && err->code == ENOENT) {
        /* the folder went away while we read it: next time it is a vanished one */
        error_clear(err);
        state->unsettled = true;
        sync->counts->waiting++;
        done = true;
    }
    g_ptr_array_unref(pass.carries);
    if (pass.rows)
        g_hash_table_unref(pass.rows);
    scan_keywords_clear(&pass.keywords);
    return done;
}

/* ------------------------------------------------------------------ files without a row */

/* When the message arrived: the seconds in front of the name, or the file's time. */
static int64_t received_at(const char *name, const struct stat *status)
{
    char *end;
    gint64 seconds = g_ascii_strtoll(name, &end, 10);

    return *end == '.' && seconds > 0 && seconds < status->st_ctime + 86400
               ? seconds
               : (int64_t)status->st_mtime;
}

static bool is_sent_mailbox(const struct sync *sync, const char *mailbox)
{
    g_auto(GStrv) names = NULL;

    if (!sync->host->sent || !sync->options->sent_mailboxes)
        return false;
    names = g_strsplit(sync->options->sent_mailboxes, " ", -1);
    return g_strv_contains((const char *const *)names, mailbox);
}

static void leave_for_next_time(struct sync *sync, const struct unknown_file *file)
{
    struct folder_state *state = g_hash_table_lookup(sync->folders, file->mailbox);

    if (state)
        state->unsettled = true;
    sync->counts->waiting++;
}

/* The row goes where its file went. @file's name may be another one: Dovecot gives a moved message
 * a new name. Where that place has a row already, this one is the old one and goes. */
static bool move_row(struct sync *sync, struct missing_row *missing,
                     const struct unknown_file *file, struct error *err)
{
    bool seen = strchr(file->letters, 'S') != NULL;
    /* an application changed is_read, the file is as it was: the change stays, to be carried */
    bool is_read = seen == missing->file_is_read ? missing->is_read : seen;
    struct db_value values[7] = {
        db_text(file->mailbox), db_text(file->name), db_bool(is_read), db_bool(seen),
        db_text(file->flags), db_int(missing->id), db_int(sync->user->id),
    };

    missing->taken = true;
    sync->counts->moved++;
    return queue(sync,
                 "UPDATE email_headers SET mailbox = $1, file = $2, is_read = $3, "
                 "file_is_read = $4, flags = $5 WHERE id = $6 AND user_id = $7 AND NOT EXISTS "
                 "(SELECT 1 FROM email_headers o WHERE o.user_id = $7 AND o.mailbox = $1 "
                 "AND o.file = $2)",
                 values, 7, err);
}

static struct missing_row *missing_for_message(struct sync *sync, const struct header_row *row,
                                               int64_t size)
{
    g_autofree char *key = NULL;
    struct missing_row *missing;

    if (!row->message_id || !*row->message_id)
        return NULL;
    key = message_key(size, row->message_id);
    missing = g_hash_table_lookup(sync->missing_by_message, key);
    return missing && !missing->taken ? missing : NULL;
}

static bool insert_row(struct sync *sync, const struct unknown_file *file,
                       const struct header_row *row, const struct stat *status, struct error *err)
{
    struct row_place place = {
        .user_id = sync->user->id,
        .mailbox = file->mailbox,
        .file = file->name,
        .size = status->st_size,
        .is_read = file->is_read,
        .flags = file->flags,
        .received_at = received_at(file->name, status),
    };

    if (file->rebuild)
        sync->counts->rebuilt++;
    else
        sync->counts->added++;
    if (sync->options->check_only)
        return true;
    if (!next_statement(sync, err) || !rows_queue_insert(sync->db, &place, row, err))
        return false;
    return file->rebuild || !is_sent_mailbox(sync, file->mailbox) ||
           sync->host->sent(sync->host->ctx, sync->db, sync->user->id, row, err);
}

/* Opens, makes the row, puts it where it belongs. */
static bool read_unknown(struct sync *sync, const struct unknown_file *file, struct error *err)
{
    AUTO_FD fd = path_open_file(sync->user->home, file->path, err);
    struct header_row *row;
    struct missing_row *missing;
    struct stat status;
    bool done;

    if (fd < 0) {
        if (err->code != ENOENT && err->code != ELOOP && err->code != EACCES)
            return false;
        if (err->code == EACCES)
            note(sync, "%s: %s", sync->user->address, err->text);
        error_clear(err);
        leave_for_next_time(sync, file);
        return true;
    }
    if (fstat(fd, &status) != 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot look at %s", file->path);
        return false;
    }
    if (!file->rebuild && sync->options->min_age_s > 0 &&
        time(NULL) - status.st_ctime < sync->options->min_age_s) {
        leave_for_next_time(sync, file);
        return true;
    }
    if (!sync->host->make_row(sync->host->ctx, fd, file->path, &row, err)) {
        if (err->kind != ERROR_BAD_DATA)
            return false;
        note(sync, "%s: %s: no row: %s", sync->user->address, file->path, err->text);
        error_clear(err);
        sync->counts->ignored++;
        return true;
    }
    missing = file->rebuild ? NULL : missing_for_message(sync, row, status.st_size);
    done = missing ? move_row(sync, missing, file, err)
                   : insert_row(sync, file, row, &status, err);
    sync->host->free_row(sync->host->ctx, row);
    return done;
}

/* Gives the files in hand their rows. */
static bool add_unknown(struct sync *sync, struct error *err)
{
    for (guint i = 0; i < sync->unknown->len; i++) {
        const struct unknown_file *file = sync->unknown->pdata[i];
        struct missing_row *missing =
            file->rebuild ? NULL : g_hash_table_lookup(sync->missing_by_file, file->name);

        if (!(missing && !missing->taken ? move_row(sync, missing, file, err)
                                         : read_unknown(sync, file, err)))
            return false;
    }
    g_ptr_array_set_size(sync->unknown, 0);
    return true;
}

/* What is still missing is gone. A moved row stands elsewhere by now, but where its place was taken
 * it stands where it did: the condition finds that one too. */
static bool remove_missing(struct sync *sync, struct error *err)
{
    for (guint i = 0; i < sync->missing->len; i++) {
        const struct missing_row *missing = sync->missing->pdata[i];
        struct db_value values[4] = { db_int(missing->id), db_int(sync->user->id),
                                      db_text(missing->mailbox), db_text(missing->file) };

        sync->counts->removed += !missing->taken;
        if (!queue(sync,
                   "DELETE FROM email_headers WHERE id = $1 AND user_id = $2 AND mailbox = $3 "
                   "AND file = $4",
                   values, 4, err))
            return false;
    }
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
    struct db_value values[2] = { db_int(sync->user->id), db_text(mailbox) };
    struct stored_stamp stored = { .found = false };
    int64_t one;
    bool found;

    if (!db_exec(sync->db,
                 "SELECT new_mtime, cur_mtime, keywords_mtime FROM sync_folders "
                 "WHERE user_id = $1 AND mailbox = $2",
                 values, 2, take_stamp, &stored, err))
        return false;
    if (!stored.found || !same_stamps(&stored.stamp, stamp) ||
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
            db_int(sync->user->id), db_text(state->mailbox), db_int(state->stamp.new_mtime_ns),
            db_int(state->stamp.cur_mtime_ns), db_int(state->stamp.keywords_mtime_ns),
        };

        if (state->unsettled || !state->stamp.settled)
            continue;
        if (!queue(sync,
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
        if (!scan_stamp(sync->user->home, folder->dir, &state->stamp, err)) {
            if (err->code != ENOENT)
                return false;
            error_clear(err);
            state->unsettled = true;
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
        if (!sync_folder(sync, folder, state, err))
            return false;
    }
    return true;
}

/* Mailboxes that have rows but no folder: all their rows miss their files. Found by hopping through
 * the index from name to name. */
static bool sync_vanished(struct sync *sync, struct error *err)
{
    g_autofree char *last = g_strdup("");

    for (;;) {
        struct db_value values[2] = { db_int(sync->user->id), db_text(last) };
        g_autoptr(GHashTable) rows = NULL;
        char *mailbox = NULL;

        if (!db_query_text(sync->db,
                           "SELECT min(mailbox) FROM email_headers WHERE user_id = $1 "
                           "AND mailbox > $2",
                           values, 2, &mailbox, err))
            return false;
        if (!mailbox)
            return true;
        g_free(last);
        last = mailbox;
        if (g_hash_table_contains(sync->folders, mailbox) || !is_wanted(sync, mailbox))
            continue;
        if (!load_rows(sync, mailbox, &rows, err) ||
            !add_all_missing(sync, mailbox, rows, err))
            return false;
        values[1] = db_text(mailbox);
        if (!queue(sync, "DELETE FROM sync_folders WHERE user_id = $1 AND mailbox = $2", values, 2,
                   err))
            return false;
    }
}

static bool run(struct sync *sync, struct error *err)
{
    g_autoptr(GPtrArray) folders = NULL;

    return scan_folders(sync->user->home, &folders, err) && sync_present(sync, folders, err) &&
           sync_vanished(sync, err) && add_unknown(sync, err) && remove_missing(sync, err) &&
           keep_stamps(sync, err) && commit_batch(sync, err);
}

static bool run_once(struct db *db, const struct sync_user *user, const struct sync_host *host,
                     const struct sync_options *options, struct sync_counts *counts,
                     struct error *err)
{
    struct sync sync = { .db = db, .user = user, .host = host, .options = options,
                         .counts = counts };
    bool done;

    sync.missing = g_ptr_array_new_with_free_func(missing_row_free);
    sync.missing_by_file = g_hash_table_new(g_str_hash, g_str_equal);
    sync.missing_by_message = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    sync.unknown = g_ptr_array_new_with_free_func(unknown_file_free);
    sync.folders = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, folder_state_free);
    done = run(&sync, err);
    if (!done)
        db_rollback(db);
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
