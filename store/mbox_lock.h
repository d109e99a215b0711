/*
 * Locks on an mbox, as Dovecot (mbox_write_locks), Postfix and mail tools take them.
 *
 * dotlock: "<name>.lock" beside the file, holding "pid:host" as Dovecot writes it. fcntl: a write lock on
 * the whole file (an open file description's lock, which meets other programs' POSIX locks). Taken in
 * the order given; whoever takes both in another order than its neighbours waits until a timeout.
 *
 * A dotlock is stale when its process is gone from this host (or is younger than the lock: the number
 * was used again); one without a whole text, when the machine started since; one of an unknown process,
 * when lock and mbox have not changed for two minutes.
 */
#ifndef VMAIL_STORE_MBOX_LOCK_H
#define VMAIL_STORE_MBOX_LOCK_H

#include "lda/base/error.h"

struct mbox_lock;

/* @dir: the folder with the file @name, @fd the file, open for writing. @locks: "dotlock", "dotlock_try"
 * (none where the folder is not ours to write), "fcntl", "flock", "lockf", separated by spaces or
 * commas. Waits at most @timeout_s (0: does not wait), then ERROR_TEMPORARY; err->code EAGAIN. */
struct mbox_lock *mbox_lock_take(int dir, const char *name, int fd, const char *locks,
                                 int timeout_s, struct error *err);
/* Before the file is closed. Takes NULL. */
void mbox_lock_free(struct mbox_lock *lock);

#endif
