/*
 * regex: the match type :regex.
 *
 * draft-ietf-sieve-regex. Status: complete.
 *
 * Patterns are POSIX extended regular expressions as Pigeonhole's users write them; PCRE2 runs them,
 * within limits of work, depth and memory. Its syntax is a superset but for a few things, which are
 * rewritten (translate). Of alternatives the first one that fits is taken, as in Pigeonhole 2.4; the
 * regcomp(3) of earlier versions took the longest. A dot is a character, not a byte. Constant patterns
 * are compiled with the script.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <string.h>

#include "sieve/ext/list.h"
#include "sieve/ext/modifiers.h"
#include "sieve/fold.h"
#include "sieve/sieve-internal.h"

#define CAPTURES 33u
#define MAX_PATTERN 65536u

/* ------------------------------------------------------------------ patterns */

static bool is_kind(char c)
{
    return c == ':' || c == '.' || c == '=';
}

/* Behind the "[:alpha:]", "[.x.]" or "[=x=]" that begins at @at in a bracket expression. @at: none
 * begins there. 0: it does not end. */
static size_t item_end(const struct sieve_string *pattern, size_t at)
{
    char kind = at + 1 < pattern->length ? pattern->data[at + 1] : '\0';

    if (pattern->data[at] != '[' || !is_kind(kind))
        return at;
    for (size_t i = at + 2; i + 1 < pattern->length; i++)
        if (pattern->data[i] == kind && pattern->data[i + 1] == ']')
            return i + 2;
    return 0;
}

/* Behind the '[' or "[^" at @at. */
static size_t bracket_begin(const struct sieve_string *pattern, size_t at)
{
    return at + 1 < pattern->length && pattern->data[at + 1] == '^' ? at + 2 : at + 1;
}

/* Behind the ']' of a bracket expression that begins at @at, read as POSIX does: ']' in front is a
 * letter, a backslash too, [:alpha:] is one thing. 0: it does not end, and @ret_fault is the place
 * of an item that does not, where there is one. */
static size_t bracket_end(const struct sieve_string *pattern, size_t at, size_t *ret_fault)
{
    size_t i = bracket_begin(pattern, at);

    i += i < pattern->length && pattern->data[i] == ']';
    while (i < pattern->length && pattern->data[i] != ']') {
        size_t end = item_end(pattern, i);

        if (end == 0) {
            *ret_fault = i;
            return 0;
        }
        /* "\[:" opens nothing for PCRE2, and is meant so */
        if (pattern->data[i] == '\\' && i + 1 < pattern->length && pattern->data[i + 1] == '[')
            end = i + 2;
        i = end > i ? end : i + 1;
    }
    return i < pattern->length ? i + 1 : 0;
}

/* The one character of "[.x.]" or "[=x=]" between @at and @end; the longer names that POSIX leaves
 * to each locale are none of ours. NULL: more than one, or none. */
static const char *collating_element(const struct sieve_string *pattern, size_t at, size_t end)
{
    const char *name = pattern->data + at + 2;
    size_t length = end - at - 4;

    return length > 0 && length == (size_t)g_utf8_skip[(guchar)*name] ? name : NULL;
}

/* GNU's word boundaries and buffer ends. NULL: not one of them. */
static const char *gnu_escape(char letter)
{
    switch (letter) {
    case '<': return "\\b(?=\\w)";
    case '>': return "\\b(?<=\\w)";
    case '`': return "\\A";
    case '\'': return "\\z";
    default: return NULL;
    }
}

/* The bracket expression from @at to @end. "[:alpha:]" alone is the letters in it, as regcomp(3)
 * has it, and what stands for one character becomes it: PCRE2 has neither. */
static void translate_bracket(GString *out, const struct sieve_string *pattern, size_t at,
    size_t end, bool posix)
{
    size_t begin = bracket_begin(pattern, at);

    g_string_append_len(out, pattern->data + at, (gssize)(begin - at));
    if (is_kind(pattern->data[begin]))
        g_string_append_c(out, '\\');
    for (size_t i = begin; i < end;) {
        size_t behind = item_end(pattern, i);
        const char *element;

        if (behind <= i || behind >= end) {
            bool escaped = pattern->data[i] == '\\' && pattern->data[i + 1] == '[';

            if (posix && pattern->data[i] == '\\')
                g_string_append_c(out, '\\');
            g_string_append_c(out, pattern->data[i++]);
            if (escaped)
                g_string_append_c(out, pattern->data[i++]);
            continue;
        }
        element = pattern->data[i + 1] != ':' ? collating_element(pattern, i, behind) : NULL;
        if (element == NULL) {
            g_string_append_len(out, pattern->data + i, (gssize)(behind - i));
        } else {
            if ((guchar)*element < 0x80 && !g_ascii_isalnum(*element))
                g_string_append_c(out, '\\');
            g_string_append_len(out, element, g_utf8_skip[(guchar)*element]);
        }
        i = behind;
    }
}

/* What PCRE2 takes for letters and POSIX for a mistake. False: @ret_error says what is wrong.
 * @ret_bare: there is a "[:alpha:]" that is no class, but the letters in it. */
static bool check_brackets(const struct sieve_string *pattern, bool *ret_bare, char *ret_error,
    size_t error_size)
{
    *ret_bare = false;
    for (size_t i = 0; i < pattern->length; i++) {
        size_t fault = 0, end;

        if (pattern->data[i] == '\\') {
            i++;
            continue;
        }
        if (pattern->data[i] != '[')
            continue;
        end = bracket_end(pattern, i, &fault);
        if (end == 0 && fault > 0) {
            char kind = pattern->data[fault + 1];

            g_snprintf(ret_error, error_size, "'[%c' in brackets is not closed by '%c]'", kind,
                kind);
            return false;
        }
        if (end == 0)
            return true; /* PCRE2 says so */
        *ret_bare |= end - i > 4 && pattern->data[i + 1] == ':' && pattern->data[end - 2] == ':';
        i = end - 1;
    }
    return true;
}

/* What PCRE2 would read otherwise: \< \> \` \', with @posix a backslash in brackets; without case
 * i;ascii-casemap lets only ASCII letters be equal (@ascii_case). */
static GString *translate(const struct sieve_string *pattern, bool posix, bool ascii_case)
{
    GString *out = g_string_sized_new(pattern->length + 16);

    for (size_t i = 0; i < pattern->length; i++) {
        char c = pattern->data[i];
        size_t end, fault;

        if (c == '\\' && i + 1 < pattern->length) {
            const char *gnu = gnu_escape(pattern->data[i + 1]);

            if (gnu != NULL)
                g_string_append(out, gnu);
            else
                g_string_append_len(out, pattern->data + i, 2);
            i++;
        } else if (c == '[') {
            end = bracket_end(pattern, i, &fault);
            if (end == 0) { /* PCRE2 says so */
                g_string_append_len(out, pattern->data + i, (gssize)(pattern->length - i));
                break;
            }
            translate_bracket(out, pattern, i, end, posix);
            i = end - 1;
        } else if (ascii_case && (unsigned char)c >= 0xC0) {
            size_t n = (size_t)g_utf8_skip[(guchar)c];

            n = MIN(n, pattern->length - i);
            g_string_append(out, "(?-i:");
            g_string_append_len(out, pattern->data + i, (gssize)n);
            g_string_append_c(out, ')');
            i += n - 1;
        } else {
            g_string_append_c(out, c);
        }
    }
    return out;
}

static pcre2_code *compile_text(const GString *text, unsigned char fold, char *ret_error,
    size_t error_size)
{
    uint32_t options = PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
    PCRE2_SIZE offset;
    int code;

    if (fold != SIEVE_FOLD_NONE)
        options |= PCRE2_CASELESS;
    options |= PCRE2_UTF | PCRE2_MATCH_INVALID_UTF;
    pcre2_code *regex = pcre2_compile((PCRE2_SPTR)text->str, text->len, options, &code, &offset,
        NULL);
    if (regex == NULL)
        pcre2_get_error_message(code, (PCRE2_UCHAR *)ret_error, error_size);
    return regex;
}

/* NULL: @ret_error says why not. The arena owns it. @ret_bare: see check_brackets. */
static pcre2_code *compile(struct arena *arena, const struct sieve_string *pattern,
    unsigned char fold, bool *ret_bare, char *ret_error, size_t error_size)
{
    if (pattern->length > MAX_PATTERN) {
        g_strlcpy(ret_error, "it is too long", error_size);
        return NULL;
    }
    if (!check_brackets(pattern, ret_bare, ret_error, error_size))
        return NULL;
    g_autoptr(GString) text = translate(pattern, false, fold == SIEVE_FOLD_ASCII);
    pcre2_code *regex = compile_text(text, fold, ret_error, error_size);
    if (regex == NULL) {
        char ignored[128];
        g_autoptr(GString) posix = translate(pattern, true, fold == SIEVE_FOLD_ASCII);

        /* [^\] ends for POSIX */
        regex = compile_text(posix, fold, ignored, sizeof(ignored));
    }
    if (regex == NULL)
        return NULL;
    size_t size = 0;
    if (pcre2_pattern_info(regex, PCRE2_INFO_SIZE, &size) == 0)
        arena_count(arena, size);
    return arena_own(arena, regex, (void (*)(void *))pcre2_code_free);
}

/* ------------------------------------------------------------------ compile time */

/* spec->data: one pcre2_code for each key, NULL where it has variables. */
static bool check_regex(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_match_spec *spec, const struct sieve_arg *keys)
{
    char why[128] = "";
    bool bare = false;

    if (spec->comparator->numeric) {
        sieve_error(compiler, node, "the comparator '%s' does not support ':regex'",
            spec->comparator->name);
        return false;
    }
    pcre2_code **codes = ARENA_ARRAY(compiler->arena, pcre2_code *, keys->count);
    spec->data = codes;
    for (size_t i = 0; i < keys->count; i++) {
        const struct sieve_string *pattern = sieve_constant_at(keys, i);

        if (pattern == NULL)
            continue;
        codes[i] = compile(compiler->arena, pattern, spec->comparator->fold, &bare, why,
            sizeof(why));
        if (codes[i] == NULL) {
            sieve_error_at(compiler, keys->strings[i].line, keys->strings[i].column,
                "invalid regular expression '%.128s': %s", pattern->data, why);
            return false;
        }
        /* fifteen letters can make 60 KB */
        if (arena_used(compiler->arena) > compiler->options->limits.max_memory) {
            sieve_error_at(compiler, keys->strings[i].line, keys->strings[i].column,
                "the regular expressions of the script need too much memory");
            return false;
        }
        if (bare)
            sieve_warning_at(compiler, keys->strings[i].line, keys->strings[i].column,
                "'[:…:]' in '%.128s' is one of the letters in it; a class is written [[:…:]]",
                pattern->data);
    }
    return true;
}

/* ------------------------------------------------------------------ run time */

/* Patterns with variables, compiled once per test. */
struct run_code {
    const pcre2_code *regex;
    bool tried;
};

static const pcre2_code *code_of(struct sieve_match *match, const struct sieve_string *key)
{
    size_t index = (size_t)(key - match->keys.items);
    pcre2_code *const *constant = match->spec->data;
    char why[128] = "";

    if (constant[index] != NULL)
        return constant[index];
    if (match->data == NULL)
        match->data = ARENA_ARRAY(match->run->arena, struct run_code, match->keys.count);
    struct run_code *code = &((struct run_code *)match->data)[index];
    if (!code->tried) {
        bool bare;

        code->tried = true;
        code->regex = compile(match->run->arena, key, match->spec->comparator->fold, &bare, why,
            sizeof(why));
        if (code->regex == NULL)
            sieve_log_error(match->run, match->node,
                "invalid regular expression '%.128s': %s (it never matches)", key->data, why);
    }
    return code->regex;
}

static void capture(struct sieve_run *run, const struct sieve_string *value,
    pcre2_match_data *data, int count)
{
    struct sieve_string captures[CAPTURES];
    const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(data);
    size_t n = MIN((size_t)count, CAPTURES);

    for (size_t i = 0; i < n; i++) {
        PCRE2_SIZE from = offsets[2 * i], to = offsets[2 * i + 1];

        captures[i] = from == PCRE2_UNSET || to < from || to > value->length
            ? (struct sieve_string){"", 0}
            : (struct sieve_string){value->data + from, to - from};
    }
    sieve_match_capture(run, captures, n);
}

static pcre2_match_context *limits_of(const struct sieve_run *run)
{
    const struct sieve_limits *limits = &run->options->limits;
    pcre2_match_context *context = pcre2_match_context_create(NULL);

    pcre2_set_match_limit(context, (uint32_t)MIN(limits->max_regex_match, UINT32_MAX));
    pcre2_set_depth_limit(context, (uint32_t)MIN(limits->max_regex_depth, UINT32_MAX));
    pcre2_set_heap_limit(context, (uint32_t)MIN(limits->max_regex_heap_kb, UINT32_MAX));
    return context;
}

static enum sieve_status match_regex(struct sieve_match *match, const struct sieve_string *value,
    const struct sieve_string *key)
{
    const pcre2_code *regex = code_of(match, key);

    if (regex == NULL)
        return SIEVE_FALSE;
    pcre2_match_context *context = limits_of(match->run);
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(regex, NULL);
    int count = pcre2_match(regex, (PCRE2_SPTR)value->data, value->length, 0, 0, data, context);
    if (count > 0)
        capture(match->run, value, data, count);
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    if (count > 0)
        return SIEVE_TRUE;
    if (count == PCRE2_ERROR_NOMATCH)
        return SIEVE_FALSE;
    if (count == PCRE2_ERROR_MATCHLIMIT || count == PCRE2_ERROR_DEPTHLIMIT ||
        count == PCRE2_ERROR_HEAPLIMIT)
        return sieve_fail(match->run, match->node,
            "the regular expression '%.128s' takes too much work", key->data);
    sieve_log_error(match->run, match->node, "the regular expression '%.128s' failed (error %d)",
        key->data, count);
    return SIEVE_FALSE;
}

/* ------------------------------------------------------------------ :quoteregex, a modifier of set */

/* What is quoted matches itself. */
static bool apply_quoteregex(struct sieve_run *run, const struct sieve_string *in,
    struct sieve_string *ret)
{
    modifiers_quote(run, in, ".*+?()[]{}^$|\\", ret);
    return true;
}

static const struct sieve_modifier modifiers[] = {
    {.name = "quoteregex", .precedence = 20, .apply = apply_quoteregex},
    {NULL},
};

static const struct sieve_match_type match_types[] = {
    {.name = "regex", .argument = "", .check = check_regex, .match = match_regex,
        .match_variables = true},
    {NULL},
};

const struct sieve_extension sieve_ext_regex = {
    .name = "regex",
    .rfc = "draft-ietf-sieve-regex",
    .status = "complete",
    .match_types = match_types,
    .modifiers = modifiers,
};
