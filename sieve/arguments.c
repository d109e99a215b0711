#include "sieve/arguments.h"

#include <string.h>

#include "sieve/parser.h"
#include "sieve/script.h"
#include "sieve/vocabulary.h"

/* ------------------------------------------------------------------ arguments */

static const char *arg_kind_name(const struct sieve_arg *arg)
{
    switch (arg->kind) {
    case SIEVE_ARG_TAG: return "a tag";
    case SIEVE_ARG_NUMBER: return "a number";
    case SIEVE_ARG_STRING: return "a string";
    case SIEVE_ARG_LIST: return "a string list";
    }
    return "nothing";
}

static const char *spec_name(char spec)
{
    switch (g_ascii_tolower(spec)) {
    case 'n': return "a number";
    case 's': return "a string";
    default: return "a string list";
    }
}

static bool arg_fits(const struct sieve_arg *arg, char spec)
{
    switch (g_ascii_tolower(spec)) {
    case 'n': return arg->kind == SIEVE_ARG_NUMBER;
    case 's': return arg->kind == SIEVE_ARG_STRING;
    default: return arg->kind == SIEVE_ARG_STRING || arg->kind == SIEVE_ARG_LIST;
    }
}

/* Makes the strings of @arg ready. False: an error in one was reported. */
static bool bind_strings(struct sieve_compiler *compiler, struct sieve_arg *arg)
{
    bool fine = true, constant = true;

    for (unsigned i = 0; i < arg->count; i++) {
        fine &= sieve_literal_prepare(compiler, &arg->strings[i]);
        constant &= arg->strings[i].pieces == NULL;
    }
    if (!constant || arg->count == 0)
        return fine;
    if (arg->count == 1) {
        arg->values = &arg->strings[0].text;
        return fine;
    }
    struct sieve_string *values = arena_take(compiler->arena, arg->count * sizeof(*values));
    for (unsigned i = 0; i < arg->count; i++)
        values[i] = arg->strings[i].text;
    arg->values = values;
    return fine;
}

/* Looks all tags up; *ret_found has as many as there are arguments. */
static bool find_tags(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_tag_found *ret_found)
{
    for (size_t i = 0; i < node->written_count; i++) {
        if (node->written[i].kind == SIEVE_ARG_TAG &&
            !sieve_find_tag(compiler, node, node->written[i].tag, &ret_found[i])) {
            sieve_report_unknown_tag(compiler, node, &node->written[i]);
            return false;
        }
    }
    return true;
}

/* RFC 5229 4.1: no two modifiers of the same precedence. */
static bool modifier_clashes(struct sieve_compiler *compiler, const struct sieve_node *node,
    const struct sieve_arg *arg, const struct sieve_modifier *modifier)
{
    for (size_t i = 0; i < node->tag_count; i++) {
        const struct sieve_modifier *other = node->tags[i].data;

        if (node->tags[i].tag != &sieve_modifier_tag || other->precedence != modifier->precedence)
            continue;
        sieve_error_at(compiler, arg->line, arg->column,
            "the modifiers ':%s' and ':%s' of the %s command conflict: they have the same "
            "precedence", other->name, modifier->name, node->word->name);
        return true;
    }
    return false;
}

static bool tag_repeats(struct sieve_compiler *compiler, const struct sieve_node *node,
    const struct sieve_arg *arg, const struct sieve_tag_found *found)
{
    const struct sieve_tag *tag = found->tag;

    if (found->modifier != NULL)
        return modifier_clashes(compiler, node, arg, found->modifier);
    if (tag->flags & SIEVE_TAG_MANY)
        return false;
    for (size_t i = 0; i < node->tag_count; i++) {
        const struct sieve_tag *old = node->tags[i].tag;

        if (old == tag ||
            (tag->group != NULL && old->group != NULL && strcmp(tag->group, old->group) == 0)) {
            bool same = sieve_same_name(tag->name, arg->tag);

            sieve_error_at(compiler, arg->line, arg->column,
                old == tag && same ? "encountered duplicate ':%s' argument for the %s %s"
                                   : "':%s' cannot stand beside another tag of its kind at the "
                                     "%s %s", arg->tag, node->word->name,
                sieve_kind_name(node->word));
            return true;
        }
    }
    return false;
}

bool sieve_bind_tags(struct sieve_compiler *compiler, struct sieve_node *node, size_t *ret_next,
    struct sieve_match_spec *match)
{
    struct sieve_tag_found all_found[SIEVE_ARGUMENTS_MAX];
    size_t i = 0;

    if (!find_tags(compiler, node, all_found))
        return false;
    size_t tags = 0;
    for (size_t j = 0; j < node->written_count; j++)
        tags += node->written[j].kind == SIEVE_ARG_TAG;
    if (tags > 0)
        node->tags = ARENA_ARRAY(compiler->arena, struct sieve_bound_tag, tags);
    while (i < node->written_count && node->written[i].kind == SIEVE_ARG_TAG) {
        const struct sieve_tag_found found = all_found[i];
        const struct sieve_arg *arg = &node->written[i++];
        struct sieve_bound_tag *bound = &node->tags[node->tag_count];

        if (tag_repeats(compiler, node, arg, &found))
            return false;
        bound->tag = found.tag;
        bound->line = arg->line;
        bound->column = arg->column;
        if (found.match_type != NULL) {
            match->type = found.match_type;
            match->bound = bound;
        }
        if (found.part != NULL)
            bound->data = (void *)(uintptr_t)found.part;
        if (found.modifier != NULL)
            bound->data = (void *)(uintptr_t)found.modifier;
        if (found.tag->argument != NULL && found.tag->argument[0] != '\0') {
            struct sieve_arg *value = i < node->written_count ? &node->written[i] : NULL;

            if (value == NULL || !arg_fits(value, found.tag->argument[0])) {
                sieve_error_at(compiler, arg->line, arg->column,
                    "the :%s tag for the %s %s requires %s, but %s was found", arg->tag,
                    node->word->name, sieve_kind_name(node->word),
                    spec_name(found.tag->argument[0]),
                    value == NULL ? "nothing" : arg_kind_name(value));
                return false;
            }
            if (!bind_strings(compiler, value))
                return false;
            bound->arg = value;
            i++;
        }
        node->tag_count++;
    }
    *ret_next = i;
    return true;
}

static void spec_range(const char *spec, size_t *ret_least, size_t *ret_most)
{
    *ret_least = 0;
    *ret_most = strlen(spec);
    for (const char *p = spec; *p != '\0'; p++)
        *ret_least += g_ascii_islower(*p) != 0;
}

bool sieve_check_positional_count(struct sieve_compiler *compiler, const struct sieve_node *node,
    size_t first)
{
    size_t least, most, count = node->written_count - first;
    const char *spec = node->word->args != NULL ? node->word->args : "";

    spec_range(spec, &least, &most);
    for (size_t i = first; i < node->written_count; i++) {
        if (node->written[i].kind == SIEVE_ARG_TAG) {
            sieve_error_at(compiler, node->written[i].line, node->written[i].column,
                "unexpected tagged argument ':%s' among the positional arguments of the %s %s: "
                "tags come first", node->written[i].tag, node->word->name,
                sieve_kind_name(node->word));
            return false;
        }
    }
    if (count < least || count > most) {
        g_autofree char *wanted = least == most ? g_strdup_printf("%zu", least)
                                                : g_strdup_printf("%zu to %zu", least, most);

        sieve_error(compiler, node,
            "the %s %s requires %s positional argument(s), but %zu is/are specified",
            node->word->name, sieve_kind_name(node->word), wanted, count);
        return false;
    }
    return true;
}

static const char *arg_name(struct arena *arena, const char *names, size_t index)
{
    g_auto(GStrv) parts = g_strsplit(names != NULL ? names : "", ",", 0);

    if (index < g_strv_length(parts))
        return arena_printf(arena, " (%s)", parts[index]);
    return "";
}

bool sieve_bind_positional(struct sieve_compiler *compiler, struct sieve_node *node, size_t first)
{
    const char *spec = node->word->args != NULL ? node->word->args : "";
    size_t least, most;
    const struct sieve_arg **args;

    spec_range(spec, &least, &most);
    if (most == 0)
        return true;
    args = ARENA_ARRAY(compiler->arena, const struct sieve_arg *, most);
    node->args = args;
    node->arg_count = (unsigned char)most;
    /* optional ones are left away from the front */
    size_t spare = node->written_count - first - least, next = first;
    for (size_t i = 0; i < most; i++) {
        if (g_ascii_isupper(spec[i])) {
            if (spare == 0)
                continue;
            spare--;
        }
        struct sieve_arg *arg = &node->written[next];
        if (!arg_fits(arg, spec[i])) {
            sieve_error_at(compiler, arg->line, arg->column,
                "the %s %s expects %s as argument %zu%s, but %s was found", node->word->name,
                sieve_kind_name(node->word), spec_name(spec[i]), i + 1,
                arg_name(compiler->arena, node->word->arg_names, i), arg_kind_name(arg));
            return false;
        }
        if (!bind_strings(compiler, arg))
            return false;
        args[i] = arg;
        next++;
    }
    return true;
}

/* ------------------------------------------------------------------ matching */

bool sieve_bind_comparator(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_match_spec *match)
{
    const struct sieve_bound_tag *bound = sieve_node_tag(node, "comparator");
    const char *name = "i;ascii-casemap";

    if (bound != NULL) {
        const struct sieve_string *text = sieve_constant(bound->arg);

        if (text == NULL) {
            sieve_error_at(compiler, bound->line, bound->column,
                "the :comparator tag needs a constant string");
            return false;
        }
        name = text->data;
    }
    match->comparator = sieve_comparator_find(compiler, name);
    if (match->comparator == NULL) {
        g_autofree char *needed = g_strdup_printf("comparator-%s", name);

        if (bound == NULL)
            return false;
        if (sieve_extension_find(needed) != NULL)
            sieve_error_at(compiler, bound->line, bound->column,
                "comparator '%s' needs 'require \"%s\";' at the top of the script", name, needed);
        else
            sieve_error_at(compiler, bound->line, bound->column,
                "unknown comparator '%s' for the %s %s", name, node->word->name,
                sieve_kind_name(node->word));
        return false;
    }
    return true;
}

bool sieve_bind_match(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_match_spec *match)
{
    const struct sieve_arg *keys = node->arg_count > (size_t)node->word->match_keys
        ? node->args[node->word->match_keys]
        : NULL;

    node->match = match;
    if (!(node->word->flags & SIEVE_WORD_MATCH) || match->type == NULL)
        return true;
    if (match->type->substring && !match->comparator->substrings) {
        sieve_error(compiler, node, "the comparator '%s' does not support ':%s'",
            match->comparator->name, match->type->name);
        return false;
    }
    return match->type->check == NULL || match->type->check(compiler, node, match, keys);
}

/* ------------------------------------------------------------------ a bound node */

struct sieve_bound_tag *sieve_node_tag(const struct sieve_node *node, const char *name)
{
    for (size_t i = 0; i < node->tag_count; i++)
        if (strcmp(node->tags[i].tag->name, name) == 0)
            return &node->tags[i];
    return NULL;
}

const struct sieve_string *sieve_constant_at(const struct sieve_arg *arg, size_t index)
{
    if (index >= arg->count || arg->strings[index].pieces != NULL)
        return NULL;
    return &arg->strings[index].text;
}

const struct sieve_string *sieve_constant(const struct sieve_arg *arg)
{
    return sieve_constant_at(arg, 0);
}
