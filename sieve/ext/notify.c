/*
 * notify: notify and denotify as they were before RFC 5435.
 *
 * draft-martin-sieve-notify-01, deprecated. Status: complete, method mailto.
 *
 * The recipients of mailto are in :options. A denotify takes back what an earlier notify said.
 */
#include <string.h>

#include "lda/mail/charset.h"
#include "lda/mail/message.h"

#include "sieve/ext/list.h"
#include "sieve/ext/notify_mailto.h"
#include "sieve/sieve-internal.h"

#define MOST_TEXT 4096u /* bytes of the message's text in a notification */

struct pending {
    GPtrArray *actions; /* struct sieve_action of this stage that were committed */
};

static void free_actions(void *data)
{
    g_ptr_array_unref(data);
}

static GPtrArray *pending(struct sieve_run *run)
{
    struct pending *state = sieve_stage_state(run, &sieve_ext_notify, sizeof(*state));

    if (state->actions == NULL)
        state->actions = arena_own(run->arena, g_ptr_array_new(), free_actions);
    return state->actions;
}

static int importance_of(const struct sieve_node *node, int fallback)
{
    return sieve_node_tag(node, "high") != NULL ? 1
        : sieve_node_tag(node, "normal") != NULL ? 2
        : sieve_node_tag(node, "low") != NULL    ? 3
                                                 : fallback;
}

/* ------------------------------------------------------------------ the text */

static void append_body(struct sieve_run *run, GString *out, size_t most)
{
    struct message_part *part;
    g_autofree char *text = NULL;
    struct error err;

    if (!message_mime(run->message, &part, &err))
        return;
    while (part != NULL && strcmp(message_part_type(part), "text") != 0)
        part = message_part_next(part, NULL);
    if (part != NULL && message_part_text(part, MIN(most, MOST_TEXT), &text, &err))
        g_string_append(out, text);
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

/* $from$, $env-from$, $subject$, $text$ and $text[n]$. */
static const char *expand(struct sieve_run *run, const char *text)
{
    struct headers *headers = message_headers(run->message);
    g_autoptr(GString) out = g_string_new(NULL);

    while (*text != '\0') {
        const char *end = *text == '$' ? strchr(text + 1, '$') : NULL;
        g_autofree char *name = end != NULL ? g_strndup(text, (gsize)(end - text) + 1) : NULL;

        if (g_strcmp0(name, "$from$") == 0)
            g_string_append(out, or_empty(headers_get(headers, "From")));
        else if (g_strcmp0(name, "$env-from$") == 0)
            g_string_append(out, or_empty(run->envelope->from));
        else if (g_strcmp0(name, "$subject$") == 0)
            g_string_append(out, or_empty(headers_get(headers, "Subject")));
        else if (g_strcmp0(name, "$text$") == 0)
            append_body(run, out, MOST_TEXT);
        else if (name != NULL && g_str_has_prefix(name, "$text[") && g_str_has_suffix(name, "]$"))
            append_body(run, out, (size_t)g_ascii_strtoull(name + 6, NULL, 10));
        else {
            g_string_append_c(out, *text++);
            continue;
        }
        text = end + 1;
    }
    return arena_memdup(run->arena, out->str, out->len);
}

/* ------------------------------------------------------------------ notify */

static bool check_notify(struct sieve_compiler *compiler, struct sieve_node *node)
{
    const struct sieve_bound_tag *method = sieve_node_tag(node, "method");
    const struct sieve_string *name = method != NULL ? sieve_constant(method->arg) : NULL;

    if (sieve_node_tag(node, "options") == NULL) {
        sieve_error(compiler, node, "notify: the recipients are missing (:options)");
        return false;
    }
    if (name != NULL && g_ascii_strcasecmp(name->data, "mailto") != 0) {
        sieve_error(compiler, node, "notify: the method '%.40s' is not supported", name->data);
        return false;
    }
    return true;
}

static enum sieve_status run_notify(struct sieve_run *run, const struct sieve_node *node)
{
    const struct sieve_bound_tag *method = sieve_node_tag(node, "method");
    const struct sieve_bound_tag *id = sieve_node_tag(node, "id");
    const struct sieve_bound_tag *message = sieve_node_tag(node, "message");
    struct sieve_list options = sieve_tag_list(run, sieve_node_tag(node, "options"));
    struct sieve_action *action = sieve_action_new(run, node, SIEVE_ACTION_NOTIFY);
    struct mailto *mailto = mailto_new(run->arena);

    action->notify.method = method != NULL ? sieve_tag_string(run, method).data : "mailto";
    action->notify.scheme = "mailto";
    action->notify.deprecated = true;
    action->notify.importance = importance_of(node, 2);
    action->notify.id = id != NULL ? sieve_tag_string(run, id).data : NULL;
    action->notify.options = sieve_list_strv(run->arena, &options);
    if (g_ascii_strcasecmp(action->notify.method, "mailto") != 0)
        return sieve_fail(run, node, "notify: the method '%.40s' is not supported",
            action->notify.method);
    for (size_t i = 0; i < options.count; i++)
        if (!mailto_add(run->arena, mailto, options.items[i].data))
            return sieve_fail(run, node, "notify: invalid recipient '%.100s'",
                options.items[i].data);
    struct sieve_string text = message != NULL ? sieve_tag_string(run, message)
                                               : sieve_str("$from$: $subject$");
    action->notify.message = expand(run, sieve_text_lf(run->arena, &text));
    action->notify.suppressed = mailto_suppressed(run);
    if (!mailto_compose(run, mailto, action))
        return SIEVE_NEXT;
    g_ptr_array_add(pending(run), action);
    return sieve_action_commit(run, node, action);
}

/* ------------------------------------------------------------------ denotify */

static bool id_matches(struct sieve_run *run, const struct sieve_node *node, const char *id)
{
    static const char *const types[] = {"is", "contains", "matches"};

    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        const struct sieve_bound_tag *tag = sieve_node_tag(node, types[i]);

        if (tag == NULL)
            continue;
        struct sieve_string key = sieve_tag_string(run, tag);
        if (id == NULL)
            return false;
        struct sieve_string value = sieve_str(id);
        g_autofree char *lower_key = g_utf8_strdown(key.data, -1);
        g_autofree char *lower_id = g_utf8_strdown(id, -1);
        return i == 0 ? strcmp(lower_id, lower_key) == 0
            : i == 1  ? strstr(lower_id, lower_key) != NULL
                      : sieve_wildcard_match(&value, &key, 1, NULL, NULL);
    }
    return true;
}

static enum sieve_status run_denotify(struct sieve_run *run, const struct sieve_node *node)
{
    GPtrArray *actions = pending(run);
    int importance = importance_of(node, 0);

    for (guint i = 0; i < actions->len; i++) {
        struct sieve_action *action = g_ptr_array_index(actions, i);

        if ((importance == 0 || importance == action->notify.importance) &&
            id_matches(run, node, action->notify.id))
            action->notify.suppressed = "denotify took it back";
    }
    return SIEVE_NEXT;
}

/* ------------------------------------------------------------------ tables */

#define IMPORTANCE_TAGS                                               \
    {.name = "low", .argument = "", .group = "importance"},           \
    {.name = "normal", .argument = "", .group = "importance"},        \
    {.name = "high", .argument = "", .group = "importance"}

static const struct sieve_tag notify_tags[] = {
    {.name = "method", .argument = "s"},
    {.name = "id", .argument = "s"},
    {.name = "options", .argument = "l"},
    {.name = "message", .argument = "s"},
    IMPORTANCE_TAGS,
    {NULL},
};

/* The match types take their key at once here. */
static const struct sieve_tag denotify_tags[] = {
    {.name = "is", .argument = "s", .group = "match"},
    {.name = "contains", .argument = "s", .group = "match"},
    {.name = "matches", .argument = "s", .group = "match"},
    IMPORTANCE_TAGS,
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "notify", .tags = notify_tags, .check = check_notify, .run = run_notify},
    {.name = "denotify", .tags = denotify_tags, .run = run_denotify},
    {NULL},
};

static const char *const conflicts[] = {"enotify", NULL};

const struct sieve_extension sieve_ext_notify = {
    .name = "notify",
    .rfc = "draft-martin-sieve-notify-01",
    .status = "complete, method mailto; deprecated, use enotify",
    .flags = SIEVE_EXTENSION_DEPRECATED,
    .words = words,
    .conflicts = conflicts,
};
