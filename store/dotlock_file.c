#include "store/dotlock_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/base/path.h"

#define SIZE_MAX_BYTES (1024 * 1024)
#define WAIT_MS 3000
#define STALE_S 120

static void remove_stale(int dir, const char *lock)
{
    struct stat st;

    if (fstatat(dir, lock, &st, AT_SYMLINK_NOFOLLOW) == 0 && time(NULL) - st.st_mtime > STALE_S)
        unlinkat(dir, lock, 0);
}

/* The lock file, open for writing; -1 on failure. */
static int take_lock(int dir, const char *lock, struct error *err)
{
    for (int waited_ms = 0;; waited_ms += 20) {
        int fd = openat(dir, lock, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd >= 0)
            return fd;
        if (errno != EEXIST || waited_ms >= WAIT_MS) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot lock %s", lock);
            return -1;
        }
        remove_stale(dir, lock);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
}

static bool read_text(int dir, const char *name, char **ret_text, struct error *err)
{
    struct error why = {0};
    AUTO_FD fd = path_open_file(dir, name, &why);
    size_t length;

    if (fd < 0 && why.code == ENOENT) {
        *ret_text = strdup("");
        return true;
    }
    if (fd < 0) {
        *err = why;
        return false;
    }
    return io_read_all(fd, SIZE_MAX_BYTES, ret_text, &length, name, err);
}

static bool write_text(int fd, const char *lock, const char *text, struct error *err)
{
    /* flushed before it replaces the old one: a power cut must not leave an empty list */
    bool written = io_write(fd, text, strlen(text), lock, err) && io_sync(fd, lock, err);

    return io_close(fd, lock, written ? err : &(struct error){0}) && written;
}

bool dotlock_file_rewrite(int dir, const char *name, dotlock_file_edit *edit, void *ctx,
                          struct error *err)
{
    g_autofree char *lock = g_strconcat(name, ".lock", NULL);
    AUTO_FREE char *text = NULL;
    int fd = take_lock(dir, lock, err);

    if (fd < 0)
        return false;
    if (!read_text(dir, name, &text, err)) {
        close(fd);
        unlinkat(dir, lock, 0);
        return false;
    }

    g_autofree char *changed = edit(ctx, text);

    if (changed == NULL) {
        close(fd);
        unlinkat(dir, lock, 0);
        return true;
    }
    if (!write_text(fd, lock, changed, err)) {
        unlinkat(dir, lock, 0);
        return false;
    }
    if (renameat(dir, lock, dir, name) < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot replace %s", name);
        unlinkat(dir, lock, 0);
        return false;
    }
    return true;
}
