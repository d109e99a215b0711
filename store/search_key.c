#include "store/search_key.h"

#include <string.h>

/* "2024-01-31T12:00:00", perhaps with a fraction; a day that there is. */
static bool is_date(const char *text)
{
    g_autofree char *whole = NULL;
    g_autoptr(GDateTime) date = NULL;
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    size_t length = strlen(text);

    if (length < 19 || length > 32 || strspn(text, "0123456789-T:.") != length)
        return false;
    whole = g_strndup(text, 19);
    date = g_date_time_new_from_iso8601(whole, utc);
    return date != NULL && strspn(text + 19, ".0123456789") == length - 19;
}

/* The date of a key as the database has it; NULL: it cannot be one. What stands behind "~" is some
 * text that an application put into SQLite's column as a date. */
static char *key_date(const char *text, enum db_kind kind)
{
    g_autofree char *odd = NULL;

    if (is_date(text))
        return g_strdelimit(g_strdup(text), "T", ' ');
    if (kind == DB_SQLITE && *text == '~')
        odd = g_uri_unescape_string(text + 1, NULL);
    return odd && g_utf8_validate(odd, -1, NULL) ? g_steal_pointer(&odd) : NULL;
}

bool search_key_parse(const char *text, enum db_kind kind, struct search_key *ret_key,
                           struct error *err)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", 4);
    g_autofree char *date = NULL;
    char *score_end, *id_end;

    if (g_strv_length(parts) == 3) {
        gint64 score = g_ascii_strtoll(parts[0], &score_end, 10);
        gint64 id = g_ascii_strtoll(parts[2], &id_end, 10);

        if (parts[0][0] && !*score_end && parts[2][0] && !*id_end && score >= 0 &&
            score < G_MAXINT && (date = key_date(parts[1], kind))) {
            ret_key->score = (int)score;
            ret_key->undated = strcmp(date, SEARCH_UNDATED) == 0;
            ret_key->date = g_steal_pointer(&date);
            ret_key->id = id;
            return true;
        }
    }
    error_set(err, ERROR_USAGE, "\"%s\" is not the key of a page", text);
    return false;
}

char *search_key_format(const struct search_hit *hit)
{
    g_autofree char *date =
        g_strdelimit(g_strdup(hit->undated ? SEARCH_UNDATED : hit->date), " ", 'T');

    if (!is_date(date) || (!hit->undated && hit->date[10] != ' ')) {
        g_autofree char *escaped = g_uri_escape_string(hit->date, NULL, FALSE);

        g_free(date);
        date = g_strconcat("~", escaped, NULL);
    }
    return g_strdup_printf("%d,%s,%" G_GINT64_FORMAT, hit->score, date, hit->id);
}
