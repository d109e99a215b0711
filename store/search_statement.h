/* A search's SQL while it is built: text of ours, data as parameters, never the one in the other.
 */
#ifndef VMAIL_STORE_SEARCH_STATEMENT_H
#define VMAIL_STORE_SEARCH_STATEMENT_H

#include "store/db.h"
#include "store/search_query.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct statement {
    enum db_kind kind;
    int64_t user_id;
    GString *sql;
    GArray *values;     /* of struct db_value */
    GPtrArray *strings; /* what values borrow */
};

void statement_init(struct statement *statement, enum db_kind kind, int64_t user_id);
void statement_clear(struct statement *statement);

/* Appends SQL. */
void statement_add(struct statement *statement, const char *sql);
/* Appends "$n" for a value; text is taken over (g_free). */
void statement_add_value(struct statement *statement, struct db_value value);
void statement_add_text(struct statement *statement, char *text);
void statement_add_int(struct statement *statement, int64_t number);

/* The condition of @query over email_headers h: what decides, whatever an index offers. */
void statement_add_condition(struct statement *statement, const struct query *query);
/* "(field holds the text)"; QUERY_TEXT: any field. */
void statement_add_contains(struct statement *statement, enum query_type field, const char *text);
/* What the token index knows of @query, which must be search_is_indexed. PostgreSQL: a condition on
 * email_search s for the quarter that the SQL @period says. SQLite: "h.id IN (what the index offers)" of
 * one quarter. */
void statement_add_tokens(struct statement *statement, const struct query *query,
                          const char *period);
void statement_add_candidates(struct statement *statement, const struct query *query, int period);

/* Does the type compare text? */
bool search_is_text(enum query_type type);
/* Can the token index narrow @query? */
bool search_is_indexed(const struct query *query);

#endif
