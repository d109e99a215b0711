/* A large message is read in pieces: what a delivery asks of it must not depend on its size. */
#include "lda/mail/address.h"
#include "lda/mail/message.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <glib.h>

#include "testing.h"

#define SIZE_OF_BODY (50 << 20)
#define GROWTH_MAX_KIB (24 << 10) /* far above what is used, far below the message */

static void write_all(int fd, const char *data, size_t length)
{
    assert_int_equal(write(fd, data, length), length);
}

static int large_message(void)
{
    static const char head[] =
        "From: =?UTF-8?B?7ZmN6ri464+Z?= <hong@example.kr>\nTo: a@example.com, b@example.com\n"
        "Subject: large\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\n"
        "Content-Type: application/zip\nContent-Disposition: attachment; filename=a.zip\n"
        "Content-Transfer-Encoding: base64\n\n";
    char path[] = "/tmp/vmail-test-XXXXXX";
    char block[77 * 1000];
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = i % 77 == 76 ? '\n' : (char)('A' + i % 26);
    write_all(fd, head, strlen(head));
    for (size_t written = 0; written < SIZE_OF_BODY; written += sizeof(block))
        write_all(fd, block, sizeof(block));
    write_all(fd, "--b--\n", 6);
    return fd;
}

static long peak_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void test_large_message(void **state)
{
    int fd = large_message();
    int out = dup(fd);
    long before = peak_kib();
    struct message *message;
    struct address_list *from;
    struct message_part *root;
    g_autofree char *text = NULL;
    struct error err;
    bool has = false;

    (void)state;
    message = message_open_fd(fd, NULL, &err);
    assert_non_null(message);
    from = address_list_parse(headers_get_raw(message_headers(message), "From"), 0, NULL);
    assert_string_equal(from->items[0].name, "홍길동");
    address_list_free(from);
    assert_true(message_has_attachment(message, &has, &err));
    assert_true(has);
    assert_true(message_mime(message, &root, &err));
    assert_true(message_part_text(message_part_next_sibling(message_part_first_child(root)), 10000,
                                  &text, &err));
    message_add_header(message, "X-Test", "1", true);
    assert_true(message_size(message) > SIZE_OF_BODY);
    /* Written behind itself in the same file: the copy is a stream too. */
    lseek(out, 0, SEEK_END);
    assert_true(message_write(message, out, &err));
    assert_true(peak_kib() - before < GROWTH_MAX_KIB);
    message_free(message);
    close(fd);
    close(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_large_message)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
