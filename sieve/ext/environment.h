/*
 * Items of the environment, for the test and for the variables of vnd.dovecot.environment.
 */
#ifndef VMAIL_SIEVE_EXT_ENVIRONMENT_H
#define VMAIL_SIEVE_EXT_ENVIRONMENT_H

#include "sieve/sieve-internal.h"

/* The value of @item; SIEVE_NO: there is none. */
enum sieve_answer environment_get(struct sieve_run *run, const char *item,
    struct sieve_string *ret);

#endif
