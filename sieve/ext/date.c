/*
 * date: the tests date and currentdate.
 *
 * RFC 5260, section 4 and 5. Status: complete.
 */
#include <string.h>

#include "lda/mail/date.h"

#include "sieve/sieve-internal.h"

/* ------------------------------------------------------------------ parts (4.2) */

enum part { YEAR, MONTH, DAY, DATE, JULIAN, HOUR, MINUTE, SECOND, TIME, ISO8601, STD11, ZONE,
    WEEKDAY, PARTS };

static const char *const part_names[PARTS] = {"year", "month", "day", "date", "julian", "hour",
    "minute", "second", "time", "iso8601", "std11", "zone", "weekday"};

static const char *const month_names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
    "Sep", "Oct", "Nov", "Dec"};
static const char *const day_names[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

static bool find_part(const char *name, enum part *ret_part)
{
    for (size_t i = 0; i < PARTS; i++) {
        if (g_ascii_strcasecmp(part_names[i], name) == 0) {
            *ret_part = (enum part)i;
            return true;
        }
    }
    return false;
}

/* The Modified Julian Day of the date that the zone's calendar shows. */
static int64_t julian_day(int64_t utc, int zone)
{
    int64_t local = utc + (int64_t)zone * 60;
    int64_t days = local / 86400 - (local % 86400 < 0);

    return days + 40587;
}

static char *zone_text(struct arena *arena, int zone)
{
    return arena_printf(arena, "%c%02d%02d", zone < 0 ? '-' : '+', ABS(zone) / 60,
        ABS(zone) % 60);
}

static char *part_text(struct arena *arena, enum part part, int64_t utc, int zone)
{
    struct date_fields d;
    char iso[DATE_TEXT_SIZE];

    date_to_fields(utc, zone, &d);
    switch (part) {
    case YEAR: return arena_printf(arena, "%04d", d.year);
    case MONTH: return arena_printf(arena, "%02d", d.month);
    case DAY: return arena_printf(arena, "%02d", d.day);
    case DATE: return arena_printf(arena, "%04d-%02d-%02d", d.year, d.month, d.day);
    case JULIAN: return arena_printf(arena, "%" G_GINT64_FORMAT, (gint64)julian_day(utc, zone));
    case HOUR: return arena_printf(arena, "%02d", d.hour);
    case MINUTE: return arena_printf(arena, "%02d", d.minute);
    case SECOND: return arena_printf(arena, "%02d", d.second);
    case TIME: return arena_printf(arena, "%02d:%02d:%02d", d.hour, d.minute, d.second);
    case ISO8601:
        date_format_iso8601(utc, zone, iso);
        return arena_strdup(arena, iso);
    case STD11:
        return arena_printf(arena, "%s, %02d %s %04d %02d:%02d:%02d %s", day_names[d.weekday],
            d.day, month_names[d.month - 1], d.year, d.hour, d.minute, d.second,
            zone_text(arena, zone));
    case ZONE: return zone_text(arena, zone);
    case WEEKDAY: return arena_printf(arena, "%d", d.weekday);
    case PARTS: break;
    }
    return arena_strdup(arena, "");
}

/* ------------------------------------------------------------------ :zone (4.1) */

/* "+hhmm" or "-hhmm" to minutes east of UTC. */
static bool parse_zone(const struct sieve_string *text, int *ret_zone)
{
    const char *p = text->data;

    if (text->length != 5 || (p[0] != '+' && p[0] != '-'))
        return false;
    for (size_t i = 1; i < 5; i++)
        if (!g_ascii_isdigit(p[i]))
            return false;
    int minutes = ((p[1] - '0') * 10 + p[2] - '0') * 60 + (p[3] - '0') * 10 + p[4] - '0';
    if (minutes > 1439)
        return false;
    *ret_zone = p[0] == '-' ? -minutes : minutes;
    return true;
}

static bool check_zone(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    const struct sieve_string *text = sieve_constant(bound->arg);
    int zone;

    (void)node;
    if (text != NULL && !parse_zone(text, &zone))
        sieve_warning_at(compiler, bound->line, bound->column,
            "the :zone argument '%.40s' is no time zone (as \"+0100\"): the local one is used",
            text->data);
    return true;
}

/* The zone to show a date of @original in. */
static int wanted_zone(struct sieve_run *run, const struct sieve_node *node, int original)
{
    const struct sieve_bound_tag *bound = sieve_node_tag(node, "zone");
    int zone;

    if (sieve_node_tag(node, "originalzone") != NULL)
        return original;
    sieve_now(run, &zone);
    if (bound != NULL) {
        struct sieve_string text = sieve_tag_string(run, bound);

        if (!parse_zone(&text, &zone))
            sieve_log(run, node, "the :zone argument '%.40s' is no time zone (the local one is used)",
                text.data);
    }
    return zone;
}

/* ------------------------------------------------------------------ the tests */

static bool check_part(struct sieve_compiler *compiler, const struct sieve_node *node,
    const struct sieve_arg *arg)
{
    const struct sieve_string *name = sieve_constant(arg);
    enum part part;

    if (name != NULL && !find_part(name->data, &part))
        sieve_warning_at(compiler, arg->line, arg->column,
            "the date part '%.80s' is not known: the %s test is always false", name->data,
            node->word->name);
    return true;
}

static bool check_date(struct sieve_compiler *compiler, struct sieve_node *node)
{
    const struct sieve_string *name = sieve_constant(node->args[0]);

    if (name != NULL && !sieve_header_name_is_valid(name)) {
        sieve_error(compiler, node, "'%.80s' is no valid header field name for the date test",
            name->data);
        return false;
    }
    return check_part(compiler, node, node->args[1]);
}

static bool check_currentdate(struct sieve_compiler *compiler, struct sieve_node *node)
{
    return check_part(compiler, node, node->args[0]);
}

static bool part_of(struct sieve_run *run, const struct sieve_node *node, size_t index,
    enum part *ret_part)
{
    struct sieve_string name = sieve_arg_string(run, node, index);

    if (find_part(name.data, ret_part))
        return true;
    sieve_log(run, node, "the date part '%.40s' is not known", name.data);
    return false;
}

/* The first field, or the one :index says. The date of a Received field is behind its last ';'. */
static enum sieve_status run_date(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string name = sieve_arg_string(run, node, 0);
    struct sieve_list names = {&name, 1};
    struct sieve_values values = {0};
    struct sieve_match match;
    struct mail_date date;
    enum sieve_status status = SIEVE_FALSE;
    enum part part;

    if (!part_of(run, node, 1, &part))
        return SIEVE_FALSE;
    if (!sieve_header_values(run, node, &names, &values))
        return SIEVE_ERROR;
    sieve_match_begin(&match, run, node);
    if (values.count > 0) {
        const char *raw = values.items[0].raw != NULL ? values.items[0].raw
                                                      : values.items[0].text.data;
        const char *behind = strrchr(raw, ';');

        if (date_parse(behind != NULL ? behind + 1 : raw, &date)) {
            struct sieve_string text = sieve_str(part_text(run->arena, part, date.utc,
                wanted_zone(run, node, date.zone)));

            status = sieve_match_value(&match, &text);
        }
    }
    return sieve_match_finish(&match, status);
}

static enum sieve_status run_currentdate(struct sieve_run *run, const struct sieve_node *node)
{
    int local;
    time_t now = sieve_now(run, &local);
    struct sieve_match match;
    enum part part;

    if (!part_of(run, node, 0, &part))
        return SIEVE_FALSE;
    sieve_match_begin(&match, run, node);
    struct sieve_string text = sieve_str(part_text(run->arena, part, (int64_t)now,
        wanted_zone(run, node, local)));
    return sieve_match_finish(&match, sieve_match_value(&match, &text));
}

static const struct sieve_tag date_tags[] = {
    {.name = "zone", .argument = "s", .group = "zone", .check = check_zone},
    {.name = "originalzone", .argument = "", .group = "zone"},
    {NULL},
};

static const struct sieve_tag currentdate_tags[] = {
    {.name = "zone", .argument = "s", .check = check_zone},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "date", .flags = SIEVE_WORD_TEST | SIEVE_WORD_MATCH, .args = "ssl",
        .match_keys = 2, .tags = date_tags, .check = check_date, .run = run_date,
        .arg_names = "header name,date part,key list"},
    {.name = "currentdate", .flags = SIEVE_WORD_TEST | SIEVE_WORD_MATCH, .args = "sl",
        .match_keys = 1, .tags = currentdate_tags, .check = check_currentdate,
        .run = run_currentdate, .arg_names = "date part,key list"},
    {NULL},
};

const struct sieve_extension sieve_ext_date = {
    .name = "date",
    .rfc = "RFC 5260",
    .status = "complete",
    .words = words,
};
