/*
 * Modifiers in the order of their precedence (RFC 5229 4.1).
 */
#include "sieve/ext/modifiers.h"

#include <string.h>

/* The bound modifier with the highest precedence below @below. */
static const struct sieve_modifier *next_modifier(const struct sieve_node *node, int below)
{
    const struct sieve_modifier *best = NULL;

    for (size_t i = 0; i < node->tag_count; i++) {
        const struct sieve_bound_tag *bound = &node->tags[i];
        const struct sieve_modifier *modifier = bound->data;

        if (bound->tag->group == NULL || strcmp(bound->tag->group, "modifier") != 0 ||
            modifier->precedence >= below)
            continue;
        if (best == NULL || modifier->precedence > best->precedence)
            best = modifier;
    }
    return best;
}

static void cut(struct sieve_run *run, struct sieve_string *text)
{
    size_t most = run->options->limits.max_variable_size, length = most;

    if (text->length <= most)
        return;
    while (length > 0 && ((unsigned char)text->data[length] & 0xC0) == 0x80)
        length--;
    text->data = arena_memdup(run->arena, text->data, length);
    text->length = length;
}

bool modifiers_apply(struct sieve_run *run, const struct sieve_node *node,
    struct sieve_string *text)
{
    int below = INT_MAX;

    cut(run, text);
    for (const struct sieve_modifier *modifier; (modifier = next_modifier(node, below)) != NULL;
         below = modifier->precedence) {
        struct sieve_string changed = {"", 0};

        if (!modifier->apply(run, text, &changed)) {
            sieve_fail(run, node, "cannot apply the modifier ':%s'", modifier->name);
            return false;
        }
        *text = changed;
        cut(run, text);
    }
    return true;
}

void modifiers_quote(struct sieve_run *run, const struct sieve_string *in, const char *special,
    struct sieve_string *ret)
{
    size_t most = run->options->limits.max_variable_size, length = 0;
    char *out = arena_alloc(run->arena, in->length * 2 + 1);

    for (size_t i = 0; i < in->length; i++) {
        bool quoted = in->data[i] != '\0' && strchr(special, in->data[i]) != NULL;

        if (length + 1 + quoted > most)
            break;
        if (quoted)
            out[length++] = '\\';
        out[length++] = in->data[i];
    }
    *ret = (struct sieve_string){out, length};
}
