#include "store/mbox_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"

/* Dovecot's mbox_dotlock_change_timeout. */
#define STALE_S 120
/* Clocks of the file system and of the process table are read apart. */
#define START_TOLERANCE_S 3
#define WAIT_FIRST_MS 5
#define WAIT_MAX_MS 200

struct mbox_lock {
    int dir, fd;
    char *name;          /* of the mbox */
    char *lock_name;     /* "<name>.lock" */
    dev_t lock_dev;      /* of the dotlock that we made */
    ino_t lock_ino;
    bool dotlocked, fcntled, flocked;
};

/* One attempt's answer. */
enum attempt { LOCKED, BUSY, FAILED };

/* ------------------------------------------------------------------ who holds a dotlock */

static char *own_text(void)
{
    char host[256] = "";

    gethostname(host, sizeof host - 1);
    return g_strdup_printf("%d:%s", (int)getpid(), host);
}

/* When the machine started, in seconds since the epoch; 0: not known. */
static int64_t booted_at(void)
{
    g_autofree char *uptime = NULL;

    if (!g_file_get_contents("/proc/uptime", &uptime, NULL, NULL))
        return 0;
    return (int64_t)((double)time(NULL) - g_ascii_strtod(uptime, NULL));
}

/* Seconds since the epoch at which the process began; 0: not known. */
static int64_t started_at(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    g_autofree char *text = NULL;
    unsigned long long ticks = 0;
    int64_t boot = booted_at();

    if (boot == 0 || !g_file_get_contents(path, &text, NULL, NULL))
        return 0;

    /* behind the program's name, which may hold anything: state is field 3, the start field 22 */
    const char *at = strrchr(text, ')');

    for (int field = 2; at != NULL && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (at == NULL || sscanf(at, "%llu", &ticks) != 1)
        return 0;
    return boot + (int64_t)((double)ticks / (double)sysconf(_SC_CLK_TCK));
}

/* The process on this host that a lock's text names; 0: of another host, or nothing that tells. */
static pid_t holder_of(const char *text)
{
    g_autofree char *own = own_text();
    const char *host = strchr(text, ':');
    long pid = strtol(text, NULL, 10);

    return host != NULL && pid > 0 && strcmp(host, strchr(own, ':')) == 0 ? (pid_t)pid : 0;
}

/* A power cut may leave the name with a part of the text, or none. False: another host's. */
static bool may_be_torn(const char *text)
{
    g_autofree char *own = own_text();
    const char *host = strchr(text, ':');

    return host == NULL || g_str_has_prefix(strchr(own, ':'), host);
}

static bool is_stale(const struct mbox_lock *lock, const struct stat *st, const char *text)
{
    pid_t holder = holder_of(text);
    int64_t locked_at = (int64_t)st->st_mtime + START_TOLERANCE_S;
    time_t now = time(NULL);
    struct stat mbox;

    if (holder != 0)
        return (kill(holder, 0) < 0 && errno == ESRCH) || started_at(holder) > locked_at;
    if (may_be_torn(text) && booted_at() > locked_at)
        return true;
    if (now - st->st_mtime <= STALE_S)
        return false;
    return fstat(lock->fd, &mbox) < 0 || now - mbox.st_mtime > STALE_S;
}

/* Reads the lock and takes it away when it is stale. Of several who find it so, one does: they hold flock
 * on it for that moment, and look whether its name still means the same file. */
static void clear_stale(const struct mbox_lock *lock)
{
    AUTO_FD fd = openat(lock->dir, lock->lock_name,
                        O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char text[300];
    struct stat st, now;
    ssize_t length;

    if (fd < 0 || fstat(fd, &st) < 0)
        return;
    length = read(fd, text, sizeof text - 1);
    text[MAX(length, 0)] = '\0';
    g_strchomp(text);
    if (!is_stale(lock, &st, text) || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return;
    if (fstatat(lock->dir, lock->lock_name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
        now.st_dev == st.st_dev && now.st_ino == st.st_ino)
        unlinkat(lock->dir, lock->lock_name, 0);
}

/* ------------------------------------------------------------------ dotlock */

/* A nameless file gets the name only when its text is written: a kill leaves no lock without an owner.
 * -1 where the file system has no such files. */
static int link_nameless(const struct mbox_lock *lock, const char *text)
{
    AUTO_FD fd = openat(lock->dir, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    struct error ignored;

    if (fd < 0 || !io_write(fd, text, strlen(text), lock->lock_name, &ignored))
        return -1;
    if (linkat(AT_FDCWD, path, lock->dir, lock->lock_name, AT_SYMLINK_FOLLOW) < 0)
        return -1;
    return fd_steal(&fd);
}

static enum attempt try_dotlock(struct mbox_lock *lock, struct error *err)
{
    g_autofree char *text = own_text();
    AUTO_FD fd = link_nameless(lock, text);
    struct error ignored;
    struct stat st;

    if (fd < 0 && errno != EEXIST) {
        fd = openat(lock->dir, lock->lock_name,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0)
            io_write(fd, text, strlen(text), lock->lock_name, &ignored);
    }
    if (fd < 0 && errno == EEXIST) {
        clear_stale(lock);
        return BUSY;
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot make the lock %s", lock->lock_name);
        if (fd >= 0)
            unlinkat(lock->dir, lock->lock_name, 0);
        return FAILED;
    }
    lock->lock_dev = st.st_dev;
    lock->lock_ino = st.st_ino;
    lock->dotlocked = true;
    return LOCKED;
}

static void drop_dotlock(struct mbox_lock *lock)
{
    struct stat st;

    /* somebody may have found it stale and have one of their own there */
    for (int tries = 0; tries < 3; tries++) {
        if (fstatat(lock->dir, lock->lock_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            if (st.st_dev != lock->lock_dev || st.st_ino != lock->lock_ino)
                return;
            if (unlinkat(lock->dir, lock->lock_name, 0) == 0)
                return;
        } else if (errno == ENOENT) {
            return;
        }
    }
}

/* ------------------------------------------------------------------ locks on the file */

static enum attempt try_fcntl(struct mbox_lock *lock, struct error *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int answer = fcntl(lock->fd, F_OFD_SETLK, &whole);

    if (answer < 0 && errno == EINVAL)
        answer = fcntl(lock->fd, F_SETLK, &whole);
    if (answer == 0) {
        lock->fcntled = true;
        return LOCKED;
    }
    if (errno == EAGAIN || errno == EACCES || errno == EINTR)
        return BUSY;
    error_set_errno(err, ERROR_TEMPORARY, errno, "cannot lock %s", lock->name);
    return FAILED;
}

static enum attempt try_flock(struct mbox_lock *lock, struct error *err)
{
    if (flock(lock->fd, LOCK_EX | LOCK_NB) == 0) {
        lock->flocked = true;
        return LOCKED;
    }
    if (errno == EWOULDBLOCK || errno == EINTR)
        return BUSY;
    error_set_errno(err, ERROR_TEMPORARY, errno, "cannot lock %s", lock->name);
    return FAILED;
}

static enum attempt try_word(struct mbox_lock *lock, const char *word, struct error *err)
{
    if (strcmp(word, "dotlock") == 0)
        return try_dotlock(lock, err);
    if (strcmp(word, "dotlock_try") == 0) {
        enum attempt attempt = try_dotlock(lock, err);

        if (attempt != FAILED || (err->code != EACCES && err->code != EPERM))
            return attempt;
        error_clear(err);
        return LOCKED;
    }
    /* lockf is fcntl in Linux */
    if (strcmp(word, "fcntl") == 0 || strcmp(word, "lockf") == 0)
        return try_fcntl(lock, err);
    if (strcmp(word, "flock") == 0)
        return try_flock(lock, err);
    error_set(err, ERROR_CONFIG, "mbox_locks: \"%.40s\" is no kind of lock", word);
    return FAILED;
}

/* ------------------------------------------------------------------ waiting */

static int64_t now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

static bool wait_for_word(struct mbox_lock *lock, const char *word, int64_t deadline_ms,
                          int timeout_s, struct error *err)
{
    for (int64_t pause_ms = WAIT_FIRST_MS;; pause_ms = MIN(pause_ms * 2, WAIT_MAX_MS)) {
        switch (try_word(lock, word, err)) {
        case LOCKED:
            return true;
        case FAILED:
            return false;
        case BUSY:
            break;
        }

        int64_t left_ms = deadline_ms - now_ms();

        /* a stale lock that was taken away is worth a second try, even without waiting */
        if (left_ms <= 0 && pause_ms > WAIT_FIRST_MS) {
            error_set(err, ERROR_TEMPORARY, "cannot lock %s: another program holds the %s; waited "
                      "%d s", lock->name, word, timeout_s);
            err->code = EAGAIN;
            return false;
        }
        if (left_ms > 0) {
            int64_t ms = MIN(pause_ms, left_ms);

            nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
        }
    }
}

struct mbox_lock *mbox_lock_take(int dir, const char *name, int fd, const char *locks,
                                 int timeout_s, struct error *err)
{
    struct mbox_lock *lock = g_new0(struct mbox_lock, 1);
    g_auto(GStrv) words = g_strsplit_set(locks, " ,\t", -1);
    int64_t deadline_ms = now_ms() + (int64_t)timeout_s * 1000;

    lock->dir = dir;
    lock->fd = fd;
    lock->name = g_strdup(name);
    lock->lock_name = g_strconcat(name, ".lock", NULL);
    for (char **word = words; *word != NULL; word++)
        if (**word != '\0' && !wait_for_word(lock, *word, deadline_ms, timeout_s, err)) {
            mbox_lock_free(lock);
            return NULL;
        }
    return lock;
}

void mbox_lock_free(struct mbox_lock *lock)
{
    struct flock whole = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    int saved = errno;

    if (lock == NULL)
        return;
    if (lock->flocked)
        flock(lock->fd, LOCK_UN);
    if (lock->fcntled && fcntl(lock->fd, F_OFD_SETLK, &whole) < 0)
        fcntl(lock->fd, F_SETLK, &whole);
    if (lock->dotlocked)
        drop_dotlock(lock);
    g_free(lock->name);
    g_free(lock->lock_name);
    g_free(lock);
    errno = saved;
}
