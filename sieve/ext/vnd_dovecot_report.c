/*
 * vnd.dovecot.report: report, which mails an abuse report (MARF, RFC 5965).
 *
 * Pigeonhole's spec-bosch-sieve-report. Status: complete.
 *
 * Off unless the site switches it on: it sends the message to whom the script names.
 * sieve_report_from says from whom.
 */
#include <string.h>

#include "lda/mail/message.h"

#include "sieve/ext/list.h"
#include "sieve/ext/sender_address.h"
#include "sieve/sieve-internal.h"

#define MOST_HEADER (256u << 10)
#define MOST_BODY (10u << 20) /* a message beyond it is reported by its header alone */

/* A token of RFC 2045 5.1. */
static bool is_token(const struct sieve_string *text)
{
    for (size_t i = 0; i < text->length; i++) {
        unsigned char c = (unsigned char)text->data[i];

        if (c <= ' ' || c >= 0x7F || strchr("()<>@,;:\\\"/[]?=", c) != NULL)
            return false;
    }
    return text->length > 0;
}

static bool check_report(struct sieve_compiler *compiler, struct sieve_node *node)
{
    const struct sieve_string *type = sieve_constant(node->args[0]);
    const struct sieve_string *address = sieve_constant(node->args[2]);

    if (type != NULL && !is_token(type)) {
        sieve_error(compiler, node, "report: the feedback type '%.80s' is invalid", type->data);
        return false;
    }
    if (address != NULL && !sieve_address_is_valid(address->data)) {
        sieve_error(compiler, node, "report: the address '%.100s' is invalid", address->data);
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------ the report */

static const char *make_boundary(struct sieve_run *run)
{
    return arena_printf(run->arena, "=_report_%08x%08x%08x", g_random_int(), g_random_int(),
        g_random_int());
}

static void write_text_part(GString *out, const char *boundary, const char *text)
{
    g_string_append_printf(out,
        "--%s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
        "Content-Disposition: inline\n\n%s\n\n", boundary, text);
}

static void write_machine_part(struct sieve_run *run, GString *out, const char *boundary,
    const char *type)
{
    const char *user = sender_user_email(run);
    const char *from = run->envelope->from;

    if (user == NULL)
        user = run->envelope->to;
    g_string_append_printf(out,
        "--%s\nContent-Type: message/feedback-report\n\nVersion: 1\nFeedback-Type: %s\n"
        "User-Agent: vmail-lda Sieve\n", boundary, type);
    if (from != NULL)
        g_string_append_printf(out, "Original-Mail-From: <%s>\n", from);
    if (user != NULL)
        g_string_append_printf(out, "Dovecot-Reporting-User: <%s>\n", user);
    g_string_append_c(out, '\n');
}

static bool write_message_part(struct sieve_run *run, GString *out, const char *boundary,
    bool headers_only, struct error *err)
{
    g_autoptr(GBytes) header = NULL, body = NULL;

    headers_only |= message_body_size(run->message) > (off_t)MOST_BODY;
    if (!message_header_bytes(run->message, MOST_HEADER, &header, err) ||
        (!headers_only && !message_body_raw(run->message, MOST_BODY, &body, err)))
        return false;
    g_string_append_printf(out, "--%s\nContent-Type: %s\nContent-Disposition: attachment\n\n",
        boundary, headers_only ? "text/rfc822-headers" : "message/rfc822");
    g_string_append_len(out, g_bytes_get_data(header, NULL), (gssize)g_bytes_get_size(header));
    if (body != NULL)
        g_string_append_len(out, g_bytes_get_data(body, NULL), (gssize)g_bytes_get_size(body));
    g_string_append_printf(out, "\n--%s--\n", boundary);
    return true;
}

static const char *sender(struct sieve_run *run)
{
    const char *from = sender_from_setting(run, "sieve_report_from");

    return from != NULL && *from != '\0' ? from : sender_postmaster(run);
}

static enum sieve_status compose(struct sieve_run *run, const struct sieve_node *node,
    struct sieve_action *action)
{
    const struct sieve_report *report = &action->report;
    const char *boundary = make_boundary(run), *from = sender(run);
    const char *subject = headers_get(message_headers(run->message), "Subject");
    struct sieve_composer composer;
    struct error err;

    sieve_compose_begin(&composer, run);
    sieve_compose_field_raw(&composer, "X-Sieve", "vmail-lda Sieve");
    sieve_compose_message_id(&composer);
    sieve_compose_date(&composer);
    sieve_compose_field_raw(&composer, "From", arena_printf(run->arena, "<%s>", from));
    sieve_compose_field_raw(&composer, "To", arena_printf(run->arena, "<%s>", report->address));
    sieve_compose_field(&composer, "Subject", subject != NULL && *subject != '\0'
        ? arena_printf(run->arena, "Report: %.500s", subject)
        : "Report: (message without subject)");
    sieve_compose_field_raw(&composer, "Auto-Submitted", "auto-generated (report)");
    sieve_compose_field_raw(&composer, "MIME-Version", "1.0");
    sieve_compose_field_raw(&composer, "Content-Type", arena_printf(run->arena,
        "multipart/report; report-type=feedback-report;\n boundary=\"%s\"", boundary));
    g_string_append(composer.text, "\nThis is a MIME-encapsulated message\n\n");
    write_text_part(composer.text, boundary, report->message);
    write_machine_part(run, composer.text, boundary, report->feedback_type);
    if (!write_message_part(run, composer.text, boundary, report->headers_only, &err)) {
        g_string_free(composer.text, TRUE);
        return sieve_fail(run, node, "cannot read the message: %s", err.text);
    }
    const char **to = ARENA_ARRAY(run->arena, const char *, 2);
    to[0] = report->address;
    action->mail = sieve_compose_end(&composer, from, to);
    return SIEVE_NEXT;
}

/* ------------------------------------------------------------------ the command */

/* The same type to the same address: the first one counts. */
static bool is_repeated(const struct sieve_run *run, const struct sieve_report *report)
{
    const struct sieve_action *action;

    for (size_t i = 0; (action = sieve_action_at(run, i)) != NULL; i++)
        if (action->kind == SIEVE_ACTION_REPORT &&
            g_ascii_strcasecmp(action->report.feedback_type, report->feedback_type) == 0 &&
            g_ascii_strcasecmp(action->report.address, report->address) == 0)
            return true;
    return false;
}

static enum sieve_status run_report(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string type = sieve_arg_string(run, node, 0);
    struct sieve_string message = sieve_arg_string(run, node, 1);
    struct sieve_string address = sieve_arg_string(run, node, 2);
    struct sieve_action *action = sieve_action_new(run, node, SIEVE_ACTION_REPORT);

    if (!is_token(&type))
        return sieve_fail(run, node, "report: the feedback type '%.80s' is invalid", type.data);
    action->report.feedback_type = type.data;
    action->report.message = sieve_text_lf(run->arena, &message);
    action->report.address = sieve_address_normalize(run->arena, address.data);
    action->report.headers_only = sieve_node_tag(node, "headers_only") != NULL;
    if (action->report.address == NULL)
        return sieve_fail(run, node, "report: the address '%.100s' is invalid", address.data);
    if (is_repeated(run, &action->report)) {
        sieve_trace(run, node, "report: sent already");
        return SIEVE_NEXT;
    }
    return compose(run, node, action) == SIEVE_ERROR ? SIEVE_ERROR
                                                     : sieve_action_commit(run, node, action);
}

static const struct sieve_tag tags[] = {
    {.name = "headers_only", .argument = ""},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "report", .args = "sss", .tags = tags, .check = check_report, .run = run_report,
        .arg_names = "feedback-type,message,address"},
    {NULL},
};

const struct sieve_extension sieve_ext_vnd_dovecot_report = {
    .name = "vnd.dovecot.report",
    .rfc = "Pigeonhole",
    .status = "complete",
    .flags = SIEVE_EXTENSION_SITE_ONLY,
    .words = words,
};
