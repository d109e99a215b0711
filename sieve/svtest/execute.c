/*
 * Carries out a result: into the mailboxes and the outgoing queue of the runner.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lda/base/error.h"
#include "lda/mail/address.h"
#include "lda/mail/message.h"

#include "sieve/ext/sender_address.h"
#include "sieve/svtest/state.h"

bool svtest_message_text(struct message *message, char **ret_text, size_t *ret_length)
{
    int fd = memfd_create("svtest", MFD_CLOEXEC);
    struct error err = {0};
    bool fine = fd >= 0 && message_write(message, fd, &err);
    off_t length = fine ? lseek(fd, 0, SEEK_END) : -1;

    if (length < 0) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    char *text = g_malloc((gsize)length + 1);
    size_t at = 0;
    while (at < (size_t)length) {
        ssize_t n = pread(fd, text + at, (size_t)length - at, (off_t)at);

        if (n <= 0)
            break;
        at += (size_t)n;
    }
    close(fd);
    text[at] = '\0';
    *ret_text = text;
    *ret_length = at;
    return at == (size_t)length;
}

static void __attribute__((format(printf, 2, 3)))
fail(struct sieve_svtest *state, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(state->errors, g_strdup_vprintf(format, args));
    va_end(args);
}

/* What Dovecot's storage refuses (mailbox_verify_name). */
static bool is_storable_name(const char *name)
{
    return *name != '\0' && *name != '/' && strstr(name, "//") == NULL &&
        name[strlen(name) - 1] != '/' && *name != '~';
}

/* The flags, and what Dovecot's storage says of attachments (mail_attachment_detection_options, on
 * by default from 2.4.2; suites of tests count on it). Our own deliveries do not. */
static char **stored_flags(struct message *message, const char *const *flags)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    struct error err;
    bool has;

    if (flags != NULL)
        g_strv_builder_addv(builder, (const char **)(uintptr_t)flags);
    if (message_has_attachment(message, &has, &err))
        g_strv_builder_add(builder, has ? "$HasAttachment" : "$HasNoAttachment");
    return g_strv_builder_end(builder);
}

static bool store(struct sieve_svtest *state, struct message *message,
    const struct sieve_store *where)
{
    GPtrArray *mails = svtest_mailbox(state, where->mailbox);
    g_autofree char *text = NULL;
    size_t length;

    if (!is_storable_name(where->mailbox)) {
        fail(state, "failed to store into mailbox '%s': Invalid mailbox name", where->mailbox);
        return false;
    }
    if (mails == NULL && !where->create) {
        fail(state, "failed to store into mailbox '%s': Mailbox doesn't exist: %s",
            where->mailbox, where->mailbox);
        return false;
    }
    if (!svtest_message_text(message, &text, &length)) {
        fail(state, "failed to store into mailbox '%s': cannot read the message",
            where->mailbox);
        return false;
    }
    if (mails == NULL)
        mails = svtest_mailbox_create(state, where->mailbox);
    struct svtest_mail *mail = g_new0(struct svtest_mail, 1);
    mail->text = g_string_new_len(text, (gssize)length);
    mail->flags = stored_flags(message, where->flags);
    g_ptr_array_add(mails, mail);
    state->stored_inbox |= g_ascii_strcasecmp(where->mailbox, "INBOX") == 0;
    return true;
}

static void queue(struct sieve_svtest *state, const char *text, size_t length, const char *from,
    const char *to)
{
    struct svtest_mail *mail = g_new0(struct svtest_mail, 1);

    mail->text = g_string_new_len(text, (gssize)length);
    mail->from = g_strdup(from);
    mail->to = g_strdup(to);
    g_ptr_array_add(state->sent, mail);
}

/* By this user: then it is a loop. */
static bool was_redirected(struct message *message, const char *recipient)
{
    struct headers *headers = message_headers(message);
    const char *name = "X-Sieve-Redirected-From";

    for (size_t i = headers_find(headers, name, 0); i != HEADERS_NONE;
         i = headers_find(headers, name, i + 1))
        if (address_equal(headers_value(headers, i), recipient))
            return true;
    return false;
}

static bool redirect(struct sieve_svtest *state, struct sieve_run *run, struct message *message,
    const struct sieve_redirect *redirect)
{
    const char *sender = sender_from_setting(run, "sieve_redirect_envelope_from");
    const char *user = svtest_setting(state, "sieve_user_email");
    const char *final = run->envelope->to != NULL ? run->envelope->to : "";
    const char *recipient = user != NULL ? user : final;
    g_autofree char *text = NULL;
    size_t length;

    if (was_redirected(message, recipient) || was_redirected(message, final))
        return true;
    if (redirect->dsn_notify != NULL || redirect->dsn_ret != NULL || redirect->by_time != NULL)
        sender = recipient; /* RFC 6009 6.1, 7.1 */
    if (sender == NULL || run->envelope->from == NULL || *run->envelope->from == '\0')
        sender = run->envelope->from != NULL ? run->envelope->from : "";
    struct message *copy = message_copy(message);
    message_add_header(copy, "X-Sieve-Redirected-From", recipient, false);
    bool fine = svtest_message_text(copy, &text, &length);
    message_free(copy);
    if (fine)
        queue(state, text, length, sender, redirect->address);
    return fine;
}

static bool run_pipe(struct sieve_svtest *state, struct message *message,
    const struct sieve_pipe *pipe)
{
    const char *folder = svtest_setting(state, "sieve_pipe_bin_dir");
    g_autofree char *text = NULL;
    g_autoptr(GString) output = g_string_new(NULL);
    struct error err = {0};
    size_t length;
    enum sieve_answer answer = SIEVE_FAILED;

    if (svtest_message_text(message, &text, &length))
        answer = svtest_run_program(folder != NULL ? folder : "/nonexistent", pipe->program,
            pipe->arguments, &state->envelope, text, length,
            (unsigned)sieve_setting_seconds(&state->options, "sieve_pipe_exec_timeout", 10), output,
            &err);
    if (answer == SIEVE_YES)
        return true;
    if (err.kind == ERROR_TEMPORARY)
        fail(state, "%s", err.text); /* it ran too long: said apart, as Pigeonhole does */
    fail(state, "failed to pipe message to program '%s'", pipe->program);
    return pipe->try;
}

static bool carry_out(struct sieve_svtest *state, struct sieve_run *run,
    const struct sieve_action *action)
{
    struct message *message = action->message != NULL ? action->message : run->input;
    const struct sieve_mail *mail = action->mail;
    const struct sieve_store *fcc = NULL;

    switch (action->kind) {
    case SIEVE_ACTION_KEEP:
    case SIEVE_ACTION_FILEINTO:
        return store(state, message, &action->store);
    case SIEVE_ACTION_REDIRECT:
        return redirect(state, run, message, &action->redirect);
    case SIEVE_ACTION_PIPE:
        return run_pipe(state, message, &action->pipe);
    case SIEVE_ACTION_VACATION:
        if (action->vacation.suppressed != NULL)
            return true;
        fcc = action->vacation.fcc;
        break;
    case SIEVE_ACTION_NOTIFY:
        if (action->notify.suppressed != NULL)
            return true;
        fcc = action->notify.fcc;
        break;
    default:
        break;
    }
    if (mail == NULL)
        return true;
    for (size_t i = 0; mail->envelope_to != NULL && mail->envelope_to[i] != NULL; i++)
        queue(state, mail->text, mail->length, mail->envelope_from, mail->envelope_to[i]);
    if (fcc != NULL) {
        struct message *copy = message_open_bytes(mail->text, mail->length, NULL);
        bool fine = store(state, copy, fcc);

        message_free(copy);
        return fine;
    }
    return true;
}

static bool was_executed(const struct sieve_svtest *state, const struct sieve_action *action)
{
    return g_ptr_array_find(state->executed, action, NULL);
}

bool svtest_execute(struct sieve_svtest *state, struct sieve_run *run)
{
    struct sieve_engine_state *engine = run->state;
    guint count = engine->entries->len;
    bool fine = true;

    svtest_clear_errors(state);
    sieve_resolve_keep(run, false);
    for (guint i = 0; i < engine->entries->len && fine; i++) {
        const struct sieve_entry *entry = g_ptr_array_index(engine->entries, i);

        if (was_executed(state, entry->action) ||
            (entry->action->implicit && state->stored_inbox))
            continue;
        g_ptr_array_add(state->executed, entry->action);
        fine = carry_out(state, run, entry->action);
    }
    /* the implicit keep is no action of the result */
    if (engine->entries->len > 0 && engine->entries->len > count)
        g_ptr_array_set_size(engine->entries, (int)count);
    if (!fine) {
        const struct sieve_store inbox = {.mailbox = "INBOX"};

        if (!state->stored_inbox)
            store(state, run->input, &inbox);
        return false;
    }
    for (guint i = 0; i < engine->marks->len; i++)
        g_hash_table_add(state->marks, g_strdup(g_array_index(engine->marks,
            struct sieve_duplicate_mark, i).key));
    engine->stage++;
    return true;
}

void svtest_print_result(struct sieve_svtest *state, struct sieve_run *run)
{
    for (guint i = 0; i < run->state->entries->len; i++) {
        const struct sieve_entry *entry = g_ptr_array_index(run->state->entries, i);
        const struct sieve_action *action = entry->action;

        fprintf(state->out, "%s: %u %s", state->path, i + 1, sieve_action_name(action->kind));
        if (action->kind == SIEVE_ACTION_KEEP || action->kind == SIEVE_ACTION_FILEINTO)
            fprintf(state->out, " %s", action->store.mailbox);
        if (action->kind == SIEVE_ACTION_REDIRECT)
            fprintf(state->out, " %s", action->redirect.address);
        fputc('\n', state->out);
    }
}
