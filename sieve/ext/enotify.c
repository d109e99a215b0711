/*
 * enotify: notify, valid_notify_method, notify_method_capability and the modifier :encodeurl.
 *
 * RFC 5435, with the method mailto of RFC 5436. Status: complete.
 *
 * Automatic messages are not notified of, and nobody is notified twice in a run.
 */
#include <string.h>

#include "sieve/ext/list.h"
#include "sieve/ext/notify_mailto.h"
#include "sieve/sieve-internal.h"

static uint64_t max_notices(const struct sieve_options *options)
{
    return sieve_setting_number(options, "sieve_notify_max_notifications",
        options->limits.max_notifies > 0 ? options->limits.max_notifies : G_MAXUINT64);
}

/* ------------------------------------------------------------------ notify (3) */

/* name=value: l-d *l-d-p "=" value (3.5). */
static bool is_option(const struct sieve_string *option)
{
    size_t i = 0;

    for (; i < option->length && option->data[i] != '='; i++) {
        char c = option->data[i];

        if (!g_ascii_isalnum(c) && (i == 0 || strchr(".-_", c) == NULL || c == '\0'))
            return false;
    }
    if (i == 0 || i == option->length)
        return false;
    for (; i < option->length; i++)
        if (strchr("\r\n", option->data[i]) != NULL || option->data[i] == '\0')
            return false;
    return true;
}

static bool check_options(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    (void)node;
    for (size_t i = 0; i < bound->arg->count; i++) {
        const struct sieve_string *option = sieve_constant_at(bound->arg, i);

        if (option != NULL && !is_option(option)) {
            sieve_error_at(compiler, bound->line, bound->column,
                "the notification option '%.80s' is not of the form name=value", option->data);
            return false;
        }
    }
    return true;
}

static int importance_of(const struct sieve_string *text)
{
    return text->length == 1 && text->data[0] >= '1' && text->data[0] <= '3' ? text->data[0] - '0'
                                                                             : 0;
}

static bool check_importance(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    const struct sieve_string *text = sieve_constant(bound->arg);

    (void)node;
    if (text == NULL || importance_of(text) != 0)
        return true;
    sieve_error_at(compiler, bound->line, bound->column,
        "the :importance '%.40s' is not one of \"1\", \"2\" and \"3\"", text->data);
    return false;
}

static bool check_from(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    const struct sieve_string *from = sieve_constant(bound->arg);

    (void)node;
    if (from == NULL || sieve_address_is_valid(from->data))
        return true;
    sieve_error_at(compiler, bound->line, bound->column,
        "the :from address '%.100s' is invalid for the mailto method", from->data);
    return false;
}

/* The part before the colon, when it is one we know. */
static bool is_mailto(const char *method)
{
    return g_ascii_strncasecmp(method, "mailto:", 7) == 0;
}

static bool check_notify(struct sieve_compiler *compiler, struct sieve_node *node)
{
    const struct sieve_string *method = sieve_constant(node->args[0]);
    const char *fault = "this method is not supported";

    if (max_notices(compiler->options) == 0) {
        sieve_error(compiler, node, "local policy prohibits the use of a notify action");
        return false;
    }
    if (method == NULL)
        return true;
    if (is_mailto(method->data)) {
        const struct mailto *mailto = strlen(method->data) == method->length
            ? mailto_parse(compiler->arena, method->data, &fault)
            : NULL;

        if (mailto != NULL) {
            if (mailto->recipients->len == 0)
                sieve_warning(compiler, node, "notify: the URI '%.100s' has no recipients",
                    method->data);
            return true;
        }
    }
    sieve_error(compiler, node, "notify: invalid URI '%.100s': %s", method->data, fault);
    return false;
}

static enum sieve_status read_tags(struct sieve_run *run, const struct sieve_node *node,
    struct sieve_notify *notify)
{
    const struct sieve_bound_tag *importance = sieve_node_tag(node, "importance");
    const struct sieve_bound_tag *options = sieve_node_tag(node, "options");
    const struct sieve_bound_tag *message = sieve_node_tag(node, "message");
    const struct sieve_bound_tag *from = sieve_node_tag(node, "from");

    notify->importance = 2;
    if (importance != NULL) {
        struct sieve_string text = sieve_tag_string(run, importance);

        notify->importance = importance_of(&text);
        if (notify->importance == 0)
            return sieve_fail(run, node, "notify: invalid :importance '%.40s'", text.data);
    }
    if (options != NULL) {
        struct sieve_list list = sieve_tag_list(run, options);

        for (size_t i = 0; i < list.count; i++)
            if (!is_option(&list.items[i]))
                return sieve_fail(run, node, "notify: invalid option '%.80s'",
                    list.items[i].data);
        notify->options = sieve_list_strv(run->arena, &list);
    }
    if (message != NULL) {
        struct sieve_string text = sieve_tag_string(run, message);

        notify->message = sieve_text_lf(run->arena, &text);
    }
    if (from != NULL) {
        struct sieve_string text = sieve_tag_string(run, from);

        notify->from = sieve_text_lf(run->arena, &text);
        if (!sieve_address_is_valid(notify->from))
            return sieve_fail(run, node, "notify: the :from address '%.100s' is invalid",
                notify->from);
    }
    return SIEVE_NEXT;
}

/* The bound of the site's setting; limits.max_notifies is looked after where actions are added. */
static enum sieve_status check_count(struct sieve_run *run, const struct sieve_node *node)
{
    const struct sieve_action *action;
    uint64_t most = max_notices(run->options), count = 0;

    if (most == 0)
        return sieve_fail(run, node, "local policy prohibits the use of a notify action");
    for (size_t i = 0; (action = sieve_action_at(run, i)) != NULL; i++)
        count += action->kind == SIEVE_ACTION_NOTIFY;
    if (count >= most)
        return sieve_fail(run, node, "number of notify actions exceeds policy limit (%"
            G_GUINT64_FORMAT " > %" G_GUINT64_FORMAT ")", count + 1, most);
    return SIEVE_NEXT;
}

static enum sieve_status run_notify(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string raw = sieve_arg_string(run, node, 0);
    struct sieve_action *action = sieve_action_new(run, node, SIEVE_ACTION_NOTIFY);
    const char *fault = "this method is not supported";
    struct mailto *mailto;

    action->notify.method = sieve_text_lf(run->arena, &raw);
    action->notify.scheme = "mailto";
    if (!is_mailto(action->notify.method) ||
        (mailto = mailto_parse(run->arena, action->notify.method, &fault)) == NULL)
        return sieve_fail(run, node, "notify: invalid URI '%.100s': %s", action->notify.method,
            fault);
    if (read_tags(run, node, &action->notify) == SIEVE_ERROR ||
        check_count(run, node) == SIEVE_ERROR)
        return SIEVE_ERROR;
    action->notify.suppressed = mailto_suppressed(run);
    if (!mailto_compose(run, mailto, action)) {
        sieve_trace(run, node, "notify: nobody to tell who is not told already");
        return SIEVE_NEXT;
    }
    return sieve_action_commit(run, node, action);
}

/* ------------------------------------------------------------------ valid_notify_method (4) */

static bool is_valid(struct sieve_run *run, const struct sieve_string *method)
{
    const char *fault;

    return strlen(method->data) == method->length && is_mailto(method->data) &&
        mailto_parse(run->arena, method->data, &fault) != NULL;
}

static enum sieve_status run_valid(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_list methods = sieve_arg_list(run, node, 0);

    for (size_t i = 0; i < methods.count; i++)
        if (!is_valid(run, &methods.items[i]))
            return SIEVE_FALSE;
    return SIEVE_TRUE;
}

/* --------------------------------------------------------------- notify_method_capability (5) */

/* What the capability of the method is; NULL: neither of them is known. Nobody can tell whether a
 * reader of mail is online: "maybe" (RFC 5436 2.8). A copy can be filed of each mail; there the
 * scheme alone is enough of a URI (RFC 8580 6.1). */
static const char *capability_of(struct sieve_run *run, const struct sieve_string *method,
    const char *capability)
{
    if (g_ascii_strcasecmp(capability, "fcc") == 0)
        return is_mailto(method->data) ? "yes" : NULL;
    return g_ascii_strcasecmp(capability, "online") == 0 && is_valid(run, method) ? "maybe" : NULL;
}

static enum sieve_status run_capability(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string method = sieve_arg_string(run, node, 0);
    struct sieve_string capability = sieve_arg_string(run, node, 1);
    const char *said = capability_of(run, &method, capability.data);
    struct sieve_match match;

    if (said == NULL)
        return SIEVE_FALSE; /* "fail unconditionally", :count "lt" too (5) */
    struct sieve_string value = sieve_str(said);
    sieve_match_begin(&match, run, node);
    return sieve_match_finish(&match, sieve_match_value(&match, &value));
}

/* ------------------------------------------------------------------ :encodeurl (6) */

/* RFC 3986 2.1. What does not fit is left away by whole characters. */
static bool apply_encodeurl(struct sieve_run *run, const struct sieve_string *in,
    struct sieve_string *ret)
{
    size_t most = run->options->limits.max_variable_size;
    g_autoptr(GString) out = g_string_new(NULL);

    for (size_t i = 0; i < in->length;) {
        gsize before = out->len;
        size_t next = i + 1;

        while (next < in->length && ((unsigned char)in->data[next] & 0xC0) == 0x80)
            next++;
        for (; i < next; i++) {
            unsigned char c = (unsigned char)in->data[i];

            if (g_ascii_isalnum(c) || (c != '\0' && strchr("-._~", c) != NULL))
                g_string_append_c(out, (char)c);
            else
                g_string_append_printf(out, "%%%02X", c);
        }
        if (out->len > most) {
            g_string_truncate(out, before);
            break;
        }
    }
    ret->data = arena_memdup(run->arena, out->str, out->len);
    ret->length = out->len;
    return true;
}

/* ------------------------------------------------------------------ tables */

static const struct sieve_tag notify_tags[] = {
    {.name = "from", .argument = "s", .check = check_from},
    {.name = "importance", .argument = "s", .check = check_importance},
    {.name = "options", .argument = "l", .check = check_options},
    {.name = "message", .argument = "s"},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "notify", .args = "s", .tags = notify_tags, .check = check_notify,
        .run = run_notify, .arg_names = "method"},
    {.name = "valid_notify_method", .flags = SIEVE_WORD_TEST, .args = "l", .run = run_valid,
        .arg_names = "notification-uris"},
    {.name = "notify_method_capability", .flags = SIEVE_WORD_TEST | SIEVE_WORD_MATCH,
        .args = "ssl", .match_keys = 2, .run = run_capability,
        .arg_names = "notification-uri,notification-capability,key list"},
    {NULL},
};

static const struct sieve_modifier modifiers[] = {
    {.name = "encodeurl", .precedence = 15, .apply = apply_encodeurl},
    {NULL},
};

static const char *const conflicts[] = {"notify", NULL};

const struct sieve_extension sieve_ext_enotify = {
    .name = "enotify",
    .rfc = "RFC 5435, RFC 5436",
    .status = "complete, method mailto",
    .words = words,
    .modifiers = modifiers,
    .conflicts = conflicts,
};
