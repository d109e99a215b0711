/* Every message of make_malformed.py, asked for everything that can be asked. */
#include "lda/mail/address.h"
#include "lda/mail/charset.h"
#include "lda/mail/date.h"
#include "lda/mail/message.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "testing.h"

#define MESSAGES_AT_LEAST 40 /* so that the test cannot quietly test nothing */

static void ask_headers(struct headers *headers)
{
    for (size_t i = 0; i < headers_count(headers); i++) {
        struct mail_date date;

        assert_true(g_utf8_validate(headers_value(headers, i), -1, NULL));
        assert_null(strpbrk(headers_value(headers, i), "\r\n"));
        date_parse(headers_raw(headers, i), &date);
        if (g_ascii_strcasecmp(headers_name(headers, i), "From") == 0 ||
            g_ascii_strcasecmp(headers_name(headers, i), "To") == 0) {
            AUTO_ADDRESS_LIST list = address_list_parse(headers_raw(headers, i), 0, NULL);

            for (size_t n = 0; n < list->count; n++)
                assert_true(g_utf8_validate(list->items[n].full, -1, NULL));
        }
    }
}

static void ask_part(struct message_part *part)
{
    g_autofree char *text = NULL;
    g_autoptr(GBytes) outside = NULL;
    const char *filename = message_part_filename(part);
    struct error err;

    ask_headers(message_part_headers(part));
    assert_true(message_part_text(part, 64 << 10, &text, &err));
    assert_true(g_utf8_validate(text, -1, NULL));
    assert_true(filename == NULL || g_utf8_validate(filename, -1, NULL));
    assert_true(message_part_outside(part, 1000, &outside, &err));
    message_part_param(part, "charset");
}

static void ask_everything(struct message *message, int out)
{
    struct message_part *root;
    size_t parts = 0;
    struct error err;
    bool has;

    ask_headers(message_headers(message));
    assert_true(message_mime(message, &root, &err));
    for (struct message_part *part = root; part != NULL && parts < 2000;
         part = message_part_next(part, NULL), parts++)
        ask_part(part);
    assert_true(message_has_attachment(message, &has, &err));
    message_add_header(message, "X-Test", "안녕", true);
    assert_true(message_write(message, out, &err));
}

/* The body must come through an edited header byte for byte. */
static void check_body_kept(int in, off_t body_size, int out)
{
    off_t in_at = lseek(in, 0, SEEK_END) - body_size;
    off_t out_at = lseek(out, 0, SEEK_END) - body_size;
    char a[65536];
    char b[65536];

    while (body_size > 0) {
        ssize_t length = pread(in, a, sizeof(a), in_at);

        assert_true(length > 0);
        assert_int_equal(pread(out, b, (size_t)length, out_at), length);
        assert_memory_equal(a, b, length);
        in_at += length;
        out_at += length;
        body_size -= length;
    }
}

static void test_malformed(void **state)
{
    g_autofree char *directory = g_dir_make_tmp("vmail-test-XXXXXX", NULL);
    g_autofree char *script =
        g_build_filename(TEST_SOURCE_DIR, "tests/data/make_malformed.py", NULL);
    const char *argv[] = {PYTHON, script, directory, NULL};
    GDir *dir;
    const char *name;
    size_t count = 0;
    int status = -1;
    struct error err = {0};

    (void)state;
    assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL,
                             NULL, NULL, &status, NULL));
    assert_int_equal(status, 0);
    dir = g_dir_open(directory, 0, NULL);
    assert_non_null(dir);
    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_autofree char *copy = g_strconcat(directory, "/written", NULL);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        int out = open(copy, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        AUTO_MESSAGE message = message_open_fd(fd, NULL, &err);

        unlink(copy);
        if (message == NULL)
            fail_msg("%s: %s", name, err.text);
        ask_everything(message, out);
        check_body_kept(fd, message_body_size(message), out);
        close(fd);
        close(out);
        unlink(path);
        count++;
    }
    g_dir_close(dir);
    g_rmdir(directory);
    assert_true(count >= MESSAGES_AT_LEAST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_malformed)};
    const struct rlimit stack = {1 << 20, 1 << 20}; /* recursion over the input would be seen */

    setrlimit(RLIMIT_STACK, &stack);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
