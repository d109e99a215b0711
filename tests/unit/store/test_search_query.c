/* The query language: what a person types, the tree it means, and what hostile input gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "store/search_query.h"

/* 2024-03-15 12:00:00 UTC, a Friday */
#define NOW 1710504000

static const struct {
    const char *text, *want;
} good[] = {
    { "", "(and)" },
    { "   ", "(and)" },
    { "kim", "(text \"kim\")" },
    { "KIM", "(text \"kim\")" },
    { "ＫＩＭ", "(text \"kim\")" },
    { "Straße", "(text \"strasse\")" },
    { "보고", "(text \"보고\")" },
    { "ﾎﾟﾁ", "(text \"ポチ\")" },
    { "a b", "(and (text \"a\") (text \"b\"))" },
    { "a or b c", "(or (text \"a\") (and (text \"b\") (text \"c\")))" },
    { "a OR b", "(or (text \"a\") (text \"b\"))" },
    { "(a or b) c", "(and (or (text \"a\") (text \"b\")) (text \"c\"))" },
    { "order", "(text \"order\")" },
    { "do not reply and go", "(and (text \"do\") (text \"not\") (text \"reply\") (text \"and\") (text \"go\"))" },
    { "\"or\"", "(text \"or\")" },
    { "-a", "(not (text \"a\"))" },
    { "-(a b)", "(not (and (text \"a\") (text \"b\")))" },
    { "-from:kim", "(not (from \"kim\"))" },
    { "--a", "(not (text \"-a\"))" },
    { "-", "(text \"-\")" },
    { "a - b", "(and (text \"a\") (text \"-\") (text \"b\"))" },
    { "well-known", "(text \"well-known\")" },
    { "\"weekly  Report\"", "(text \"weekly report\")" },
    { "\"say \\\"hi\\\" \\\\o\"", "(text \"say \\\"hi\\\" \\\\o\")" },
    { "from:Kim@X.example", "(from \"kim@x.example\")" },
    { "FROM:kim", "(from \"kim\")" },
    { "from: kim", "(from \"kim\")" },
    { "from:\"김 철수\"", "(from \"김 철수\")" },
    { "to:a cc:b subject:c list:d", "(and (to \"a\") (cc \"b\") (subject \"c\") (list \"d\"))" },
    { "in:INBOX.Important", "(in \"INBOX.Important\")" },
    { "in:\"보낸 편지함\"", "(in \"보낸 편지함\")" },
    { "is:unread is:Flagged -is:read", "(and (unread) (flagged) (not (read)))" },
    { "has:attachment", "(attachment)" },
    { "larger:10K smaller:2M larger:5", "(and (larger 10240) (smaller 2097152) (larger 5))" },
    { "before:2024-01-31", "(before 1706659200)" },
    { "after:2024", "(after 1704067200)" },
    { "after:2024-02", "(after 1706745600)" },
    { "on:2024-02-29", "(and (after 1709164800) (before 1709251200))" },
    { "on:2024-02", "(and (after 1706745600) (before 1709251200))" },
    { "on:today", "(and (after 1710460800) (before 1710547200))" },
    { "after:7d", "(after 1709856000)" },
    { "on:yesterday", "(and (after 1710374400) (before 1710460800))" },
    /* other "x:" are words */
    { "re:", "(text \"re:\")" },
    { "http://x.example/?a=1", "(text \"http://x.example/?a=1\")" },
    /* nothing but the syntax above has a meaning */
    { "100%", "(text \"100%\")" },
    { "a_b*", "(text \"a_b*\")" },
    { "'; DROP TABLE email_headers; --", "(and (text \"';\") (text \"drop\") (text \"table\") (text \"email_headers;\") (not (text \"-\")))" },
    { "\\", "(text \"\\\\\")" },
    { "보고서(최종)", "(and (text \"보고서\") (text \"최종\"))" },
    { "()", "(and)" },
    { "\"\"", "(and)" },
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        struct query *query = NULL;
        struct error err = { 0 };
        g_autofree char *got = NULL;

        if (!query_parse(good[i].text, strlen(good[i].text), NOW, 0, &query, &err))
            fail_msg("%s: %s", good[i].text, err.text);
        got = query_describe(query);
        if (strcmp(got, good[i].want) != 0)
            fail_msg("%s:\n got %s\nwant %s", good[i].text, got, good[i].want);
        query_free(query);
    }
}

static const struct {
    const char *text, *want; /* part of the sentence */
} bad[] = {
    { "\"abc", "character 1 of the query: the quote" },
    { "김 \"abc", "character 3 of the query: the quote" },
    { "(a", "character 1 of the query: the parenthesis (" },
    { "a)", "character 2 of the query: the parenthesis )" },
    { "from:", "nothing stands behind" },
    { "in: ", "nothing stands behind" },
    { "or a", "nothing stands before" },
    { "a or", "nothing stands behind \"or\"" },
    { "(a or ) b", "nothing stands behind \"or\"" },
    { "before:2024-13-01", "a date is" },
    { "before:2023-02-29", "a date is" },
    { "before:0000", "a date is" },
    { "before:99999d", "a date is" },
    { "on:soon", "a date is" },
    { "larger:K", "a size is" },
    { "larger:9999999999", "a size is" },
    { "larger:-1", "a size is" },
    { "larger:1T", "a size is" },
    { "is:pink", "can be: unread" },
    { "has:wings", "can be: attachment" },
    { "\xff\xfe", "not valid UTF-8" },
    { "((((((((((((((((((((a))))))))))))))))))))", "too many parentheses" },
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        struct query *query = NULL;
        struct error err = { 0 };

        if (query_parse(bad[i].text, strlen(bad[i].text), NOW, 0, &query, &err))
            fail_msg("%s was taken", bad[i].text);
        assert_null(query);
        assert_int_equal(err.kind, ERROR_USAGE);
        if (!strstr(err.text, bad[i].want))
            fail_msg("%s: got: %s", bad[i].text, err.text);
    }
}

static void test_too_much(void **state)
{
    g_autofree char *megabyte = g_strnfill(1 << 20, 'a');
    g_autoptr(GString) words = g_string_new(NULL);
    struct query *query = NULL;
    struct error err = { 0 };

    (void)state;
    assert_false(query_parse(megabyte, 1 << 20, NOW, 0, &query, &err));
    assert_non_null(strstr(err.text, "too long"));
    assert_false(query_parse("a\0b", 3, NOW, 0, &query, &err));
    assert_non_null(strstr(err.text, "NUL"));
    for (int i = 0; i < 65; i++)
        g_string_append(words, "a ");
    assert_false(query_parse(words->str, words->len, NOW, 0, &query, &err));
    assert_non_null(strstr(err.text, "too many words"));
}

/* A day starts where the caller's clock says: 09:00 east of Greenwich. */
static void test_offset(void **state)
{
    struct query *query = NULL;
    struct error err = { 0 };
    g_autofree char *got = NULL;

    (void)state;
    assert_true(query_parse("before:2024-01-31 after:today", 29, NOW, 9 * 3600, &query, &err));
    got = query_describe(query);
    assert_string_equal(got, "(and (before 1706626800) (after 1710428400))");
    query_free(query);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_offset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
