#include "lda/base/cleanup.h"
#include "lda/base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char root_path[] = "/tmp/test_path.XXXXXX";
static int root = -1;

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(root_path) == NULL)
        return -1;
    root = open(root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return root < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    char command[64];

    (void)state;
    close(root);
    snprintf(command, sizeof command, "rm -rf %s", root_path);
    return system(command);
}

static void components(void **state)
{
    static const struct {
        const char *name;
        bool safe;
    } rows[] = {
        {"example.com", true}, {"중요", true}, {"a b", true},   {"", false},     {".", false},
        {"..", false},         {".x", false},  {"a/b", false}, {"a\nb", false}, {"a\177", false},
    };
    char long_name[300];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (path_component_is_safe(rows[i].name) != rows[i].safe)
            fail_msg("%s", rows[i].name);
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    assert_false(path_component_is_safe(long_name));
}

static void makes_and_opens(void **state)
{
    struct error err;
    struct stat st;

    (void)state;
    AUTO_FD made = path_make_dir(root, "a/b//c", 0700, &err);
    assert_true(made >= 0);
    AUTO_FD again = path_make_dir(root, "a/b/c", 0700, &err);
    assert_true(again >= 0);
    AUTO_FD opened = path_open_dir(root, "a/./b/c/", &err);
    assert_true(opened >= 0);
    assert_int_equal(fstat(opened, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(path_open_dir(root, "a/x", &err), -1);
    assert_int_equal(err.code, ENOENT);
    assert_int_equal(path_open_dir(root, "a/../a", &err), -1);
}

static void links_are_not_followed(void **state)
{
    struct error err;

    (void)state;
    assert_int_equal(symlinkat("/etc", root, "planted"), 0);
    assert_int_equal(path_open_dir(root, "planted", &err), -1);
    assert_int_equal(path_open_file(root, "planted/passwd", &err), -1);
    assert_int_equal(symlinkat("/etc/passwd", root, "file"), 0);
    assert_int_equal(path_open_file(root, "file", &err), -1);
    assert_int_equal(err.code, ELOOP);
    assert_int_equal(mkfifoat(root, "fifo", 0600), 0);
    assert_int_equal(path_open_file(root, "fifo", &err), -1);
    assert_int_equal(err.code, ELOOP);
    assert_int_equal(path_open_file(root, "none", &err), -1);
    assert_int_equal(err.code, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(components),
        cmocka_unit_test(makes_and_opens),
        cmocka_unit_test(links_are_not_followed),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
