#include "lda/mail/message.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "testing.h"

#define ORIGINAL "A: 1\nB:2\n folded\njunk\nC: 3\n\nbody\n"

static struct message *open_text(const char *text)
{
    return message_open_bytes(text, strlen(text), NULL);
}

/* What message_write gives, through a real file; checks message_size on the way. */
static char *written(struct message *message)
{
    char path[] = "/tmp/vmail-test-XXXXXX";
    int fd = mkstemp(path);
    struct error err;
    off_t length;
    char *text;

    assert_true(fd >= 0);
    unlink(path);
    assert_true(message_write(message, fd, &err));
    length = lseek(fd, 0, SEEK_CUR);
    assert_int_equal(length, message_size(message));
    text = g_malloc0((gsize)length + 1);
    assert_int_equal(pread(fd, text, (size_t)length, 0), length);
    close(fd);
    return text;
}

static void check_written(struct message *message, const char *want)
{
    g_autofree char *text = written(message);

    check_string(text, want, "written");
}

static void test_untouched(void **state)
{
    static const char *const texts[] = {ORIGINAL,       "", "\n", "no header\nat all", "A: 1",
                                        "A: 1\r\n\r\nb"};

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        AUTO_MESSAGE message = open_text(texts[i]);

        assert_false(message_is_edited(message));
        check_written(message, texts[i]);
    }
}

static void test_add(void **state)
{
    AUTO_MESSAGE message = open_text(ORIGINAL);
    AUTO_MESSAGE bare = open_text("no header\n");
    AUTO_MESSAGE cut = open_text("A: 1");
    AUTO_MESSAGE crlf = open_text("A: 1\r\n\r\nb\r\n");

    (void)state;
    message_add_header(message, "X-First", "one", false);
    message_add_header(message, "X-Last", "안녕", true);
    assert_true(message_is_edited(message));
    check_written(message, "X-First: one\nA: 1\nB:2\n folded\njunk\nC: 3\n"
                           "X-Last: =?UTF-8?B?7JWI64WV?=\n\nbody\n");
    assert_string_equal(headers_get(message_headers(message), "x-last"), "안녕");
    assert_string_equal(headers_name(message_headers(message), 0), "X-First");

    message_add_header(bare, "X", "y", true);
    check_written(bare, "X: y\n\nno header\n");
    message_add_header(cut, "X", "y", true);
    check_written(cut, "A: 1\nX: y\n\n");
    message_add_header(crlf, "X", "a\r\nEvil: yes", false);
    check_written(crlf, "X: a  Evil: yes\r\nA: 1\r\n\r\nb\r\n");
}

static void test_delete(void **state)
{
    AUTO_MESSAGE message = open_text(ORIGINAL);

    (void)state;
    message_delete_header(message, 1);
    assert_int_equal(headers_count(message_headers(message)), 2);
    assert_string_equal(headers_name(message_headers(message), 1), "C");
    check_written(message, "A: 1\nC: 3\n\nbody\n");
    message_delete_header(message, 0);
    message_delete_header(message, 0);
    check_written(message, "\nbody\n");
}

/* Savepoints: neither sees what the other does later. */
static void test_copy(void **state)
{
    AUTO_MESSAGE message = open_text(ORIGINAL);
    AUTO_MESSAGE copy = NULL;
    AUTO_MESSAGE second = NULL;

    (void)state;
    message_add_header(message, "X", "1", false);
    copy = message_copy(message);
    message_delete_header(message, 0);
    message_set_content(message, "text/plain", NULL, "new", 3);
    second = message_copy(message);
    check_written(copy, "X: 1\n" ORIGINAL);
    assert_true(message_is_edited(copy));
    assert_string_equal(headers_get(message_headers(copy), "B"), "2 folded");
    message_free(message);
    message = NULL;
    check_written(second, "A: 1\nB:2\n folded\njunk\nC: 3\nMIME-Version: 1.0\n"
                          "Content-Type: text/plain\n\nnew");
}

static void test_names(void **state)
{
    (void)state;
    assert_true(message_header_name_is_valid("X-Spam"));
    assert_false(message_header_name_is_valid(""));
    assert_false(message_header_name_is_valid("a:b"));
    assert_false(message_header_name_is_valid("a b"));
    assert_false(message_header_name_is_valid("a\nb"));
    assert_false(message_header_name_is_valid("한글"));
}

static void test_set_content(void **state)
{
    AUTO_MESSAGE message =
        open_text("Subject: s\nMIME-Version: 1.0\nContent-Type: multipart/mixed; "
                  "boundary=b\n\n--b\n\none\n--b--\n");
    struct message_part *old;
    struct message_part *root;
    g_autofree char *text = NULL;
    struct error err;

    (void)state;
    assert_true(message_mime(message, &old, &err));
    message_set_content(message, "text/html; charset=utf-8", "8bit", "<p>x", 4);
    check_written(message, "Subject: s\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n"
                           "Content-Transfer-Encoding: 8bit\n\n<p>x");
    assert_true(message_mime(message, &root, &err));
    assert_true(message_part_is(root, "text", "html"));
    assert_int_equal(message_body_size(message), 4);
    /* the old tree can still be read */
    assert_true(message_part_text(message_part_first_child(old), 100, &text, &err));
    assert_string_equal(text, "one");
}

static void test_set_entity(void **state)
{
    AUTO_MESSAGE message = open_text("Subject: s\nContent-Type: text/x\n\nold");
    const char *entity =
        "Content-Type: text/html\nX-Ignored: y\nContent-Language: ko\n\n<p>new</p>\n";

    (void)state;
    message_set_entity(message, entity, strlen(entity));
    check_written(message, "Subject: s\nMIME-Version: 1.0\nContent-Type: text/html\n"
                           "Content-Language: ko\n\n<p>new</p>\n");
}

static void test_replace_part(void **state)
{
    AUTO_MESSAGE message =
        open_text("Content-Type: multipart/mixed; boundary=b\n\npre\n--b\nContent-Type: text/x\n\n"
                  "one\n--b\n\ntwo\n--b--\nepi\n");
    const char *entity = "Content-Type: text/y\n\nnew";
    struct message_part *root;
    struct message_part *part;
    struct error err;

    (void)state;
    assert_true(message_mime(message, &root, &err));
    message_replace_part(message, message_part_first_child(root), entity, strlen(entity));
    check_written(message, "Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n"
                           "Content-Type: text/y\n\nnew\n--b\n\ntwo\n--b--\nepi\n");
    assert_true(message_mime(message, &root, &err));
    part = message_part_first_child(root);
    assert_true(message_part_is(part, "text", "y"));
    /* and again, in what is made of pieces now */
    message_replace_part(message, message_part_next_sibling(part), "\nthree", 6);
    check_written(message, "Content-Type: multipart/mixed; boundary=b\n\npre\n--b\n"
                           "Content-Type: text/y\n\nnew\n--b\n\nthree\n--b--\nepi\n");
}

static void test_enclose(void **state)
{
    AUTO_MESSAGE message = open_text("Subject: s\nContent-Type: text/html\n\n<p>body");
    struct message_part *root;
    struct message_part *part;
    g_autofree char *text = NULL;
    g_autofree char *inner = NULL;
    g_autofree char *deep = NULL;
    struct error err;

    (void)state;
    message_add_header(message, "X", "1", true);
    assert_true(message_enclose(message, "주의\n하세요\n", &err));
    assert_true(message_mime(message, &root, &err));
    assert_true(message_part_is(root, "multipart", "mixed"));
    assert_string_equal(headers_get(message_headers(message), "Subject"), "s");
    assert_int_equal(headers_count_of(message_headers(message), "Content-Type"), 1);
    part = message_part_first_child(root);
    assert_true(message_part_text(part, 100, &text, &err));
    assert_string_equal(text, "주의\n하세요");
    part = message_part_next_sibling(part);
    assert_true(message_part_is(part, "message", "rfc822"));
    part = message_part_first_child(part);
    assert_true(message_part_is(part, "text", "html"));
    assert_string_equal(headers_get(message_part_headers(part), "X"), "1");
    assert_true(message_part_text_source(part, 100, &inner, &err));
    assert_string_equal(inner, "<p>body");
    /* enclosing what is enclosed */
    for (int i = 0; i < 5; i++)
        assert_true(message_enclose(message, "again", &err));
    assert_true(message_mime(message, &root, &err));
    for (part = root; part != NULL; part = message_part_next(part, NULL))
        if (message_part_is(part, "text", "html"))
            break;
    assert_non_null(part);
    assert_int_equal(message_part_depth(part), 12);
    assert_true(message_part_text_source(part, 100, &deep, &err));
    assert_string_equal(deep, "<p>body");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_untouched),  cmocka_unit_test(test_add),
        cmocka_unit_test(test_delete),     cmocka_unit_test(test_copy),
        cmocka_unit_test(test_names),      cmocka_unit_test(test_set_content),
        cmocka_unit_test(test_set_entity), cmocka_unit_test(test_replace_part),
        cmocka_unit_test(test_enclose),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
