#include "lda/sieve_json.h"

#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/child.h"
#include "lda/config.h"
#include "lda/mail/message.h"
#include "sieve/sieve.h"

/* Text of any bytes: what is no UTF-8 is replaced, as JSON can hold nothing else. */
static json_t *text_json(const char *text, size_t length)
{
    g_autofree char *valid = g_utf8_make_valid(text, (gssize)length);

    return json_string(valid);
}

static json_t *string_json(const char *text)
{
    return text == NULL ? json_null() : text_json(text, strlen(text));
}

static json_t *strings_json(const char *const *texts)
{
    json_t *array = json_array();

    for (; texts != NULL && *texts != NULL; texts++)
        json_array_append_new(array, string_json(*texts));
    return array;
}

static void set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

static void set_text(json_t *object, const char *key, const char *text)
{
    set(object, key, string_json(text));
}

/* The message as it would be written; null when it cannot be read. */
static json_t *message_json(struct message *message)
{
    struct error err;
    AUTO_FD fd = child_temporary_file(&err);
    g_autoptr(GString) text = g_string_new(NULL);
    char buffer[16384];
    ssize_t n;

    if (fd < 0 || !message_write(message, fd, &err))
        return json_null();
    for (off_t at = 0; (n = pread(fd, buffer, sizeof(buffer), at)) > 0; at += n)
        g_string_append_len(text, buffer, n);
    return text_json(text->str, text->len);
}

static void set_mail(json_t *object, const struct sieve_mail *mail)
{
    if (mail == NULL)
        return;
    set(object, "message", text_json(mail->text, mail->length));
    set_text(object, "envelope_from", mail->envelope_from);
    set(object, "envelope_to", strings_json(mail->envelope_to));
}

static void set_store(json_t *object, const struct sieve_store *store)
{
    set_text(object, "mailbox", store->mailbox);
    set(object, "flags", strings_json(store->flags));
    set(object, "copy", json_boolean(store->copy));
    set(object, "create", json_boolean(store->create));
    if (store->special_use != NULL)
        set_text(object, "special_use", store->special_use);
    if (store->mailbox_id != NULL)
        set_text(object, "mailbox_id", store->mailbox_id);
}

static void set_fcc(json_t *object, const struct sieve_store *fcc)
{
    if (fcc == NULL)
        return;
    json_t *inner = json_object();
    set_store(inner, fcc);
    set(object, "fcc", inner);
}

static bool asks_reports(const struct sieve_redirect *redirect)
{
    return redirect->dsn_notify != NULL || redirect->dsn_ret != NULL || redirect->by_time != NULL;
}

/* As lda/plan.c sends it. */
static const char *redirect_sender(const struct config *config,
                                   const struct sieve_envelope *envelope,
                                   const struct sieve_redirect *redirect)
{
    const char *how = config_text(config, CONFIG_SIEVE_REDIRECT_ENVELOPE_FROM);

    if (asks_reports(redirect) && envelope->from != NULL && *envelope->from != '\0')
        return envelope->to == NULL ? "" : envelope->to;
    if (envelope->from == NULL || *envelope->from == '\0' || strcmp(how, "sender") == 0)
        return envelope->from == NULL ? "" : envelope->from;
    if (strcmp(how, "orig_recipient") == 0 && envelope->orig_to != NULL)
        return envelope->orig_to;
    if (strcmp(how, "postmaster") == 0)
        return config_text(config, CONFIG_POSTMASTER_ADDRESS);
    return envelope->to == NULL ? "" : envelope->to;
}

static void set_redirect(json_t *object, const struct sieve_action *action,
                         struct message *message, const struct sieve_envelope *envelope,
                         const struct config *config)
{
    const struct sieve_redirect *redirect = &action->redirect;
    AUTO_MESSAGE sent = message_copy(action->message != NULL ? action->message : message);
    const char *recipient = envelope->to == NULL ? "" : envelope->to;

    set_text(object, "address", redirect->address);
    set(object, "copy", json_boolean(redirect->copy));
    if (redirect->list != NULL)
        set_text(object, "list", redirect->list);
    if (redirect->dsn_notify != NULL)
        set_text(object, "notify", redirect->dsn_notify);
    if (redirect->dsn_ret != NULL)
        set_text(object, "ret", redirect->dsn_ret);
    if (redirect->by_time != NULL) {
        set_text(object, redirect->by_absolute ? "bytimeabsolute" : "bytimerelative",
                 redirect->by_time);
        set_text(object, "bymode", redirect->by_mode);
        set(object, "bytrace", json_boolean(redirect->by_trace));
    }
    message_add_header(sent, "X-Sieve-Redirected-From", recipient, false);
    set(object, "message", message_json(sent));
    if (*config_text(config, CONFIG_SIEVE_REDIRECT_ENVELOPE_FROM) == '<' &&
        !asks_reports(redirect)) {
        g_autofree char *path = g_strdup(config_text(config, CONFIG_SIEVE_REDIRECT_ENVELOPE_FROM));
        bool bounce = envelope->from != NULL && *envelope->from == '\0';

        path[strcspn(path, ">")] = '\0';
        set_text(object, "envelope_from", bounce ? "" : path + 1);
    } else {
        set_text(object, "envelope_from", redirect_sender(config, envelope, redirect));
    }
    set(object, "envelope_to", strings_json((const char *[]){redirect->address, NULL}));
}

static void set_vacation(json_t *object, const struct sieve_vacation *vacation)
{
    set_text(object, "reason", vacation->reason);
    set_text(object, "subject", vacation->subject);
    set_text(object, "from", vacation->from);
    set(object, "addresses", strings_json(vacation->addresses));
    set(object, "mime", json_boolean(vacation->mime));
    set_text(object, "handle", vacation->handle);
    set(object, "seconds", json_integer((json_int_t)vacation->period_seconds));
    if (vacation->period_seconds % 86400 == 0)
        set(object, "days", json_integer((json_int_t)(vacation->period_seconds / 86400)));
    set_text(object, "to", vacation->to);
    set_fcc(object, vacation->fcc);
}

static void set_notify(json_t *object, const struct sieve_notify *notify)
{
    set_text(object, "method", notify->method);
    set(object, "to", strings_json(notify->to));
    set_text(object, "notification", notify->message);
    set_text(object, "from", notify->from);
    set(object, "importance", json_integer(notify->importance));
    set(object, "options", strings_json(notify->options));
    if (notify->id != NULL)
        set_text(object, "id", notify->id);
    set_fcc(object, notify->fcc);
}

static void set_details(json_t *object, const struct sieve_action *action,
                        struct message *message, const struct sieve_envelope *envelope,
                        const struct config *config)
{
    switch (action->kind) {
    case SIEVE_ACTION_KEEP:
    case SIEVE_ACTION_FILEINTO:
        set_store(object, &action->store);
        break;
    case SIEVE_ACTION_REDIRECT:
        set_redirect(object, action, message, envelope, config);
        break;
    case SIEVE_ACTION_REJECT:
    case SIEVE_ACTION_EREJECT:
        set_text(object, "reason", action->reject.reason);
        break;
    case SIEVE_ACTION_VACATION:
        set_vacation(object, &action->vacation);
        break;
    case SIEVE_ACTION_NOTIFY:
        set_notify(object, &action->notify);
        break;
    case SIEVE_ACTION_PIPE:
        set_text(object, "program", action->pipe.program);
        set(object, "arguments", strings_json(action->pipe.arguments));
        set(object, "copy", json_boolean(action->pipe.copy));
        set(object, "try", json_boolean(action->pipe.try));
        break;
    case SIEVE_ACTION_REPORT:
        set_text(object, "feedback_type", action->report.feedback_type);
        set_text(object, "text", action->report.message);
        set_text(object, "address", action->report.address);
        set(object, "headers_only", json_boolean(action->report.headers_only));
        break;
    case SIEVE_ACTION_DISCARD:
    case SIEVE_ACTION_KINDS:
        break;
    }
}

/* Why an answer that the script asks for is not sent; NULL when it is. */
static const char *suppressed(const struct sieve_action *action)
{
    if (action->kind == SIEVE_ACTION_VACATION)
        return action->vacation.suppressed;
    return action->kind == SIEVE_ACTION_NOTIFY ? action->notify.suppressed : NULL;
}

static json_t *action_json(const struct sieve_action *action, struct message *message,
                           const struct sieve_envelope *envelope, const struct config *config)
{
    json_t *object = json_object();

    set_text(object, "action", sieve_action_name(action->kind));
    if (action->kind == SIEVE_ACTION_KEEP)
        set(object, "implicit", json_boolean(action->implicit));
    set_details(object, action, message, envelope, config);
    if (action->message != NULL && action->kind != SIEVE_ACTION_REDIRECT)
        set(object, "message", message_json(action->message));
    set_mail(object, action->mail);
    if (suppressed(action) != NULL)
        set_text(object, "suppressed", suppressed(action));
    if (action->line > 0)
        set(object, "line", json_integer(action->line));
    return object;
}

static json_t *diagnostics_json(const struct sieve_diagnostics *diagnostics, bool warnings)
{
    json_t *array = json_array();

    for (guint i = 0; i < diagnostics->items->len; i++) {
        const struct sieve_diagnostic *item = diagnostics->items->pdata[i];

        if (item->warning != warnings)
            continue;
        json_t *object = json_object();
        set(object, "line", json_integer(item->line));
        set(object, "column", json_integer(item->column));
        set_text(object, "message", item->message);
        set_text(object, "script", item->script);
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *notes_json(const struct sieve_note *notes, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++) {
        json_t *object = json_object();

        set_text(object, "script", notes[i].script);
        set(object, "line", json_integer(notes[i].line));
        set(object, "depth", json_integer(notes[i].depth));
        set_text(object, "text", notes[i].text);
        json_array_append_new(array, object);
    }
    return array;
}

json_t *sieve_result_json(const struct sieve_diagnostics *diagnostics,
                          const struct sieve_result *result, struct message *message,
                          const struct sieve_envelope *envelope, const struct config *config,
                          bool trace)
{
    json_t *root = json_object(), *actions = json_array();

    set_text(root, "compile", result == NULL ? "error" : "ok");
    set(root, "errors", diagnostics_json(diagnostics, false));
    set(root, "warnings", diagnostics_json(diagnostics, true));
    for (size_t i = 0; result != NULL && i < result->action_count; i++)
        json_array_append_new(actions,
                              action_json(result->actions[i], message, envelope, config));
    set(root, "actions", actions);
    set(root, "implicit_keep", json_boolean(result != NULL && result->implicit_keep));
    set_text(root, "runtime_error", result == NULL ? NULL : result->runtime_error);
    if (result != NULL && result->log_count > 0)
        set(root, "log", notes_json(result->logs, result->log_count));
    if (result != NULL && trace)
        set(root, "trace", notes_json(result->trace, result->trace_count));
    return root;
}
