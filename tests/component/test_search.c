/*
 * Searching in both databases: what a query finds, in pages, before and after the index is filled,
 * and after rows changed under it. The corpus is small and mixed; the answers are written out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "database.h"
#include "store/search.h"
#include "store/search_query.h"
#include "store/search_text.h"

/* 2024-03-15 12:00:00 UTC */
#define NOW 1710504000

static struct test_database *database;
static struct db *db;

/* The messages of user 1; ids are 1…; user 2 has one that must never be found. */
static const struct {
    const char *subject, *from, *to, *cc, *list, *mailbox, *flags;
    const char *date;
    int size;
    bool is_read, has_attachment;
} messages[] = {
    { "주간보고서 3월", "김철수 <kim@corp.example>", "u1@x.example", NULL, NULL, "INBOX", "",
      "2024-03-01 09:00:00", 4000, true, false },                                          /* 1 */
    { "Weekly Report", "Kim Cheolsu <kim@corp.example>", "u1@x.example", "lee@corp.example", NULL,
      "INBOX", "\\Flagged", "2024-03-02 09:00:00", 8000, false, true },                    /* 2 */
    { "株式会社テストの請求書", "山田 <yamada@jp.example>", "u1@x.example", NULL, NULL,
      "Rechnungen", "\\Answered", "2024-03-03 09:00:00", 3000000, true, true },            /* 3 */
    { "Straße und Gruß", "Jürgen Groß <jg@de.example>", "u1@x.example", NULL,
      "dev.lists.example", "Rechnungen", "", "2024-03-04 09:00:00", 500, false, false },   /* 4 */
    { "ＦＵＬＬ ｗｉｄｔｈ ﾃｽﾄ", "x@y.example", "boss@corp.example", NULL, NULL, "Sent",
      "\\Answered $Forwarded", "2024-03-05 09:00:00", 700, true, false },                  /* 5 */
    { "100% off_sale's \"quote\" \\ back", "shop@spam.example", "u1@x.example", NULL, NULL,
      "INBOX", "", "2024-03-05 09:00:00", 900, false, false },                             /* 6 */
    { "회의", "박 <park@corp.example>", "u1@x.example, 김철수 <kim@corp.example>", NULL, NULL,
      "INBOX", "", "2024-03-15 01:00:00", 100, false, false },                             /* 7 */
    { "the from to subject words", "to@from.example", "subject@x.example", NULL, NULL, "INBOX",
      "\\Draft", "2023-12-31 23:59:59", 2097152, true, false },                            /* 8 */
};

static void insert_message(int64_t user_id, size_t i, const char *file)
{
    g_autofree char *document =
        search_document_new(messages[i].subject, messages[i].from, messages[i].to, messages[i].cc,
                            messages[i].list);
    g_autofree char *message_id = g_strdup_printf("m%zu@x.example", i + 1);
    struct error err = { 0 };
    struct db_value values[] = {
        db_int(user_id), db_text(messages[i].subject), db_text(messages[i].from),
        db_text(messages[i].to), db_text(messages[i].date), db_bool(messages[i].is_read),
        db_text(messages[i].mailbox), db_text(message_id), db_text(file),
        db_int(messages[i].size), db_text(messages[i].flags),
        db_bool(messages[i].has_attachment), db_text(document),
    };

    if (!db_exec(db,
                 "INSERT INTO email_headers (user_id, subject, sender, recipient, date, is_read, "
                 "mailbox, message_id, file, size, flags, has_attachment, search_document) "
                 "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
                 values, G_N_ELEMENTS(values), NULL, NULL, &err))
        fail_msg("%s", err.text);
}

static void insert_corpus(void)
{
    test_sql(db, "DELETE FROM email_headers");
    if (db_kind(db) == DB_PGSQL)
        test_sql(db, "ALTER SEQUENCE email_headers_id_seq RESTART");
    for (size_t i = 0; i < G_N_ELEMENTS(messages); i++) {
        g_autofree char *file = g_strdup_printf("f%zu", i + 1);

        insert_message(1, i, file);
    }
    insert_message(2, 0, "other");
}

static void fill(void)
{
    struct error err = { 0 };
    int64_t filled, waiting = -1;

    if (!search_fill(db, 0, &filled, &err) || !search_pending_count(db, &waiting, &err))
        fail_msg("%s", err.text);
    assert_int_equal(waiting, 0);
}

/* Ids found, "1 2 3". */
static char *find(const char *text, const struct search_options *options, char **ret_next)
{
    struct query *query;
    struct search_page *page = NULL;
    struct error err = { 0 };
    GString *ids = g_string_new(NULL);

    if (!query_parse(text, strlen(text), NOW, 0, &query, &err) ||
        !search_run(db, 1, query, options, &page, &err))
        fail_msg("%s: %s", text, err.text);
    for (guint i = 0; i < page->hits->len; i++) {
        const struct search_hit *hit = page->hits->pdata[i];

        g_string_append_printf(ids, "%s%" G_GINT64_FORMAT, i ? " " : "", hit->id);
    }
    if (ret_next)
        *ret_next = g_strdup(page->next);
    search_page_free(page);
    query_free(query);
    return g_string_free(ids, FALSE);
}

static const struct {
    const char *query, *want;
} cases[] = {
    { "", "7 6 5 4 3 2 1 8" },
    { "보고", "1" },
    { "고서", "1" },
    { "보", "1" },
    { "보고서", "1" },
    { "김", "7 1" },
    { "김철수", "7 1" },
    { "from:김", "1" },
    { "to:김철수", "7" },
    { "to:u1", "7 6 4 3 2 1" },
    { "회의", "7" },
    { "kim", "7 2 1" },
    { "from:kim", "2 1" },
    { "KIM@CORP", "7 2 1" },
    { "ki", "7 2 1" },
    { "report", "2" },
    { "\"weekly report\"", "2" },
    { "\"report weekly\"", "" },
    { "report weekly", "2" },
    { "テスト", "5 3" },
    { "ﾃｽﾄ", "5 3" },
    { "株式", "3" },
    { "請", "3" },
    { "full", "5" },
    { "ＷＩＤＴＨ", "5" },
    { "strasse", "4" },
    { "STRASSE", "4" },
    { "groß", "4" },
    { "gross", "4" },
    { "cc:lee", "2" },
    { "list:dev", "4" },
    { "subject:subject", "8" },
    { "from:from", "8" },
    { "subject:kim", "" },
    { "kim or yamada", "7 3 2 1" },
    { "corp -kim", "5" },
    { "-kim", "6 5 4 3 8" },
    { "(보고서 or report) is:unread", "2" },
    { "in:Rechnungen", "4 3" },
    { "in:INBOX.Rechnungen", "4 3" },
    { "in:inbox", "7 6 2 1 8" },
    { "in:Nowhere", "" },
    { "in:\"a..b\"", "" },
    { "is:unread", "7 6 4 2" },
    { "is:read", "5 3 1 8" },
    { "is:flagged", "2" },
    { "is:answered", "5 3" },
    { "is:draft", "8" },
    { "-is:flagged is:unread", "7 6 4" },
    { "has:attachment", "3 2" },
    { "larger:1M", "3 8" },
    { "larger:2M", "3" },
    { "smaller:600", "7 4" },
    { "before:2024", "8" },
    { "after:2024-03-05", "7 6 5" },
    { "on:2024-03-05", "6 5" },
    { "on:today", "7" },
    { "after:2024-03-02 before:2024-03-04", "3 2" },
    /* nothing is a wildcard or syntax of SQL, LIKE or FTS5 */
    { "100%", "6" },
    { "%", "6" },
    { "_", "6" },
    { "off_sale's", "6" },
    { "offxsale", "" },
    { "\\", "6" },
    { "\"\\\"quote\\\"\"", "6" },
    { "*", "" },
    { "NEAR(a b)", "" },
    { "'", "6" },
    { "') OR 1=1 --", NULL },
    { "zzzz", "" },
    { "보고서보고서", "" },
    { "a or b", "7 6 5 4 3 2 1 8" },
};

static void check_all(const char *when)
{
    struct search_options options = { .limit = 100 };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *got = NULL;

        if (!cases[i].want)
            continue;
        got = find(cases[i].query, &options, NULL);
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("%s: %s: got \"%s\", want \"%s\"", when, cases[i].query, got, cases[i].want);
    }
}

static void test_before_the_index(void **state)
{
    (void)state;
    insert_corpus();
    check_all("waiting");
}

static void test_with_the_index(void **state)
{
    (void)state;
    insert_corpus();
    fill();
    assert_int_equal(test_sql_int(db, "SELECT count(*) FROM email_search_pending"), 0);
    check_all("filled");
}

static void test_half_filled(void **state)
{
    struct error err = { 0 };
    int64_t filled;

    (void)state;
    insert_corpus();
    assert_true(search_fill(db, 4, &filled, &err));
    assert_int_equal(filled, 4);
    check_all("half");
}

/* The index path by itself: more newer rows than the head walks, so that only tokens find the
 * old ones. */
static void test_beyond_the_head(void **state)
{
    static const char *const words[] = { "보고서", "김", "テスト", "strasse", "100%", "kim or yamada" };
    struct search_options options = { .limit = 5 };

    (void)state;
    insert_corpus();
    test_sql(db, db_kind(db) == DB_PGSQL
                     ? "INSERT INTO email_headers (user_id, subject, sender, date, mailbox, file, "
                       "search_document) SELECT 1, 'new', 'n@n.example', '2025-01-01 00:00:00', "
                       "'INBOX', 'n' || i, 'new' || chr(28) || 'n@n.example' || chr(29) || chr(30) "
                       "|| chr(31) FROM generate_series(1, 2500) i"
                     : "INSERT INTO email_headers (user_id, subject, sender, date, mailbox, file, "
                       "search_document) SELECT 1, 'new', 'n@n.example', '2025-01-01 00:00:00', "
                       "'INBOX', 'n' || value, 'new' || char(28) || 'n@n.example' || char(29) || "
                       "char(30) || char(31) FROM (WITH RECURSIVE s(value) AS (SELECT 1 UNION ALL "
                       "SELECT value + 1 FROM s WHERE value < 2500) SELECT value FROM s)");
    for (int round = 0; round < 2; round++) {
        for (size_t w = 0; w < G_N_ELEMENTS(words); w++) {
            g_autofree char *got = find(words[w], &options, NULL);
            const char *want = NULL;

            for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                if (strcmp(cases[i].query, words[w]) == 0)
                    want = cases[i].want;
            assert_string_equal(got, want);
        }
        fill();
    }
}

/* What applications and sync do to rows: the next search is right, before and after filling. */
static void test_changes(void **state)
{
    struct search_options options = { .limit = 100 };

    (void)state;
    insert_corpus();
    fill();
    test_sql(db, "DELETE FROM email_headers WHERE id = 1");
    test_sql(db, "UPDATE email_headers SET subject = 'Zebra', search_document = 'zebra' "
                 "WHERE id = 2");
    test_sql(db, "UPDATE email_headers SET is_read = TRUE WHERE id = 7");
    /* an application's row: no document, upper case */
    test_sql(db, "INSERT INTO email_headers (id, user_id, subject, sender, date, is_read) "
                 "VALUES (100, 1, 'Made By HAND', 'App <app@x.example>', "
                 "'2024-03-20 00:00:00', FALSE)");
    for (int round = 0; round < 2; round++) {
        g_autofree char *zebra = find("zebra", &options, NULL);
        g_autofree char *report = find("report", &options, NULL);
        g_autofree char *korean = find("보고서", &options, NULL);
        g_autofree char *hand = find("by hand", &options, NULL);
        g_autofree char *app = find("from:app@x", &options, NULL);

        assert_string_equal(zebra, "2");
        assert_string_equal(report, "");
        assert_string_equal(korean, "");
        assert_string_equal(hand, "100");
        assert_string_equal(app, "100");
        fill();
    }
    /* an id that is used again */
    test_sql(db, "DELETE FROM email_headers WHERE id = 100");
    test_sql(db, "INSERT INTO email_headers (id, user_id, subject, date, search_document) "
                 "VALUES (100, 1, 'Second life', '2024-03-20 00:00:00', 'second life')");
    fill();
    {
        g_autofree char *hand = find("hand", &options, NULL);
        g_autofree char *life = find("life", &options, NULL);

        assert_string_equal(hand, "");
        assert_string_equal(life, "100");
    }
    test_sql(db, "DELETE FROM email_headers");
    fill();
    if (db_kind(db) == DB_SQLITE)
        test_sql(db, "INSERT INTO email_search (email_search) VALUES ('integrity-check')");
    else
        assert_int_equal(test_sql_int(db, "SELECT count(*) FROM email_search"), 0);
}

static void test_pages(void **state)
{
    static const char *const queries[] = { "", "corp or x.example", "-zebra" };

    (void)state;
    insert_corpus();
    fill();
    for (int sort = SEARCH_SORT_DATE; sort <= SEARCH_SORT_RELEVANCE; sort++)
        for (size_t q = 0; q < G_N_ELEMENTS(queries); q++) {
            struct search_options options = { .sort = (enum search_sort)sort, .limit = 100 };
            g_autofree char *whole = find(queries[q], &options, NULL);
            g_autoptr(GString) joined = g_string_new(NULL);
            char *next = NULL;
            int pages = 0;

            options.limit = 3;
            do {
                g_autofree char *key = next;
                g_autofree char *part = NULL;

                options.after = key;
                part = find(queries[q], &options, &next);
                g_string_append_printf(joined, "%s%s", joined->len ? " " : "", part);
                pages++;
            } while (next && pages < 10);
            assert_string_equal(joined->str, whole);
            assert_int_equal(pages, 3);
        }
}

static void test_relevance(void **state)
{
    struct search_options options = { .sort = SEARCH_SORT_RELEVANCE, .limit = 100 };
    g_autofree char *from = NULL, *subject = NULL;

    (void)state;
    insert_corpus();
    fill();
    /* 8 has it in subject and sender; the others by date */
    from = find("to or kim", &options, NULL);
    assert_string_equal(from, "8 2 1 7");
    subject = find("subject", &options, NULL);
    assert_string_equal(subject, "8");
}

/* The whole answer, and the same in pages of @limit. */
static void expect_in_pages(const char *query, enum search_sort sort, int limit, const char *want)
{
    struct search_options options = { .sort = sort, .limit = 100 };
    g_autofree char *whole = find(query, &options, NULL);
    g_autoptr(GString) joined = g_string_new(NULL);
    char *next = NULL;
    int pages = 0;

    if (strcmp(whole, want) != 0)
        fail_msg("%s: got \"%s\", want \"%s\"", query, whole, want);
    options.limit = limit;
    do {
        g_autofree char *key = next;
        g_autofree char *part = NULL;

        options.after = key;
        part = find(query, &options, &next);
        g_string_append_printf(joined, "%s%s", joined->len ? " " : "", part);
    } while (next && ++pages < 20);
    assert_string_equal(joined->str, want);
}

/* Rows that an application inserted without a date, or with one that is none, come behind all others
 * and in no period; each once, in pages of any size. */
static void test_undated(void **state)
{
    bool pgsql = db_kind(db) == DB_PGSQL;

    (void)state;
    insert_corpus();
    test_sql(db, "INSERT INTO email_headers (id, user_id, subject) VALUES (201, 1, 'undated a'), "
                 "(202, 1, 'undated b'), (203, 1, 'undated c'), (204, 2, 'undated d')");
    test_sql(db, pgsql ? "INSERT INTO email_headers (id, user_id, subject, date) VALUES "
                         "(205, 1, 'undated e', 'infinity'), (206, 1, 'undated f', '-infinity'), "
                         "(207, 1, 'undated g', '0044-03-15 00:00:00 BC'), "
                         "(208, 1, 'undated h', '20240-01-01 00:00:00')"
                       : "INSERT INTO email_headers (id, user_id, subject, date) VALUES "
                         "(205, 1, 'undated e', 'yesterday'), (206, 1, 'undated f', 1700000000), "
                         "(207, 1, 'undated g', x'ff00'), (208, 1, 'undated h', '')");
    for (int round = 0; round < 2; round++) {
        for (int limit = 1; limit <= 5; limit++) {
            expect_in_pages("", SEARCH_SORT_DATE, limit,
                            "7 6 5 4 3 2 1 8 208 207 206 205 203 202 201");
            expect_in_pages("undated", SEARCH_SORT_DATE, limit, "208 207 206 205 203 202 201");
            expect_in_pages("undated", SEARCH_SORT_RELEVANCE, limit,
                            "208 207 206 205 203 202 201");
            expect_in_pages("kim or undated", SEARCH_SORT_RELEVANCE, limit,
                            "208 207 206 205 203 202 201 2 1 7");
        }
        expect_in_pages("before:2024-01-01", SEARCH_SORT_DATE, 3, "8");
        expect_in_pages("after:2024-03-05", SEARCH_SORT_DATE, 3, "7 6 5");
        fill();
    }
}

/* All pages of @query must be the rows that hold @word, newest first. */
static void expect_all_of(const char *query, const char *word)
{
    g_autofree char *sql = g_strdup_printf(
        db_kind(db) == DB_PGSQL
            ? "SELECT coalesce(string_agg(id::text, ' ' ORDER BY date DESC, id DESC), '') FROM "
              "email_headers WHERE user_id = 1 AND strpos(search_document, '%s') > 0"
            : "SELECT coalesce(group_concat(id, ' '), '') FROM (SELECT id FROM email_headers WHERE "
              "user_id = 1 AND instr(search_document, '%s') > 0 ORDER BY date DESC, id DESC)",
        word);
    struct search_options options = { .sort = SEARCH_SORT_DATE, .limit = 37 };
    g_autoptr(GString) joined = g_string_new(NULL);
    g_autofree char *want = NULL;
    struct error err = { 0 };
    char *next = NULL;

    if (!db_query_text(db, sql, NULL, 0, &want, &err))
        fail_msg("%s", err.text);
    do {
        g_autofree char *key = next, *part = NULL;

        options.after = key;
        part = find(query, &options, &next);
        g_string_append_printf(joined, "%s%s", joined->len ? " " : "", part);
    } while (next);
    assert_string_equal(joined->str, want);
}

/* Words of every rarity over forty years, in pages: before the index is filled, with it, and while dates
 * have moved to other quarters and words have gone. */
static void test_many_quarters(void **state)
{
    bool pgsql = db_kind(db) == DB_PGSQL;

    (void)state;
    test_sql(db, "DELETE FROM email_headers");
    test_sql(db, pgsql ? "INSERT INTO email_headers (id, user_id, subject, date, search_document) "
                         "SELECT i, 1 + i % 2, 's', timestamp '1985-01-01' + i * 7919 % 15000 * "
                         "interval '1 day', concat_ws(' ', 's', CASE WHEN i % 6 = 0 THEN 'alpha' END, "
                         "CASE WHEN i % 42 = 0 THEN '보고서' END, CASE WHEN i % 500 = 0 THEN 'gamma' END) "
                         "FROM generate_series(1, 6000) i"
                       : "INSERT INTO email_headers (id, user_id, subject, date, search_document) "
                         "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000) "
                         "SELECT i, 1 + i % 2, 's', datetime('1985-01-01', (i * 7919 % 15000) || ' days'), "
                         "'s' || iif(i % 6 = 0, ' alpha', '') || iif(i % 42 = 0, ' 보고서', '') || "
                         "iif(i % 500 = 0, ' gamma', '') FROM n");
    for (int round = 0; round < 4; round++) {
        static const char *const words[] = { "alpha", "보고서", "고", "gamma", "nothing" };

        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
            expect_all_of(words[i], words[i]);
        if (round == 1) {
            test_sql(db, pgsql ? "UPDATE email_headers SET date = date + interval '400 days' "
                                 "WHERE id % 9 = 0"
                               : "UPDATE email_headers SET date = datetime(date, '400 days') "
                                 "WHERE id % 9 = 0");
            test_sql(db, "UPDATE email_headers SET search_document = 's' WHERE id % 84 = 0");
        } else {
            fill();
        }
    }
    if (!pgsql)
        test_sql(db, "INSERT INTO email_search (email_search) VALUES ('integrity-check')");
    test_sql(db, "DELETE FROM email_headers");
}

/* What no program of ours writes: huge, not UTF-8, of another type, nobody's. It is found by what can
 * be read of it, or not; nothing falls over, and nothing is left waiting. */
static void test_nonsense(void **state)
{
    struct search_options options = { .limit = 100 };
    g_autofree char *huge = NULL;

    (void)state;
    insert_corpus();
    test_sql(db, "INSERT INTO email_headers (id, user_id, subject) VALUES (301, NULL, '김 nobody')");
    test_sql(db, "UPDATE email_headers SET user_id = NULL WHERE id = 7");
    test_sql(db, "UPDATE email_headers SET mailbox = NULL, file = NULL, is_read = NULL, size = -5, "
                 "has_attachment = NULL, flags = 'no flags at all, \\\\Seen' WHERE id = 1");
    huge = g_strdup_printf("UPDATE email_headers SET flags = %s, refs = %s, search_document = %s "
                           "WHERE id = 2",
                           db_kind(db) == DB_PGSQL ? "repeat('x', 3000000)"
                                                   : "replace(hex(zeroblob(1500000)), '0', 'x')",
                           db_kind(db) == DB_PGSQL ? "repeat('y ', 1000000)"
                                                   : "replace(hex(zeroblob(1000000)), '0', 'y')",
                           db_kind(db) == DB_PGSQL
                               ? "repeat('김철수 kim ', 50000)"
                               : "replace(hex(zeroblob(25000)), '0', '김철수 kim ')");
    test_sql(db, huge);
    if (db_kind(db) == DB_SQLITE)
        /* text that ends in the middle of a character, blobs, numbers, a user who is a word */
        test_sql(db, "UPDATE email_headers SET subject = x'ff', sender = CAST(x'e38182e381' AS TEXT), "
                     "search_document = CAST(x'6b696de381' AS TEXT), date = '2024-03-03T09:00:00', "
                     "is_read = 'maybe', size = 'large', mailbox = x'00' WHERE id = 3;"
                     "UPDATE email_headers SET date = '2024-03-04, or so', refs = x'fffe' "
                     "WHERE id = 4;"
                     "PRAGMA foreign_keys = OFF; /* as applications have it */"
                     "INSERT INTO email_headers (id, user_id, subject) VALUES (302, 'one', '김');"
                     "PRAGMA foreign_keys = ON");
    for (int round = 0; round < 2; round++) {
        g_autofree char *words = find("김철수 kim", &options, NULL);
        g_autofree char *unread = find("is:unread", &options, NULL);
        g_autofree char *flags = find("-is:flagged -has:attachment smaller:1M in:INBOX", &options,
                                      NULL);

        assert_string_equal(words, "2 1");
        assert_string_equal(unread, db_kind(db) == DB_PGSQL ? "6 4 2" : "6 4 3 2");
        assert_string_equal(flags, "6");
        for (int limit = 1; limit <= 3; limit++)
            expect_in_pages("", SEARCH_SORT_DATE, limit, "6 5 4 3 2 1 8");
        fill();
    }
    /* and all of it goes without a trace */
    test_sql(db, "DELETE FROM email_headers");
    fill();
    if (db_kind(db) == DB_SQLITE)
        test_sql(db, "INSERT INTO email_search (email_search) VALUES ('integrity-check')");
    else
        assert_int_equal(test_sql_int(db, "SELECT count(*) FROM email_search"), 0);
}

static void test_bad_keys(void **state)
{
    static const char *const keys[] = { "", "1", "a,b,c", "0,2024-01-01T00:00:00,x", "0,now,1",
                                        "0,2024-01-01T00:00:00'; DROP,1",
                                        "-1,2024-01-01T00:00:00,1", "0,9999-99-99T99:99:99,1",
                                        "0,2024-01-01T00:00:00T,1" };
    struct query *query;
    struct error err = { 0 };
    struct search_page *page = NULL;

    (void)state;
    assert_true(query_parse("a", 1, NOW, 0, &query, &err));
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        struct search_options options = { .limit = 10, .after = keys[i] };

        error_clear(&err);
        assert_false(search_run(db, 1, query, &options, &page, &err));
        assert_int_equal(err.kind, ERROR_USAGE);
    }
    for (int limit = -1; limit <= 10001; limit += 10002 / 3 * 3 + 1) {
        struct search_options options = { .limit = limit };

        if (limit >= 1 && limit <= 10000)
            continue;
        error_clear(&err);
        assert_false(search_run(db, 1, query, &options, &page, &err));
    }
    query_free(query);
}

/* What docs/sql.md promises applications: the same rows by one SELECT. */
static void test_sql_gives_the_same(void **state)
{
    static const struct {
        const char *query, *words, *field;
    } same[] = {
        { "보고", "보고", NULL },       { "김", "김", NULL },
        { "from:kim", "KIM", "from" },  { "weekly report", "Weekly  report", NULL },
        { "テスト", "ﾃｽﾄ", NULL },      { "strasse", "Straße", NULL },
        { "subject:subject", "subject", "subject" }, { "cc:lee", "lee", "cc" },
        { "100%", "100%", NULL },       { "list:dev", "dev", "list" },
        { "to:u1", "u1", "to" },        { "zzzz", "zzzz", NULL },
        { "", "", NULL },
    };
    struct search_options options = { .limit = 100 };

    (void)state;
    insert_corpus();
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < G_N_ELEMENTS(same); i++) {
            g_autofree char *want = find(same[i].query, &options, NULL);
            g_autofree char *got = NULL;
            struct error err = { 0 };

            if (db_kind(db) == DB_PGSQL) {
                struct db_value values[] = { db_text(same[i].words), db_text(same[i].field) };

                assert_true(db_query_text(
                    db,
                    "SELECT string_agg(id::text, ' ' ORDER BY date DESC, id DESC) "
                    "FROM vmail_search(1, $1, $2)",
                    values, 2, &got, &err));
            } else {
                g_autofree char *folded = search_fold(same[i].words);
                g_autofree char *sql = g_strdup_printf(
                    "SELECT group_concat(id, ' ') FROM (SELECT h.id FROM email_headers h JOIN "
                    "email_search_text t ON t.id = h.id WHERE h.user_id = 1 AND "
                    "instr(t.%s%s, $1) > 0 ORDER BY h.date DESC, h.id DESC)",
                    same[i].field ? same[i].field : "document", same[i].field ? "_text" : "");
                struct db_value values[] = { db_text(folded) };

                assert_true(db_query_text(db, sql, values, 1, &got, &err));
            }
            if (strcmp(got ? got : "", want) != 0)
                fail_msg("%s: SQL finds \"%s\", vmail \"%s\"", same[i].query, got, want);
        }
        fill();
    }
}

/* docs/sql.md: each block that begins with "-- postgresql: QUERY" or "-- sqlite: QUERY" finds, by its
 * first column, what vmail search finds for QUERY. Before and after the index is filled. */
static bool take_id(void *ctx, const struct db_row *row, struct error *err)
{
    GString *ids = ctx;

    (void)err;
    g_string_append_printf(ids, "%s%" G_GINT64_FORMAT, ids->len ? " " : "", db_row_int(row, 0));
    return true;
}

static void check_example(const char *block)
{
    const char *line_end = strchr(block, '\n');
    const char *query = strchr(block, ':') + 2;
    g_autofree char *text = g_strndup(query, (gsize)(line_end - query));
    g_autofree char *sql = g_strdup(line_end + 1);
    g_autoptr(GString) got = g_string_new(NULL);
    struct search_options options = { .limit = 50 };
    g_autofree char *want = find(text, &options, NULL);
    struct error err = { 0 };

    *strchr(sql, ';') = 0;
    if (!db_exec(db, sql, NULL, 0, take_id, got, &err))
        fail_msg("%s: %s", text, err.text);
    if (strcmp(got->str, want) != 0 || !*want)
        fail_msg("docs/sql.md: %s: SQL finds \"%s\", vmail search \"%s\"", text, got->str, want);
}

static void test_documented_examples(void **state)
{
    const char *mark = db_kind(db) == DB_PGSQL ? "```sql\n-- postgresql: " : "```sql\n-- sqlite: ";
    g_autofree char *page = NULL;

    (void)state;
    assert_true(g_file_get_contents(TEST_SOURCE_DIR "/docs/sql.md", &page, NULL, NULL));
    insert_corpus();
    for (int round = 0; round < 2; round++) {
        int examples = 0;

        for (const char *at = page; (at = strstr(at, mark)); examples++) {
            const char *start = at + strlen("```sql\n");
            g_autofree char *block = NULL;

            at = strstr(start, "```");
            block = g_strndup(start, (gsize)(at - start));
            check_example(block);
        }
        assert_true(examples >= 3);
        fill();
    }
}

/* Rows that change while the index is filled wait again: the last word is found. Two fillers at
 * once share the work. */
static void test_fill_twice(void **state)
{
    struct db *second = test_database_connect(database);
    struct error err = { 0 };
    int64_t first_filled, second_filled;

    (void)state;
    insert_corpus();
    assert_true(search_fill(db, 5, &first_filled, &err));
    assert_true(search_fill(second, 0, &second_filled, &err));
    assert_int_equal(first_filled + second_filled, G_N_ELEMENTS(messages) + 1);
    check_all("two fillers");
    db_close(second);
}

/* As if another process came in behind a statement of the search. */
static const char *behind; /* part of the statement; NULL: nobody comes */
static struct db *other;

bool __real_db_exec(struct db *on, const char *sql, const struct db_value *values, size_t count,
                    db_row_fn *row, void *ctx, struct error *err);
bool __wrap_db_exec(struct db *on, const char *sql, const struct db_value *values, size_t count,
                    db_row_fn *row, void *ctx, struct error *err);

bool __wrap_db_exec(struct db *on, const char *sql, const struct db_value *values, size_t count,
                    db_row_fn *row, void *ctx, struct error *err)
{
    bool done = __real_db_exec(on, sql, values, count, row, ctx, err);

    if (behind && strstr(sql, behind)) {
        int64_t filled;
        struct error fill_err = { 0 };

        behind = NULL;
        if (!search_fill(other, 0, &filled, &fill_err))
            fail_msg("%s", fill_err.text);
        assert_int_equal(filled, G_N_ELEMENTS(messages) + 1);
    }
    return done;
}

/* A filler takes the rows from the waiting list between the two steps that look there and in the index. */
static void test_filled_meanwhile(void **state)
{
    g_autofree char *ids = NULL, *again = NULL;

    (void)state;
    if (db_kind(db) == DB_PGSQL) /* one statement does both */
        return;
    other = test_database_connect(database);
    insert_corpus();
    behind = "h.id IN (SELECT p.id FROM email_search_pending";
    ids = find("kim", &(struct search_options){.limit = 100}, NULL);
    assert_null(behind); /* it came */
    assert_string_equal(ids, "7 2 1");
    again = find("kim", &(struct search_options){.limit = 100}, NULL);
    assert_string_equal(again, "7 2 1");
    db_close(other);
}

/* SQLite calls no trigger for a row that INSERT OR REPLACE takes away: what the index knew of it stays, and
 * another row has its id. */
static void test_replaced_row(void **state)
{
    (void)state;
    if (db_kind(db) == DB_PGSQL)
        return;
    insert_corpus();
    fill();
    test_sql(db, "INSERT OR REPLACE INTO email_headers (id, user_id, subject, sender, date, mailbox, file) "
                 "VALUES (7, 1, 'kim again', 'kim@corp.example', '2021-05-05 00:00:00', 'INBOX', 'f7')");
    for (int filled = 0; filled < 2; filled++) {
        g_autofree char *ids = find("kim", &(struct search_options){.limit = 100}, NULL);

        assert_string_equal(ids, "2 1 7");
        fill();
    }
    g_autofree char *again = find("kim", &(struct search_options){.limit = 100}, NULL);
    assert_string_equal(again, "2 1 7");
}

/* A site that writes its dates otherwise: the quarters are those of the rows all the same. */
static void test_date_style(void **state)
{
    struct db *usual = db;

    (void)state;
    if (db_kind(db) != DB_PGSQL)
        return;
    test_sql(db, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET datestyle = ''German''', "
                 "current_database()); END $$");
    db = test_database_connect(database);
    insert_corpus();
    fill();
    check_all("another style of dates");
    db_close(db);
    db = usual;
    test_sql(db, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET datestyle', "
                 "current_database()); END $$");
}

/* The statements of docs/sql.md for a table that has used up its ids; the last test: types stay changed. */
static void test_more_rows_than_integers(void **state)
{
    (void)state;
    if (db_kind(db) != DB_PGSQL)
        return;
    test_sql(db, "ALTER TABLE email_headers ALTER id TYPE BIGINT;"
                 "ALTER TABLE email_search ALTER id TYPE BIGINT;"
                 "ALTER TABLE email_search_pending ALTER id TYPE BIGINT;"
                 "ALTER SEQUENCE email_headers_id_seq AS BIGINT;"
                 "ALTER SEQUENCE email_headers_id_seq RESTART 3000000000");
    test_sql(db, "DELETE FROM email_headers");
    insert_message(1, 1, "f");
    for (int filled = 0; filled < 2; filled++) {
        g_autofree char *ids = find("weekly", &(struct search_options){.limit = 5}, NULL);

        assert_string_equal(ids, "3000000000");
        fill();
    }
}

static int run_on(enum db_kind kind, const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_the_index), cmocka_unit_test(test_with_the_index),
        cmocka_unit_test(test_half_filled),      cmocka_unit_test(test_beyond_the_head),
        cmocka_unit_test(test_changes),          cmocka_unit_test(test_pages),
        cmocka_unit_test(test_relevance),        cmocka_unit_test(test_bad_keys),
        cmocka_unit_test(test_sql_gives_the_same), cmocka_unit_test(test_documented_examples),
        cmocka_unit_test(test_fill_twice),       cmocka_unit_test(test_undated),
        cmocka_unit_test(test_many_quarters),    cmocka_unit_test(test_nonsense),
        cmocka_unit_test(test_filled_meanwhile), cmocka_unit_test(test_date_style),
        cmocka_unit_test(test_replaced_row),
        cmocka_unit_test(test_more_rows_than_integers),
    };
    int failed;

    (void)kind;
    db = test_database_connect(database);
    failed = cmocka_run_group_tests_name(name, tests, NULL, NULL);
    db_close(g_steal_pointer(&db));
    return failed;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return test_on_each_database("search", &database, run_on);
}
