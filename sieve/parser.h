/*
 * Tokens into nodes (RFC 5228 section 8.2): commands, arguments, tests, blocks; no meaning yet.
 */
#ifndef VMAIL_SIEVE_PARSER_H
#define VMAIL_SIEVE_PARSER_H

#include "sieve/sieve-internal.h"

#define SIEVE_ARGUMENTS_MAX 32 /* arguments of one command or test, tags counted */

/* Parses the whole script. After an error it goes on behind the next ';' or '}' until the bound on
 * errors is reached. NULL when there was an error. */
struct sieve_block *sieve_parse(struct sieve_compiler *compiler, const char *text, size_t length);

#endif
