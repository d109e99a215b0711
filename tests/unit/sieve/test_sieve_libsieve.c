/* The second engine: what it can, and what it dies of, which must end in a keep. */
#include "testing.h"

static const char mail[] = "From: Kim <kim@example.org>\nTo: user@example.com\n"
                           "Subject: =?utf-8?B?7ZqM7J2Y?= aaaa\n\nbody\n";

static void test_same_as_native(void **state)
{
    static const struct {
        const char *script, *want;
    } rows[] = {
        {"", "keep!"},
        {"keep;", "keep"},
        {"discard;", "discard"},
        {"redirect \"a@example.net\";", "redirect a@example.net"},
        {"require \"fileinto\"; fileinto \"A\";", "fileinto A"},
        {"require \"fileinto\"; fileinto \"A\"; fileinto \"A\";", "fileinto A"},
        {"require \"fileinto\"; if header :contains \"subject\" \"회의\" { fileinto \"회의\"; }",
            "fileinto 회의"},
        {"require \"fileinto\"; if address :is \"from\" \"KIM@example.org\" { fileinto \"Kim\"; }",
            "fileinto Kim"},
        {"if address :domain :is \"from\" \"example.org\" { discard; }", "discard"},
        {"if size :over 10 { discard; }", "discard"},
        {"if size :under 10 { discard; }", "keep!"},
        {"require \"envelope\"; if envelope \"from\" \"sender@example.org\" { discard; }",
            "discard"},
        {"require \"reject\"; reject \"no\";", "reject"},
        {"require \"vacation\"; vacation :days 3 \"away\";", "vacation; keep!"},
        {"require \"vacation\"; vacation :days 3 :addresses \"me@example.net\" :subject \"s\" \"away\";",
            "vacation; keep!"},
        {"require \"vacation\"; if true { vacation :addresses [\"a@example.net\", "
         "\"b@example.net\"] \"away\"; } redirect \"a@example.net\";",
            "vacation; redirect a@example.net"},
        {"require [\"imap4flags\", \"fileinto\"]; fileinto :flags \"\\\\Seen\" \"A\";",
            "fileinto A [\\Seen]"},
        {"if not exists \"x-nothing\" { stop; } discard;", "keep!"},
        {"if allof (true, anyof (false, true)) { discard; } else { keep; }", "discard"},
    };

    (void)state;
    for (int engine = 0; engine < 2; engine++) {
        struct sieve_options options;

        sieve_options_init(&options);
        options.engine = engine == 0 ? SIEVE_ENGINE_NATIVE : SIEVE_ENGINE_LIBSIEVE;
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
            const char *const scripts[] = {rows[i].script, NULL};
            g_autofree char *got = run_scripts(scripts, mail, &options);

            if (strcmp(got, rows[i].want) != 0)
                fail_msg("engine %d, row %zu: got %s, want %s", engine, i, got, rows[i].want);
        }
    }
}

/* Dies while it validates, says OK after a parse error, refuses what it does not know. */
static void test_compile_errors(void **state)
{
    static const char *const scripts[] = {
        "require \"imap4flags\"; if hasflag :is \"\\\\Flagged\" { keep; }",
        "if header \"a\" {",
        "keep",
        "require \"variables\"; set \"a\" \"b\";",
        "nonsense;",
    };
    struct sieve_options options;

    (void)state;
    sieve_options_init(&options);
    options.engine = SIEVE_ENGINE_LIBSIEVE;
    for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
        g_autofree char *got = compile_errors(scripts[i], &options);

        if (*got == '\0')
            fail_msg("%s: no error", scripts[i]);
    }
}

/* Whatever it does with these, we come back with an action for the message. */
static void test_ordinary_scripts_it_dies_of(void **state)
{
    static const char *const rows[] = {
        "require [\"imap4flags\"]; setflag \"a\"; setflag \"b\"; keep;",
        ("require [\"imap4flags\", \"fileinto\"]; setflag \"a\"; addflag \"b\"; "
         "fileinto :flags \"\\\\Seen\" \"A\";"),
        "require \"envelope\"; if envelope \"auth\" \"x\" { keep; }",
        "if header :matches \"subject\" \"*a*a*a*b\" { discard; }",
    };
    struct sieve_options options;

    (void)state;
    sieve_options_init(&options);
    options.engine = SIEVE_ENGINE_LIBSIEVE;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *const scripts[] = {rows[i], NULL};
        g_autofree char *got = run_scripts(scripts, mail, &options);

        if (strstr(got, "keep") == NULL && strstr(got, "fileinto") == NULL)
            fail_msg("%s: got %s", rows[i], got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_native),
        cmocka_unit_test(test_compile_errors),
        cmocka_unit_test(test_ordinary_scripts_it_dies_of),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
