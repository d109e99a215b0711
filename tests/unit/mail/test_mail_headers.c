#include "lda/mail/message.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "testing.h"

static struct message *open_text(const char *text)
{
    return message_open_bytes(text, strlen(text), NULL);
}

/* name=value lines, then the body. */
static char *describe(struct message *message)
{
    GString *out = g_string_new(NULL);
    struct headers *headers = message_headers(message);
    g_autoptr(GBytes) body = NULL;
    struct error err;

    for (size_t i = 0; i < headers_count(headers); i++)
        g_string_append_printf(out, "%s=%s\n", headers_name(headers, i), headers_value(headers, i));
    assert_true(message_body_raw(message, 1000, &body, &err));
    g_string_append_printf(out, "[%.*s]", (int)g_bytes_get_size(body),
                           (const char *)g_bytes_get_data(body, NULL));
    return g_string_free(out, FALSE);
}

static const struct {
    const char *text;
    const char *want;
} messages[] = {
    {"", "[]"},
    {"\n", "[]"},
    {"\nbody\n", "[body\n]"},
    {"A: 1\nB: 2\n\nbody\n", "A=1\nB=2\n[body\n]"},
    {"A: 1\r\nB: 2\r\n\r\nbody\r\n", "A=1\nB=2\n[body\r\n]"},
    {"A: 1\n", "A=1\n[]"},
    {"A: 1", "A=1\n[]"},
    {"A:\n\nbody", "A=\n[body]"},
    {"A: one\n two\n\tthree\n\n", "A=one two three\n[]"},
    {"A: one\n  \n two\n\nb", "A=one   two\n[b]"},
    {"A : obsolete\n\nb", "A=obsolete\n[b]"},
    {"From x@y Mon Jan  1 00:00:00 2024\nA: 1\n\nb", "A=1\n[b]"},
    {"From x@y Mon Jan  1 00:00:00 2024\n\nb", "[b]"},
    /* no header */
    {"hello world\nsecond: line\n\nbody", "[hello world\nsecond: line\n\nbody]"},
    {" folded first\nA: 1\n\nb", "[ folded first\nA: 1\n\nb]"},
    {": no name\n\nb", "[: no name\n\nb]"},
    {"no colon at all", "[no colon at all]"},
    /* a line that is no field is passed over, with what is folded behind it */
    {"A: 1\njunk line\n folded junk\nB: 2\n\nb", "A=1\nB=2\n[b]"},
    {"A: 1\n>From x@y\nB: 2\n\nb", "A=1\nB=2\n[b]"},
    {"A: 1\rB: 2\n\nb", "A=1 B: 2\n[b]"},
    {"Subject: =?UTF-8?B?7JWI?=\n =?UTF-8?B?64WV?=\n\n", "Subject=안녕\n[]"},
    {"Subject: \xBE\xC8\xB3\xE7\n\n", "Subject=안녕\n[]"},
};

static void test_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(messages); i++) {
        AUTO_MESSAGE message = open_text(messages[i].text);
        g_autofree char *got = describe(message);

        check_string(got, messages[i].want, messages[i].text);
        assert_false(headers_truncated(message_headers(message)));
    }
}

static void test_nul(void **state)
{
    static const char text[] = "A: x\0y\nB\0C: 1\nD: 2\n\nbo\0dy";
    AUTO_MESSAGE message = message_open_bytes(text, sizeof(text) - 1, NULL);
    struct headers *headers = message_headers(message);

    (void)state;
    assert_int_equal(headers_count(headers), 2);
    assert_string_equal(headers_value(headers, 0), "x?y");
    assert_string_equal(headers_name(headers, 1), "D");
    assert_int_equal(message_body_size(message), 5);
}

static void test_find(void **state)
{
    AUTO_MESSAGE message = open_text("Received: 1\nSUBJECT: s\nreceived: 2\n\n");
    struct headers *headers = message_headers(message);

    (void)state;
    assert_int_equal(headers_find(headers, "Received", 0), 0);
    assert_int_equal(headers_find(headers, "Received", 1), 2);
    assert_true(headers_find(headers, "Received", 3) == HEADERS_NONE);
    assert_int_equal(headers_count_of(headers, "RECEIVED"), 2);
    assert_string_equal(headers_get(headers, "subject"), "s");
    assert_null(headers_get(headers, "to"));
    assert_null(headers_get_raw(headers, "to"));
}

/* What is beyond the bounds cannot be read, but nothing of the message gets lost. */
static void test_bounds(void **state)
{
    struct message_options options = {.max_fields = 2};
    struct message_options narrow = {.max_field_bytes = 8};
    const char *text = "A: 1\nB: 2\nC: 3\nD: 4\n\nbody";
    AUTO_MESSAGE few = message_open_bytes(text, strlen(text), &options);
    AUTO_MESSAGE cut = message_open_bytes("A: 123456789\n\nbody", 18, &narrow);
    g_autofree char *got = NULL;
    g_autoptr(GBytes) header = NULL;
    struct error err;

    (void)state;
    assert_int_equal(headers_count(message_headers(few)), 2);
    assert_true(headers_truncated(message_headers(few)));
    assert_int_equal(message_body_size(few), 4);
    message_delete_header(few, 0);
    message_add_header(few, "E", "5", false);
    assert_true(message_header_bytes(few, 1000, &header, &err));
    assert_int_equal(g_bytes_get_size(header), strlen("E: 5\nB: 2\nC: 3\nD: 4\n\n"));
    assert_memory_equal(g_bytes_get_data(header, NULL), "E: 5\nB: 2\nC: 3\nD: 4\n\n", 21);

    got = describe(cut);
    assert_string_equal(got, "A=12345\n[body]");
    assert_true(headers_truncated(message_headers(cut)));
}

static int temporary_file(const char *data, size_t length)
{
    char path[] = "/tmp/vmail-test-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(write(fd, data, length), length);
    return fd;
}

/* A line of header longer than the reader's buffer, and a file instead of memory. */
static void test_long_line_in_file(void **state)
{
    GString *text = g_string_new("Subject: ");
    struct message *message;
    struct error err;
    off_t size;
    int fd;

    (void)state;
    for (int i = 0; i < 150000; i++)
        g_string_append_c(text, (char)('a' + i % 26));
    g_string_append(text, "\n b\nTo: x@y\n\nbody");
    fd = temporary_file(text->str, text->len);
    message = message_open_fd(fd, NULL, &err);
    assert_non_null(message);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), (off_t)text->len);
    close(fd);
    size = message_size(message);
    assert_int_equal(size, text->len);
    assert_int_equal(strlen(headers_get(message_headers(message), "Subject")), 150002);
    assert_string_equal(headers_get(message_headers(message), "To"), "x@y");
    assert_int_equal(message_body_size(message), 4);
    message_free(message);
    g_string_free(text, TRUE);
}

static void test_errors(void **state)
{
    struct error err = {0};
    g_autoptr(GBytes) body = NULL;
    int fds[2];
    int fd;
    struct message *message;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_null(message_open_fd(fds[0], NULL, &err));
    assert_int_equal(err.kind, ERROR_TEMPORARY);
    close(fds[0]);
    close(fds[1]);
    assert_null(message_open_fd(fds[0], NULL, &err));

    /* the file becomes shorter while we read */
    fd = temporary_file("A: 1\n\nbody", 10);
    message = message_open_fd(fd, NULL, &err);
    assert_non_null(message);
    assert_int_equal(ftruncate(fd, 7), 0);
    error_clear(&err);
    assert_false(message_body_raw(message, 100, &body, &err));
    assert_int_equal(err.kind, ERROR_TEMPORARY);
    message_free(message);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),   cmocka_unit_test(test_nul),
        cmocka_unit_test(test_find),   cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_errors), cmocka_unit_test(test_long_line_in_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
