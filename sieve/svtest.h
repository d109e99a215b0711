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

/* Runs each path: a file, or a folder with all *.svtest below it, sorted. Prints a line
 * "file:line: test 'name' failed: reason" for each failing test to @out (with @verbose one "ok" line
 * for each other), and in the end "N passed, N failed". @engine runs the scripts that
 * test_script_compile compiles. A file that does not compile is one failed test. False only when a
 * path cannot be read. */
bool svtest_run(const char *const *paths, size_t count, enum sieve_engine engine, bool verbose,
    FILE *out, struct svtest_counts *ret_counts, struct error *err);

#endif
