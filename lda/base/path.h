/*
 * Walking below a root that is ours, through folders that are the users'.
 *
 * Every step is openat with O_NOFOLLOW: a symbolic link that a user planted ends the walk. Names
 * that come from outside (domain, user, folder) are checked before they become a path.
 */
#ifndef VMAIL_BASE_PATH_H
#define VMAIL_BASE_PATH_H

#include "error.h"

#include <stdbool.h>
#include <sys/types.h>

/* True when @name can be one component of a path: not empty, at most 255 bytes, no '/', no control
 * character, not starting with a dot. */
bool path_component_is_safe(const char *name);

/* Opens the directory @path (relative, components separated by '/'; "" or "." is @root itself)
 * below @root without following links. Returns a descriptor (O_DIRECTORY | O_CLOEXEC) or -1;
 * err->code tells ENOENT from the rest. */
int path_open_dir(int root, const char *path, struct error *err);

/* As path_open_dir, and makes what is missing with @mode. A directory made is durable on return:
 * its parent was flushed. */
int path_make_dir(int root, const char *path, mode_t mode, struct error *err);

/* Opens the regular file @path below @root for reading, no component may be a link, never blocks on
 * a FIFO. -1 with err->code ENOENT where there is none, ELOOP where a link or no regular file
 * stands there. */
int path_open_file(int root, const char *path, struct error *err);

#endif
