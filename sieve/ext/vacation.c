/*
 * vacation: whether to answer, whom, and how long to be silent afterwards.
 *
 * RFC 5230, with the rules of RFC 3834. Status: complete.
 *
 * The decision is made here, from the message as it came; only "was this sender answered before" is
 * left to the caller, who has the memory. Settings are Pigeonhole's sieve_vacation_*.
 */
#include "sieve/ext/vacation.h"

#include <string.h>

#include "lda/mail/address.h"
#include "lda/mail/headers.h"
#include "lda/mail/message.h"

#define DAY 86400u

/* ------------------------------------------------------------------ compile time */

/* The site's bounds; without one, :days is at least a day (4.1) and :seconds may be anything
 * (RFC 6131 2). */
uint64_t vacation_period(const struct sieve_options *options, uint64_t seconds, bool in_seconds)
{
    uint64_t least = sieve_setting_seconds(options, "sieve_vacation_min_period",
        in_seconds ? 0 : DAY);
    uint64_t most = sieve_setting_seconds(options, "sieve_vacation_max_period", 0);

    if (seconds < least)
        return least;
    return most > 0 && seconds > most ? MAX(most, least) : seconds;
}

static uint64_t tag_seconds(const struct sieve_bound_tag *bound)
{
    bool days = strcmp(bound->tag->name, "days") == 0;
    uint64_t most = days ? G_MAXINT32 / DAY : G_MAXINT32;

    return MIN(bound->arg->number, most) * (days ? DAY : 1);
}

bool vacation_check_period(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    bool days = strcmp(bound->tag->name, "days") == 0;
    uint64_t seconds = tag_seconds(bound);
    uint64_t period = vacation_period(compiler->options, seconds, !days);

    (void)node;
    if (period != seconds)
        sieve_warning_at(compiler, bound->line, bound->column,
            "the :%s value %" G_GUINT64_FORMAT " is %s: %" G_GUINT64_FORMAT " seconds are used",
            bound->tag->name, bound->arg->number,
            period > seconds ? "under the minimum" : "over the maximum", period);
    return true;
}

static bool check_from(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    const struct sieve_string *from = sieve_constant(bound->arg);

    if (from == NULL || sieve_address_normalize(compiler->arena, from->data) != NULL)
        return true;
    sieve_error_at(compiler, bound->line, bound->column,
        "the :from address '%.128s' is invalid for the %s command", from->data,
        node->word->name);
    return false;
}

static bool check_addresses(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    for (size_t i = 0; i < bound->arg->count; i++) {
        const struct sieve_string *address = sieve_constant_at(bound->arg, i);

        if (address != NULL && sieve_address_normalize(compiler->arena, address->data) == NULL)
            sieve_warning_at(compiler, bound->line, bound->column,
                "the :addresses item '%.128s' is invalid for the %s command: it is ignored",
                address->data, node->word->name);
    }
    return true;
}

/* ------------------------------------------------------------------ own addresses */

/* The parsed To, Cc … of the message, one vector of plain addresses. */
static GPtrArray *recipients_of(struct sieve_run *run)
{
    static const char *const fields[] = {"to", "cc", "bcc", "resent-to", "resent-cc",
        "resent-bcc"};
    struct headers *headers = message_headers(run->input);
    GPtrArray *found = g_ptr_array_new_with_free_func(g_free);

    for (size_t f = 0; f < G_N_ELEMENTS(fields); f++) {
        for (size_t i = headers_find(headers, fields[f], 0); i != HEADERS_NONE;
             i = headers_find(headers, fields[f], i + 1)) {
            AUTO_ADDRESS_LIST list = address_list_parse(headers_raw(headers, i), 0,
                message_charsets(run->input));

            for (size_t j = 0; j < list->count; j++)
                if (list->items[j].valid)
                    g_ptr_array_add(found, g_strdup(list->items[j].full));
        }
    }
    return found;
}

static bool among(const GPtrArray *addresses, const char *address)
{
    if (address == NULL || *address == '\0')
        return false;
    for (guint i = 0; i < addresses->len; i++)
        if (address_equal(g_ptr_array_index(addresses, i), address))
            return true;
    return false;
}

static const char *first_among(const GPtrArray *recipients, const char *const *addresses)
{
    for (size_t i = 0; addresses != NULL && addresses[i] != NULL; i++)
        if (among(recipients, addresses[i]))
            return addresses[i];
    return NULL;
}

static bool one_of(const char *const *addresses, const char *address)
{
    for (size_t i = 0; addresses != NULL && addresses[i] != NULL; i++)
        if (address_equal(addresses[i], address))
            return true;
    return false;
}

static const char *user_email(const struct sieve_run *run)
{
    const char *setting = sieve_setting(run->options, "sieve_user_email");

    return setting != NULL && *setting != '\0' ? setting : run->host->user_email;
}

static const char *original_recipient(const struct sieve_run *run)
{
    return sieve_setting_bool(run->options, "sieve_vacation_use_original_recipient", false)
        ? run->envelope->orig_to
        : NULL;
}

/* Pigeonhole had "dont_check_recipient" before 2.4 and has "check_recipient" now. */
static bool checks_recipient(const struct sieve_run *run)
{
    return sieve_setting_bool(run->options, "sieve_vacation_check_recipient", true) &&
        !sieve_setting_bool(run->options, "sieve_vacation_dont_check_recipient", false);
}

/* The own address that the message was sent to (4.5), or NULL: it came by a list or an alias. */
static const char *find_own_address(struct sieve_run *run, const struct sieve_vacation *vacation)
{
    g_autoptr(GPtrArray) recipients = recipients_of(run);
    const char *original = original_recipient(run), *found;

    if (among(recipients, run->envelope->to))
        return run->envelope->to;
    if (among(recipients, original))
        return original;
    if ((found = first_among(recipients, vacation->addresses)) != NULL)
        return found;
    if (among(recipients, user_email(run)))
        return user_email(run);
    return first_among(recipients, run->host->own_addresses);
}

/* ------------------------------------------------------------------ reasons not to answer */

/* 4.6: addresses that nobody reads. */
static bool is_system_address(const char *address)
{
    static const char *const names[] = {"mailer-daemon", "listserv", "majordomo"};
    const char *at = strrchr(address, '@');
    size_t length = at != NULL ? (size_t)(at - address) : strlen(address);
    g_autofree char *local = g_ascii_strdown(address, (gssize)length);

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (strcmp(local, names[i]) == 0)
            return true;
    return strstr(local, "-request") != NULL || g_str_has_prefix(local, "owner-");
}

/* The first word of a field's value, as Auto-Submitted and Precedence have it. */
static bool first_word_is(const char *value, const char *word)
{
    size_t length = strlen(word);

    return g_ascii_strncasecmp(value, word, length) == 0 &&
        (value[length] == '\0' || strchr("; \t(", value[length]) != NULL);
}

static bool says_no_reply(const char *value)
{
    g_auto(GStrv) words = g_strsplit(value, ",", 0);

    for (size_t i = 0; words[i] != NULL; i++) {
        g_strstrip(words[i]);
        if (g_ascii_strcasecmp(words[i], "All") == 0 || g_ascii_strcasecmp(words[i], "OOF") == 0)
            return true;
    }
    return false;
}

static bool is_list_message(struct headers *headers)
{
    static const char *const fields[] = {"list-id", "list-help", "list-subscribe",
        "list-unsubscribe", "list-post", "list-owner", "list-archive"};

    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        if (headers_find(headers, fields[i], 0) != HEADERS_NONE)
            return true;
    return false;
}

/* What the fields of the message say against an answer, or NULL. */
static const char *refused_by_header(struct headers *headers)
{
    if (is_list_message(headers))
        return "the message came over a mailing list";
    for (size_t i = headers_find(headers, "auto-submitted", 0); i != HEADERS_NONE;
         i = headers_find(headers, "auto-submitted", i + 1))
        if (!first_word_is(headers_value(headers, i), "no"))
            return "the message was submitted automatically";
    for (size_t i = headers_find(headers, "precedence", 0); i != HEADERS_NONE;
         i = headers_find(headers, "precedence", i + 1)) {
        const char *value = headers_value(headers, i);

        if (first_word_is(value, "junk") || first_word_is(value, "bulk") ||
            first_word_is(value, "list"))
            return "the message has a precedence of bulk, list or junk";
    }
    for (size_t i = headers_find(headers, "x-auto-response-suppress", 0); i != HEADERS_NONE;
         i = headers_find(headers, "x-auto-response-suppress", i + 1))
        if (says_no_reply(headers_value(headers, i)))
            return "the sender asks for no automatic replies";
    return NULL;
}

static const char *refused_by_envelope(const struct sieve_run *run,
    const struct sieve_vacation *vacation)
{
    const char *from = run->envelope->from;

    if (run->envelope->to == NULL || run->envelope->to[0] == '\0')
        return "the envelope has no recipient";
    if (from == NULL || from[0] == '\0')
        return "the envelope sender is <>";
    if (strchr(from, '@') == NULL)
        return "the envelope sender is no address";
    if (address_equal(from, run->envelope->to) || one_of(vacation->addresses, from) ||
        one_of(run->host->own_addresses, from) ||
        (user_email(run) != NULL && address_equal(from, user_email(run))) ||
        (original_recipient(run) != NULL && address_equal(from, original_recipient(run))))
        return "the sender is the user";
    if (is_system_address(from))
        return "the sender is a system or list address";
    return NULL;
}

/* Fills recipient and suppressed. */
static void decide(struct sieve_run *run, struct sieve_vacation *vacation)
{
    vacation->suppressed = refused_by_envelope(run, vacation);
    if (vacation->suppressed == NULL)
        vacation->suppressed = refused_by_header(message_headers(run->input));
    const char *own = find_own_address(run, vacation);
    if (own == NULL && vacation->suppressed == NULL && checks_recipient(run))
        vacation->suppressed = "the message is not addressed to the user";
    if (own == NULL)
        own = user_email(run) != NULL ? user_email(run) : run->envelope->to;
    vacation->recipient = arena_strdup(run->arena, own);
}

/* ------------------------------------------------------------------ vacation */

static const char *tag_text(struct sieve_run *run, const struct sieve_node *node,
    const char *name)
{
    const struct sieve_bound_tag *bound = sieve_node_tag(node, name);

    if (bound == NULL)
        return NULL;
    struct sieve_string text = sieve_tag_string(run, bound);
    return sieve_text_lf(run->arena, &text);
}

static const char *const *valid_addresses(struct sieve_run *run, const struct sieve_node *node)
{
    const struct sieve_bound_tag *bound = sieve_node_tag(node, "addresses");
    struct sieve_list list = {NULL, 0};
    size_t count = 0;

    if (bound != NULL)
        list = sieve_tag_list(run, bound);
    const char **addresses = ARENA_ARRAY(run->arena, const char *, list.count + 1);
    for (size_t i = 0; i < list.count; i++) {
        const char *address = sieve_address_normalize(run->arena, list.items[i].data);

        if (address != NULL)
            addresses[count++] = address;
        else
            sieve_log_error(run, node, "vacation: the :addresses item '%.128s' is no valid address "
                "(ignored)", list.items[i].data);
    }
    return addresses;
}

static void fill_from(struct sieve_run *run, const struct sieve_node *node,
    struct sieve_vacation *vacation)
{
    const char *from = tag_text(run, node, "from");

    if (from == NULL || *from == '\0')
        return;
    if (sieve_address_normalize(run->arena, from) != NULL)
        vacation->from = from;
    else
        sieve_log_error(run, node, "vacation: the :from address '%.128s' is no valid address "
            "(ignored)", from);
}

static void fill_period(struct sieve_run *run, const struct sieve_node *node,
    struct sieve_vacation *vacation)
{
    const struct sieve_bound_tag *seconds = sieve_node_tag(node, "seconds");
    const struct sieve_bound_tag *days = sieve_node_tag(node, "days");
    uint64_t value = sieve_setting_seconds(run->options, "sieve_vacation_default_period",
        7 * DAY);

    if (seconds != NULL || days != NULL)
        value = tag_seconds(seconds != NULL ? seconds : days);
    vacation->period_seconds = vacation_period(run->options, value, seconds != NULL);
}

/* What counts as the same reply (4.2): the handle, or all that makes the text. */
static void fill_key(struct sieve_run *run, struct sieve_vacation *vacation)
{
    if (vacation->handle != NULL)
        vacation->key = sieve_hash_key(run->arena, "vacation", "handle", vacation->handle, NULL);
    else
        vacation->key = sieve_hash_key(run->arena, "vacation", "text", vacation->reason,
            vacation->subject != NULL ? vacation->subject : "",
            vacation->from != NULL ? vacation->from : "", vacation->mime ? "mime" : "text", NULL);
}

static enum sieve_status run_vacation(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_action *action = sieve_action_new(run, node, SIEVE_ACTION_VACATION);
    struct sieve_vacation *vacation = &action->vacation;
    struct sieve_string reason = sieve_arg_string(run, node, 0);

    vacation->reason = sieve_text_lf(run->arena, &reason);
    vacation->subject = tag_text(run, node, "subject");
    vacation->handle = tag_text(run, node, "handle");
    vacation->mime = sieve_node_tag(node, "mime") != NULL;
    vacation->addresses = valid_addresses(run, node);
    vacation->to = arena_strdup(run->arena,
        run->envelope->from != NULL ? run->envelope->from : "");
    fill_from(run, node, vacation);
    fill_period(run, node, vacation);
    fill_key(run, vacation);
    decide(run, vacation);
    if (vacation->suppressed == NULL)
        action->mail = vacation_reply(run, vacation);
    else
        sieve_trace(run, node, "vacation: no reply: %s", vacation->suppressed);
    return sieve_action_commit(run, node, action);
}

static const struct sieve_tag tags[] = {
    {.name = "days", .argument = "n", .group = "period", .check = vacation_check_period},
    {.name = "subject", .argument = "s"},
    {.name = "from", .argument = "s", .check = check_from},
    {.name = "addresses", .argument = "l", .check = check_addresses},
    {.name = "mime", .argument = ""},
    {.name = "handle", .argument = "s"},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "vacation", .args = "s", .tags = tags, .run = run_vacation, .arg_names = "reason"},
    {NULL},
};

const struct sieve_extension sieve_ext_vacation = {
    .name = "vacation",
    .rfc = "RFC 5230",
    .status = "complete",
    .words = words,
};
