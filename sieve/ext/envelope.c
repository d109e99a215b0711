/*
 * envelope (RFC 5228 5.4): "from", "to"; "auth" as libsieve has it; further parts come from the
 * extensions that are on (RFC 6009).
 */
#include <string.h>

#include "lda/mail/address.h"

#include "sieve/sieve-internal.h"

static void get_from(struct sieve_run *run, const char *name, struct sieve_values *values)
{
    (void)name;
    if (run->envelope->from != NULL)
        sieve_values_add(values, sieve_str(run->envelope->from), NULL, NULL);
}

/* The original recipient: whom the sender wrote to (as Pigeonhole reads "to"). */
static void get_to(struct sieve_run *run, const char *name, struct sieve_values *values)
{
    const char *to = run->envelope->orig_to != NULL ? run->envelope->orig_to : run->envelope->to;

    (void)name;
    if (to != NULL)
        sieve_values_add(values, sieve_str(to), NULL, NULL);
}

static void get_auth(struct sieve_run *run, const char *name, struct sieve_values *values)
{
    (void)name;
    if (run->envelope->auth != NULL)
        sieve_values_add(values, sieve_str(run->envelope->auth), NULL, NULL);
}

static const struct sieve_envelope_part parts[] = {
    {.name = "from", .is_address = true, .get = get_from},
    {.name = "to", .is_address = true, .get = get_to},
    {.name = "auth", .get = get_auth},
    {NULL},
};

static const struct sieve_envelope_part *find_part(const struct sieve_unit *unit, const char *name)
{
    for (size_t i = 0; i < unit->extension_count; i++) {
        const struct sieve_envelope_part *part = unit->extensions[i]->envelope_parts;

        for (; part != NULL && part->name != NULL; part++)
            if (g_ascii_strcasecmp(part->name, name) == 0)
                return part;
    }
    return NULL;
}

static bool has_address_part(const struct sieve_node *node)
{
    for (size_t i = 0; i < node->tag_count; i++)
        if (node->tags[i].tag->group != NULL &&
            strcmp(node->tags[i].tag->group, "address part") == 0)
            return true;
    return false;
}

static bool check_envelope(struct sieve_compiler *compiler, struct sieve_node *node)
{
    for (size_t i = 0; i < node->args[0]->count; i++) {
        const struct sieve_string *name = sieve_constant_at(node->args[0], i);

        if (name == NULL)
            continue;
        const struct sieve_envelope_part *part = find_part(compiler->unit, name->data);
        if (part == NULL) {
            sieve_error(compiler, node,
                "specified envelope part '%.60s' is not supported by the envelope test",
                name->data);
            return false;
        }
        if (!part->is_address && has_address_part(node)) {
            sieve_error(compiler, node,
                "address part tags cannot be used with the envelope part '%.60s'", name->data);
            return false;
        }
    }
    return true;
}

/* "" matches as the null sender for :all (RFC 5228 5.4), with :localpart and :domain too. */
static enum sieve_status match_path(struct sieve_match *match, const struct sieve_string *path)
{
    if (path->length > 0 && has_address_part(match->node))
        return sieve_match_addresses(match, path->data);
    return sieve_match_value(match, path);
}

static enum sieve_status run_envelope(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_list names = sieve_arg_list(run, node, 0);
    struct sieve_match match;
    enum sieve_status status = SIEVE_FALSE;

    sieve_match_begin(&match, run, node);
    for (size_t i = 0; i < names.count && status == SIEVE_FALSE; i++) {
        const struct sieve_envelope_part *part = find_part(run->unit, names.items[i].data);
        struct sieve_values values = {.arena = run->arena};

        if (part == NULL)
            return sieve_fail(run, node, "envelope part '%.60s' is not supported",
                names.items[i].data);
        part->get(run, part->name, &values);
        for (size_t j = 0; j < node->tag_count; j++)
            if (node->tags[j].tag->values != NULL &&
                node->tags[j].tag->values(run, node, &node->tags[j], &values) == SIEVE_ERROR)
                return SIEVE_ERROR;
        for (size_t j = 0; j < values.count && status == SIEVE_FALSE; j++)
            status = part->is_address ? match_path(&match, &values.items[j].text)
                                      : sieve_match_value(&match, &values.items[j].text);
    }
    return sieve_match_finish(&match, status);
}

static const struct sieve_word words[] = {
    {.name = "envelope", .flags = SIEVE_WORD_TEST | SIEVE_WORD_MATCH | SIEVE_WORD_ADDRESS_PART,
        .args = "ll", .match_keys = 1, .check = check_envelope, .run = run_envelope,
        .arg_names = "envelope part,key list"},
    {NULL},
};

const struct sieve_extension sieve_ext_envelope = {
    .name = "envelope",
    .rfc = "RFC 5228",
    .status = "complete",
    .words = words,
    .envelope_parts = parts,
};
