#include "lda/mail/message.h"

#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "testing.h"

static void describe_part(GString *out, struct message_part *part)
{
    g_autoptr(GBytes) raw = NULL;
    struct error err;
    gsize length;
    const char *data;

    g_string_append_printf(out, "%*s%s/%s", (int)message_part_depth(part), "",
                           message_part_type(part), message_part_subtype(part));
    if (message_part_first_child(part) == NULL) {
        assert_true(message_part_raw(part, 100, &raw, &err));
        data = g_bytes_get_data(raw, &length);
        g_string_append_c(out, '[');
        for (gsize i = 0; i < length; i++) {
            if (data[i] == '\n')
                g_string_append(out, "/");
            else
                g_string_append_c(out, data[i]);
        }
        g_string_append_c(out, ']');
    }
    g_string_append_c(out, '\n');
}

static char *describe(struct message *message)
{
    GString *out = g_string_new(NULL);
    struct message_part *root;
    struct error err;

    assert_true(message_mime(message, &root, &err));
    for (struct message_part *part = root; part != NULL; part = message_part_next(part, NULL))
        describe_part(out, part);
    return g_string_free(out, FALSE);
}

#define MIXED "Content-Type: multipart/mixed; boundary=b\n\n"

static const struct {
    const char *text;
    const char *want;
} trees[] = {
    {"", "text/plain[]\n"},
    {"\nbody\n", "text/plain[body/]\n"},
    {"Content-Type: TEXT/HTML; charset=x\n\nb", "text/html[b]\n"},
    {"Content-Type: nonsense\n\nb", "text/plain[b]\n"},
    {"Content-Type: text / (c) plain (c)\n\nb", "text/plain[b]\n"},
    {MIXED "--b\n\none\n--b\n\ntwo\n--b--\n",
     "multipart/mixed\n text/plain[one]\n text/plain[two]\n"},
    /* preamble and epilogue are of no part; the line end before a boundary belongs to it */
    {MIXED "pre\n--b\n\none\n\n--b\nContent-Type: text/x\n\ntwo\n--b--\nepi\n--b\n\nno",
     "multipart/mixed\n text/plain[one/]\n text/x[two]\n"},
    {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n",
     "multipart/mixed\n text/plain[one]\n"},
    {MIXED "--b  \t\n\none\n--b-- \n", "multipart/mixed\n text/plain[one]\n"},
    {MIXED "--b\n\none\n--bc\n--b-\n --b\n--b--",
     "multipart/mixed\n text/plain[one/--bc/--b-/ --b]\n"},
    /* not closed */
    {MIXED "--b\n\none", "multipart/mixed\n text/plain[one]\n"},
    {MIXED "--b\nContent-Type: text/x", "multipart/mixed\n text/x[]\n"},
    {MIXED "--b\nContent-Type: text/x\n--b\n\ny\n--b--",
     "multipart/mixed\n text/x[]\n text/plain[y]\n"},
    {MIXED "--b", "multipart/mixed\n text/plain[]\n"},
    {MIXED "nothing", "multipart/mixed[nothing]\n"},
    {"Content-Type: multipart/mixed\n\n--b\n\none\n--b--", "multipart/mixed[--b//one/--b--]\n"},
    {"Content-Type: multipart/mixed; boundary=\"\"\n\n--\n", "multipart/mixed[--/]\n"},
    {"Content-Type: multipart/mixed; boundary=\"a b?\\\"c\"\n\n--a b?\"c\n\none\n--a b?\"c--\n",
     "multipart/mixed\n text/plain[one]\n"},
    {"Content-Type: multipart/mixed; x=\"; boundary=no\"; (c) BOUNDARY = "
     "yes\n\n--yes\n\n1\n--yes--",
     "multipart/mixed\n text/plain[1]\n"},
    {"Content-Type: multipart/mixed; boundary=a/=_b; x=y\n\n--a/=_b\n\n1\n--a/=_b--",
     "multipart/mixed\n text/plain[1]\n"},
    {"Content-Type: multipart/mixed; boundary*0=ye; boundary*1=s\n\n--yes\n\n1\n--yes--",
     "multipart/mixed\n text/plain[1]\n"},
    /* no empty line behind the boundary */
    {MIXED "--b\nhello world\n--b--", "multipart/mixed\n text/plain[hello world]\n"},
    /* nested: the outer boundary ends the inner part (RFC 2046 5.1.2) */
    {MIXED "--b\nContent-Type: multipart/alternative; boundary=i\n\n--i\n\none\n--i\n"
           "Content-Type: text/html\n\ntwo\n--i--\n\n--b\n\nthree\n--b--\n",
     "multipart/mixed\n multipart/alternative\n  text/plain[one]\n  text/html[two]\n"
     " text/plain[three]\n"},
    {MIXED
     "--b\nContent-Type: multipart/alternative; boundary=i\n\n--i\n\none\n--b\n\nthree\n--b--",
     "multipart/mixed\n multipart/alternative\n  text/plain[one]\n text/plain[three]\n"},
    /* one boundary a prefix of the other; the same boundary twice */
    {MIXED "--b\nContent-Type: multipart/x; boundary=bb\n\n--bb\n\none\n--bb--\n--b\n\ntwo\n--b--",
     "multipart/mixed\n multipart/x\n  text/plain[one]\n text/plain[two]\n"},
    {MIXED "--b\nContent-Type: multipart/x; boundary=b\n\n--b\n\none\n--b--\n--b\n\ntwo\n--b--",
     "multipart/mixed\n multipart/x\n  text/plain[one]\n text/plain[two]\n"},
    {MIXED "--b\nContent-Type: multipart/x; boundary=b--\n\n--b--\n\none\n",
     "multipart/mixed\n multipart/x\n  text/plain[one/]\n"},
    /* messages inside */
    {"Content-Type: message/rfc822\n\nSubject: in\n\ninner",
     "message/rfc822\n text/plain[inner]\n"},
    {MIXED
     "--b\nContent-Type: message/rfc822\n\nSubject: in\nContent-Type: multipart/x; boundary=i\n\n"
     "--i\n\ndeep\n--i--\n--b\n\nlast\n--b--\n",
     "multipart/mixed\n message/rfc822\n  multipart/x\n   text/plain[deep]\n text/plain[last]\n"},
    {"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: 1\n\none\n--b\n\nSubject: 2\n\n"
     "two\n--b\nContent-Type: text/plain\n\nthree\n--b--\n",
     "multipart/digest\n message/rfc822\n  text/plain[one]\n message/rfc822\n  text/plain[two]\n"
     " text/plain[three]\n"},
    {"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdA==",
     "message/rfc822[U3ViamVjdA==]\n"},
    {"Content-Type: message/rfc822\n\n", "message/rfc822\n text/plain[]\n"},
    {"Content-Type: message/rfc822\n\nno header here",
     "message/rfc822\n text/plain[no header here]\n"},
    {"Content-Type: message/delivery-status\n\nA: b", "message/delivery-status[A: b]\n"},
};

static void test_trees(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(trees); i++) {
        AUTO_MESSAGE message = message_open_bytes(trees[i].text, strlen(trees[i].text), NULL);
        g_autofree char *got = describe(message);

        check_string(got, trees[i].want, trees[i].text);
        assert_false(message_mime_truncated(message));
    }
}

/* The n-th part, depth first. */
static struct message_part *part_at(struct message *message, int n)
{
    struct message_part *part;
    struct error err;

    assert_true(message_mime(message, &part, &err));
    while (n-- > 0)
        part = message_part_next(part, NULL);
    assert_non_null(part);
    return part;
}

static const struct {
    const char *text; /* one part */
    const char *want;
} texts[] = {
    {"\nplain\r\ntext\r\n", "plain\ntext\n"},
    {"Content-Type: text/plain; charset=euc-kr\nContent-Transfer-Encoding: base64\n\nvsiz5w==\n",
     "안녕"},
    {"Content-Type: text/plain; charset=\"euc-kr\"\n\n\xBE\xC8\xB3\xE7", "안녕"},
    {"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: Quoted-Printable\n\n"
     "=EC=95=88=\n=EB=85=95 =3D\n",
     "안녕 =\n"},
    {"Content-Type: text/plain; charset=iso-2022-jp\n\n\x1b$BF|K\\\x1b(B\n", "日本\n"},
    {"Content-Type: text/plain; charset=lies\n\n\xBE\xC8\xB3\xE7", "안녕"},
    {"Content-Transfer-Encoding: base64 (c)\n\nYWJj\n!!ZGVm\n", "abcdef"},
    {"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n#86)C\n`\nend\n", "abc"},
    {"Content-Transfer-Encoding: nonsense\n\nas is", "as is"},
    {"Content-Type: text/html; "
     "charset=utf-8\n\n<html><head><title>T</title><style>p{}</style></head>"
     "<body><p>One &amp; <b>two</b></p><script>var x='<p>';</script><!-- no > "
     "--><div>&#50504;&#xB155;"
     "&nbsp;&euro;&uuml;&bogus;</div>a<br>b</body></html>",
     "One & two\n안녕\u00A0€ü&bogus;\na\nb\n"},
    {"Content-Type: text/html\n\n<p title=\"a>b\">x < y</p><script>never closed", "x < y\n"},
    {"Content-Type: text/html\n\n<", "<\n"},
    {"Content-Type: text/html\n\n<!-- open", ""},
    {"Content-Type: text/html\n\n&#xFFFFFFFFFF;&#0;&#xD800;&#;&", "\uFFFD\uFFFD\uFFFD&#;&\n"},
};

static void test_texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        AUTO_MESSAGE message = message_open_bytes(texts[i].text, strlen(texts[i].text), NULL);
        g_autofree char *got = NULL;
        struct error err;

        assert_true(message_part_text(part_at(message, 0), 10000, &got, &err));
        check_string(got, texts[i].want, texts[i].text);
        assert_true(g_utf8_validate(got, -1, NULL));
    }
}

static void test_limits_of_content(void **state)
{
    const char *text =
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"
        "7JWI64WV7ZWY7IS47JqU\n";
    AUTO_MESSAGE message = message_open_bytes(text, strlen(text), NULL);
    struct message_part *part = part_at(message, 0);
    g_autofree char *cut = NULL;
    g_autoptr(GBytes) bytes = NULL;
    g_autoptr(GBytes) none = NULL;
    struct error err;

    (void)state;
    assert_true(message_part_text(part, 6, &cut, &err));
    assert_string_equal(cut, "안녕");
    assert_true(message_part_content(part, 4, &bytes, &err));
    assert_int_equal(g_bytes_get_size(bytes), 4);
    assert_true(message_part_content(part, 0, &none, &err));
    assert_int_equal(g_bytes_get_size(none), 0);
}

static void test_params(void **state)
{
    const char *text =
        "Content-Type: application/pdf; name=\"=?UTF-8?B?7JWI64WVLnBkZg==?=\"; X=\"a;b\"\n"
        "Content-Disposition: Attachment; filename*0*=euc-kr'ko'%BE%C8; filename*1=.pdf;\n "
        "size=12\n\n";
    AUTO_MESSAGE message = message_open_bytes(text, strlen(text), NULL);
    const char *raw = "Content-Type: text/plain; name=\xBE\xC8.txt\n\n";
    AUTO_MESSAGE eightbit = message_open_bytes(raw, strlen(raw), NULL);
    struct message_part *part = part_at(message, 0);

    (void)state;
    assert_string_equal(message_part_disposition(part), "attachment");
    assert_string_equal(message_part_filename(part), "안.pdf");
    assert_string_equal(message_part_param(part, "NAME"), "안녕.pdf");
    assert_string_equal(message_part_param(part, "x"), "a;b");
    assert_string_equal(message_part_disposition_param(part, "size"), "12");
    assert_null(message_part_param(part, "none"));
    assert_string_equal(message_part_encoding(part), "7bit");
    assert_string_equal(message_part_filename(part_at(eightbit, 0)), "안.txt");
}

static const struct {
    const char *text;
    bool has;
} attachments[] = {
    {"\nplain", false},
    {"Content-Type: text/html\n\n<p>", false},
    {"Content-Type: application/pdf\n\nx", true},
    {"Content-Type: text/plain; name=a.txt\n\nx", true},
    {"Content-Type: text/plain\nContent-Disposition: attachment\n\nx", true},
    {"Content-Type: text/plain\nContent-Disposition: inline\n\nx", false},
    {MIXED "--b\n\ntext\n--b\nContent-Type: image/png\n\nx\n--b--", true},
    {MIXED "--b\n\ntext\n--b\nContent-Type: message/rfc822\n\nA: b\n\nx\n--b--", true},
    {"Content-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n<img>\n--b\n"
     "Content-Type: image/png; name=logo.png\nContent-ID: <1>\n\nx\n--b--",
     false},
    {"Content-Type: multipart/signed; boundary=b\n\n--b\n\ntext\n--b\n"
     "Content-Type: application/pgp-signature; name=signature.asc\n\nx\n--b--",
     false},
    {"Content-Type: multipart/alternative; boundary=b\n\n--b\n\ntext\n--b\nContent-Type: "
     "text/html\n\n"
     "x\n--b--",
     false},
    {"Content-Type: multipart/encrypted; boundary=b\n\n--b\nContent-Type: application/pgp-encrypted"
     "\n\nVersion: 1\n--b\nContent-Type: application/octet-stream\n\nx\n--b--",
     false},
    {"Content-Type: multipart/report; boundary=b\n\n--b\n\ntext\n--b\n"
     "Content-Type: message/delivery-status\n\nx\n--b--",
     false},
};

static void test_attachments(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(attachments); i++) {
        AUTO_MESSAGE message =
            message_open_bytes(attachments[i].text, strlen(attachments[i].text), NULL);
        struct error err;
        bool has;

        assert_true(message_has_attachment(message, &has, &err));
        if (has != attachments[i].has)
            fail_msg("%s: %d", attachments[i].text, has);
    }
}

static void test_bounds(void **state)
{
    const struct message_options options = {.max_parts = 50, .max_depth = 10};
    GString *wide = g_string_new(MIXED);
    GString *deep = g_string_new("");
    struct message_part *root;
    struct message *message;
    struct error err;
    size_t count = 0;
    size_t depth = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        g_string_append(wide, "--b\n\n\n");
    message = message_open_bytes(wide->str, wide->len, &options);
    assert_true(message_mime(message, &root, &err));
    for (struct message_part *p = root; p != NULL; p = message_part_next(p, NULL))
        count++;
    assert_int_equal(count, 50);
    assert_true(message_mime_truncated(message));
    message_free(message);

    for (int i = 0; i < 2000; i++)
        g_string_append_printf(deep, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i,
                               i);
    message = message_open_bytes(deep->str, deep->len, &options);
    assert_true(message_mime(message, &root, &err));
    for (struct message_part *p = root; p != NULL; p = message_part_next(p, NULL))
        depth = MAX(depth, message_part_depth(p));
    assert_int_equal(depth, 9);
    assert_true(message_mime_truncated(message));
    message_free(message);

    g_string_truncate(deep, 0);
    for (int i = 0; i < 2000; i++)
        g_string_append(deep, "Content-Type: message/rfc822\n\n");
    message = message_open_bytes(deep->str, deep->len, &options);
    assert_true(message_mime(message, &root, &err));
    assert_true(message_mime_truncated(message));
    message_free(message);
    g_string_free(wide, TRUE);
    g_string_free(deep, TRUE);
}

static void test_outside(void **state)
{
    const char *text = MIXED "before\n--b\n\none\n--b--\nafter\n";
    AUTO_MESSAGE message = message_open_bytes(text, strlen(text), NULL);
    g_autoptr(GBytes) bytes = NULL;
    struct error err;

    (void)state;
    assert_true(message_part_outside(part_at(message, 0), 100, &bytes, &err));
    assert_int_equal(g_bytes_get_size(bytes), 13);
    assert_memory_equal(g_bytes_get_data(bytes, NULL), "before\nafter\n", 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trees),       cmocka_unit_test(test_texts),
        cmocka_unit_test(test_params),      cmocka_unit_test(test_limits_of_content),
        cmocka_unit_test(test_attachments), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_outside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
