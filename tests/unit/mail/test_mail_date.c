#include "lda/mail/date.h"

#include <stdio.h>
#include <string.h>

#include "testing.h"

static const struct {
    const char *text;
    int64_t utc;
    int zone;
    bool zone_known;
} dates[] = {
    /* RFC 5322 appendix A */
    {"Fri, 21 Nov 1997 09:55:06 -0600", 880127706, -360, true},
    {"Tue, 1 Jul 2003 10:52:37 +0200", 1057049557, 120, true},
    {"Thu, 13 Feb 1969 23:32:54 -0330", -27723426, -210, true},
    {"Thu,\t 13\n Feb\n  1969\n 23:32\n  -0330 (Newfoundland Time)", -27723480, -210, true},
    {"21 Nov 97 09:55:06 GMT", 880106106, 0, true},
    {"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706, -360, true},
    /* what is written */
    {"Wed, 1 Jan 2025 09:00:00 +0900 (KST)", 1735689600, 540, true},
    {"Wed, 1 Jan 2025 09:00:00 KST", 1735689600, 540, true},
    {"1 Jan 2025 00:00 UT", 1735689600, 0, true},
    {"Wed, 1 Jan 2025 00:00:00 -0000", 1735689600, 0, false},
    {"Wed, 1 Jan 2025 00:00:00", 1735689600, 0, false},
    {"Wed, 1 Jan 2025 00:00:00 XYZ", 1735689600, 0, false},
    {"Wed, 1 Jan 2025 00:00:00 A", 1735689600, 0, false},
    {"Wed, 1 Jan 2025 00:00:00 Z", 1735689600, 0, true},
    {"Wed, 1 Jan 2025 00:00:00 GMT+0900", 1735657200, 540, true},
    {"Wed, 1 Jan 2025 00:00:00 +09:00", 1735657200, 540, true},
    {"Wed, 1 Jan 2025 00:00:00 +9999", 1735689600, 0, false},
    {"Wednesday, 1 January 2025 00:00:00 +0000", 1735689600, 0, true},
    {"1 Jan 49 00:00:00 +0000", 2493072000, 0, true},
    {"1 Jan 50 00:00:00 +0000", -631152000, 0, true},
    {"1 Jan 125 00:00:00 +0000", 1735689600, 0, true},
    {"Wed Jan  1 00:00:00 2025", 1735689600, 0, false},
    {"Wed Jan  1 00:00:00 UTC 2025", 1735689600, 0, true},
    {"Jan 1, 2025 12:30 PM", 1735734600, 0, false},
    {"1-Jan-2025 00:00:00 +0000", 1735689600, 0, true},
    {"2025-01-01T00:00:00Z", 1735689600, 0, true},
    {"2025-01-01T09:00:00.123+09:00", 1735689600, 540, true},
    {"2025/01/01 00:00:00", 1735689600, 0, false},
    {"29 Feb 2024 00:00:00 +0000", 1709164800, 0, true},
    {"31 Dec 2016 23:59:60 +0000", 1483228799, 0, true},
    {"Mon, 1 Jan 0001 00:00:00 +0000", -62135596800, 0, true},
    {"Wed, 1 Jan 2025 00:00:00 +0000 (((((((((nested)", 1735689600, 0, true},
    /* no date */
    {"", 0, 0, false},
    {"   ", 0, 0, false},
    {"yesterday", 0, 0, false},
    {"30 Feb 2024 00:00:00 +0000", 0, 0, false},
    {"29 Feb 2023 00:00:00 +0000", 0, 0, false},
    {"1 Jan 2025 25:00:00 +0000", 0, 0, false},
    {"0 Jan 2025 00:00:00 +0000", 0, 0, false},
    {"1 Jan 99999 00:00:00 +0000", 0, 0, false},
    {"1 Jan 99999999999999999999 00:00:00", 0, 0, false},
    {"((((((((((", 0, 0, false},
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(dates); i++) {
        struct mail_date date = {0, 0, false};
        bool ok = date_parse(dates[i].text, &date);
        bool want = dates[i].utc != 0 || dates[i].zone_known;

        if (ok != want || date.utc != dates[i].utc || date.zone != dates[i].zone ||
            date.zone_known != dates[i].zone_known)
            fail_msg("%s: %d %lld %d %d", dates[i].text, ok, (long long)date.utc, date.zone,
                     date.zone_known);
    }
}

static void test_format(void **state)
{
    char text[DATE_TEXT_SIZE];

    (void)state;
    date_format_rfc5322(880127706, -360, text);
    assert_string_equal(text, "Fri, 21 Nov 1997 09:55:06 -0600");
    date_format_rfc5322(1735689600, 540, text);
    assert_string_equal(text, "Wed, 01 Jan 2025 09:00:00 +0900");
    date_format_sql(880127706, text);
    assert_string_equal(text, "1997-11-21 15:55:06");
    date_format_iso8601(880127706, -360, text);
    assert_string_equal(text, "1997-11-21T09:55:06-06:00");
    date_format_iso8601(0, 0, text);
    assert_string_equal(text, "1970-01-01T00:00:00Z");
    date_format_asctime(880127706, text);
    assert_string_equal(text, "Fri Nov 21 15:55:06 1997");
    date_format_rfc5322(INT64_MAX, 1439, text);
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 +2359");
    date_format_sql(INT64_MIN, text);
    assert_string_equal(text, "0001-01-01 00:00:00");
}

/* Every day from year 1 to 2517, there and back. */
static void test_calendar(void **state)
{
    struct date_fields last = {0};

    (void)state;
    for (int64_t day = -719162; day <= 200000; day++) {
        struct date_fields f;

        date_to_fields(day * 86400 + 3661, 0, &f);
        assert_int_equal(date_from_fields(&f, 0), day * 86400 + 3661);
        if (last.year != 0) {
            assert_int_equal(f.weekday, (last.weekday + 1) % 7);
            assert_true(f.yday == last.yday + 1 || (f.yday == 0 && f.month == 1 && f.day == 1));
        }
        last = f;
    }
}

static void test_absurd(void **state)
{
    const int64_t now = 1735689600;

    (void)state;
    assert_true(date_is_absurd(0, now));
    assert_true(date_is_absurd(-5, now));
    assert_false(date_is_absurd(400LL * 86400, now));
    assert_false(date_is_absurd(now, now));
    assert_false(date_is_absurd(now + 300 * 86400, now));
    assert_true(date_is_absurd(now + 400 * 86400, now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_absurd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
