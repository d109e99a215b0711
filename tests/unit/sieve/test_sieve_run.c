/* Results: the order of actions, the keep of sequences, errors, bounds, what the host is asked. */
#include "testing.h"

static const char mail[] = "From: sender@example.org\nTo: user@example.com\nSubject: hello\n\nbody\n";

#define FILE_A "require \"fileinto\"; fileinto \"A\";"
#define FILE_B "require \"fileinto\"; fileinto \"B\";"

static void test_sequences(void **state)
{
    static const struct {
        const char *scripts[4];
        const char *want;
    } rows[] = {
        {{NULL}, "keep!"},
        {{""}, "keep!"},
        {{"keep;"}, "keep"},
        {{"discard;"}, "discard"},
        {{FILE_A}, "fileinto A"},
        {{FILE_A "keep;"}, "fileinto A; keep"},
        {{"keep;" FILE_A}, NULL}, /* require must come first */
        {{"", FILE_A, FILE_B}, "fileinto A"},
        {{"keep;", "discard;"}, "discard"},
        {{"keep;", FILE_A}, "fileinto A"},
        {{"keep;", ""}, "keep"},
        {{"", "", ""}, "keep!"},
        {{FILE_A "keep;", FILE_B "keep;"}, "fileinto A; fileinto B; keep"},
        {{"require \"copy\"; require \"fileinto\"; fileinto :copy \"A\";", FILE_B},
            "fileinto A; fileinto B"},
        {{FILE_A FILE_A}, NULL},
        {{"require \"fileinto\"; fileinto \"INBOX\"; keep;"}, "keep"},
        {{"require \"fileinto\"; fileinto \"inbox\";"}, "fileinto inbox"},
        {{"!"}, "(broken: the script cannot be compiled) keep!!"},
        {{FILE_A "keep;", "!"}, "(broken: the script cannot be compiled) fileinto A; keep!!"},
        {{"", "!", FILE_A}, "(broken: the script cannot be compiled) keep!!"},
        {{"require \"imap4flags\"; keep :flags \"\\\\Seen\";", ""}, "keep [\\Seen]"},
        {{"require \"imap4flags\"; setflag \"\\\\Flagged\";"}, "keep! [\\Flagged]"},
        {{"require [\"imap4flags\", \"fileinto\"]; setflag \"a\"; fileinto \"A\"; setflag \"b\";"
          "fileinto \"B\";"}, "fileinto A [a]; fileinto B [b]"},
    };
    struct sieve_options options;

    (void)state;
    sieve_options_init(&options);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].want == NULL)
            continue;
        g_autofree char *got = run_scripts(rows[i].scripts, mail, &options);

        if (strcmp(got, rows[i].want) != 0)
            fail_msg("row %zu: got %s, want %s", i, got, rows[i].want);
    }
}

static void test_conflicts(void **state)
{
    static const struct {
        const char *scripts[4];
        const char *want; /* the beginning */
    } rows[] = {
        {{"require \"reject\"; reject \"no\";"}, "reject"},
        {{"require \"reject\"; keep; reject \"no\";"},
            "(main:1: reject conflicts with other action: the keep in line 1 delivers the message) "
            "keep!!"},
        {{"require \"reject\";\nreject \"no\";\nredirect \"a@example.org\";"},
            "(main:3: reject conflicts with other action: the redirect in line 3"},
        {{"require \"reject\";\nreject \"no\";\nreject \"no\";"}, "(main:3: duplicate reject"},
        {{"require \"vacation\"; vacation \"a\"; vacation \"b\";"}, "(main:1: duplicate vacation"},
        {{"require [\"vacation\", \"reject\"]; vacation \"a\"; reject \"b\";"},
            "(main:1: reject conflicts with other action: the vacation"},
        {{"require [\"vacation\"]; vacation \"a\";", "require \"vacation\"; vacation \"b\";"},
            "vacation; keep!"},
        {{"require [\"fileinto\", \"copy\"]; fileinto :copy \"A\";", "require \"reject\"; reject \"x\";"},
            "fileinto A; reject"},
    };
    struct sieve_options options;

    (void)state;
    sieve_options_init(&options);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *got = run_scripts(rows[i].scripts, mail, &options);

        if (!g_str_has_prefix(got, rows[i].want))
            fail_msg("row %zu: got %s, want %s", i, got, rows[i].want);
    }
}

/* What a failed script asked for is dropped; the message is kept as it came. */
static void test_error_keeps(void **state)
{
    const char *const scripts[] = {
        "require [\"editheader\", \"fileinto\", \"ihave\"];\naddheader \"X-A\" \"b\";\n"
        "fileinto \"A\";\nerror \"enough\";", NULL};
    struct sieve_options options;

    (void)state;
    sieve_options_init(&options);
    g_autofree char *got = run_scripts(scripts, mail, &options);
    assert_true(g_str_has_prefix(got, "(main:4: "));
    assert_true(g_str_has_suffix(got, "enough) keep!!"));
}

static void test_run_bounds(void **state)
{
    static const struct {
        const char *limit;
        size_t value;
        const char *script, *want;
    } rows[] = {
        {"max_actions", 2, "redirect \"a@e.org\"; redirect \"b@e.org\"; redirect \"c@e.org\";",
            "total number of actions exceeds policy limit (3 > 2)"},
        {"max_redirects", 1, "redirect \"a@e.org\"; redirect \"b@e.org\";",
            "number of redirect actions exceeds policy limit (2 > 1)"},
        {"max_steps", 10, "if anyof (false,false,false,false,false,false,false,false,false,false,true)"
                          "{ discard; }", "too many steps"},
        {"max_match_work", 100, "if header :contains \"subject\" [\"aa\",\"bb\",\"cc\",\"dd\",\"ee\"] "
                                "{ discard; }", "looks at too much text"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *const scripts[] = {rows[i].script, NULL};
        struct sieve_options options;

        sieve_options_init(&options);
        assert_true(sieve_limits_set(&options.limits, rows[i].limit, rows[i].value));
        g_autofree char *got = run_scripts(scripts, mail, &options);
        if (strstr(got, rows[i].want) == NULL || !g_str_has_suffix(got, "keep!!"))
            fail_msg("%s: got %s", rows[i].limit, got);
    }
}

/* Variables can double a string at each step: bounded by their size. */
static void test_growing_string(void **state)
{
    g_autoptr(GString) script = g_string_new("require \"variables\"; set \"a\" \"xxxxxxxx\";\n");
    struct sieve_options options;

    (void)state;
    sieve_options_init(&options);
    for (int i = 0; i < 200; i++)
        g_string_append(script, "set \"a\" \"${a}${a}${a}${a}\";\n");
    const char *const scripts[] = {script->str, NULL};
    g_autofree char *got = run_scripts(scripts, mail, &options);
    assert_string_equal(got, "keep!");
}

static enum sieve_answer cannot_tell(void *ctx, const char *mailbox)
{
    (void)ctx;
    (void)mailbox;
    return SIEVE_FAILED;
}

static void test_host_cannot_tell(void **state)
{
    const char *const scripts[] = {
        "require [\"mailbox\", \"fileinto\"]; if mailboxexists \"A\" { discard; }", NULL};
    const struct sieve_host host = {.mailbox_exists = cannot_tell};
    struct sieve_options options;

    (void)state;
    sieve_options_init(&options);
    options.host = &host;
    g_autofree char *got = run_scripts(scripts, mail, &options);
    assert_true(g_str_has_prefix(got, "(main:1: "));
    assert_true(g_str_has_suffix(got, "keep!!"));
}

static void test_trace(void **state)
{
    struct sieve_options options;
    struct message *message = message_open_bytes(mail, strlen(mail), NULL);
    bool found = false;

    (void)state;
    sieve_options_init(&options);
    options.trace = true;
    struct sieve_program *program = compile("if header :contains \"subject\" \"HELL\" { keep; }",
        &options);
    const struct sieve_stage stage = {program, NULL};
    struct sieve_result *result = sieve_run(&stage, 1, message, NULL, NULL, &options);
    for (size_t i = 0; i < result->trace_count; i++)
        found |= strcmp(result->trace[i].text, "\"hello\" :contains \"HELL\": yes") == 0 &&
            result->trace[i].line == 1;
    assert_true(found);
    sieve_result_free(result);
    sieve_program_unref(program);
    message_free(message);
}

/* An action keeps the message as it was when it was asked for. */
static void test_messages_of_actions(void **state)
{
    struct sieve_options options;
    struct message *message = message_open_bytes(mail, strlen(mail), NULL);

    (void)state;
    sieve_options_init(&options);
    struct sieve_program *program = compile(
        "require [\"editheader\", \"fileinto\"]; fileinto \"A\"; addheader \"X-A\" \"1\";"
        "fileinto \"B\"; addheader \"X-B\" \"2\"; fileinto \"C\"; keep;", &options);
    const struct sieve_stage stage = {program, NULL};
    struct sieve_result *result = sieve_run(&stage, 1, message, NULL, NULL, &options);
    assert_int_equal(result->action_count, 4);
    assert_null(result->actions[0]->message);
    struct headers *b = message_headers(result->actions[1]->message);
    struct headers *c = message_headers(result->actions[2]->message);
    assert_string_equal(headers_get(b, "X-A"), "1");
    assert_null(headers_get(b, "X-B"));
    assert_string_equal(headers_get(c, "X-B"), "2");
    assert_null(headers_get(message_headers(message), "X-A"));
    sieve_result_free(result);
    sieve_program_unref(program);
    message_free(message);
}

static char *mail_of_parts(size_t parts)
{
    GString *text = g_string_new("From: sender@example.org\nMIME-Version: 1.0\n"
                                 "Content-Type: multipart/mixed; boundary=b\n\n");

    for (size_t i = 0; i < parts; i++)
        g_string_append(text, "--b\nContent-Type: text/plain\n\ntext\n");
    g_string_append(text, "--b--\n");
    return g_string_free(text, FALSE);
}

/* Each change makes a new tree of the message: without a bound, 12,000 parts would be 144 million. No
 * bound on time here: the others must do. */
static void test_changes_of_very_many_parts(void **state)
{
#define LOOP "require [\"foreverypart\", \"mime\", \"replace\", \"enclose\", \"variables\"]; " \
             "foreverypart { if header :mime :subtype \"content-type\" \"plain\" { "
    static const struct {
        const char *script;
        size_t parts;
        bool fails;
    } rows[] = {
        {LOOP "replace \"gone\"; } }", 20, false},
        {LOOP "replace \"gone\"; } }", 12000, true},
        {LOOP "enclose \"look\"; } }", 20, false},
        {LOOP "enclose \"look\"; } }", 12000, true},
        {LOOP "set \"a\" \"b\"; } }", 12000, false},
        {"require \"replace\"; replace \"gone\";", 12000, false},
    };
    enum { STEPS_MAX = 2000 };
    struct sieve_options options;

    (void)state;
    sieve_options_init(&options);
    options.limits.max_cpu_ms = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = mail_of_parts(rows[i].parts);
        struct message *message = message_open_bytes(text, strlen(text), NULL);
        struct sieve_program *program = compile(rows[i].script, &options);
        struct sieve_stage stage = {program, NULL};
        struct sieve_result *result = sieve_run(&stage, 1, message, NULL, NULL, &options);

        if ((result->runtime_error != NULL) != rows[i].fails)
            fail_msg("row %zu: %s", i, result->runtime_error);
        assert_true(result->implicit_keep);
        if (rows[i].fails && result->steps > STEPS_MAX)
            fail_msg("row %zu: stopped after %zu steps only", i, result->steps);
        assert_int_equal(result->actions[0]->message != NULL,
            !rows[i].fails && strstr(rows[i].script, "set ") == NULL);
        sieve_result_free(result);
        sieve_program_unref(program);
        message_free(message);
    }
#undef LOOP
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_error_keeps),
        cmocka_unit_test(test_run_bounds),
        cmocka_unit_test(test_growing_string),
        cmocka_unit_test(test_changes_of_very_many_parts),
        cmocka_unit_test(test_host_cannot_tell),
        cmocka_unit_test(test_trace),
        cmocka_unit_test(test_messages_of_actions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
