/*
 * reject and ereject.
 *
 * RFC 5429. Status: complete. The caller may refuse in the SMTP or LMTP dialogue, which ereject asks
 * for; the mail that is made here is for when it cannot: a disposition notification for reject
 * (2.2), a delivery status for ereject (2.1.2). Neither is made for the null sender.
 */
#include <string.h>

#include "lda/mail/headers.h"
#include "lda/mail/message.h"

#include "sieve/sieve-internal.h"

#define HEADER_BYTES 65536

static const char *reporting_host(const struct sieve_run *run)
{
    return run->host->hostname != NULL ? run->host->hostname : "localhost";
}

static void compose_begin_report(struct sieve_composer *composer, struct sieve_run *run,
    bool ereject, const char *boundary)
{
    const char *subject = headers_get(message_headers(run->input), "Subject");
    g_autofree char *title = g_strdup_printf("Rejected: %s", subject != NULL ? subject : "");
    g_autofree char *type = g_strdup_printf(
        "multipart/report; report-type=%s;\n boundary=\"%s\"",
        ereject ? "delivery-status" : "disposition-notification", boundary);
    g_autofree char *from = run->host->postmaster != NULL
        ? g_strdup(run->host->postmaster)
        : g_strdup_printf("postmaster@%s", reporting_host(run));
    g_autofree char *to = g_strdup_printf("<%s>", run->envelope->from);
    const char *id = headers_get_raw(message_headers(run->input), "Message-ID");

    sieve_compose_begin(composer, run);
    sieve_compose_message_id(composer);
    sieve_compose_date(composer);
    sieve_compose_field_raw(composer, "From", from);
    sieve_compose_field_raw(composer, "To", to);
    sieve_compose_field(composer, "Subject", title);
    if (id != NULL && strlen(id) < 900) {
        sieve_compose_field_raw(composer, "In-Reply-To", id);
        sieve_compose_field_raw(composer, "References", id);
    }
    sieve_compose_field_raw(composer, "Auto-Submitted", "auto-replied (rejected)");
    sieve_compose_field_raw(composer, "Precedence", "bulk");
    sieve_compose_field_raw(composer, "X-Auto-Response-Suppress", "All");
    sieve_compose_field_raw(composer, "MIME-Version", "1.0");
    sieve_compose_field_raw(composer, "Content-Type", type);
}

static void compose_reason(struct sieve_composer *composer, const char *recipient,
    const char *reason, const char *boundary)
{
    g_autofree char *text = g_strdup_printf(
        "Your message to <%s> was automatically rejected:\n%s", recipient, reason);

    g_string_append_printf(composer->text, "\n--%s\n", boundary);
    sieve_compose_text(composer, text);
}

/* Without line ends: the value of a report's field. */
static void report_field(GString *out, const char *name, const char *prefix, const char *value)
{
    g_string_append_printf(out, "%s: %s", name, prefix);
    for (const char *p = value; *p != '\0'; p++)
        g_string_append_c(out, (unsigned char)*p < 0x20 ? ' ' : *p);
    g_string_append_c(out, '\n');
}

static void compose_status(struct sieve_composer *composer, bool ereject, const char *boundary)
{
    const struct sieve_run *run = composer->run;
    const struct sieve_envelope *envelope = run->envelope;
    const char *id = headers_get_raw(message_headers(run->input), "Message-ID");
    GString *out = composer->text;

    g_string_append_printf(out, "\n--%s\nContent-Type: message/%s\n\n", boundary,
        ereject ? "delivery-status" : "disposition-notification");
    if (ereject) {
        report_field(out, "Reporting-MTA", "dns; ", reporting_host(run));
        g_string_append_c(out, '\n');
    } else {
        report_field(out, "Reporting-UA", "", reporting_host(run));
    }
    if (envelope->orig_to != NULL)
        report_field(out, "Original-Recipient", "rfc822; ", envelope->orig_to);
    if (envelope->to != NULL)
        report_field(out, "Final-Recipient", "rfc822; ", envelope->to);
    if (ereject) {
        g_string_append(out, "Action: failed\nStatus: 5.7.1\n");
        return;
    }
    if (id != NULL)
        report_field(out, "Original-Message-ID", "", id);
    g_string_append(out, "Disposition: automatic-action/MDN-sent-automatically; deleted\n");
}

static bool compose_header(struct sieve_composer *composer, const char *boundary,
    struct error *err)
{
    g_autoptr(GBytes) header = NULL;
    gsize length;

    if (!message_header_bytes(composer->run->input, HEADER_BYTES, &header, err))
        return false;
    const char *data = g_bytes_get_data(header, &length);
    g_string_append_printf(composer->text, "\n--%s\nContent-Type: text/rfc822-headers\n\n",
        boundary);
    for (gsize i = 0; i < length; i++)
        if (data[i] != '\r' && data[i] != '\0')
            g_string_append_c(composer->text, data[i]);
    while (g_str_has_suffix(composer->text->str, "\n\n"))
        g_string_truncate(composer->text, composer->text->len - 1);
    g_string_append_printf(composer->text, "\n--%s--\n", boundary);
    return true;
}

/* The report to the sender, or NULL where there is nobody to tell. */
static enum sieve_status make_mail(struct sieve_run *run, const struct sieve_node *node,
    bool ereject, const char *reason, struct sieve_mail **ret_mail)
{
    const struct sieve_envelope *envelope = run->envelope;
    struct sieve_composer composer;
    struct error err;

    *ret_mail = NULL;
    if (envelope->from == NULL || envelope->from[0] == '\0')
        return SIEVE_NEXT;
    const char *recipient = envelope->orig_to != NULL ? envelope->orig_to
        : envelope->to != NULL                        ? envelope->to
                                                      : "";
    g_autofree char *boundary = g_strdup_printf("=_vmail_%08x%08x%08x", g_random_int(),
        g_random_int(), g_random_int());
    const char **to = ARENA_ARRAY(run->arena, const char *, 2);
    to[0] = arena_strdup(run->arena, envelope->from);
    compose_begin_report(&composer, run, ereject, boundary);
    compose_reason(&composer, recipient, reason, boundary);
    compose_status(&composer, ereject, boundary);
    bool fine = compose_header(&composer, boundary, &err);
    struct sieve_mail *mail = sieve_compose_end(&composer, "", to);
    if (!fine)
        return sieve_fail(run, node, "cannot read the message: %s", err.text);
    *ret_mail = mail;
    return SIEVE_NEXT;
}

static enum sieve_status reject(struct sieve_run *run, const struct sieve_node *node,
    enum sieve_action_kind kind)
{
    struct sieve_string reason = sieve_arg_string(run, node, 0);
    struct sieve_action *action = sieve_action_new(run, node, kind);
    struct sieve_mail *mail;

    action->reject.reason = sieve_text_lf(run->arena, &reason);
    if (make_mail(run, node, kind == SIEVE_ACTION_EREJECT, action->reject.reason, &mail) ==
        SIEVE_ERROR)
        return SIEVE_ERROR;
    action->mail = mail;
    return sieve_action_commit(run, node, action);
}

static enum sieve_status run_reject(struct sieve_run *run, const struct sieve_node *node)
{
    return reject(run, node, SIEVE_ACTION_REJECT);
}

static enum sieve_status run_ereject(struct sieve_run *run, const struct sieve_node *node)
{
    return reject(run, node, SIEVE_ACTION_EREJECT);
}

static const struct sieve_word reject_words[] = {
    {.name = "reject", .args = "s", .run = run_reject, .arg_names = "reason"},
    {NULL},
};

static const struct sieve_word ereject_words[] = {
    {.name = "ereject", .args = "s", .run = run_ereject, .arg_names = "reason"},
    {NULL},
};

const struct sieve_extension sieve_ext_reject = {
    .name = "reject",
    .rfc = "RFC 5429",
    .status = "complete",
    .words = reject_words,
};

const struct sieve_extension sieve_ext_ereject = {
    .name = "ereject",
    .rfc = "RFC 5429",
    .status = "complete",
    .words = ereject_words,
};
