/* Dovecot's files as they stood on a disk, and as somebody who wants to do harm would leave them. */
#include "lda/mailbox_metadata.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <cmocka.h>

#define ID_INBOX "8ed65f2cffd90b6b5666000083ecc375"
#define ID_WORK "91d65f2cffd90b6b5666000083ecc375"
#define UIDLIST "dovecot-uidlist"
#define DICTIONARY "dovecot-attributes"

struct fixture {
    char *dir;
    int home;
};

static char *at(const struct fixture *f, const char *path)
{
    return g_build_filename(f->dir, path, NULL);
}

static void put(const struct fixture *f, const char *path, const char *text, size_t length)
{
    g_autofree char *name = at(f, path);
    g_autofree char *parent = g_path_get_dirname(name);

    g_mkdir_with_parents(parent, 0700);
    assert_true(g_file_set_contents(name, text, (gssize)length, NULL));
}

static void put_text(const struct fixture *f, const char *path, const char *text)
{
    put(f, path, text, strlen(text));
}

static int setup(void **state)
{
    static const char *const folders[] = {"cur", ".Work/cur", ".&yRHGlA-.2024/cur"};
    struct fixture *f = g_new0(struct fixture, 1);

    f->dir = g_dir_make_tmp("vmail-metadata-XXXXXX", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *folder = at(f, folders[i]);

        g_mkdir_with_parents(folder, 0700);
    }
    put_text(f, UIDLIST, "3 V1795938815 N1 G" ID_INBOX "\n");
    put_text(f, ".Work/" UIDLIST, "3 V1795938818 N7 G" ID_WORK "\n1 :x.y\n");
    put_text(f, ".&yRHGlA-.2024/" UIDLIST, "3 V1 N1 G00000000000000000000000000000abc\n");
    f->home = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = f;
    return f->home < 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->dir);

    close(f->home);
    g_free(f->dir);
    g_free(f);
    return g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL) ? 0 : 1;
}

/* ------------------------------------------------------------------ ids */

static void found_by_id(void **state)
{
    const struct fixture *f = *state;
    static const struct {
        const char *id, *want; /* NULL: none */
    } rows[] = {
        {ID_INBOX, "INBOX"},
        {ID_WORK, "Work"},
        {"91D65F2CFFD90B6B5666000083ECC375", "Work"},
        {"00000000000000000000000000000abc", "중요.2024"},
        {"00000000000000000000000000000000", NULL},
        {"91d65f2c", NULL},
        {"", NULL},
        {"../../../../../../../../etc/pass", NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *mailbox = NULL;
        struct error err;
        enum metadata_answer answer = mailbox_find_by_id(f->home, rows[i].id, &mailbox, &err);

        if (answer != (rows[i].want == NULL ? METADATA_NONE : METADATA_FOUND) ||
            g_strcmp0(mailbox, rows[i].want) != 0)
            fail_msg("%s: answer %d, %s", rows[i].id, answer, mailbox);
    }
}

static void lines_of_a_uidlist(void **state)
{
    const struct fixture *f = *state;
    g_autofree char *long_line = g_strnfill(5000, 'x');
    const struct {
        const char *text, *want;
    } rows[] = {
        {"3 V1 N1 G" ID_WORK "\n", ID_WORK},
        {"3 G" ID_WORK " V1\n1 :a\n", ID_WORK},
        {"3 V1 N1\n1 G" ID_WORK "\n", NULL},     /* not in the first line */
        {"3 V1 N1 G" ID_WORK, NULL},              /* cut off */
        {"3 V1 N1 G" ID_WORK "0\n", NULL},
        {"3 V1 N1 Gz1d65f2cffd90b6b5666000083ecc37\n", NULL},
        {"1 1795938818 1\n", NULL},               /* version 1 */
        {"", NULL},
        {"\n", NULL},
        {long_line, NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *id = NULL;
        struct error err;

        put_text(f, ".Work/" UIDLIST, rows[i].text);
        enum metadata_answer answer = mailbox_id_of(f->home, "Work", &id, &err);
        if (answer != (rows[i].want == NULL ? METADATA_NONE : METADATA_FOUND) ||
            g_strcmp0(id, rows[i].want) != 0)
            fail_msg("row %zu: answer %d, %s", i, answer, id);
    }
}

/* ------------------------------------------------------------------ annotations */

static const char dictionary[] =
    "shared/" ID_INBOX "/vendor/vendor.dovecot/pvt/server/vendor/foo/z\nsrvz\n"
    "priv/" ID_INBOX "/vendor/vendor.dovecot/pvt/server/comment\nsrv\n"
    "priv/" ID_WORK "/comment\n한글 \001tand\001nlines\0011x\n"
    "shared/" ID_WORK "/vendor/foo/bar\n\n"
    "priv/" ID_WORK "/nul\nbefore\0010after\n"
    "priv/" ID_WORK "/bytes\na\xff" "b\n"
    "priv/" ID_WORK "/cut";

static void annotations(void **state)
{
    const struct fixture *f = *state;
    static const struct {
        const char *mailbox, *annotation, *want;
    } rows[] = {
        {"Work", "/private/comment", "한글 \tand\nlines\001x"},
        {"Work", "/PRIVATE/Comment", "한글 \tand\nlines\001x"},
        {"Work", "/shared/vendor/foo/bar", ""},
        {"Work", "/private/nul", "before"},
        {"Work", "/private/bytes", "a\xef\xbf\xbd" "b"},
        {"Work", "/shared/comment", NULL},
        {"Work", "/private/cut", NULL},
        {"Work", "/private/", NULL},
        {"Work", "comment", NULL},
        {"Work", "/private/comm", NULL},
        {"Work", "/private/comment\nx", NULL},
        {"INBOX", "/private/comment", NULL},
        {"INBOX", "/private/vendor/vendor.dovecot/pvt/server/comment", "srv"},
        {NULL, "/private/comment", "srv"},
        {NULL, "/shared/vendor/foo/z", "srvz"},
        {NULL, "/shared/comment", NULL},
        {"Missing", "/private/comment", NULL},
    };

    put_text(f, DICTIONARY, dictionary);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *value = NULL;
        struct error err;
        enum metadata_answer answer = mailbox_metadata(f->home, DICTIONARY, rows[i].mailbox,
                                                       rows[i].annotation, &value, &err);

        if (answer != (rows[i].want == NULL ? METADATA_NONE : METADATA_FOUND) ||
            g_strcmp0(value, rows[i].want) != 0)
            fail_msg("%s %s: answer %d, %s", rows[i].mailbox, rows[i].annotation, answer, value);
    }
}

static enum metadata_answer comment(const struct fixture *f, struct error *err)
{
    g_autofree char *value = NULL;

    return mailbox_metadata(f->home, DICTIONARY, "Work", "/private/comment", &value, err);
}

static void what_stands_in_the_way(void **state)
{
    const struct fixture *f = *state;
    g_autofree char *name = at(f, DICTIONARY);
    g_autofree char *elsewhere = at(f, "elsewhere");
    struct error err;

    assert_int_equal(comment(f, &err), METADATA_NONE); /* no file */
    put_text(f, "elsewhere", dictionary);
    assert_int_equal(symlink(elsewhere, name), 0);
    assert_int_equal(comment(f, &err), METADATA_NONE);
    unlink(name);
    assert_int_equal(mkfifo(name, 0600), 0);
    assert_int_equal(comment(f, &err), METADATA_NONE);
    unlink(name);
    assert_int_equal(mkdir(name, 0700), 0);
    assert_int_equal(comment(f, &err), METADATA_NONE);
    rmdir(name);
    /* too large to be looked through: the script cannot know, the delivery goes on */
    put_text(f, DICTIONARY, dictionary);
    assert_int_equal(truncate(name, 1 << 30), 0);
    assert_int_equal(comment(f, &err), METADATA_FAILED);
    assert_int_equal(err.kind, ERROR_BAD_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(found_by_id, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_of_a_uidlist, setup, teardown),
        cmocka_unit_test_setup_teardown(annotations, setup, teardown),
        cmocka_unit_test_setup_teardown(what_stands_in_the_way, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
