/* What a scope owns ends with it: descriptors and malloc'ed memory (GCC's cleanup attribute). */
#ifndef VMAIL_BASE_CLEANUP_H
#define VMAIL_BASE_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_fd(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    errno = saved;
}

static inline void cleanup_free(void *pointer)
{
    int saved = errno;

    free(*(void **)pointer);
    errno = saved;
}

/* A descriptor that closes by itself; for files that were written, close by io_close and look at
 * the answer instead. */
#define AUTO_FD __attribute__((cleanup(cleanup_fd))) int
#define AUTO_FREE __attribute__((cleanup(cleanup_free)))

/* Hands the descriptor on: the variable no longer owns it. */
static inline int fd_steal(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

#endif
