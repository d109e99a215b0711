/*
 * special-use: the test specialuse_exists and fileinto :specialuse.
 *
 * RFC 8579. Status: complete.
 *
 * The flag finds the mailbox; where no mailbox has it, the one that fileinto names is used, and
 * with :create made with that flag. Where several have it, and the named one too, it is that one.
 */
#include "sieve/ext/special_use.h"

#include <string.h>

#include "sieve/ext/list.h"
#include "sieve/sieve-internal.h"

static bool is_mailbox(const struct sieve_string *name)
{
    return name->length > 0 && strlen(name->data) == name->length &&
        g_utf8_validate_len(name->data, name->length, NULL);
}

/* RFC 6154 6: a backslash and an atom. */
static bool is_flag(const struct sieve_string *flag)
{
    if (flag->length < 2 || flag->data[0] != '\\')
        return false;
    for (size_t i = 1; i < flag->length; i++) {
        unsigned char c = (unsigned char)flag->data[i];

        if (c <= ' ' || c >= 0x7F || strchr("(){%*\"\\]", c) != NULL)
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ specialuse_exists (3) */

static bool check_exists(struct sieve_compiler *compiler, struct sieve_node *node)
{
    const struct sieve_string *mailbox = node->args[0] != NULL ? sieve_constant(node->args[0])
                                                               : NULL;

    if (mailbox != NULL && !is_mailbox(mailbox))
        sieve_warning(compiler, node,
            "specialuse_exists: '%.100s' is no valid mailbox name: the test is always false",
            mailbox->data);
    for (size_t i = 0; i < node->args[1]->count; i++) {
        const struct sieve_string *flag = sieve_constant_at(node->args[1], i);

        if (flag != NULL && !is_flag(flag)) {
            sieve_error(compiler, node, "specialuse_exists: '%.80s' is no special-use flag",
                flag->data);
            return false;
        }
    }
    return true;
}

static enum sieve_status run_exists(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string mailbox = sieve_arg_string(run, node, 0);
    struct sieve_list flags = sieve_arg_list(run, node, 1);

    if (mailbox.data != NULL && !is_mailbox(&mailbox))
        return SIEVE_FALSE;
    for (size_t i = 0; i < flags.count; i++) {
        enum sieve_answer answer = SIEVE_NO;

        if (is_flag(&flags.items[i]) && run->host->special_use != NULL)
            answer = run->host->special_use(run->host->ctx, mailbox.data, flags.items[i].data,
                NULL);
        if (answer == SIEVE_FAILED)
            return sieve_fail_host(run, node, "which mailbox has a special use");
        sieve_trace(run, node, "special use %.80s: %s", flags.items[i].data,
            answer == SIEVE_YES ? "there" : "missing");
        if (answer == SIEVE_NO)
            return SIEVE_FALSE;
    }
    return SIEVE_TRUE;
}

/* ------------------------------------------------------------------ :specialuse (4) */

static bool check_tag(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    const struct sieve_string *flag = sieve_constant(bound->arg);

    (void)node;
    if (flag == NULL || is_flag(flag))
        return true;
    sieve_error_at(compiler, bound->line, bound->column,
        "the :specialuse argument '%.80s' is no special-use flag", flag->data);
    return false;
}

enum sieve_answer special_use_find(struct sieve_run *run, const struct sieve_node *node,
    const char *named, const char *flag, const char **ret_mailbox)
{
    const struct sieve_host *host = run->host;
    enum sieve_answer answer = SIEVE_NO;
    g_autofree char *mailbox = NULL;

    if (host->special_use == NULL)
        return SIEVE_NO;
    answer = host->special_use(host->ctx, named, flag, NULL);
    if (answer == SIEVE_YES) {
        *ret_mailbox = named;
        return SIEVE_YES;
    }
    if (answer == SIEVE_NO)
        answer = host->special_use(host->ctx, NULL, flag, &mailbox);
    if (answer == SIEVE_FAILED)
        sieve_fail_host(run, node, "which mailbox has a special use");
    if (answer != SIEVE_YES || mailbox == NULL)
        return answer == SIEVE_FAILED ? answer : SIEVE_NO;
    *ret_mailbox = arena_strdup(run->arena, mailbox);
    sieve_trace(run, node, "special use %s: mailbox \"%s\"", flag, mailbox);
    return SIEVE_YES;
}

static enum sieve_status apply_tag(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_bound_tag *bound, struct sieve_action *action)
{
    struct sieve_string flag = sieve_tag_string(run, bound);

    if (!is_flag(&flag))
        return sieve_fail(run, node, "the :specialuse argument '%.80s' is no special-use flag",
            flag.data);
    action->store.special_use = flag.data;
    return special_use_find(run, node, action->store.mailbox, flag.data,
               &action->store.mailbox) == SIEVE_FAILED
        ? SIEVE_ERROR
        : SIEVE_NEXT;
}

static bool check_fcc(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    if (sieve_node_tag(node, "fcc") == NULL) {
        sieve_error_at(compiler, bound->line, bound->column,
            "the :specialuse tag for the %s command cannot be specified without the :fcc tag",
            node->word->name);
        return false;
    }
    return check_tag(compiler, node, bound);
}

/* RFC 9042 4.2: a script says either :specialuse or :mailboxid. */
static const struct sieve_tag tags[] = {
    {.name = "specialuse", .argument = "s", .applies = "fileinto", .group = "mailbox choice",
        .check = check_tag, .apply = apply_tag},
    {.name = "specialuse", .argument = "s", .applies = "vacation notify",
        .group = "mailbox choice", .check = check_fcc},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "specialuse_exists", .flags = SIEVE_WORD_TEST, .args = "Sl", .check = check_exists,
        .run = run_exists, .arg_names = "mailbox,special-use flags"},
    {NULL},
};

const struct sieve_extension sieve_ext_special_use = {
    .name = "special-use",
    .rfc = "RFC 8579",
    .status = "complete",
    .words = words,
    .tags = tags,
};
