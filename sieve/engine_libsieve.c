#include "sieve/engine_libsieve.h"

#include "sieve/script.h"

#ifndef HAVE_LIBSIEVE

void sieve_libsieve_compile(struct sieve_compiler *compiler, const struct sieve_program *program)
{
    (void)program;
    sieve_error_at(compiler, 0, 0, "the libsieve engine is not part of this build");
}

enum sieve_status sieve_libsieve_run(struct sieve_run *run, const struct sieve_program *program)
{
    (void)program;
    return sieve_fail(run, NULL, "the libsieve engine is not part of this build");
}

#endif
