/*
 * variables: `set` with its modifiers, the test `string`. References in strings and match variables
 * are the engine's (literal.c, eval.c).
 *
 * RFC 5229. Status: complete. Match variables go to ${32}.
 */
#include <string.h>

#include "sieve/ext/modifiers.h"
#include "sieve/sieve-internal.h"

/* ------------------------------------------------------------------ set (4) */

static bool check_set(struct sieve_compiler *compiler, struct sieve_node *node)
{
    const struct sieve_string *value = sieve_constant(node->args[1]);

    node->data = sieve_variable_bind(compiler, node->args[0]);
    if (value != NULL && value->length > compiler->options->limits.max_variable_size)
        sieve_warning(compiler, node,
            "the value is longer than a variable may be (%zu bytes): it will be cut",
            compiler->options->limits.max_variable_size);
    return node->data != NULL;
}

static enum sieve_status run_set(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string value = sieve_arg_string(run, node, 1);

    if (!modifiers_apply(run, node, &value))
        return SIEVE_ERROR;
    return sieve_variable_set(run, node, node->data, &value);
}

/* ------------------------------------------------------------------ modifiers (4.1) */

/* Only the letters of ASCII are changed (4.1.3). */
static bool map_letters(struct sieve_run *run, const struct sieve_string *in, char (*map)(char),
    size_t count, struct sieve_string *ret)
{
    char *out = arena_memdup(run->arena, in->data, in->length);

    for (size_t i = 0; i < in->length && i < count; i++)
        out[i] = map(out[i]);
    *ret = (struct sieve_string){out, in->length};
    return true;
}

static char to_lower(char c)
{
    return g_ascii_tolower(c);
}

static char to_upper(char c)
{
    return g_ascii_toupper(c);
}

static bool apply_lower(struct sieve_run *run, const struct sieve_string *in,
    struct sieve_string *ret)
{
    return map_letters(run, in, to_lower, SIZE_MAX, ret);
}

static bool apply_upper(struct sieve_run *run, const struct sieve_string *in,
    struct sieve_string *ret)
{
    return map_letters(run, in, to_upper, SIZE_MAX, ret);
}

static bool apply_lowerfirst(struct sieve_run *run, const struct sieve_string *in,
    struct sieve_string *ret)
{
    return map_letters(run, in, to_lower, 1, ret);
}

static bool apply_upperfirst(struct sieve_run *run, const struct sieve_string *in,
    struct sieve_string *ret)
{
    return map_letters(run, in, to_upper, 1, ret);
}

static bool apply_quotewildcard(struct sieve_run *run, const struct sieve_string *in,
    struct sieve_string *ret)
{
    modifiers_quote(run, in, "*?\\", ret);
    return true;
}

/* In characters; a byte that is no UTF-8 counts as one. */
static bool apply_length(struct sieve_run *run, const struct sieve_string *in,
    struct sieve_string *ret)
{
    size_t count = 0;

    for (size_t i = 0; i < in->length; count++) {
        gunichar c = g_utf8_get_char_validated(in->data + i, (gssize)(in->length - i));

        i += c >= (gunichar)-2 || c == 0 ? 1 : (size_t)g_utf8_skip[(guchar)in->data[i]];
    }
    *ret = sieve_str(arena_printf(run->arena, "%zu", count));
    return true;
}

/* ------------------------------------------------------------------ string (5) */

/* :count looks at strings that are not empty. */
static enum sieve_status run_string(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_list source = sieve_arg_list(run, node, 0);
    struct sieve_match match;
    enum sieve_status status = SIEVE_FALSE;

    sieve_match_begin(&match, run, node);
    for (size_t i = 0; i < source.count && status == SIEVE_FALSE; i++) {
        status = sieve_match_value(&match, &source.items[i]);
        if (source.items[i].length == 0)
            match.value_count--;
    }
    return sieve_match_finish(&match, status);
}

/* ------------------------------------------------------------------ tables */

static const struct sieve_word words[] = {
    {.name = "set", .flags = SIEVE_WORD_MODIFIERS, .args = "ss", .check = check_set,
        .run = run_set, .arg_names = "name,value"},
    {.name = "string", .flags = SIEVE_WORD_TEST | SIEVE_WORD_MATCH, .args = "ll", .match_keys = 1,
        .run = run_string, .arg_names = "source,key list"},
    {NULL},
};

static const struct sieve_modifier modifiers[] = {
    {.name = "lower", .precedence = 40, .apply = apply_lower},
    {.name = "upper", .precedence = 40, .apply = apply_upper},
    {.name = "lowerfirst", .precedence = 30, .apply = apply_lowerfirst},
    {.name = "upperfirst", .precedence = 30, .apply = apply_upperfirst},
    {.name = "quotewildcard", .precedence = 20, .apply = apply_quotewildcard},
    {.name = "length", .precedence = 10, .apply = apply_length},
    {NULL},
};

const struct sieve_extension sieve_ext_variables = {
    .name = "variables",
    .rfc = "RFC 5229",
    .status = "complete",
    .words = words,
    .modifiers = modifiers,
};
