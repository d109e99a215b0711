/*
 * The query language of `vmail search`, from text to a tree. Pure.
 *
 *     query  = or-list
 *     or     = and { "or" and }               "or" binds weaker than a space
 *     and    = not { not }                    a space means and
 *     not    = [ "-" ] primary
 *     primary = "(" or ")" | [ key ":" ] ( word | "phrase" )
 *
 * Keys: from to cc subject list (text), in (mailbox), before after on (dates), larger smaller
 * (sizes), has:attachment, is:unread|read|flagged|answered|draft|deleted. A word with any other
 * "x:" in front is a word as it stands ("re:", "http://…"). Everything the language does not know
 * as syntax is literal text: %, _, *, ', ; and \ have no meaning.
 */
#ifndef VMAIL_STORE_SEARCH_QUERY_H
#define VMAIL_STORE_SEARCH_QUERY_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum query_type {
    QUERY_AND,         /* of its children; none: everything */
    QUERY_OR,
    QUERY_NOT,         /* of its one child */
    QUERY_TEXT,        /* text (folded) in any field */
    QUERY_FROM, QUERY_TO, QUERY_CC, QUERY_SUBJECT, QUERY_LIST, /* text (folded) in that field */
    QUERY_IN,          /* text: mailbox name as the user wrote it, not folded */
    QUERY_BEFORE,      /* number: UTC seconds, date <  number */
    QUERY_AFTER,       /* number: UTC seconds, date >= number */
    QUERY_LARGER,      /* number: bytes, size > number */
    QUERY_SMALLER,     /* number: bytes, size < number */
    QUERY_ATTACHMENT, QUERY_UNREAD, QUERY_READ,
    QUERY_FLAGGED, QUERY_ANSWERED, QUERY_DRAFT, QUERY_DELETED
};

struct query {
    enum query_type type;
    char *text;              /* owned; NULL where the type has none */
    int64_t number;
    struct query **children; /* owned */
    size_t n_children;
};

#define QUERY_TEXT_MAX 4096  /* bytes of a whole query */
#define QUERY_TERMS_MAX 64   /* terms of a query */
#define QUERY_DEPTH_MAX 16   /* parentheses within parentheses */

/* Parses @length bytes of @text. Days are counted in UTC offset by @utc_offset seconds (what the
 * caller's clock shows). @now (UTC seconds) is for relative dates: "after:7d", "after:today".
 *
 * Errors are ERROR_USAGE with a sentence that names the position: NUL, invalid UTF-8, longer than
 * QUERY_TEXT_MAX, a bad date or size, an unknown has:/is: value, missing parenthesis or quote. An
 * empty query is everything. The caller frees with query_free. */
bool query_parse(const char *text, size_t length, int64_t now, int utc_offset,
                 struct query **ret_query, struct error *err);

void query_free(struct query *query);

/* The tree as text, "(and (from \"kim\") (not (unread)))", for tests and --explain. */
char *query_describe(const struct query *query);

#endif
