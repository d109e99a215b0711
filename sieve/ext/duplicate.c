/*
 * duplicate: was a message with this ID (or header, or value) here before?
 *
 * RFC 7352. Status: complete.
 *
 * The host is asked; what shall be remembered goes into the result and is stored in the transaction
 * of the delivery, so that a delivery that fails leaves no trace (3).
 */
#include <string.h>

#include "lda/mail/headers.h"
#include "lda/mail/message.h"

#include "sieve/sieve-internal.h"

#define DEFAULT_PERIOD (7u * 86400u)

static uint64_t most_seconds(const struct sieve_options *options)
{
    return sieve_setting_seconds(options, "sieve_duplicate_max_period",
        options->limits.max_duplicate_period);
}

static bool check_seconds(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    uint64_t most = most_seconds(compiler->options);

    (void)node;
    if (most > 0 && bound->arg->number > most)
        sieve_warning_at(compiler, bound->line, bound->column,
            "the :seconds value %" G_GUINT64_FORMAT " is over the maximum: %" G_GUINT64_FORMAT
            " is used", bound->arg->number, most);
    return true;
}

/* 3.1: an invalid name is no error, the test is false. */
static bool check_header(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    const struct sieve_string *name = sieve_constant(bound->arg);

    (void)node;
    if (name != NULL && !sieve_header_name_is_valid(name))
        sieve_warning_at(compiler, bound->line, bound->column,
            "'%.80s' is no valid header field name: the duplicate test is always false",
            name->data);
    return true;
}

/* What makes the message unique (3.1); false: nothing does, it is no duplicate. */
static bool unique_id(struct sieve_run *run, const struct sieve_node *node,
    struct sieve_string *ret)
{
    const struct sieve_bound_tag *header = sieve_node_tag(node, "header");
    const struct sieve_bound_tag *uniqueid = sieve_node_tag(node, "uniqueid");
    const char *name = "Message-ID";

    if (uniqueid != NULL) {
        *ret = sieve_tag_string(run, uniqueid);
        return true;
    }
    if (header != NULL)
        name = sieve_tag_string(run, header).data;
    const char *value = headers_get(message_headers(run->message), name);
    if (value == NULL)
        return false;
    *ret = sieve_str(value);
    return true;
}

/* The hash takes texts: values with a NUL in them would all be what stands before it, and a message
 * would be a duplicate of another one. */
static const char *whole(struct sieve_run *run, const struct sieve_string *value)
{
    if (strlen(value->data) == value->length)
        return value->data;
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256,
        (const guchar *)value->data, value->length);
    return arena_printf(run->arena, "NUL %s", sum);
}

/* The same value is the same entry wherever it came from (3.2); a handle makes it another. */
static char *make_key(struct sieve_run *run, const struct sieve_bound_tag *handle,
    const struct sieve_string *value)
{
    struct sieve_string name = {"", 0};

    if (handle != NULL)
        name = sieve_tag_string(run, handle);
    return sieve_hash_key(run->arena, "duplicate", handle != NULL ? "handle" : "default",
        whole(run, &name), whole(run, value), NULL);
}

static uint64_t period(const struct sieve_run *run, const struct sieve_node *node)
{
    const struct sieve_bound_tag *seconds = sieve_node_tag(node, "seconds");
    uint64_t most = most_seconds(run->options);
    uint64_t value = seconds != NULL
        ? seconds->arg->number
        : sieve_setting_seconds(run->options, "sieve_duplicate_default_period", DEFAULT_PERIOD);

    return most > 0 && value > most ? most : value;
}

static enum sieve_status run_duplicate(struct sieve_run *run, const struct sieve_node *node)
{
    const struct sieve_host *host = run->host;
    bool last = sieve_node_tag(node, "last") != NULL;
    uint64_t seconds = period(run, node);
    struct sieve_string value;

    if (seconds == 0 || !unique_id(run, node, &value))
        return SIEVE_FALSE;
    const char *key = make_key(run, sieve_node_tag(node, "handle"), &value);
    enum sieve_answer answer = host->duplicate_seen == NULL
        ? SIEVE_NO
        : host->duplicate_seen(host->ctx, key);
    if (answer == SIEVE_FAILED)
        return sieve_fail_host(run, node, "whether the message is a duplicate");
    /* with :last the time runs from the latest one on (3.3): a duplicate is marked anew */
    if (answer == SIEVE_NO || last)
        sieve_duplicate_mark_add(run, key, seconds);
    sieve_trace(run, node, "\"%.100s\": %s", value.data,
        answer == SIEVE_YES ? "seen before" : "new");
    return answer == SIEVE_YES ? SIEVE_TRUE : SIEVE_FALSE;
}

static const struct sieve_tag tags[] = {
    {.name = "seconds", .argument = "n", .check = check_seconds},
    {.name = "last", .argument = ""},
    {.name = "header", .argument = "s", .group = "unique id", .check = check_header},
    {.name = "uniqueid", .argument = "s", .group = "unique id"},
    {.name = "handle", .argument = "s"},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "duplicate", .flags = SIEVE_WORD_TEST, .args = "", .tags = tags,
        .run = run_duplicate},
    {NULL},
};

const struct sieve_extension sieve_ext_duplicate = {
    .name = "duplicate",
    .rfc = "RFC 7352",
    .status = "complete",
    .words = words,
};
