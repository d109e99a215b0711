/*
 * The text that a search compares: folded, cut into fields, cut into index tokens. Pure functions.
 *
 * Folding is NFKC, then Unicode case folding, then NFKC again, white space and control characters
 * collapsed to one space. Full-width letters, ligatures, half-width kana, decomposed Hangul (as a
 * Mac writes file names and subjects) and upper case all meet in one form.
 *
 * The column email_headers.search_document holds five folded fields, separated by the ASCII
 * separators that exist for it, which folded text never contains:
 *
 *     subject 1C from 1D to 1E cc and bcc 1F List-Id
 *
 * Address fields hold display names and addresses, "name <address>, …".
 */
#ifndef VMAIL_STORE_SEARCH_TEXT_H
#define VMAIL_STORE_SEARCH_TEXT_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum search_field {
    SEARCH_FIELD_SUBJECT,
    SEARCH_FIELD_FROM,
    SEARCH_FIELD_TO,
    SEARCH_FIELD_CC,
    SEARCH_FIELD_LIST,
    SEARCH_FIELDS
};

/* Bytes of one folded field at most; what is longer is cut on a character. A message with 100,000
 * recipients is found by the first of them. */
#define SEARCH_FIELD_MAX 16384

/* Folds @text (any bytes up to its NUL; invalid UTF-8 becomes U+FFFD). The caller frees. */
char *search_fold(const char *text);

/* As search_fold for @length bytes, cut to @limit bytes of folded text. */
char *search_fold_limited(const char *text, size_t length, size_t limit);

/* Builds the document of the five fields, NULL counts as empty. The caller frees. This is what the
 * delivery, sync and reindex write into email_headers.search_document. */
char *search_document_new(const char *subject, const char *from, const char *to, const char *cc,
                          const char *list_id);

/* The field inside @document; *@ret_length may be 0. A document that is not in our form (a row
 * edited by hand) counts as all subject. */
const char *search_document_field(const char *document, enum search_field field,
                                  size_t *ret_length);

/* The index tokens of @folded, where letters stand side by side:
 *
 *   three ASCII letters or digits             "inv" "nvo" "voi" "oic" "ice"  of "invoice"
 *   two ASCII ones that end such a run        "ce"
 *   two letters of which one is not ASCII     "보고" "고서" of "보고서", "mü" "ün" of "mün"
 *   each single letter of Han, Hangul, Kana   "보" "고" "서": a word may be one letter there
 *
 * Two letters of ASCII alone are in too many rows to narrow a search (measured: docs/search.md). A
 * token is @prefix and the letters, in UTF-8; the prefix says whose they are (search_prefix_new): only
 * digits, '_' and letters, so it needs no quoting in FTS5. Distinct, sorted by bytes; an array of
 * strings (g_free). */
GPtrArray *search_tokens_new(const char *prefix, const char *folded);

/* "<user_id>_<period>_", an entry's owner and quarter. The caller frees. */
char *search_prefix_new(int64_t user_id, int period);

/* The quarter of a year that a date of the database ("2024-01-31 12:00:00…") is in, counted from 1990: 1 is
 * its first, SEARCH_PERIOD_LAST all that is beyond; 0 what is before, and what is no date (NULL, "infinity",
 * a word). Quarters follow each other as their dates do when they are compared as text.
 * vmail_search_period() of the schema says the same of dates. */
#define SEARCH_PERIOD_LAST 999
int search_period(const char *date);
/* "2024-04", less than or equal to every date of @period (1 and later) and greater than all of those before. */
char *search_period_start_new(int period);

/* The tokens that a document must all have to contain @folded as a substring. Empty when the index
 * cannot help so. At most @limit, the first ones. */
GPtrArray *search_query_tokens_new(const char *prefix, const char *folded, size_t limit);

/* For two ASCII letters, where search_query_tokens_new is empty: the tokens of which a document must
 * have at least one ("in": "in", "in0" … "inz"). Empty when there are no two such letters: then the
 * index cannot help at all. */
GPtrArray *search_query_choices_new(const char *prefix, const char *folded);

/* Initial consonants: a Hangul syllable becomes its 초성 (compatibility jamo: 김철수 → ㄱㅊㅅ),
 * everything else stays. @folded as from search_fold. The caller frees. */
char *search_initials_new(const char *folded);

/* True when @text, not folded, consists of compatibility consonants only (ㄱ…ㅎ), so that a search
 * means initials. NFKC would turn these into other code points: ask before folding. */
bool search_is_initials(const char *text);

#endif
