/*
 * Strings of a script: encoded-character (RFC 5228 2.4.2.4) is undone first, then variable references
 * (RFC 5229 3) split the string into pieces.
 */
#include <string.h>

#include "sieve/script.h"

#define MATCH_INDEX_MAX 32u

/* ------------------------------------------------------------------ encoded-character */

static void skip_blank(const char **at, const char *end)
{
    while (*at < end && strchr(" \t\r\n", **at) != NULL && **at != '\0')
        (*at)++;
}

/* Hex digits into a number that stops growing when it is too large for a character. */
static size_t read_hex(const char **at, const char *end, unsigned *ret)
{
    size_t digits = 0;
    unsigned value = 0;

    for (; *at < end && g_ascii_isxdigit(**at); (*at)++, digits++)
        if (value <= 0x10FFFF)
            value = value * 16 + (unsigned)g_ascii_xdigit_value(**at);
    *ret = value;
    return digits;
}

/* Behind "${hex:" or "${unicode:"; true when all up to '}' fits. *ret_bad: a number that is no
 * character, UINT_MAX - 1 … none. */
static bool decode_body(const char **at, const char *end, bool unicode, GString *out, bool *ret_bad,
    unsigned *ret_value)
{
    size_t values = 0;

    for (;;) {
        unsigned value;

        skip_blank(at, end);
        if (*at >= end)
            return false;
        if (**at == '}') {
            (*at)++;
            return values > 0;
        }
        size_t digits = read_hex(at, end, &value);
        if (digits == 0 || (!unicode && digits > 2))
            return false;
        if (!unicode)
            g_string_append_c(out, (char)value);
        else if (value <= 0x10FFFF && (value < 0xD800 || value > 0xDFFF))
            g_string_append_unichar(out, value);
        else {
            *ret_bad = true;
            *ret_value = value;
        }
        values++;
    }
}

static bool decode_characters(struct sieve_compiler *compiler, struct sieve_literal *literal)
{
    const char *at = literal->text.data, *end = at + literal->text.length;
    g_autoptr(GString) out = g_string_new(NULL);

    while (at < end) {
        const char *dollar = memchr(at, '$', (size_t)(end - at));

        if (dollar == NULL)
            break;
        g_string_append_len(out, at, dollar - at);
        at = dollar;
        bool hex = end - at > 6 && g_ascii_strncasecmp(at, "${hex:", 6) == 0;
        bool unicode = end - at > 10 && g_ascii_strncasecmp(at, "${unicode:", 10) == 0;
        if (hex || unicode) {
            const char *next = at + (hex ? 6 : 10);
            gsize mark = out->len;
            bool bad = false;
            unsigned value = 0;

            if (decode_body(&next, end, unicode, out, &bad, &value)) {
                if (bad) {
                    sieve_error_at(compiler, literal->line, literal->column,
                        "0x%08x is no Unicode character", value);
                    return false;
                }
                at = next;
                continue;
            }
            g_string_truncate(out, mark);
        }
        g_string_append_c(out, '$');
        at++;
    }
    g_string_append_len(out, at, end - at);
    literal->text.data = arena_memdup(compiler->arena, out->str, out->len);
    literal->text.length = out->len;
    return true;
}

/* ------------------------------------------------------------------ variables */

static bool is_name_start(char c)
{
    return g_ascii_isalpha(c) || c == '_';
}

static bool is_name_char(char c)
{
    return g_ascii_isalnum(c) || c == '_';
}

/* The length of "${…}" at @at; 0: not a reference. Dots separate a namespace, whose parts may be
 * names or numbers. */
static size_t reference_length(const char *at, const char *end)
{
    const char *p = at + 2;

    if (end - at < 4 || at[0] != '$' || at[1] != '{')
        return 0;
    if (g_ascii_isdigit(*p)) {
        while (p < end && g_ascii_isdigit(*p))
            p++;
        return p < end && *p == '}' ? (size_t)(p - at) + 1 : 0;
    }
    for (bool first = true;; first = false) {
        if (p >= end || !(first ? is_name_start(*p) : is_name_char(*p) || *p == '-'))
            return 0;
        while (p < end && (is_name_char(*p) || (!first && *p == '-')))
            p++;
        if (p >= end)
            return 0;
        if (*p == '}')
            return (size_t)(p - at) + 1;
        if (*p++ != '.')
            return 0;
    }
}

static void add_text(struct sieve_compiler *compiler, GArray *pieces, const char *text,
    size_t length)
{
    struct sieve_piece piece = {.text = {arena_memdup(compiler->arena, text, length), length}};

    if (length > 0)
        g_array_append_val(pieces, piece);
}

static bool split_variables(struct sieve_compiler *compiler, struct sieve_literal *literal)
{
    const char *at = literal->text.data, *end = at + literal->text.length, *text = at;
    g_autoptr(GArray) items = NULL;

    while (at < end && (at = memchr(at, '$', (size_t)(end - at))) != NULL) {
        size_t length = reference_length(at, end);

        if (length == 0) {
            at++;
            continue;
        }
        if (items == NULL)
            items = g_array_new(FALSE, TRUE, sizeof(struct sieve_piece));
        add_text(compiler, items, text, (size_t)(at - text));
        g_autofree char *name = g_ascii_strdown(at + 2, (gssize)length - 3);
        struct sieve_piece piece = {.variable = sieve_variable_lookup(compiler, name, false,
            literal->line, literal->column)};
        if (piece.variable == NULL)
            return false;
        g_array_append_val(items, piece);
        at += length;
        text = at;
    }
    if (items == NULL)
        return true;
    add_text(compiler, items, text, (size_t)(end - text));
    size_t size = items->len * sizeof(struct sieve_piece);
    struct sieve_pieces *pieces = arena_take(compiler->arena, sizeof(*pieces) + size);
    pieces->count = items->len;
    memcpy(pieces->items, items->data, size);
    literal->pieces = pieces;
    return true;
}

bool sieve_literal_prepare(struct sieve_compiler *compiler, struct sieve_literal *literal)
{
    if (memchr(literal->text.data, '$', literal->text.length) == NULL)
        return true;
    if (sieve_has(compiler, "encoded-character") && !decode_characters(compiler, literal))
        return false;
    return !sieve_has(compiler, "variables") || split_variables(compiler, literal);
}

/* ------------------------------------------------------------------ names of variables */

bool sieve_variable_name_is_valid(const char *name, size_t length)
{
    if (length == 0 || !is_name_start(name[0]))
        return false;
    for (size_t i = 1; i < length; i++)
        if (!is_name_char(name[i]))
            return false;
    return true;
}

struct sieve_scope *sieve_scope_new(struct sieve_compiler *compiler)
{
    return ARENA_NEW(compiler->arena, struct sieve_scope);
}

static struct sieve_variable *scope_find(const struct sieve_scope *scope, const char *name)
{
    return scope->names == NULL ? NULL : g_hash_table_lookup(scope->names, name);
}

static void scope_add(struct sieve_compiler *compiler, struct sieve_scope *scope,
    struct sieve_variable *variable)
{
    if (scope->names == NULL) {
        scope->names = g_hash_table_new(g_str_hash, g_str_equal);
        arena_own(compiler->arena, scope->names, (void (*)(void *))g_hash_table_unref);
    }
    g_hash_table_insert(scope->names, (gpointer)(uintptr_t)variable->name, variable);
}

static struct sieve_variable *variable_new(struct sieve_compiler *compiler,
    enum sieve_variable_kind kind, const char *name, size_t index)
{
    struct sieve_variable *variable = ARENA_NEW(compiler->arena, struct sieve_variable);

    variable->kind = kind;
    variable->name = arena_strdup(compiler->arena, name);
    variable->index = index;
    return variable;
}

static struct sieve_variable *lookup_namespace(struct sieve_compiler *compiler, const char *name,
    bool assign, unsigned line, unsigned column)
{
    const struct sieve_unit *unit = compiler->unit;

    for (size_t i = 0; i < unit->extension_count; i++) {
        const struct sieve_namespace *space = unit->extensions[i]->namespaces;

        for (; space != NULL && space->name != NULL; space++) {
            size_t length = strlen(space->name);

            if (strncmp(name, space->name, length) != 0 || name[length] != '.')
                continue;
            if (assign && space->set == NULL) {
                sieve_error_at(compiler, line, column, "variable '%s' is read-only", name);
                return NULL;
            }
            struct sieve_variable *variable = variable_new(compiler, SIEVE_VARIABLE_NAMESPACE,
                name, 0);
            variable->space = space;
            variable->rest = variable->name + length + 1;
            if (space->check != NULL && !space->check(compiler, variable->rest, assign, line,
                column, &variable->data))
                return NULL;
            return variable;
        }
    }
    sieve_error_at(compiler, line, column, "unknown variable namespace in '${%s}'", name);
    return NULL;
}

struct sieve_variable *sieve_variable_lookup(struct sieve_compiler *compiler, const char *name,
    bool assign, unsigned line, unsigned column)
{
    const struct sieve_limits *limits = &compiler->options->limits;
    struct sieve_scope *scope = compiler->unit->scope;

    if (strchr(name, '.') != NULL)
        return lookup_namespace(compiler, name, assign, line, column);
    if (g_ascii_isdigit(name[0])) {
        guint64 index = g_ascii_strtoull(name, NULL, 10);

        if (assign || index > MATCH_INDEX_MAX) {
            sieve_error_at(compiler, line, column,
                assign ? "match variable '%s' cannot be set"
                       : "match variable ${%s} is out of range (the last one is ${32})", name);
            return NULL;
        }
        return variable_new(compiler, SIEVE_VARIABLE_MATCH, name, (size_t)index);
    }
    struct sieve_variable *variable = scope_find(scope, name);
    if (variable != NULL)
        return variable;
    if (strlen(name) > limits->max_variable_name) {
        sieve_error_at(compiler, line, column,
            "the name of variable '%s' is too long (the bound is %zu)", name,
            limits->max_variable_name);
        return NULL;
    }
    if (scope->count >= limits->max_variables) {
        if (!scope->overflowed) /* said once */
            sieve_error_at(compiler, line, column,
                "variable '%s' is one too many (the bound is %zu)", name, limits->max_variables);
        scope->overflowed = true;
        return NULL;
    }
    variable = variable_new(compiler, SIEVE_VARIABLE_LOCAL, name, scope->count++);
    scope_add(compiler, scope, variable);
    return variable;
}

struct sieve_variable *sieve_variable_bind(struct sieve_compiler *compiler,
    const struct sieve_arg *arg)
{
    const struct sieve_string *text = sieve_constant(arg);

    if (!sieve_has(compiler, "variables")) {
        sieve_error_at(compiler, arg->line, arg->column,
            "a variable can only be used with 'require \"variables\";'");
        return NULL;
    }
    if (text == NULL) {
        sieve_error_at(compiler, arg->line, arg->column,
            "the name of a variable must be a constant string");
        return NULL;
    }
    g_autofree char *name = g_ascii_strdown(text->data, -1);
    bool digits = name[0] != '\0' && strspn(name, "0123456789") == strlen(name);
    g_auto(GStrv) parts = g_strsplit(name, ".", 0);
    bool valid = text->length == strlen(name) && g_strv_length(parts) > 0;
    for (size_t i = 0; valid && !digits && parts[i] != NULL; i++)
        valid = sieve_variable_name_is_valid(parts[i], strlen(parts[i]));
    if (!valid) {
        sieve_error_at(compiler, arg->line, arg->column, "'%s' is no valid name of a variable",
            text->data);
        return NULL;
    }
    return sieve_variable_lookup(compiler, name, true, arg->line, arg->column);
}

struct sieve_variable *sieve_variable_global(struct sieve_compiler *compiler, const char *name,
    unsigned line, unsigned column)
{
    g_autofree char *lower = g_ascii_strdown(name, -1);
    GHashTable **table = &compiler->extra->globals;
    struct sieve_variable *variable;

    if (*table == NULL)
        *table = g_hash_table_new(g_str_hash, g_str_equal);
    variable = g_hash_table_lookup(*table, lower);

    if (variable != NULL)
        return variable;
    if (!sieve_variable_name_is_valid(lower, strlen(lower))) {
        sieve_error_at(compiler, line, column, "'%s' is no valid name of a variable", name);
        return NULL;
    }
    if (compiler->program->global_count >= compiler->options->limits.max_variables) {
        sieve_error_at(compiler, line, column,
            "global variable '%s' is one too many (the bound is %zu)", name,
            compiler->options->limits.max_variables);
        return NULL;
    }
    variable = variable_new(compiler, SIEVE_VARIABLE_GLOBAL, lower,
        compiler->program->global_count++);
    g_hash_table_insert(*table, (gpointer)(uintptr_t)variable->name, variable);
    return variable;
}

bool sieve_variable_declare_global(struct sieve_compiler *compiler, const char *name,
    unsigned line, unsigned column)
{
    struct sieve_scope *scope = compiler->unit->scope;
    struct sieve_variable *global = sieve_variable_global(compiler, name, line, column);

    if (global == NULL)
        return false;
    struct sieve_variable *local = scope_find(scope, global->name);
    if (local != NULL && local->kind != SIEVE_VARIABLE_GLOBAL) {
        sieve_error_at(compiler, line, column,
            "variable '%s' is in use in this script already: declare it global before", name);
        return false;
    }
    scope_add(compiler, scope, global);
    return true;
}

const struct sieve_modifier *sieve_modifier_find(const struct sieve_compiler *compiler,
    const char *name)
{
    const struct sieve_unit *unit = compiler->unit;

    for (size_t i = 0; i < unit->extension_count; i++) {
        const struct sieve_modifier *modifier = unit->extensions[i]->modifiers;

        for (; modifier != NULL && modifier->name != NULL; modifier++)
            if (g_ascii_strcasecmp(modifier->name, name) == 0)
                return modifier;
    }
    return NULL;
}
