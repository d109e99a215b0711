/*
 * index: the tags :index and :last of header, address and date.
 *
 * RFC 5260, section 6. Status: complete. Counted after :mime has chosen the fields.
 */
#include "sieve/sieve-internal.h"

static bool check_index(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    if (bound->arg->number > 0)
        return true;
    sieve_error_at(compiler, bound->line, bound->column,
        "the :index tag of the %s test cannot be zero: the first field is 1", node->word->name);
    return false;
}

static bool check_last(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    if (sieve_node_tag(node, "index") != NULL)
        return true;
    sieve_error_at(compiler, bound->line, bound->column,
        "the :last tag of the %s test cannot be specified without the :index tag",
        node->word->name);
    return false;
}

static enum sieve_status choose(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_bound_tag *bound, struct sieve_values *values)
{
    uint64_t index = sieve_tag_number(bound);

    (void)run;
    if (index == 0 || index > values->count) {
        values->count = 0;
        return SIEVE_NEXT;
    }
    size_t at = sieve_node_tag(node, "last") != NULL ? values->count - (size_t)index
                                                     : (size_t)index - 1;
    values->items[0] = values->items[at];
    values->count = 1;
    return SIEVE_NEXT;
}

static const struct sieve_tag tags[] = {
    {.name = "index", .argument = "n", .applies = "header address date", .check = check_index,
        .values = choose, .order = 50},
    {.name = "last", .argument = "", .applies = "header address date", .check = check_last},
    {NULL},
};

const struct sieve_extension sieve_ext_index = {
    .name = "index",
    .rfc = "RFC 5260",
    .status = "complete",
    .tags = tags,
};
