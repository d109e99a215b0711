/*
 * encoded-character (RFC 5228 2.4.2.4): "${hex: 40}" and "${unicode: 20AC}" in strings. The work is
 * done where strings are made ready, literal.c.
 */
#include "sieve/sieve-internal.h"

const struct sieve_extension sieve_ext_encoded_character = {
    .name = "encoded-character",
    .rfc = "RFC 5228",
    .status = "complete",
};
