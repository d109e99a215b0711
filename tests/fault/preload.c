/*
 * Loaded with LD_PRELOAD into a delivery: counts the calls that touch disk, database or network, and at
 * the one that FAULT_AT names does what FAULT_DO says:
 *
 *   kill    SIGKILL, before the call is made (after the one before it)
 *   stop    SIGSTOP, before the call is made: the test looks round, then lets it go on
 *   EIO …   the call fails with that error and does nothing
 *   short   a write takes half of what it was given; other calls go through
 *
 * FAULT_SET "changes" counts calls that change something (enough for kills: between two of them
 * nothing differs), "all" counts reads, opens and stats too, "send" only what goes to the database
 * server. FAULT_REPORT names a file that gets a line
 * "<number> <call> <object>" when the fault happens, and "end <count>" when the program ends by itself.
 *
 * Only the process that was started counts; its children (sendmail) do not.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static const struct {
    const char *name;
    int code;
} errors[] = {
    {"EIO", EIO},     {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EINTR", EINTR},
    {"EMFILE", EMFILE}, {"ENOMEM", ENOMEM},
};

static pid_t owner;
static long at = -1;
static long count;
static int fault_code;      /* an errno; 0: kill; -1: short */
static bool stop;
static bool all;
static bool sends_only;
static const char *report;

__attribute__((constructor)) static void set_up(void)
{
    const char *value = getenv("FAULT_DO");

    /* a child's program (sendmail) inherits the environment */
    if (strncmp(program_invocation_short_name, "vmail", 5) != 0)
        return;
    report = getenv("FAULT_REPORT");
    if (report == NULL)
        return;
    at = atol(getenv("FAULT_AT") == NULL ? "0" : getenv("FAULT_AT"));
    all = getenv("FAULT_SET") != NULL && strcmp(getenv("FAULT_SET"), "all") == 0;
    sends_only = getenv("FAULT_SET") != NULL && strcmp(getenv("FAULT_SET"), "send") == 0;
    stop = value != NULL && strcmp(value, "stop") == 0;
    fault_code = value != NULL && strcmp(value, "short") == 0 ? -1 : 0;
    for (size_t i = 0; value != NULL && i < sizeof errors / sizeof errors[0]; i++)
        if (strcmp(value, errors[i].name) == 0)
            fault_code = errors[i].code;
    owner = getpid();
}

/* By plain system calls: what we write must not be counted. */
static void tell(const char *line)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                          0666);

    if (fd >= 0) {
        syscall(SYS_write, fd, line, strlen(line));
        syscall(SYS_close, fd);
    }
}

__attribute__((destructor)) static void at_end(void)
{
    char line[64];

    if (report == NULL || getpid() != owner)
        return;
    snprintf(line, sizeof line, "end %ld\n", count);
    tell(line);
}

/* True: the call must fail with errno as it is set. *@length (may be NULL) may be cut. */
static bool fault(const char *call, const char *object, size_t *length)
{
    char line[512];

    if (report == NULL || getpid() != owner || (sends_only && strcmp(call, "send") != 0) ||
        ++count != at)
        return false;
    snprintf(line, sizeof line, "%ld %s %.400s\n", count, call, object == NULL ? "" : object);
    tell(line);
    if (stop) {
        syscall(SYS_kill, owner, SIGSTOP);
        return false;
    }
    if (fault_code == 0) {
        syscall(SYS_kill, owner, SIGKILL);
        for (;;)
            syscall(SYS_pause);
    }
    if (fault_code == -1) {
        if (length != NULL && *length > 1)
            *length /= 2;
        return false;
    }
    errno = fault_code;
    return true;
}

/* "fd 7 (path)" for the report. */
static const char *of_fd(int fd)
{
    static char text[400];
    char link[64];

    if (report == NULL || count + 1 != at)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlink, link, text, sizeof text - 1);
    text[length < 0 ? 0 : length] = '\0';
    return text;
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

static bool is_change(int flags)
{
    return (flags & (O_CREAT | O_TRUNC)) != 0;
}

static mode_t mode_of(int flags, va_list arguments)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? (mode_t)va_arg(arguments, int) : 0;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list arguments;                                                                         \
                                                                                                   \
        va_start(arguments, flags);                                                                \
        mode_t mode = mode_of(flags, arguments);                                                   \
        va_end(arguments);                                                                         \
        if ((all || is_change(flags)) && fault(#name, path, NULL))                                 \
            return -1;                                                                             \
        return REAL(name)(path, flags, mode);                                                      \
    }
#define OPENAT(name)                                                                               \
    int name(int dir, const char *path, int flags, ...)                                            \
    {                                                                                              \
        va_list arguments;                                                                         \
                                                                                                   \
        va_start(arguments, flags);                                                                \
        mode_t mode = mode_of(flags, arguments);                                                   \
        va_end(arguments);                                                                         \
        if ((all || is_change(flags)) && fault(#name, path, NULL))                                 \
            return -1;                                                                             \
        return REAL(name)(dir, path, flags, mode);                                                 \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

/* name(fd, buffer, length, …): the count may be cut */
ssize_t write(int fd, const void *data, size_t length)
{
    if (fault("write", of_fd(fd), &length))
        return -1;
    return REAL(write)(fd, data, length);
}
#define PWRITE(name)                                                                               \
    ssize_t name(int fd, const void *data, size_t length, off_t offset)                            \
    {                                                                                              \
        if (fault(#name, of_fd(fd), &length))                                                      \
            return -1;                                                                             \
        return REAL(name)(fd, data, length, offset);                                               \
    }
PWRITE(pwrite)
PWRITE(pwrite64)
ssize_t writev(int fd, const struct iovec *parts, int part_count)
{
    if (fault("writev", of_fd(fd), NULL))
        return -1;
    return REAL(writev)(fd, parts, part_count);
}
ssize_t send(int fd, const void *data, size_t length, int flags)
{
    if (fault("send", NULL, &length))
        return -1;
    return REAL(send)(fd, data, length, flags);
}
int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    if (fault("connect", NULL, NULL))
        return -1;
    return REAL(connect)(fd, address, length);
}

ssize_t read(int fd, void *buffer, size_t size)
{
    if (all && fault("read", of_fd(fd), NULL))
        return -1;
    return REAL(read)(fd, buffer, size);
}
#define PREAD(name)                                                                                \
    ssize_t name(int fd, void *buffer, size_t size, off_t offset)                                  \
    {                                                                                              \
        if (all && fault(#name, of_fd(fd), NULL))                                                  \
            return -1;                                                                             \
        return REAL(name)(fd, buffer, size, offset);                                               \
    }
PREAD(pread)
PREAD(pread64)
ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    if (all && fault("recv", NULL, NULL))
        return -1;
    return REAL(recv)(fd, buffer, size, flags);
}

#define ONE_FD(name)                                                                               \
    int name(int fd)                                                                               \
    {                                                                                              \
        if (fault(#name, of_fd(fd), NULL))                                                         \
            return -1;                                                                             \
        return REAL(name)(fd);                                                                     \
    }
ONE_FD(fsync)
ONE_FD(fdatasync)

#define TRUNCATE(name)                                                                             \
    int name(int fd, off_t length)                                                                 \
    {                                                                                              \
        if (fault(#name, of_fd(fd), NULL))                                                         \
            return -1;                                                                             \
        return REAL(name)(fd, length);                                                             \
    }
TRUNCATE(ftruncate)
TRUNCATE(ftruncate64)

int flock(int fd, int operation)
{
    if (all && fault("flock", of_fd(fd), NULL))
        return -1;
    return REAL(flock)(fd, operation);
}
int fstat(int fd, struct stat *st)
{
    if (all && fault("fstat", of_fd(fd), NULL))
        return -1;
    return REAL(fstat)(fd, st);
}
int fstatat(int dir, const char *path, struct stat *st, int flags)
{
    if (all && fault("fstatat", path, NULL))
        return -1;
    return REAL(fstatat)(dir, path, st, flags);
}

int link(const char *from, const char *to)
{
    if (fault("link", to, NULL))
        return -1;
    return REAL(link)(from, to);
}
int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    if (fault("linkat", to, NULL))
        return -1;
    return REAL(linkat)(from_dir, from, to_dir, to, flags);
}
int unlink(const char *path)
{
    if (fault("unlink", path, NULL))
        return -1;
    return REAL(unlink)(path);
}
int unlinkat(int dir, const char *path, int flags)
{
    if (fault("unlinkat", path, NULL))
        return -1;
    return REAL(unlinkat)(dir, path, flags);
}
int rename(const char *from, const char *to)
{
    if (fault("rename", to, NULL))
        return -1;
    return REAL(rename)(from, to);
}
int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    if (fault("renameat", to, NULL))
        return -1;
    return REAL(renameat)(from_dir, from, to_dir, to);
}
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    if (fault("renameat2", to, NULL))
        return -1;
    return REAL(renameat2)(from_dir, from, to_dir, to, flags);
}
int mkdir(const char *path, mode_t mode)
{
    if (fault("mkdir", path, NULL))
        return -1;
    return REAL(mkdir)(path, mode);
}
int mkdirat(int dir, const char *path, mode_t mode)
{
    if (fault("mkdirat", path, NULL))
        return -1;
    return REAL(mkdirat)(dir, path, mode);
}
