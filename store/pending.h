/*
 * vmail-pending/ in the user's home: messages on their way, and what remembers a try that broke off.
 *
 *   spool.<pid>.<random>  being written
 *   <key>.0               the message of a delivery that was identified; its link count is the witness
 *   <key>.1 …             edited versions of it
 *   <key>.sent            what was handed to the MTA before COMMIT, one digest a line
 *
 * The folder has no dot in front, so Maildir++ does not show it; it is not tmp/, which Dovecot empties of
 * what is older than 36 hours. Whoever works on a delivery holds flock on its <key>.0.
 */
#ifndef VMAIL_STORE_PENDING_H
#define VMAIL_STORE_PENDING_H

#include "lda/base/error.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PENDING_DIR "vmail-pending"
#define PENDING_KEY_DIGITS 64

struct pending_file {
    char *name;          /* in the folder */
    int fd;              /* read and write; locked for <key>.0 and spools */
    dev_t dev;
    ino_t ino;
    nlink_t links;       /* when it was found */
    off_t size;          /* when it was found, or after pending_file_measure */
    off_t size_crlf;     /* 0: not known yet */
};
void pending_file_free(gpointer file);
/* Takes size from the file, and size_crlf from @size_crlf or, 0, by counting. */
bool pending_file_measure(struct pending_file *file, off_t size_crlf, struct error *err);

/* Opens the folder, made (0700, durably) where @make. -1, err->code ENOENT: there is none. */
int pending_open_dir(int home, bool make, struct error *err);

/* A new, empty, locked spool file. */
bool pending_spool(int dir, struct pending_file **ret_file, struct error *err);
/* A new content file "<key>.<number>" with a number that is free. */
bool pending_new_content(int dir, const char *key, struct pending_file **ret_file,
                         struct error *err);
/* Removes the contents of tries that broke off before they published them: many such tries must not use
 * up the numbers. Only for who holds <key>.0. */
void pending_drop_unpublished(int dir, const char *key);

enum pending_claim {
    PENDING_FRESH,     /* the spool is <key>.0 now */
    PENDING_LEFTOVER,  /* an earlier try's is there: *ret_leftover, locked; the spool is as it was */
    PENDING_FAILED,
};
/* Makes the spool the delivery's file. Another process at work on it: ERROR_TEMPORARY. */
enum pending_claim pending_claim(int dir, const char *key, struct pending_file *spool,
                                 struct pending_file **ret_leftover, struct error *err);
/* Puts the spool in the place of a leftover that we hold. */
bool pending_replace(int dir, const char *key, struct pending_file *spool, struct error *err);

/* The inodes of all <key>.<number> files there are, appended to @inodes (of ino_t). */
void pending_inodes(int dir, const char *key, GArray *inodes);

/* Removes all files of the key, <key>.0 last; @keep_marks spares <key>.sent. Errors do not matter: what
 * stays is swept. */
void pending_remove(int dir, const char *key, bool keep_marks);

/* Digests of ids in <key>.sent: a set (GHashTable of char *); empty where there is no file. */
bool pending_read_marks(int dir, const char *key, GHashTable **ret_marks, struct error *err);
bool pending_add_mark(int dir, const char *key, const char *id, struct error *err);
char *pending_mark_of(const char *id);

#endif
