/*
 * envelope-dsn: the envelope parts notify, orcpt, ret and envid. redirect-dsn: redirect :notify,
 * :ret.
 *
 * RFC 6009, sections 2 and 4. Status: complete.
 */
#include <string.h>

#include "sieve/ext/list.h"
#include "sieve/sieve-internal.h"

/* ------------------------------------------------------------------ envelope-dsn */

/* xtext (RFC 3461 4): "+2B" is a plus. What is broken stays as it is. */
static char *decode_xtext(struct arena *arena, const char *text)
{
    char *out = arena_strdup(arena, text), *to = out;

    for (const char *at = text; *at != '\0'; at++) {
        int high, low;

        if (*at == '+' && (high = g_ascii_xdigit_value(at[1])) >= 0 &&
            (low = g_ascii_xdigit_value(at[2])) >= 0 && high + low > 0) {
            *to++ = (char)(high * 16 + low);
            at += 2;
        } else {
            *to++ = *at;
        }
    }
    *to = '\0';
    return out;
}

/* Each keyword is a value of its own, in capitals: "only FAILURE" is a :count of 1. */
static void get_notify(struct sieve_run *run, const char *name, struct sieve_values *values)
{
    (void)name;
    if (run->envelope->dsn_notify == NULL)
        return;
    g_auto(GStrv) words = g_strsplit(run->envelope->dsn_notify, ",", 0);
    for (size_t i = 0; words[i] != NULL; i++) {
        g_autofree char *word = g_ascii_strup(g_strstrip(words[i]), -1);

        if (*word != '\0')
            sieve_values_add(values, sieve_str(arena_strdup(run->arena, word)), NULL, NULL);
    }
}

static void get_orcpt(struct sieve_run *run, const char *name, struct sieve_values *values)
{
    (void)name;
    if (run->envelope->dsn_orcpt != NULL)
        sieve_values_add(values, sieve_str(decode_xtext(run->arena, run->envelope->dsn_orcpt)),
            NULL, NULL);
}

static void get_ret(struct sieve_run *run, const char *name, struct sieve_values *values)
{
    (void)name;
    if (run->envelope->dsn_ret == NULL)
        return;
    g_autofree char *word = g_ascii_strup(run->envelope->dsn_ret, -1);
    sieve_values_add(values, sieve_str(arena_strdup(run->arena, word)), NULL, NULL);
}

static void get_envid(struct sieve_run *run, const char *name, struct sieve_values *values)
{
    (void)name;
    if (run->envelope->dsn_envid != NULL)
        sieve_values_add(values, sieve_str(decode_xtext(run->arena, run->envelope->dsn_envid)),
            NULL, NULL);
}

static const struct sieve_envelope_part parts[] = {
    {.name = "notify", .get = get_notify},
    {.name = "orcpt", .get = get_orcpt},
    {.name = "ret", .get = get_ret},
    {.name = "envid", .get = get_envid},
    {NULL},
};

const struct sieve_extension sieve_ext_envelope_dsn = {
    .name = "envelope-dsn",
    .rfc = "RFC 6009",
    .status = "complete",
    .envelope_parts = parts,
};

/* ------------------------------------------------------------------ redirect-dsn */

/* "NEVER", or SUCCESS, FAILURE and DELAY, each once at most. NULL: not valid; else in capitals. */
static char *normal_notify(struct arena *arena, const char *text)
{
    g_autofree char *upper = g_ascii_strup(text, -1);
    g_auto(GStrv) words = g_strsplit(upper, ",", 0);
    static const char *const known[] = {"SUCCESS", "FAILURE", "DELAY"};
    unsigned seen = 0;

    for (size_t i = 0; words[i] != NULL; i++) {
        size_t k = 0;

        g_strstrip(words[i]);
        if (strcmp(words[i], "NEVER") == 0 && i == 0 && words[1] == NULL)
            return arena_strdup(arena, "NEVER");
        while (k < G_N_ELEMENTS(known) && strcmp(words[i], known[k]) != 0)
            k++;
        if (k == G_N_ELEMENTS(known) || seen & (1u << k))
            return NULL;
        seen |= 1u << k;
    }
    if (seen == 0)
        return NULL;
    g_autofree char *joined = g_strjoinv(",", words);
    return arena_strdup(arena, joined);
}

static char *normal_ret(struct arena *arena, const char *text)
{
    if (g_ascii_strcasecmp(text, "FULL") == 0)
        return arena_strdup(arena, "FULL");
    return g_ascii_strcasecmp(text, "HDRS") == 0 ? arena_strdup(arena, "HDRS") : NULL;
}

static bool check_value(struct sieve_compiler *compiler, const struct sieve_bound_tag *bound,
    char *(*normal)(struct arena *arena, const char *text))
{
    const struct sieve_string *text = sieve_constant(bound->arg);

    if (text == NULL || normal(compiler->arena, text->data) != NULL)
        return true;
    sieve_error_at(compiler, bound->line, bound->column,
        "the :%s argument '%.80s' for the redirect command is invalid", bound->tag->name,
        text->data);
    return false;
}

static bool check_notify(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    (void)node;
    return check_value(compiler, bound, normal_notify);
}

static bool check_ret(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    (void)node;
    return check_value(compiler, bound, normal_ret);
}

static enum sieve_status apply(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_bound_tag *bound, const char **ret_value,
    char *(*normal)(struct arena *arena, const char *text))
{
    struct sieve_string text = sieve_tag_string(run, bound);

    *ret_value = normal(run->arena, text.data);
    return *ret_value != NULL
        ? SIEVE_NEXT
        : sieve_fail(run, node, "the :%s argument '%.80s' for the redirect command is invalid",
              bound->tag->name, text.data);
}

static enum sieve_status apply_notify(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_bound_tag *bound, struct sieve_action *action)
{
    return apply(run, node, bound, &action->redirect.dsn_notify, normal_notify);
}

static enum sieve_status apply_ret(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_bound_tag *bound, struct sieve_action *action)
{
    return apply(run, node, bound, &action->redirect.dsn_ret, normal_ret);
}

static const struct sieve_tag tags[] = {
    {.name = "notify", .argument = "s", .applies = "redirect", .check = check_notify,
        .apply = apply_notify},
    {.name = "ret", .argument = "s", .applies = "redirect", .check = check_ret,
        .apply = apply_ret},
    {NULL},
};

const struct sieve_extension sieve_ext_redirect_dsn = {
    .name = "redirect-dsn",
    .rfc = "RFC 6009",
    .status = "complete",
    .tags = tags,
};
