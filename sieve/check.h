/*
 * Binds nodes to words, arguments and tags, and checks what can be known before a run.
 */
#ifndef VMAIL_SIEVE_CHECK_H
#define VMAIL_SIEVE_CHECK_H

#include "sieve/sieve-internal.h"

/* Checks the block of compiler->unit; reports; the result is in diagnostics. */
void sieve_check_unit(struct sieve_compiler *compiler, struct sieve_block *block);

#endif
