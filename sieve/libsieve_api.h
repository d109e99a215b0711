/* libsieve, loaded by the child that runs it: a site with the native engine never maps it, and need
 * not have it installed. */
#ifndef VMAIL_SIEVE_LIBSIEVE_API_H
#define VMAIL_SIEVE_LIBSIEVE_API_H

#include <stdbool.h>
#include <stddef.h> /* sieve2.h uses NULL */

#include <sieve2.h>

/* Each function once: the table and its filling are made from this list. */
#define LIBSIEVE_FUNCTIONS(X) \
    X(sieve2_alloc) \
    X(sieve2_callbacks) \
    X(sieve2_execute) \
    X(sieve2_getvalue_int) \
    X(sieve2_getvalue_string) \
    X(sieve2_getvalue_stringlist) \
    X(sieve2_setvalue_int) \
    X(sieve2_setvalue_string) \
    X(sieve2_setvalue_stringlist) \
    X(sieve2_validate)

struct libsieve_api {
#define LIBSIEVE_MEMBER(function) __typeof__(function) *function;
    LIBSIEVE_FUNCTIONS(LIBSIEVE_MEMBER)
#undef LIBSIEVE_MEMBER
};

/* False: it is not installed, or lacks a function. */
bool libsieve_api_load(struct libsieve_api *api);

#endif
