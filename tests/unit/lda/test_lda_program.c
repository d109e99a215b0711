/* vmail-lda as pipe(8) runs it: exit status, and what stands first on standard error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <glib.h>
#include <cmocka.h>

#define LDA TEST_BIN_DIR "/vmail-lda -c /dev/null -o log_target=/dev/null "

static void what_pipe_sees(void **state)
{
    static const struct {
        const char *name, *command;
        int status;
        const char *want; /* at the start of standard error */
    } rows[] = {
        {"no options", LDA "</dev/null", 75, "4.3.5 no user"},
        {"unknown option", LDA "-d a@b --bogus </dev/null", 75, "4.3.5 unknown option --bogus"},
        {"unknown letter", LDA "-d a@b -Z </dev/null", 75, "4.3.5 unknown option -Z"},
        {"missing value", LDA "-d </dev/null", 75, "4.3.5 option -d needs a value"},
        {"surplus word", LDA "-d a@b word </dev/null", 75, "4.3.5 unexpected argument word"},
        {"unknown key", LDA "-d a@b -o nonsense=1 </dev/null", 75, "4.3.5 -o: unknown key nonsense"},
        {"no such file", TEST_BIN_DIR "/vmail-lda -c /nonexistent/x -d a@b </dev/null", 75,
         "4.3.5 cannot read configuration /nonexistent/x"},
        {"no database", LDA "-o database=sqlite:/nonexistent/x -d a@b </dev/null", 75, "4.3."},
        {"unknown database", LDA "-o database=mysql://x -d a@b </dev/null", 75, "4.3.5 "},
        {"the line with the code is before the log",
         LDA "-o log_target=stderr -o database=sqlite:/nonexistent/x -d a@b </dev/null", 75, "4.3."},
        {"closed descriptors", LDA "-o database=sqlite:/nonexistent/x -d a@b <&- >&- 2>&-", 75, ""},
        {"version", LDA "--version >/dev/null", 0, ""},
        {"help", LDA "--help >/dev/null", 0, ""},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *argv[] = {"/bin/sh", "-c", rows[i].command, NULL};
        g_autofree char *errors = NULL;
        int status;

        assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL,
                                 &errors, &status, NULL));
        if (!WIFEXITED(status) || WEXITSTATUS(status) != rows[i].status ||
            strncmp(errors, rows[i].want, strlen(rows[i].want)) != 0)
            fail_msg("%s: status %d, %s", rows[i].name, status, errors);
    }
}

/* Standard input that never ends: we stop before Postfix does, which would return the mail. Whoever started
 * us may have blocked the signal. */
static void the_deadline_defers(void **state)
{
    static const char script[] =
        "d=$(mktemp -d) && mkdir $d/mail && "
        TEST_BIN_DIR "/vmail -c /dev/null -o vmail_root=$d/mail -o schema_dir=" TEST_SOURCE_DIR
        "/schema migrate >/dev/null && "
        TEST_BIN_DIR "/vmail -c /dev/null -o vmail_root=$d/mail user add a@b >/dev/null && "
        "mkfifo $d/fifo && { sleep 60 >$d/fifo & } && "
        "env --block-signal=ALRM " LDA
        "-o vmail_root=$d/mail -o delivery_timeout=1s -d a@b <$d/fifo; "
        "status=$?; kill $!; find $d -path '*/new/*' -o -path '*/cur/*'; rm -r $d; exit $status";
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    g_autofree char *output = NULL;
    g_autofree char *errors = NULL;
    int status;

    (void)state;
    assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &output,
                             &errors, &status, NULL));
    assert_string_equal(errors, "4.3.0 the delivery did not end within 1 s (delivery_timeout)\n");
    assert_string_equal(output, "");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 75);
}

/* Whoever started us ignored SIGCHLD: the status of sendmail is known all the same. */
static void children_have_a_status(void **state)
{
    static const char script[] =
        "d=$(mktemp -d) && mkdir -p -m 700 $d/mail/b/a && "
        TEST_BIN_DIR "/vmail -c /dev/null -o vmail_root=$d/mail -o schema_dir=" TEST_SOURCE_DIR
        "/schema migrate >/dev/null && "
        TEST_BIN_DIR "/vmail -c /dev/null -o vmail_root=$d/mail user add a@b >/dev/null && "
        "echo 'redirect \"x@y.example\";' >$d/mail/b/a/.dovecot.sieve; "
        "echo 'Subject: x' | env --ignore-signal=CHLD " LDA
        "-o vmail_root=$d/mail -o sendmail_path=/bin/true -d a@b; "
        "status=$?; rm -r $d; exit $status";
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    g_autofree char *errors = NULL;
    int status;

    (void)state;
    assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL,
                             &errors, &status, NULL));
    assert_string_equal(errors, "");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* One thing goes wrong at a time; doctor names it and what to do. */
static void doctor_finds_it(void **state)
{
    static const struct {
        const char *name, *options;
        int status;
        const char *want;
    } rows[] = {
        {"all is well", "", 0, "ok      database sqlite:"},
        {"no root", "-o vmail_root=/nonexistent/x", 78, "wrong   vmail_root /nonexistent/x: "},
        {"no sendmail", "-o sendmail_path=/nonexistent/x", 78, "wrong   sendmail_path "},
        {"no database", "-o database=sqlite:/nonexistent/x", 78, "run 'vmail migrate'"},
        {"empty database", "-o database=sqlite:$d/empty.db", 78, "run vmail migrate"},
        {"a bound that is none", "-o sieve_max_actions=many", 78, "must be a number"},
        {"a broken site script", "-o sieve_before=$d/broken.sieve", 0, "warning sieve_before: "},
        {"a broken user script", "-u c@b", 0, "warning user c@b: "},
        {"no such user", "-u x@b", 78, "wrong   no user x@b"},
        {"too long a deadline", "-o delivery_timeout=2000s", 0, "vmail_time_limit"},
    };
    static const char prepare[] =
        "d=$(mktemp -d); cd $d; "
        "v='" TEST_BIN_DIR "/vmail -c /dev/null -o hostname=mx.example.com -o schema_dir="
        TEST_SOURCE_DIR "/schema -o sendmail_path=/bin/true'; v=\"$v -o vmail_root=$d\"; "
        "$v migrate >/dev/null && $v user add a@b >/dev/null && $v user add c@b >/dev/null; "
        ": >empty.db; mkdir -m 700 -p b/a b/c; "
        "echo nonsense | tee broken.sieve >b/c/.dovecot.sieve; chmod 755 $d; ";
    g_autoptr(GString) script = g_string_new(prepare);
    g_autofree char *output = NULL;

    (void)state;
    /* each answer ends in a line with its status */
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        bool of_doctor = g_str_has_prefix(rows[i].options, "-u");

        g_string_append_printf(script, "$v %s doctor %s; echo \"= $?\"; ",
                               of_doctor ? "" : rows[i].options, of_doctor ? rows[i].options : "");
    }
    g_string_append(script, "cd /; rm -r $d");
    const char *argv[] = {"/bin/sh", "-c", script->str, NULL};
    assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &output, NULL,
                             NULL, NULL));
    char *answer = output;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *end = strstr(answer, "\n= ");

        if (end == NULL)
            fail_msg("%s: no answer in\n%s", rows[i].name, answer);
        *end = '\0';
        int status = atoi(end + 3);
        if (status != rows[i].status || strstr(answer, rows[i].want) == NULL)
            fail_msg("%s: status %d\n%s", rows[i].name, status, answer);
        answer = end + 3 + strcspn(end + 3, "\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_pipe_sees),
        cmocka_unit_test(the_deadline_defers),
        cmocka_unit_test(children_have_a_status),
        cmocka_unit_test(doctor_finds_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
