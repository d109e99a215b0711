/*
 * The list of actions: duplicates merge, conflicts and bounds are errors, and the keep of several
 * scripts in a row becomes one (as Pigeonhole's multiscript has it).
 */
#include <string.h>

#include "sieve/eval.h"

#define DELIVERS 1u  /* puts the message somewhere: conflicts with reject */
#define RESPONDS 2u  /* answers the sender: conflicts with each other */
#define KEEPS 4u     /* never cancels the implicit keep */

static const struct {
    const char *name;
    unsigned traits;
} kinds[SIEVE_ACTION_KINDS] = {
    [SIEVE_ACTION_KEEP] = {"keep", DELIVERS},
    [SIEVE_ACTION_FILEINTO] = {"fileinto", DELIVERS},
    [SIEVE_ACTION_DISCARD] = {"discard", 0},
    [SIEVE_ACTION_REDIRECT] = {"redirect", DELIVERS},
    [SIEVE_ACTION_REJECT] = {"reject", RESPONDS},
    [SIEVE_ACTION_EREJECT] = {"ereject", RESPONDS},
    [SIEVE_ACTION_VACATION] = {"vacation", RESPONDS | KEEPS},
    [SIEVE_ACTION_NOTIFY] = {"notify", KEEPS},
    [SIEVE_ACTION_PIPE] = {"pipe", DELIVERS},
    [SIEVE_ACTION_REPORT] = {"report", KEEPS},
};

const char *sieve_action_name(enum sieve_action_kind kind)
{
    return kinds[kind].name;
}

bool sieve_action_is_keep(const struct sieve_action *action)
{
    return action->kind == SIEVE_ACTION_KEEP;
}

static bool is_store(const struct sieve_action *action)
{
    return action->kind == SIEVE_ACTION_KEEP || action->kind == SIEVE_ACTION_FILEINTO;
}

static bool is_reject(const struct sieve_action *action)
{
    return action->kind == SIEVE_ACTION_REJECT || action->kind == SIEVE_ACTION_EREJECT;
}

static bool same_mailbox(const char *a, const char *b)
{
    return strcmp(a, b) == 0 ||
        (g_ascii_strcasecmp(a, "INBOX") == 0 && g_ascii_strcasecmp(b, "INBOX") == 0);
}

/* One in the sense of the result: the second adds nothing but its flags. */
static bool same_action(const struct sieve_action *a, const struct sieve_action *b)
{
    if (is_store(a) && is_store(b))
        return same_mailbox(a->store.mailbox, b->store.mailbox);
    if (is_reject(a) && is_reject(b))
        return true;
    if (a->kind != b->kind)
        return false;
    if (a->kind == SIEVE_ACTION_REDIRECT) {
        const char *at = strrchr(a->redirect.address, '@');
        size_t local = at != NULL ? (size_t)(at - a->redirect.address) : 0;

        return strncmp(a->redirect.address, b->redirect.address, local) == 0 &&
            strlen(a->redirect.address) == strlen(b->redirect.address) &&
            g_ascii_strcasecmp(a->redirect.address + local, b->redirect.address + local) == 0;
    }
    return a->kind == SIEVE_ACTION_VACATION || a->kind == SIEVE_ACTION_DISCARD;
}

struct sieve_action *sieve_action_new(struct sieve_run *run, const struct sieve_node *node,
    enum sieve_action_kind kind)
{
    struct sieve_action *action = ARENA_NEW(run->arena, struct sieve_action);

    action->kind = kind;
    action->script = node != NULL ? node->unit->name : run->program->name;
    action->script = arena_strdup(run->arena, action->script);
    action->line = node != NULL ? node->line : 0;
    if (kind == SIEVE_ACTION_KEEP)
        action->store.mailbox = "INBOX";
    return action;
}

const struct sieve_action *sieve_action_at(const struct sieve_run *run, size_t index)
{
    const GPtrArray *entries = run->state->entries;

    return index < entries->len
        ? ((const struct sieve_entry *)g_ptr_array_index(entries, index))->action
        : NULL;
}

void sieve_cancel_implicit_keep(struct sieve_run *run)
{
    run->state->implicit_keep = false;
}

void sieve_duplicate_mark_add(struct sieve_run *run, const char *key, uint64_t seconds)
{
    struct sieve_duplicate_mark mark = {arena_strdup(run->arena, key), seconds};

    for (guint i = 0; i < run->state->marks->len; i++)
        if (strcmp(g_array_index(run->state->marks, struct sieve_duplicate_mark, i).key, key) == 0)
            return;
    g_array_append_val(run->state->marks, mark);
}

static enum sieve_status apply_hooks(struct sieve_run *run, const struct sieve_node *node,
    struct sieve_action *action)
{
    enum sieve_status status = SIEVE_NEXT;
    const struct sieve_unit *unit = run->unit;

    for (size_t i = 0; node != NULL && i < node->tag_count && status != SIEVE_ERROR; i++)
        if (node->tags[i].tag->apply != NULL)
            status = node->tags[i].tag->apply(run, node, &node->tags[i], action);
    for (size_t i = 0; unit != NULL && i < unit->extension_count && status != SIEVE_ERROR; i++)
        if (unit->extensions[i]->on_action != NULL &&
            !(unit->extensions[i]->flags & SIEVE_EXTENSION_EVERY_ACTION))
            status = unit->extensions[i]->on_action(run, node, action);
    for (size_t i = 0; sieve_extension_list[i] != NULL && status != SIEVE_ERROR; i++)
        if (sieve_extension_list[i]->flags & SIEVE_EXTENSION_EVERY_ACTION)
            status = sieve_extension_list[i]->on_action(run, node, action);
    return status;
}

static enum sieve_status conflict(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_action *action, const struct sieve_action *old)
{
    const struct sieve_action *reject = is_reject(action) ? action : old;
    const struct sieve_action *other = reject == action ? old : action;

    if (is_reject(reject) && kinds[other->kind].traits & DELIVERS)
        return sieve_fail(run, node,
            "%s conflicts with other action: the %s in line %u delivers the message",
            kinds[reject->kind].name, kinds[other->kind].name, other->line);
    return sieve_fail(run, node,
        "%s conflicts with other action: the %s in line %u also answers the sender",
        kinds[action->kind].name, kinds[old->kind].name, old->line);
}

static bool conflicts(const struct sieve_action *a, const struct sieve_action *b)
{
    unsigned left = kinds[a->kind].traits, right = kinds[b->kind].traits;

    return (left & RESPONDS && right & RESPONDS) || (is_reject(a) && right & DELIVERS) ||
        (is_reject(b) && left & DELIVERS);
}

static enum sieve_status check_bounds(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_action *action)
{
    const struct sieve_limits *limits = &run->options->limits;
    const GPtrArray *entries = run->state->entries;
    size_t of_kind = 0;

    for (guint i = 0; i < entries->len; i++)
        of_kind += ((struct sieve_entry *)g_ptr_array_index(entries, i))->action->kind ==
            action->kind;
    if (limits->max_actions > 0 && entries->len >= limits->max_actions)
        return sieve_fail(run, node, "total number of actions exceeds policy limit (%u > %zu)",
            entries->len + 1, limits->max_actions);
    if (action->kind == SIEVE_ACTION_REDIRECT && of_kind >= limits->max_redirects)
        return sieve_fail(run, node, "number of redirect actions exceeds policy limit (%zu > %zu)",
            of_kind + 1, limits->max_redirects);
    if (action->kind == SIEVE_ACTION_NOTIFY && limits->max_notifies > 0 &&
        of_kind >= limits->max_notifies)
        return sieve_fail(run, node, "number of notify actions exceeds policy limit (%zu > %zu)",
            of_kind + 1, limits->max_notifies);
    return SIEVE_NEXT;
}

/* The later one's flags are what counts; create and special use stay once said. */
static void merge_store(struct sieve_action *into, const struct sieve_action *from)
{
    if (from->store.flags != NULL)
        into->store.flags = from->store.flags;
    into->store.create |= from->store.create;
    into->store.copy &= from->store.copy;
    if (from->store.special_use != NULL)
        into->store.special_use = from->store.special_use;
}

static void push(struct sieve_run *run, struct sieve_action *action)
{
    struct sieve_entry *entry = ARENA_NEW(run->arena, struct sieve_entry);

    entry->action = action;
    entry->stage = run->state->stage;
    g_ptr_array_add(run->state->entries, entry);
}

/* Looks at what is in the list already. TRUE: @action is to be added; FALSE: it was merged. */
static enum sieve_status merge(struct sieve_run *run, const struct sieve_node *node,
    struct sieve_action *action, bool *ret_silent)
{
    GPtrArray *entries = run->state->entries;

    for (guint i = 0; i < entries->len;) {
        struct sieve_entry *entry = g_ptr_array_index(entries, i);
        struct sieve_action *old = entry->action;
        bool earlier = entry->stage < run->state->stage;

        if (same_action(action, old)) {
            if (sieve_action_is_keep(action) && sieve_action_is_keep(old) && earlier) {
                /* the keep of an earlier script only waited: this one takes its place */
                if (action->store.flags == NULL)
                    action->store.flags = old->store.flags;
                g_ptr_array_remove_index(entries, i);
                continue;
            }
            if ((is_reject(action) || action->kind == SIEVE_ACTION_VACATION) && !earlier)
                return sieve_fail(run, node,
                    "duplicate %s action not allowed (the first one is in line %u)",
                    kinds[action->kind].name, old->line);
            if (is_store(old)) {
                if (sieve_action_is_keep(action))
                    old->kind = SIEVE_ACTION_KEEP;
                merge_store(old, action);
                entry->stage = run->state->stage;
            }
            return SIEVE_FALSE;
        }
        if (conflicts(action, old)) {
            if (!earlier)
                return conflict(run, node, action, old);
            /* answered in an earlier script: this answer is dropped, what else it means stays */
            if (kinds[action->kind].traits & RESPONDS && kinds[old->kind].traits & RESPONDS)
                *ret_silent = true;
        }
        i++;
    }
    return SIEVE_TRUE;
}

enum sieve_status sieve_action_commit(struct sieve_run *run, const struct sieve_node *node,
    struct sieve_action *action)
{
    bool silent = false;

    if (apply_hooks(run, node, action) == SIEVE_ERROR)
        return SIEVE_ERROR;
    bool copy = (action->kind == SIEVE_ACTION_FILEINTO && action->store.copy) ||
        (action->kind == SIEVE_ACTION_REDIRECT && action->redirect.copy) ||
        (action->kind == SIEVE_ACTION_PIPE && action->pipe.copy);
    enum sieve_status status = merge(run, node, action, &silent);
    if (status == SIEVE_ERROR)
        return SIEVE_ERROR;
    if (status == SIEVE_TRUE && !silent) {
        if (check_bounds(run, node, action) == SIEVE_ERROR)
            return SIEVE_ERROR;
        if (action->message == NULL && run->message != run->input &&
            kinds[action->kind].traits & DELIVERS) {
            action->message = run->message;
            run->state->message_shared = true;
        }
        push(run, action);
    }
    if (!copy && !(kinds[action->kind].traits & KEEPS))
        run->state->implicit_keep = false;
    sieve_trace(run, node, "action: %s%s%s%s", kinds[action->kind].name,
        is_store(action) ? " " : "", is_store(action) ? action->store.mailbox : "",
        status == SIEVE_FALSE ? " (asked for before)" : "");
    return SIEVE_NEXT;
}

/* ------------------------------------------------------------------ the end of a stage */

static struct sieve_entry *find_keep(struct sieve_run *run, size_t least_stage)
{
    GPtrArray *entries = run->state->entries;

    for (guint i = 0; i < entries->len; i++) {
        struct sieve_entry *entry = g_ptr_array_index(entries, i);

        if (sieve_action_is_keep(entry->action) && entry->stage >= least_stage)
            return entry;
    }
    return NULL;
}

static void drop_stage(struct sieve_run *run)
{
    GPtrArray *entries = run->state->entries;

    for (guint i = entries->len; i > 0; i--) {
        const struct sieve_entry *entry = g_ptr_array_index(entries, i - 1);

        if (entry->stage == run->state->stage)
            g_ptr_array_remove_index(entries, i - 1);
    }
    g_array_set_size(run->state->marks, (guint)run->state->stage_first_mark);
}

bool sieve_stage_end(struct sieve_run *run, bool failed)
{
    struct sieve_engine_state *state = run->state;

    if (failed) {
        drop_stage(run);
        state->implicit_keep = true;
        if (state->first_error == NULL)
            state->first_error = state->error_line > 0
                ? arena_printf(run->arena, "%s:%u: %s", state->error_script, state->error_line,
                      state->error)
                : arena_printf(run->arena, "%s: %s", state->error_script, state->error);
        sieve_trace(run, NULL, "script failed: %s", state->first_error);
        return false;
    }
    return state->implicit_keep || find_keep(run, state->stage) != NULL;
}

/* A keep that the sequence did not end with only let the next script run. */
static void drop_waiting_keeps(struct sieve_run *run)
{
    GPtrArray *entries = run->state->entries;

    for (guint i = entries->len; i > 0; i--) {
        const struct sieve_entry *entry = g_ptr_array_index(entries, i - 1);

        if (sieve_action_is_keep(entry->action) && entry->stage < run->state->stage)
            g_ptr_array_remove_index(entries, i - 1);
    }
}

void sieve_resolve_keep(struct sieve_run *run, bool failed)
{
    struct sieve_engine_state *state = run->state;
    GPtrArray *entries = state->entries;

    if (!failed && (find_keep(run, state->stage) != NULL || !state->implicit_keep)) {
        drop_waiting_keeps(run);
        return;
    }
    if (!failed && find_keep(run, 0) != NULL)
        return; /* the explicit keep of an earlier script is the one that counts */
    drop_waiting_keeps(run);
    for (guint i = 0; i < entries->len; i++) {
        const struct sieve_action *action =
            ((struct sieve_entry *)g_ptr_array_index(entries, i))->action;

        if (is_store(action) && same_mailbox(action->store.mailbox, "INBOX"))
            return; /* stored there already */
    }
    struct sieve_action *keep = ARENA_NEW(run->arena, struct sieve_action);
    keep->kind = SIEVE_ACTION_KEEP;
    keep->store.mailbox = "INBOX";
    keep->implicit = true;
    keep->from_error = failed;
    keep->script = state->error_script != NULL ? state->error_script
        : run->program != NULL                 ? arena_strdup(run->arena, run->program->name)
                                               : "";
    if (!failed && run->message != run->input)
        keep->message = run->message;
    if (!failed)
        apply_hooks(run, NULL, keep);
    push(run, keep);
    sieve_trace(run, NULL, "implicit keep");
}
