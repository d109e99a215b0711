#include "store/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "store/mailbox_name.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

bool maildir_is_blocked(const struct error *err)
{
    return err->code == ENOTDIR || err->code == ELOOP || err->code == EEXIST ||
           err->code == ENAMETOOLONG;
}

/* Always -1. */
static int fail(struct error *err, int code, const char *what, const char *mailbox)
{
    error_set_errno(err, ERROR_TEMPORARY, code, "cannot %s mailbox %s", what, mailbox);
    err->code = code;
    return -1;
}

int maildir_open(int home, const char *mailbox, struct error *err)
{
    g_autofree char *dir = mailbox_name_to_dir(mailbox);
    int fd = openat(home, dir, DIR_FLAGS);

    return fd >= 0 ? fd : fail(err, errno, "open", mailbox);
}

int maildir_open_sub(int folder, const char *sub, const char *mailbox, struct error *err)
{
    int fd = openat(folder, sub, DIR_FLAGS);
    int code = errno;

    if (fd < 0) {
        error_set_errno(err, ERROR_TEMPORARY, code, "cannot open %s of mailbox %s", sub, mailbox);
        err->code = code;
    }
    return fd;
}

/* maildirfolder tells other programs that this is a folder, no Maildir of its own. */
static bool mark_folder(int folder, const char *mailbox, struct error *err)
{
    int fd = openat(folder, "maildirfolder", O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0) {
        fail(err, errno, "make", mailbox);
        return false;
    }
    close(fd);
    return true;
}

/* The folder's directory, made where it is missing. */
static int make_dir(int home, const char *mailbox, struct error *err)
{
    g_autofree char *dir = mailbox_name_to_dir(mailbox);

    if (!mailbox_is_inbox(mailbox) && mkdirat(home, dir, 0700) < 0 && errno != EEXIST)
        return fail(err, errno, "make", mailbox);

    int folder = openat(home, dir, DIR_FLAGS);

    return folder >= 0 ? folder : fail(err, errno, "open", mailbox);
}

bool maildir_make_dir(int home, const char *mailbox, struct error *err)
{
    int folder = make_dir(home, mailbox, err);

    if (folder < 0)
        return false;
    close(folder);
    return true;
}

int maildir_make(int home, const char *mailbox, struct error *err)
{
    static const char *const subs[] = {"tmp", "new", "cur"};
    bool inbox = mailbox_is_inbox(mailbox);
    AUTO_FD folder = make_dir(home, mailbox, err);
    bool made = false;

    if (folder < 0)
        return -1;
    for (size_t i = 0; i < G_N_ELEMENTS(subs); i++) {
        if (mkdirat(folder, subs[i], 0700) == 0)
            made = true;
        else if (errno != EEXIST)
            return fail(err, errno, "make", mailbox);
    }
    if (!made)
        return fd_steal(&folder);
    if (!inbox && !mark_folder(folder, mailbox, err))
        return -1;
    if (!io_sync(folder, mailbox, err) || (!inbox && !io_sync(home, mailbox, err)))
        return -1;
    return fd_steal(&folder);
}

/* ------------------------------------------------------------------ placing a file */

/* Links fail for good on some file systems (FAT, some network ones), across devices, and at the
 * file's link limit. */
static bool links_are_refused(int code)
{
    return code == EMLINK || code == EPERM || code == EXDEV || code == EOPNOTSUPP ||
           code == ENOSYS;
}

static bool copy_to_tmp(int from, const char *from_name, int tmp, const char *name,
                        struct error *err)
{
    AUTO_FD source = openat(from, from_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    AUTO_FD target = openat(tmp, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (source < 0 || target < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot copy to tmp/%s", name);
        return false;
    }
    return io_copy(source, target, NULL, name, err) && io_sync(target, name, err) &&
           io_close(fd_steal(&target), name, err);
}

/* rename that does not overwrite; where the file system cannot do that, the check before it is all
 * there is (the name carries the delivery's key: nobody else uses it). */
static int rename_new(int from, int to, const char *name)
{
    struct stat st;

    if (renameat2(from, name, to, name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (fstatat(to, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return renameat(from, name, to, name);
}

static bool place_copy(int from, const char *from_name, int folder, int to, const char *name,
                       struct error *err)
{
    AUTO_FD tmp = maildir_open_sub(folder, "tmp", name, err);

    if (tmp < 0)
        return false;
    if (!copy_to_tmp(from, from_name, tmp, name, err)) {
        unlinkat(tmp, name, 0);
        return false;
    }
    if (rename_new(tmp, to, name) < 0) {
        int code = errno;

        error_set_errno(err, ERROR_TEMPORARY, code, "cannot publish %s", name);
        err->code = code;
        unlinkat(tmp, name, 0);
        return false;
    }
    return true;
}

bool maildir_place(int from, const char *from_name, int folder, int to, const char *name,
                   bool *ret_copied, struct error *err)
{
    if (linkat(from, from_name, to, name, 0) == 0) {
        *ret_copied = false;
        return true;
    }

    int code = errno;

    if (links_are_refused(code)) {
        if (!place_copy(from, from_name, folder, to, name, err))
            return false;
        *ret_copied = true;
        return true;
    }
    error_set_errno(err, ERROR_TEMPORARY, code, "cannot publish %s", name);
    err->code = code;
    return false;
}
