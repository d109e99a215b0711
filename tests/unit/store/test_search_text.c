/* Folding, the search document, index tokens, initial consonants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "store/search_text.h"

static const struct {
    const char *name, *text, *want;
} folds[] = {
    { "case", "Weekly REPORT", "weekly report" },
    { "full width", "ＡＢＣ　１２３", "abc 123" },
    { "half-width kana", "ﾃｽﾄ", "テスト" },
    { "decomposed Hangul", "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "한" },
    { "sharp s", "Straße", "strasse" },
    { "final sigma", "ΟΔΟΣ", "οδοσ" },
    { "ligature", "ﬁle", "file" },
    { "combining", "Ame\xcc\x81lie", "amélie" },
    { "spaces", "  a\t\r\n b  ", "a b" },
    { "zero width", "re\xe2\x80\x8bport soft\xc2\xadly", "report softly" },
    { "separators are cut out", "a\x1c" "b\x1f" "c", "a b c" },
    { "invalid", "a\xff" "b", "a\xef\xbf\xbd" "b" },
    { "emoji", "🎉 Party", "🎉 party" },
    { "empty", "", "" },
};

static void test_fold(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(folds); i++) {
        g_autofree char *got = search_fold(folds[i].text);
        g_autofree char *again = search_fold(got);

        if (strcmp(got, folds[i].want) != 0)
            fail_msg("%s: got \"%s\"", folds[i].name, got);
        if (strcmp(got, again) != 0)
            fail_msg("%s: folds further to \"%s\"", folds[i].name, again);
    }
}

static void test_fold_is_bounded(void **state)
{
    g_autofree char *many = g_strnfill(3 << 20, 'A');
    g_autoptr(GString) expands = g_string_new(NULL);
    g_autofree char *got = NULL, *long_got = NULL;

    (void)state;
    got = search_fold_limited(many, 3 << 20, 1000);
    assert_int_equal(strlen(got), 1000);
    for (int i = 0; i < 50000; i++)
        g_string_append(expands, "\xef\xb7\xba"); /* U+FDFA: 18 characters in NFKC */
    long_got = search_fold_limited(expands->str, expands->len, SEARCH_FIELD_MAX);
    assert_true(strlen(long_got) <= SEARCH_FIELD_MAX);
    assert_true(strlen(long_got) > SEARCH_FIELD_MAX - 4);
    assert_true(g_utf8_validate(long_got, -1, NULL));
}

static void test_document(void **state)
{
    g_autofree char *document =
        search_document_new("Re: 보고서", "김철수 <Kim@X.example>", "a@y.example", NULL, "dev.list");
    static const char *const want[] = { "re: 보고서", "김철수 <kim@x.example>", "a@y.example", "",
                                        "dev.list" };

    (void)state;
    assert_string_equal(document, "re: 보고서\x1c"
                                  "김철수 <kim@x.example>\x1d"
                                  "a@y.example\x1e\x1f"
                                  "dev.list");
    for (int i = 0; i < SEARCH_FIELDS; i++) {
        size_t length;
        const char *field = search_document_field(document, (enum search_field)i, &length);

        assert_int_equal(length, strlen(want[i]));
        assert_memory_equal(field, want[i], length);
    }
}

static void test_foreign_document(void **state)
{
    size_t length;

    (void)state;
    search_document_field("by hand", SEARCH_FIELD_SUBJECT, &length);
    assert_int_equal(length, 7);
    search_document_field("by hand", SEARCH_FIELD_CC, &length);
    assert_int_equal(length, 0);
}

static char *joined(GPtrArray *tokens)
{
    char *text;

    g_ptr_array_add(tokens, NULL);
    text = g_strjoinv(" ", (char **)tokens->pdata);
    g_ptr_array_unref(tokens);
    return text;
}

static const struct {
    const char *folded, *document_tokens, *query_tokens;
} tokens[] = {
    { "abc", "7_abc 7_bc", "7_abc" },
    { "a1b2", "7_1b2 7_a1b 7_b2", "7_1b2 7_a1b" },
    { "ab", "7_ab", "" },
    { "a b", "", "" },
    { "aaa aaa", "7_aa 7_aaa", "7_aaa" },
    { "보고서", "7_고 7_고서 7_보 7_보고 7_서", "7_고서 7_보고" },
    { "김", "7_김", "7_김" },
    { "김 씨x", "7_김 7_씨 7_씨x", "7_김 7_씨x" },
    { "xy김z", "7_xy 7_y김 7_김 7_김z", "7_xy 7_y김 7_김z" },
    { "müne", "7_mü 7_ne 7_ün", "7_mü 7_ün" },
    { "a@b.com", "7_com 7_om", "7_com" },
    { "%_'\"", "", "" },
    { "", "", "" },
};

static void test_tokens(void **state)
{
    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(tokens); i++) {
        g_autofree char *document = joined(search_tokens_new("7_", tokens[i].folded));
        g_autofree char *query = joined(search_query_tokens_new("7_", tokens[i].folded, 100));

        assert_string_equal(document, tokens[i].document_tokens);
        assert_string_equal(query, tokens[i].query_tokens);
    }
}

/* Where all of no tokens would narrow nothing: one of the choices is there. False: there are none. */
static bool check_choices(const char *part, GHashTable *set)
{
    g_autoptr(GPtrArray) choices = search_query_choices_new("1_", part);
    bool any = false;

    for (guint i = 0; i < choices->len; i++)
        any = any || g_hash_table_contains(set, choices->pdata[i]);
    if (choices->len > 0 && !any)
        fail_msg("\"%s\": none of its choices", part);
    return choices->len > 0;
}

/* The promise the search stands on: whatever is a substring of a document, its query tokens are
 * among the document's. Every substring of a few mixed texts. */
static void test_tokens_cover_substrings(void **state)
{
    static const char *const texts[] = {
        "re: 주간보고 weekly report <kim@x.example>", "株式会社テスト co.,ltd 🎉🎉 straße",
        "a1김b2 ㄱㄴ é\xcc\x81 100%_x",
    };
    int compared = 0, choices = 0;

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *folded = search_fold(texts[i]);
        GPtrArray *have = search_tokens_new("1_", folded);
        GHashTable *set = g_hash_table_new(g_str_hash, g_str_equal);

        for (guint k = 0; k < have->len; k++)
            g_hash_table_add(set, have->pdata[k]);
        for (const char *from = folded; *from; from = g_utf8_next_char(from))
            for (const char *to = g_utf8_next_char(from);; to = g_utf8_next_char(to)) {
                g_autofree char *part = g_strndup(from, (gsize)(to - from));
                GPtrArray *need = search_query_tokens_new("1_", part, 1000);

                for (guint k = 0; k < need->len; k++)
                    if (!g_hash_table_contains(set, need->pdata[k]))
                        fail_msg("\"%s\" in \"%s\": no %s", part, folded, (char *)need->pdata[k]);
                choices += need->len == 0 && check_choices(part, set);
                g_ptr_array_unref(need);
                compared++;
                if (!*to)
                    break;
            }
        g_hash_table_unref(set);
        g_ptr_array_unref(have);
    }
    assert_true(compared > 1000);
    assert_true(choices > 20);
}

static void test_initials(void **state)
{
    g_autofree char *name = search_initials_new("김철수 kim 빵");

    (void)state;
    assert_string_equal(name, "ㄱㅊㅅ kim ㅃ");
    assert_true(search_is_initials("ㄱㅊㅅ"));
    assert_true(search_is_initials("ㅃ"));
    assert_false(search_is_initials("ㄱa"));
    assert_false(search_is_initials("ㅏ"));
    assert_false(search_is_initials("김"));
    assert_false(search_is_initials(""));
    assert_false(search_is_initials("\xe3\x84"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_fold_is_bounded),
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_foreign_document),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_tokens_cover_substrings),
        cmocka_unit_test(test_initials),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
