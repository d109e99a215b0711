#include "path.h"

#include "cleanup.h"
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

bool path_component_is_safe(const char *name)
{
    if (name[0] == '\0' || name[0] == '.' || strlen(name) > 255)
        return false;
    for (const unsigned char *p = (const unsigned char *)name; *p != '\0'; p++)
        if (*p == '/' || *p < 0x20 || *p == 0x7f)
            return false;
    return true;
}

/* One step down; makes the directory first where @make. */
static int step(int parent, const char *name, bool make, mode_t mode, const char *path,
                struct error *err)
{
    bool made = false;

    if (strcmp(name, "..") == 0) {
        error_set(err, ERROR_TEMPORARY, "cannot open %s: '..' in a path", path);
        return -1;
    }
    if (make) {
        if (mkdirat(parent, name, mode) == 0) {
            made = true;
        } else if (errno != EEXIST) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot make directory %s", path);
            return -1;
        }
    }
    AUTO_FD fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot open directory %s", path);
        return -1;
    }
    if (made && !io_sync(parent, path, err))
        return -1;
    return fd_steal(&fd);
}

static int walk(int root, const char *path, bool make, mode_t mode, struct error *err)
{
    char name[256];
    AUTO_FD at = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (at < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot open the directory above %s", path);
        return -1;
    }
    for (const char *rest = path; *rest != '\0';) {
        size_t length = strcspn(rest, "/");

        if (length >= sizeof name) {
            error_set_errno(err, ERROR_TEMPORARY, ENAMETOOLONG, "cannot open %s", path);
            return -1;
        }
        if (length > 0 && !(length == 1 && rest[0] == '.')) {
            memcpy(name, rest, length);
            name[length] = '\0';
            int next = step(at, name, make, mode, path, err);
            if (next < 0)
                return -1;
            close(at);
            at = next;
        }
        rest += length;
        rest += strspn(rest, "/");
    }
    return fd_steal(&at);
}

int path_open_dir(int root, const char *path, struct error *err)
{
    return walk(root, path, false, 0, err);
}

int path_make_dir(int root, const char *path, mode_t mode, struct error *err)
{
    return walk(root, path, true, mode, err);
}

int path_open_file(int root, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    AUTO_FREE char *parent = strndup(path, slash == NULL ? 0 : (size_t)(slash - path));
    struct stat st;

    if (parent == NULL) {
        error_set_errno(err, ERROR_TEMPORARY, ENOMEM, "cannot open %s", path);
        return -1;
    }
    AUTO_FD dir = walk(root, parent, false, 0, err);
    if (dir < 0)
        return -1;
    AUTO_FD fd = openat(dir, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot open %s", path);
        return -1;
    }
    if (fstat(fd, &st) < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot stat %s", path);
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        error_set_errno(err, ERROR_TEMPORARY, ELOOP, "cannot open %s (not a regular file)", path);
        return -1;
    }
    return fd_steal(&fd);
}
