/* The small files that Dovecot shares with us: subscriptions and dovecot-keywords. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include <glib.h>

#include "store/keywords.h"
#include "store/subscriptions.h"

static char *home_path;
static int home;

static int set_up(void **state)
{
    (void)state;
    home_path = g_dir_make_tmp("vmail-files-XXXXXX", NULL);
    home = open(home_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return home < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    g_autofree char *command = g_strdup_printf("rm -rf %s", home_path);

    (void)state;
    close(home);
    g_free(home_path);
    return system(command);
}

static void put(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(home_path, name, NULL);

    assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void expect(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(home_path, name, NULL);
    g_autofree char *have = NULL;

    assert_true(g_file_get_contents(path, &have, NULL, NULL));
    assert_string_equal(have, text);
}

/* ------------------------------------------------------------------ subscriptions */

static void subscribed_once_in_the_version_found(void **state)
{
    static const struct {
        const char *before, *after; /* NULL: no file; "중요", "A.B" and "A" are added */
    } rows[] = {
        {NULL, "V\t2\n\n&yRHGlA-\nA\tB\nA\n"},
        {"V\t2\n\nSent\nA\tB\n", "V\t2\n\nSent\nA\tB\n&yRHGlA-\nA\n"},
        {"V\t2\n\nSent", "V\t2\n\nSent\n&yRHGlA-\nA\tB\nA\n"},
        {"Sent\nA\n", "Sent\nA\n&yRHGlA-\nA.B\n"},
        {"&yRHGlA-\nA.B\nA", "&yRHGlA-\nA.B\nA"},
    };
    static const char *const mailboxes[] = {"중요", "A.B", "A", NULL};
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        unlinkat(home, "subscriptions", 0);
        if (rows[i].before != NULL)
            put("subscriptions", rows[i].before);
        if (!subscriptions_add(home, mailboxes, &err))
            fail_msg("%s", err.text);
        expect("subscriptions", rows[i].after);
        assert_int_not_equal(faccessat(home, "subscriptions.lock", F_OK, 0), 0);
    }
}

/* A lock whose owner died two minutes ago is nobody's. */
static void stale_locks_are_broken(void **state)
{
    static const char *const mailboxes[] = {"A", NULL};
    const struct timespec old[2] = {{.tv_sec = time(NULL) - 600}, {.tv_sec = time(NULL) - 600}};
    struct error err = {0};

    (void)state;
    put("subscriptions.lock", "");
    assert_int_equal(utimensat(home, "subscriptions.lock", old, 0), 0);
    assert_true(subscriptions_add(home, mailboxes, &err));
    expect("subscriptions", "V\t2\n\nA\n");
}

static void a_link_is_not_followed(void **state)
{
    static const char *const mailboxes[] = {"A", NULL};
    struct error err = {0};

    (void)state;
    put("target", "untouched\n");
    assert_int_equal(symlinkat("target", home, "subscriptions"), 0);
    assert_false(subscriptions_add(home, mailboxes, &err));
    expect("target", "untouched\n");
    assert_int_not_equal(faccessat(home, "subscriptions.lock", F_OK, 0), 0);
}

/* ------------------------------------------------------------------ keywords */

static char *assign(const char *const *wanted, char **ret_dropped)
{
    g_autoptr(GPtrArray) keywords = g_ptr_array_new();
    GString *letters = g_string_new(NULL);
    struct error err = {0};

    for (; *wanted != NULL; wanted++)
        g_ptr_array_add(keywords, (char *)*wanted);
    *ret_dropped = NULL;
    if (!keywords_assign(home, keywords, letters, ret_dropped, &err))
        fail_msg("%s", err.text);
    return g_string_free(letters, FALSE);
}

static void letters_are_shared(void **state)
{
    static const char *const first[] = {"$label1", "work", NULL};
    static const char *const second[] = {"WORK", "new", "new", NULL};
    g_autofree char *dropped = NULL, *dropped2 = NULL;

    (void)state;
    put("dovecot-keywords", "1 $Forwarded\n");

    g_autofree char *a = assign(first, &dropped);
    g_autofree char *b = assign(second, &dropped2);

    assert_string_equal(a, "ac");
    assert_string_equal(b, "cd");
    assert_null(dropped);
    expect("dovecot-keywords", "0 $label1\n1 $Forwarded\n2 work\n3 new\n");
}

static void full_or_impossible_is_dropped(void **state)
{
    static const char *const wanted[] = {"k3", "one too many", "k26", "a(b", "", "\\Odd", NULL};
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *dropped = NULL;

    (void)state;
    for (int i = 0; i < 26; i++)
        g_string_append_printf(text, "%d k%d\n", i, i);
    put("dovecot-keywords", text->str);

    g_autofree char *letters = assign(wanted, &dropped);

    assert_string_equal(letters, "d");
    assert_string_equal(dropped, "one too many k26 a(b  \\Odd");
    expect("dovecot-keywords", text->str);
}

static void damaged_files_are_survived(void **state)
{
    static const char *const wanted[] = {"a", NULL};
    g_autofree char *dropped = NULL;

    (void)state;
    put("dovecot-keywords", "x\n99 far\n-1 minus\n0\n0 \nzero 0\n");

    g_autofree char *letters = assign(wanted, &dropped);

    assert_string_equal(letters, "a");
    expect("dovecot-keywords", "0 a\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(subscribed_once_in_the_version_found),
        T(stale_locks_are_broken),
        T(a_link_is_not_followed),
        T(letters_are_shared),
        T(full_or_impossible_is_dropped),
        T(damaged_files_are_survived),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
