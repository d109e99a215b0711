#include "store/mbox.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/base/path.h"
#include "store/mailbox_name.h"
#include "store/mbox_lock.h"

#define FILE_FLAGS (O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
/* How often a file may be replaced under our eyes. */
#define OPENS_MAX 10

/* ------------------------------------------------------------------ names */

char *mbox_path(const char *mailbox)
{
    if (mailbox_is_inbox(mailbox))
        return g_strdup(MBOX_INBOX);

    g_autofree char *encoded = mailbox_name_encode(mailbox);

    g_strdelimit(encoded, ".", '/');
    return g_strconcat(MBOX_FOLDERS "/", encoded, NULL);
}

bool mbox_path_to_mailbox(const char *path, char **ret_mailbox)
{
    g_autofree char *name = NULL, *canonical = NULL;
    struct error ignored;

    if (strcmp(path, MBOX_INBOX) == 0) {
        *ret_mailbox = g_strdup("INBOX");
        return true;
    }
    if (!g_str_has_prefix(path, MBOX_FOLDERS "/"))
        return false;
    path += strlen(MBOX_FOLDERS "/");
    /* a dot in a file's name would be a level */
    if (strchr(path, '.') != NULL || !mailbox_name_decode(path, &name))
        return false;
    g_strdelimit(name, "/", '.');
    if (!mailbox_name_canonical(name, &canonical, &ignored) || strcmp(canonical, name) != 0 ||
        mailbox_is_inbox(name))
        return false;
    *ret_mailbox = g_steal_pointer(&name);
    return true;
}

bool mbox_is_blocked(const struct error *err)
{
    return err->code == ENOTDIR || err->code == ELOOP || err->code == EISDIR ||
           err->code == EEXIST || err->code == ENAMETOOLONG || err->code == ENXIO ||
           err->code == EBADMSG;
}

/* ------------------------------------------------------------------ opening */

static bool fail(const struct mbox *mbox, int code, const char *what, struct error *err)
{
    error_set_errno(err, ERROR_TEMPORARY, code, "cannot %s mailbox %s", what, mbox->mailbox);
    err->code = code;
    return false;
}

/* "From " at the start; an empty file may become one. */
static bool check_content(const struct mbox *mbox, struct error *err)
{
    char start[5];
    ssize_t length = pread(mbox->fd, start, sizeof start, 0);

    if (length < 0)
        return fail(mbox, errno, "read", err);
    if (length == 0 || (length == sizeof start && memcmp(start, "From ", sizeof start) == 0))
        return true;
    error_set(err, ERROR_TEMPORARY, "cannot open mailbox %s: %s is not an mbox", mbox->mailbox,
              mbox->path);
    err->code = EBADMSG;
    return false;
}

/* Opens mbox->fd again or for the first time. */
static bool open_file(struct mbox *mbox, struct error *err)
{
    struct stat st;

    if (mbox->fd >= 0)
        close(mbox->fd);
    for (int tries = 0;; tries++) {
        mbox->fd = openat(mbox->dir, mbox->name, FILE_FLAGS);
        if (mbox->fd >= 0 || errno != ENOENT || !mbox->make || tries > OPENS_MAX)
            break;
        mbox->fd = openat(mbox->dir, mbox->name, FILE_FLAGS | O_CREAT | O_EXCL, 0600);
        mbox->made |= mbox->fd >= 0;
        if (mbox->fd >= 0 || errno != EEXIST)
            break;
    }
    if (mbox->fd < 0)
        return fail(mbox, errno, "open", err);
    if (fstat(mbox->fd, &st) < 0)
        return fail(mbox, errno, "look at", err);
    if (!S_ISREG(st.st_mode))
        return fail(mbox, ELOOP, "open", err);
    return check_content(mbox, err);
}

struct mbox *mbox_open(int home, const char *mailbox, bool make, struct error *err)
{
    struct mbox *mbox = g_new0(struct mbox, 1);

    mbox->mailbox = g_strdup(mailbox);
    mbox->path = mbox_path(mailbox);
    mbox->make = make;
    mbox->fd = -1;

    char *slash = strrchr(mbox->path, '/');
    g_autofree char *parent = slash == NULL ? g_strdup(".")
                                            : g_strndup(mbox->path, (gsize)(slash - mbox->path));

    mbox->name = slash == NULL ? mbox->path : slash + 1;
    mbox->dir = make ? path_make_dir(home, parent, 0700, err) : path_open_dir(home, parent, err);
    if (mbox->dir >= 0 && open_file(mbox, err))
        return mbox;
    mbox_free(mbox);
    return NULL;
}

void mbox_free(struct mbox *mbox)
{
    int saved = errno;

    if (mbox == NULL)
        return;
    mbox_drop_lock(mbox);
    if (mbox->fd >= 0)
        close(mbox->fd);
    if (mbox->dir >= 0)
        close(mbox->dir);
    g_free(mbox->mailbox);
    g_free(mbox->path);
    g_free(mbox);
    errno = saved;
}

/* Does the name still mean the file that we have open? */
static bool is_current(const struct mbox *mbox)
{
    struct stat ours, named;

    return fstat(mbox->fd, &ours) == 0 &&
           fstatat(mbox->dir, mbox->name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

bool mbox_take_lock(struct mbox *mbox, const char *locks, int timeout_s, struct error *err)
{
    if (mbox->lock != NULL)
        return true;
    for (int tries = 0; tries < OPENS_MAX; tries++) {
        mbox->lock = mbox_lock_take(mbox->dir, mbox->name, mbox->fd, locks, timeout_s, err);
        if (mbox->lock == NULL)
            return false;
        if (is_current(mbox))
            return check_content(mbox, err);
        mbox_drop_lock(mbox);
        if (!open_file(mbox, err))
            return false;
    }
    error_set(err, ERROR_TEMPORARY, "cannot lock mailbox %s: it is replaced again and again",
              mbox->mailbox);
    return false;
}

void mbox_drop_lock(struct mbox *mbox)
{
    mbox_lock_free(mbox->lock);
    mbox->lock = NULL;
}

/* ------------------------------------------------------------------ its end */

bool mbox_size(const struct mbox *mbox, off_t *ret_size, struct error *err)
{
    struct stat st;

    if (fstat(mbox->fd, &st) < 0)
        return fail(mbox, errno, "look at", err);
    *ret_size = st.st_size;
    return true;
}

bool mbox_missing_newlines(const struct mbox *mbox, off_t size, int *ret_count, struct error *err)
{
    char end[2] = "\n\n";
    size_t length = (size_t)MIN(size, (off_t)sizeof end);

    if (!io_read_at(mbox->fd, end + sizeof end - length, length, size - (off_t)length, mbox->path,
                    err))
        return false;
    *ret_count = end[1] != '\n' ? 2 : end[0] != '\n' ? 1 : 0;
    return true;
}

bool mbox_sync(struct mbox *mbox, struct error *err)
{
    if (!io_sync(mbox->fd, mbox->path, err) ||
        (mbox->made && !io_sync(mbox->dir, mbox->path, err)))
        return false;
    mbox->made = false;
    return true;
}

bool mbox_cut(struct mbox *mbox, off_t size, struct error *err)
{
    if (ftruncate(mbox->fd, size) < 0)
        return fail(mbox, errno, "take back what was added to", err);
    return mbox_sync(mbox, err);
}

bool mbox_writer_open(struct mbox_writer *writer, const struct mbox *mbox, off_t offset,
                      struct error *err)
{
    writer->mbox = mbox;
    writer->used = 0;
    if (lseek(mbox->fd, offset, SEEK_SET) != offset)
        return fail(mbox, errno, "write", err);
    return true;
}

bool mbox_writer_flush(struct mbox_writer *writer, struct error *err)
{
    size_t length = writer->used;

    writer->used = 0;
    return length == 0 ||
           io_write(writer->mbox->fd, writer->buffer, length, writer->mbox->path, err);
}

bool mbox_writer_add(void *ctx, const char *data, size_t length, struct error *err)
{
    struct mbox_writer *writer = ctx;

    if (length > sizeof writer->buffer - writer->used && !mbox_writer_flush(writer, err))
        return false;
    if (length > sizeof writer->buffer)
        return io_write(writer->mbox->fd, data, length, writer->mbox->path, err);
    memcpy(writer->buffer + writer->used, data, length);
    writer->used += length;
    return true;
}
