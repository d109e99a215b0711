/*
 * enclose: the message becomes the attachment of a new one.
 *
 * RFC 5703, section 6. Status: complete.
 *
 * The new header has the enclosed message's Subject (or :subject), the fields of :headers, Date,
 * From and To of the user where these are not among them, and the trace of the delivery. A redirect
 * sends what was there before.
 */
#include <string.h>

#include "lda/mail/address.h"
#include "lda/mail/date.h"
#include "lda/mail/message.h"

#include "sieve/ext/foreverypart.h"
#include "sieve/ext/list.h"
#include "sieve/sieve-internal.h"

struct enclosed {
    struct message *before; /* what a redirect sends; NULL: nothing was enclosed */
};

/* What this delivery put on top, and what describes the new content. */
static const char *const kept[] = {"return-path", "delivered-to", "x-original-to", "mime-version",
    "content-type", "content-transfer-encoding", NULL};

static bool is_kept(const char *name, const struct sieve_list *copied, bool subject)
{
    g_autofree char *lower = g_ascii_strdown(name, -1);

    if (g_strv_contains(kept, lower) || (!subject && strcmp(lower, "subject") == 0))
        return true;
    for (size_t i = 0; i < copied->count; i++)
        if (g_ascii_strcasecmp(copied->items[i].data, name) == 0)
            return true;
    return false;
}

static const char *own_address(const struct sieve_run *run)
{
    return run->host->user_email != NULL ? run->host->user_email
        : run->envelope->to != NULL      ? run->envelope->to
                                         : "postmaster";
}

static void write_header(struct sieve_run *run, struct message *message,
    const struct sieve_list *copied, const char *subject)
{
    struct headers *headers = message_headers(message);

    for (size_t i = headers_count(headers); i > 0; i--)
        if (!is_kept(headers_name(headers, i - 1), copied, subject != NULL))
            message_delete_header(message, i - 1);
    if (subject != NULL) {
        size_t at;

        while ((at = headers_find(headers, "Subject", 0)) != HEADERS_NONE)
            message_delete_header(message, at);
        message_add_header(message, "Subject", subject, true);
    }
    g_autofree char *own = address_format(NULL, own_address(run));
    if (headers_find(headers, "From", 0) == HEADERS_NONE)
        message_add_header(message, "From", own, true);
    if (headers_find(headers, "To", 0) == HEADERS_NONE)
        message_add_header(message, "To", own, true);
    if (headers_find(headers, "Date", 0) == HEADERS_NONE) {
        char date[DATE_TEXT_SIZE];
        int zone;
        time_t now = sieve_now(run, &zone);

        date_format_rfc5322((int64_t)now, zone, date);
        message_add_header(message, "Date", date, true);
    }
}

static void free_message(void *data)
{
    message_free(data);
}

static enum sieve_status run_enclose(struct sieve_run *run, const struct sieve_node *node)
{
    struct enclosed *state = sieve_sequence_state(run, &sieve_ext_enclose, sizeof(*state));
    const struct sieve_bound_tag *subject_tag = sieve_node_tag(node, "subject");
    const struct sieve_bound_tag *headers_tag = sieve_node_tag(node, "headers");
    struct sieve_list copied = {NULL, 0};
    struct sieve_string raw = sieve_arg_string(run, node, 0);
    const char *text = sieve_text_lf(run->arena, &raw), *subject = NULL;
    struct error err;

    if (!foreverypart_may_change(run, node))
        return SIEVE_ERROR;
    if (subject_tag != NULL) {
        struct sieve_string said = sieve_tag_string(run, subject_tag);

        subject = sieve_text_lf(run->arena, &said);
    }
    if (headers_tag != NULL)
        copied = sieve_tag_list(run, headers_tag);
    if (state->before == NULL)
        state->before = arena_own(run->arena, message_copy(run->message), free_message);
    if (!message_enclose(sieve_edit_message(run), text, &err))
        return sieve_fail(run, node, "cannot read the message: %s", err.text);
    write_header(run, run->message, &copied, subject);
    foreverypart_was_enclosed(run);
    sieve_trace(run, node, "enclose: the message is an attachment now");
    return SIEVE_NEXT;
}

/* "This action does not affect messages that are forwarded via a redirect action." */
static enum sieve_status before_action(struct sieve_run *run, const struct sieve_node *node,
    struct sieve_action *action)
{
    const struct enclosed *state = sieve_sequence_state(run, &sieve_ext_enclose, sizeof(*state));

    (void)node;
    if (action->kind == SIEVE_ACTION_REDIRECT && state->before != NULL)
        action->message = state->before;
    return SIEVE_NEXT;
}

static const struct sieve_tag tags[] = {
    {.name = "subject", .argument = "s"},
    {.name = "headers", .argument = "l"},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "enclose", .args = "s", .tags = tags, .run = run_enclose, .arg_names = "text"},
    {NULL},
};

const struct sieve_extension sieve_ext_enclose = {
    .name = "enclose",
    .rfc = "RFC 5703",
    .status = "complete",
    .flags = SIEVE_EXTENSION_EVERY_ACTION,
    .words = words,
    .on_action = before_action,
};
