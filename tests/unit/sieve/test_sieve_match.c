/* Wildcards: what matches, what is captured, and that the work does not grow with the stars. */
#include "testing.h"

#include "sieve/sieve-internal.h"

static void test_wildcards(void **state)
{
    static const struct {
        const char *value, *key;
        unsigned char fold;
        const char *want; /* captures joined by '|', the whole first; NULL: no match */
    } rows[] = {
        {"", "", 0, ""},
        {"", "*", 0, "|"},
        {"", "?", 0, NULL},
        {"abc", "abc", 0, "abc"},
        {"abc", "ab", 0, NULL},
        {"abc", "*", 0, "abc|abc"},
        {"abc", "a*", 0, "abc|bc"},
        {"abc", "*c", 0, "abc|ab"},
        {"abc", "a*c", 0, "abc|b"},
        {"abc", "a*b*c", 0, "abc||"},
        {"ac", "a?c", 0, NULL},
        {"abc", "a?c", 0, "abc|b"},
        {"abc", "???", 0, "abc|a|b|c"},
        {"abc", "????", 0, NULL},
        {"abcd", "*?", 0, "abcd|abc|d"},
        {"abcd", "?*", 0, "abcd|a|bcd"},
        {"abcd", "**", 0, "abcd||abcd"},
        {"abcbc", "a*bc", 0, "abcbc|bc"},
        {"abab", "*ab", 0, "abab|ab"},
        {"aXbXc", "*X*", 0, "aXbXc|a|bXc"}, /* as few characters as possible (RFC 5229 3.2) */
        {"a*c", "a\\*c", 0, "a*c"},
        {"abc", "a\\*c", 0, NULL},
        {"a\\c", "a\\\\c", 0, "a\\c"},
        {"a?c", "a\\?c", 0, "a?c"},
        {"abc\\", "abc\\", 0, "abc\\"},
        {"ABC", "a*C", 1, "ABC|B"},
        {"ABC", "a*C", 0, NULL},
        {"é", "?", 0, NULL},
        {"é", "??", 0, "é|\xC3|\xA9"},
        {"é", "?", 2, "é|é"},
        {"한글", "?글", 2, "한글|한"},
        {"ÀÉÎ", "à*î", 2, "ÀÉÎ|É"},
        {"xxÀÉÎyy", "*éî?y", 2, "xxÀÉÎyy|xxÀ|y"},
        {"[acme-users] [fwd] version 1.0 is out", "[*] *", 0,
            "[acme-users] [fwd] version 1.0 is out|acme-users|[fwd] version 1.0 is out"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct sieve_string value = sieve_str(rows[i].value), key = sieve_str(rows[i].key);
        struct sieve_string captures[40];
        size_t count = 0;
        bool hit = sieve_wildcard_match(&value, &key, rows[i].fold, captures, &count);
        g_autoptr(GString) got = g_string_new(NULL);

        if (hit != (rows[i].want != NULL))
            fail_msg("row %zu: \"%s\" :matches \"%s\" is %d", i, rows[i].value, rows[i].key, hit);
        for (size_t j = 0; hit && j < count; j++) {
            if (j > 0)
                g_string_append_c(got, '|');
            g_string_append_len(got, captures[j].data, (gssize)captures[j].length);
        }
        if (hit && strcmp(got->str, rows[i].want) != 0)
            fail_msg("row %zu: captured %s, want %s", i, got->str, rows[i].want);
    }
}

/* Backtracking would need 2^50 steps here; a test that runs for ever fails by its time limit. */
static void test_is_linear(void **state)
{
    g_autofree char *value = g_strnfill(100000, 'a');
    g_autoptr(GString) key = g_string_new(NULL);

    (void)state;
    for (int i = 0; i < 50; i++)
        g_string_append(key, "*a");
    g_string_append(key, "*b");
    struct sieve_string v = sieve_str(value), k = sieve_str(key->str);
    assert_false(sieve_wildcard_match(&v, &k, 0, NULL, NULL));
    assert_false(sieve_wildcard_match(&v, &k, 2, NULL, NULL));
}

static void test_did_you_mean(void **state)
{
    static const char *const names[] = {"header", "address", "fileinto", "redirect", NULL};

    (void)state;
    assert_string_equal(sieve_did_you_mean("hedaer", names), "header");
    assert_string_equal(sieve_did_you_mean("FILEINT", names), "fileinto");
    assert_null(sieve_did_you_mean("nonsense", names));
    assert_null(sieve_did_you_mean("", names));
}

static void test_addresses(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"a@example.org", "a@example.org"},
        {"Name <a@example.org>", "a@example.org"},
        {"\"Last, First\" <a@example.org>", "a@example.org"},
        {"홍길동 <a@example.org>", "a@example.org"},
        {" a (comment) @ example.org ", "a@example.org"},
        {"\"Sirius\"@example.net", "Sirius@example.net"},
        {"\"a b\"@example.net", "\"a b\"@example.net"},
        {"a@[192.0.2.1]", "a@[192.0.2.1]"},
        {"a..b@example.org", "a..b@example.org"},
        {"", NULL},
        {"<>", NULL},
        {"a", NULL},
        {"a@", NULL},
        {"@example.org", NULL},
        {"a@b@c", NULL},
        {"a@example..org", NULL},
        {"a@example.org, b@example.org", NULL},
        {"a b@example.org", NULL},
        {"Name <a@example.org", NULL},
        {"a@example.org>", NULL},
        {"a@example.org\r\nBcc: b@example.org", NULL},
        {"\"a@example.org", NULL},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct arena *arena = arena_new();
        const char *got = sieve_address_normalize(arena, rows[i].text);

        if (g_strcmp0(got, rows[i].want) != 0)
            fail_msg("'%s': got %s, want %s", rows[i].text, got ? got : "nothing",
                rows[i].want ? rows[i].want : "nothing");
        arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wildcards),
        cmocka_unit_test(test_is_linear),
        cmocka_unit_test(test_did_you_mean),
        cmocka_unit_test(test_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
