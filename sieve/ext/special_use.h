/*
 * Which mailbox a special use stands for (RFC 8579 4), for fileinto and :fcc.
 */
#ifndef VMAIL_SIEVE_EXT_SPECIAL_USE_H
#define VMAIL_SIEVE_EXT_SPECIAL_USE_H

#include "sieve/sieve-internal.h"

/* YES: @ret_mailbox is the mailbox to use in the place of @named: itself where it has the use, else
 * another one that has it. NO: none has; @named stays. FAILED: the run's error is set. */
enum sieve_answer special_use_find(struct sieve_run *run, const struct sieve_node *node,
    const char *named, const char *flag, const char **ret_mailbox);

#endif
