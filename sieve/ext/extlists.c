/*
 * extlists: the match type :list, the test valid_ext_list, redirect :list.
 *
 * RFC 6134. Status: complete.
 *
 * What a list holds is the host's to know: "urn:ietf:params:sieve:addrbook:default"
 * (":addrbook:default" for short) is the user's address book, "…addrbook:NAME" one of its groups. A
 * list that does not exist matches nothing; to redirect to one is an error.
 */
#include <string.h>

#include "sieve/ext/list.h"
#include "sieve/sieve-internal.h"

#define LOOKUP_WORK 4096u /* a question to a database costs as much as so many bytes looked at */

/* ------------------------------------------------------------------ names */

/* "tag:", "urn:" …: a scheme, a colon and something (RFC 3986 3); groups have names in any
 * script. */
static bool is_uri(const char *name)
{
    const char *at = name;

    if (!g_ascii_isalpha(*at))
        return false;
    while (g_ascii_isalnum(*at) || (*at != '\0' && strchr("+-.", *at) != NULL))
        at++;
    if (*at != ':' || at[1] == '\0')
        return false;
    for (; *at != '\0'; at++)
        if ((unsigned char)*at <= ' ' || *at == 0x7F || strchr("\"<>\\^`{|}", *at) != NULL)
            return false;
    return true;
}

/* YES when nobody can tell. */
static enum sieve_answer is_known(struct arena *arena, const struct sieve_host *host,
    const struct sieve_string *name)
{
    if (strlen(name->data) != name->length || !is_uri(*name->data == ':' ? name->data + 1
                                                                         : name->data))
        return SIEVE_NO;
    if (host == NULL || host->list_valid == NULL)
        return SIEVE_YES;
    return host->list_valid(host->ctx, sieve_list_name(arena, name->data));
}

/* ------------------------------------------------------------------ :list (2.2) */

static bool check_match(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_match_spec *spec, const struct sieve_arg *keys)
{
    if (sieve_node_tag(node, "comparator") != NULL) {
        sieve_error_at(compiler, spec->bound->line, spec->bound->column,
            "the :list match type cannot be used with the :comparator tag");
        return false;
    }
    for (size_t i = 0; keys != NULL && i < keys->count; i++) {
        const struct sieve_string *name = sieve_constant_at(keys, i);

        if (name != NULL &&
            is_known(compiler->arena, compiler->options->host, name) == SIEVE_NO)
            sieve_warning(compiler, node, "there is no list '%.200s': it matches nothing",
                name->data);
    }
    return true;
}

static void free_answers(void *data)
{
    g_hash_table_unref(data);
}

/* Answers are remembered for the run: a script asks for the same sender in one rule after
 * another. The entry of the list, or NULL where nothing matched. */
static GHashTable *answers_of(struct sieve_run *run)
{
    GHashTable **answers = sieve_sequence_state(run, &sieve_ext_extlists, sizeof(*answers));

    if (*answers == NULL)
        *answers = arena_own(run->arena,
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free), free_answers);
    return *answers;
}

/* YES: @ret_entry is what the list calls it, of the run's memory. */
static enum sieve_answer contains(struct sieve_run *run, const struct sieve_node *node,
    const char *list, const struct sieve_string *value, const char **ret_entry)
{
    GHashTable *answers = answers_of(run);
    g_autofree char *key = g_strconcat(list, "\n", value->data, NULL), *entry = NULL;
    gpointer known;

    if (g_hash_table_lookup_extended(answers, key, NULL, &known)) {
        *ret_entry = known;
        return known != NULL ? SIEVE_YES : SIEVE_NO;
    }
    if (!sieve_work(run, node, LOOKUP_WORK))
        return SIEVE_FAILED;
    enum sieve_answer answer = run->host->list_contains(run->host->ctx, list, value->data, &entry);
    if (answer == SIEVE_FAILED) {
        sieve_fail_host(run, node, "what is in a list");
        return answer;
    }
    if (answer == SIEVE_YES && entry == NULL)
        entry = g_strdup(value->data);
    *ret_entry = answer == SIEVE_YES ? entry : NULL;
    g_hash_table_insert(answers, g_steal_pointer(&key),
        answer == SIEVE_YES ? g_steal_pointer(&entry) : NULL);
    return answer;
}

static enum sieve_status match_list(struct sieve_match *match, const struct sieve_string *value,
    const struct sieve_string *key)
{
    const char *list = sieve_list_name(match->run->arena, key->data), *entry;

    if (match->run->host->list_contains == NULL || value->length == 0 ||
        strlen(value->data) != value->length ||
        !g_utf8_validate_len(value->data, value->length, NULL))
        return SIEVE_FALSE;
    switch (contains(match->run, match->node, list, value, &entry)) {
    case SIEVE_FAILED:
        return SIEVE_ERROR;
    case SIEVE_YES: {
        /* "the value in the list that matched": its letters, not the message's */
        struct sieve_string matched = sieve_str(entry);

        sieve_match_capture(match->run, &matched, 1);
        return SIEVE_TRUE;
    }
    case SIEVE_NO:
        break;
    }
    return SIEVE_FALSE;
}

/* ------------------------------------------------------------------ valid_ext_list (2.6) */

static enum sieve_status run_valid(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_list names = sieve_arg_list(run, node, 0);

    for (size_t i = 0; i < names.count; i++) {
        enum sieve_answer answer = run->host->list_valid == NULL
            ? SIEVE_NO
            : is_known(run->arena, run->host, &names.items[i]);

        if (answer == SIEVE_FAILED)
            return sieve_fail_host(run, node, "which lists there are");
        sieve_trace(run, node, "list \"%.200s\": %s", names.items[i].data,
            answer == SIEVE_YES ? "there" : "missing");
        if (answer == SIEVE_NO)
            return SIEVE_FALSE;
    }
    return SIEVE_TRUE;
}

/* ------------------------------------------------------------------ redirect :list (2.5) */

static bool check_redirect(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    const struct sieve_string *name = sieve_constant(node->args[0]);

    if (name == NULL || is_known(compiler->arena, compiler->options->host, name) != SIEVE_NO)
        return true;
    sieve_error_at(compiler, bound->line, bound->column, "redirect: there is no list '%.200s'",
        name->data);
    return false;
}

/* ------------------------------------------------------------------ tables */

static const struct sieve_match_type match_types[] = {
    {.name = "list", .argument = "", .check = check_match, .match = match_list,
        .match_variables = true},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "valid_ext_list", .flags = SIEVE_WORD_TEST, .args = "l", .run = run_valid,
        .arg_names = "list names"},
    {NULL},
};

static const struct sieve_tag tags[] = {
    {.name = "list", .argument = "", .applies = "redirect", .check = check_redirect},
    {NULL},
};

const struct sieve_extension sieve_ext_extlists = {
    .name = "extlists",
    .rfc = "RFC 6134",
    .status = "complete",
    .words = words,
    .tags = tags,
    .match_types = match_types,
};
