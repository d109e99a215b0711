#include "lda/plan.h"

#include <string.h>
#include <strings.h>

#include "lda/envelope.h"
#include "lda/mail/address.h"
#include "lda/mail/headers.h"
#include "sieve/sieve.h"
#include "store/store.h"

#define REDIRECTED "X-Sieve-Redirected-From"

struct building {
    struct plan *plan;
    const struct sieve_result *result;
    const struct envelope *envelope;
    struct headers *headers;
    const struct plan_policy *policy;
    bool settled; /* the message is kept, sent on, refused or thrown away by the script's will */
};

static void note(struct plan *plan, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct plan *plan, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(plan->notes, g_strdup_vprintf(format, args));
    va_end(args);
}

static void free_target(void *data)
{
    struct plan_target *target = data;

    g_free(target->mailbox);
    if (target->flags != NULL)
        g_ptr_array_unref(target->flags);
    g_free(target);
}

static void free_send(void *data)
{
    struct plan_send *send = data;

    g_free(send->id);
    g_free(send->from);
    if (send->to != NULL)
        g_ptr_array_unref(send->to);
    g_free(send);
}

void plan_free(struct plan *plan)
{
    if (plan == NULL)
        return;
    g_ptr_array_unref(plan->targets);
    g_ptr_array_unref(plan->sends);
    g_ptr_array_unref(plan->notes);
    g_free(plan->refusal);
    g_free(plan);
}

/* --- targets */

/* Adds what @flags has and *@to lacks; flags compare without case (RFC 5232 2). */
static void merge_flags(GPtrArray **to, const char *const *flags)
{
    if (flags == NULL)
        return;
    if (*to == NULL)
        *to = g_ptr_array_new_with_free_func(g_free);
    else
        g_ptr_array_set_size(*to, (gint)(*to)->len - 1); /* the NULL at the end */
    for (; *flags != NULL; flags++) {
        bool known = false;

        for (guint i = 0; i < (*to)->len && !known; i++)
            known = strcasecmp((*to)->pdata[i], *flags) == 0;
        if (!known)
            g_ptr_array_add(*to, g_strdup(*flags));
    }
    g_ptr_array_add(*to, NULL);
}

/* One copy per mailbox (RFC 5228 2.10.3: duplicates are ignored); flags of duplicates add up. */
static void add_target(struct plan *plan, const char *mailbox, const char *const *flags,
                       bool create, bool keep, struct message *message,
                       const struct sieve_mail *text)
{
    g_autofree char *canonical = NULL;
    struct error err;

    if (!store_mailbox_canonical(mailbox, &canonical, &err)) {
        note(plan, "%s: stored in INBOX instead", err.text);
        canonical = g_strdup("INBOX");
    }
    for (guint i = 0; i < plan->targets->len; i++) {
        struct plan_target *other = plan->targets->pdata[i];

        if (strcmp(other->mailbox, canonical) == 0 && other->message == message &&
            other->text == text) {
            merge_flags(&other->flags, flags);
            other->create = other->create || create;
            other->keep = other->keep && keep;
            return;
        }
    }
    struct plan_target *target = g_new0(struct plan_target, 1);
    target->mailbox = g_steal_pointer(&canonical);
    merge_flags(&target->flags, flags);
    target->create = create;
    target->keep = keep;
    target->message = message;
    target->text = text;
    g_ptr_array_add(plan->targets, target);
}

static void add_keep(struct plan *plan, const struct plan_policy *policy,
                     const char *const *flags, struct message *message)
{
    add_target(plan, policy->keep_mailbox, flags, false, true, message, NULL);
    if (policy->keep_flags != NULL) /* the same target again: they are merged */
        add_target(plan, policy->keep_mailbox, policy->keep_flags, false, true, message, NULL);
}

static void add_fcc(struct plan *plan, const struct sieve_action *action,
                    const struct sieve_store *fcc)
{
    if (fcc != NULL && action->mail != NULL)
        add_target(plan, fcc->mailbox, fcc->flags, fcc->create, false, NULL, action->mail);
}

/* --- sends */

static struct plan_send *add_send(struct plan *plan, enum plan_send_kind kind, bool after_commit,
                                  const char *what)
{
    struct plan_send *send = g_new0(struct plan_send, 1);
    unsigned same = 0;

    send->kind = kind;
    send->after_commit = after_commit;
    for (guint i = 0; i < plan->sends->len; i++) {
        const struct plan_send *other = plan->sends->pdata[i];

        if (g_str_has_prefix(other->id, what))
            same++;
    }
    send->id = same == 0 ? g_strdup(what) : g_strdup_printf("%s#%u", what, same);
    g_ptr_array_add(plan->sends, send);
    return send;
}

static void set_recipients(struct plan_send *send, const char *const *addresses)
{
    send->to = g_ptr_array_new_with_free_func(g_free);
    for (; addresses != NULL && *addresses != NULL; addresses++)
        g_ptr_array_add(send->to, g_strdup(*addresses));
    g_ptr_array_add(send->to, NULL);
}

/* A finished text leaves as it is. */
static struct plan_send *add_mail(struct plan *plan, enum plan_send_kind kind, bool after_commit,
                                  const char *what, const struct sieve_mail *mail)
{
    struct plan_send *send = add_send(plan, kind, after_commit, what);

    send->mail = mail;
    send->from = g_strdup(mail->envelope_from == NULL ? "" : mail->envelope_from);
    set_recipients(send, mail->envelope_to);
    return send;
}

static char *redirect_sender(const struct building *b, const struct sieve_redirect *redirect)
{
    const char *how = b->policy->redirect_sender;
    const struct envelope *envelope = b->envelope;

    /* a bounce stays one, or a loop of bounces could begin */
    if (envelope->sender != NULL && envelope->sender[0] == '\0')
        return g_strdup("");
    /* reports that the script asks for go to its owner (RFC 6009 6.1, 7.1) */
    if (redirect->dsn_notify != NULL || redirect->dsn_ret != NULL || redirect->by_time != NULL)
        return g_strdup(b->policy->user);
    if (how[0] == '<') {
        size_t length = strcspn(how + 1, ">");

        return g_strndup(how + 1, length);
    }
    if (strcmp(how, "recipient") == 0)
        return g_strdup(envelope->recipient);
    if (strcmp(how, "orig_recipient") == 0)
        return g_strdup(envelope->original_recipient);
    if (strcmp(how, "postmaster") == 0)
        return g_strdup(b->policy->postmaster);
    if (strcmp(how, "sender") == 0 && envelope->sender != NULL)
        return g_strdup(envelope->sender);
    return g_strdup(b->policy->user);
}

/* Why this message may not be redirected again; NULL when it may. */
static const char *redirect_obstacle(const struct building *b)
{
    uint64_t hops = 0;

    for (size_t i = headers_find(b->headers, REDIRECTED, 0); i != HEADERS_NONE;
         i = headers_find(b->headers, REDIRECTED, i + 1)) {
        if (address_equal(headers_raw(b->headers, i), b->policy->user))
            return "this user has redirected it before";
        hops++;
    }
    return hops >= b->policy->redirect_hops ? "it was redirected too often" : NULL;
}

static void plan_redirect(struct building *b, const struct sieve_action *action)
{
    const struct sieve_redirect *redirect = &action->redirect;
    const char *obstacle = redirect_obstacle(b);
    struct plan *plan = b->plan;

    if (address_equal(redirect->address, b->policy->user) ||
        address_equal(redirect->address, b->envelope->recipient)) {
        b->settled = true; /* it would come back with our Delivered-To in it */
        add_keep(plan, b->policy, NULL, action->message);
        return;
    }

    if (obstacle != NULL) {
        note(plan, "not redirected to <%s>: %s", redirect->address, obstacle);
        return;
    }
    b->settled = true;
    for (guint i = 0; i < plan->sends->len; i++) {
        const struct plan_send *other = plan->sends->pdata[i];

        if (other->kind == PLAN_REDIRECT && other->message == action->message &&
            address_equal(other->redirect->address, redirect->address))
            return;
    }
    g_autofree char *what = g_strconcat("redirect:", redirect->address, NULL);
    struct plan_send *send = add_send(plan, PLAN_REDIRECT, false, what);
    send->from = redirect_sender(b, redirect);
    set_recipients(send, (const char *[]){redirect->address, NULL});
    send->message = action->message;
    send->redirect = redirect;
}

static void plan_reject(struct building *b, const struct sieve_action *action)
{
    b->settled = true;
    if (b->policy->reject_by_status) {
        g_free(b->plan->refusal);
        b->plan->refusal = g_strdup(action->reject.reason);
    } else if (b->policy->replay) {
        /* nobody would hear of it, neither the sender nor the user */
        note(b->plan, "no rejection is sent in a replay: kept");
        add_keep(b->plan, b->policy, NULL, action->message);
    } else if (action->mail == NULL || action->mail->envelope_to[0] == NULL) {
        note(b->plan, "no rejection is sent to the null sender");
    } else {
        add_mail(b->plan, PLAN_REJECT, false, "reject", action->mail);
    }
}

static void plan_vacation(struct building *b, const struct sieve_action *action)
{
    const struct sieve_vacation *vacation = &action->vacation;

    if (b->policy->replay || vacation->suppressed != NULL || action->mail == NULL) {
        note(b->plan, "no vacation reply to <%s>: %s", vacation->to == NULL ? "" : vacation->to,
             b->policy->replay            ? "this is a replay"
             : vacation->suppressed != NULL ? vacation->suppressed
                                            : "there is no text");
        return;
    }
    g_autofree char *what = g_strconcat("vacation:", vacation->key, NULL);
    struct plan_send *send = add_mail(b->plan, PLAN_VACATION, true, what, action->mail);
    if (vacation->period_seconds > 0) {
        send->memory_key = vacation->key;
        send->memory_address = vacation->to;
        send->memory_seconds = vacation->period_seconds;
    }
    add_fcc(b->plan, action, vacation->fcc);
}

static void plan_notify(struct building *b, const struct sieve_action *action)
{
    const struct sieve_notify *notify = &action->notify;

    if (b->policy->replay || notify->suppressed != NULL || action->mail == NULL ||
        action->mail->envelope_to[0] == NULL) {
        note(b->plan, "no notification by %s: %s", notify->method == NULL ? "?" : notify->method,
             b->policy->replay          ? "this is a replay"
             : notify->suppressed != NULL ? notify->suppressed
                                          : "only mailto with a recipient can be done");
        return;
    }
    g_autofree char *what = g_strconcat("notify:", notify->method, NULL);
    add_mail(b->plan, PLAN_NOTIFY, true, what, action->mail);
    add_fcc(b->plan, action, notify->fcc);
}

static void plan_pipe(struct building *b, const struct sieve_action *action)
{
    g_autofree char *what = g_strconcat("pipe:", action->pipe.program, NULL);
    struct plan_send *send = add_send(b->plan, PLAN_PIPE, false, what);

    b->settled = true;
    send->from = g_strdup(b->envelope->sender == NULL ? "" : b->envelope->sender);
    set_recipients(send, NULL);
    send->message = action->message;
    send->pipe = &action->pipe;
}

static void plan_action(struct building *b, const struct sieve_action *action)
{
    switch (action->kind) {
    case SIEVE_ACTION_KEEP:
        b->settled = true;
        add_keep(b->plan, b->policy, action->store.flags, action->message);
        break;
    case SIEVE_ACTION_FILEINTO:
        b->settled = true;
        add_target(b->plan, action->store.mailbox, action->store.flags, action->store.create,
                   false, action->message, NULL);
        break;
    case SIEVE_ACTION_DISCARD:
        b->settled = true;
        b->plan->discarded = true;
        break;
    case SIEVE_ACTION_REDIRECT:
        plan_redirect(b, action);
        break;
    case SIEVE_ACTION_REJECT:
    case SIEVE_ACTION_EREJECT:
        plan_reject(b, action);
        break;
    case SIEVE_ACTION_VACATION:
        plan_vacation(b, action);
        break;
    case SIEVE_ACTION_NOTIFY:
        plan_notify(b, action);
        break;
    case SIEVE_ACTION_PIPE:
        plan_pipe(b, action);
        break;
    case SIEVE_ACTION_REPORT:
        if (action->mail != NULL && !b->policy->replay)
            add_mail(b->plan, PLAN_REPORT, true, "report", action->mail);
        break;
    case SIEVE_ACTION_KINDS:
        break;
    }
}

struct plan *plan_build(const struct sieve_result *result, const struct envelope *envelope,
                        struct headers *headers, const struct plan_policy *policy)
{
    struct plan *plan = g_new0(struct plan, 1);
    struct building b = {
        .plan = plan,
        .result = result,
        .envelope = envelope,
        .headers = headers,
        .policy = policy,
    };

    plan->targets = g_ptr_array_new_with_free_func(free_target);
    plan->sends = g_ptr_array_new_with_free_func(free_send);
    plan->notes = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < result->action_count; i++)
        plan_action(&b, result->actions[i]);
    /* nothing took it, nothing threw it away: whatever happened above, it is not lost */
    if (!b.settled)
        add_keep(plan, policy, NULL, NULL);
    if (plan->targets->len > 0)
        plan->discarded = false;
    return plan;
}

void plan_keep_instead(struct plan *plan, guint send, const struct plan_policy *policy)
{
    struct plan_send *gone = plan->sends->pdata[send];

    add_keep(plan, policy, NULL, gone->message);
    g_ptr_array_remove_index(plan->sends, send);
    plan->discarded = false;
}

/* --- in words, as Dovecot's log says it */

static void describe_send(GString *text, const struct plan_send *send)
{
    const char *to = send->to != NULL && send->to->len > 1 ? send->to->pdata[0] : "";

    switch (send->kind) {
    case PLAN_REDIRECT:
        g_string_append_printf(text, "forwarded to <%s>", to);
        break;
    case PLAN_REJECT:
        g_string_append_printf(text, "rejected message from <%s>", to);
        break;
    case PLAN_VACATION:
        g_string_append_printf(text, "sent vacation response to <%s>", to);
        break;
    case PLAN_NOTIFY:
        g_string_append_printf(text, "sent mail notification to <%s>", to);
        break;
    case PLAN_REPORT:
        g_string_append_printf(text, "sent report to <%s>", to);
        break;
    case PLAN_PIPE:
        g_string_append_printf(text, "piped message to program '%s'", send->pipe->program);
        break;
    }
}

char *plan_summary(const struct plan *plan)
{
    GString *text = g_string_new(NULL);

    if (plan->refusal != NULL)
        g_string_append(text, "rejected");
    for (guint i = 0; i < plan->targets->len; i++) {
        const struct plan_target *target = plan->targets->pdata[i];

        g_string_append(text, text->len > 0 ? ", " : "");
        if (target->keep)
            g_string_append_printf(text, "saved mail to %s", target->mailbox);
        else
            g_string_append_printf(text, "stored mail into mailbox '%s'", target->mailbox);
    }
    for (guint i = 0; i < plan->sends->len; i++) {
        g_string_append(text, text->len > 0 ? ", " : "");
        describe_send(text, plan->sends->pdata[i]);
    }
    if (text->len == 0)
        g_string_append(text, "discarded mail");
    return g_string_free(text, FALSE);
}
