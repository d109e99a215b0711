#include "store/search_text.h"

#include <string.h>

static const char field_separators[] = {0x1c, 0x1d, 0x1e, 0x1f};

/* Appends @folded with white space and control characters collapsed. Zero-width characters and
 * soft hyphens are invisible in a mail client: nobody types them, so they are dropped. */
static void append_collapsed(GString *out, const char *folded)
{
    bool space = false;

    for (const char *p = folded; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        if (c == 0xad || (c >= 0x200b && c <= 0x200d) || c == 0x2060 || c == 0xfeff)
            continue;
        if (g_unichar_isspace(c) || g_unichar_iscntrl(c)) {
            space = out->len > 0;
            continue;
        }
        if (space)
            g_string_append_c(out, ' ');
        space = false;
        g_string_append_unichar(out, c);
    }
}

static void cut_on_character(GString *text, size_t limit)
{
    if (text->len <= limit)
        return;
    while (limit > 0 && ((unsigned char)text->str[limit] & 0xc0) == 0x80)
        limit--;
    g_string_truncate(text, limit);
}

char *search_fold_limited(const char *text, size_t length, size_t limit)
{
    /* NFKC turns one character (3 bytes) into up to 18 (33 bytes): bound the input as well, so
     * that a 1 MB header costs no more than its first part */
    size_t input = MIN(length, MIN(limit, (size_t)1 << 24) * 4);
    g_autofree char *valid = NULL, *composed = NULL, *cased = NULL, *folded = NULL;
    GString *out;

    if (memchr(text, 0, input))
        input = strlen(text);
    valid = g_utf8_make_valid(text, (gssize)input);
    composed = g_utf8_normalize(valid, -1, G_NORMALIZE_NFKC);
    cased = g_utf8_casefold(composed, -1);
    folded = g_utf8_normalize(cased, -1, G_NORMALIZE_NFKC);
    out = g_string_sized_new(strlen(folded) + 1);
    append_collapsed(out, folded);
    cut_on_character(out, limit);
    return g_string_free(out, FALSE);
}

char *search_fold(const char *text)
{
    return search_fold_limited(text, strlen(text), G_MAXSIZE / 8);
}

char *search_document_new(const char *subject, const char *from, const char *to, const char *cc,
                          const char *list_id)
{
    const char *fields[SEARCH_FIELDS] = {subject, from, to, cc, list_id};
    GString *document = g_string_new(NULL);

    for (int i = 0; i < SEARCH_FIELDS; i++) {
        if (i > 0)
            g_string_append_c(document, field_separators[i - 1]);
        if (fields[i]) {
            g_autofree char *folded =
                search_fold_limited(fields[i], strlen(fields[i]), SEARCH_FIELD_MAX);

            g_string_append(document, folded);
        }
    }
    return g_string_free(document, FALSE);
}

const char *search_document_field(const char *document, enum search_field field, size_t *ret_length)
{
    const char *start = document;
    const char *end;

    for (int i = 0; i < (int)field; i++) {
        start = strchr(start, field_separators[i]);
        if (!start) {
            *ret_length = 0;
            return document + strlen(document);
        }
        start++;
    }
    end = field < SEARCH_FIELD_LIST ? strchr(start, field_separators[field]) : NULL;
    *ret_length = end ? (size_t)(end - start) : strlen(start);
    return start;
}

/* Scripts that write a word in one or two letters. */
static bool is_dense_script(gunichar c)
{
    return (c >= 0x1100 && c <= 0x11ff) || (c >= 0x2e80 && c <= 0x30ff) ||
           (c >= 0x3130 && c <= 0x318f) || (c >= 0x31f0 && c <= 0x31ff) ||
           (c >= 0x3400 && c <= 0x9fff) || (c >= 0xac00 && c <= 0xd7ff) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x20000 && c <= 0x3ffff);
}

/* Letters, digits, marks and symbols such as emoji; not punctuation and space. FTS5's ascii
 * tokenizer takes every byte over 0x7f as part of a token, so any of these is safe in one. */
static bool is_token_character(gunichar c)
{
    if (c < 0x80)
        return g_ascii_isalnum((char)c);
    return c != 0xfffd && (g_unichar_isalnum(c) || g_unichar_ismark(c) ||
                           g_unichar_type(c) == G_UNICODE_OTHER_SYMBOL);
}

static int compare_strings(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct token_set {
    GHashTable *seen;
    GPtrArray *tokens;
    GString *prefix;
    size_t prefix_length;
    size_t limit;
};

static void token_set_init(struct token_set *set, const char *prefix, size_t limit)
{
    set->seen = g_hash_table_new(g_str_hash, g_str_equal);
    set->tokens = g_ptr_array_new_with_free_func(g_free);
    set->prefix = g_string_new(prefix);
    set->prefix_length = set->prefix->len;
    set->limit = limit;
}

static void token_set_add(struct token_set *set, const char *letters, const char *end)
{
    char *token;

    if (set->tokens->len >= set->limit)
        return;
    g_string_append_len(set->prefix, letters, end - letters);
    if (!g_hash_table_contains(set->seen, set->prefix->str)) {
        token = g_strdup(set->prefix->str);
        g_ptr_array_add(set->tokens, token);
        g_hash_table_add(set->seen, token);
    }
    g_string_truncate(set->prefix, set->prefix_length);
}

static GPtrArray *token_set_finish(struct token_set *set)
{
    g_hash_table_unref(set->seen);
    g_string_free(set->prefix, TRUE);
    g_ptr_array_sort(set->tokens, compare_strings);
    return set->tokens;
}

/* The letter at @p when it can be part of a token, else 0; *@ret_next is behind it. */
static gunichar letter_at(const char *p, const char **ret_next)
{
    gunichar c = *p ? g_utf8_get_char(p) : 0;

    *ret_next = *p ? g_utf8_next_char(p) : p;
    return c && is_token_character(c) ? c : 0;
}

/* Adds what begins at @p. @whole: of a document, which goes on no further than we see; else of a
 * query, which may be the middle of a longer word. */
static void add_tokens_at(struct token_set *set, const char *p, bool whole, bool alone)
{
    const char *second, *third, *end;
    gunichar a = letter_at(p, &second);
    gunichar b = a ? letter_at(second, &third) : 0;
    gunichar c = b ? letter_at(third, &end) : 0;

    if (!a)
        return;
    if (is_dense_script(a) && (whole || (alone && !b)))
        token_set_add(set, p, second);
    if (!b)
        return;
    if (a >= 0x80 || b >= 0x80)
        token_set_add(set, p, third);
    else if (c && c < 0x80)
        token_set_add(set, p, end);
    else if (whole || c)
        token_set_add(set, p, third);
}

static GPtrArray *tokens_new(const char *prefix, const char *folded, bool whole, size_t limit)
{
    struct token_set set;
    bool alone = true; /* what stands before is no letter */

    token_set_init(&set, prefix, limit);
    for (const char *p = folded, *next; *p; p = next) {
        gunichar c = letter_at(p, &next);

        add_tokens_at(&set, p, whole, alone);
        alone = !c;
    }
    return token_set_finish(&set);
}

char *search_prefix_new(int64_t user_id, int period)
{
    return g_strdup_printf("%" G_GINT64_FORMAT "_%d_", user_id, period);
}

static void format_start(int period, char *ret_start, gulong size)
{
    g_snprintf(ret_start, size, "%04d-%02d", 1990 + (period - 1) / 4, (period - 1) % 4 * 3 + 1);
}

char *search_period_start_new(int period)
{
    char start[16];

    format_start(period, start, sizeof start);
    return g_strdup(start);
}

/* By comparing, not by reading numbers: SQLite's column may hold any text, and what is between two dates there
 * must be between their quarters. */
int search_period(const char *date)
{
    int low = 0, high = SEARCH_PERIOD_LAST;

    if (!date || !g_ascii_isdigit(*date))
        return 0;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        char start[16];

        format_start(middle, start, sizeof start);
        if (strcmp(date, start) >= 0)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

GPtrArray *search_tokens_new(const char *prefix, const char *folded)
{
    return tokens_new(prefix, folded, true, G_MAXSIZE);
}

GPtrArray *search_query_tokens_new(const char *prefix, const char *folded, size_t limit)
{
    return tokens_new(prefix, folded, false, limit);
}

GPtrArray *search_query_choices_new(const char *prefix, const char *folded)
{
    static const char followers[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    struct token_set set;

    token_set_init(&set, prefix, G_MAXSIZE);
    for (const char *p = folded; *p; p++) {
        char token[3];

        if (!g_ascii_isalnum(p[0]) || !g_ascii_isalnum(p[1]))
            continue;
        token_set_add(&set, p, p + 2);
        for (size_t i = 0; i < sizeof followers - 1; i++) {
            memcpy(token, p, 2);
            token[2] = followers[i];
            token_set_add(&set, token, token + 3);
        }
        break;
    }
    return token_set_finish(&set);
}

/* 초성 of the nineteen leading consonants, as the keyboard types them. */
static const gunichar initials[19] = {
    0x3131, 0x3132, 0x3134, 0x3137, 0x3138, 0x3139, 0x3141, 0x3142, 0x3143, 0x3145,
    0x3146, 0x3147, 0x3148, 0x3149, 0x314a, 0x314b, 0x314c, 0x314d, 0x314e,
};

char *search_initials_new(const char *folded)
{
    GString *out = g_string_new(NULL);

    for (const char *p = folded; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        if (c >= 0xac00 && c <= 0xd7a3)
            c = initials[(c - 0xac00) / (21 * 28)];
        g_string_append_unichar(out, c);
    }
    return g_string_free(out, FALSE);
}

bool search_is_initials(const char *text)
{
    if (!*text || !g_utf8_validate(text, -1, NULL))
        return false;
    for (const char *p = text; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        if (c < 0x3131 || c > 0x314e)
            return false;
    }
    return true;
}
