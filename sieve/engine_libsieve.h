/*
 * The second engine: libsieve 2.2.6 in a forked child with limits of time and memory.
 */
#ifndef VMAIL_SIEVE_ENGINE_LIBSIEVE_H
#define VMAIL_SIEVE_ENGINE_LIBSIEVE_H

#include "sieve/sieve-internal.h"

/* Validates program->source; reports errors. */
void sieve_libsieve_compile(struct sieve_compiler *compiler, const struct sieve_program *program);

/* Runs one stage: adds its actions to the run through sieve_action_commit. NEXT or ERROR. */
enum sieve_status sieve_libsieve_run(struct sieve_run *run, const struct sieve_program *program);

#endif
