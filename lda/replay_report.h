/* What a replay tells: each message that is left with its reason, and a summary. */
#ifndef VMAIL_REPLAY_REPORT_H
#define VMAIL_REPLAY_REPORT_H

#include "lda/replay.h"

#include <stdint.h>
#include <stdio.h>

struct replay_report;

struct replay_report_options {
    FILE *left;     /* what was not delivered, or skipped: one line each; borrowed */
    FILE *summary;  /* borrowed */
    bool json;      /* lines of both are JSON objects */
    bool verbose;   /* what was delivered has its line in @summary too */
    bool dry_run;
};

struct replay_report *replay_report_new(const struct replay_report_options *options);
void replay_report_free(struct replay_report *report);

/* One message and recipient. @recipient and others in @answer may be NULL. */
void replay_report_add(struct replay_report *report, const char *name, const char *queue_id,
                       const struct replay_answer *answer);

uint64_t replay_report_done(const struct replay_report *report);
uint64_t replay_report_failed(const struct replay_report *report);
/* How many in a row failed, up to now, for a reason that is not the message's own. */
unsigned replay_report_in_a_row(const struct replay_report *report);

/* Prints the summary; @stopped: why not everything was tried, or NULL. Returns the exit status: 0, 75
 * when a later run may deliver what is left, 65 when it will not, 74 when @left could not be written. */
int replay_report_finish(struct replay_report *report, const char *stopped);

#endif
