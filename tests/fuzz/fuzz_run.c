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
    if (g_str_equal(name, "sieve_convert_program"))
        return "convert";
    if (g_str_equal(name, "sieve_virustest_status_header"))
        return "X-Virus: (.*)";
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

static enum sieve_answer list_valid(void *ctx, const char *list)
{
    (void)ctx;
    return strlen(list) % 2 == 0 ? SIEVE_YES : SIEVE_NO;
}

static enum sieve_answer list_members(void *ctx, const char *list, char ***ret_members)
{
    (void)ctx;
    (void)list;
    *ret_members = g_strsplit("a@example.org,no address,b@example.org", ",", 0);
    return SIEVE_YES;
}

static enum sieve_answer special_use(void *ctx, const char *mailbox, const char *flag,
    char **ret_mailbox)
{
    (void)ctx;
    if (strlen(flag) % 2 == 0 || mailbox != NULL)
        return SIEVE_NO;
    if (ret_mailbox != NULL)
        *ret_mailbox = g_strdup("Special");
    return SIEVE_YES;
}

/* The value of anything whose name is of an odd length. */
static enum sieve_answer value_of(const char *name, char **ret_value)
{
    if (strlen(name) % 2 == 0)
        return SIEVE_NO;
    if (ret_value != NULL)
        *ret_value = g_strdup(name);
    return SIEVE_YES;
}

static enum sieve_answer metadata(void *ctx, const char *mailbox, const char *annotation,
    char **ret_value)
{
    (void)ctx;
    (void)mailbox;
    return value_of(annotation, ret_value);
}

static enum sieve_answer named_value(void *ctx, const char *name, char **ret_value)
{
    (void)ctx;
    return value_of(name, ret_value);
}

static enum sieve_answer duplicate_seen(void *ctx, const char *key)
{
    (void)ctx;
    return key[0] < '8' ? SIEVE_YES : SIEVE_NO;
}

static enum sieve_answer included(void *ctx, enum sieve_script_place place, const char *name,
    char **ret_text, size_t *ret_length)
{
    (void)ctx;
    (void)place;
    if (g_str_equal(name, "none"))
        return SIEVE_NO;
    *ret_text = g_strdup("require [\"include\", \"variables\"];\nglobal \"a\";\n"
                         "if string \"${a}\" \"x\" { return; }\nset \"a\" \"${a}2\";\n");
    *ret_length = strlen(*ret_text);
    return SIEVE_YES;
}

static enum sieve_answer run_program(void *ctx, const struct sieve_program_call *call,
    char **ret_output, size_t *ret_length, struct error *err)
{
    (void)ctx;
    (void)err;
    if (strlen(call->name) % 2 == 0 || ret_output == NULL)
        return SIEVE_NO;
    *ret_output = g_strdup("Subject: out\n\ntext\n");
    *ret_length = strlen(*ret_output);
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
    if (action->mail != NULL) {
        g_assert(action->mail->text[action->mail->length] == '\0');
        /* what was received stands in a report as it came, NUL too */
        g_assert(action->kind == SIEVE_ACTION_REPORT ||
                 strlen(action->mail->text) == action->mail->length);
    }
}

static void run(const char *script, size_t script_length, const void *text, size_t length)
{
    static const struct sieve_envelope envelope = {.from = "sender@example.org",
        .to = "user@example.com"};
    static const struct sieve_host host = {.mailbox_exists = mailbox_exists,
        .metadata = metadata, .special_use = special_use, .mailbox_by_id = named_value,
        .list_valid = list_valid, .list_contains = list_contains, .list_members = list_members,
        .duplicate_seen = duplicate_seen, .script = included, .environment = named_value,
        .run_program = run_program, .now = now};
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
