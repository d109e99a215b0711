/* Where a replay's messages come from. What cannot be read is told, one by one, and the walk goes on. */
#ifndef VMAIL_REPLAY_SOURCE_H
#define VMAIL_REPLAY_SOURCE_H

#include "lda/replay.h"

#include <stdint.h>

enum replay_type {
    REPLAY_ANY,      /* found out by looking */
    REPLAY_EML,      /* a file with one message, or a directory of files *.eml */
    REPLAY_MAILDIR,  /* with its folders, Maildir++ */
    REPLAY_MBOX,
    REPLAY_QUEUE,    /* a Postfix queue file */
};

/* Whom a walk tells. */
struct replay_sink {
    void *ctx;
    /* @fd: the message, at its beginning; it is closed after the call. False ends the walk. */
    bool (*found)(void *ctx, const struct replay_job *job, int fd);
    /* @outcome: REPLAY_SKIPPED for what is no mail, REPLAY_FAILED for what should have been read. */
    void (*left)(void *ctx, const char *name, enum replay_outcome outcome,
                 const struct error *err);
};

/* Walks each kind; false: found() said that it is enough. Memory does not grow with the number or size
 * of messages, but for 8 bytes for each message of one Maildir folder, and the ids of a queue. */

/* Postfix's programs get @config_dir as their -c unless it is NULL. */
struct replay_queue {
    const char *config_dir;
};

/* A path, or "-" for standard input. */
bool replay_source_walk(const char *path, enum replay_type type, const struct replay_queue *queue,
                        const struct replay_sink *sink);

/* replay_folder.c. A Maildir in use is looked at again until it has held still: files that move from
 * new/ to cur/ or change their flags meanwhile are missed by no walk and come once. */
bool replay_eml_folder(int dir, const char *name, const struct replay_sink *sink);
bool replay_maildir(int home, const char *name, const struct replay_sink *sink);
bool replay_is_maildir(int dir);
/* How many entries there are, for a progress bar: no promise. 0: not a folder. */
uint64_t replay_folder_count(const char *path);

/* replay_mbox.c. State headers (Status, X-UID …) become flags and are left out, ">From " loses its '>'. */
bool replay_mbox(int fd, const char *name, const struct replay_sink *sink);

/* replay_queue.c. Runs postcat(1) and postqueue(1). Recipients that are done already are passed over. */
bool replay_queue_file(const struct replay_queue *queue, int fd, const char *name,
                       const struct replay_sink *sink);
bool replay_queue_id(const struct replay_queue *queue, const char *id,
                     const struct replay_sink *sink);
/* All messages but those on hold, and those that have no lasting id yet (maildrop). */
bool replay_queue_all(const struct replay_queue *queue, const struct replay_sink *sink);
bool replay_queue_id_is_valid(const char *id);

#endif
