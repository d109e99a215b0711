/*
 * subaddress: the address parts :user and :detail.
 *
 * RFC 5233. Status: complete. The delimiter is the site's recipient_delimiter, "+" by default; of
 * several characters each one delimits, as in Postfix.
 */
#include <string.h>

#include "lda/mail/address.h"

#include "sieve/sieve-internal.h"

/* Length of the user; *ret_detail is NULL when there is none. */
static size_t split(struct sieve_run *run, const char *local, const char **ret_detail)
{
    const char *delimiters = sieve_setting(run->options, "recipient_delimiter");
    size_t length = strcspn(local, delimiters != NULL ? delimiters : "+");

    *ret_detail = local[length] != '\0' ? local + length + 1 : NULL;
    return length;
}

static bool get_user(struct sieve_run *run, const struct address *address,
    struct sieve_string *ret)
{
    const char *detail;

    if (!address->valid)
        return false;
    size_t length = split(run, address->local, &detail);
    *ret = (struct sieve_string){arena_memdup(run->arena, address->local, length), length};
    return true;
}

static bool get_detail(struct sieve_run *run, const struct address *address,
    struct sieve_string *ret)
{
    const char *detail = NULL;

    if (address->valid)
        split(run, address->local, &detail);
    if (detail == NULL)
        return false;
    *ret = sieve_str(arena_strdup(run->arena, detail));
    return true;
}

static const struct sieve_address_part address_parts[] = {
    {.name = "user", .get = get_user},
    {.name = "detail", .get = get_detail},
    {NULL},
};

const struct sieve_extension sieve_ext_subaddress = {
    .name = "subaddress",
    .rfc = "RFC 5233",
    .status = "complete",
    .address_parts = address_parts,
};
