/*
 * Names of external lists (RFC 6134), for who asks the host about one.
 */
#ifndef VMAIL_SIEVE_EXT_EXTLISTS_H
#define VMAIL_SIEVE_EXT_EXTLISTS_H

#include "sieve/sieve-internal.h"

/* ":addrbook:x" written out as "urn:ietf:params:sieve:addrbook:x"; others as they are. */
const char *extlists_name(struct arena *arena, const char *name);

#endif
