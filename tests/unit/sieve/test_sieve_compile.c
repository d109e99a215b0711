/* Errors with their places, bounds, warnings. */
#include "testing.h"

static void test_places(void **state)
{
    static const struct {
        const char *name, *script, *want;
    } rows[] = {
        {"fine", "keep;", ""},
        {"nothing", "", ""},
        {"a byte order mark", "\xEF\xBB\xBFkeep;", ""},
        {"unknown command", "keep;\n  kep;", "2:3 unknown command 'kep' (did you mean 'keep'?)\n"},
        {"columns are characters", "if header \"subject\" \"한글\" { kep; }",
            "1:28 unknown command 'kep' (did you mean 'keep'?)\n"},
        {"two errors", "kep;\nstopp;",
            "1:1 unknown command 'kep' (did you mean 'keep'?)\n"
            "2:1 unknown command 'stopp' (did you mean 'stop'?)\n"},
        {"the same name is said once", "foobar; foobar;", "1:1 unknown command 'foobar'\n"},
        {"require is missing", "fileinto \"x\";",
            "1:1 unknown command 'fileinto': it needs 'require \"fileinto\";' at the top of the "
            "script\n"},
        {"a tag of an extension", "keep :flags \"\\\\Seen\";",
            "1:6 unknown tagged argument ':flags' for the keep command: it needs 'require "
            "\"imap4flags\";' at the top of the script\n"},
        {"semicolon", "keep\nstop;", "1:1 missing semicolon ';' after the keep command\n"},
        {"colon", "if header contains \"a\" \"b\" { }",
            "1:4 the header test requires 2 positional argument(s), but 0 is/are specified\n"
            "1:11 missing colon ':' before the ':contains' tag in the header test\n"},
        {"string for number", "if size :over \"1\" { }",
            "1:15 the size test expects a number as argument 1 (limit), but a string was found\n"},
        {"unclosed string", "redirect \"a", "1:10 string is not closed: '\"' is missing\n"},
        {"NUL", "redirect \"", "1:10 string is not closed: '\"' is missing\n"},
        {"parse errors go on behind ;", "if [ ; keep; if ( ; keep;",
            "1:6 expected a string in the list, but found ';'\n"
            "1:19 expected a test in the list, but found ';'\n"},
        {"number", "if size :over 99999999999999999999 { }",
            "1:15 number is too large (the largest is 18446744073709551615)\n"},
        {"unreachable", "stop;\nkeep;",
            "warning 2:1 this is never reached: 'stop' in line 1 ends the script before it\n"},
        {"redirect", "redirect \"nobody\";", "1:1 'nobody' is no valid address for redirect\n"},
        {"control characters in messages", "redirect \"a\001\tb\";",
            "1:1 'a??b' is no valid address for redirect\n"},
    };
    struct sieve_options options;

    (void)state;
    sieve_options_init(&options);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *got = compile_errors(rows[i].script, &options);

        if (strcmp(got, rows[i].want) != 0)
            fail_msg("%s: got\n%swant\n%s", rows[i].name, got, rows[i].want);
    }
}

/* A script with more errors than the bound came to no end once. */
static void test_many_errors(void **state)
{
    g_autoptr(GString) script = g_string_new(NULL);
    struct sieve_diagnostics *diagnostics = sieve_diagnostics_new();
    struct sieve_options options;

    (void)state;
    sieve_options_init(&options);
    for (int i = 0; i < 1000; i++)
        g_string_append(script, "if header :is [\"a\", ;\n");
    assert_null(sieve_compile(script->str, script->len, "main", &options, diagnostics));
    assert_int_equal(diagnostics->errors, options.limits.max_errors);
    sieve_diagnostics_free(diagnostics);
}

static char *repeat(const char *head, const char *unit, size_t count, const char *tail)
{
    GString *text = g_string_new(head);

    for (size_t i = 0; i < count; i++)
        g_string_append(text, unit);
    g_string_append(text, tail);
    return g_string_free(text, FALSE);
}

static void test_bounds(void **state)
{
    const struct {
        const char *name;
        char *script;
        const char *want; /* part of the message; "" compiles */
    } rows[] = {
        {"nesting of tests", repeat("if ", "not ", 10000, "true { }"), "nested too deep"},
        {"nesting of blocks", repeat("", "if true { ", 10000, ""), "nested too deep"},
        {"nesting of lists", repeat("if ", "anyof (", 10000, ""), "nested too deep"},
        {"nesting within the bound",
            repeat("if ", "not ", 29, "true { }"), ""},
        {"a long list", repeat("if header \"a\" [\"x\"", ", \"x\"", 20000, "] { }"),
            "too many strings"},
        {"commands", repeat("", "keep;", 150000, ""), "too many commands"},
        {"script", repeat("#", "xxxxxxxxxxxxxxxx", 70000, "\n"), "too large"},
        {"one long line", repeat("if anyof (true", ",true", 20000, ") { }"), ""},
        {"arguments", repeat("keep", " 1", 40, ";"), "too many arguments"},
        {"many opening brackets", repeat("", "[", 100000, ""), "expected"},
        {"quotes", repeat("", "\"", 99999, ""), "expected"},
    };
    struct sieve_options options;

    (void)state;
    sieve_options_init(&options);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *got = compile_errors(rows[i].script, &options);

        if (*rows[i].want == '\0' ? *got != '\0' : strstr(got, rows[i].want) == NULL)
            fail_msg("%s: got %.500s", rows[i].name, got);
        g_free(rows[i].script);
    }
}

/* Letters in the script are bounded; what a regular expression makes of them is not by that. */
static void test_memory(void **state)
{
    struct sieve_options options;
    g_autoptr(GString) script = g_string_new("require \"regex\"; if header :regex \"a\" [\"x\"");

    (void)state;
    sieve_options_init(&options);
    for (size_t i = 0; i < 100; i++)
        g_string_append(script, ", \"(abc|d){1300}\"");
    g_string_append(script, "] { keep; }");
    for (size_t fits = 0; fits < 2; fits++) {
        struct sieve_diagnostics *diagnostics = sieve_diagnostics_new();

        options.limits.max_memory = (fits ? 64 : 1) * 1024 * 1024;
        struct sieve_program *program = sieve_compile(script->str, script->len, "x", &options,
            diagnostics);
        assert_int_equal(diagnostics->errors, !fits);
        if (fits) {
            assert_true(sieve_program_size(program) > 1024 * 1024);
        } else {
            const struct sieve_diagnostic *error = g_ptr_array_index(diagnostics->items, 0);

            assert_non_null(strstr(error->message, "too much memory"));
        }
        sieve_program_unref(program);
        sieve_diagnostics_free(diagnostics);
    }
}

static void test_requires(void **state)
{
    struct sieve_options options;

    (void)state;
    sieve_options_init(&options);
    struct sieve_program *program = compile("require [\"fileinto\", \"copy\"]; keep;", &options);
    assert_non_null(program);
    assert_string_equal(sieve_program_requires(program)[0], "fileinto");
    assert_string_equal(sieve_program_requires(program)[1], "copy");
    assert_null(sieve_program_requires(program)[2]);
    assert_string_equal(sieve_program_name(program), "main");
    sieve_program_unref(program);
}

static const char *no_vacation(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "sieve_extensions") == 0 ? "-vacation" : NULL;
}

static void test_switched_off(void **state)
{
    struct sieve_options options;

    (void)state;
    sieve_options_init(&options);
    options.setting = no_vacation;
    g_autofree char *got = compile_errors("require \"vacation\";", &options);
    assert_string_equal(got,
        "1:9 require: the extension 'vacation' is not enabled here by the site\n");
    g_autofree char *test = compile_errors("require \"vnd.dovecot.testsuite\";", &options);
    assert_true(strstr(test, "unknown Sieve capability") != NULL);
}

static void test_limit_table(void **state)
{
    struct sieve_limits limits;

    (void)state;
    sieve_limits_init(&limits);
    assert_int_equal(limits.max_redirects, 4);
    assert_true(sieve_limits_set(&limits, "max_redirects", 7));
    assert_int_equal(limits.max_redirects, 7);
    assert_false(sieve_limits_set(&limits, "max_nonsense", 7));
    for (const struct sieve_limit_row *row = sieve_limit_rows; row->name != NULL; row++)
        assert_true(row->help != NULL && row->help[0] != '\0');
}

static void test_extension_list(void **state)
{
    g_autofree char *manual = NULL;
    size_t count = 0;

    (void)state;
    assert_true(g_file_get_contents(TEST_SOURCE_DIR "/docs/vmail-sieve.7", &manual, NULL, NULL));
    for (const struct sieve_extension_info *info = sieve_extensions(); info->names != NULL; info++) {
        const char *name = strchr(info->names, ';') != NULL ? strchr(info->names, ';') + 1
                                                            : info->names;

        if (strstr(manual, name) == NULL)
            fail_msg("vmail-sieve(7) does not name %s", info->names);
        if (count > 0)
            assert_true(strcmp(info[-1].names, info->names) < 0);
        assert_non_null(info->rfc);
        assert_non_null(info->status);
        count++;
    }
    assert_true(count > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_many_errors),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_requires),
        cmocka_unit_test(test_switched_off),
        cmocka_unit_test(test_limit_table),
        cmocka_unit_test(test_extension_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
