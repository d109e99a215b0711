/* Running a program for a delivery: sendmail, and what the site allows to Sieve scripts. */
#ifndef VMAIL_CHILD_H
#define VMAIL_CHILD_H

#include "lda/base/error.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

struct child {
    const char *const *argv;        /* argv[0] is the path; no shell, no search in PATH */
    const char *const *environment; /* "NAME=value", NULL-terminated; NULL: ours */
    int input;                      /* a regular file, read from its beginning; -1: nothing */
    unsigned timeout_s;             /* then it is killed */
    int output_file;                /* takes standard output; 0: the next line does */
    size_t output_limit;            /* bytes of standard output taken; more kills it; 0: thrown away */
};

struct child_result {
    int status;       /* exit status; -1: it was killed by a signal */
    GString *output;  /* standard output, when output_limit > 0 */
    char *complaint;  /* first line of standard error, "" for none */
};

/* Runs it to its end. The child dies with us (PR_SET_PDEATHSIG) and at the deadline. ERROR_TEMPORARY
 * when it could not be started, was too slow or wrote too much; every exit status is a success of
 * ours. Clear the result after success. */
bool child_run(const struct child *child, struct child_result *ret_result, struct error *err);
void child_result_clear(struct child_result *result);

/* An unnamed file for a child's input, O_CLOEXEC; -1 on failure. */
int child_temporary_file(struct error *err);

#endif
