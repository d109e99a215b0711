/*
 * The key of a page of found messages: where the page before ended.
 */
#ifndef VMAIL_STORE_SEARCH_KEY_H
#define VMAIL_STORE_SEARCH_KEY_H

#include "store/db.h"
#include "store/search.h"

#include <stdbool.h>
#include <stdint.h>

/* Older than all dates: what a key says of a row that has none. */
#define SEARCH_UNDATED "0001-01-01 00:00:00"

/* "score,date,id". The date goes as text: our dates have no fractions, but an application's row may. */
struct search_key {
    int score;
    char *date; /* as the database has it; owned */
    int64_t id;
    bool undated; /* behind all dates */
};

/* ERROR_USAGE: not a key. */
bool search_key_parse(const char *text, enum db_kind kind, struct search_key *ret_key,
                      struct error *err);
/* The key of a page that ends with @hit. The caller frees. */
char *search_key_format(const struct search_hit *hit);

#endif
