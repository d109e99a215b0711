/*
 * include: the commands include, return and global, the variables namespace "global".
 *
 * RFC 6609. Status: complete. Included scripts are compiled into the program that names them.
 */
#include <string.h>

#include "sieve/ext/list.h"
#include "sieve/script.h"
#include "sieve/sieve-internal.h"

/* Units that ran in this stage, for :once. */
struct included {
    GHashTable *units;
};

/* ------------------------------------------------------------------ include (3.1) */

/* A circle is no error where :once ends it: the unit that is being compiled is taken. */
static const struct sieve_unit *open_unit(const struct sieve_compiler *compiler,
    enum sieve_script_place place, const char *name)
{
    g_autofree char *full = g_strdup_printf("%s:%s",
        place == SIEVE_SCRIPT_GLOBAL ? "global" : "personal", name);
    const GPtrArray *including = compiler->extra->including;

    for (guint i = 0; i < including->len; i++) {
        const struct sieve_unit *unit = g_ptr_array_index(including, i);

        if (strcmp(unit->name, full) == 0)
            return unit;
    }
    return NULL;
}

/* node->data: the unit, or NULL for one that is :optional and missing. */
static bool check_include(struct sieve_compiler *compiler, struct sieve_node *node)
{
    const struct sieve_string *name = sieve_constant(node->args[0]);
    enum sieve_script_place place = sieve_node_tag(node, "global") != NULL
        ? SIEVE_SCRIPT_GLOBAL
        : SIEVE_SCRIPT_PERSONAL;
    bool missing;

    if (name == NULL || strlen(name->data) != name->length) {
        sieve_error(compiler, node, name == NULL ? "include requires a constant string"
                                                 : "include: NUL in the name of the script");
        return false;
    }
    if (sieve_node_tag(node, "once") != NULL)
        node->data = (void *)(uintptr_t)open_unit(compiler, place, name->data);
    if (node->data != NULL)
        return true;
    node->data = sieve_include_unit(compiler, place, name->data,
        sieve_node_tag(node, "optional") != NULL, node->line, node->column, &missing);
    return node->data != NULL || missing;
}

static void free_table(void *table)
{
    g_hash_table_unref(table);
}

static enum sieve_status run_include(struct sieve_run *run, const struct sieve_node *node)
{
    struct included *state = sieve_stage_state(run, &sieve_ext_include, sizeof(*state));
    const struct sieve_unit *unit = node->data;

    if (unit == NULL)
        return SIEVE_NEXT;
    if (state->units == NULL)
        state->units = arena_own(run->arena, g_hash_table_new(NULL, NULL), free_table);
    bool first = g_hash_table_add(state->units, (gpointer)(uintptr_t)unit);
    if (!first && sieve_node_tag(node, "once") != NULL) {
        sieve_trace(run, node, "script %s was included before", unit->name);
        return SIEVE_NEXT;
    }
    return sieve_run_unit(run, node, unit);
}

static enum sieve_status run_return(struct sieve_run *run, const struct sieve_node *node)
{
    sieve_trace(run, node, "return");
    return SIEVE_RETURN;
}

/* ------------------------------------------------------------------ global (3.4) */

static bool check_global(struct sieve_compiler *compiler, struct sieve_node *node)
{
    const struct sieve_arg *names = node->args[0];

    if (!sieve_has(compiler, "variables")) {
        sieve_error(compiler, node,
            "the global command needs 'require \"variables\";' at the top of the script");
        return false;
    }
    for (size_t i = 0; i < names->count; i++) {
        const struct sieve_string *name = sieve_constant_at(names, i);

        if (name == NULL) {
            sieve_error(compiler, node, "the name of a global variable must be a constant string");
            return false;
        }
        if (!sieve_variable_declare_global(compiler, name->data, names->line, names->column))
            return false;
    }
    return true;
}

static bool check_namespace(struct sieve_compiler *compiler, const char *rest, bool assign,
    unsigned line, unsigned column, void **ret_data)
{
    (void)assign;
    *ret_data = sieve_variable_global(compiler, rest, line, column);
    return *ret_data != NULL;
}

static bool get_global(struct sieve_run *run, const char *rest, void *data,
    struct sieve_string *ret)
{
    (void)rest;
    *ret = sieve_variable_get(run, data);
    return true;
}

static enum sieve_status set_global(struct sieve_run *run, const char *rest, void *data,
    const struct sieve_string *value)
{
    (void)rest;
    return sieve_variable_set(run, NULL, data, value);
}

/* ------------------------------------------------------------------ tables */

static const struct sieve_tag include_tags[] = {
    {.name = "personal", .argument = "", .group = "location"},
    {.name = "global", .argument = "", .group = "location"},
    {.name = "once", .argument = ""},
    {.name = "optional", .argument = ""},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "include", .args = "s", .tags = include_tags, .check = check_include,
        .run = run_include, .arg_names = "script"},
    {.name = "return", .flags = SIEVE_WORD_CONTROL, .run = run_return},
    {.name = "global", .args = "l", .check = check_global, .arg_names = "variable names"},
    {NULL},
};

static const struct sieve_namespace namespaces[] = {
    {.name = "global", .check = check_namespace, .get = get_global, .set = set_global},
    {NULL},
};

const struct sieve_extension sieve_ext_include = {
    .name = "include",
    .rfc = "RFC 6609",
    .status = "complete",
    .words = words,
    .namespaces = namespaces,
};
