#include "store/mailbox_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <glib.h>

/* What people write, what rows hold, what lies on disk; NULL: refused. */
static void written_canonical_disk(void **state)
{
    static const struct {
        const char *written, *mailbox, *dir;
    } rows[] = {
        {"INBOX", "INBOX", "."},
        {"inbox", "INBOX", "."},
        {"INBOX.Important", "Important", ".Important"},
        {"INBOX/Important", "Important", ".Important"},
        {"Inbox.a.b", "a.b", ".a.b"},
        {"Lists/Debian/Devel", "Lists.Debian.Devel", ".Lists.Debian.Devel"},
        {"중요", "중요", ".&yRHGlA-"},
        {"INBOX.중요.2024", "중요.2024", ".&yRHGlA-.2024"},
        {"Entwürfe", "Entwürfe", ".Entw&APw-rfe"},
        {"R&D", "R&D", ".R&-D"},
        {"日本語", "日本語", ".&ZeVnLIqe-"},
        {"😀", "😀", ".&2D3eAA-"},
        {"~peter", "~peter", ".~peter"},
        {"with space", "with space", ".with space"},
        {"", NULL, NULL},
        {".", NULL, NULL},
        {"..", NULL, NULL},
        {"../../etc", NULL, NULL},
        {"a..b", NULL, NULL},
        {"/etc/passwd", NULL, NULL},
        {"a/", NULL, NULL},
        {".hidden", NULL, NULL},
        {"a\nb", NULL, NULL},
        {"a\x7f" "b", NULL, NULL},
        {"\xff\xfe", NULL, NULL},
        {"a\xc2\x85" "b", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct error err = {0};
        g_autofree char *mailbox = NULL;
        bool good = mailbox_name_canonical(rows[i].written, &mailbox, &err);

        if (good != (rows[i].mailbox != NULL))
            fail_msg("\"%s\": %s", rows[i].written, good ? mailbox : err.text);
        if (!good) {
            assert_int_equal(err.kind, ERROR_BAD_DATA);
            continue;
        }

        g_autofree char *dir = mailbox_name_to_dir(mailbox);
        g_autofree char *back = NULL;

        assert_string_equal(mailbox, rows[i].mailbox);
        assert_string_equal(dir, rows[i].dir);
        assert_true(mailbox_name_from_dir(dir, &back));
        assert_string_equal(back, mailbox);
    }
}

static void too_long_is_refused(void **state)
{
    struct error err;
    char name[300];
    char *mailbox;

    (void)state;
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_false(mailbox_name_canonical(name, &mailbox, &err));
    /* short in characters, long on disk */
    GString *hangul = g_string_new(NULL);
    for (int i = 0; i < 100; i++)
        g_string_append(hangul, "가");
    assert_false(mailbox_name_canonical(hangul->str, &mailbox, &err));
    g_string_free(hangul, TRUE);
}

/* Names on disk that are no modified UTF-7, or a second spelling of a name. */
static void hostile_directories(void **state)
{
    static const char *const dirs[] = {
        ".&", ".&AGE-", ".&yRHGlA", ".&AAA-", ".&2D0-", ".a..b", ".", "..", ".x&y", ".&,,,-",
        ".\xec\xa4\x91", ".INBOX", "x",
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++) {
        char *mailbox = NULL;

        if (strcmp(dirs[i], ".") == 0) {
            assert_true(mailbox_name_from_dir(dirs[i], &mailbox));
            assert_string_equal(mailbox, "INBOX");
            g_free(mailbox);
        } else if (mailbox_name_from_dir(dirs[i], &mailbox)) {
            fail_msg("%s → %s", dirs[i], mailbox);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_canonical_disk),
        cmocka_unit_test(too_long_is_refused),
        cmocka_unit_test(hostile_directories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
