/*
 * Binds what is written behind a word to its node: tags, positional arguments, comparator and match
 * type. False: what is wrong was reported. (What is asked of a bound node stands in
 * sieve-internal.h.)
 */
#ifndef VMAIL_SIEVE_ARGUMENTS_H
#define VMAIL_SIEVE_ARGUMENTS_H

#include "sieve/sieve-internal.h"

/* Binds the tags in front of the positional arguments; *ret_next is the first one behind them. */
bool sieve_bind_tags(struct sieve_compiler *compiler, struct sieve_node *node, size_t *ret_next,
    struct sieve_match_spec *match);

/* Positional arguments begin at @first. */
bool sieve_check_positional_count(struct sieve_compiler *compiler, const struct sieve_node *node,
    size_t first);
bool sieve_bind_positional(struct sieve_compiler *compiler, struct sieve_node *node, size_t first);

/* Both look at the bound tags; sieve_bind_match at the bound keys too. */
bool sieve_bind_comparator(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_match_spec *match);
bool sieve_bind_match(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_match_spec *match);

#endif
