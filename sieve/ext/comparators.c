/*
 * i;octet, i;ascii-casemap (RFC 4790) and, as in Pigeonhole, i;unicode-casemap (RFC 5051) are always
 * on; i;ascii-numeric is to be required.
 */
#include <string.h>

#include "sieve/fold.h"
#include "sieve/sieve-internal.h"

static int compare_bytes(const struct sieve_string *a, const struct sieve_string *b)
{
    int order = memcmp(a->data, b->data, MIN(a->length, b->length));

    if (order != 0)
        return order;
    return a->length < b->length ? -1 : a->length > b->length;
}

static int compare_octet(struct sieve_run *run, const struct sieve_string *a,
    const struct sieve_string *b)
{
    (void)run;
    return compare_bytes(a, b);
}

static int compare_casemap(struct sieve_run *run, const struct sieve_string *a,
    const struct sieve_string *b)
{
    size_t common = MIN(a->length, b->length);

    (void)run;
    for (size_t i = 0; i < common; i++) {
        unsigned char x = (unsigned char)g_ascii_toupper(a->data[i]);
        unsigned char y = (unsigned char)g_ascii_toupper(b->data[i]);

        if (x != y)
            return x < y ? -1 : 1;
    }
    return a->length < b->length ? -1 : a->length > b->length;
}

static int compare_unicode(struct sieve_run *run, const struct sieve_string *a,
    const struct sieve_string *b)
{
    struct sieve_string x = sieve_fold(run->arena, a, SIEVE_FOLD_UNICODE, NULL);
    struct sieve_string y = sieve_fold(run->arena, b, SIEVE_FOLD_UNICODE, NULL);

    return compare_bytes(&x, &y);
}

/* The digits in front without leading zeros; length 0 and false: no number, positive infinity. */
static bool digits_of(const struct sieve_string *text, struct sieve_string *ret)
{
    size_t length = 0, zeros = 0;

    while (length < text->length && g_ascii_isdigit(text->data[length]))
        length++;
    while (zeros + 1 < length && text->data[zeros] == '0')
        zeros++;
    *ret = (struct sieve_string){text->data + zeros, length - zeros};
    return length > 0;
}

static int compare_numeric(struct sieve_run *run, const struct sieve_string *a,
    const struct sieve_string *b)
{
    struct sieve_string x, y;
    bool has_x = digits_of(a, &x), has_y = digits_of(b, &y);

    (void)run;
    if (!has_x || !has_y)
        return (int)has_y - (int)has_x;
    if (x.length != y.length)
        return x.length < y.length ? -1 : 1;
    return memcmp(x.data, y.data, x.length);
}

static const struct sieve_comparator base[] = {
    {.name = "i;ascii-casemap", .fold = SIEVE_FOLD_ASCII, .substrings = true,
        .compare = compare_casemap},
    {.name = "i;octet", .fold = SIEVE_FOLD_NONE, .substrings = true, .compare = compare_octet},
    {.name = "i;unicode-casemap", .fold = SIEVE_FOLD_UNICODE, .substrings = true,
        .compare = compare_unicode},
    {NULL},
};

static const struct sieve_comparator numeric[] = {
    {.name = "i;ascii-numeric", .numeric = true, .compare = compare_numeric},
    {NULL},
};

const struct sieve_extension sieve_ext_comparators = {
    .name = "comparators of the base language",
    .flags = SIEVE_EXTENSION_BASE,
    .comparators = base,
};

/* Requiring those is allowed (RFC 5228 2.7.3) and adds nothing. */
const struct sieve_extension sieve_ext_comparator_casemap = {
    .name = "comparator-i;ascii-casemap", .rfc = "RFC 5228", .status = "complete"};
const struct sieve_extension sieve_ext_comparator_octet = {
    .name = "comparator-i;octet", .rfc = "RFC 5228", .status = "complete"};

const struct sieve_extension sieve_ext_comparator_numeric = {
    .name = "comparator-i;ascii-numeric",
    .rfc = "RFC 4790",
    .status = "complete",
    .comparators = numeric,
};

const struct sieve_extension sieve_ext_comparator_unicode = {
    .name = "comparator-i;unicode-casemap",
    .rfc = "RFC 5051",
    .status = "complete",
};
