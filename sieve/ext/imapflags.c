/*
 * imapflags: setflag, addflag, removeflag, mark and unmark of old scripts.
 *
 * draft-melnikov-sieve-imapflags-03, which became imap4flags. Status: complete; deprecated. The flags
 * are those of imap4flags: one list, put on each message that is stored from then on.
 */
#include "sieve/ext/imap4flags.h"

static bool check_change(struct sieve_compiler *compiler, struct sieve_node *node)
{
    flags_check(compiler, node, node->args[0]);
    return true;
}

static enum sieve_status change(struct sieve_run *run, const struct sieve_node *node,
    enum flags_change how)
{
    static const struct sieve_string flagged = {"\\Flagged", 8};
    struct sieve_list list = node->arg_count > 0 ? sieve_arg_list(run, node, 0)
                                                 : (struct sieve_list){&flagged, 1};

    flags_change_internal(run, how, &list);
    return SIEVE_NEXT;
}

static enum sieve_status run_set(struct sieve_run *run, const struct sieve_node *node)
{
    return change(run, node, FLAGS_SET);
}

static enum sieve_status run_add(struct sieve_run *run, const struct sieve_node *node)
{
    return change(run, node, FLAGS_ADD);
}

static enum sieve_status run_remove(struct sieve_run *run, const struct sieve_node *node)
{
    return change(run, node, FLAGS_REMOVE);
}

static const struct sieve_word words[] = {
    {.name = "setflag", .args = "l", .check = check_change, .run = run_set},
    {.name = "addflag", .args = "l", .check = check_change, .run = run_add},
    {.name = "removeflag", .args = "l", .check = check_change, .run = run_remove},
    {.name = "mark", .run = run_add},
    {.name = "unmark", .run = run_remove},
    {NULL},
};

const struct sieve_extension sieve_ext_imapflags = {
    .name = "imapflags",
    .rfc = "draft-melnikov-sieve-imapflags",
    .status = "complete, deprecated",
    .flags = SIEVE_EXTENSION_DEPRECATED,
    .words = words,
};
