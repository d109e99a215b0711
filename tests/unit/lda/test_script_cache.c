/*
 * Compiled scripts that are kept: what must make a new compile, and what must not.
 *
 * Files are written and then left alone for longer than the cache asks for, which here is 30 ms.
 */
#include "lda/script_cache.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <cmocka.h>

#include "lda/config.h"
#include "lda/envelope.h"
#include "lda/script.h"
#include "lda/sieve_host.h"
#include "lda/user.h"
#include "sieve/sieve.h"

#define SETTLE_MS 30

struct fixture {
    char *dir; /* the home */
    struct user user;
    struct envelope envelope;
    struct config *config;
    struct sieve_host_site site;
    struct sieve_host host;
    struct sieve_options options;
    const struct compiled_script *compiled;
};

/* As editors do: a new file takes the name. */
static void replace(const struct fixture *f, const char *path, const char *text)
{
    g_autofree char *name = g_build_filename(f->dir, path, NULL);

    assert_true(g_file_set_contents(name, text, -1, NULL));
}

/* The same inode. */
static void overwrite(const struct fixture *f, const char *path, const char *text)
{
    g_autofree char *name = g_build_filename(f->dir, path, NULL);

    assert_true(g_file_set_contents_full(name, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

static void settle(void)
{
    g_usleep((SETTLE_MS + 20) * 1000);
}

static void set_bounds(struct fixture *f, size_t scripts, size_t bytes, int64_t settle_ms)
{
    const struct script_cache_bounds bounds = {scripts, bytes, settle_ms};

    script_cache_free(f->site.scripts);
    f->site.scripts = script_cache_new(&bounds);
}

static int setup(void **state)
{
    struct fixture *f = g_new0(struct fixture, 1);
    struct error err;

    f->dir = g_dir_make_tmp("vmail-cache-XXXXXX", NULL);
    f->user.home = f->dir;
    f->user.address = (char *)"u@x";
    f->config = config_new();
    g_autofree char *sieve = g_build_filename(f->dir, "sieve", NULL);
    assert_int_equal(g_mkdir(sieve, 0700), 0);
    f->site = (struct sieve_host_site){
        .config = f->config,
        .user = &f->user,
        .envelope = &f->envelope,
        .home = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
    };
    set_bounds(f, 100, 1024 * 1024, SETTLE_MS);
    sieve_host_fill(&f->host, &f->site);
    sieve_options_init(&f->options);
    f->options.host = &f->host;
    assert_true(config_set(f->config, "sieve", "~/a.sieve", &err));
    *state = f;
    return f->site.home < 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->dir);

    script_cache_free(f->site.scripts);
    close(f->site.home);
    config_free(f->config);
    g_free(f->dir);
    g_free(f);
    return g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL) ? 0 : 1;
}

/* One delivery's compile. True: it was a new compile. */
static bool compiles_anew(struct fixture *f)
{
    struct script_cache_counts before, after;
    struct script *script = NULL;
    struct error err;

    script_cache_count(f->site.scripts, &before);
    assert_int_equal(script_find_user(f->config, &f->user, f->site.home, &script, &err),
                     SCRIPT_FOUND);
    assert_true(script_cache_compile(f->site.scripts, script, &f->site, &f->options,
                                     &f->compiled, &err));
    script_free(script);
    script_cache_count(f->site.scripts, &after);
    assert_int_equal(after.hits + after.compiled, before.hits + before.compiled + 1);
    return after.compiled > before.compiled;
}

static size_t scripts_kept(const struct fixture *f)
{
    struct script_cache_counts counts;

    script_cache_count(f->site.scripts, &counts);
    return counts.scripts;
}

static void compiles_once(void **state)
{
    struct fixture *f = *state;

    replace(f, "a.sieve", "keep;");
    settle();
    assert_true(compiles_anew(f));
    const struct sieve_program *program = f->compiled->program;
    assert_non_null(program);
    assert_false(compiles_anew(f));
    assert_ptr_equal(f->compiled->program, program);
}

static void sees_changes(void **state)
{
    struct fixture *f = *state;
    g_autofree char *name = g_build_filename(f->dir, "a.sieve", NULL);
    struct stat st;

    replace(f, "a.sieve", "keep;");
    settle();
    assert_true(compiles_anew(f));
    overwrite(f, "a.sieve", "keep; stop;");
    settle();
    assert_true(compiles_anew(f));
    assert_false(compiles_anew(f));
    replace(f, "a.sieve", "discard;");
    settle();
    assert_true(compiles_anew(f));
    assert_false(compiles_anew(f));
    assert_int_equal(scripts_kept(f), 1); /* what is old is gone */

    /* the same size, and the old time of change put back */
    assert_int_equal(stat(name, &st), 0);
    overwrite(f, "a.sieve", "garbage;");
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
    settle();
    assert_true(compiles_anew(f));
    assert_null(f->compiled->program);
}

/* The link of ManageSieve leads to another script. */
static void sees_another_script(void **state)
{
    struct fixture *f = *state;
    g_autofree char *name = g_build_filename(f->dir, "a.sieve", NULL);

    replace(f, "sieve/one.sieve", "keep;");
    replace(f, "sieve/two.sieve", "stop;");
    settle();
    assert_int_equal(symlink("sieve/one.sieve", name), 0);
    assert_true(compiles_anew(f));
    assert_false(compiles_anew(f));
    assert_int_equal(unlink(name), 0);
    assert_int_equal(symlink("sieve/two.sieve", name), 0);
    assert_true(compiles_anew(f));
}

/* Replaced behind the open: what is compiled and what it is kept under is the opened file. */
static void opened_file_counts(void **state)
{
    struct fixture *f = *state;
    struct script *script = NULL;
    struct error err;

    replace(f, "a.sieve", "garbage;");
    settle();
    assert_int_equal(script_find_user(f->config, &f->user, f->site.home, &script, &err),
                     SCRIPT_FOUND);
    replace(f, "a.sieve", "discard;");
    assert_true(script_cache_compile(f->site.scripts, script, &f->site, &f->options,
                                     &f->compiled, &err));
    assert_null(f->compiled->program);
    script_free(script);
    settle();
    assert_true(compiles_anew(f));
    assert_non_null(f->compiled->program);
}

static void keeps_errors(void **state)
{
    struct fixture *f = *state;

    replace(f, "a.sieve", "garbage;");
    settle();
    assert_true(compiles_anew(f));
    assert_false(compiles_anew(f));
    assert_null(f->compiled->program);
    assert_int_equal(f->compiled->diagnostics->errors, 1);
}

/* That there is no such list can change without any file. */
static void keeps_no_error_of_lists(void **state)
{
    struct fixture *f = *state;

    replace(f, "a.sieve", "require \"extlists\"; redirect :list \":addrbook:default\";");
    settle();
    assert_true(compiles_anew(f));
    assert_false(compiles_anew(f));
    replace(f, "a.sieve", "require \"extlists\"; redirect :list \"tag:example.org,2026:none\";");
    settle();
    assert_true(compiles_anew(f));
    assert_null(f->compiled->program);
    assert_true(compiles_anew(f));
}

static void sees_includes(void **state)
{
    struct fixture *f = *state;
    g_autofree char *second = g_build_filename(f->dir, "sieve/second.sieve", NULL);

    replace(f, "a.sieve", "require \"include\"; include \"first\"; include :optional \"third\";");
    replace(f, "sieve/first.sieve", "require \"include\"; include \"second\";");
    replace(f, "sieve/second.sieve", "keep;");
    settle();
    assert_true(compiles_anew(f));
    assert_non_null(f->compiled->program);
    assert_false(compiles_anew(f));
    overwrite(f, "sieve/second.sieve", "stop;"); /* of the same size */
    settle();
    assert_true(compiles_anew(f));
    assert_false(compiles_anew(f));
    replace(f, "sieve/third.sieve", "keep;"); /* was missing */
    settle();
    assert_true(compiles_anew(f));
    assert_false(compiles_anew(f));
    assert_int_equal(unlink(second), 0);
    assert_true(compiles_anew(f));
    assert_null(f->compiled->program);
    assert_false(compiles_anew(f)); /* the error is kept … */
    replace(f, "sieve/second.sieve", "keep;");
    settle();
    assert_true(compiles_anew(f)); /* … until the file is there */
    assert_non_null(f->compiled->program);
}

/* What was changed just now could be changed once more within the grain of its times. */
static void trusts_no_fresh_file(void **state)
{
    struct fixture *f = *state;

    set_bounds(f, 100, 1024 * 1024, 3600 * 1000);
    replace(f, "a.sieve", "keep;");
    assert_true(compiles_anew(f));
    assert_true(compiles_anew(f));
    assert_int_equal(scripts_kept(f), 0);

    /* an include is no better when the script is old; here its time is still to come */
    g_autofree char *first = g_build_filename(f->dir, "sieve/first.sieve", NULL);
    const struct timespec later = {time(NULL) + 3600, 0}, times[2] = {later, later};
    set_bounds(f, 100, 1024 * 1024, SETTLE_MS);
    replace(f, "a.sieve", "require \"include\"; include \"first\";");
    replace(f, "sieve/first.sieve", "keep;");
    assert_int_equal(utimensat(AT_FDCWD, first, times, 0), 0);
    settle();
    assert_true(compiles_anew(f));
    assert_true(compiles_anew(f));
}

static void is_bounded(void **state)
{
    struct fixture *f = *state;
    struct script_cache_counts counts;
    struct error err;

    for (char name = 'a'; name <= 'd'; name++) {
        g_autofree char *path = g_strdup_printf("%c.sieve", name);

        replace(f, path, "keep;");
    }
    settle();
    set_bounds(f, 3, 1024 * 1024, SETTLE_MS);
    static const struct {
        const char *sieve;
        bool anew;
    } rows[] = {
        {"~/a.sieve", true},  {"~/b.sieve", true},  {"~/c.sieve", true}, {"~/a.sieve", false},
        {"~/d.sieve", true}, /* b goes */
        {"~/a.sieve", false}, {"~/c.sieve", false}, {"~/b.sieve", true}, {"~/d.sieve", true},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        assert_true(config_set(f->config, "sieve", rows[i].sieve, &err));
        if (compiles_anew(f) != rows[i].anew)
            fail_msg("row %zu, %s", i, rows[i].sieve);
    }
    script_cache_count(f->site.scripts, &counts);
    assert_int_equal(counts.scripts, 3);

    /* by bytes: two of them have room */
    set_bounds(f, 100, counts.bytes / 3 * 2 + 100, SETTLE_MS);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        assert_true(config_set(f->config, "sieve", rows[i].sieve, &err));
        compiles_anew(f);
        script_cache_count(f->site.scripts, &counts);
        assert_true(counts.scripts == MIN(i + 1, 2));
    }
    /* one that is too large for all of it works, and throws nothing out */
    g_autoptr(GString) large = g_string_new(NULL);
    for (size_t i = 0; i < 100; i++)
        g_string_append(large, "if header \"a\" \"b\" { keep; }\n");
    replace(f, "d.sieve", large->str);
    settle();
    assert_true(compiles_anew(f));
    assert_true(compiles_anew(f));
    assert_non_null(f->compiled->program);
    assert_int_equal(scripts_kept(f), 1); /* the old content of d went */
}

static void traces_compile_anew(void **state)
{
    struct fixture *f = *state;

    replace(f, "a.sieve", "require \"fileinto\"; fileinto \"None\";");
    settle();
    assert_true(compiles_anew(f));
    f->options.trace = true;
    assert_true(compiles_anew(f));
    assert_int_equal(f->compiled->diagnostics->warnings, 1);
    f->options.trace = false;
    assert_false(compiles_anew(f));
}

/* The same file as the site's own may do more. */
static void knows_whose_script(void **state)
{
    struct fixture *f = *state;
    g_autofree char *name = g_build_filename(f->dir, "a.sieve", NULL);
    struct error err;

    replace(f, "a.sieve", "keep;");
    settle();
    for (int round = 0; round < 2; round++) {
        for (int global = 0; global < 2; global++) {
            struct script_cache_counts counts;
            struct script *script = NULL;

            assert_true(script_read_file(name, &script, &err));
            script->global = global != 0;
            assert_true(script_cache_compile(f->site.scripts, script, &f->site, &f->options,
                                             &f->compiled, &err));
            script_free(script);
            script_cache_count(f->site.scripts, &counts);
            assert_int_equal(counts.compiled, round == 0 ? global + 1 : 2);
        }
    }
}

/* libsieve works in a process of its own. That may have died, or been too slow, because of something else
 * than the script. */
static void keeps_no_error_of_libsieve(void **state)
{
    struct fixture *f = *state;

    f->options.engine = SIEVE_ENGINE_LIBSIEVE;
    replace(f, "a.sieve", "nonsense");
    settle();
    assert_true(compiles_anew(f));
    assert_null(f->compiled->program);
    assert_true(compiles_anew(f));
    assert_int_equal(scripts_kept(f), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(compiles_once), TEST(sees_changes), TEST(sees_another_script),
        TEST(opened_file_counts), TEST(keeps_errors), TEST(keeps_no_error_of_lists),
        TEST(sees_includes), TEST(trusts_no_fresh_file), TEST(is_bounded),
        TEST(traces_compile_anew), TEST(knows_whose_script),
        TEST(keeps_no_error_of_libsieve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
