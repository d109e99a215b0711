/*
 * The one table from the kind of an error to exit status and DSN code (sysexits.h, RFC 3463).
 *
 * Why it matters: Postfix's pipe(8) defers only on 71 and 75; every other unlisted status bounces
 * the mail.
 */
#ifndef VMAIL_BASE_EXIT_STATUS_H
#define VMAIL_BASE_EXIT_STATUS_H

#include "error.h"

#include <stdbool.h>
#include <stdio.h>

/* The sysexits status; @terminal: a person reads it, so a broken configuration is 78, not 75. */
int exit_status_of(enum error_kind kind, bool terminal);

/* The enhanced status code, e.g. "5.1.1". Static. */
const char *exit_status_dsn(enum error_kind kind);

/* Prints the line "D.S.N sentence" and returns the exit status; nothing may have been written to
 * @stream before: pipe(8) reads the code from the start of the output. */
int exit_status_report(const struct error *err, bool terminal, FILE *stream);

#endif
