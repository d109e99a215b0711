/*
 * Modifiers of `set` and `extracttext` (RFC 5229 4.1): the tags that arguments.c bound at a node
 * whose word has SIEVE_WORD_MODIFIERS.
 */
#ifndef VMAIL_SIEVE_EXT_MODIFIERS_H
#define VMAIL_SIEVE_EXT_MODIFIERS_H

#include "sieve/sieve-internal.h"

/* Applies the node's modifiers to *@text, the one with the highest precedence first; the value is
 * kept within max_variable_size after each. False: the error is set. */
bool modifiers_apply(struct sieve_run *run, const struct sieve_node *node,
    struct sieve_string *text);

/* @in with a backslash before each of the characters in @special. Cut to max_variable_size, but never
 * behind such a backslash: it would quote what is put behind. */
void modifiers_quote(struct sieve_run *run, const struct sieve_string *in, const char *special,
    struct sieve_string *ret);

#endif
