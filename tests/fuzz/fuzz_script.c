/* Scripts: lexer, parser and check must come to an end, with a bounded number of errors. */
#include "fuzz.h"

#include <string.h>

#include <glib.h>

#include "sieve/sieve.h"

/* Some site settings, so that every extension can be required. */
static const char *setting(void *ctx, const char *name)
{
    (void)ctx;
    if (g_str_equal(name, "sieve_spamtest_status_header"))
        return "X-Spam-Score: (-?[0-9.]+)";
    if (g_str_equal(name, "sieve_extensions"))
        return "+vnd.dovecot.pipe +vnd.dovecot.filter +vnd.dovecot.execute +editheader +spamtest "
               "+vnd.dovecot.environment +vnd.dovecot.report +vnd.dovecot.debug +imapflags +notify";
    return NULL;
}

static enum sieve_answer script(void *ctx, enum sieve_script_place place, const char *name,
    char **ret_text, size_t *ret_length)
{
    (void)ctx;
    (void)place;
    if (g_str_equal(name, "none"))
        return SIEVE_NO;
    *ret_text = g_strdup_printf("require \"include\"; include \"%s1\"; return;", name);
    *ret_length = strlen(*ret_text);
    return SIEVE_YES;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct sieve_host host = {.script = script};
    struct sieve_options options;
    struct sieve_diagnostics *diagnostics = sieve_diagnostics_new();

    sieve_options_init(&options);
    options.setting = setting;
    options.host = &host;
    options.global_script = true;
    options.testsuite = size % 2 == 1;
    struct sieve_program *program = sieve_compile((const char *)data, size, "fuzz", &options,
        diagnostics);
    g_assert((program != NULL) == (diagnostics->errors == 0));
    g_assert(diagnostics->errors <= options.limits.max_errors);
    for (guint i = 0; i < diagnostics->items->len; i++) {
        const struct sieve_diagnostic *item = g_ptr_array_index(diagnostics->items, i);

        g_assert(g_utf8_validate(item->message, -1, NULL));
    }
    sieve_program_unref(program);
    sieve_diagnostics_free(diagnostics);
    return 0;
}
