/* Reading, writing and flushing with EINTR and short counts handled. Names are for messages. */
#ifndef VMAIL_BASE_IO_H
#define VMAIL_BASE_IO_H

#include "error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Reads up to @size bytes; *@ret_length is 0 only at the end of the file. */
bool io_read(int fd, void *buffer, size_t size, size_t *ret_length, const char *name,
             struct error *err);

/* Reads exactly @size bytes at @offset; a file that ends before is an error. */
bool io_read_at(int fd, void *buffer, size_t size, off_t offset, const char *name,
                struct error *err);

/* Writes all of it. On failure an unknown part has been written. */
bool io_write(int fd, const void *data, size_t length, const char *name, struct error *err);

/* Copies from @from's position to its end; *@ret_copied may be NULL. */
bool io_copy(int from, int to, off_t *ret_copied, const char *name, struct error *err);

/* Reads a whole regular file (opened already) of at most @limit bytes into a malloc'ed, NUL
 * terminated buffer. A longer one is ERROR_BAD_DATA. */
bool io_read_all(int fd, size_t limit, char **ret_data, size_t *ret_length, const char *name,
                 struct error *err);

/* fsync, on a file or a directory: true when what was written is durable. */
bool io_sync(int fd, const char *name, struct error *err);

/* close that reports: a full disk or quota may show only here (NFS). */
bool io_close(int fd, const char *name, struct error *err);

#endif
