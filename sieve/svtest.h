/*
 * The runner of the field's test format, .svtest: tests written in Sieve with the commands of
 * vnd.dovecot.testsuite, over a mail store and an outgoing queue that are in memory.
 */
#ifndef VMAIL_SIEVE_SVTEST_H
#define VMAIL_SIEVE_SVTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "sieve/sieve.h"

struct error;

struct svtest_counts {
    size_t passed;
    size_t failed;
};

enum svtest_flags {
    SVTEST_VERBOSE = 1 << 0,      /* a line "ok" for each test that passes */
    SVTEST_MEANT_TO_FAIL = 1 << 1, /* each file is one test that passes when something in it fails,
                                   * and nothing is told of that: Pigeonhole's option -F */
};

/* Runs each path: a file, or a folder with all *.svtest below it, sorted. Prints a line
 * "file:line: test 'name' failed: reason" for each failing test to @out, and in the end "N passed,
 * N failed". @engine runs the scripts that test_script_compile compiles. @flags: enum svtest_flags. A
 * file that does not compile is one failed test. False only when a path cannot be read. */
bool svtest_run(const char *const *paths, size_t count, enum sieve_engine engine, unsigned flags,
    FILE *out, struct svtest_counts *ret_counts, struct error *err);

#endif
