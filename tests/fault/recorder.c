/*
 * Loaded with LD_PRELOAD into a delivery: writes down every call that changes files, and what was
 * flushed, in the order in which it happened. power-cut.py makes from it what a disk may hold when
 * the power fails.
 *
 * RECORD_TO names the log. A record is a line of words separated by tabs, "<call> <file> <words…>
 * <length>", then as many bytes of data and a newline. A file is "device:inode", a name an absolute
 * path.
 *
 *   create FILE PATH   nameless FILE   mkdir FILE PATH   link FILE PATH   rename PATH PATH   unlink
 * PATH write FILE OFFSET   truncate FILE SIZE   sync FILE   send   recv
 *
 * What is written through a mapping is not seen (SQLite's -shm file, which a crash makes void).
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pid_t owner;
static const char *log_name;

__attribute__((constructor)) static void set_up(void)
{
    /* a child's program (sendmail) inherits the environment */
    if (strncmp(program_invocation_short_name, "vmail", 5) != 0)
        return;
    log_name = getenv("RECORD_TO");
    owner = getpid();
}

static bool recording(void)
{
    return log_name != NULL && getpid() == owner;
}

/* By plain system calls: what we write must not be recorded. Leaves errno as it was. */
static void record(const char *line, const void *data, size_t length)
{
    int saved = errno;
    char head[3 * PATH_MAX];
    int size = snprintf(head, sizeof head, "%s\t%zu\n", line, length);
    struct iovec parts[] = {
        {head, (size_t)size}, {(void *)(size_t)(const char *)data, length}, {(char[]){'\n'}, 1}};
    int fd = (int)syscall(SYS_openat, AT_FDCWD, log_name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                          0666);

    if (fd < 0 || syscall(SYS_writev, fd, parts, 3) != (long)((size_t)size + length + 1))
        abort();
    syscall(SYS_close, fd);
    errno = saved;
}

/* The absolute name of @path below @dir. */
static const char *name_of(int dir, const char *path, char *buffer)
{
    char link[64];
    ssize_t length = 0;

    if (path[0] != '/') {
        if (dir == AT_FDCWD)
            snprintf(link, sizeof link, "/proc/self/cwd");
        else
            snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        length = syscall(SYS_readlink, link, buffer, PATH_MAX - 2);
        if (length < 0)
            abort();
        buffer[length++] = '/';
    }
    snprintf(buffer + length, (size_t)(2 * PATH_MAX - length), "%s", path);
    return buffer;
}

static void of_fd(const char *call, int fd, const char *more, const void *data, size_t length)
{
    struct stat st;
    char line[PATH_MAX + 256];

    if (syscall(SYS_fstat, fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
        return;
    snprintf(line, sizeof line, "%s\t%lx:%lx%s%s", call, (unsigned long)st.st_dev,
             (unsigned long)st.st_ino, more[0] == '\0' ? "" : "\t", more);
    record(line, data, length);
}

static void of_name(const char *call, int dir, const char *path)
{
    struct stat st;
    char line[3 * PATH_MAX], name[2 * PATH_MAX];

    if (syscall(SYS_newfstatat, dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    snprintf(line, sizeof line, "%s\t%lx:%lx\t%s", call, (unsigned long)st.st_dev,
             (unsigned long)st.st_ino, name_of(dir, path, name));
    record(line, "", 0);
}

static void written(int fd, off_t offset, const void *data, ssize_t length)
{
    char number[32];

    if (length <= 0 || !recording())
        return;
    snprintf(number, sizeof number, "%lld", (long long)offset);
    of_fd("write", fd, number, data, (size_t)length);
}

static void truncated(int fd, off_t size)
{
    char number[32];

    snprintf(number, sizeof number, "%lld", (long long)size);
    of_fd("truncate", fd, number, "", 0);
}

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

/* glibc declares some of these with attributes of its own (nonnull, warn_unused_result) */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#ifndef __clang__ /* has no such warning */
#pragma GCC diagnostic ignored "-Wnonnull-compare"
#endif

/* ------------------------------------------------------------------ files */

static bool is_there(int dir, const char *path)
{
    struct stat st;

    return syscall(SYS_newfstatat, dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void opened(int fd, int dir, const char *path, int flags, bool was_there)
{
    if (fd < 0 || !recording())
        return;
    if ((flags & O_TMPFILE) == O_TMPFILE)
        of_fd("nameless", fd, "", "", 0);
    else if ((flags & O_CREAT) != 0 && !was_there)
        of_name("create", dir, path);
    else if ((flags & O_TRUNC) != 0)
        truncated(fd, 0);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        va_list arguments; \
\
        va_start(arguments, flags); \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? (mode_t)va_arg(arguments, int) : 0; \
        va_end(arguments); \
        bool was_there = recording() && is_there(AT_FDCWD, path); \
        int fd = REAL(name)(path, flags, mode); \
        opened(fd, AT_FDCWD, path, flags, was_there); \
        return fd; \
    }
#define OPENAT(name) \
    int name(int dir, const char *path, int flags, ...) \
    { \
        va_list arguments; \
\
        va_start(arguments, flags); \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? (mode_t)va_arg(arguments, int) : 0; \
        va_end(arguments); \
        bool was_there = recording() && is_there(dir, path); \
        int fd = REAL(name)(dir, path, flags, mode); \
        opened(fd, dir, path, flags, was_there); \
        return fd; \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *data, size_t length)
{
    ssize_t done = REAL(write)(fd, data, length);

    if (done > 0 && recording())
        written(fd, syscall(SYS_lseek, fd, 0, SEEK_CUR) - done, data, done);
    return done;
}
ssize_t writev(int fd, const struct iovec *parts, int part_count)
{
    ssize_t done = REAL(writev)(fd, parts, part_count);
    off_t at = done > 0 && recording() ? syscall(SYS_lseek, fd, 0, SEEK_CUR) - done : 0;
    ssize_t left = recording() ? done : 0;

    for (int i = 0; i < part_count && left > 0; i++) {
        ssize_t length = left < (ssize_t)parts[i].iov_len ? left : (ssize_t)parts[i].iov_len;

        written(fd, at, parts[i].iov_base, length);
        at += length;
        left -= length;
    }
    return done;
}
#define PWRITE(name) \
    ssize_t name(int fd, const void *data, size_t length, off_t offset) \
    { \
        ssize_t done = REAL(name)(fd, data, length, offset); \
\
        written(fd, offset, data, done); \
        return done; \
    }
PWRITE(pwrite)
PWRITE(pwrite64)

#define TRUNCATE(name) \
    int name(int fd, off_t size) \
    { \
        int done = REAL(name)(fd, size); \
\
        if (done == 0 && recording()) \
            truncated(fd, size); \
        return done; \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

#define SYNC(name) \
    int name(int fd) \
    { \
        int done = REAL(name)(fd); \
\
        if (done == 0 && recording()) \
            of_fd("sync", fd, "", "", 0); \
        return done; \
    }
SYNC(fsync)
SYNC(fdatasync)

/* ------------------------------------------------------------------ names */

static int linked(int done, int dir, const char *path)
{
    if (done == 0 && recording())
        of_name("link", dir, path);
    return done;
}
int link(const char *from, const char *to)
{
    return linked(REAL(link)(from, to), AT_FDCWD, to);
}
int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    return linked(REAL(linkat)(from_dir, from, to_dir, to, flags), to_dir, to);
}

static int unlinked(int done, int dir, const char *path)
{
    char line[3 * PATH_MAX], name[2 * PATH_MAX];

    if (done == 0 && recording()) {
        snprintf(line, sizeof line, "unlink\t%s", name_of(dir, path, name));
        record(line, "", 0);
    }
    return done;
}
int unlink(const char *path)
{
    return unlinked(REAL(unlink)(path), AT_FDCWD, path);
}
int rmdir(const char *path)
{
    return unlinked(REAL(rmdir)(path), AT_FDCWD, path);
}
int unlinkat(int dir, const char *path, int flags)
{
    return unlinked(REAL(unlinkat)(dir, path, flags), dir, path);
}

static int renamed(int done, int from_dir, const char *from, int to_dir, const char *to)
{
    char line[5 * PATH_MAX], old[2 * PATH_MAX], new[2 * PATH_MAX];

    if (done == 0 && recording()) {
        snprintf(line, sizeof line, "rename\t%s\t%s", name_of(from_dir, from, old),
                 name_of(to_dir, to, new));
        record(line, "", 0);
    }
    return done;
}
int rename(const char *from, const char *to)
{
    return renamed(REAL(rename)(from, to), AT_FDCWD, from, AT_FDCWD, to);
}
int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return renamed(REAL(renameat)(from_dir, from, to_dir, to), from_dir, from, to_dir, to);
}
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return renamed(REAL(renameat2)(from_dir, from, to_dir, to, flags), from_dir, from, to_dir, to);
}

static int made(int done, int dir, const char *path)
{
    if (done == 0 && recording())
        of_name("mkdir", dir, path);
    return done;
}
int mkdir(const char *path, mode_t mode)
{
    return made(REAL(mkdir)(path, mode), AT_FDCWD, path);
}
int mkdirat(int dir, const char *path, mode_t mode)
{
    return made(REAL(mkdirat)(dir, path, mode), dir, path);
}

/* ------------------------------------------------------------------ the database server */

ssize_t send(int fd, const void *data, size_t length, int flags)
{
    if (recording())
        record("send", data, length);
    return REAL(send)(fd, data, length, flags);
}
ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    ssize_t done = REAL(recv)(fd, buffer, size, flags);

    if (done > 0 && recording())
        record("recv", buffer, (size_t)done);
    return done;
}
