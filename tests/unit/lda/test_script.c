#include "lda/script.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <cmocka.h>

#include "lda/base/cleanup.h"
#include "lda/config.h"
#include "lda/script_log.h"
#include "lda/user.h"

struct fixture {
    char *dir;  /* holds home/ and outside.sieve */
    struct user user;
    int home;
    struct config *config;
};

static void put(const struct fixture *f, const char *path, const char *text)
{
    g_autofree char *name = g_build_filename(f->dir, path, NULL);
    g_autofree char *parent = g_path_get_dirname(name);

    g_mkdir_with_parents(parent, 0700);
    assert_true(g_file_set_contents(name, text, -1, NULL));
}

static int setup(void **state)
{
    struct fixture *f = g_new0(struct fixture, 1);

    f->dir = g_dir_make_tmp("vmail-script-XXXXXX", NULL);
    f->user.home = g_build_filename(f->dir, "home", NULL);
    f->user.address = (char *)"u@x";
    put(f, "home/sieve/a.sieve", "keep;");
    put(f, "outside.sieve", "discard;");
    f->home = open(f->user.home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->config = config_new();
    *state = f;
    return f->home < 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->dir);

    close(f->home);
    config_free(f->config);
    g_free(f->user.home);
    g_free(f->dir);
    g_free(f);
    return g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL) ? 0 : 1;
}

static void links(void **state)
{
    struct fixture *f = *state;
    g_autofree char *inside = g_build_filename(f->user.home, "sieve/a.sieve", NULL);
    g_autofree char *outside = g_build_filename(f->dir, "outside.sieve", NULL);
    g_autofree char *link_path = g_build_filename(f->user.home, ".dovecot.sieve", NULL);
    const struct {
        const char *target;
        enum script_answer want;
        const char *want_text; /* NULL: a problem */
    } rows[] = {
        {"sieve/a.sieve", SCRIPT_FOUND, "keep;"},
        {inside, SCRIPT_FOUND, "keep;"},
        {"sieve/missing.sieve", SCRIPT_NONE, NULL},
        {outside, SCRIPT_FOUND, NULL},
        {"../outside.sieve", SCRIPT_FOUND, NULL},
        {"sieve/../../outside.sieve", SCRIPT_FOUND, NULL},
        {"sieve/second", SCRIPT_FOUND, NULL}, /* a link to a link */
        {"sieve", SCRIPT_FOUND, NULL},        /* a directory */
        {"/etc/passwd", SCRIPT_FOUND, NULL},
    };

    g_autofree char *second = g_build_filename(f->user.home, "sieve/second", NULL);
    assert_int_equal(symlink(outside, second), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct script *script = NULL;
        struct error err;

        unlink(link_path);
        assert_int_equal(symlink(rows[i].target, link_path), 0);
        enum script_answer got = script_find_user(f->config, &f->user, f->home, &script, &err);
        if (got != rows[i].want)
            fail_msg("%s: answer %d", rows[i].target, got);
        if (got == SCRIPT_FOUND)
            assert_true(script_load(script, &err));
        if (got == SCRIPT_FOUND && g_strcmp0(script->text, rows[i].want_text) != 0)
            fail_msg("%s: text %s", rows[i].target, script->text);
        if (got == SCRIPT_FOUND && rows[i].want_text == NULL)
            assert_non_null(script->problem);
        script_free(script);
    }
}

static void default_script_and_none(void **state)
{
    struct fixture *f = *state;
    g_autofree char *outside = g_build_filename(f->dir, "outside.sieve", NULL);
    struct script *script = NULL;
    struct error err;

    assert_int_equal(script_find_user(f->config, &f->user, f->home, &script, &err), SCRIPT_NONE);
    assert_int_equal(script_find_user(f->config, &f->user, -1, &script, &err), SCRIPT_NONE);
    assert_true(config_set(f->config, "sieve_default", outside, &err));
    assert_int_equal(script_find_user(f->config, &f->user, -1, &script, &err), SCRIPT_FOUND);
    assert_true(script_load(script, &err));
    assert_string_equal(script->text, "discard;");
    assert_true(script->global);
    script_free(script);
}

static void site_scripts_in_order(void **state)
{
    struct fixture *f = *state;
    g_autoptr(GPtrArray) scripts = NULL;
    struct error err;

    put(f, "site/20-b.sieve", "two");
    put(f, "site/10-a.sieve", "one");
    put(f, "site/README", "none");
    put(f, "site/.hidden.sieve", "none");
    g_autofree char *words = g_strdup_printf("%s/outside.sieve %s/site %s/gone.sieve", f->dir,
                                             f->dir, f->dir);
    assert_true(config_set(f->config, "sieve_before", words, &err));
    assert_true(script_find_site(f->config, true, &scripts, &err));
    assert_int_equal(scripts->len, 4);
    static const char *const want[] = {"discard;", "one", "two", NULL};
    for (guint i = 0; i < 4; i++) {
        struct script *script = scripts->pdata[i];

        assert_true(script_load(script, &err));
        assert_string_equal(script->text == NULL ? "-" : script->text,
                            want[i] == NULL ? "-" : want[i]);
    }
    assert_non_null(((struct script *)scripts->pdata[3])->problem);
}

static void includes(void **state)
{
    struct fixture *f = *state;
    struct script *script = NULL;
    struct error err;

    assert_int_equal(script_find_include(f->config, &f->user, f->home, false, "a", &script, &err),
                     SCRIPT_FOUND);
    script_free(script);
    script = NULL;
    assert_int_equal(script_find_include(f->config, &f->user, f->home, false, "b", &script, &err),
                     SCRIPT_NONE);
    assert_int_equal(script_find_include(f->config, &f->user, f->home, false, "../sieve/a",
                                         &script, &err), SCRIPT_NONE);
    assert_int_equal(script_find_include(f->config, &f->user, f->home, true, "outside", &script,
                                         &err), SCRIPT_NONE);
    assert_true(config_set(f->config, "sieve_global_dir", f->dir, &err));
    assert_int_equal(script_find_include(f->config, &f->user, f->home, true, "outside", &script,
                                         &err), SCRIPT_FOUND);
    assert_true(script->global);
    script_free(script);
}

static void the_log_is_bounded_and_follows_no_link(void **state)
{
    struct fixture *f = *state;
    g_autofree char *log = g_build_filename(f->user.home, ".dovecot.sieve.log", NULL);
    g_autofree char *old = g_strconcat(log, ".0", NULL);
    g_autofree char *outside = g_build_filename(f->dir, "outside.sieve", NULL);
    g_autoptr(GPtrArray) lines = g_ptr_array_new();
    g_autofree char *text = NULL;
    struct error err;
    struct stat st;

    g_ptr_array_add(lines, "main: line 3: error\nforged line");
    assert_true(config_set(f->config, "sieve_log_max_size", "200", &err));
    for (int i = 0; i < 20; i++)
        script_log_append(f->config, f->home, lines);
    assert_int_equal(stat(log, &st), 0);
    assert_true(st.st_size > 0 && st.st_size <= 200);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(old, &st), 0);
    assert_true(g_file_get_contents(log, &text, NULL, NULL));
    assert_null(strstr(text, "\nforged"));

    unlink(log);
    assert_int_equal(symlink(outside, log), 0);
    script_log_append(f->config, f->home, lines);
    g_free(text);
    assert_true(g_file_get_contents(outside, &text, NULL, NULL));
    assert_string_equal(text, "discard;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(links, setup, teardown),
        cmocka_unit_test_setup_teardown(default_script_and_none, setup, teardown),
        cmocka_unit_test_setup_teardown(site_scripts_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(includes, setup, teardown),
        cmocka_unit_test_setup_teardown(the_log_is_bounded_and_follows_no_link, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
