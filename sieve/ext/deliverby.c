/*
 * envelope-deliverby: the envelope parts bytimeabsolute, bytimerelative, bymode and bytrace.
 * redirect-deliverby: redirect :bytimerelative, :bytimeabsolute, :bymode, :bytrace.
 *
 * RFC 6009, sections 5 and 7. Status: complete.
 */
#include <string.h>

#include "lda/mail/date.h"

#include "sieve/ext/list.h"
#include "sieve/sieve-internal.h"

/* ------------------------------------------------------------------ envelope-deliverby */

static void add_time(struct sieve_run *run, struct sieve_values *values,
    const struct mail_date *date, int zone)
{
    char text[DATE_TEXT_SIZE];

    date_format_iso8601(date->utc, zone, text);
    sieve_values_add(values, sieve_str(arena_strdup(run->arena, text)), NULL, NULL);
}

/* In the local zone, like currentdate; the tags of the date extension change that. */
static void get_absolute(struct sieve_run *run, const char *name, struct sieve_values *values)
{
    struct mail_date date;
    int zone;

    (void)name;
    sieve_now(run, &zone);
    if (run->envelope->by_time_absolute != NULL &&
        date_parse(run->envelope->by_time_absolute, &date))
        add_time(run, values, &date, zone);
}

static void get_relative(struct sieve_run *run, const char *name, struct sieve_values *values)
{
    (void)name;
    if (run->envelope->by_time_relative != NULL)
        sieve_values_add(values, sieve_str(run->envelope->by_time_relative), NULL, NULL);
}

static void get_mode(struct sieve_run *run, const char *name, struct sieve_values *values)
{
    (void)name;
    if (run->envelope->by_mode != NULL)
        sieve_values_add(values,
            sieve_str(g_ascii_strcasecmp(run->envelope->by_mode, "R") == 0 ? "return" : "notify"),
            NULL, NULL);
}

/* "trace" or the empty string, where there is a BY at all. */
static void get_trace(struct sieve_run *run, const char *name, struct sieve_values *values)
{
    const struct sieve_envelope *envelope = run->envelope;
    bool traced = envelope->by_trace != NULL && strcmp(envelope->by_trace, "true") == 0;

    (void)name;
    if (envelope->by_mode != NULL || envelope->by_trace != NULL)
        sieve_values_add(values, sieve_str(traced ? "trace" : ""), NULL, NULL);
}

static const struct sieve_envelope_part parts[] = {
    {.name = "bytimeabsolute", .get = get_absolute},
    {.name = "bytimerelative", .get = get_relative},
    {.name = "bymode", .get = get_mode},
    {.name = "bytrace", .get = get_trace},
    {NULL},
};

/* "+hhmm", "-hhmm" in minutes east. */
static bool read_zone(const char *text, int *ret_minutes)
{
    if ((*text != '+' && *text != '-') || strlen(text) != 5)
        return false;
    for (size_t i = 1; i < 5; i++)
        if (!g_ascii_isdigit(text[i]))
            return false;
    int hours = (text[1] - '0') * 10 + text[2] - '0';
    int minutes = (text[3] - '0') * 10 + text[4] - '0';
    if (hours > 23 || minutes > 59)
        return false;
    *ret_minutes = (*text == '-' ? -1 : 1) * (hours * 60 + minutes);
    return true;
}

static bool check_zone(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    const struct sieve_string *text = sieve_constant(bound->arg);
    int minutes;

    (void)node;
    if (text == NULL || read_zone(text->data, &minutes))
        return true;
    sieve_error_at(compiler, bound->line, bound->column,
        "the :zone argument '%.40s' is no time zone offset like \"+0100\"", text->data);
    return false;
}

/* The date in the zone asked for; other parts stay as they are. */
static enum sieve_status zone_values(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_bound_tag *bound, struct sieve_values *values)
{
    struct mail_date date;
    int zone = 0;

    if (run->envelope->by_time_absolute == NULL || values->count != 1 ||
        strchr(values->items[0].text.data, 'T') == NULL ||
        !date_parse(run->envelope->by_time_absolute, &date))
        return SIEVE_NEXT;
    if (bound->arg == NULL) {
        zone = date.zone;
    } else {
        struct sieve_string text = sieve_tag_string(run, bound);

        if (!read_zone(text.data, &zone))
            return sieve_fail(run, node, "the :zone argument '%.40s' is invalid", text.data);
    }
    values->count = 0;
    add_time(run, values, &date, zone);
    return SIEVE_NEXT;
}

static const struct sieve_tag envelope_tags[] = {
    {.name = "zone", .argument = "s", .applies = "envelope", .group = "zone",
        .check = check_zone, .values = zone_values},
    {.name = "originalzone", .argument = "", .applies = "envelope", .group = "zone",
        .values = zone_values},
    {NULL},
};

const struct sieve_extension sieve_ext_envelope_deliverby = {
    .name = "envelope-deliverby",
    .rfc = "RFC 6009",
    .status = "complete",
    .tags = envelope_tags,
    .envelope_parts = parts,
};

/* ------------------------------------------------------------------ redirect-deliverby */

static bool is_date(const char *text)
{
    struct mail_date date;

    return strlen(text) >= 19 && text[4] == '-' && strchr("Tt", text[10]) != NULL &&
        date_parse(text, &date);
}

static bool check_absolute(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    const struct sieve_string *text = sieve_constant(bound->arg);

    (void)node;
    if (text == NULL || is_date(text->data))
        return true;
    sieve_error_at(compiler, bound->line, bound->column,
        "the :bytimeabsolute argument '%.80s' is no date and time (RFC 3339)", text->data);
    return false;
}

/* "The default is return" (7); the tags come in any order. */
static void default_mode(struct sieve_action *action)
{
    if (action->redirect.by_mode == NULL)
        action->redirect.by_mode = "return";
}

static enum sieve_status apply_absolute(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_bound_tag *bound, struct sieve_action *action)
{
    struct sieve_string text = sieve_tag_string(run, bound);

    if (!is_date(text.data))
        return sieve_fail(run, node,
            "the :bytimeabsolute argument '%.80s' is no date and time (RFC 3339)", text.data);
    action->redirect.by_time = text.data;
    action->redirect.by_absolute = true;
    default_mode(action);
    return SIEVE_NEXT;
}

static enum sieve_status apply_relative(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_bound_tag *bound, struct sieve_action *action)
{
    (void)node;
    action->redirect.by_time = arena_printf(run->arena, "%" G_GUINT64_FORMAT,
        sieve_tag_number(bound));
    default_mode(action);
    return SIEVE_NEXT;
}

static bool needs_time(struct sieve_compiler *compiler, struct sieve_node *node,
    const struct sieve_bound_tag *bound)
{
    if (sieve_node_tag(node, "bytimerelative") != NULL ||
        sieve_node_tag(node, "bytimeabsolute") != NULL)
        return true;
    sieve_error_at(compiler, bound->line, bound->column,
        "the :%s tag needs :bytimerelative or :bytimeabsolute", bound->tag->name);
    return false;
}

/* "notify" or "return"; NULL: neither. */
static const char *mode_of(const char *text)
{
    return g_ascii_strcasecmp(text, "notify") == 0   ? "notify"
        : g_ascii_strcasecmp(text, "return") == 0 ? "return"
                                                    : NULL;
}

static bool check_mode(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    const struct sieve_string *text = sieve_constant(bound->arg);

    if (text != NULL && mode_of(text->data) == NULL) {
        sieve_error_at(compiler, bound->line, bound->column,
            "the :bymode argument '%.40s' is neither \"notify\" nor \"return\"", text->data);
        return false;
    }
    return needs_time(compiler, node, bound);
}

static bool check_trace(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    return needs_time(compiler, node, bound);
}

static enum sieve_status apply_mode(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_bound_tag *bound, struct sieve_action *action)
{
    struct sieve_string text = sieve_tag_string(run, bound);

    action->redirect.by_mode = mode_of(text.data);
    return action->redirect.by_mode != NULL
        ? SIEVE_NEXT
        : sieve_fail(run, node, "the :bymode argument '%.40s' is invalid", text.data);
}

static enum sieve_status apply_trace(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_bound_tag *bound, struct sieve_action *action)
{
    (void)run, (void)node, (void)bound;
    action->redirect.by_trace = true;
    return SIEVE_NEXT;
}

static const struct sieve_tag redirect_tags[] = {
    {.name = "bytimerelative", .argument = "n", .applies = "redirect", .group = "by time",
        .apply = apply_relative},
    {.name = "bytimeabsolute", .argument = "s", .applies = "redirect", .group = "by time",
        .check = check_absolute, .apply = apply_absolute},
    {.name = "bymode", .argument = "s", .applies = "redirect", .check = check_mode,
        .apply = apply_mode},
    {.name = "bytrace", .argument = "", .applies = "redirect", .check = check_trace,
        .apply = apply_trace},
    {NULL},
};

const struct sieve_extension sieve_ext_redirect_deliverby = {
    .name = "redirect-deliverby",
    .rfc = "RFC 6009",
    .status = "complete",
    .tags = redirect_tags,
};
