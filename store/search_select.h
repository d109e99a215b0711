/*
 * The SELECTs of a search. Each is a whole statement whose rows search.c reads: search_columns, the
 * score, whether the row is undated.
 */
#ifndef VMAIL_STORE_SEARCH_SELECT_H
#define VMAIL_STORE_SEARCH_SELECT_H

#include "store/search_key.h"
#include "store/search_query.h"
#include "store/search_statement.h"

#include <stdbool.h>
#include <stdint.h>

/* Every function appends to a statement of statement_init. @key NULL: from the newest row on. */

/* What fulfils @query among the newest @rows of the user (of the mailbox, of the days, of the unread ones:
 * what the query bounds), newest first, @limit at most. */
void select_head(struct statement *statement, const struct query *query,
                 const struct search_key *key, int rows, int limit);
/* What fulfils @query among all dated rows, newest first; by the token index where it helps. */
void select_dated(struct statement *statement, const struct query *query,
                  const struct search_key *key, int limit);
/* What fulfils @query among the rows without a date, the highest id first. */
void select_undated(struct statement *statement, const struct query *query,
                    const struct search_key *key, int limit);
/* By relevance, among the newest @rows that fulfil @query and as many undated ones; @use_index: look for them
 * by the token index. */
void select_relevant(struct statement *statement, const struct query *query, bool use_index,
                     const struct search_key *key, int rows, int limit);

/* Does the query ask for a time? What has no date is in none. */
bool search_has_period(const struct query *query);

#endif
