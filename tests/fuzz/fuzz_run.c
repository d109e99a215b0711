/* A run: script and message from one input, parted by the first line "%%". Each run ends, and ends in
 * actions that can be carried out. */
#include "fuzz.h"

#include <string.h>

#include <glib.h>

#include "lda/mail/message.h"
#include "sieve/sieve.h"

static const char *setting(void *ctx, const char *name)
{
    (void)ctx;
    if (g_str_equal(name, "sieve_spamtest_status_header"))
        return "X-Spam-Score: (-?[0-9.]+)";
    if (g_str_equal(name, "sieve_extensions"))
        return "+editheader +spamtest +vnd.dovecot.environment +vnd.dovecot.report "
               "+vnd.dovecot.debug +imapflags +notify";
    return NULL;
}

static enum sieve_answer mailbox_exists(void *ctx, const char *mailbox)
{
    (void)ctx;
    return strlen(mailbox) % 2 == 0 ? SIEVE_YES : SIEVE_NO;
}

static enum sieve_answer list_contains(void *ctx, const char *list, const char *value,
    char **ret_entry)
{
    (void)ctx;
    (void)list;
    if (strlen(value) % 2 == 0)
        return SIEVE_NO;
    if (ret_entry != NULL)
        *ret_entry = g_strdup(value);
    return SIEVE_YES;
}

static time_t now(void *ctx, int *ret_zone_minutes)
{
    (void)ctx;
    *ret_zone_minutes = 540;
    return 1735689600;
}

static void check_text(const char *text)
{
    g_assert(text == NULL || g_utf8_validate(text, -1, NULL));
}

static void check_action(const struct sieve_action *action)
{
    if (action->kind == SIEVE_ACTION_KEEP || action->kind == SIEVE_ACTION_FILEINTO) {
        check_text(action->store.mailbox);
        g_assert(action->store.mailbox[0] != '\0');
        for (size_t i = 0; action->store.flags != NULL && action->store.flags[i] != NULL; i++)
            check_text(action->store.flags[i]);
    }
    if (action->kind == SIEVE_ACTION_REDIRECT)
        g_assert(strchr(action->redirect.address, '@') != NULL);
    if (action->kind == SIEVE_ACTION_VACATION)
        check_text(action->vacation.reason);
    if (action->mail != NULL)
        g_assert(strlen(action->mail->text) == action->mail->length);
}

static void run(const char *script, size_t script_length, const void *text, size_t length)
{
    static const struct sieve_envelope envelope = {.from = "sender@example.org",
        .to = "user@example.com"};
    static const struct sieve_host host = {.mailbox_exists = mailbox_exists,
        .list_contains = list_contains, .now = now};
    struct sieve_diagnostics *diagnostics = sieve_diagnostics_new();
    struct sieve_options options;

    sieve_options_init(&options);
    options.setting = setting;
    options.host = &host;
    options.global_script = true;
    options.trace = script_length % 2 == 1;
    options.limits.max_steps = 2000;
    options.limits.max_match_work = 4 * 1024 * 1024;
    options.limits.max_memory = 16 * 1024 * 1024;
    struct sieve_program *program = sieve_compile(script, script_length, "fuzz", &options,
        diagnostics);
    if (program != NULL) {
        struct message *message = message_open_bytes(text, length, NULL);
        const struct sieve_stage stages[2] = {{program, NULL}, {program, NULL}};
        struct sieve_result *result = sieve_run(stages, 2, message, &envelope, &host, &options);

        for (size_t i = 0; i < result->action_count; i++)
            check_action(result->actions[i]);
        g_assert(result->runtime_error == NULL || result->action_count > 0);
        sieve_result_free(result);
        message_free(message);
    }
    sieve_program_unref(program);
    sieve_diagnostics_free(diagnostics);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *mark = memmem(data, size, "\n%%\n", 4);
    size_t script_length = mark != NULL ? (size_t)(mark - data) + 1 : size;
    size_t from = mark != NULL ? script_length + 3 : size;

    run((const char *)data, script_length, data + from, size - from);
    return 0;
}
