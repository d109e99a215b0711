/* What each of these programs needs: cmocka, and one script over one message. */
#ifndef VMAIL_TESTS_UNIT_SIEVE_TESTING_H
#define VMAIL_TESTS_UNIT_SIEVE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "lda/mail/message.h"
#include "sieve/sieve.h"

/* "error-line:column message\n…" of a script; "" when it compiles. g_free. */
static inline char *compile_errors(const char *script, const struct sieve_options *options)
{
    struct sieve_diagnostics *diagnostics = sieve_diagnostics_new();
    GString *out = g_string_new(NULL);
    struct sieve_program *program = sieve_compile(script, strlen(script), "main", options,
        diagnostics);

    for (guint i = 0; i < diagnostics->items->len; i++) {
        const struct sieve_diagnostic *item = g_ptr_array_index(diagnostics->items, i);

        g_string_append_printf(out, "%s%u:%u %s\n", item->warning ? "warning " : "", item->line,
            item->column, item->message);
    }
    assert_int_equal(program == NULL, diagnostics->errors > 0);
    sieve_program_unref(program);
    sieve_diagnostics_free(diagnostics);
    return g_string_free(out, FALSE);
}

static inline struct sieve_program *compile(const char *script,
    const struct sieve_options *options)
{
    struct sieve_diagnostics *diagnostics = sieve_diagnostics_new();
    struct sieve_program *program = sieve_compile(script, strlen(script), "main", options,
        diagnostics);

    if (program == NULL && diagnostics->items->len > 0)
        print_error("%s\n", ((struct sieve_diagnostic *)diagnostics->items->pdata[0])->message);
    sieve_diagnostics_free(diagnostics);
    return program;
}

/* "keep!", "fileinto A [\Seen]", … separated by "; "; the implicit keep is "keep!", one after an error
 * "keep!!". A runtime error is in front in parentheses. g_free. */
static inline char *describe(const struct sieve_result *result)
{
    GString *out = g_string_new(NULL);

    if (result->runtime_error != NULL)
        g_string_append_printf(out, "(%s) ", result->runtime_error);
    for (size_t i = 0; i < result->action_count; i++) {
        const struct sieve_action *action = result->actions[i];

        g_string_append_printf(out, "%s%s%s%s", i > 0 ? "; " : "",
            sieve_action_name(action->kind), action->implicit ? "!" : "",
            action->from_error ? "!" : "");
        if (action->kind == SIEVE_ACTION_FILEINTO)
            g_string_append_printf(out, " %s", action->store.mailbox);
        if (action->kind == SIEVE_ACTION_REDIRECT)
            g_string_append_printf(out, " %s", action->redirect.address);
        if ((action->kind == SIEVE_ACTION_KEEP || action->kind == SIEVE_ACTION_FILEINTO) &&
            action->store.flags != NULL) {
            g_autofree char *flags = g_strjoinv(" ", (char **)(uintptr_t)action->store.flags);

            g_string_append_printf(out, " [%s]", flags);
        }
    }
    return g_string_free(out, FALSE);
}

/* Runs scripts in a row (NULL-terminated; "!" stands for one that does not compile). g_free. */
static inline char *run_scripts(const char *const *scripts, const char *text,
    const struct sieve_options *options)
{
    static const struct sieve_envelope envelope = {.from = "sender@example.org",
        .to = "user@example.com"};
    struct message *message = message_open_bytes(text, strlen(text), NULL);
    struct sieve_stage stages[8];
    size_t count = 0;

    for (; scripts[count] != NULL; count++)
        stages[count] = (struct sieve_stage){
            strcmp(scripts[count], "!") == 0 ? NULL : compile(scripts[count], options), "broken"};
    struct sieve_result *result = sieve_run(stages, count, message, &envelope, options->host,
        options);
    char *text_of = describe(result);
    sieve_result_free(result);
    for (size_t i = 0; i < count; i++)
        sieve_program_unref((struct sieve_program *)(uintptr_t)stages[i].program);
    message_free(message);
    return text_of;
}

#endif
