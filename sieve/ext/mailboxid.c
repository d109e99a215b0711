/*
 * mailboxid: fileinto :mailboxid and the test mailboxidexists.
 *
 * RFC 9042. Status: complete.
 */
#include <string.h>

#include "sieve/ext/list.h"
#include "sieve/sieve-internal.h"

static enum sieve_answer find(struct sieve_run *run, const struct sieve_string *id,
    char **ret_mailbox)
{
    if (run->host->mailbox_by_id == NULL || id->length == 0 || strlen(id->data) != id->length)
        return SIEVE_NO;
    return run->host->mailbox_by_id(run->host->ctx, id->data, ret_mailbox);
}

/* True when there is a mailbox for each of the ids (5). */
static enum sieve_status run_exists(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_list ids = sieve_arg_list(run, node, 0);

    for (size_t i = 0; i < ids.count; i++) {
        g_autofree char *mailbox = NULL;
        enum sieve_answer answer = find(run, &ids.items[i], &mailbox);

        if (answer == SIEVE_FAILED)
            return sieve_fail_host(run, node, "which mailbox has an id");
        sieve_trace(run, node, "mailbox id \"%.80s\": %s", ids.items[i].data,
            answer == SIEVE_YES ? "there" : "missing");
        if (answer == SIEVE_NO)
            return SIEVE_FALSE;
    }
    return SIEVE_TRUE;
}

/* The mailbox that fileinto names is the fallback, and what :create makes (4). */
static enum sieve_status apply_tag(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_bound_tag *bound, struct sieve_action *action)
{
    struct sieve_string id = sieve_tag_string(run, bound);
    g_autofree char *mailbox = NULL;
    enum sieve_answer answer = find(run, &id, &mailbox);

    if (answer == SIEVE_FAILED)
        return sieve_fail_host(run, node, "which mailbox has an id");
    action->store.mailbox_id = id.data;
    if (answer == SIEVE_YES && mailbox != NULL) {
        action->store.mailbox = arena_strdup(run->arena, mailbox);
        sieve_trace(run, node, "mailbox id %s: mailbox \"%s\"", id.data, mailbox);
    }
    return SIEVE_NEXT;
}

static bool check_fcc(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    if (sieve_node_tag(node, "fcc") != NULL)
        return true;
    sieve_error_at(compiler, bound->line, bound->column,
        "the :mailboxid tag for the %s command cannot be specified without the :fcc tag",
        node->word->name);
    return false;
}

static const struct sieve_tag tags[] = {
    {.name = "mailboxid", .argument = "s", .applies = "fileinto", .group = "mailbox choice",
        .apply = apply_tag},
    {.name = "mailboxid", .argument = "s", .applies = "vacation notify",
        .group = "mailbox choice", .check = check_fcc},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "mailboxidexists", .flags = SIEVE_WORD_TEST, .args = "l", .run = run_exists,
        .arg_names = "mailbox ids"},
    {NULL},
};

const struct sieve_extension sieve_ext_mailboxid = {
    .name = "mailboxid",
    .rfc = "RFC 9042",
    .status = "complete",
    .words = words,
    .tags = tags,
};
