/*
 * spamtest, spamtestplus (:percent), virustest.
 *
 * RFC 5235. Status: complete.
 *
 * The verdict is in a header field that the site's scanner wrote; the settings, named as Pigeonhole
 * names them, say in which and how it reads:
 *
 *   sieve_spamtest_status_type       score | strlen | text
 *   sieve_spamtest_status_header     NAME[:REGEX], the value is the regex's first group
 *   sieve_spamtest_score_max_value   5.0
 *   sieve_spamtest_score_max_header  NAME[:REGEX]
 *   sieve_spamtest_text_value/N      text that means N
 *
 * and the same with sieve_virustest_. The older names (…max_value, …max_header, …text_valueN) work
 * too. Without settings, or without the field, the answer is "0": not tested.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <string.h>

#include <pcre2.h>

#include "lda/mail/message.h"

#include "sieve/ext/list.h"
#include "sieve/sieve-internal.h"

struct scale {
    const char *prefix; /* of the settings */
    unsigned most;      /* the worst value; 0 is "not tested", 1 is the best */
};

static const struct scale spam = {"sieve_spamtest_", 10};
static const struct scale virus = {"sieve_virustest_", 5};

static const char *setting(const struct sieve_run *run, const struct scale *scale,
    const char *name)
{
    g_autofree char *full = g_strconcat(scale->prefix, name, NULL);
    const char *text = sieve_setting(run->options, full);

    return text != NULL && *text != '\0' ? text : NULL;
}

/* ------------------------------------------------------------------ header and regex */

/* The first group of @pattern in @value, copied; NULL: no match, or a bound was hit. */
static char *first_group(struct sieve_run *run, const struct sieve_node *node, const char *pattern,
    const char *value)
{
    const struct sieve_limits *limits = &run->options->limits;
    pcre2_match_context *context;
    pcre2_match_data *data;
    pcre2_code *code;
    PCRE2_SIZE place;
    int number;
    char *group = NULL;

    code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_CASELESS, &number,
        &place, NULL);
    if (code == NULL) {
        sieve_log(run, node, "%s: the site's regular expression '%s' cannot be read",
            node->word->name, pattern);
        return NULL;
    }
    context = pcre2_match_context_create(NULL);
    data = pcre2_match_data_create_from_pattern(code, NULL);
    pcre2_set_match_limit(context, (uint32_t)MIN(limits->max_regex_match, UINT32_MAX));
    pcre2_set_depth_limit(context, (uint32_t)MIN(limits->max_regex_depth, UINT32_MAX));
    pcre2_set_heap_limit(context, (uint32_t)MIN(limits->max_regex_heap_kb, UINT32_MAX));
    int count = pcre2_match(code, (PCRE2_SPTR)value, strlen(value), 0, 0, data, context);
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(data);
    if (count >= 2 && ends[2] != PCRE2_UNSET)
        group = arena_memdup(run->arena, value + ends[2], ends[3] - ends[2]);
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_code_free(code);
    return group;
}

/* What "NAME[:REGEX]" finds in the message; NULL: nothing. */
static const char *header_value(struct sieve_run *run, const struct sieve_node *node,
    const char *spec)
{
    size_t length;
    const char *regex, *value;

    spec += strspn(spec, " \t");
    length = strcspn(spec, ": \t");
    g_autofree char *name = g_strndup(spec, length);
    regex = spec + length + strspn(spec + length, " \t");
    if (*regex == ':')
        regex += 1 + strspn(regex + 1, " \t");
    if (!message_header_name_is_valid(name))
        return NULL;
    value = headers_get(message_headers(run->message), name);
    if (value == NULL) {
        sieve_trace(run, node, "field \"%s\" is missing", name);
        return NULL;
    }
    if (*regex == '\0')
        return value;
    value = first_group(run, node, regex, value);
    if (value == NULL)
        sieve_trace(run, node, "field \"%s\" does not look as the site says", name);
    return value;
}

/* ------------------------------------------------------------------ values */

/* "[+-]5", "5.25", ".5": all of the text. */
static bool read_decimal(const char *text, double *ret_value)
{
    const char *at = text + strspn(text, " \t");
    const char *begin = at;
    size_t digits;

    at += *at == '-' || *at == '+';
    digits = strspn(at, "0123456789");
    at += digits;
    if (*at == '.') {
        at++;
        digits += strspn(at, "0123456789");
        at += strspn(at, "0123456789");
    }
    if (digits == 0 || at[strspn(at, " \t")] != '\0')
        return false;
    *ret_value = g_ascii_strtod(begin, NULL);
    return true;
}

/* "*****": how many of the same character. */
static bool read_length(const char *text, double *ret_value)
{
    size_t count = 0;

    while (text[count] != '\0' && text[count] == text[0])
        count++;
    if (text[count] != '\0')
        return false;
    *ret_value = (double)count;
    return true;
}

static bool read_maximum(struct sieve_run *run, const struct sieve_node *node,
    const struct scale *scale, double *ret_value)
{
    const char *header = setting(run, scale, "score_max_header");
    const char *value = setting(run, scale, "score_max_value");

    if (header == NULL)
        header = setting(run, scale, "max_header");
    if (value == NULL)
        value = setting(run, scale, "max_value");
    if (header != NULL)
        value = header_value(run, node, header);
    return value != NULL && read_decimal(value, ret_value) && *ret_value > 0;
}

static bool read_text(struct sieve_run *run, const struct scale *scale, const char *status,
    double *ret_value)
{
    for (unsigned i = 0; i <= scale->most; i++) {
        g_autofree char *name = g_strdup_printf("text_value/%u", i);
        g_autofree char *old_name = g_strdup_printf("text_value%u", i);
        const char *text = setting(run, scale, name);

        if (text == NULL)
            text = setting(run, scale, old_name);
        if (text != NULL && strcmp(text, status) == 0) {
            *ret_value = i;
            return true;
        }
    }
    return false;
}

/* The verdict as a part of 1 (0: clean, 1: worst); negative: not tested. */
static double ratio(struct sieve_run *run, const struct sieve_node *node,
    const struct scale *scale)
{
    const char *header = setting(run, scale, "status_header");
    const char *type = setting(run, scale, "status_type");
    const char *status = header != NULL ? header_value(run, node, header) : NULL;
    double value, most;

    if (status == NULL)
        return -1;
    if (type != NULL && g_ascii_strcasecmp(type, "text") == 0) {
        if (!read_text(run, scale, status, &value) || value < 1)
            return -1;
        return (value - 1) / (scale->most - 1);
    }
    if (!read_maximum(run, node, scale, &most))
        return -1;
    if (type != NULL && g_ascii_strcasecmp(type, "strlen") == 0
            ? !read_length(status, &value)
            : !read_decimal(status, &value))
        return -1;
    sieve_trace(run, node, "score %.2f of %.2f", value, most);
    return CLAMP(value / most, 0.0, 1.0);
}

/* The small addition makes up for what binary fractions lose: .29 is 29 percent. */
static enum sieve_status match_ratio(struct sieve_run *run, const struct sieve_node *node,
    const struct scale *scale, bool percent)
{
    double part = ratio(run, node, scale);
    double value = percent ? part * 100 : part * (scale->most - 1) + 1;
    struct sieve_match match;

    struct sieve_string text = sieve_str(arena_printf(run->arena, "%d",
        part < 0 ? 0 : (int)(value + 0.001)));
    sieve_trace(run, node, "value %s", text.data);
    sieve_match_begin(&match, run, node);
    return sieve_match_finish(&match, sieve_match_value(&match, &text));
}

static enum sieve_status run_spamtest(struct sieve_run *run, const struct sieve_node *node)
{
    return match_ratio(run, node, &spam, sieve_node_tag(node, "percent") != NULL);
}

static enum sieve_status run_virustest(struct sieve_run *run, const struct sieve_node *node)
{
    return match_ratio(run, node, &virus, false);
}

/* ------------------------------------------------------------------ tables */

static const struct sieve_word spamtest_words[] = {
    {.name = "spamtest", .flags = SIEVE_WORD_TEST | SIEVE_WORD_MATCH, .args = "s",
        .match_keys = 0, .run = run_spamtest, .arg_names = "value"},
    {NULL},
};

static const struct sieve_word virustest_words[] = {
    {.name = "virustest", .flags = SIEVE_WORD_TEST | SIEVE_WORD_MATCH, .args = "s",
        .match_keys = 0, .run = run_virustest, .arg_names = "value"},
    {NULL},
};

static const struct sieve_tag percent_tags[] = {
    {.name = "percent", .argument = "", .applies = "spamtest"},
    {NULL},
};

static const char *const spamtestplus_implies[] = {"spamtest", NULL};

const struct sieve_extension sieve_ext_spamtest = {
    .name = "spamtest",
    .rfc = "RFC 5235",
    .status = "complete",
    .words = spamtest_words,
};

const struct sieve_extension sieve_ext_spamtestplus = {
    .name = "spamtestplus",
    .rfc = "RFC 5235",
    .status = "complete",
    .tags = percent_tags,
    .implies = spamtestplus_implies,
};

const struct sieve_extension sieve_ext_virustest = {
    .name = "virustest",
    .rfc = "RFC 5235",
    .status = "complete",
    .words = virustest_words,
};
