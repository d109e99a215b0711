/* Every setting that the engine's sources name is known, so that doctor does not call it a slip. */
#include "lda/sieve_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <glib.h>
#include <cmocka.h>

#include "sieve/limits.h"

static void known_and_unknown(void **state)
{
    static const struct {
        const char *name;
        bool known;
    } rows[] = {
        {"sieve_max_actions", true},          {"sieve_max_redirects", true},
        {"sieve_vacation_min_period", true},  {"sieve_vacation_min_perod", false},
        {"sieve_spamtest_max_value", true},   {"sieve_plugins", false},
        {"sieve_", false},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (sieve_setting_is_known(rows[i].name) != rows[i].known)
            fail_msg("%s", rows[i].name);
}

/* Returns how many names the sources of @folder have. */
static unsigned check_folder(const char *folder)
{
    g_autoptr(GRegex) names = g_regex_new("\"(sieve_[a-z_]+)\"", 0, 0, NULL);
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *entry;
    unsigned count = 0;

    assert_non_null(dir);
    while ((entry = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(folder, entry, NULL);
        g_autofree char *text = NULL;
        g_autoptr(GMatchInfo) match = NULL;

        if (!g_str_has_suffix(entry, ".c") || !g_file_get_contents(path, &text, NULL, NULL))
            continue;
        for (g_regex_match(names, text, 0, &match); g_match_info_matches(match);
             g_match_info_next(match, NULL)) {
            g_autofree char *name = g_match_info_fetch(match, 1);

            count++;
            if (!sieve_setting_is_known(name))
                fail_msg("%s reads %s, which lda/sieve_settings.c does not know", entry, name);
        }
    }
    g_dir_close(dir);
    return count;
}

static void what_the_engine_reads(void **state)
{
    unsigned count = check_folder(TEST_SOURCE_DIR "/sieve");

    (void)state;
    count += check_folder(TEST_SOURCE_DIR "/sieve/ext");
    assert_true(count > 20); /* it did look */
}

/* What the example and the manual say of the bounds is what the engine does. */
static void the_bounds_are_documented(void **state)
{
    g_autofree char *example = NULL;
    g_autofree char *manual = NULL;

    (void)state;
    assert_true(g_file_get_contents(TEST_SOURCE_DIR "/vmail.conf.example", &example, NULL, NULL));
    assert_true(g_file_get_contents(TEST_SOURCE_DIR "/docs/vmail.conf.5", &manual, NULL, NULL));
    for (const struct sieve_limit_row *row = sieve_limit_rows; row->name != NULL; row++) {
        g_autofree char *line = g_strdup_printf("\n#sieve_%s = %zu\n", row->name, row->value);
        g_autofree char *item =
            g_strdup_printf("\n.It Li sieve_%s Pq %zu\n", row->name, row->value);

        if (strstr(example, line) == NULL)
            fail_msg("vmail.conf.example lacks %s", line);
        if (strstr(manual, item) == NULL)
            fail_msg("vmail.conf.5 lacks %s", item);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_and_unknown),
        cmocka_unit_test(what_the_engine_reads),
        cmocka_unit_test(the_bounds_are_documented),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
