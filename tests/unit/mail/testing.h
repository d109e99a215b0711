/* What the tests of this folder share. */
#ifndef VMAIL_TESTS_UNIT_MAIL_TESTING_H
#define VMAIL_TESTS_UNIT_MAIL_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* Compares strings of row @row; NULL equals NULL only. */
static inline void check_string(const char *got, const char *want, const char *row)
{
    if (got == NULL && want == NULL)
        return;
    if (got == NULL || want == NULL || strcmp(got, want) != 0)
        fail_msg("%s\n   got: %s\n  want: %s", row, got == NULL ? "(null)" : got,
                 want == NULL ? "(null)" : want);
}

#endif
