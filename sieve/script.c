/*
 * Compiles a script: parse, check, and the program that comes out; diagnostics; extensions that are
 * on; included scripts.
 */
#include "sieve/script.h"

#include <string.h>

#include "sieve/check.h"
#include "sieve/engine_libsieve.h"
#include "sieve/parser.h"

void sieve_options_init(struct sieve_options *options)
{
    memset(options, 0, sizeof(*options));
    sieve_limits_init(&options->limits);
}

/* ------------------------------------------------------------------ diagnostics */

static void diagnostic_free(gpointer data)
{
    struct sieve_diagnostic *diagnostic = data;

    g_free(diagnostic->script);
    g_free(diagnostic->message);
    g_free(diagnostic);
}

struct sieve_diagnostics *sieve_diagnostics_new(void)
{
    struct sieve_diagnostics *diagnostics = g_new0(struct sieve_diagnostics, 1);

    diagnostics->items = g_ptr_array_new_with_free_func(diagnostic_free);
    return diagnostics;
}

void sieve_diagnostics_free(struct sieve_diagnostics *diagnostics)
{
    if (diagnostics == NULL)
        return;
    g_ptr_array_unref(diagnostics->items);
    g_free(diagnostics);
}

/* Places are kept in bytes; people count characters. */
static unsigned character_column(const struct sieve_compiler *compiler, unsigned line,
    unsigned column)
{
    const char *at = compiler->source, *end = at + compiler->source_length;
    unsigned characters = 1;

    for (unsigned i = 1; at != NULL && i < line; i++) {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at != NULL ? at + 1 : NULL;
    }
    if (at == NULL)
        return column;
    if (line == 1 && end - at >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0)
        at += 3;
    for (unsigned i = 1; i < column && at < end; i++, at++)
        characters += ((unsigned char)*at & 0xC0) != 0x80;
    return characters;
}

static void __attribute__((format(printf, 5, 0)))
diagnose(struct sieve_compiler *compiler, bool warning, unsigned line, unsigned column,
    const char *format, va_list args)
{
    struct sieve_diagnostics *diagnostics = compiler->diagnostics;
    g_autofree char *text = g_strdup_vprintf(format, args);
    struct sieve_diagnostic *diagnostic = g_new0(struct sieve_diagnostic, 1);

    diagnostic->warning = warning;
    diagnostic->line = line;
    diagnostic->column = character_column(compiler, line, column);
    diagnostic->script = g_strdup(compiler->unit != NULL ? compiler->unit->name : "");
    diagnostic->message = g_utf8_make_valid(text, -1);
    for (char *p = diagnostic->message; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            *p = '?';
    g_ptr_array_add(diagnostics->items, diagnostic);
    if (warning)
        diagnostics->warnings++;
    else
        diagnostics->errors++;
}

void sieve_error_at(struct sieve_compiler *compiler, unsigned line, unsigned column,
    const char *format, ...)
{
    va_list args;

    if (compiler->too_many)
        return;
    va_start(args, format);
    diagnose(compiler, false, line, column, format, args);
    va_end(args);
    compiler->too_many = compiler->diagnostics->errors >= compiler->options->limits.max_errors;
}

void sieve_warning_at(struct sieve_compiler *compiler, unsigned line, unsigned column,
    const char *format, ...)
{
    va_list args;

    if (compiler->too_many ||
        compiler->diagnostics->warnings >= compiler->options->limits.max_errors)
        return;
    va_start(args, format);
    diagnose(compiler, true, line, column, format, args);
    va_end(args);
}

/* ------------------------------------------------------------------ extensions that are on */

const struct sieve_extension *sieve_extension_find(const char *name)
{
    for (size_t i = 0; sieve_extension_list[i] != NULL; i++)
        if (strcmp(sieve_extension_list[i]->name, name) == 0)
            return sieve_extension_list[i];
    return NULL;
}

/* What the site says about the extension in "sieve_extensions": "+name -name" change the default,
 * a list without signs is the whole list. 1 on, -1 off, 0 nothing. */
static int site_says(const struct sieve_options *options, const char *setting, const char *name)
{
    const char *text = sieve_setting(options, setting);
    int answer = 0;

    if (text == NULL || *text == '\0')
        return 0;
    g_auto(GStrv) words = g_strsplit_set(text, " \t,", 0);
    bool whole = false, listed = false;
    for (size_t i = 0; words[i] != NULL; i++) {
        const char *word = words[i];

        if (*word == '\0')
            continue;
        whole |= *word != '+' && *word != '-';
        if (strcmp(word, name) == 0)
            listed = true;
        else if ((*word == '+' || *word == '-') && strcmp(word + 1, name) == 0)
            answer = *word == '+' ? 1 : -1;
    }
    if (whole && answer == 0)
        answer = listed ? 1 : -1;
    return answer;
}

static bool is_allowed(const struct sieve_compiler *compiler,
    const struct sieve_extension *extension)
{
    const struct sieve_options *options = compiler->options;
    bool global = compiler->unit != NULL ? compiler->unit->global : options->global_script;

    if (extension->flags & SIEVE_EXTENSION_TEST)
        return options->testsuite;
    if (extension->flags & (SIEVE_EXTENSION_BASE | SIEVE_EXTENSION_IMPLICIT))
        return true;
    int says = site_says(options, "sieve_extensions", extension->name);
    if (global && says <= 0)
        says = site_says(options, "sieve_global_extensions", extension->name) > 0 ? 1 : says;
    if (says < 0)
        return false;
    if (extension->flags & SIEVE_EXTENSION_SITE_ONLY && says == 0 && !options->testsuite)
        return false;
    if (extension->flags & SIEVE_EXTENSION_GLOBAL_ONLY && !global && !options->testsuite)
        return false;
    return extension->available == NULL || extension->available(options);
}

bool sieve_is_available(const struct sieve_compiler *compiler, const char *name)
{
    const struct sieve_extension *extension = sieve_extension_find(name);

    return extension != NULL && !(extension->flags & SIEVE_EXTENSION_BASE) &&
        is_allowed(compiler, extension);
}

bool sieve_has(const struct sieve_compiler *compiler, const char *extension)
{
    const struct sieve_unit *unit = compiler->unit;

    for (size_t i = 0; i < unit->extension_count; i++)
        if (strcmp(unit->extensions[i]->name, extension) == 0)
            return true;
    return false;
}

static void switch_on(struct sieve_compiler *compiler, const struct sieve_extension *extension)
{
    struct sieve_unit *unit = compiler->unit;
    const struct sieve_extension **list = ARENA_ARRAY(compiler->arena,
        const struct sieve_extension *, unit->extension_count + 1);

    if (unit->extension_count > 0)
        memcpy(list, unit->extensions, unit->extension_count * sizeof(*list));
    list[unit->extension_count++] = extension;
    unit->extensions = list;
}

static bool check_conflicts(struct sieve_compiler *compiler,
    const struct sieve_extension *extension, unsigned line, unsigned column)
{
    for (size_t i = 0; i < compiler->unit->extension_count; i++) {
        const struct sieve_extension *other = compiler->unit->extensions[i];
        bool clash = extension->conflicts != NULL &&
            g_strv_contains(extension->conflicts, other->name);

        clash |= other->conflicts != NULL && g_strv_contains(other->conflicts, extension->name);
        if (clash) {
            sieve_error_at(compiler, line, column,
                "the extensions '%s' and '%s' cannot be used in the same script",
                extension->name, other->name);
            return false;
        }
    }
    return true;
}

bool sieve_enable(struct sieve_compiler *compiler, const char *name, unsigned line,
    unsigned column)
{
    const struct sieve_extension *extension = sieve_extension_find(name);

    if (extension == NULL || !is_allowed(compiler, extension))
        return false;
    if (sieve_has(compiler, name))
        return true;
    if (!check_conflicts(compiler, extension, line, column))
        return true; /* reported */
    switch_on(compiler, extension);
    for (size_t i = 0; extension->implies != NULL && extension->implies[i] != NULL; i++)
        sieve_enable(compiler, extension->implies[i], line, column);
    if (extension->required != NULL)
        extension->required(compiler, line, column);
    return true;
}

void *sieve_compile_state(struct sieve_compiler *compiler, const struct sieve_extension *extension,
    size_t size)
{
    GHashTable **states = &compiler->extra->states;

    if (*states == NULL)
        *states = g_hash_table_new(NULL, NULL);
    void *state = g_hash_table_lookup(*states, extension);
    if (state == NULL) {
        state = arena_alloc(compiler->arena, size);
        g_hash_table_insert(*states, (gpointer)(uintptr_t)extension, state);
    }
    return state;
}

const struct sieve_comparator *sieve_comparator_find(const struct sieve_compiler *compiler,
    const char *name)
{
    const struct sieve_unit *unit = compiler->unit;

    for (size_t i = 0; i < unit->extension_count; i++) {
        const struct sieve_comparator *comparator = unit->extensions[i]->comparators;

        for (; comparator != NULL && comparator->name != NULL; comparator++)
            if (strcmp(comparator->name, name) == 0)
                return comparator;
    }
    return NULL;
}

/* ------------------------------------------------------------------ compiling one text */

static struct sieve_unit *unit_new(struct sieve_compiler *compiler, const char *name, bool global)
{
    struct sieve_unit *unit = ARENA_NEW(compiler->arena, struct sieve_unit);

    unit->name = arena_strdup(compiler->arena, name);
    unit->global = global;
    unit->scope = sieve_scope_new(compiler);
    unit->index = compiler->program->units->len;
    g_ptr_array_add(compiler->program->units, unit);
    return unit;
}

/* Parses and checks @text as @unit; the compiler's present unit comes back afterwards. */
static void compile_unit(struct sieve_compiler *compiler, struct sieve_unit *unit,
    const char *text, size_t length)
{
    struct sieve_compiler saved = *compiler;

    compiler->unit = unit;
    compiler->source = text;
    compiler->source_length = length;
    compiler->enclosing = NULL;
    compiler->enclosing_count = 0;
    compiler->block = NULL;
    compiler->block_index = 0;
    if (compiler->extra->unknown != NULL)
        g_hash_table_remove_all(compiler->extra->unknown);
    for (size_t i = 0; sieve_extension_list[i] != NULL; i++)
        if (sieve_extension_list[i]->flags & SIEVE_EXTENSION_BASE)
            switch_on(compiler, sieve_extension_list[i]);
    for (size_t i = 0; sieve_extension_list[i] != NULL; i++)
        if (sieve_extension_list[i]->flags & SIEVE_EXTENSION_IMPLICIT)
            switch_on(compiler, sieve_extension_list[i]);
    if (length > compiler->options->limits.max_script_size) {
        sieve_error_at(compiler, 0, 0, "the script is too large (%zu bytes, the bound is %zu)",
            length, compiler->options->limits.max_script_size);
    } else {
        unit->block = sieve_parse(compiler, text, length);
        if (unit->block != NULL)
            sieve_check_unit(compiler, unit->block);
        for (size_t i = 0; i < unit->extension_count; i++)
            if (unit->extensions[i]->unit_end != NULL)
                unit->extensions[i]->unit_end(compiler);
    }
    bool too_many = compiler->too_many;
    *compiler = saved;
    compiler->too_many = too_many;
}

struct sieve_unit *sieve_include_unit(struct sieve_compiler *compiler,
    enum sieve_script_place place, const char *name, bool optional, unsigned line,
    unsigned column, bool *ret_missing)
{
    const struct sieve_host *host = compiler->options->host;
    const char *place_name = place == SIEVE_SCRIPT_GLOBAL ? "global" : "personal";
    g_autofree char *full = g_strdup_printf("%s:%s", place_name, name);
    g_autofree char *text = NULL;
    size_t length = 0;

    *ret_missing = false;
    if (name[0] == '\0' || strchr(name, '/') != NULL || strlen(name) > 255) {
        sieve_error_at(compiler, line, column, "'%s' is no valid name of a script", name);
        return NULL;
    }
    for (guint i = 0; i < compiler->extra->including->len; i++) {
        const struct sieve_unit *unit = g_ptr_array_index(compiler->extra->including, i);

        if (strcmp(unit->name, full) == 0) {
            sieve_error_at(compiler, line, column, "circular include of script '%s'", name);
            return NULL;
        }
    }
    for (guint i = 1; i < compiler->program->units->len; i++) {
        struct sieve_unit *unit = g_ptr_array_index(compiler->program->units, i);

        if (strcmp(unit->name, full) == 0)
            return unit;
    }
    if (compiler->extra->including->len > compiler->options->limits.max_include_depth ||
        compiler->program->units->len > compiler->options->limits.max_includes) {
        sieve_error_at(compiler, line, column,
            compiler->program->units->len > compiler->options->limits.max_includes
                ? "too many scripts are included"
                : "scripts are included too deep");
        return NULL;
    }
    enum sieve_answer answer = host == NULL || host->script == NULL
        ? SIEVE_NO
        : host->script(host->ctx, place, name, &text, &length);
    if (answer == SIEVE_NO)
        *ret_missing = true;
    if (answer != SIEVE_YES) {
        if (answer != SIEVE_NO || !optional)
            sieve_error_at(compiler, line, column, "included %s script '%s' %s", place_name, name,
                answer == SIEVE_NO ? "does not exist" : "cannot be read now");
        return NULL;
    }
    unsigned errors = compiler->diagnostics->errors;
    struct sieve_unit *unit = unit_new(compiler, full,
        place == SIEVE_SCRIPT_GLOBAL || compiler->unit->global);
    g_ptr_array_add(compiler->extra->including, unit);
    compile_unit(compiler, unit, text, length);
    g_ptr_array_remove_index(compiler->extra->including, compiler->extra->including->len - 1);
    if (compiler->diagnostics->errors > errors) {
        sieve_error_at(compiler, line, column, "included %s script '%s' has errors", place_name,
            name);
        return NULL;
    }
    return unit;
}

static const char *const *collect_requires(const struct sieve_program *program)
{
    const struct sieve_unit *unit = g_ptr_array_index(program->units, 0);
    const char **names = ARENA_ARRAY(program->arena, const char *, unit->extension_count + 1);
    size_t count = 0;

    for (size_t i = 0; i < unit->extension_count; i++)
        if (!(unit->extensions[i]->flags & (SIEVE_EXTENSION_BASE | SIEVE_EXTENSION_IMPLICIT)))
            names[count++] = unit->extensions[i]->name;
    return names;
}

struct sieve_program *sieve_compile(const char *text, size_t length, const char *name,
    const struct sieve_options *options, struct sieve_diagnostics *diagnostics)
{
    struct sieve_program *program = g_new0(struct sieve_program, 1);
    struct sieve_compile_extra extra = {.including = g_ptr_array_new()};
    struct sieve_compiler compiler = {.options = options, .diagnostics = diagnostics,
        .program = program, .extra = &extra};
    unsigned errors = diagnostics->errors;

    program->references = 1;
    program->arena = compiler.arena = arena_new();
    program->units = g_ptr_array_new();
    program->engine = options->engine;
    program->name = arena_strdup(program->arena, name);
    struct sieve_unit *unit = unit_new(&compiler, name, options->global_script);
    g_ptr_array_add(extra.including, unit);
    if (options->engine == SIEVE_ENGINE_LIBSIEVE) {
        compiler.unit = unit;
        program->source = arena_memdup(program->arena, text, length);
        program->source_length = length;
        sieve_libsieve_compile(&compiler, program);
        program->requires = ARENA_ARRAY(program->arena, const char *, 1);
    } else {
        compile_unit(&compiler, unit, text, length);
        program->requires = collect_requires(program);
    }
    g_clear_pointer(&extra.states, g_hash_table_unref);
    g_clear_pointer(&extra.globals, g_hash_table_unref);
    g_clear_pointer(&extra.unknown, g_hash_table_unref);
    g_ptr_array_unref(extra.including);
    if (diagnostics->errors > errors) {
        sieve_program_unref(program);
        return NULL;
    }
    return program;
}

struct sieve_program *sieve_program_ref(struct sieve_program *program)
{
    g_atomic_int_inc(&program->references);
    return program;
}

void sieve_program_unref(struct sieve_program *program)
{
    if (program == NULL || !g_atomic_int_dec_and_test(&program->references))
        return;
    g_ptr_array_unref(program->units);
    arena_free(program->arena);
    g_free(program);
}

const char *sieve_program_name(const struct sieve_program *program)
{
    return program->name;
}

size_t sieve_program_size(const struct sieve_program *program)
{
    return sizeof(*program) + arena_used(program->arena);
}

const char *const *sieve_program_requires(const struct sieve_program *program)
{
    return program->requires;
}

/* ------------------------------------------------------------------ the list of extensions */

static int compare_info(const void *a, const void *b)
{
    const struct sieve_extension_info *left = a, *right = b;

    return strcmp(left->names, right->names);
}

static gpointer make_infos(gpointer unused)
{
    size_t count = 0, used = 0;

    (void)unused;
    while (sieve_extension_list[count] != NULL)
        count++;
    struct sieve_extension_info *infos = g_new0(struct sieve_extension_info, count + 1);
    for (size_t i = 0; i < count; i++) {
        const struct sieve_extension *extension = sieve_extension_list[i];

        if (extension->flags & (SIEVE_EXTENSION_BASE | SIEVE_EXTENSION_TEST) ||
            extension->rfc == NULL)
            continue;
        infos[used++] = (struct sieve_extension_info){.names = extension->name,
            .rfc = extension->rfc, .status = extension->status,
            .site_only = (extension->flags & (SIEVE_EXTENSION_SITE_ONLY |
                SIEVE_EXTENSION_GLOBAL_ONLY)) != 0};
    }
    qsort(infos, used, sizeof(*infos), compare_info);
    return infos;
}

const struct sieve_extension_info *sieve_extensions(void)
{
    static GOnce once = G_ONCE_INIT;

    return g_once(&once, make_infos, NULL);
}
