/*
 * What is being done to an mbox, durable before it is done: vmail-mbox/<digest of the mailbox>.journal in
 * the user's home. Read and written under the mailbox's lock only.
 *
 * The file stays, one block per mailbox, and is overwritten in place: a flush of it costs no flush of a
 * folder. "clean" over its first word ends a record and is not flushed: should a power cut bring the
 * record back, asking the database again gives the same answer.
 */
#ifndef VMAIL_STORE_MBOX_JOURNAL_H
#define VMAIL_STORE_MBOX_JOURNAL_H

#include "lda/base/error.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#define MBOX_JOURNAL_DIR "vmail-mbox"

enum mbox_journal_state {
    MBOX_JOURNAL_CLEAN,
    MBOX_JOURNAL_APPEND,   /* a delivery adds to the end */
    MBOX_JOURNAL_REWRITE,  /* everything from offset on is replaced by the tail file */
};

/* An entry that a delivery appends, to be known again wherever it lies, and whether it is whole. */
struct mbox_journal_entry {
    char key[40];          /* content key */
    off_t body_length;
    char body_digest[65];
};

struct mbox_journal {
    enum mbox_journal_state state;
    char *mailbox;         /* kept in a clean record too */
    char key[65];          /* append: the delivery's; kept in a clean record too; "": none */
    off_t offset;          /* append: size before; rewrite: where the tail goes */
    off_t end;             /* append: size after; rewrite: size before */
    off_t tail;            /* rewrite: length of the tail file */
    GArray *entries;       /* append: struct mbox_journal_entry */
};
/* To begin with and after use. */
void mbox_journal_init(struct mbox_journal *journal);
void mbox_journal_release(struct mbox_journal *journal);

/* The folder; -1 with err->code ENOENT where there is none and it is not to be made. */
int mbox_journal_open_dir(int home, bool make, struct error *err);
/* "<digest>.journal" or another file beside it. g_free. */
char *mbox_journal_name(const char *mailbox, const char *suffix);
/* Opens a journal; made, durably, where @make. -1 with err->code ENOENT: there is none. */
int mbox_journal_open(int dir, const char *mailbox, bool make, struct error *err);

/* A record that is damaged never got as far as to change the mbox: clean. Replaces what @journal held. */
bool mbox_journal_read(int fd, struct mbox_journal *journal, struct error *err);
/* Durable on return. */
bool mbox_journal_write(int fd, const struct mbox_journal *journal, struct error *err);
bool mbox_journal_clear(int fd, struct error *err);

/* Row names of all mailboxes that have a journal and, with @key, whose record, clean or not, is of that
 * delivery. Array of char *. */
bool mbox_journal_list(int home, const char *key, GPtrArray **ret_mailboxes, struct error *err);

#endif
