#include "lda/mail/address.h"

#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "testing.h"

/* One line per address: name|local|domain|full|group, '!' in front where not valid. */
static char *describe(const struct address_list *list)
{
    GString *out = g_string_new(NULL);

    for (size_t i = 0; i < list->count; i++) {
        const struct address *a = &list->items[i];

        g_string_append_printf(out, "%s%s|%s|%s|%s|%s%s", a->valid ? "" : "!",
                               a->name == NULL ? "" : a->name, a->local, a->domain, a->full,
                               a->group == NULL ? "" : a->group, i + 1 < list->count ? "\n" : "");
    }
    return g_string_free(out, FALSE);
}

static const struct {
    const char *raw;
    const char *want;
} lists[] = {
    {"", ""},
    {"  ,, , ", ""},
    {"joe@example.com", "|joe|example.com|joe@example.com|"},
    {"<joe@example.com>", "|joe|example.com|joe@example.com|"},
    {"Joe Q. Public <john.q.public@example.com>",
     "Joe Q. Public|john.q.public|example.com|john.q.public@example.com|"},
    {"\"Joe, Q\" <joe@x.org>, jane@y.org", "Joe, Q|joe|x.org|joe@x.org|\n|jane|y.org|jane@y.org|"},
    {"\"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
     "Giant; \"Big\" Box|sysservices|example.net|sysservices@example.net|"},
    {"joe@x.org (Joe (the) Public)", "Joe (the) Public|joe|x.org|joe@x.org|"},
    {"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
     "Pete|pete|silly.test|pete@silly.test|"},
    /* groups (RFC 5322 A.1.3) */
    {"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>; x@y",
     "Ed Jones|c|a.test|c@a.test|A Group\n|joe|where.test|joe@where.test|A Group\n"
     "John|jdoe|one.test|jdoe@one.test|A Group\n|x|y|x@y|"},
    {"undisclosed-recipients:;", ""},
    {"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", ""},
    {"a:b:c:x@y;", "|x|y|x@y|c"},
    {"unclosed: x@y", "|x|y|x@y|unclosed"},
    /* obsolete and odd */
    {"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example",
     "Mary Smith|mary|example.net|mary@example.net|\n|jdoe|test.example|jdoe@test.example|"},
    {"<@a.test,@b.test:u@c.test>", "|u|c.test|u@c.test|"},
    {"\"quoted local\"@example.com", "|quoted local|example.com|\"quoted local\"@example.com|"},
    {"\"a@b\"@example.com", "|a@b|example.com|\"a@b\"@example.com|"},
    {"\"abc\"@example.com", "|abc|example.com|abc@example.com|"},
    {"a.\"b c\".d@x", "|a.b c.d|x|\"a.b c.d\"@x|"},
    {"user@[192.0.2.1]", "|user|[192.0.2.1]|user@[192.0.2.1]|"},
    {"<user@[IPv6:2001:db8::1]>", "|user|[IPv6:2001:db8::1]|user@[IPv6:2001:db8::1]|"},
    {"foo..bar.@docomo.ne.jp", "|foo..bar.|docomo.ne.jp|foo..bar.@docomo.ne.jp|"},
    {"user+detail@example.com", "|user+detail|example.com|user+detail@example.com|"},
    {"a <b@c> <d@e>", "a|b|c|b@c|\n|d|e|d@e|"},
    {"a@b; c@d", "|a|b|a@b|\n|c|d|c@d|"},
    /* decoding */
    {"=?UTF-8?B?7ZmN6ri464+Z?= <hong@example.kr>", "홍길동|hong|example.kr|hong@example.kr|"},
    {"\"=?UTF-8?B?7ZmN6ri464+Z?=\" <hong@example.kr>", "홍길동|hong|example.kr|hong@example.kr|"},
    {"=?UTF-8?Q?Hong,_Gildong?= <h@x>", "Hong, Gildong|h|x|h@x|"},
    {"=?UTF-8?Q?=22Hong=22?= <h@x>", "Hong|h|x|h@x|"},
    {"\xC8\xAB\xB1\xE6\xB5\xBF <h@x>", "홍길동|h|x|h@x|"},
    {"h@x (=?UTF-8?B?7ZmN?=)", "홍|h|x|h@x|"},
    {"=?UTF-8?Q?G?=: h@x;", "|h|x|h@x|G"},
    {"사용자@도메인.한국", "|사용자|도메인.한국|사용자@도메인.한국|"},
    /* no addresses */
    {"<>", "!||||"},
    {"root", "!|||root|"},
    {"Nobody <>", "!Nobody||||"},
    {"a@b@c", "!|||a@b@c|"},
    {"two words@x", "!|||two words@x|"},
    {"x@", "!|||x@|"},
    {"@x", "!|||@x|"},
    {"x@a b", "!|||x@a b|"},
    /* not closed */
    {"Foo <foo@x.org", "Foo|foo|x.org|foo@x.org|"},
    {"Foo <foo@x.org, Bar <bar@x.org>", "Foo|foo|x.org|foo@x.org|\nBar|bar|x.org|bar@x.org|"},
    {"\"Foo <foo@x.org>", "Foo|foo|x.org|foo@x.org|"},
    {"Foo (bar <foo@x.org>", "Foo (bar|foo|x.org|foo@x.org|"},
    {"<<foo@x.org>>", "|foo|x.org|foo@x.org|"},
};

static void test_lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(lists); i++) {
        AUTO_ADDRESS_LIST list = address_list_parse(lists[i].raw, 0, NULL);
        g_autofree char *got = describe(list);

        assert_true(g_utf8_validate(got, -1, NULL));
        check_string(got, lists[i].want, lists[i].raw);
    }
}

static void test_empty_local(void **state)
{
    AUTO_ADDRESS_LIST list = address_list_parse("\"\"@example.com", 0, NULL);

    (void)state;
    assert_int_equal(list->count, 1);
    assert_true(list->items[0].valid);
    assert_string_equal(list->items[0].full, "\"\"@example.com");
}

/* Input that makes parsers recurse or run in squares: must end at once. */
static void test_hostile(void **state)
{
    static const char *const units[] = {"a:",         "(", "\"",   "<",   "<@a,", "=?a?Q?",
                                        "a@b,",       "[", "\\",   "(a)", ";",    ">",
                                        "=?a?Q?b?= ", ",", "\"\"", "<>",  "a<"};

    (void)state;
    for (size_t i = 0; i < COUNT(units); i++) {
        GString *text = g_string_new(NULL);

        while (text->len < 200000)
            g_string_append(text, units[i]);
        for (int tail = 0; tail < 2; tail++) {
            AUTO_ADDRESS_LIST list = address_list_parse(text->str, 0, NULL);

            assert_true(list->count <= ADDRESS_LIST_DEFAULT_MAX);
            g_string_append(text, " \" ) > real@example.com");
        }
        g_string_free(text, TRUE);
    }
}

static void test_bound(void **state)
{
    AUTO_ADDRESS_LIST list = address_list_parse("a@x, b@x, c@x", 2, NULL);
    AUTO_ADDRESS_LIST whole = address_list_parse("a@x, b@x", 2, NULL);

    (void)state;
    assert_int_equal(list->count, 2);
    assert_true(list->truncated);
    assert_false(whole->truncated);
}

static void test_path(void **state)
{
    static const struct {
        const char *path;
        const char *local; /* NULL: no address */
        const char *domain;
    } rows[] = {
        {"a@b", "a", "b"},
        {"<a@b>", "a", "b"},
        {"", "", ""},
        {"<>", "", ""},
        {"<@r:a@b>", "a", "b"},
        {"user", "user", ""},
        {"\"x y\"@b", "x y", "b"},
        {"사용자@한국", "사용자", "한국"},
        {"a@b@c", NULL, NULL},
        {"a b", NULL, NULL},
        {"a@", NULL, NULL},
        {"a@b\n", "a", "b"},
        {"a@b\nc", NULL, NULL},
        {"a\x01@b", NULL, NULL},
        {"a@b, c@d", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        g_autofree char *local = NULL;
        g_autofree char *domain = NULL;
        bool ok = address_parse_path(rows[i].path, &local, &domain);

        if (ok != (rows[i].local != NULL))
            fail_msg("%s: %d", rows[i].path, ok);
        check_string(local, rows[i].local, rows[i].path);
        check_string(domain, rows[i].domain, rows[i].path);
    }
}

static void test_detail(void **state)
{
    static const struct {
        const char *local;
        const char *delimiters;
        const char *user;
        const char *detail;
    } rows[] = {
        {"user+detail", "+", "user", "detail"},
        {"user", "+", "user", NULL},
        {"user+", "+", "user", ""},
        {"+user", "+", "+user", NULL},
        {"a+b+c", "+", "a", "b+c"},
        {"a-b+c", "+-", "a", "b+c"},
        {"a-b", "+", "a-b", NULL},
        {"a+b", "", "a+b", NULL},
        {"a+b", NULL, "a+b", NULL},
        {"", "+", "", NULL},
        {"홍+길", "+", "홍", "길"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        g_autofree char *user = NULL;
        g_autofree char *detail = NULL;

        address_split_detail(rows[i].local, rows[i].delimiters, &user, &detail);
        check_string(user, rows[i].user, rows[i].local);
        check_string(detail, rows[i].detail, rows[i].local);
    }
}

static void test_compare_and_format(void **state)
{
    g_autofree char *folded = address_domain_fold("XN--3E0B707E.");
    g_autofree char *upper = address_domain_fold("EXAMPLE.Com");
    g_autofree char *bad = address_domain_fold("xn--\xff..");
    g_autofree char *plain = address_format(NULL, "a@b");
    g_autofree char *korean = address_format("홍길동", "a@b");
    g_autofree char *comma = address_format("Public, Joe", "a@b");
    g_autofree char *joined = address_join("a b\"c", "d");

    (void)state;
    assert_string_equal(folded, "한국");
    assert_string_equal(upper, "example.com");
    assert_non_null(bad);
    assert_true(address_equal("Joe@Example.COM", "<joe@example.com>"));
    assert_true(address_equal("a@xn--3e0b707e", "a@한국"));
    assert_false(address_equal("a@b", "b@b"));
    assert_false(address_equal("not an address", "not an address"));
    assert_string_equal(plain, "a@b");
    assert_string_equal(korean, "=?UTF-8?B?7ZmN6ri464+Z?= <a@b>");
    assert_string_equal(comma, "\"Public, Joe\" <a@b>");
    assert_string_equal(joined, "\"a b\\\"c\"@d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_empty_local),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_detail),
        cmocka_unit_test(test_compare_and_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
