#include "lda/replay_source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/child.h"

static void failed(const struct replay_sink *sink, const char *name, const struct error *err)
{
    sink->left(sink->ctx, name, REPLAY_FAILED, err);
}

/* A queue file begins with its record of sizes: 'C', the record's length, a number of 15 columns. */
static bool looks_like_queue_file(const char *data, size_t length)
{
    bool digit = false;

    if (length < 18 || data[0] != 'C')
        return false;
    for (size_t i = 2; i < 17; i++) {
        if (data[i] != ' ' && !isdigit((unsigned char)data[i]))
            return false;
        digit = digit || data[i] != ' ';
    }
    return digit;
}

static enum replay_type type_of_file(int fd)
{
    char data[64];
    ssize_t length = pread(fd, data, sizeof data, 0);

    if (length >= 5 && memcmp(data, "From ", 5) == 0)
        return REPLAY_MBOX;
    if (length > 0 && looks_like_queue_file(data, (size_t)length))
        return REPLAY_QUEUE;
    return REPLAY_EML;
}

static bool walk_file(int fd, const char *name, enum replay_type type,
                      const struct replay_queue *queue, const struct replay_sink *sink)
{
    struct replay_job job = {.name = (char *)name};
    struct stat st;
    struct error err;

    if (fstat(fd, &st) < 0 || st.st_size == 0) {
        error_set(&err, ERROR_BAD_DATA, "is empty");
        sink->left(sink->ctx, name, REPLAY_SKIPPED, &err);
        return true;
    }
    switch (type == REPLAY_ANY ? type_of_file(fd) : type) {
    case REPLAY_MBOX:
        return replay_mbox(fd, name, sink);
    case REPLAY_QUEUE:
        return replay_queue_file(queue, fd, name, sink);
    case REPLAY_MAILDIR:
        error_set(&err, ERROR_USAGE, "is a file, no Maildir");
        failed(sink, name, &err);
        return true;
    case REPLAY_ANY:
    case REPLAY_EML:
        break;
    }
    return sink->found(sink->ctx, &job, fd);
}

/* Standard input cannot be read twice, nor handed to a worker: it is copied first. */
static bool walk_input(enum replay_type type, const struct replay_queue *queue,
                       const struct replay_sink *sink)
{
    static const char name[] = "standard input";
    struct error err;
    AUTO_FD fd = child_temporary_file(&err);

    if (fd < 0 || !io_copy(STDIN_FILENO, fd, NULL, name, &err) || lseek(fd, 0, SEEK_SET) < 0) {
        failed(sink, name, &err);
        return true;
    }
    return walk_file(fd, name, type, queue, sink);
}

static bool walk_directory(int fd, const char *name, enum replay_type type,
                           const struct replay_sink *sink)
{
    struct error err;

    if (type == REPLAY_ANY)
        type = replay_is_maildir(fd) ? REPLAY_MAILDIR : REPLAY_EML;
    if (type == REPLAY_MAILDIR)
        return replay_maildir(fd, name, sink);
    if (type == REPLAY_EML)
        return replay_eml_folder(fd, name, sink);
    error_set(&err, ERROR_USAGE, "is a directory; an mbox or a queue file is a file");
    failed(sink, name, &err);
    return true;
}

bool replay_source_walk(const char *path, enum replay_type type, const struct replay_queue *queue,
                        const struct replay_sink *sink)
{
    struct stat st;
    struct error err;

    if (strcmp(path, "-") == 0)
        return walk_input(type, queue, sink);
    AUTO_FD fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        error_set_errno(&err, ERROR_TEMPORARY, errno, "cannot open it");
        if (err.code == ENOENT || err.code == ENOTDIR)
            err.kind = ERROR_USAGE;
        failed(sink, path, &err);
        return true;
    }
    if (S_ISDIR(st.st_mode))
        return walk_directory(fd, path, type, sink);
    if (S_ISREG(st.st_mode))
        return walk_file(fd, path, type, queue, sink);
    error_set(&err, ERROR_USAGE, "is neither a file nor a directory; a stream is read from \"-\"");
    failed(sink, path, &err);
    return true;
}
