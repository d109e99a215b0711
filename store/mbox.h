/*
 * An mbox file: where it lies, opening and locking it, adding to its end and cutting it back.
 *
 *   INBOX  ~/mbox        X.Y  ~/mail/X/Y   (levels in modified UTF-7)
 *
 * This is Dovecot's "mbox:~/mail:INBOX=~/mbox", and where mail tools look. A file cannot be a folder
 * too: with messages in X there can be no X.Y. Every step is openat; a link is not followed.
 */
#ifndef VMAIL_STORE_MBOX_H
#define VMAIL_STORE_MBOX_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <sys/types.h>

#define MBOX_INBOX "mbox"
#define MBOX_FOLDERS "mail"

struct mbox_lock;

struct mbox {
    char *mailbox;     /* row name */
    char *path;        /* below the home */
    const char *name;  /* its last component */
    int dir;           /* the folder it lies in */
    int fd;            /* for reading and writing */
    bool make;
    bool made;         /* by us: its name is not durable yet */
    struct mbox_lock *lock; /* NULL: not locked */
};

/* Below the home. g_free. */
char *mbox_path(const char *mailbox);
/* The row name of a path as mbox_path makes it; false: a name that no mailbox has. g_free. */
bool mbox_path_to_mailbox(const char *path, char **ret_mailbox);

/* Opens it, made (0600, its folders 0700) where @make. NULL; err->code ENOENT: there is none;
 * mbox_is_blocked: none can be. */
struct mbox *mbox_open(int home, const char *mailbox, bool make, struct error *err);
/* Unlocks and closes. Takes NULL; keeps errno. */
void mbox_free(struct mbox *mbox);
/* Something else stands in its place (a folder, a link, a file that is no mbox). */
bool mbox_is_blocked(const struct error *err);

/* Locks it (@locks, @timeout_s as mbox_lock_take has them); opened again when the file was replaced
 * meanwhile. Locked already: true. ENOENT in err->code: it is gone, and was not to be made. */
bool mbox_take_lock(struct mbox *mbox, const char *locks, int timeout_s, struct error *err);
void mbox_drop_lock(struct mbox *mbox);

bool mbox_size(const struct mbox *mbox, off_t *ret_size, struct error *err);
/* How many "\n" its end lacks until an entry may follow: 0, 1 or 2. */
bool mbox_missing_newlines(const struct mbox *mbox, off_t size, int *ret_count, struct error *err);
/* Flushes content and, of one that we made, the name. */
bool mbox_sync(struct mbox *mbox, struct error *err);
/* Makes it @size bytes long again, durably. */
bool mbox_cut(struct mbox *mbox, off_t size, struct error *err);

/* A sink for mbox_entry_make that collects small pieces. */
struct mbox_writer {
    const struct mbox *mbox;
    size_t used;
    char buffer[65536];
};
/* Begins at @offset. */
bool mbox_writer_open(struct mbox_writer *writer, const struct mbox *mbox, off_t offset,
                      struct error *err);
bool mbox_writer_add(void *writer, const char *data, size_t length, struct error *err);
bool mbox_writer_flush(struct mbox_writer *writer, struct error *err);

#endif
