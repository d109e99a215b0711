/*
 * Tokens into nodes (RFC 5228 section 8.2): commands, arguments, tests, blocks; no meaning yet.
 */
#ifndef VMAIL_SIEVE_PARSER_H
#define VMAIL_SIEVE_PARSER_H

#include "sieve/sieve-internal.h"

#define SIEVE_ARGUMENTS_MAX 32 /* arguments of one command or test, tags counted */

enum sieve_raw_kind { SIEVE_RAW_TAG, SIEVE_RAW_NUMBER, SIEVE_RAW_STRING, SIEVE_RAW_LIST };

/* An argument as written. */
struct sieve_raw_arg {
    enum sieve_raw_kind kind;
    unsigned line, column;
    const char *tag;
    uint64_t number;
    struct sieve_literal *strings;
    size_t count;
};

#define SIEVE_RAW_TEST_LIST 1u /* node->raw_flags: the tests stood in parentheses */

/* Parses the whole script. After an error it goes on behind the next ';' or '}' until the bound on
 * errors is reached. NULL when there was an error. */
struct sieve_block *sieve_parse(struct sieve_compiler *compiler, const char *text, size_t length);

#endif
