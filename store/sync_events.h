/*
 * What changes in the Maildirs below a root, as it happens: fanotify on the whole file system where
 * the kernel lets us (one mark however many folders), inotify otherwise (four watches a folder).
 *
 * An event says only "look there": what changed is found by looking. Events may be lost (overflow):
 * that is told, and means "look everywhere".
 */
#ifndef VMAIL_STORE_SYNC_EVENTS_H
#define VMAIL_STORE_SYNC_EVENTS_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct sync_events;

/* @root must exist. @fanotify false: do not try it. */
struct sync_events *sync_events_open(const char *root, bool fanotify, struct error *err);
void sync_events_close(struct sync_events *events);

/* "fanotify" or "inotify". */
const char *sync_events_kind(const struct sync_events *events);
/* Poll it for reading. */
int sync_events_fd(const struct sync_events *events);

/* Watches the home of user @id, @fd an open descriptor of it (borrowed), @path its absolute path.
 * Again for the same home: folders that are new are watched too. The kernel's limit of watches reached:
 * ERROR_CONFIG, the folders so far are watched. */
bool sync_events_add_home(struct sync_events *events, int64_t id, int fd, const char *path,
                          struct error *err);
/* The same for a home with mboxes. Under fanotify writing is no event (it would be one for every file of
 * the file system): there the end of a dotlock says that an mbox was written. */
bool sync_events_add_mbox_home(struct sync_events *events, int64_t id, int fd, const char *path,
                               struct error *err);

/* Something changed in the folder @dir ("." or ".X", of mboxes "mbox" or "mail/X") of user @id; NULL:
 * folders came or went. */
typedef void sync_changed(void *ctx, int64_t id, const char *dir);

/* Takes what has arrived; does not wait. *@ret_overflow: events were lost. */
bool sync_events_read(struct sync_events *events, sync_changed *changed, void *ctx,
                      bool *ret_overflow, struct error *err);

#endif
