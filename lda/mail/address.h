/*
 * Address lists of header fields and addresses of envelopes (RFC 5322 section 3.4 and 4.4, RFC
 * 6531).
 *
 * An own parser: one pass, no recursion, bounded output. GMime's calls itself for each "group:" and
 * a From field with 50,000 of them overflows its stack (jstedfast/gmime#15).
 */
#ifndef VMAIL_MAIL_ADDRESS_H
#define VMAIL_MAIL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

/* All strings are valid UTF-8, owned by the list. */
struct address {
    const char
        *name; /* display name decoded (or, lacking one, the comment "a@b (Name)"); or NULL */
    const char *local;  /* without quotes and backslashes; "" where not valid */
    const char *domain; /* as written, without comments and space; "" where not valid */
    const char *full; /* "local@domain", local quoted where it must be; where not valid, the text */
    const char *group; /* the name of the group it stands in, decoded; or NULL */
    bool valid;        /* has a local part and a domain */
};

struct address_list {
    struct address *items;
    size_t count;
    bool truncated; /* more than the bound; the first ones are here */
};

/* The most addresses one list gives when the caller says 0. */
#define ADDRESS_LIST_DEFAULT_MAX 10000

/* Parses the unfolded raw value of an address field (not the decoded one: a decoded name may hold a
 * comma). Never fails: what is no address becomes an item with valid = false, "<>" one with valid
 * = false and full "", an empty group nothing. Source routes are dropped. @max 0 = default;
 * @fallbacks as in charset.h. */
struct address_list *address_list_parse(const char *raw, size_t max, const char *const *fallbacks);
void address_list_free(struct address_list *list);

static inline void address_list_cleanup(struct address_list **list)
{
    address_list_free(*list);
}
#define AUTO_ADDRESS_LIST __attribute__((cleanup(address_list_cleanup))) struct address_list *

/* An envelope address: "a@b", "<a@b>", "<@route:a@b>", or a bare "user". "" and "<>" (the null
 * sender) give "" and "". Results are g_free'd by the caller; a bare user has domain "". false: no
 * address (two @ outside quotes, space, control characters …). */
bool address_parse_path(const char *path, char **ret_local, char **ret_domain);

/* "local@domain" with the local part quoted where RFC 5321 wants it; "local" when @domain is "". */
char *address_join(const char *local, const char *domain);

/* "user+detail" at the first character that is in @delimiters (Postfix recipient_delimiter, e.g.
 * "+" or "+-"; NULL or "" = no detail at all) and not the first of the local part. *ret_detail is
 * NULL when there is none, "" for "user+". Either may be NULL. g_free. */
void address_split_detail(const char *local, const char *delimiters, char **ret_user,
                          char **ret_detail);

/* A domain for comparison: lower case, punycode labels as Unicode, no final dot. g_free. */
char *address_domain_fold(const char *domain);

/* True when both are the same mailbox: domains folded, local parts compared without ASCII case.
 * Either may stand in <>. */
bool address_equal(const char *a, const char *b);

/* `Name <local@domain>` for a header field, the name encoded (RFC 2047) or quoted where it must be;
 * @name may be NULL. g_free. */
char *address_format(const char *name, const char *address);

#endif
