/*
 * imap4flags: setflag, addflag, removeflag, hasflag and the tag :flags.
 *
 * RFC 5232. Status: complete.
 *
 * The internal variable lives as long as the sequence of scripts: flags that a script sets stay on
 * what later scripts store, as under Pigeonhole.
 */
#include "sieve/ext/imap4flags.h"

#include <string.h>

#include "sieve/ext/list.h"

struct internal {
    struct sieve_string flags;
    bool begun;
    bool used;                  /* a script has had its say: actions carry the list, even empty */
};

/* ------------------------------------------------------------------ lists of flags */

/* RFC 3501 9: a system flag that may be set, or an atom. */
static bool is_flag(const char *flag, size_t length)
{
    static const char *const system[] = {"\\answered", "\\flagged", "\\deleted", "\\seen",
        "\\draft"};

    if (length == 0)
        return false;
    if (flag[0] == '\\') {
        for (size_t i = 0; i < G_N_ELEMENTS(system); i++)
            if (strlen(system[i]) == length && g_ascii_strncasecmp(system[i], flag, length) == 0)
                return true;
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)flag[i];

        if (c <= ' ' || c >= 0x7F || strchr("(){%*\"\\]", c) != NULL)
            return false;
    }
    return true;
}

/* The next flag of a list at *@at; false at the end. */
static bool next_flag(const struct sieve_string *list, size_t *at, const char **ret_flag,
    size_t *ret_length)
{
    size_t start = *at, end;

    while (start < list->length && list->data[start] == ' ')
        start++;
    for (end = start; end < list->length && list->data[end] != ' ';)
        end++;
    *at = end;
    *ret_flag = list->data + start;
    *ret_length = end - start;
    return end > start;
}

static bool has_flag(const struct sieve_string *list, const char *flag, size_t length)
{
    const char *other;
    size_t at = 0, n;

    while (next_flag(list, &at, &other, &n))
        if (n == length && g_ascii_strncasecmp(other, flag, n) == 0)
            return true;
    return false;
}

static bool in_any(const struct sieve_list *lists, const char *flag, size_t length)
{
    for (size_t i = 0; i < lists->count; i++)
        if (has_flag(&lists->items[i], flag, length))
            return true;
    return false;
}

static void append_flag(GString *out, const char *flag, size_t length, size_t most)
{
    struct sieve_string so_far = {out->str, out->len};

    if (!is_flag(flag, length) || has_flag(&so_far, flag, length) ||
        out->len + length + 1 > most)
        return;
    if (out->len > 0)
        g_string_append_c(out, ' ');
    g_string_append_len(out, flag, (gssize)length);
}

struct sieve_string flags_changed(struct sieve_run *run, const struct sieve_string *flags,
    enum flags_change change, const struct sieve_list *changes)
{
    g_autoptr(GString) out = g_string_new(NULL);
    size_t most = run->options->limits.max_variable_size, at = 0, length;
    const char *flag;

    while (change != FLAGS_SET && next_flag(flags, &at, &flag, &length))
        if (change == FLAGS_ADD || !in_any(changes, flag, length))
            append_flag(out, flag, length, most);
    for (size_t i = 0; change != FLAGS_REMOVE && i < changes->count; i++)
        for (at = 0; next_flag(&changes->items[i], &at, &flag, &length);)
            append_flag(out, flag, length, most);
    return (struct sieve_string){arena_memdup(run->arena, out->str, out->len), out->len};
}

const char *const *flags_vector(struct sieve_run *run, const struct sieve_list *list)
{
    static const struct sieve_string none = {"", 0};
    struct sieve_string flags = flags_changed(run, &none, FLAGS_SET, list);
    const char **vector = ARENA_ARRAY(run->arena, const char *, flags.length / 2 + 2);
    const char *flag;
    size_t at = 0, length, count = 0;

    while (next_flag(&flags, &at, &flag, &length))
        vector[count++] = arena_memdup(run->arena, flag, length);
    return vector;
}

void flags_check(struct sieve_compiler *compiler, const struct sieve_node *node,
    const struct sieve_arg *arg)
{
    for (size_t i = 0; i < arg->count; i++) {
        const struct sieve_string *list = sieve_constant_at(arg, i);
        const char *flag;
        size_t at = 0, length;

        while (list != NULL && next_flag(list, &at, &flag, &length)) {
            if (is_flag(flag, length))
                continue;
            sieve_warning_at(compiler, arg->line, arg->column,
                "'%.*s' at %s is no IMAP flag: it is ignored", (int)MIN(length, 60), flag,
                node->word->name);
            return;
        }
    }
}

/* ------------------------------------------------------------------ the internal variable */

static struct internal *internal(struct sieve_run *run)
{
    struct internal *state = sieve_sequence_state(run, &sieve_ext_imap4flags, sizeof(*state));

    if (!state->begun) {
        g_autofree char *flags = run->message_flags == NULL
            ? g_strdup("")
            : g_strjoinv(" ", (char **)(uintptr_t)run->message_flags);

        state->begun = true;
        state->flags = sieve_str(arena_strdup(run->arena, flags));
        state->used = state->flags.length > 0;
    }
    return state;
}

struct sieve_string flags_internal(struct sieve_run *run)
{
    return internal(run)->flags;
}

void flags_change_internal(struct sieve_run *run, enum flags_change change,
    const struct sieve_list *changes)
{
    struct internal *state = internal(run);

    state->flags = flags_changed(run, &state->flags, change, changes);
    state->used = true;
}

/* ------------------------------------------------------------------ setflag, addflag, removeflag */

static bool check_change(struct sieve_compiler *compiler, struct sieve_node *node)
{
    flags_check(compiler, node, node->args[1]);
    if (node->args[0] == NULL)
        return true;
    node->data = sieve_variable_bind(compiler, node->args[0]);
    return node->data != NULL;
}

static enum sieve_status change(struct sieve_run *run, const struct sieve_node *node,
    enum flags_change how)
{
    const struct sieve_variable *variable = node->data;
    struct sieve_list changes = sieve_arg_list(run, node, 1);

    if (variable == NULL) {
        flags_change_internal(run, how, &changes);
        sieve_trace(run, node, "flags are now \"%s\"", flags_internal(run).data);
        return SIEVE_NEXT;
    }
    struct sieve_string value = sieve_variable_get(run, variable);
    value = flags_changed(run, &value, how, &changes);
    return sieve_variable_set(run, node, variable, &value);
}

static enum sieve_status run_setflag(struct sieve_run *run, const struct sieve_node *node)
{
    return change(run, node, FLAGS_SET);
}

static enum sieve_status run_addflag(struct sieve_run *run, const struct sieve_node *node)
{
    return change(run, node, FLAGS_ADD);
}

static enum sieve_status run_removeflag(struct sieve_run *run, const struct sieve_node *node)
{
    return change(run, node, FLAGS_REMOVE);
}

/* ------------------------------------------------------------------ hasflag (4) */

/* node->data: the variables, or NULL for the internal one. */
static bool check_hasflag(struct sieve_compiler *compiler, struct sieve_node *node)
{
    const struct sieve_arg *names = node->args[0];

    if (names == NULL)
        return true;
    struct sieve_variable **variables = ARENA_ARRAY(compiler->arena, struct sieve_variable *,
        names->count);
    for (size_t i = 0; i < names->count; i++) {
        struct sieve_arg one = {.kind = SIEVE_ARG_STRING, .line = names->line,
            .column = names->column, .strings = &names->strings[i], .count = 1};

        variables[i] = sieve_variable_bind(compiler, &one);
        if (variables[i] == NULL)
            return false;
    }
    node->data = variables;
    return true;
}

static enum sieve_status feed(struct sieve_match *match, const struct sieve_string *list)
{
    enum sieve_status status = SIEVE_FALSE;
    const char *flag;
    size_t at = 0, length;

    while (status == SIEVE_FALSE && next_flag(list, &at, &flag, &length)) {
        struct sieve_string value = {arena_memdup(match->run->arena, flag, length), length};

        status = sieve_match_value(match, &value);
    }
    return status;
}

/* "b A" as one key is the same as ["b", "A"]; patterns and numbers are left as they are. */
static void split_keys(struct sieve_match *match)
{
    const char *type = match->spec->type->name;
    struct sieve_string *keys;
    size_t count = 0, room = 0;
    const char *flag;

    if (strcmp(type, "is") != 0 && strcmp(type, "contains") != 0)
        return;
    for (size_t i = 0; i < match->keys.count; i++)
        room += match->keys.items[i].length / 2 + 1;
    keys = ARENA_ARRAY(match->run->arena, struct sieve_string, room);
    for (size_t i = 0; i < match->keys.count; i++) {
        size_t at = 0, length;

        while (next_flag(&match->keys.items[i], &at, &flag, &length)) {
            keys[count].data = arena_memdup(match->run->arena, flag, length);
            keys[count++].length = length;
        }
    }
    match->keys = (struct sieve_list){keys, count};
}

static enum sieve_status run_hasflag(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_variable *const *variables = node->data;
    struct sieve_match match;
    enum sieve_status status = SIEVE_FALSE;

    sieve_match_begin(&match, run, node);
    split_keys(&match);
    if (variables == NULL) {
        struct sieve_string flags = flags_internal(run);

        status = feed(&match, &flags);
    }
    for (size_t i = 0; variables != NULL && i < node->args[0]->count && status == SIEVE_FALSE;
         i++) {
        static const struct sieve_string none = {"", 0};
        struct sieve_string value = sieve_variable_get(run, variables[i]);
        struct sieve_list list = {&value, 1};

        value = flags_changed(run, &none, FLAGS_SET, &list);
        status = feed(&match, &value);
    }
    return sieve_match_finish(&match, status);
}

/* ------------------------------------------------------------------ :flags (5) */

static bool check_flags(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    flags_check(compiler, node, bound->arg);
    return true;
}

static bool check_fcc_flags(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    if (sieve_node_tag(node, "fcc") == NULL) {
        sieve_error_at(compiler, bound->line, bound->column,
            "the :flags tag for the %s command cannot be specified without the :fcc tag",
            node->word->name);
        return false;
    }
    return check_flags(compiler, node, bound);
}

/* "The last flag list value MUST win" (6): an action always says its list, so that an empty one can
 * win too. */
static enum sieve_status on_action(struct sieve_run *run, const struct sieve_node *node,
    struct sieve_action *action)
{
    struct internal *state = internal(run);
    const struct sieve_bound_tag *bound = node != NULL ? sieve_node_tag(node, "flags") : NULL;

    if (action->kind != SIEVE_ACTION_KEEP && action->kind != SIEVE_ACTION_FILEINTO)
        return SIEVE_NEXT;
    if (bound != NULL) {
        struct sieve_list list = sieve_tag_list(run, bound);

        action->store.flags = flags_vector(run, &list);
    } else if (state->used || sieve_run_has(run, "imap4flags")) {
        struct sieve_list list = {&state->flags, 1};

        action->store.flags = flags_vector(run, &list);
    }
    return SIEVE_NEXT;
}

/* ------------------------------------------------------------------ tables */

static const struct sieve_tag tags[] = {
    {.name = "flags", .argument = "l", .applies = "keep fileinto", .check = check_flags},
    {.name = "flags", .argument = "l", .applies = "vacation notify", .check = check_fcc_flags},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "setflag", .args = "Sl", .check = check_change, .run = run_setflag,
        .arg_names = "variable name,list of flags"},
    {.name = "addflag", .args = "Sl", .check = check_change, .run = run_addflag,
        .arg_names = "variable name,list of flags"},
    {.name = "removeflag", .args = "Sl", .check = check_change, .run = run_removeflag,
        .arg_names = "variable name,list of flags"},
    {.name = "hasflag", .flags = SIEVE_WORD_TEST | SIEVE_WORD_MATCH, .args = "Ll",
        .match_keys = 1, .check = check_hasflag, .run = run_hasflag,
        .arg_names = "variable names,list of flags"},
    {NULL},
};

static const char *const conflicts[] = {"imapflags", NULL};

const struct sieve_extension sieve_ext_imap4flags = {
    .name = "imap4flags",
    .rfc = "RFC 5232",
    .status = "complete",
    .flags = SIEVE_EXTENSION_EVERY_ACTION,
    .words = words,
    .tags = tags,
    .conflicts = conflicts,
    .on_action = on_action,
};
