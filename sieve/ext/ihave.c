/*
 * ihave: the test ihave and the command error.
 *
 * RFC 5463. Status: complete. The test is decided when the script is compiled; what a false one
 * guards is not looked at.
 */
#include <string.h>

#include "sieve/sieve-internal.h"

/* 4: extensions that change how the text of a script is read are never switched on here. */
static bool changes_grammar(const char *name)
{
    return strcmp(name, "variables") == 0 || strcmp(name, "encoded-character") == 0;
}

static bool check_ihave(struct sieve_compiler *compiler, struct sieve_node *node)
{
    const struct sieve_arg *names = node->args[0];

    node->constant = 1;
    for (size_t i = 0; i < names->count && node->constant == 1; i++) {
        const struct sieve_string *name = sieve_constant_at(names, i);

        if (name == NULL) {
            sieve_error(compiler, node, "ihave takes constant strings only");
            return false;
        }
        if (changes_grammar(name->data) || !sieve_is_available(compiler, name->data))
            node->constant = 0;
    }
    for (size_t i = 0; i < names->count && node->constant == 1; i++)
        sieve_enable(compiler, sieve_constant_at(names, i)->data, node->line, node->column);
    return true;
}

static enum sieve_status run_ihave(struct sieve_run *run, const struct sieve_node *node)
{
    (void)run;
    return (enum sieve_status)node->constant;
}

static enum sieve_status run_error(struct sieve_run *run, const struct sieve_node *node)
{
    return sieve_fail(run, node, "%s", sieve_arg_string(run, node, 0).data);
}

static const struct sieve_word words[] = {
    {.name = "ihave", .flags = SIEVE_WORD_TEST, .args = "l", .check = check_ihave,
        .run = run_ihave, .arg_names = "capabilities"},
    {.name = "error", .flags = SIEVE_WORD_CONTROL, .args = "s", .run = run_error,
        .arg_names = "message"},
    {NULL},
};

const struct sieve_extension sieve_ext_ihave = {
    .name = "ihave",
    .rfc = "RFC 5463",
    .status = "complete",
    .words = words,
};
