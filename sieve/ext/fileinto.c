/*
 * fileinto (RFC 5228 4.1).
 */
#include "sieve/ext/fileinto.h"

#include <string.h>

/* Valid UTF-8 without control characters; what the store cannot hold it refuses itself. */
static bool is_mailbox_name(const struct sieve_string *name)
{
    if (name->length == 0 || name->length > 1024 ||
        !g_utf8_validate_len(name->data, name->length, NULL))
        return false;
    for (size_t i = 0; i < name->length; i++)
        if ((unsigned char)name->data[i] < 0x20 || name->data[i] == 0x7F)
            return false;
    return true;
}

/* The constant argument of the tag, or NULL. */
static const char *tag_text(const struct sieve_node *node, const char *tag)
{
    const struct sieve_bound_tag *bound = sieve_node_tag(node, tag);
    const struct sieve_string *text = bound != NULL ? sieve_constant(bound->arg) : NULL;

    return text != NULL ? text->data : NULL;
}

/* YES also where nobody can tell yet: the tag's argument has a variable in it. */
static enum sieve_answer other_mailbox(const struct sieve_host *host, const struct sieve_node *node)
{
    const char *use = tag_text(node, "specialuse"), *id = tag_text(node, "mailboxid");
    g_autofree char *mailbox = NULL;

    if (use != NULL)
        return host->special_use != NULL ? host->special_use(host->ctx, NULL, use, &mailbox)
                                         : SIEVE_NO;
    if (id != NULL)
        return host->mailbox_by_id != NULL ? host->mailbox_by_id(host->ctx, id, &mailbox)
                                           : SIEVE_NO;
    return sieve_node_tag(node, "specialuse") != NULL || sieve_node_tag(node, "mailboxid") != NULL
        ? SIEVE_YES
        : SIEVE_NO;
}

void fileinto_warn_missing(struct sieve_compiler *compiler, struct sieve_node *node,
    const char *name)
{
    const struct sieve_host *host = compiler->options->host;

    if (host != NULL && host->mailbox_exists != NULL && sieve_node_tag(node, "create") == NULL &&
        host->mailbox_exists(host->ctx, name) == SIEVE_NO &&
        other_mailbox(host, node) == SIEVE_NO)
        sieve_warning(compiler, node, "folder '%.100s' does not exist (yet)", name);
}

static bool check_fileinto(struct sieve_compiler *compiler, struct sieve_node *node)
{
    const struct sieve_string *name = sieve_constant(node->args[0]);

    if (name == NULL)
        return true;
    if (!is_mailbox_name(name)) {
        sieve_error(compiler, node, "invalid folder name '%.100s' specified for fileinto",
            name->data);
        return false;
    }
    fileinto_warn_missing(compiler, node, name->data);
    return true;
}

static enum sieve_status run_fileinto(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string name = sieve_arg_string(run, node, 0);

    if (!is_mailbox_name(&name))
        return sieve_fail(run, node, "fileinto: invalid folder name '%.100s'", name.data);
    struct sieve_action *action = sieve_action_new(run, node, SIEVE_ACTION_FILEINTO);
    action->store.mailbox = name.data;
    return sieve_action_commit(run, node, action);
}

static const struct sieve_word words[] = {
    {.name = "fileinto", .args = "s", .check = check_fileinto, .run = run_fileinto,
        .arg_names = "folder"},
    {NULL},
};

const struct sieve_extension sieve_ext_fileinto = {
    .name = "fileinto",
    .rfc = "RFC 5228",
    .status = "complete",
    .words = words,
};
