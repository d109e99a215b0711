/*
 * copy: the tag :copy of fileinto, redirect and pipe, which leaves the implicit keep as it is.
 *
 * RFC 3894. Status: complete.
 */
#include "sieve/sieve-internal.h"

static enum sieve_status apply_copy(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_bound_tag *bound, struct sieve_action *action)
{
    (void)run, (void)node, (void)bound;
    if (action->kind == SIEVE_ACTION_FILEINTO)
        action->store.copy = true;
    else if (action->kind == SIEVE_ACTION_REDIRECT)
        action->redirect.copy = true;
    else if (action->kind == SIEVE_ACTION_PIPE)
        action->pipe.copy = true;
    return SIEVE_NEXT;
}

static const struct sieve_tag tags[] = {
    {.name = "copy", .argument = "", .applies = "fileinto redirect pipe", .apply = apply_copy},
    {NULL},
};

const struct sieve_extension sieve_ext_copy = {
    .name = "copy",
    .rfc = "RFC 3894",
    .status = "complete",
    .tags = tags,
};
