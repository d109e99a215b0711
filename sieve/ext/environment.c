/*
 * environment: the test environment.
 *
 * RFC 5183. Status: complete.
 *
 * The host is asked first; what it does not know and the engine does ("name", "phase" …) comes from
 * here. The items of vnd.dovecot.environment exist only where that extension is on.
 */
#include "sieve/ext/environment.h"

#include <string.h>

#define DOVECOT_PREFIX "vnd.dovecot."

static const char *domain_of(const char *address)
{
    const char *at = address != NULL ? strrchr(address, '@') : NULL;

    return at != NULL && at[1] != '\0' ? at + 1 : NULL;
}

/* What the engine knows by itself; NULL: nothing. */
static const char *own_item(struct sieve_run *run, const char *item)
{
    const struct sieve_host *host = run->host;

    if (strcmp(item, "name") == 0)
        return "vmail-lda Sieve";
    if (strcmp(item, "version") == 0)
        return VMAIL_VERSION;
    if (strcmp(item, "location") == 0)
        return "MDA";
    if (strcmp(item, "phase") == 0)
        return "during";
    if (strcmp(item, "host") == 0)
        return host->hostname;
    if (strcmp(item, "domain") == 0)
        return domain_of(host->user_email != NULL ? host->user_email : run->envelope->to);
    if (strcmp(item, DOVECOT_PREFIX "default-mailbox") == 0)
        return "INBOX";
    if (strcmp(item, DOVECOT_PREFIX "username") == 0)
        return host->user_email != NULL ? host->user_email : run->envelope->to;
    return NULL;
}

/* vnd.dovecot.config.x is the site's setting sieve_env_x. */
static const char *config_item(const struct sieve_run *run, const char *item)
{
    static const char prefix[] = DOVECOT_PREFIX "config.";

    if (!g_str_has_prefix(item, prefix))
        return NULL;
    g_autofree char *name = g_strconcat("sieve_env_", item + sizeof(prefix) - 1, NULL);
    return sieve_setting(run->options, name);
}

enum sieve_answer environment_get(struct sieve_run *run, const char *item,
    struct sieve_string *ret)
{
    const struct sieve_host *host = run->host;
    g_autofree char *value = NULL;
    enum sieve_answer answer = SIEVE_NO;

    if (g_str_has_prefix(item, DOVECOT_PREFIX) && !sieve_run_has(run, "vnd.dovecot.environment"))
        return SIEVE_NO;
    if (host->environment != NULL)
        answer = host->environment(host->ctx, item, &value);
    if (answer == SIEVE_FAILED)
        return answer;
    const char *text = answer == SIEVE_YES && value != NULL ? value : config_item(run, item);
    if (text == NULL)
        text = own_item(run, item);
    if (text == NULL)
        return SIEVE_NO;
    *ret = sieve_str(arena_strdup(run->arena, text));
    return SIEVE_YES;
}

/* An item that is unknown fails the test unconditionally (4), whatever the match type. */
static enum sieve_status run_environment(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string item = sieve_arg_string(run, node, 0), value;
    struct sieve_match match;
    enum sieve_answer answer = environment_get(run, item.data, &value);

    if (answer == SIEVE_FAILED)
        return sieve_fail_host(run, node, "an item of the environment");
    if (answer == SIEVE_NO)
        return SIEVE_FALSE;
    sieve_match_begin(&match, run, node);
    return sieve_match_finish(&match, sieve_match_value(&match, &value));
}

static const struct sieve_word words[] = {
    {.name = "environment", .flags = SIEVE_WORD_TEST | SIEVE_WORD_MATCH, .args = "sl",
        .match_keys = 1, .run = run_environment, .arg_names = "name,key list"},
    {NULL},
};

const struct sieve_extension sieve_ext_environment = {
    .name = "environment",
    .rfc = "RFC 5183",
    .status = "complete",
    .words = words,
};
