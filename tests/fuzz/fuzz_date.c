/* Dates: what was read is written and read again. */
#include "fuzz.h"

#include "lda/mail/date.h"

#include <glib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    struct mail_date date;
    struct mail_date again;
    char written[DATE_TEXT_SIZE];

    if (!date_parse(text, &date))
        return 0;
    g_assert(date.zone > -1440 && date.zone < 1440);
    date_format_sql(date.utc, written);
    date_format_iso8601(date.utc, date.zone, written);
    date_format_rfc5322(date.utc, date.zone, written);
    g_assert(date_parse(written, &again));
    /* The ends of the calendar are clamped, and years below 1000 are read as RFC 5322 4.3 says. */
    if (date.utc > -30000000000LL && date.utc < 250000000000LL) {
        g_assert(again.utc == date.utc);
        g_assert(again.zone == date.zone);
    }
    date_is_absurd(date.utc, 1735689600);
    return 0;
}
