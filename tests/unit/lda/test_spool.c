#include "lda/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <glib.h>
#include <cmocka.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/envelope.h"

#define TOP "Return-Path: <s@x>\n"
#define DELIVERED "Delivered-To: r@x\n"

static struct envelope envelope = {.user = "r@x", .sender = "s@x", .recipient = "r@x",
                                   .original_recipient = "r@x"};

/* A file with @length bytes, at its beginning. */
static int file_with(const char *data, size_t length)
{
    struct error err;
    int fd = memfd_create("spool", MFD_CLOEXEC);

    assert_true(fd >= 0);
    if (!io_write(fd, data, length, "memory", &err))
        fail_msg("%s", err.text);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static bool run(int input, const struct spool_options *options, char **ret_text,
                struct spool_result *ret_result, struct error *err)
{
    AUTO_FD output = memfd_create("out", MFD_CLOEXEC);
    size_t length;

    if (!spool_copy(input, output, options, ret_result, err))
        return false;
    lseek(output, 0, SEEK_SET);
    assert_true(io_read_all(output, SIZE_MAX / 4, ret_text, &length, "out", err));
    assert_int_equal(length, ret_result->size);
    return true;
}

static void texts(void **state)
{
    static const struct {
        const char *name, *input, *want;
    } rows[] = {
        {"plain", "A: b\n\nbody\n", TOP DELIVERED "A: b\n\nbody\n"},
        {"CRLF", "A: b\r\n\r\nbo\rdy\r\r\nx\r", TOP DELIVERED "A: b\n\nbo\rdy\r\nx\r"},
        {"From_ line", "From a@b Thu Jan  1\nA: b\n\nx\n", TOP DELIVERED "A: b\n\nx\n"},
        {"From_ line, CRLF", "From a@b\r\nA: b\r\n\r\nx", TOP DELIVERED "A: b\n\nx"},
        {"no header", "\nbody\n", TOP DELIVERED "\nbody\n"},
        {"no end of line", "hello", TOP DELIVERED "hello"},
        {"pipe's R and D", "Return-Path: <q@y>\nDelivered-To: r@x\nA: b\n\n",
         "Return-Path: <q@y>\nDelivered-To: r@x\nA: b\n\n"},
        {"pipe's R alone", "Return-Path: <q@y>\nA: b\n\n", "Return-Path: <q@y>\n" DELIVERED "A: b\n\n"},
        {"pipe's D alone", "delivered-to: R@X\nA: b\n\n", TOP "delivered-to: R@X\nA: b\n\n"},
        {"a body is no header", "A: b\n\nDelivered-To: r@x\n", TOP DELIVERED "A: b\n\nDelivered-To: r@x\n"},
        {"to somebody else before", "A: b\nDelivered-To: other@x\n\n",
         TOP DELIVERED "A: b\nDelivered-To: other@x\n\n"},
        {"only top fields", "Return-Path: <q@y>\n", "Return-Path: <q@y>\n" DELIVERED},
    };
    struct spool_options options = {.envelope = &envelope, .add_delivered_to = true,
                                    .check_loop = true};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        AUTO_FD input = file_with(rows[i].input, strlen(rows[i].input));
        AUTO_FREE char *text = NULL;
        struct spool_result result;
        struct error err;
        uint64_t lines = 0;

        if (!run(input, &options, &text, &result, &err))
            fail_msg("%s: %s", rows[i].name, err.text);
        if (strcmp(text, rows[i].want) != 0)
            fail_msg("%s: got\n%s", rows[i].name, text);
        for (const char *at = text; *at != '\0'; at++)
            lines += *at == '\n';
        assert_int_equal(result.size_crlf, result.size + lines);
    }
}

static void loops(void **state)
{
    static const char *const inputs[] = {
        "Received: x\nDelivered-To: r@x\n\n",
        "A: b\nDELIVERED-TO:   <R@X>  \n\n",
        "Delivered-To: r@x\nReceived: x\nDelivered-To: r@x\n\n",
        "Delivered-To: r@x\nDelivered-To: r@x\n\n",
    };
    struct spool_options options = {.envelope = &envelope, .check_loop = true};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(inputs); i++) {
        AUTO_FD input = file_with(inputs[i], strlen(inputs[i]));
        AUTO_FREE char *text = NULL;
        struct spool_result result;
        struct error err;

        options.check_loop = true;
        if (run(input, &options, &text, &result, &err))
            fail_msg("no loop: %s", inputs[i]);
        assert_int_equal(err.kind, ERROR_LOOP);
        /* a replay brings what a store held */
        options.check_loop = false;
        lseek(input, 0, SEEK_SET);
        assert_true(run(input, &options, &text, &result, &err));
    }
}

/* What a user redirected and what came back is stored; a header anybody can write for another
 * user changes nothing. */
static void a_redirect_that_comes_back(void **state)
{
    static const struct {
        const char *input;
        bool want;
    } rows[] = {
        {"Received: x\nX-Sieve-Redirected-From: r@x\nDelivered-To: r@x\n\n", true},
        {"Received: x\nDelivered-To: r@x\nX-Sieve-Redirected-From: <R@x>\n\n", true},
        {"Received: x\nDelivered-To: r@x\nX-Sieve-Redirected-From: other@x\n\n", false},
        {"Received: x\nDelivered-To: r@x\n\nX-Sieve-Redirected-From: r@x\n", false},
    };
    struct spool_options options = {.envelope = &envelope, .user = "r@x", .check_loop = true};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        AUTO_FD input = file_with(rows[i].input, strlen(rows[i].input));
        AUTO_FREE char *text = NULL;
        struct spool_result result;
        struct error err;

        if (run(input, &options, &text, &result, &err) != rows[i].want)
            fail_msg("%s", rows[i].input);
    }
}

static void original_recipient_and_unknown_sender(void **state)
{
    struct envelope other = envelope;
    struct spool_options options = {.envelope = &other, .add_delivered_to = true};
    AUTO_FD input = file_with("A: b\n\n", 6);
    AUTO_FREE char *text = NULL;
    struct spool_result result;
    struct error err;

    (void)state;
    other.original_recipient = "alias@x";
    other.sender = NULL;
    assert_true(run(input, &options, &text, &result, &err));
    assert_string_equal(text, "X-Original-To: alias@x\nDelivered-To: r@x\nA: b\n\n");
}

static void limits(void **state)
{
    struct spool_options options = {.envelope = &envelope, .size_limit = 10};
    AUTO_FD ten = file_with("A: b\n\nabcd", 10);
    AUTO_FD eleven = file_with("A: b\n\nabcde", 11);
    AUTO_FD none = file_with("", 0);
    AUTO_FD from_only = file_with("From x\n", 7);
    AUTO_FREE char *text = NULL;
    struct spool_result result;
    struct error err;

    (void)state;
    assert_true(run(ten, &options, &text, &result, &err));
    assert_false(run(eleven, &options, &text, &result, &err));
    assert_int_equal(err.kind, ERROR_BAD_DATA);
    options.size_limit = 0;
    assert_false(run(none, &options, &text, &result, &err));
    assert_int_equal(err.kind, ERROR_TEMPORARY);
    assert_false(run(from_only, &options, &text, &result, &err));
    assert_int_equal(err.kind, ERROR_TEMPORARY);
}

/* Whatever lies on a border of the buffer: line ends, a long first line, a long header. The digest is
 * that of the text with LF, and the same for LF and CRLF. */
static void borders(void **state)
{
    struct spool_options options = {.envelope = &envelope};
    static const size_t lengths[] = {32766, 32767, 32768, 65534, 65535, 65536, 65537, 131071};
    struct envelope unknown = envelope;

    (void)state;
    unknown.sender = NULL;
    options.envelope = &unknown;
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_autoptr(GString) lf = g_string_new("X-Long: ");
        g_autoptr(GString) crlf = g_string_new(NULL);
        struct spool_result results[2];
        struct error err;

        while (lf->len < lengths[i])
            g_string_append_c(lf, 'x');
        g_string_append(lf, "\nReceived: y\n\nline\n\nend\n");
        for (const char *at = lf->str; *at != '\0'; at++)
            g_string_append(crlf, *at == '\n' ? "\r\n" : (char[]){*at, '\0'});
        GString *inputs[] = {lf, crlf};
        g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, lf->str, -1);
        for (size_t j = 0; j < 2; j++) {
            AUTO_FD input = file_with(inputs[j]->str, inputs[j]->len);
            AUTO_FREE char *text = NULL;

            assert_true(run(input, &options, &text, &results[j], &err));
            assert_string_equal(text, lf->str);
            assert_string_equal(results[j].digest, digest);
            assert_int_equal(results[j].input_size, lf->len);
        }
    }
}

/* The delivery key must be the same whichever flags pipe(8) has, for a replay, and for the stored file. */
static void the_top_is_not_digested(void **state)
{
    static const struct {
        const char *name, *input;
        bool same;
    } rows[] = {
        {"pipe without flags", "Received: y\nA: b\n\nbody\n", true},
        {"From_ line", "From q@y Thu Jan  1\nReceived: y\nA: b\n\nbody\n", true},
        {"pipe's R, O, D", "Return-Path: <q@y>\nX-Original-To: a@x\nDelivered-To: r@x\n"
         "Received: y\nA: b\n\nbody\n", true},
        {"folded", "Return-Path:\n <q@y>\nReceived: y\nA: b\n\nbody\n", true},
        {"CRLF", "Return-Path: <q@y>\r\nReceived: y\r\nA: b\r\n\r\nbody\r\n", true},
        {"Delivered-To below the top", "Received: y\nDelivered-To: q@y\nA: b\n\nbody\n", false},
        {"another body", "Received: y\nA: b\n\nBody\n", false},
        {"an indented body", "Return-Path: <q@y>\n\n Received: y\nA: b\n\nbody\n", false},
    };
    struct spool_options options = {.envelope = &envelope, .add_delivered_to = true};
    char first[65] = "";

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        AUTO_FD input = file_with(rows[i].input, strlen(rows[i].input));
        AUTO_FREE char *text = NULL;
        struct spool_result result;
        struct error err;

        assert_true(run(input, &options, &text, &result, &err));
        if (i == 0)
            g_strlcpy(first, result.digest, sizeof first);
        if ((strcmp(result.digest, first) == 0) != rows[i].same)
            fail_msg("%s: %s", rows[i].name, result.digest);
        /* what was stored, replayed */
        AUTO_FD again = file_with(text, strlen(text));
        AUTO_FREE char *second_text = NULL;
        struct spool_result second;
        assert_true(run(again, &options, &second_text, &second, &err));
        assert_string_equal(second.digest, result.digest);
    }
}

/* A pipe gives what it has: here one byte at a time. */
static void bytes_one_by_one(void **state)
{
    static const char text[] = "From x\r\nReturn-Path: <q@y>\r\nA: b\r\n\r\nbody\r\r\n";
    struct spool_options options = {.envelope = &envelope, .add_delivered_to = true};
    AUTO_FREE char *got = NULL;
    struct spool_result result;
    struct error err;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        for (size_t i = 0; i < sizeof text - 1; i++) {
            if (write(ends[1], text + i, 1) != 1)
                _exit(1);
            g_usleep(200);
        }
        _exit(0);
    }
    close(ends[1]);
    assert_true(run(ends[0], &options, &got, &result, &err));
    close(ends[0]);
    assert_string_equal(got, "Return-Path: <q@y>\n" DELIVERED "A: b\n\nbody\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(loops),
        cmocka_unit_test(a_redirect_that_comes_back),
        cmocka_unit_test(original_recipient_and_unknown_sender),
        cmocka_unit_test(limits),
        cmocka_unit_test(borders),
        cmocka_unit_test(the_top_is_not_digested),
        cmocka_unit_test(bytes_one_by_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
