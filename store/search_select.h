/*
 * The SELECTs of a search. Each is a whole statement whose rows search.c reads: the columns of a hit, its
 * score, whether it is undated.
 */
#ifndef VMAIL_STORE_SEARCH_SELECT_H
#define VMAIL_STORE_SEARCH_SELECT_H

#include "store/search_key.h"
#include "store/search_query.h"
#include "store/search_statement.h"

#include <stdbool.h>
#include <stdint.h>

/* What is asked for, the same in each step. */
struct selection {
    const struct query *query;
    const struct search_key *key; /* behind which the rows are; NULL: from the newest on */
    bool scored;                  /* with the relevance of each row */
};

/* All append to a statement of statement_init whose $1 is the user's id; rows come newest first. */

/* What fulfils the query among the newest @rows of the user (of the mailbox, of the days, of the unread
 * ones: what the query bounds), @limit at most. */
void select_head(struct statement *statement, const struct selection *selection, int rows,
                 int limit);
/* What fulfils it among all dated rows, one after the other. */
void select_walk(struct statement *statement, const struct selection *selection, int limit);
/* What fulfils it among the rows without a date, the highest id first. */
void select_undated(struct statement *statement, const struct selection *selection, int limit);

/* By the token index; the query is search_is_indexed. In PostgreSQL all of it is one statement. */
void select_indexed(struct statement *statement, const struct selection *selection, int limit);
/* SQLite: the newest and the oldest date of the rows within the query's days, one row or none. */
void select_range(struct statement *statement, const struct selection *selection);
/* SQLite: rows of one quarter that the index offers; those that wait for the index. */
void select_quarter(struct statement *statement, const struct selection *selection, int period,
                    int limit);
void select_waiting(struct statement *statement, const struct selection *selection, int limit);

/* Does the query ask for a time? What has no date is in none. */
bool search_has_period(const struct query *query);

#endif
