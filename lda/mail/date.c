#include "date.h"

#include <stdio.h>
#include <string.h>

#include <glib.h>

#define DATE_INPUT_MAX 1000 /* no date is longer, however many comments it has */
#define TOKENS_MAX 24

static const char *const month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const day_names[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

/* RFC 5322 4.3 and what is seen; minutes east. Ambiguous ones (IST, CST of China) are read as the
 * RFC does or left out. */
static const struct {
    const char *name;
    int zone;
} zone_names[] = {
    {"UT", 0},     {"GMT", 0},     {"UTC", 0},    {"Z", 0},      {"WET", 0},    {"EST", -300},
    {"EDT", -240}, {"CST", -360},  {"CDT", -300}, {"MST", -420}, {"MDT", -360}, {"PST", -480},
    {"PDT", -420}, {"AKST", -540}, {"HST", -600}, {"BST", 60},   {"WEST", 60},  {"CET", 60},
    {"MEZ", 60},   {"MET", 60},    {"CEST", 120}, {"MESZ", 120}, {"MEST", 120}, {"EET", 120},
    {"EEST", 180}, {"MSK", 180},   {"KST", 540},  {"JST", 540},  {"HKT", 480},  {"SGT", 480},
    {"AWST", 480}, {"ACST", 570},  {"AEST", 600}, {"AEDT", 660}, {"NZST", 720}, {"NZDT", 780},
};

/* --- calendar: H. Hinnant's algorithms, exact over the proleptic Gregorian calendar -------------
 */

static int64_t days_from_civil(int64_t year, int month, int day)
{
    int64_t era;
    int64_t year_of_era;
    int64_t day_of_year;
    int64_t day_of_era;

    year -= month <= 2;
    era = (year >= 0 ? year : year - 399) / 400;
    year_of_era = year - era * 400;
    day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

#define UTC_MIN (-62135596800LL) /* 0001-01-01 */
#define UTC_MAX 253402300799LL   /* 9999-12-31 23:59:59 */

void date_to_fields(int64_t utc, int zone, struct date_fields *ret_fields)
{
    int64_t local;
    int64_t days;
    int64_t seconds;
    int64_t era;
    int64_t day_of_era;
    int64_t year_of_era;
    int64_t day_of_year;
    int64_t month;
    struct date_fields fields;

    local = CLAMP(utc, UTC_MIN, UTC_MAX) + (int64_t)zone * 60;
    local = CLAMP(local, UTC_MIN, UTC_MAX);
    days = local / 86400;
    seconds = local % 86400;
    if (seconds < 0) {
        seconds += 86400;
        days--;
    }
    fields.weekday = (int)(((days + 4) % 7 + 7) % 7);
    fields.hour = (int)(seconds / 3600);
    fields.minute = (int)(seconds / 60 % 60);
    fields.second = (int)(seconds % 60);
    days += 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    day_of_era = days - era * 146097;
    year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    month = (5 * day_of_year + 2) / 153;
    fields.day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    fields.month = (int)(month < 10 ? month + 3 : month - 9);
    fields.year = (int)(year_of_era + era * 400 + (fields.month <= 2));
    fields.yday = (int)(days - 719468 - days_from_civil(fields.year, 1, 1));
    *ret_fields = fields;
}

int64_t date_from_fields(const struct date_fields *fields, int zone)
{
    return days_from_civil(fields->year, fields->month, fields->day) * 86400 + fields->hour * 3600 +
           fields->minute * 60 + fields->second - (int64_t)zone * 60;
}

/* --- parsing -------------------------------------------------------------------------------- */

struct parse {
    int year, month, day; /* -1: not seen */
    int hour, minute, second;
    int zone;
    bool zone_seen;
    bool zone_known;
    int meridian; /* 0, 1 = am, 2 = pm */
};

/* Copies without comments (they nest), with ',' as space and no space around ':'. */
static void strip_comments(const char *text, char *out, size_t size)
{
    size_t depth = 0;
    size_t length = 0;

    for (size_t i = 0; i < DATE_INPUT_MAX && length + 1 < size && text[i] != '\0'; i++) {
        bool space = text[i] == '(' || text[i] == ',' || (unsigned char)text[i] <= ' ';

        if (text[i] == '(')
            depth++;
        if (depth == 0 && text[i] == ':')
            while (length > 0 && out[length - 1] == ' ')
                length--;
        if (space && (depth == 0 || text[i] == '(')) {
            if (length > 0 && out[length - 1] != ':')
                out[length++] = ' ';
        } else if (text[i] == ')') {
            depth -= depth > 0;
        } else if (depth > 0) {
            i += text[i] == '\\' && text[i + 1] != '\0';
        } else {
            out[length++] = text[i];
        }
    }
    out[length] = '\0';
}

/* Reads 1 to @max digits; returns how many there were. */
static int digits(const char *text, int max, int *ret_value)
{
    int count = 0;
    int value = 0;

    while (count < max && g_ascii_isdigit(text[count])) {
        value = value * 10 + (text[count] - '0');
        count++;
    }
    if (count > 0)
        *ret_value = value;
    return count;
}

static int find_name(const char *token, const char *const *names, int count)
{
    size_t length = strspn(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.");

    if (length < 3 || token[length] != '\0')
        return -1;
    for (int i = 0; i < count; i++)
        if (g_ascii_strncasecmp(token, names[i], 3) == 0)
            return i;
    return -1;
}

/* "+0900", "-05:30", "+9". */
static bool parse_offset(const char *token, struct parse *parse)
{
    int hours = 0;
    int minutes = 0;
    int sign = token[0] == '-' ? -1 : 1;
    int count;

    if (token[0] != '+' && token[0] != '-')
        return false;
    count = digits(token + 1, 4, &hours);
    if (count == 0)
        return false;
    if (count >= 3) {
        minutes = hours % 100;
        hours /= 100;
    } else if (token[1 + count] == ':') {
        digits(token + 2 + count, 2, &minutes);
    }
    if (parse->zone_seen)
        return true;
    parse->zone_seen = true;
    if (hours > 23 || minutes > 59)
        return true;
    parse->zone = sign * (hours * 60 + minutes);
    parse->zone_known = !(sign < 0 && parse->zone == 0); /* "-0000": RFC 5322 3.3 */
    return true;
}

static bool parse_zone(const char *token, struct parse *parse)
{
    if (parse_offset(token, parse))
        return true;
    for (size_t i = 0; i < G_N_ELEMENTS(zone_names); i++) {
        size_t length = strlen(zone_names[i].name);

        if (g_ascii_strncasecmp(token, zone_names[i].name, length) != 0)
            continue;
        if (token[length] != '\0' && token[length] != '+' && token[length] != '-')
            continue;
        if (token[length] != '\0') /* "GMT+0900" */
            return parse_offset(token + length, parse);
        if (!parse->zone_seen) {
            parse->zone = zone_names[i].zone;
            parse->zone_known = true;
            parse->zone_seen = true;
        }
        return true;
    }
    return false;
}

/* "9:55", "09:55:06", "09:55:06.123Z"; behind it a zone may stick. */
static bool parse_time(const char *token, struct parse *parse)
{
    int hour = 0;
    int minute = 0;
    int second = 0;
    int count = digits(token, 2, &hour);
    const char *at = token + count;

    if (count == 0 || *at != ':')
        return false;
    count = digits(++at, 2, &minute);
    if (count == 0)
        return false;
    at += count;
    if (*at == ':') {
        count = digits(++at, 2, &second);
        if (count == 0)
            return false;
        at += count;
        if (*at == '.')
            at += 1 + strspn(at + 1, "0123456789");
    }
    if (parse->hour >= 0)
        return true; /* the first time counts */
    parse->hour = hour;
    parse->minute = minute;
    parse->second = second;
    if (g_ascii_strcasecmp(at, "am") == 0 || g_ascii_strcasecmp(at, "pm") == 0)
        parse->meridian = g_ascii_tolower(*at) == 'a' ? 1 : 2;
    else if (*at != '\0')
        parse_zone(at, parse);
    return true;
}

/* "1997-11-21", "1997/11/21", with "T09:55:06Z" behind. */
static bool parse_iso(const char *token, struct parse *parse)
{
    int year = 0;
    int month = 0;
    int day = 0;
    const char *at = token;
    int count;

    if (digits(at, 4, &year) != 4 || (at[4] != '-' && at[4] != '/'))
        return false;
    at += 5;
    count = digits(at, 2, &month);
    if (count == 0 || (at[count] != '-' && at[count] != '/'))
        return false;
    at += count + 1;
    count = digits(at, 2, &day);
    if (count == 0 || parse->year >= 0)
        return false;
    parse->year = year;
    parse->month = month;
    parse->day = day;
    at += count;
    if (*at == 'T' || *at == 't')
        parse_time(at + 1, parse);
    return true;
}

static void parse_number(const char *token, struct parse *parse)
{
    int value = 0;
    int count = digits(token, 9, &value);

    if (token[count] != '\0' && g_ascii_strcasecmp(token + count, "st") != 0 &&
        g_ascii_strcasecmp(token + count, "nd") != 0 &&
        g_ascii_strcasecmp(token + count, "rd") != 0 &&
        g_ascii_strcasecmp(token + count, "th") != 0 && strcmp(token + count, ".") != 0)
        return;
    if (count <= 2 && parse->day < 0) {
        parse->day = value;
    } else if (parse->year < 0) {
        /* RFC 5322 4.3: two digits 00-49 are 20xx, 50-99 and three digits 19xx */
        if (count <= 2)
            value += value < 50 ? 2000 : 1900;
        else if (count == 3)
            value += 1900;
        parse->year = value;
    }
}

static void parse_token(char *token, struct parse *parse)
{
    int month;

    if (parse_iso(token, parse) || parse_time(token, parse))
        return;
    if (token[0] == '+' || token[0] == '-') {
        parse_offset(token, parse);
        return;
    }
    if (g_ascii_isdigit(token[0])) {
        char *dash = strpbrk(token, "-/");
        char *second = dash == NULL ? NULL : strpbrk(dash + 1, "-/");

        if (second != NULL) { /* "21-Nov-1997" */
            *dash = *second = '\0';
            month = find_name(dash + 1, month_names, 12);
            if (month >= 0 && parse->month < 0) {
                parse->month = month + 1;
                parse_number(token, parse);
                parse_number(second + 1, parse);
            }
            return;
        }
        parse_number(token, parse);
        return;
    }
    month = find_name(token, month_names, 12);
    if (month >= 0 && parse->month < 0) {
        parse->month = month + 1;
        return;
    }
    if (find_name(token, day_names, 7) >= 0)
        return;
    if (g_ascii_strcasecmp(token, "am") == 0 || g_ascii_strcasecmp(token, "pm") == 0) {
        parse->meridian = g_ascii_tolower(token[0]) == 'a' ? 1 : 2;
        return;
    }
    parse_zone(token, parse);
}

static bool parse_finish(struct parse *parse, struct mail_date *ret_date)
{
    struct date_fields fields;

    if (parse->year < 1 || parse->year > 9999 || parse->month < 1 || parse->month > 12 ||
        parse->day < 1 || parse->day > month_days(parse->year, parse->month))
        return false;
    if (parse->hour < 0)
        parse->hour = 0;
    if (parse->meridian == 2 && parse->hour < 12)
        parse->hour += 12;
    if (parse->meridian == 1 && parse->hour == 12)
        parse->hour = 0;
    if (parse->hour > 24 || parse->minute > 59 || parse->second > 60 ||
        (parse->hour == 24 && (parse->minute > 0 || parse->second > 0)))
        return false;
    fields.year = parse->year;
    fields.month = parse->month;
    fields.day = parse->day;
    fields.hour = parse->hour;
    fields.minute = parse->minute;
    fields.second = parse->second == 60 ? 59 : parse->second;
    ret_date->utc = date_from_fields(&fields, parse->zone);
    ret_date->zone = parse->zone;
    ret_date->zone_known = parse->zone_known;
    return true;
}

bool date_parse(const char *text, struct mail_date *ret_date)
{
    struct parse parse = {-1, -1, -1, -1, 0, 0, 0, false, false, 0};
    char clean[DATE_INPUT_MAX + 1];
    char *state = NULL;
    int count = 0;

    strip_comments(text, clean, sizeof(clean));
    for (char *token = strtok_r(clean, " ", &state); token != NULL && count < TOKENS_MAX;
         token = strtok_r(NULL, " ", &state), count++)
        parse_token(token, &parse);
    return parse_finish(&parse, ret_date);
}

bool date_is_absurd(int64_t utc, int64_t now)
{
    return utc < 365 * 86400 || utc > now + 366 * 86400;
}

/* --- formatting ----------------------------------------------------------------------------- */

void date_format_rfc5322(int64_t utc, int zone, char ret_text[DATE_TEXT_SIZE])
{
    struct date_fields f;
    int offset = zone < 0 ? -zone : zone;

    date_to_fields(utc, zone, &f);
    snprintf(ret_text, DATE_TEXT_SIZE, "%s, %02d %s %04d %02d:%02d:%02d %c%02d%02d",
             day_names[f.weekday], f.day, month_names[f.month - 1], f.year, f.hour, f.minute,
             f.second, zone < 0 ? '-' : '+', offset / 60 % 24, offset % 60);
}

void date_format_sql(int64_t utc, char ret_text[DATE_TEXT_SIZE])
{
    struct date_fields f;

    date_to_fields(utc, 0, &f);
    snprintf(ret_text, DATE_TEXT_SIZE, "%04d-%02d-%02d %02d:%02d:%02d", f.year, f.month, f.day,
             f.hour, f.minute, f.second);
}

void date_format_iso8601(int64_t utc, int zone, char ret_text[DATE_TEXT_SIZE])
{
    struct date_fields f;
    int offset = zone < 0 ? -zone : zone;
    int length;

    date_to_fields(utc, zone, &f);
    length = snprintf(ret_text, DATE_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d", f.year, f.month,
                      f.day, f.hour, f.minute, f.second);
    if (zone == 0)
        snprintf(ret_text + length, DATE_TEXT_SIZE - (size_t)length, "Z");
    else
        snprintf(ret_text + length, DATE_TEXT_SIZE - (size_t)length, "%c%02d:%02d",
                 zone < 0 ? '-' : '+', offset / 60 % 24, offset % 60);
}

void date_format_asctime(int64_t utc, char ret_text[DATE_TEXT_SIZE])
{
    struct date_fields f;

    date_to_fields(utc, 0, &f);
    snprintf(ret_text, DATE_TEXT_SIZE, "%s %s %2d %02d:%02d:%02d %04d", day_names[f.weekday],
             month_names[f.month - 1], f.day, f.hour, f.minute, f.second, f.year);
}
