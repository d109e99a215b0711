/*
 * Strings made ready for comparing: i;ascii-casemap (RFC 4790 9.2) and i;unicode-casemap (RFC 5051).
 */
#ifndef VMAIL_SIEVE_FOLD_H
#define VMAIL_SIEVE_FOLD_H

#include "sieve/sieve-internal.h"

#define SIEVE_FOLD_NONE 0
#define SIEVE_FOLD_ASCII 1
#define SIEVE_FOLD_UNICODE 2

/* @ret_map may be NULL; for SIEVE_FOLD_UNICODE it is set to the offset in @text of the character
 * that each byte of the result comes from, else to NULL. */
struct sieve_string sieve_fold(struct arena *arena, const struct sieve_string *text,
    unsigned char fold, const uint32_t **ret_map);

/* SIEVE_FOLD_ASCII into @out, which has room for one byte more than @text. */
struct sieve_string sieve_fold_ascii(char *out, const struct sieve_string *text);

/* The match types of the base language, for its table. */
enum sieve_status sieve_match_is(struct sieve_match *match, const struct sieve_string *value,
    const struct sieve_string *key);
enum sieve_status sieve_match_contains(struct sieve_match *match,
    const struct sieve_string *value, const struct sieve_string *key);
enum sieve_status sieve_match_matches(struct sieve_match *match,
    const struct sieve_string *value, const struct sieve_string *key);

#endif
