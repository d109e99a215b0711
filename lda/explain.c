#include "lda/explain.h"

#include "lda/envelope.h"
#include "lda/filter.h"
#include "lda/plan.h"
#include "lda/user.h"
#include "sieve/sieve.h"

static void explain_targets(GString *text, const struct plan *plan)
{
    for (guint i = 0; i < plan->targets->len; i++) {
        const struct plan_target *target = plan->targets->pdata[i];

        g_string_append_printf(text, "  store in '%s'", target->mailbox);
        if (target->flags != NULL && target->flags->len > 1) {
            g_autofree char *flags = g_strjoinv(" ", (char **)target->flags->pdata);

            g_string_append_printf(text, " with flags %s", flags);
        }
        if (target->text != NULL)
            g_string_append(text, ", a copy of what is sent");
        else if (target->message != NULL)
            g_string_append(text, ", the message as the script edited it");
        if (target->create)
            g_string_append(text, ", made where it is missing");
        g_string_append_c(text, '\n');
    }
}

static void explain_sends(GString *text, const struct plan *plan)
{
    static const char *const words[] = {
        [PLAN_REDIRECT] = "redirect",
        [PLAN_REJECT] = "send a rejection",
        [PLAN_VACATION] = "send a vacation reply",
        [PLAN_NOTIFY] = "send a notification",
        [PLAN_REPORT] = "send a report",
        [PLAN_PIPE] = "pipe to a program",
    };

    for (guint i = 0; i < plan->sends->len; i++) {
        const struct plan_send *send = plan->sends->pdata[i];

        g_string_append_printf(text, "  %s", words[send->kind]);
        if (send->kind == PLAN_PIPE)
            g_string_append_printf(text, ": %s", send->pipe->program);
        for (guint j = 0; send->to != NULL && j + 1 < send->to->len; j++)
            g_string_append_printf(text, "%s<%s>", j == 0 ? " to " : ", ",
                                   (const char *)send->to->pdata[j]);
        if (send->kind != PLAN_PIPE)
            g_string_append_printf(text, ", envelope sender <%s>", send->from);
        if (send->memory_seconds > 0)
            g_string_append_printf(text, ", once in %" G_GUINT64_FORMAT " days",
                                   (send->memory_seconds + 86399) / 86400);
        g_string_append_c(text, '\n');
    }
}

static void explain_trace(GString *text, const struct sieve_result *result)
{
    g_string_append(text, "trace:\n");
    for (size_t i = 0; i < result->trace_count; i++) {
        const struct sieve_note *note = &result->trace[i];

        g_string_append_printf(text, "  %s:%u: %*s%s\n", note->script, note->line,
                               (int)MIN(note->depth, 40U) * 2, "", note->text);
    }
}

char *explain_plan(const struct envelope *envelope, const struct user *user,
                   const struct filter *filter, const struct plan *plan, const char *message_id,
                   bool trace)
{
    GString *text = g_string_new(NULL);
    const GPtrArray *scripts = filter_scripts(filter);

    g_string_append_printf(text, "message <%s> from <%s>\n",
                           message_id == NULL ? "" : message_id,
                           envelope->sender == NULL ? "" : envelope->sender);
    g_string_append_printf(text, "recipient <%s>, user %s (%" G_GINT64_FORMAT "), home %s\n",
                           envelope->recipient, user->address, user->id, user->home);
    for (guint i = 0; i < scripts->len; i++)
        g_string_append_printf(text, "script %s\n", (const char *)scripts->pdata[i]);
    if (scripts->len == 0)
        g_string_append(text, "no script\n");
    if (trace)
        explain_trace(text, filter_result(filter));
    for (guint i = 0; i < filter_notes(filter)->len; i++)
        g_string_append_printf(text, "note: %s\n",
                               (const char *)filter_notes(filter)->pdata[i]);
    for (guint i = 0; i < plan->notes->len; i++)
        g_string_append_printf(text, "note: %s\n", (const char *)plan->notes->pdata[i]);
    g_string_append(text, "plan:\n");
    if (plan->refusal != NULL)
        g_string_append_printf(text, "  refuse with status 77: %s\n", plan->refusal);
    explain_targets(text, plan);
    explain_sends(text, plan);
    if (plan->refusal == NULL && plan->targets->len == 0 && plan->sends->len == 0)
        g_string_append(text, "  throw it away\n");
    return g_string_free(text, FALSE);
}
