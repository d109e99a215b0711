/*
 * What fileinto and the copies of :fcc say of folders when a script is compiled.
 */
#ifndef VMAIL_SIEVE_EXT_FILEINTO_H
#define VMAIL_SIEVE_EXT_FILEINTO_H

#include "sieve/sieve-internal.h"

/* A warning when the host knows that the folder @name of @node does not exist, that nothing at
 * @node makes it (:create), and that no mailbox stands in for it (:specialuse, :mailboxid). */
void fileinto_warn_missing(struct sieve_compiler *compiler, struct sieve_node *node,
    const char *name);

#endif
