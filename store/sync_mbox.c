/*
 * What sync does otherwise where a folder is one file: an mbox is looked at under its lock, so what is seen
 * is whole and in one state; the database is asked only after the lock is gone, because a delivery holds
 * the lock while it waits for the database.
 */
#include "store/sync-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/base/path.h"
#include "store/line_reader.h"
#include "store/mbox.h"
#include "store/mbox_entry.h"
#include "store/mbox_journal.h"
#include "store/mbox_recover.h"
#include "store/mbox_rewrite.h"
#include "store/mbox_scan.h"
#include "store/store.h"

/* A busy mbox is left for the next look. */
#define LOCK_TIMEOUT_S 5
/* What is longer than this is taken out of the mbox into a file on disk, not into memory. */
#define IN_MEMORY_MAX (1024 * 1024)
#define SETTLED_NS 2000000000

/* ------------------------------------------------------------------ folders */

static void folder_free(gpointer data)
{
    struct scan_folder *folder = data;

    g_free(folder->dir);
    g_free(folder->mailbox);
    g_free(folder);
}

bool sync_mbox_folders(int home, GPtrArray **ret_folders, struct error *err)
{
    g_autoptr(GPtrArray) mailboxes = NULL;
    GPtrArray *folders;

    if (!mbox_list(home, &mailboxes, err))
        return false;
    folders = g_ptr_array_new_with_free_func(folder_free);
    for (guint i = 0; i < mailboxes->len; i++) {
        struct scan_folder *folder = g_new0(struct scan_folder, 1);

        folder->mailbox = g_strdup(mailboxes->pdata[i]);
        folder->dir = mbox_path(folder->mailbox);
        g_ptr_array_add(folders, folder);
    }
    *ret_folders = folders;
    return true;
}

static int64_t nanoseconds(const struct timespec *moment)
{
    return (int64_t)moment->tv_sec * 1000000000 + moment->tv_nsec;
}

/* The columns of sync_folders hold the file's time and its size. */
static void stamp_of(const struct stat *status, struct scan_stamp *ret_stamp)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    *ret_stamp = (struct scan_stamp){
        .new_mtime_ns = nanoseconds(&status->st_mtim),
        .cur_mtime_ns = (int64_t)status->st_size,
        .settled = nanoseconds(&now) - nanoseconds(&status->st_mtim) > SETTLED_NS,
    };
}

bool sync_mbox_stamp(int home, const char *path, struct scan_stamp *ret_stamp, struct error *err)
{
    AUTO_FD fd = path_open_file(home, path, err);
    struct stat status;

    if (fd < 0)
        return false;
    if (fstat(fd, &status) != 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot look at %s", path);
        return false;
    }
    stamp_of(&status, ret_stamp);
    return true;
}

/* ------------------------------------------------------------------ looking */

/* A message, kept until the lock is gone. */
struct seen_message {
    char *key, *letters, *keywords;
    struct sync_mbox_place place;
};

static void seen_message_clear(gpointer data)
{
    struct seen_message *seen = data;

    g_free(seen->key);
    g_free(seen->letters);
    g_free(seen->keywords);
}

static bool on_message(const struct mbox_message *message, void *ctx, struct error *err)
{
    GArray *messages = ctx;
    struct seen_message seen = {
        .key = g_strdup(message->key),
        .letters = g_strdup(message->letters),
        .keywords = g_strdup(message->keywords),
        .place = {.header = message->header, .body = message->body, .end = message->end,
                  .received_at = message->received_at},
    };

    (void)err;
    g_array_append_val(messages, seen);
    return true;
}

/* Opens, locks and puts in order. NULL: err->code EAGAIN: busy; ENOENT: gone. */
static struct mbox *open_locked(const struct sync *sync, const char *mailbox, struct error *err)
{
    const struct store_options options = {.mbox_locks = sync->user->mbox_locks};
    const struct store_user user = {.id = sync->user->id, .address = sync->user->address,
                                    .home = sync->user->home, .format = STORE_MBOX};
    struct mbox *mbox = mbox_open(sync->user->home, mailbox, false, err);
    struct error why = {0};
    AUTO_FD dir = -1;
    AUTO_FD journal = -1;
    bool ok;

    if (!mbox)
        return NULL;
    if (!mbox_take_lock(mbox, sync->user->mbox_locks, LOCK_TIMEOUT_S, err)) {
        mbox_free(mbox);
        return NULL;
    }
    if (sync->options->check_only)
        return mbox;
    dir = mbox_journal_open_dir(user.home, false, &why);
    journal = dir < 0 ? -1 : mbox_journal_open(dir, mailbox, false, &why);
    if (journal < 0 && why.code != ENOENT) {
        *err = why;
        mbox_free(mbox);
        return NULL;
    }

    struct store *store = store_new(sync->db, &options);

    ok = mbox_recover(store, &user, mbox, dir, journal, err);
    store_free(store);
    if (ok)
        return mbox;
    mbox_free(mbox);
    return NULL;
}

static bool gather(struct sync *sync, const char *mailbox, GArray *messages,
                   struct scan_stamp *ret_stamp, struct error *err)
{
    struct mbox *mbox = open_locked(sync, mailbox, err);
    struct stat status;
    bool ok;

    if (!mbox)
        return false;
    ok = mbox_scan(mbox->fd, mbox->path, on_message, messages, err);
    if (ok && fstat(mbox->fd, &status) != 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot look at %s", mbox->path);
        ok = false;
    }
    mbox_free(mbox);
    if (ok)
        stamp_of(&status, ret_stamp);
    return ok;
}

static bool tell(const struct seen_message *seen, const struct scan_stamp *stamp,
                 scan_found *found, void *ctx, struct error *err)
{
    struct sync_mbox_place place = seen->place;
    struct scan_file file = {.entry = seen->key, .name = seen->key, .flags = seen->letters,
                             .keywords = seen->keywords, .mbox = &place};

    place.stamp = *stamp;
    return found(&file, ctx, err);
}

bool sync_mbox_files(struct sync *sync, const char *mailbox, struct scan_stamp *ret_stamp,
                     scan_found *found, void *ctx, bool *ret_busy, struct error *err)
{
    g_autoptr(GArray) messages = g_array_new(FALSE, FALSE, sizeof(struct seen_message));
    struct scan_stamp stamp;

    g_array_set_clear_func(messages, seen_message_clear);
    *ret_busy = false;
    if (!gather(sync, mailbox, messages, &stamp, err)) {
        if (err->code != EAGAIN)
            return false;
        error_clear(err);
        *ret_busy = true;
        return true;
    }
    *ret_stamp = stamp;
    for (guint i = 0; i < messages->len; i++)
        if (!tell(&g_array_index(messages, struct seen_message, i), &stamp, found, ctx, err))
            return false;
    return true;
}

/* ------------------------------------------------------------------ carrying */

struct carrying {
    const struct mbox *mbox;
    GHashTable *wishes;     /* key → GINT_TO_POINTER(1 + seen) */
    GHashTable *done;       /* keys */
    GArray *edits;
};

static bool on_carry(const struct mbox_message *message, void *ctx, struct error *err)
{
    struct carrying *carrying = ctx;
    gpointer wish = g_hash_table_lookup(carrying->wishes, message->key);
    bool possible;

    /* the file is not as it was: it wins, the comparison sees to that */
    if (!wish || (strchr(message->letters, 'S') != NULL) == (GPOINTER_TO_INT(wish) == 2))
        return true;
    if (!mbox_edits_seen(carrying->edits, carrying->mbox, message, GPOINTER_TO_INT(wish) == 2,
                         &possible, err))
        return false;
    if (possible)
        g_hash_table_add(carrying->done, g_strdup(message->key));
    return true;
}

bool sync_mbox_carry(struct sync *sync, const char *mailbox, GHashTable *wishes,
                     GHashTable **ret_done, struct error *err)
{
    g_autoptr(GArray) edits = mbox_edits_new();
    g_autoptr(GHashTable) done = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct carrying carrying = {.wishes = wishes, .done = done, .edits = edits};
    struct mbox *mbox;
    bool ok;

    /* a transaction that is open would keep the one whose lock we wait for */
    if (!sync_commit_batch(sync, err))
        return false;
    mbox = open_locked(sync, mailbox, err);
    if (!mbox) {
        if (err->code != EAGAIN && err->code != ENOENT)
            return false;
        error_clear(err);
        *ret_done = g_steal_pointer(&done);
        return true;
    }
    carrying.mbox = mbox;
    ok = mbox_scan(mbox->fd, mbox->path, on_carry, &carrying, err) &&
         mbox_rewrite(sync->user->home, mbox, edits, err);
    mbox_free(mbox);
    if (ok)
        *ret_done = g_steal_pointer(&done);
    return ok;
}

/* ------------------------------------------------------------------ one message */

static int temporary_file(int home, off_t size, struct error *err)
{
    int fd = size <= IN_MEMORY_MAX ? memfd_create("message", MFD_CLOEXEC)
                                   : openat(home, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

    if (fd < 0)
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot make a temporary file");
    return fd;
}

/* The header without its fields of state. */
static bool copy_header(int from, const struct sync_mbox_place *place, int to, const char *path,
                        struct error *err)
{
    struct line_reader *reader = line_reader_new(from, place->header, path);
    bool dropping = false, more = true, ok;
    struct line line;

    while ((ok = line_reader_next(reader, &line, &more, err)) && more &&
           line.offset < place->body) {
        if (line.begins && line.text[0] != ' ' && line.text[0] != '\t')
            dropping = mbox_line_is_state(line.text, line.length);
        if (!dropping && !io_write(to, line.text, line.length, path, err)) {
            ok = false;
            break;
        }
    }
    line_reader_free(reader);
    return ok;
}

static bool copy_body(int from, const struct sync_mbox_place *place, int to, const char *path,
                      struct error *err)
{
    g_autofree char *buffer = g_malloc(65536);

    for (off_t at = place->body; at < place->end;) {
        size_t length = (size_t)MIN((off_t)65536, place->end - at);

        if (!io_read_at(from, buffer, length, at, path, err) ||
            !io_write(to, buffer, length, path, err))
            return false;
        at += (off_t)length;
    }
    return true;
}

static bool is_unchanged(int fd, const struct scan_stamp *stamp)
{
    struct scan_stamp now;
    struct stat status;

    if (fstat(fd, &status) != 0)
        return false;
    stamp_of(&status, &now);
    return sync_same_stamps(&now, stamp);
}

int sync_mbox_extract(const struct sync *sync, const struct unknown_file *file, struct error *err)
{
    const struct sync_mbox_place *place = file->mbox;
    AUTO_FD from = path_open_file(sync->user->home, file->path, err);
    AUTO_FD to = from < 0 ? -1 : temporary_file(sync->user->home, place->end - place->header, err);
    const struct timespec times[2] = {{.tv_sec = (time_t)place->received_at},
                                      {.tv_sec = (time_t)place->received_at}};
    bool ok;

    if (to < 0)
        return -1;
    ok = is_unchanged(from, &place->stamp) && copy_header(from, place, to, file->path, err) &&
         copy_body(from, place, to, file->path, err);
    /* read without the lock: what was changed since may have been moved under our eyes */
    if (!is_unchanged(from, &place->stamp)) {
        error_set(err, ERROR_TEMPORARY, "%s changed", file->path);
        err->code = ENOENT;
        return -1;
    }
    if (!ok)
        return -1;
    futimens(to, times);
    return fd_steal(&to);
}
