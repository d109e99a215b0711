/*
 * relational: the match types :value and :count.
 *
 * RFC 5231. Status: complete.
 */
#include <string.h>

#include "sieve/sieve-internal.h"

/* What the order of value and key must be. */
struct relation {
    const char *name;
    bool less, equal, greater;
};

static const struct relation relations[] = {
    {"gt", false, false, true},
    {"ge", false, true, true},
    {"lt", true, false, false},
    {"le", true, true, false},
    {"eq", false, true, false},
    {"ne", true, false, true},
};

static bool check_relation(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_match_spec *spec, const struct sieve_arg *keys)
{
    const struct sieve_string *name = sieve_constant(spec->bound->arg);

    (void)keys;
    for (size_t i = 0; name != NULL && i < G_N_ELEMENTS(relations); i++) {
        if (g_ascii_strcasecmp(relations[i].name, name->data) == 0) {
            spec->data = (void *)(uintptr_t)&relations[i];
            return true;
        }
    }
    sieve_error_at(compiler, spec->bound->line, spec->bound->column,
        "the :%s match type of the %s test requires one of \"gt\", \"ge\", \"lt\", \"le\", "
        "\"eq\", \"ne\", but \"%.32s\" was found", spec->type->name, node->word->name,
        name != NULL ? name->data : spec->bound->arg->strings[0].text.data);
    return false;
}

static bool holds(const struct sieve_match *match, const struct sieve_string *value,
    const struct sieve_string *key)
{
    const struct relation *relation = match->spec->data;
    int order = match->spec->comparator->compare(match->run, value, key);

    return order < 0 ? relation->less : order == 0 ? relation->equal : relation->greater;
}

static enum sieve_status match_value(struct sieve_match *match, const struct sieve_string *value,
    const struct sieve_string *key)
{
    return holds(match, value, key) ? SIEVE_TRUE : SIEVE_FALSE;
}

static enum sieve_status finish_count(struct sieve_match *match)
{
    struct sieve_string count = sieve_str(arena_printf(match->run->arena, "%zu",
        match->value_count));

    for (size_t i = 0; i < match->keys.count; i++) {
        bool hit = holds(match, &count, &match->keys.items[i]);

        sieve_trace(match->run, match->node, "count %s :count \"%s\" \"%.100s\": %s", count.data,
            ((const struct relation *)match->spec->data)->name, match->keys.items[i].data,
            hit ? "yes" : "no");
        if (hit)
            return SIEVE_TRUE;
    }
    return SIEVE_FALSE;
}

static const struct sieve_match_type match_types[] = {
    {.name = "value", .argument = "s", .check = check_relation, .match = match_value},
    {.name = "count", .argument = "s", .check = check_relation, .finish = finish_count},
    {NULL},
};

const struct sieve_extension sieve_ext_relational = {
    .name = "relational",
    .rfc = "RFC 5231",
    .status = "complete",
    .match_types = match_types,
};
