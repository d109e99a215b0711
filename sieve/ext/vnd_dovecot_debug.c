/*
 * vnd.dovecot.debug: debug_log, a line for the user's log.
 *
 * Pigeonhole's spec-bosch-sieve-debug. Status: complete.
 */
#include "sieve/ext/list.h"
#include "sieve/sieve-internal.h"

static enum sieve_status run_debug_log(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string text = sieve_arg_string(run, node, 0);

    sieve_log(run, node, "DEBUG: %s", text.data);
    return SIEVE_NEXT;
}

static const struct sieve_word words[] = {
    {.name = "debug_log", .args = "s", .run = run_debug_log, .arg_names = "message"},
    {NULL},
};

const struct sieve_extension sieve_ext_vnd_dovecot_debug = {
    .name = "vnd.dovecot.debug",
    .rfc = "Pigeonhole",
    .status = "complete",
    .words = words,
};
