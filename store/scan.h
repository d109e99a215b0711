/*
 * Walks the Maildir of a user: folders, and the message files of a folder.
 *
 * What is not a message (a directory, FIFO, device, link, a name with control characters or over
 * the length of a name) is counted and passed by; nothing is opened for reading and no link
 * followed. Memory grows with one folder's names, about 100 bytes a message.
 */
#ifndef VMAIL_STORE_SCAN_H
#define VMAIL_STORE_SCAN_H

#include "lda/base/error.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct sync_mbox_place;

/* A folder as found on disk. */
struct scan_folder {
    char *dir;           /* "." for INBOX, ".X.Y" */
    char *mailbox;       /* canonical row name in UTF-8: "INBOX", "X.Y" */
};

/* A message file. */
struct scan_file {
    const char *entry;   /* the whole name as it stands in the directory */
    char *name;          /* base name: without ":2,flags" */
    char *flags;         /* the letters behind ":2,", sorted, each once; "" */
    bool is_new;         /* in new/, not cur/ */
    const char *keywords; /* of an mbox's message, separated by spaces; NULL: letters in flags */
    const struct sync_mbox_place *mbox; /* where in an mbox it lies; NULL: a file */
};

/* Change stamp of a folder: new/ and cur/'s mtime and dovecot-keywords', in nanoseconds. Two stamps that
 * are equal, and older than the resolution of the clock, mean nothing was added, renamed or
 * removed in between. */
struct scan_stamp {
    int64_t new_mtime_ns, cur_mtime_ns, keywords_mtime_ns;
    bool settled;        /* all times lie at least 2 s before the scan: a later change must show */
};

/* @home: descriptor of the user's home. Folders in the order of their names; INBOX first. Array of
 * struct scan_folder. A folder is a directory ".X" with a cur/ in it. */
bool scan_folders(int home, GPtrArray **ret_folders, struct error *err);

/* Reads the stamp of the folder @dir. ENOENT in err->code: the folder went away. */
bool scan_stamp(int home, const char *dir, struct scan_stamp *ret_stamp, struct error *err);

/* Calls @found for each message file of @dir; false from it ends the scan (and must have filled
 * err). A file renamed while we read the directory may be seen twice or not at all: the caller
 * compares twice (sync does). *@ret_ignored counts what is no message. */
typedef bool scan_found(const struct scan_file *file, void *ctx, struct error *err);
bool scan_files(int home, const char *dir, scan_found *found, void *ctx, int64_t *ret_ignored,
                struct error *err);

/* Keyword names of a folder from dovecot-keywords, by letter a…z; unset ones NULL. Bounded: names
 * over 100 bytes and files over 16 KiB are ignored. */
struct scan_keywords {
    char *names[26];
};
bool scan_keywords_read(int home, const char *dir, struct scan_keywords *ret_keywords,
                        struct error *err);
void scan_keywords_clear(struct scan_keywords *keywords);

/* The row's flags of a file: IMAP names separated by spaces, "\Answered \Flagged $Forwarded", in
 * a fixed order, without \Seen (that is is_read) and without "recent". The caller frees. */
char *scan_flags_describe(const char *letters, const struct scan_keywords *keywords);

/* Splits a file name into base and sorted flag letters; false: cannot be a message (starts with a
 * dot, control character, empty base). */
bool scan_split_name(const char *file_name, char **ret_base, char **ret_letters);

#endif
