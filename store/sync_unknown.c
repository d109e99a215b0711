/* Files that need a row, rows that lost their file: together they are moves. */
#include "store/sync-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/path.h"
#include "store/db.h"
#include "store/rows.h"
#include "store/store.h"

void sync_unknown_file_free(gpointer data)
{
    struct unknown_file *file = data;

    g_free(file->path);
    g_free(file->name);
    g_free(file->mailbox);
    g_free(file->letters);
    g_free(file->flags);
    g_free(file->mbox);
    g_free(file);
}

char *sync_message_key(int64_t size, const char *message_id)
{
    return g_strdup_printf("%" PRId64 " %s", size, message_id);
}

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
        db_text(file->mailbox), db_text(file->name), db_bool(is_read),       db_bool(seen),
        db_text(file->flags),   db_int(missing->id), db_int(sync->user->id),
    };

    missing->taken = true;
    sync->counts->moved++;
    return sync_queue(sync,
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
    key = sync_message_key(size, row->message_id);
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
    if (file->rebuild || !is_sent_mailbox(sync, file->mailbox))
        return sync_rows_add(sync, &place, file->rebuild, row, err);
    /* row and address book in one transaction: a second try counts no address twice */
    return sync_next_statement(sync, err) && rows_queue_insert(sync->db, &place, row, err) &&
           sync->host->sent(sync->host->ctx, sync->db, sync->user->id, row, err);
}

/* The file of a message. Its directory stays open for the next one: to walk there costs as much as to
 * read a small message. */
static int open_file(struct sync *sync, const struct unknown_file *file, struct error *err)
{
    const char *slash = strrchr(file->path, '/');
    g_autofree char *directory = g_strndup(file->path, (gsize)(slash - file->path));
    int fd;

    if (g_strcmp0(directory, sync->directory) != 0) {
        fd = path_open_dir(sync->user->home, directory, err);
        if (fd < 0)
            return -1;
        if (sync->directory_fd >= 0)
            close(sync->directory_fd);
        g_free(sync->directory);
        sync->directory_fd = fd;
        sync->directory = g_steal_pointer(&directory);
    }
    fd = openat(sync->directory_fd, slash + 1, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot open %s", file->path);
    return fd;
}

/* Something else stands where the file was, or nothing we may read: next time. */
static bool pass_over(struct sync *sync, const struct unknown_file *file, struct error *err)
{
    if (err->code != ENOENT && err->code != ENOTDIR && err->code != ELOOP && err->code != EACCES &&
        err->code != ENXIO)
        return false;
    if (err->code == EACCES)
        sync_note(sync, "%s: %s", sync->user->address, err->text);
    error_clear(err);
    leave_for_next_time(sync, file);
    return true;
}

/* Opens, makes the row, puts it where it belongs. */
static bool read_unknown(struct sync *sync, const struct unknown_file *file, struct error *err)
{
    AUTO_FD fd = file->mbox ? sync_mbox_extract(sync, file, err)
                            : open_file(sync, file, err);
    struct header_row *row;
    struct missing_row *missing;
    struct stat status;
    bool done;

    if (fd < 0)
        return pass_over(sync, file, err);
    if (fstat(fd, &status) != 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot look at %s", file->path);
        return false;
    }
    if (!S_ISREG(status.st_mode)) {
        leave_for_next_time(sync, file);
        return true;
    }
    /* a delivery holds an mbox's lock until its row is there: what was seen is as old as can be */
    if (!file->rebuild && !file->mbox && sync->options->min_age_s > 0 &&
        time(NULL) - status.st_ctime < sync->options->min_age_s) {
        leave_for_next_time(sync, file);
        return true;
    }
    if (!sync->host->make_row(sync->host->ctx, fd, file->path, &row, err)) {
        if (err->kind != ERROR_BAD_DATA)
            return false;
        sync_note(sync, "%s: %s: no row: %s", sync->user->address, file->path, err->text);
        error_clear(err);
        sync->counts->ignored++;
        return true;
    }
    missing = file->rebuild ? NULL : missing_for_message(sync, row, status.st_size);
    done = missing ? move_row(sync, missing, file, err) : insert_row(sync, file, row, &status, err);
    sync->host->free_row(sync->host->ctx, row);
    return done;
}

static gint compare_places(gconstpointer a, gconstpointer b)
{
    const struct unknown_file *left = *(const struct unknown_file *const *)a;
    const struct unknown_file *right = *(const struct unknown_file *const *)b;
    int order = strcmp(left->mailbox, right->mailbox);

    return order != 0 ? order : strcmp(left->name, right->name);
}

/* Gives the files in hand their rows: by name, which is by time, so that files lie near each other on the
 * disk and rows in the indexes. (The sort is stable: a file seen twice stays in the order of the looks.) */
bool sync_add_unknown(struct sync *sync, struct error *err)
{
    if (!sync->user->mbox)
        g_ptr_array_sort(sync->unknown, compare_places);
    for (guint i = 0; i < sync->unknown->len; i++) {
        const struct unknown_file *file = sync->unknown->pdata[i];
        struct missing_row *missing =
            file->rebuild ? NULL : g_hash_table_lookup(sync->missing_by_file, file->name);

        if (!(missing && !missing->taken ? move_row(sync, missing, file, err)
                                         : read_unknown(sync, file, err)))
            return false;
    }
    g_ptr_array_set_size(sync->unknown, 0);
    return sync_rows_flush(sync, err);
}

/* What is still missing is gone. A moved row stands elsewhere by now, but where its place was taken
 * it stands where it did: the condition finds that one too. */
bool sync_remove_missing(struct sync *sync, struct error *err)
{
    for (guint i = 0; i < sync->missing->len; i++) {
        const struct missing_row *missing = sync->missing->pdata[i];
        struct db_value values[4] = {db_int(missing->id), db_int(sync->user->id),
                                     db_text(missing->mailbox), db_text(missing->file)};

        sync->counts->removed += !missing->taken;
        if (!sync_queue(sync,
                        "DELETE FROM email_headers WHERE id = $1 AND user_id = $2 AND mailbox = $3 "
                        "AND file = $4",
                        values, 4, err))
            return false;
    }
    return true;
}
