/*
 * vnd.dovecot.environment: items of the delivery, and all items as variables ${env.…}.
 *
 * spec-bosch-sieve-dovecot-environment (of Pigeonhole). Status: complete. Items
 * "vnd.dovecot.config.x" are the settings sieve_env_x of the site.
 */
#include <string.h>

#include "sieve/ext/environment.h"

static bool check_variable(struct sieve_compiler *compiler, const char *rest, bool assign,
    unsigned line, unsigned column, void **ret_data)
{
    (void)assign, (void)ret_data;
    for (const char *part = rest; part != NULL; part = strchr(part, '.')) {
        part += *part == '.';
        if (!g_ascii_isdigit(*part))
            continue;
        sieve_error_at(compiler, line, column,
            "invalid name '%.80s' in the variables namespace 'env'", rest);
        return false;
    }
    return true;
}

/* A variable cannot have '-' in its name: '_' stands for it (4). */
static bool get_variable(struct sieve_run *run, const char *rest, void *data,
    struct sieve_string *ret)
{
    g_autofree char *dashed = g_strdelimit(g_strdup(rest), "_", '-');

    (void)data;
    return environment_get(run, rest, ret) == SIEVE_YES ||
        environment_get(run, dashed, ret) == SIEVE_YES;
}

static const struct sieve_namespace namespaces[] = {
    {.name = "env", .check = check_variable, .get = get_variable},
    {NULL},
};

static const char *const implies[] = {"environment", NULL};

const struct sieve_extension sieve_ext_vnd_dovecot_environment = {
    .name = "vnd.dovecot.environment",
    .rfc = "spec-bosch-sieve-dovecot-environment",
    .status = "complete",
    .namespaces = namespaces,
    .implies = implies,
};
