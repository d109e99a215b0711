/*
 * What `replace` added to the header and nobody may take away (RFC 5703 5).
 */
#ifndef VMAIL_SIEVE_EXT_REPLACE_H
#define VMAIL_SIEVE_EXT_REPLACE_H

#include "sieve/sieve-internal.h"

/* True when replace put a field of this name in: Original-Subject or Original-From. */
bool replace_added(struct sieve_run *run, const char *name);

#endif
