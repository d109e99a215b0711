#include "lda/child.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/send.h"

static bool sh(const char *script, int input, unsigned timeout_s, size_t limit,
               struct child_result *ret_result, struct error *err)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    struct child child = {.argv = argv, .input = input, .timeout_s = timeout_s,
                          .output_limit = limit};

    return child_run(&child, ret_result, err);
}

static void statuses_and_output(void **state)
{
    static const struct {
        const char *script;
        int status;
        const char *output, *complaint;
    } rows[] = {
        {"exit 0", 0, "", ""},
        {"exit 67", 67, "", ""},
        {"cat", 0, "given", ""},
        {"echo 'first'; echo 'bad thing\nmore' >&2; exit 75", 75, "first\n", "bad thing"},
        {"kill -9 $$", -1, "", ""},
        {"exec 0<&-; sleep 0.05", 0, "", ""},
    };
    struct error err;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct child_result result;
        AUTO_FD input = child_temporary_file(&err);

        assert_true(input >= 0);
        assert_true(io_write(input, "given", 5, "input", &err));
        if (!sh(rows[i].script, input, 60, 1000, &result, &err))
            fail_msg("%s: %s", rows[i].script, err.text);
        if (result.status != rows[i].status || strcmp(result.output->str, rows[i].output) != 0 ||
            strcmp(result.complaint, rows[i].complaint) != 0)
            fail_msg("%s: status %d, output '%s', complaint '%s'", rows[i].script, result.status,
                     result.output->str, result.complaint);
        child_result_clear(&result);
    }
}

static void what_fails(void **state)
{
    struct child_result result;
    struct error err;

    (void)state;
    assert_false(sh("sleep 600", -1, 1, 0, &result, &err));
    assert_int_equal(err.kind, ERROR_TEMPORARY);
    assert_non_null(strstr(err.text, "did not end within 1 s"));
    assert_false(sh("exec >&- 2>&-; sleep 600", -1, 1, 0, &result, &err));
    assert_false(sh("yes", -1, 60, 5000, &result, &err));
    assert_non_null(strstr(err.text, "wrote more than 5000 bytes"));
    /* thrown away, not refused */
    assert_true(sh("head -c 300000 /dev/zero", -1, 60, 0, &result, &err));
    child_result_clear(&result);
    struct child missing = {.argv = (const char *[]){"/nonexistent/x", NULL}, .input = -1,
                            .timeout_s = 5};
    assert_false(child_run(&missing, &result, &err));
    assert_non_null(strstr(err.text, "cannot run /nonexistent/x"));
}

/* What the delivery started ends with it, however it ends: here by kill -9. */
static void a_child_dies_with_us(void **state)
{
    char path[] = "/tmp/vmail-child-XXXXXX";
    char script[100];
    char text[20] = "";
    int status;

    (void)state;
    /* the orphan becomes ours, so that we can see how it ended */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    AUTO_FD file = mkstemp(path);
    assert_true(file >= 0);
    snprintf(script, sizeof script, "echo $$ >%s; exec sleep 600", path);
    pid_t pid = fork();
    if (pid == 0) {
        struct child_result result;
        struct error err;

        sh(script, -1, 600, 0, &result, &err);
        _exit(0);
    }
    for (int i = 0; i < 3000 && strchr(text, '\n') == NULL; i++) {
        usleep(10000);
        assert_true(pread(file, text, sizeof text - 1, 0) >= 0);
    }
    unlink(path);
    pid_t orphan = (pid_t)atoi(text);
    assert_true(orphan > 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(waitpid(orphan, &status, 0), orphan);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void final_statuses(void **state)
{
    static const struct {
        int status;
        bool final;
    } rows[] = {{64, true}, {65, true}, {67, true}, {68, true}, {69, true}, {77, true},
                {70, false}, {71, false}, {73, false}, {74, false}, {75, false}, {78, false},
                {1, false}, {-1, false}, {127, false}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (send_status_is_final(rows[i].status) != rows[i].final)
            fail_msg("status %d", rows[i].status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_and_output),
        cmocka_unit_test(what_fails),
        cmocka_unit_test(a_child_dies_with_us),
        cmocka_unit_test(final_statuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
