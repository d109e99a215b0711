/*
 * Declares what list.inc lists.
 */
#ifndef VMAIL_SIEVE_EXT_LIST_H
#define VMAIL_SIEVE_EXT_LIST_H

#include "sieve/sieve-internal.h"

#define EXTENSION(name) extern const struct sieve_extension sieve_ext_##name;
#include "sieve/ext/list.inc"
#undef EXTENSION

#endif
