/* One folder: its rows beside its files. */
#include "store/sync-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/path.h"
#include "store/db.h"

#define LOOKS_MAX 5 /* tries at a directory that changes while it is read */

/* A row of the folder in hand. */
struct known_row {
    int64_t id;
    bool is_read;
    bool file_is_read; /* what the file said when they last agreed */
    bool odd;          /* one of these is neither true nor false in the row */
    char *flags;       /* NULL in a row edited by hand */
    bool found; /* its file is there */
};

/* The folder in hand. */
struct folder_pass {
    struct sync *sync;
    const struct scan_folder *folder;
    struct folder_state *state;
    GHashTable *rows; /* file → known_row */
    struct scan_keywords keywords;
    GPtrArray *carries; /* of struct carry */
};

/* is_read to be written into a file's name. */
struct carry {
    char *entry;
    char *name, *letters;
    bool is_new;
    struct known_row *row;        /* borrowed from folder_pass.rows */
    struct unknown_file *rebuild; /* to be rebuilt, under its new name; NULL: not */
};

static void known_row_free(gpointer data)
{
    struct known_row *row = data;

    g_free(row->flags);
    g_free(row);
}

static void carry_free(gpointer data)
{
    struct carry *carry = data;

    g_free(carry->entry);
    g_free(carry->name);
    g_free(carry->letters);
    if (carry->rebuild)
        sync_unknown_file_free(carry->rebuild);
    g_free(carry);
}

static bool queue_seen(struct sync *sync, const struct known_row *row, struct error *err)
{
    struct db_value values[3] = {db_bool(row->is_read), db_int(row->id), db_int(sync->user->id)};

    return sync_queue(sync,
                      "UPDATE email_headers SET is_read = $1, file_is_read = $1 "
                      "WHERE id = $2 AND user_id = $3",
                      values, 3, err);
}

/* Only the base: an application may have changed is_read again since we read it. */
static bool queue_carried(struct sync *sync, const struct known_row *row, struct error *err)
{
    struct db_value values[3] = {db_bool(row->file_is_read), db_int(row->id),
                                 db_int(sync->user->id)};

    return sync_queue(sync,
                      "UPDATE email_headers SET file_is_read = $1 WHERE id = $2 AND user_id = $3",
                      values, 3, err);
}

static bool queue_flags(struct sync *sync, const struct known_row *row, struct error *err)
{
    struct db_value values[3] = {db_text(row->flags), db_int(row->id), db_int(sync->user->id)};

    return sync_queue(sync, "UPDATE email_headers SET flags = $1 WHERE id = $2 AND user_id = $3",
                      values, 3, err);
}

bool sync_same_stamps(const struct scan_stamp *a, const struct scan_stamp *b)
{
    return a->new_mtime_ns == b->new_mtime_ns && a->cur_mtime_ns == b->cur_mtime_ns;
}

static bool take_known(void *ctx, const struct db_row *row, struct error *err)
{
    GHashTable *rows = ctx;
    struct known_row *known = g_new0(struct known_row, 1);
    const char *flags = db_row_text(row, 4);

    (void)err;
    known->id = db_row_int(row, 0);
    known->is_read = db_row_bool(row, 2);
    known->file_is_read = db_row_bool(row, 3);
    known->odd = db_row_bool(row, 5);
    known->flags = g_strdup(flags);
    g_hash_table_replace(rows, g_strdup(db_row_text(row, 1)), known);
    return true;
}

/* Rows that name a file, also those edited by hand into what no file is called: they miss their file.
 * SQLite takes anything in any column; a name that is no text cannot be compared and is passed by. */
static const char pgsql_rows[] =
    "SELECT id, file, is_read, file_is_read, flags, is_read IS NULL OR file_is_read IS NULL "
    "FROM email_headers WHERE user_id = $1 AND mailbox = $2 AND file IS NOT NULL";
static const char sqlite_rows[] =
    "SELECT id, file, is_read, file_is_read, flags, "
    "coalesce(is_read NOT IN (0, 1) OR file_is_read NOT IN (0, 1), 1) "
    "FROM email_headers WHERE user_id = $1 AND mailbox = $2 AND typeof(file) = 'text' "
    "AND instr(file, char(0)) = 0";

static bool load_rows(struct sync *sync, const char *mailbox, GHashTable **ret_rows,
                      struct error *err)
{
    struct db_value values[2] = {db_int(sync->user->id), db_text(mailbox)};
    g_autoptr(GHashTable) rows =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, known_row_free);

    /* what is still queued would change what we read */
    if (!sync_commit_batch(sync, err) ||
        !db_exec(sync->db, db_kind(sync->db) == DB_PGSQL ? pgsql_rows : sqlite_rows, values, 2,
                 take_known, rows, err))
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
        return !row->odd || queue_seen(sync, row, err);
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

    unknown->path = file->mbox ? g_strdup(pass->folder->dir)
                               : path_of(pass->folder, file->is_new, file->entry);
    unknown->mbox = file->mbox ? g_memdup2(file->mbox, sizeof *file->mbox) : NULL;
    unknown->name = g_strdup(file->name);
    unknown->mailbox = g_strdup(pass->folder->mailbox);
    unknown->letters = g_strdup(file->flags);
    unknown->flags = g_strdup(flags);
    unknown->rebuild = row != NULL;
    unknown->is_read = row ? row->is_read : strchr(file->flags, 'S') != NULL;
    return unknown;
}

static char *flags_of(const struct folder_pass *pass, const struct scan_file *file)
{
    g_autofree char *system = NULL;

    if (!file->keywords)
        return scan_flags_describe(file->flags, &pass->keywords);
    system = scan_flags_describe(file->flags, NULL);
    return g_strdup_printf("%s%s%s", system, *system && *file->keywords ? " " : "", file->keywords);
}

static bool on_file(const struct scan_file *file, void *ctx, struct error *err)
{
    struct folder_pass *pass = ctx;
    struct sync *sync = pass->sync;
    struct known_row *row = g_hash_table_lookup(pass->rows, file->name);
    g_autofree char *flags = flags_of(pass, file);

    sync->counts->files++;
    sync->files++;
    if (sync->options->progress && sync->files % 64 == 0)
        sync->options->progress(sync->options->progress_ctx, sync->files);
    if (!row) {
        g_ptr_array_add(sync->unknown, unknown_file_new(pass, file, NULL, flags));
    } else {
        struct carry *carry = NULL;
        bool changed = g_strcmp0(row->flags, flags) != 0;

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
    return sync->unknown->len < UNKNOWN_MAX || sync_add_unknown(sync, err);
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
        if (sync_same_stamps(&before, &after)) {
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

static bool add_missing(struct sync *sync, const char *mailbox, const char *file,
                        const struct known_row *row, struct error *err)
{
    struct missing_row *missing = g_new0(struct missing_row, 1);
    struct db_value values[2] = {db_int(row->id), db_int(sync->user->id)};

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
                             sync_message_key(missing->size, missing->message_id), missing);
    return true;
}

static bool add_all_missing(struct sync *sync, const char *mailbox, GHashTable *rows,
                            struct error *err)
{
    GHashTableIter iter;
    gpointer file, value;

    g_hash_table_iter_init(&iter, rows);
    while (g_hash_table_iter_next(&iter, &file, &value))
        if (!((struct known_row *)value)->found && !add_missing(sync, mailbox, file, value, err))
            return false;
    return true;
}

/* is_read into the headers of an mbox's messages, before they are compared: they move within the file. */
static bool carry_into_mbox(struct folder_pass *pass, struct error *err)
{
    struct sync *sync = pass->sync;
    g_autoptr(GHashTable) wishes = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) done = NULL;
    GHashTableIter iter;
    gpointer file, value;

    g_hash_table_iter_init(&iter, pass->rows);
    while (g_hash_table_iter_next(&iter, &file, &value)) {
        const struct known_row *row = value;

        if (row->is_read != row->file_is_read)
            g_hash_table_insert(wishes, file, GINT_TO_POINTER(row->is_read ? 2 : 1));
    }
    if (g_hash_table_size(wishes) == 0 || sync->options->check_only)
        return true;
    if (!sync_mbox_carry(sync, pass->folder->mailbox, wishes, &done, err))
        return false;
    g_hash_table_iter_init(&iter, done);
    while (g_hash_table_iter_next(&iter, &file, NULL)) {
        struct known_row *row = g_hash_table_lookup(pass->rows, file);

        sync->counts->carried++;
        row->file_is_read = row->is_read;
        if (!queue_carried(sync, row, err))
            return false;
    }
    return sync_commit_batch(sync, err);
}

static bool compare_mbox(struct folder_pass *pass, struct error *err)
{
    struct sync *sync = pass->sync;
    const char *mailbox = pass->folder->mailbox;
    bool busy;

    if (!load_rows(sync, mailbox, &pass->rows, err) || !carry_into_mbox(pass, err) ||
        !sync_mbox_files(sync, mailbox, &pass->state->stamp, on_file, pass, &busy, err))
        return false;
    if (busy) {
        pass->state->unsettled = true;
        sync->counts->waiting++;
        return true;
    }
    /* what a check only counts, or could not be written */
    if (sync->options->check_only)
        sync->counts->carried += pass->carries->len;
    else
        sync->counts->waiting += pass->carries->len;
    pass->state->unsettled = pass->state->unsettled || pass->carries->len > 0;
    return add_all_missing(sync, mailbox, pass->rows, err);
}

static bool compare_folder(struct folder_pass *pass, struct error *err)
{
    struct sync *sync = pass->sync;
    bool sure = true;

    if (sync->user->mbox)
        return compare_mbox(pass, err);
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

bool sync_compare_folder(struct sync *sync, const struct scan_folder *folder,
                         struct folder_state *state, struct error *err)
{
    struct folder_pass pass = {.sync = sync, .folder = folder, .state = state};
    bool done;

    pass.carries = g_ptr_array_new_with_free_func(carry_free);
    done = compare_folder(&pass, err);
    done = done || sync_pass_folder(sync, state, err);
    g_ptr_array_unref(pass.carries);
    if (pass.rows)
        g_hash_table_unref(pass.rows);
    scan_keywords_clear(&pass.keywords);
    return done;
}

bool sync_miss_mailbox(struct sync *sync, const char *mailbox, struct error *err)
{
    g_autoptr(GHashTable) rows = NULL;

    return load_rows(sync, mailbox, &rows, err) && add_all_missing(sync, mailbox, rows, err);
}
