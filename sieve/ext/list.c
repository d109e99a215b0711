/*
 * The extensions, one line each. This list is the only place that names them.
 */
#include "sieve/ext/list.h"

#include "sieve/sieve-internal.h"

const struct sieve_extension *const sieve_extension_list[] = {
#define EXTENSION(name) &sieve_ext_##name,
#include "sieve/ext/list.inc"
#undef EXTENSION
    NULL,
};
