/*
 * Searching the header rows of one user, and keeping the index that makes it fast.
 *
 * The answer never depends on how far the index is filled: it is the rows the index offers and the
 * rows that wait for it (email_search_pending), each compared with the query itself.
 */
#ifndef VMAIL_STORE_SEARCH_H
#define VMAIL_STORE_SEARCH_H

#include "lda/base/error.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct db;
struct query;

enum search_sort { SEARCH_SORT_DATE, SEARCH_SORT_RELEVANCE };

struct search_options {
    enum search_sort sort;
    int limit;           /* rows of a page, 1…10,000 */
    const char *after;   /* the key of the page before (search_page.next), NULL: first page */
};

/* One found message; strings are never NULL, in UTF-8. */
struct search_hit {
    int64_t id;
    char *subject, *sender, *recipient;
    char *date;          /* "2024-01-31 12:00:00", UTC; "" or what an application left there: undated */
    bool undated;        /* no date, or none of the years 1 to 9999: behind all others */
    char *mailbox;       /* canonical, "INBOX", "INBOX.X" is "X" */
    char *file;          /* base name without flags */
    char *message_id;
    char *references;    /* message ids, separated by spaces, oldest first */
    int64_t size;
    bool is_read;
    char *flags;
    bool has_attachment;
    int score;           /* relevance, 0 when sorted by date */
};

struct search_page {
    GPtrArray *hits;     /* of struct search_hit */
    char *next;          /* key of the next page, NULL: this was the last */
};

/* Finds a page of @user_id's messages. Newest first; equal dates by id; rows without a date, which only
 * applications make, behind them by id. ERROR_USAGE: a limit or key that cannot be. */
bool search_run(struct db *db, int64_t user_id, const struct query *query,
                const struct search_options *options, struct search_page **ret_page,
                struct error *err);
void search_page_free(struct search_page *page);

/* Moves waiting rows into the index, @limit at most (0: all that wait now), oldest first, in
 * transactions of some hundred. Several may run at the same time. *@ret_filled: how many. */
bool search_fill(struct db *db, int64_t limit, int64_t *ret_filled, struct error *err);

/* Rows that wait for the index. */
bool search_pending_count(struct db *db, int64_t *ret_count, struct error *err);

#endif
