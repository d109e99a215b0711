/* The programs that the site allows to Sieve scripts (vnd.dovecot.pipe, .filter, .execute). */
#ifndef VMAIL_PROGRAM_H
#define VMAIL_PROGRAM_H

#include "lda/base/error.h"
#include "lda/child.h"

#include <stdbool.h>
#include <stddef.h>

struct config;
struct envelope;
struct user;

/* Runs sieve_program_dir/@name, without a shell, with @input (a descriptor of a file, -1: none) as its
 * standard input and HOME, USER, HOST, SENDER, RECIPIENT and ORIG_RECIPIENT in an otherwise empty
 * environment. @name must be a plain file name of that folder. ERROR_REFUSED where it is not
 * allowed or not there, ERROR_TEMPORARY as child_run. */
bool program_run(const struct config *config, const struct envelope *envelope,
                 const struct user *user, const char *name, const char *const *arguments,
                 int input, size_t output_limit, struct child_result *ret_result,
                 struct error *err);

#endif
