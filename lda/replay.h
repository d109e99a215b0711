/*
 * vmail replay: messages that ops have, through deliver() once more.
 *
 *   sources (replay_source.h) ─ job, descriptor ─▶ pool (replay_pool.h) ─▶ workers (replay_worker.c)
 *                                 report (replay_report.h) ◀─ answers ─┘
 *
 * The parent reads the sources, perhaps as root, because Postfix's queue and other people's folders can
 * be read by nobody else; it looks into no message. Workers run as the owner of vmail_root, each with a
 * connection of its own, and parse and deliver. Nobody keeps a list of what was done: the delivery
 * keys in the database are that list, so a run that was broken off is simply run again.
 */
#ifndef VMAIL_REPLAY_H
#define VMAIL_REPLAY_H

#include "lda/base/error.h"

#include <glib.h>
#include <stdbool.h>

/* The same for all messages of a run. NULL: not said. */
struct replay_options {
    const char *user;       /* -u: the account; else who the message or the queue file names */
    const char *sender;     /* -f */
    const char *recipient;  /* -r */
    const char *original;   /* -a */
    const char *mailbox;    /* -m: where it is kept, whatever folder it lay in */
    bool no_script;
    bool ignore_quota;
    bool dry_run;
};

/* One message to one recipient. All strings may be NULL but @name. */
struct replay_job {
    char *name;             /* for people: "old/cur/12.M3:2,S", "all.mbox: message 7", "queue 4Xy…" */
    char *recipient;        /* of a queue file; else the worker finds it */
    char *original;         /* same */
    char *sender;           /* of a queue file: "" is the null sender; of an mbox's From_ line: used
                             * where the message has no Return-Path */
    char *queue_id;         /* with it the delivery has the key that Postfix's own try has */
    char *mailbox;          /* the folder it lay in: kept there again, no script looks at it */
    char *flags;            /* IMAP flags it had, separated by blanks */
};

enum replay_outcome {
    REPLAY_DELIVERED,
    REPLAY_BEFORE,          /* its key is there: nothing was done */
    REPLAY_SKIPPED,         /* no mail, or none of ours: nothing is left to do */
    REPLAY_FAILED,
    REPLAY_OUTCOMES
};

/* What became of a job. Strings may be NULL but @text. */
struct replay_answer {
    enum replay_outcome outcome;
    enum error_kind kind;   /* of REPLAY_FAILED */
    char *recipient;
    char *message_id;
    char *text;             /* what was done, or why not */
    char *notes;            /* lines; or NULL */
};

void replay_job_clear(struct replay_job *job);
void replay_answer_clear(struct replay_answer *answer);

/* As one packet between parent and worker. Decoding checks everything; false: not one of ours. */
GBytes *replay_job_encode(const struct replay_job *job);
bool replay_job_decode(const void *data, size_t length, struct replay_job *ret_job);
GBytes *replay_answer_encode(const struct replay_answer *answer);
bool replay_answer_decode(const void *data, size_t length, struct replay_answer *ret_answer);

/* Longest packet. */
#define REPLAY_PACKET_MAX 65536

#endif
