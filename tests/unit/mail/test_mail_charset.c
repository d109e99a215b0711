#include "lda/mail/charset.h"

#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "testing.h"

#define BAD "\xEF\xBF\xBD"

static const struct {
    const char *bytes;
    size_t length; /* 0: strlen */
    const char *declared;
    const char *want;
} conversions[] = {
    {"plain", 0, NULL, "plain"},
    {"", 0, "utf-8", ""},
    {"안녕", 0, "UTF-8", "안녕"},
    {"안녕", 0, NULL, "안녕"},
    {"\xBE\xC8\xB3\xE7", 0, "euc-kr", "안녕"},
    {"\xBE\xC8\xB3\xE7", 0, "ks_c_5601-1987", "안녕"},
    {"\x8C\x63\xB9\xE6", 0, "euc-kr", "똠방"}, /* only CP949 has it */
    {"\xBE\xC8\xB3\xE7", 0, NULL, "안녕"},     /* by the default list */
    {"\xBE\xC8\xB3\xE7", 0, "us-ascii", "안녕"},
    {"\xBE\xC8\xB3\xE7", 0, "x-no-such", "안녕"},
    {"Gr\xF6\xDF"
     "e",
     0, NULL, "Größe"}, /* CP949 would read a hanja */
    {"f\xFCr", 0, NULL, "für"},
    {"\x80 100", 0, "iso-8859-1", "€ 100"}, /* what Windows means by Latin-1 */
    {"\x93\xFA\x96\x7B", 0, "shift_jis", "日本"},
    {"\x87\x40", 0, "Shift_JIS", "①"}, /* CP932 */
    {"\xC6\xFC\xCB\xDC", 0, "EUC-JP", "日本"},
    {"\x1b$BF|K\\\x1b(B", 0, "iso-2022-jp", "日本"},
    {"\x1b$BF|K\\\x1b(B", 0, NULL, "日本"}, /* told by its escapes */
    {"\xC4\xE3\xBA\xC3", 0, "gb2312", "你好"},
    {"\xA7\x41\xA6\x6E", 0, "big5", "你好"},
    {"\xF0\xD2\xC9\xD7\xC5\xD4", 0, "koi8-r", "Привет"},
    {"\xCF\xF0\xE8\xE2\xE5\xF2", 0, "windows-1251", "Привет"},
    {"\xB1\xE6", 0, "iso-8859-2", "ąć"},
    {"안녕", 0, "iso-2022-jp", "안녕"},                   /* the label lies */
    {"안녕하세\xEC\x9A", 0, "utf-8", "안녕하세" BAD BAD}, /* cut inside a character */
    {"a\0b", 3, NULL, "a" BAD "b"},
    {"a\0b", 3, "euc-kr", "a" BAD "b"},
    {"\xBE\xC8\xFF\xFF\xB3\xE7", 0, "euc-kr", "안" BAD BAD "녕"},
    {"\0a\0b", 4, "utf-16be", "ab"},
    {"\xff\xfe\x48\xc5", 4, "utf-16", "안"},
    {"\xD8\x00", 2, "utf-16be", BAD BAD},
    {"\xff\xfe\xfd", 3, NULL, "ÿþý"},
};

static void test_to_utf8(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(conversions); i++) {
        size_t length =
            conversions[i].length == 0 ? strlen(conversions[i].bytes) : conversions[i].length;
        g_autofree char *got =
            charset_to_utf8(conversions[i].bytes, length, conversions[i].declared, NULL);
        g_autofree char *row = g_strdup_printf("row %zu", i);

        assert_true(g_utf8_validate(got, -1, NULL));
        check_string(got, conversions[i].want, row);
    }
}

/* The site's list decides what undeclared bytes are. */
static void test_fallbacks(void **state)
{
    const char *const japanese[] = {"EUC-JP", NULL};
    const char *const none[] = {NULL};
    const char *const wrong[] = {"no-such-charset", NULL};
    const char *bytes = "\xC6\xFC\xCB\xDC";
    g_autofree char *a = charset_guess_utf8(bytes, 4, japanese);
    g_autofree char *b = charset_guess_utf8(bytes, 4, none);
    g_autofree char *c = charset_guess_utf8(bytes, 4, wrong);

    (void)state;
    assert_string_equal(a, "日本");
    assert_string_equal(b, "ÆüËÜ");
    assert_string_equal(c, "ÆüËÜ");
    assert_true(charset_is_known("EUC-KR"));
    assert_true(charset_is_known("iso-8859-15"));
    assert_true(charset_is_known("windows-1250"));
    assert_false(charset_is_known("no-such-charset"));
    assert_false(charset_is_known("ISO-2022-CN-EXT")); /* CVE-2024-2961 */
    assert_false(charset_is_known("UTF-8//TRANSLIT"));
    assert_false(charset_is_known("iso-8859-1/../../x"));
}

/* RFC 2047 section 8, and what is seen. */
static const struct {
    const char *raw;
    const char *want;
} headers[] = {
    {"", ""},
    {"plain text", "plain text"},
    {"a\tb", "a b"},
    {"(=?ISO-8859-1?Q?a?=)", "(a)"},
    {"=?ISO-8859-1?Q?a?= b", "a b"},
    {"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"},
    {"=?ISO-8859-1?Q?a?=  \t =?ISO-8859-1?Q?b?=", "ab"},
    {"=?ISO-8859-1?Q?a_b?=", "a b"},
    {"=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"},
    {"=?UTF-8?B?7JWI64WV?=", "안녕"},
    {"=?utf-8?b?7JWI64WV?= =?utf-8?b?7ZWY7IS47JqU?=", "안녕하세요"},
    {"Re: =?EUC-KR?B?vsiz5w==?= (2)", "Re: 안녕 (2)"},
    {"=?ks_c_5601-1987?B?vsiz5w==?=", "안녕"},
    {"=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=", "日本"},
    {"=?UTF-8*ko?B?7JWI64WV?=", "안녕"},
    /* a character split over two words */
    {"=?UTF-8?B?7JU=?= =?UTF-8?B?iA==?=", "안"},
    {"=?UTF-8?Q?=EC=95?= =?UTF-8?Q?=88?=", "안"},
    {"=?UTF-8?Q?=EC=95?= =?UTF-8?B?iA==?=", "안"},
    /* padding left out */
    {"=?UTF-8?B?7JWI64WVYQ?=", "안녕a"},
    /* words glued to text and to each other */
    {"a=?UTF-8?Q?b?=c", "abc"},
    {"=?UTF-8?Q?a?==?UTF-8?Q?b?=", "ab"},
    /* spaces and '?' inside */
    {"=?UTF-8?Q?a b?=", "a b"},
    {"=?UTF-8?Q?really?_yes?=", "really? yes"},
    /* broken ones stay text */
    {"=?UTF-8?Q?abc", "=?UTF-8?Q?abc"},
    {"=?UTF-8?X?abc?=", "=?UTF-8?X?abc?="},
    {"=?UTF-8?B", "=?UTF-8?B"},
    {"=?", "=?"},
    {"=?"
     "?Q?a?=",
     "=?"
     "?Q?a?="},
    {"=?UTF-8?Q?=?=", "="},
    {"=?UTF-8?Q?=4?=", "=4"},
    {"=?UTF-8?Q?=ZZ?=", "=ZZ"},
    {"=?UTF-8?Q?abc =?UTF-8?Q?def?=", "=?UTF-8?Q?abc def"},
    {"=?no-such?Q?=41?=", "A"},
    {"=?no-such?B?vsiz5w==?=", "안녕"},
    /* raw 8-bit beside words */
    {"\xBE\xC8 =?UTF-8?Q?=EB=85=95?=", "안 녕"},
    {"안녕 =?UTF-8?Q?a?=", "안녕 a"},
    /* what must not get out of a word */
    {"=?UTF-8?Q?a=0D=0AX:_y?=", "a  X: y"},
    {"=?UTF-8?Q?a=00b?=", "a" BAD "b"},
    {"=?UTF-8?B?"
     "?=",
     ""},
};

static void test_decode_header(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++) {
        g_autofree char *got = charset_decode_header(headers[i].raw, NULL);

        assert_true(g_utf8_validate(got, -1, NULL));
        check_string(got, headers[i].want, headers[i].raw);
    }
}

static char *unfold(const char *text)
{
    GString *out = g_string_new(NULL);

    for (; *text != '\0'; text++)
        if (*text != '\n')
            g_string_append_c(out, *text);
    return g_string_free(out, FALSE);
}

static const char *const round_trips[] = {
    "plain",
    "",
    "Re: 안녕하세요",
    "안녕하세요, 회의 일정을 보내 드립니다. 확인 부탁드립니다! 그리고 아주 긴 제목이 이어집니다 "
    "여러 줄로",
    "Grüße aus München",
    "会議のお知らせ: 来週の月曜日に変更になりました",
    "mixed ascii 그리고 한글 and more ascii words that make the whole thing rather long to fold",
    "=?UTF-8?Q?not_a_word?=",
    "홍길동 <hong@example.com>",
    "emoji 😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀",
    "a  b   c    d  spaces stay as they are when the line is folded somewhere in the middle of it "
    "all",
    " leading and trailing ",
};

/* What is encoded comes back, in lines that are short and ASCII. */
static void test_encode_header(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(round_trips); i++) {
        g_autofree char *encoded = charset_encode_header(round_trips[i], 9);
        g_autofree char *flat = unfold(encoded);
        g_autofree char *decoded = charset_decode_header(flat, NULL);
        g_auto(GStrv) lines = g_strsplit(encoded, "\n", -1);

        check_string(decoded, round_trips[i], encoded);
        assert_true(g_str_is_ascii(encoded));
        for (size_t line = 0; lines[line] != NULL; line++) {
            if (strlen(lines[line]) + (line == 0 ? 9 : 0) > 78)
                fail_msg("line of %zu: %s", strlen(lines[line]), lines[line]);
            if (line > 0)
                assert_true(lines[line][0] == ' ');
        }
    }
}

static void test_encode_is_safe(void **state)
{
    g_autofree char *injected = charset_encode_header("a\r\nBcc: x@y\n\tz", 9);
    g_autofree char *word = g_strnfill(5000, 'x');
    g_autofree char *bad = charset_encode_header("\xff\xfe", 9);
    g_autofree char *encoded = charset_encode_header(word, 9);
    g_auto(GStrv) lines = g_strsplit(encoded, "\n", -1);

    (void)state;
    assert_string_equal(injected, "a  Bcc: x@y  z");
    assert_true(g_str_is_ascii(bad));
    for (size_t i = 0; lines[i] != NULL; i++)
        assert_true(strlen(lines[i]) <= 998);
}

static void test_encode_phrase(void **state)
{
    static const struct {
        const char *name;
        const char *want;
    } rows[] = {
        {"", ""},
        {"Joe Q Public", "Joe Q Public"},
        {"Public, Joe", "\"Public, Joe\""},
        {"a \"b\" c", "\"a \\\"b\\\" c\""},
        {"홍길동", "=?UTF-8?B?7ZmN6ri464+Z?="},
        {"Jürgen", "=?UTF-8?Q?J=C3=BCrgen?="},
        {"=?x?Q?y?=", "=?UTF-8?Q?=3D=3Fx=3FQ=3Fy=3F=3D?="},
        {"a\nb", "a b"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        g_autofree char *got = charset_encode_phrase(rows[i].name);

        if (i == 6) { /* how it is encoded may change */
            g_autofree char *back = charset_decode_header(got, NULL);

            check_string(back, rows[i].name, got);
            continue;
        }
        check_string(got, rows[i].want, rows[i].name);
    }
}

static void test_cut(void **state)
{
    g_autofree char *cut = charset_cut_dup("안녕하세요", 2);

    (void)state;
    assert_string_equal(cut, "안녕");
    assert_int_equal(charset_cut("안녕", 10), 6);
    assert_int_equal(charset_cut("", 3), 0);
    assert_int_equal(charset_cut("abc", 0), 0);
    assert_int_equal(charset_cut_bytes("안녕", 6, 5), 3);
    assert_int_equal(charset_cut_bytes("안녕", 6, 3), 3);
    assert_int_equal(charset_cut_bytes("안녕", 6, 2), 0);
    assert_int_equal(charset_cut_bytes("abc", 3, 9), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to_utf8),
        cmocka_unit_test(test_fallbacks),
        cmocka_unit_test(test_decode_header),
        cmocka_unit_test(test_encode_header),
        cmocka_unit_test(test_encode_is_safe),
        cmocka_unit_test(test_encode_phrase),
        cmocka_unit_test(test_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
