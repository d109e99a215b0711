#include "io.h"

#include "cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool io_read(int fd, void *buffer, size_t size, size_t *ret_length, const char *name,
             struct error *err)
{
    ssize_t length;

    do
        length = read(fd, buffer, size);
    while (length < 0 && errno == EINTR);
    if (length < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read %s", name);
        return false;
    }
    *ret_length = (size_t)length;
    return true;
}

bool io_read_at(int fd, void *buffer, size_t size, off_t offset, const char *name,
                struct error *err)
{
    char *next = buffer;

    while (size > 0) {
        ssize_t length = pread(fd, next, size, offset);

        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read %s", name);
            return false;
        }
        if (length == 0) {
            error_set(err, ERROR_TEMPORARY, "cannot read %s: it ends too early", name);
            return false;
        }
        next += length;
        size -= (size_t)length;
        offset += length;
    }
    return true;
}

bool io_write(int fd, const void *data, size_t length, const char *name, struct error *err)
{
    const char *next = data;

    while (length > 0) {
        ssize_t written = write(fd, next, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot write %s", name);
            return false;
        }
        next += written;
        length -= (size_t)written;
    }
    return true;
}

bool io_copy(int from, int to, off_t *ret_copied, const char *name, struct error *err)
{
    char buffer[65536];
    off_t copied = 0;

    for (;;) {
        size_t length;

        if (!io_read(from, buffer, sizeof buffer, &length, name, err))
            return false;
        if (length == 0)
            break;
        if (!io_write(to, buffer, length, name, err))
            return false;
        copied += (off_t)length;
    }
    if (ret_copied != NULL)
        *ret_copied = copied;
    return true;
}

bool io_read_all(int fd, size_t limit, char **ret_data, size_t *ret_length, const char *name,
                 struct error *err)
{
    size_t size = 8192;
    size_t length = 0;
    AUTO_FREE char *data = malloc(size + 1);

    for (;;) {
        size_t got;

        if (data == NULL) {
            error_set_errno(err, ERROR_TEMPORARY, ENOMEM, "cannot read %s", name);
            return false;
        }
        if (!io_read(fd, data + length, size - length, &got, name, err))
            return false;
        if (got == 0)
            break;
        length += got;
        if (length > limit) {
            error_set(err, ERROR_BAD_DATA, "cannot read %s: it is larger than %zu bytes", name,
                      limit);
            return false;
        }
        if (length == size) {
            char *larger = realloc(data, size * 2 + 1);

            if (larger == NULL) {
                error_set_errno(err, ERROR_TEMPORARY, ENOMEM, "cannot read %s", name);
                return false;
            }
            data = larger;
            size *= 2;
        }
    }
    data[length] = '\0';
    *ret_data = data;
    *ret_length = length;
    data = NULL;
    return true;
}

bool io_sync(int fd, const char *name, struct error *err)
{
    int result;

    do
        result = fsync(fd);
    while (result < 0 && errno == EINTR);
    if (result < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot flush %s to disk", name);
        return false;
    }
    return true;
}

bool io_close(int fd, const char *name, struct error *err)
{
    /* Linux releases the descriptor even when close fails with EINTR: no second try */
    if (close(fd) < 0 && errno != EINTR) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot close %s", name);
        return false;
    }
    return true;
}
