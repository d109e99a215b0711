#include "lda/base/error.h"
#include "lda/base/exit_status.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void statuses(void **state)
{
    static const struct {
        enum error_kind kind;
        int status, on_terminal;
        const char *dsn;
    } rows[] = {
        {ERROR_NONE, 0, 0, "2.0.0"},        {ERROR_TEMPORARY, 75, 75, "4.3.0"},
        {ERROR_NO_USER, 67, 67, "5.1.1"},   {ERROR_BAD_DATA, 65, 65, "5.6.0"},
        {ERROR_REFUSED, 77, 77, "5.7.1"},   {ERROR_QUOTA, 77, 77, "5.2.2"},
        {ERROR_USAGE, 64, 64, "5.5.4"},     {ERROR_QUOTA_DEFER, 75, 75, "4.2.2"},
        {ERROR_CONFIG, 75, 78, "4.3.5"},    {(enum error_kind)99, 75, 75, "4.3.0"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(exit_status_of(rows[i].kind, false), rows[i].status);
        assert_int_equal(exit_status_of(rows[i].kind, true), rows[i].on_terminal);
        assert_string_equal(exit_status_dsn(rows[i].kind), rows[i].dsn);
    }
}

static void a_long_text_is_cut_on_a_character(void **state)
{
    struct error err;
    char text[3 * ERROR_TEXT_SIZE + 1];

    (void)state;
    for (size_t i = 0; i < ERROR_TEXT_SIZE; i++)
        memcpy(text + 3 * i, "한", 3);
    text[sizeof text - 1] = '\0';
    error_set(&err, ERROR_BAD_DATA, "%s", text);
    size_t length = strlen(err.text);
    assert_true(length < ERROR_TEXT_SIZE);
    assert_string_equal(err.text + length - 3, "…");
    assert_int_equal((length - 3) % 3, 0);
}

static void a_line_break_cannot_forge_a_log_line(void **state)
{
    struct error err;

    (void)state;
    error_set(&err, ERROR_BAD_DATA, "no user %s", "a\nb\tc\177");
    assert_string_equal(err.text, "no user a?b?c?");
}

static void errno_and_prefix(void **state)
{
    struct error err;

    (void)state;
    error_set_errno(&err, ERROR_TEMPORARY, ENOSPC, "cannot write %s", "x");
    error_prefix(&err, "user %s", "a@b.c");
    assert_string_equal(err.text, "user a@b.c: cannot write x: No space left on device");
    assert_int_equal(err.code, ENOSPC);
    assert_int_equal(err.kind, ERROR_TEMPORARY);
    error_set_errno(&err, ERROR_TEMPORARY, EDQUOT, "cannot write %s", "x");
    assert_int_equal(err.kind, ERROR_QUOTA_DEFER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses),
        cmocka_unit_test(a_long_text_is_cut_on_a_character),
        cmocka_unit_test(a_line_break_cannot_forge_a_log_line),
        cmocka_unit_test(errno_and_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
