#include "store/search_query.h"

#include <string.h>

#include <glib.h>

#include "store/search_text.h"

enum key_kind { KEY_TEXT, KEY_MAILBOX, KEY_DATE, KEY_SIZE, KEY_HAS, KEY_IS };

static const struct {
    const char *name;
    enum key_kind kind;
    enum query_type type;
} keys[] = {
    {"from", KEY_TEXT, QUERY_FROM},     {"to", KEY_TEXT, QUERY_TO},
    {"cc", KEY_TEXT, QUERY_CC},         {"subject", KEY_TEXT, QUERY_SUBJECT},
    {"list", KEY_TEXT, QUERY_LIST},     {"in", KEY_MAILBOX, QUERY_IN},
    {"before", KEY_DATE, QUERY_BEFORE}, {"after", KEY_DATE, QUERY_AFTER},
    {"since", KEY_DATE, QUERY_AFTER},   {"on", KEY_DATE, QUERY_AND},
    {"larger", KEY_SIZE, QUERY_LARGER}, {"smaller", KEY_SIZE, QUERY_SMALLER},
    {"has", KEY_HAS, QUERY_ATTACHMENT}, {"is", KEY_IS, QUERY_UNREAD},
};

static const struct {
    const char *key, *name;
    enum query_type type;
} states[] = {
    {"has", "attachment", QUERY_ATTACHMENT},
    {"is", "unread", QUERY_UNREAD},
    {"is", "unseen", QUERY_UNREAD},
    {"is", "read", QUERY_READ},
    {"is", "seen", QUERY_READ},
    {"is", "flagged", QUERY_FLAGGED},
    {"is", "starred", QUERY_FLAGGED},
    {"is", "answered", QUERY_ANSWERED},
    {"is", "draft", QUERY_DRAFT},
    {"is", "deleted", QUERY_DELETED},
};

static const char *const type_names[] = {
    [QUERY_AND] = "and",
    [QUERY_OR] = "or",
    [QUERY_NOT] = "not",
    [QUERY_TEXT] = "text",
    [QUERY_FROM] = "from",
    [QUERY_TO] = "to",
    [QUERY_CC] = "cc",
    [QUERY_SUBJECT] = "subject",
    [QUERY_LIST] = "list",
    [QUERY_IN] = "in",
    [QUERY_BEFORE] = "before",
    [QUERY_AFTER] = "after",
    [QUERY_LARGER] = "larger",
    [QUERY_SMALLER] = "smaller",
    [QUERY_ATTACHMENT] = "attachment",
    [QUERY_UNREAD] = "unread",
    [QUERY_READ] = "read",
    [QUERY_FLAGGED] = "flagged",
    [QUERY_ANSWERED] = "answered",
    [QUERY_DRAFT] = "draft",
    [QUERY_DELETED] = "deleted",
};

struct parser {
    const char *text; /* the whole, for positions */
    const char *at;
    int64_t now;
    int utc_offset;
    int terms;
    int depth;
    struct error *err;
};

static struct query *query_new(enum query_type type)
{
    struct query *query = g_new0(struct query, 1);

    query->type = type;
    return query;
}

static struct query *query_new_number(enum query_type type, int64_t number)
{
    struct query *query = query_new(type);

    query->number = number;
    return query;
}

void query_free(struct query *query)
{
    if (!query)
        return;
    for (size_t i = 0; i < query->n_children; i++)
        query_free(query->children[i]);
    g_free(query->children);
    g_free(query->text);
    g_free(query);
}

/* Adopts @child. */
static void query_add(struct query *parent, struct query *child)
{
    parent->children = g_renew(struct query *, parent->children, parent->n_children + 1);
    parent->children[parent->n_children++] = child;
}

/* Characters, not bytes, counted from 1: what a person sees. */
static long position_of(const struct parser *parser, const char *at)
{
    return g_utf8_pointer_to_offset(parser->text, at) + 1;
}

static void fail(const struct parser *parser, const char *at, const char *what)
{
    error_set(parser->err, ERROR_USAGE, "at character %ld of the query: %s",
              position_of(parser, at), what);
}

static void skip_spaces(struct parser *parser)
{
    while (g_unichar_isspace(g_utf8_get_char(parser->at)))
        parser->at = g_utf8_next_char(parser->at);
}

static bool ends_word(const char *at)
{
    return !*at || *at == '(' || *at == ')' || g_unichar_isspace(g_utf8_get_char(at));
}

/* "or" standing alone, in any case. */
static bool at_or(const struct parser *parser)
{
    return g_ascii_strncasecmp(parser->at, "or", 2) == 0 && ends_word(parser->at + 2);
}

/* Takes a word or a "phrase" with \" and \\ inside. Returns NULL with err filled. */
static char *take_value(struct parser *parser, bool *ret_quoted)
{
    const char *start = parser->at;
    GString *value;

    *ret_quoted = *start == '"';
    if (*start != '"') {
        while (!ends_word(parser->at))
            parser->at = g_utf8_next_char(parser->at);
        return g_strndup(start, (gsize)(parser->at - start));
    }
    value = g_string_new(NULL);
    for (const char *p = start + 1; *p; p++) {
        if (*p == '"') {
            parser->at = p + 1;
            return g_string_free(value, FALSE);
        }
        if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
            p++;
        g_string_append_c(value, *p);
    }
    g_string_free(value, TRUE);
    fail(parser, start, "the quote \" is not closed");
    return NULL;
}

static bool all_digits(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!g_ascii_isdigit(text[i]))
            return false;
    return length > 0;
}

static int64_t midnight(const struct parser *parser, int64_t when)
{
    int64_t local = when + parser->utc_offset;
    int64_t day = local / 86400 - (local % 86400 < 0);

    return day * 86400 - parser->utc_offset;
}

/* UTC seconds of the start of @unit (2024, 2024-01, 2024-01-31), and of the one that follows. */
static bool parse_calendar(const struct parser *parser, const char *text, int64_t *ret_start,
                           int64_t *ret_end)
{
    int year, month = 1, day = 1;
    size_t length = strlen(text);
    g_autoptr(GDateTime) start = NULL, end = NULL;

    if ((length != 4 && length != 7 && length != 10) || !all_digits(text, 4))
        return false;
    year = atoi(text);
    if (length >= 7) {
        if (text[4] != '-' || !all_digits(text + 5, 2))
            return false;
        month = atoi(text + 5);
    }
    if (length == 10) {
        if (text[7] != '-' || !all_digits(text + 8, 2))
            return false;
        day = atoi(text + 8);
    }
    if (year < 1)
        return false;
    start = g_date_time_new_utc(year, month, day, 0, 0, 0);
    if (!start)
        return false;
    end = length == 4   ? g_date_time_add_years(start, 1)
          : length == 7 ? g_date_time_add_months(start, 1)
                        : g_date_time_add_days(start, 1);
    *ret_start = g_date_time_to_unix(start) - parser->utc_offset;
    *ret_end = (end ? g_date_time_to_unix(end) : g_date_time_to_unix(start)) - parser->utc_offset;
    return true;
}

/* "7d", "2w", "3m", "1y": that long ago, from midnight. */
static bool parse_ago(const struct parser *parser, const char *text, int64_t *ret_start)
{
    size_t length = strlen(text);
    g_autoptr(GDateTime) now = NULL, then = NULL;
    int count;

    if (length < 2 || length > 5 || !all_digits(text, length - 1))
        return false;
    count = -atoi(text);
    now = g_date_time_new_from_unix_utc(midnight(parser, parser->now));
    switch (text[length - 1]) {
    case 'd':
        then = g_date_time_add_days(now, count);
        break;
    case 'w':
        then = g_date_time_add_weeks(now, count);
        break;
    case 'm':
        then = g_date_time_add_months(now, count);
        break;
    case 'y':
        then = g_date_time_add_years(now, count);
        break;
    default:
        return false;
    }
    if (!then)
        return false;
    *ret_start = g_date_time_to_unix(then);
    return true;
}

static struct query *date_query(struct parser *parser, const char *start, const char *value,
                                enum query_type type)
{
    int64_t from, to;
    struct query *both;

    if (g_ascii_strcasecmp(value, "today") == 0) {
        from = midnight(parser, parser->now);
        to = from + 86400;
    } else if (g_ascii_strcasecmp(value, "yesterday") == 0) {
        to = midnight(parser, parser->now);
        from = to - 86400;
    } else if (parse_ago(parser, value, &from)) {
        to = from + 86400;
    } else if (!parse_calendar(parser, value, &from, &to)) {
        fail(parser, start,
             "a date is 2024-01-31, 2024-01, 2024, today, yesterday, or 7d, 2w, 3m, 1y (ago)");
        return NULL;
    }
    if (type != QUERY_AND)
        return query_new_number(type, from);
    both = query_new(QUERY_AND);
    query_add(both, query_new_number(QUERY_AFTER, from));
    query_add(both, query_new_number(QUERY_BEFORE, to));
    return both;
}

static struct query *size_query(struct parser *parser, const char *start, const char *value,
                                enum query_type type)
{
    size_t digits = strspn(value, "0123456789");
    const char *unit = value + digits;
    int64_t factor =
        *unit == 0                                                                  ? 1
        : g_ascii_strcasecmp(unit, "k") == 0 || g_ascii_strcasecmp(unit, "kb") == 0 ? 1024
        : g_ascii_strcasecmp(unit, "m") == 0 || g_ascii_strcasecmp(unit, "mb") == 0 ? 1048576
        : g_ascii_strcasecmp(unit, "g") == 0 || g_ascii_strcasecmp(unit, "gb") == 0 ? 1073741824
                                                                                    : 0;

    if (digits == 0 || digits > 9 || factor == 0) {
        fail(parser, start, "a size is a number with nothing, K, M or G behind it");
        return NULL;
    }
    return query_new_number(type, g_ascii_strtoll(value, NULL, 10) * factor);
}

static struct query *state_query(struct parser *parser, const char *start, const char *key,
                                 const char *value)
{
    g_autoptr(GString) known = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
        if (strcmp(states[i].key, key) != 0)
            continue;
        if (g_ascii_strcasecmp(states[i].name, value) == 0)
            return query_new(states[i].type);
        g_string_append_printf(known, "%s%s", known->len ? ", " : "", states[i].name);
    }
    g_string_prepend(known, ": can be: ");
    g_string_prepend(known, key);
    fail(parser, start, known->str);
    return NULL;
}

/* A folded text; one that folds to nothing (only spaces) asks nothing. */
static struct query *text_query(enum query_type type, const char *value)
{
    g_autofree char *folded = search_fold(value);
    struct query *query;

    if (!*folded)
        return query_new(QUERY_AND);
    query = query_new(type);
    query->text = g_steal_pointer(&folded);
    return query;
}

static struct query *parse_or(struct parser *parser);

static struct query *parse_group(struct parser *parser)
{
    const char *open = parser->at;
    struct query *query;

    if (++parser->depth > QUERY_DEPTH_MAX) {
        fail(parser, open, "too many parentheses within parentheses");
        return NULL;
    }
    parser->at++;
    query = parse_or(parser);
    if (!query)
        return NULL;
    if (*parser->at != ')') {
        query_free(query);
        fail(parser, open, "the parenthesis ( is not closed");
        return NULL;
    }
    parser->at++;
    parser->depth--;
    return query;
}

/* The key whose name and ':' stand at the parser's place, or -1. */
static int key_at(const struct parser *parser)
{
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        size_t length = strlen(keys[i].name);

        if (g_ascii_strncasecmp(parser->at, keys[i].name, length) == 0 && parser->at[length] == ':')
            return (int)i;
    }
    return -1;
}

static struct query *parse_term(struct parser *parser)
{
    const char *start = parser->at;
    g_autofree char *value = NULL;
    int key = key_at(parser);
    bool quoted;

    if (++parser->terms > QUERY_TERMS_MAX) {
        fail(parser, start, "too many words");
        return NULL;
    }
    if (key >= 0) {
        parser->at += strlen(keys[key].name) + 1;
        /* "from: kim" as people type it */
        skip_spaces(parser);
    }
    value = take_value(parser, &quoted);
    if (!value)
        return NULL;
    if (key < 0)
        return text_query(QUERY_TEXT, value);
    if (!*value && !quoted) {
        fail(parser, start, "nothing stands behind the colon");
        return NULL;
    }
    switch (keys[key].kind) {
    case KEY_TEXT:
        return text_query(keys[key].type, value);
    case KEY_MAILBOX: {
        struct query *query = query_new(QUERY_IN);

        query->text = g_steal_pointer(&value);
        return query;
    }
    case KEY_DATE:
        return date_query(parser, start, value, keys[key].type);
    case KEY_SIZE:
        return size_query(parser, start, value, keys[key].type);
    case KEY_HAS:
    case KEY_IS:
        return state_query(parser, start, keys[key].name, value);
    }
    g_assert_not_reached();
}

static struct query *parse_not(struct parser *parser)
{
    /* "-" alone is a word; "-word", -"phrase", "-key:x" and "-(…)" negate */
    bool negated = *parser->at == '-' && (parser->at[1] == '(' || !ends_word(parser->at + 1));
    struct query *query, *not ;

    if (negated)
        parser->at++;
    query = *parser->at == '(' ? parse_group(parser) : parse_term(parser);
    if (!query || !negated)
        return query;
    not = query_new(QUERY_NOT);
    query_add(not, query);
    return not ;
}

/* One child stands for itself. */
static struct query *simplify(struct query *query)
{
    struct query *only;

    if (query->n_children != 1)
        return query;
    only = query->children[0];
    query->n_children = 0;
    query_free(query);
    return only;
}

static struct query *parse_and(struct parser *parser)
{
    struct query *query = query_new(QUERY_AND);

    for (;;) {
        struct query *child;

        skip_spaces(parser);
        if (!*parser->at || *parser->at == ')' || at_or(parser))
            return simplify(query);
        child = parse_not(parser);
        if (!child) {
            query_free(query);
            return NULL;
        }
        query_add(query, child);
    }
}

static struct query *parse_or(struct parser *parser)
{
    struct query *query = query_new(QUERY_OR);

    for (;;) {
        struct query *child = parse_and(parser);

        if (!child) {
            query_free(query);
            return NULL;
        }
        query_add(query, child);
        if (!at_or(parser))
            return simplify(query);
        if (child->type == QUERY_AND && child->n_children == 0) {
            fail(parser, parser->at, "nothing stands before \"or\"");
            query_free(query);
            return NULL;
        }
        parser->at += 2;
        skip_spaces(parser);
        if (!*parser->at || *parser->at == ')') {
            fail(parser, parser->at, "nothing stands behind \"or\"");
            query_free(query);
            return NULL;
        }
    }
}

bool query_parse(const char *text, size_t length, int64_t now, int utc_offset,
                 struct query **ret_query, struct error *err)
{
    g_autofree char *copy = NULL;
    struct parser parser = {.now = now, .utc_offset = utc_offset, .err = err};
    struct query *query;
    const char *bad;

    if (length > QUERY_TEXT_MAX) {
        error_set(err, ERROR_USAGE, "the query is too long: %zu bytes, at most %d", length,
                  QUERY_TEXT_MAX);
        return false;
    }
    if (memchr(text, 0, length)) {
        error_set(err, ERROR_USAGE, "the query holds a NUL");
        return false;
    }
    if (!g_utf8_validate(text, (gssize)length, &bad)) {
        error_set(err, ERROR_USAGE, "byte %zu of the query is not valid UTF-8",
                  (size_t)(bad - text) + 1);
        return false;
    }
    copy = g_strndup(text, length);
    parser.text = parser.at = copy;
    query = parse_or(&parser);
    if (!query)
        return false;
    if (*parser.at) {
        fail(&parser, parser.at, "the parenthesis ) was not opened");
        query_free(query);
        return false;
    }
    *ret_query = query;
    return true;
}

static void describe(const struct query *query, GString *out)
{
    g_string_append_printf(out, "(%s", type_names[query->type]);
    if (query->text) {
        /* letters stay readable: escape only what would end the string */
        g_string_append(out, " \"");
        for (const char *p = query->text; *p; p++) {
            if (*p == '"' || *p == '\\')
                g_string_append_c(out, '\\');
            g_string_append_c(out, *p);
        }
        g_string_append_c(out, '"');
    }
    if (query->type >= QUERY_BEFORE && query->type <= QUERY_SMALLER)
        g_string_append_printf(out, " %" G_GINT64_FORMAT, query->number);
    for (size_t i = 0; i < query->n_children; i++) {
        g_string_append_c(out, ' ');
        describe(query->children[i], out);
    }
    g_string_append_c(out, ')');
}

char *query_describe(const struct query *query)
{
    GString *out = g_string_new(NULL);

    describe(query, out);
    return g_string_free(out, FALSE);
}
