#include "store/maildir_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <glib.h>

static const char key[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static const char other[] = "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/* The same on every try: this is what lets link() itself notice an earlier one. */
static void name_is_a_function_of_the_delivery(void **state)
{
    g_autofree char *first = maildir_name_build(1700000000, key, "INBOX", 0, "mx1", 100, 104);
    g_autofree char *again = maildir_name_build(1700000000, key, "INBOX", 0, "mx1", 100, 104);
    g_autofree char *folder = maildir_name_build(1700000000, key, "중요", 0, "mx1", 100, 104);
    g_autofree char *second = maildir_name_build(1700000000, key, "INBOX", 1, "mx1", 100, 104);

    (void)state;
    assert_string_equal(first, again);
    assert_string_not_equal(first, folder);
    assert_string_not_equal(first, second);
    assert_true(g_str_has_prefix(first, "1700000000.V0123456789abcdef01234567"));
    assert_true(g_str_has_suffix(first, ".mx1,S=100,W=104"));
    assert_true(maildir_name_has_key(first, key));
    assert_false(maildir_name_has_key(first, other));
    assert_true(maildir_name_is_copy(first, key, "INBOX", 0));
    assert_false(maildir_name_is_copy(first, key, "INBOX", 1));
    assert_false(maildir_name_is_copy(first, key, "중요", 0));
    assert_true(maildir_name_is_copy(folder, key, "중요", 0));
}

static void hosts_are_made_fit(void **state)
{
    g_autofree char *name = maildir_name_build(1, key, "INBOX", 0, "a/b:c,d e\n", 1, 2);
    g_autofree char *empty = maildir_name_build(1, key, "INBOX", 0, "", 1, 2);

    (void)state;
    assert_true(g_str_has_suffix(name, ".a\\057b\\072c_d_e_,S=1,W=2"));
    assert_true(g_str_has_suffix(empty, ".localhost,S=1,W=2"));
}

static void sizes_are_read(void **state)
{
    static const struct {
        const char *name;
        char what;
        long long want;
    } rows[] = {
        {"1.V2.h,S=100,W=104:2,S", 'S', 100}, {"1.V2.h,S=100,W=104:2,S", 'W', 104},
        {"1.V2.h,S=100", 'S', 100},           {"1.V2.h", 'S', -1},
        {"1.V2.h:2,S", 'S', -1},              {"1.V2.h,S=x", 'S', -1},
        {"1.V2.h,S=", 'S', -1},               {"1.V2.h,S=99999999999999999999", 'S', -1},
        {"1.V2.h,S=5x", 'S', -1},             {"1.M2P3.h:2,,S=7", 'S', -1},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (maildir_name_size(rows[i].name, rows[i].what) != (off_t)rows[i].want)
            fail_msg("%s %c", rows[i].name, rows[i].what);
}

static void not_a_delivery(void **state)
{
    static const char *const names[] = {"", "1", "1.", "1.V", "V0123456789abcdef01234567",
                                        "1.M0123456789abcdef01234567", "x.V0123456789abcdef01234567"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        assert_false(maildir_name_has_key(names[i], key));
}

static void letters(void **state)
{
    (void)state;
    assert_int_equal(maildir_flag_letter("\\Seen"), 'S');
    assert_int_equal(maildir_flag_letter("\\ANSWERED"), 'R');
    assert_int_equal(maildir_flag_letter("\\Recent"), 0);
    assert_int_equal(maildir_flag_letter("$label1"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_is_a_function_of_the_delivery),
        cmocka_unit_test(hosts_are_made_fit),
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(not_a_delivery),
        cmocka_unit_test(letters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
