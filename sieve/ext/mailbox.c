/*
 * mailbox: the test mailboxexists and the tag :create.
 *
 * RFC 5490, section 3. Status: complete.
 */
#include <string.h>

#include "sieve/ext/list.h"
#include "sieve/sieve-internal.h"

static bool is_name(const struct sieve_string *name)
{
    return name->length > 0 && strlen(name->data) == name->length &&
        g_utf8_validate_len(name->data, name->length, NULL);
}

static bool check_mailboxexists(struct sieve_compiler *compiler, struct sieve_node *node)
{
    for (size_t i = 0; i < node->args[0]->count; i++) {
        const struct sieve_string *name = sieve_constant_at(node->args[0], i);

        if (name != NULL && !is_name(name))
            sieve_warning(compiler, node,
                "mailboxexists: '%.100s' is no valid mailbox name: the test is always false",
                name->data);
    }
    return true;
}

/* True when each of them exists and mail can be delivered into it. */
static enum sieve_status run_mailboxexists(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_list names = sieve_arg_list(run, node, 0);

    for (size_t i = 0; i < names.count; i++) {
        const struct sieve_string *name = &names.items[i];
        enum sieve_answer answer = SIEVE_NO;

        if (is_name(name) && run->host->mailbox_exists != NULL)
            answer = run->host->mailbox_exists(run->host->ctx, name->data);
        if (answer == SIEVE_FAILED)
            return sieve_fail_host(run, node, "whether a mailbox exists");
        sieve_trace(run, node, "mailbox \"%.100s\": %s", name->data,
            answer == SIEVE_YES ? "there" : "missing");
        if (answer == SIEVE_NO)
            return SIEVE_FALSE;
    }
    return SIEVE_TRUE;
}

/* The copies of :fcc look for :create themselves (RFC 8580 3.2). */
static enum sieve_status apply_create(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_bound_tag *bound, struct sieve_action *action)
{
    (void)run, (void)node, (void)bound;
    action->store.create = true;
    return SIEVE_NEXT;
}

static bool check_fcc_create(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    if (sieve_node_tag(node, "fcc") != NULL)
        return true;
    sieve_error_at(compiler, bound->line, bound->column,
        "the :create tag for the %s command cannot be specified without the :fcc tag",
        node->word->name);
    return false;
}

static const struct sieve_tag tags[] = {
    {.name = "create", .argument = "", .applies = "fileinto", .apply = apply_create},
    {.name = "create", .argument = "", .applies = "vacation notify", .check = check_fcc_create},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "mailboxexists", .flags = SIEVE_WORD_TEST, .args = "l",
        .check = check_mailboxexists, .run = run_mailboxexists, .arg_names = "mailbox names"},
    {NULL},
};

const struct sieve_extension sieve_ext_mailbox = {
    .name = "mailbox",
    .rfc = "RFC 5490",
    .status = "complete",
    .words = words,
    .tags = tags,
};
