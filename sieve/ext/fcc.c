/*
 * fcc: the tag :fcc of vacation and notify: a copy of what is sent is filed.
 *
 * RFC 8580. Status: complete. With it :flags, :create, :specialuse and :mailboxid of the extensions
 * that are on.
 */
#include <string.h>

#include "sieve/ext/fileinto.h"
#include "sieve/ext/imap4flags.h"
#include "sieve/ext/special_use.h"
#include "sieve/sieve-internal.h"

static bool is_mailbox(const struct sieve_string *name)
{
    return name->length > 0 && name->length <= 1024 && strlen(name->data) == name->length &&
        g_utf8_validate_len(name->data, name->length, NULL);
}

static bool check_fcc(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    const struct sieve_string *name = sieve_constant(bound->arg);

    if (name == NULL)
        return true;
    if (is_mailbox(name)) {
        fileinto_warn_missing(compiler, node, name->data);
        return true;
    }
    sieve_error_at(compiler, bound->line, bound->column,
        "invalid folder name '%.100s' at the :fcc tag of the %s command", name->data,
        node->word->name);
    return false;
}

/* The folder that :specialuse or :mailboxid name, where there is one. */
static enum sieve_status find_mailbox(struct sieve_run *run, const struct sieve_node *node,
    struct sieve_store *store)
{
    const struct sieve_bound_tag *use = sieve_node_tag(node, "specialuse");
    const struct sieve_bound_tag *id = sieve_node_tag(node, "mailboxid");
    const struct sieve_host *host = run->host;
    enum sieve_answer answer = SIEVE_NO;
    g_autofree char *mailbox = NULL;

    if (use != NULL) {
        store->special_use = sieve_tag_string(run, use).data;
        return special_use_find(run, node, store->mailbox, store->special_use,
                   &store->mailbox) == SIEVE_FAILED
            ? SIEVE_ERROR
            : SIEVE_NEXT;
    }
    if (id != NULL) {
        store->mailbox_id = sieve_tag_string(run, id).data;
        if (host->mailbox_by_id != NULL)
            answer = host->mailbox_by_id(host->ctx, store->mailbox_id, &mailbox);
    }
    if (answer == SIEVE_FAILED)
        return sieve_fail_host(run, node, "which folder the copy goes to");
    if (answer == SIEVE_YES && mailbox != NULL)
        store->mailbox = arena_strdup(run->arena, mailbox);
    return SIEVE_NEXT;
}

static enum sieve_status apply_fcc(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_bound_tag *bound, struct sieve_action *action)
{
    const struct sieve_bound_tag *flags = sieve_node_tag(node, "flags");
    struct sieve_store *store = ARENA_NEW(run->arena, struct sieve_store);
    struct sieve_string name = sieve_tag_string(run, bound);

    if (!is_mailbox(&name))
        return sieve_fail(run, node, "invalid folder name '%.100s' at the :fcc tag", name.data);
    store->mailbox = name.data;
    store->copy = true;
    store->create = sieve_node_tag(node, "create") != NULL;
    if (flags != NULL) {
        struct sieve_list list = sieve_tag_list(run, flags);

        store->flags = flags_vector(run, &list);
    }
    if (find_mailbox(run, node, store) == SIEVE_ERROR)
        return SIEVE_ERROR;
    if (action->kind == SIEVE_ACTION_VACATION)
        action->vacation.fcc = store;
    else if (action->kind == SIEVE_ACTION_NOTIFY)
        action->notify.fcc = store;
    return SIEVE_NEXT;
}

static const struct sieve_tag tags[] = {
    {.name = "fcc", .argument = "s", .applies = "vacation notify", .check = check_fcc,
        .apply = apply_fcc},
    {NULL},
};

const struct sieve_extension sieve_ext_fcc = {
    .name = "fcc",
    .rfc = "RFC 8580",
    .status = "complete",
    .tags = tags,
};
