#include "sieve/check.h"

#include <string.h>

#include "sieve/parser.h"
#include "sieve/script.h"

static void check_block(struct sieve_compiler *compiler, struct sieve_block *block,
    struct sieve_node *owner);

/* ------------------------------------------------------------------ names */

static const char *kind_name(const struct sieve_word *word)
{
    return word->flags & SIEVE_WORD_TEST ? "test" : "command";
}

/* The word among the extensions that are on. */
static const struct sieve_word *find_word(const struct sieve_compiler *compiler, const char *name,
    bool test)
{
    const struct sieve_unit *unit = compiler->unit;
    const struct sieve_word *other_kind = NULL;
    char first = g_ascii_tolower(name[0]);

    for (size_t i = 0; i < unit->extension_count; i++) {
        const struct sieve_word *word = unit->extensions[i]->words;

        for (; word != NULL && word->name != NULL; word++) {
            if (word->name[0] != first ||
                (strcmp(word->name, name) != 0 && !sieve_same_name(word->name, name)))
                continue; /* (most scripts are in small letters: strcmp is quick) */
            if (((word->flags & SIEVE_WORD_TEST) != 0) == test)
                return word;
            other_kind = word;
        }
    }
    return other_kind;
}

/* The extension that has a word of this name, whether it is on or not. */
static const struct sieve_extension *find_owner(const char *name)
{
    for (size_t i = 0; sieve_extension_list[i] != NULL; i++) {
        const struct sieve_extension *extension = sieve_extension_list[i];

        if (extension->flags & (SIEVE_EXTENSION_TEST | SIEVE_EXTENSION_DEPRECATED))
            continue;
        for (const struct sieve_word *word = extension->words; word != NULL && word->name != NULL;
             word++)
            if (sieve_same_name(word->name, name))
                return extension;
    }
    return NULL;
}

static const char *suggest_word(const struct sieve_compiler *compiler, const char *name,
    bool test)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const struct sieve_unit *unit = compiler->unit;

    for (size_t i = 0; i < unit->extension_count; i++) {
        const struct sieve_word *word = unit->extensions[i]->words;

        for (; word != NULL && word->name != NULL; word++)
            if (((word->flags & SIEVE_WORD_TEST) != 0) == test)
                g_ptr_array_add(names, (gpointer)(uintptr_t)word->name);
    }
    g_ptr_array_add(names, NULL);
    return sieve_did_you_mean(name, (const char *const *)names->pdata);
}

/* True the first time that @key is asked: what is unknown is reported once. */
static bool first_time(struct sieve_compiler *compiler, const char *key)
{
    GHashTable **unknown = &compiler->extra->unknown;

    if (*unknown == NULL)
        *unknown = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (g_hash_table_contains(*unknown, key))
        return false;
    g_hash_table_add(*unknown, g_strdup(key));
    return true;
}

static void report_unknown_word(struct sieve_compiler *compiler, const struct sieve_node *node,
    bool test)
{
    const char *kind = test ? "test" : "command";
    g_autofree char *key = g_ascii_strdown(node->name, -1);
    const struct sieve_extension *owner = find_owner(node->name);
    const char *near = suggest_word(compiler, node->name, test);

    if (!first_time(compiler, key))
        return;
    if (owner != NULL && !(owner->flags & SIEVE_EXTENSION_BASE))
        sieve_error(compiler, node,
            "unknown %s '%s': it needs 'require \"%s\";' at the top of the script", kind,
            node->name, owner->name);
    else if (near != NULL)
        sieve_error(compiler, node, "unknown %s '%s' (did you mean '%s'?)", kind, node->name,
            near);
    else
        sieve_error(compiler, node, "unknown %s '%s'", kind, node->name);
}

/* ------------------------------------------------------------------ tags */

static bool word_in_list(const char *list, const char *name)
{
    size_t length = strlen(name);

    for (const char *p = list; *p != '\0';) {
        size_t n = strcspn(p, " ");

        if (n == length && g_ascii_strncasecmp(p, name, n) == 0)
            return true;
        p += n;
        p += strspn(p, " ");
    }
    return false;
}

static const struct sieve_tag match_tag_none = {.name = "match type", .argument = "",
    .group = "match type"};
static const struct sieve_tag match_tag_string = {.name = "match type", .argument = "s",
    .group = "match type"};
static const struct sieve_tag part_tag = {.name = "address part", .argument = "",
    .group = "address part"};
static const struct sieve_tag modifier_tag = {.name = "modifier", .argument = "",
    .group = "modifier", .flags = SIEVE_TAG_MANY};
static const struct sieve_tag comparator_tag = {.name = "comparator", .argument = "s",
    .group = "comparator"};

/* What a tag at a node can be. */
struct tag_found {
    const struct sieve_tag *tag;
    const struct sieve_match_type *match_type;
    const struct sieve_address_part *part;
    const struct sieve_modifier *modifier;
};

static const struct sieve_match_type *match_type_find(const struct sieve_extension *extension,
    const char *name)
{
    const struct sieve_match_type *type = extension->match_types;

    for (; type != NULL && type->name != NULL; type++)
        if (sieve_same_name(type->name, name))
            return type;
    return NULL;
}

static const struct sieve_address_part *address_part_find(
    const struct sieve_extension *extension, const char *name)
{
    const struct sieve_address_part *part = extension->address_parts;

    for (; part != NULL && part->name != NULL; part++)
        if (sieve_same_name(part->name, name))
            return part;
    return NULL;
}

static const struct sieve_modifier *modifier_find(const struct sieve_extension *extension,
    const char *name)
{
    const struct sieve_modifier *modifier = extension->modifiers;

    for (; modifier != NULL && modifier->name != NULL; modifier++)
        if (sieve_same_name(modifier->name, name))
            return modifier;
    return NULL;
}

static bool tag_in_extension(const struct sieve_word *word,
    const struct sieve_extension *extension, const char *name, struct tag_found *found)
{
    const struct sieve_tag *tag = extension->tags;

    for (; tag != NULL && tag->name != NULL; tag++) {
        if (sieve_same_name(tag->name, name) && tag->applies != NULL &&
            word_in_list(tag->applies, word->name)) {
            *found = (struct tag_found){.tag = tag};
            return true;
        }
    }
    if (word->flags & SIEVE_WORD_MATCH) {
        const struct sieve_match_type *type = match_type_find(extension, name);

        if (type != NULL) {
            *found = (struct tag_found){.match_type = type,
                .tag = type->argument[0] == 's' ? &match_tag_string : &match_tag_none};
            return true;
        }
    }
    if (word->flags & SIEVE_WORD_ADDRESS_PART) {
        const struct sieve_address_part *part = address_part_find(extension, name);

        if (part != NULL) {
            *found = (struct tag_found){.part = part, .tag = &part_tag};
            return true;
        }
    }
    if (word->flags & SIEVE_WORD_MODIFIERS) {
        const struct sieve_modifier *modifier = modifier_find(extension, name);

        if (modifier != NULL) {
            *found = (struct tag_found){.modifier = modifier, .tag = &modifier_tag};
            return true;
        }
    }
    return false;
}

static bool find_tag(const struct sieve_compiler *compiler, const struct sieve_node *node,
    const char *name, struct tag_found *found)
{
    const struct sieve_word *word = node->word;
    const struct sieve_unit *unit = compiler->unit;

    for (const struct sieve_tag *tag = word->tags; tag != NULL && tag->name != NULL; tag++) {
        if (sieve_same_name(tag->name, name)) {
            *found = (struct tag_found){.tag = tag};
            return true;
        }
    }
    if (word->flags & (SIEVE_WORD_COMPARATOR | SIEVE_WORD_MATCH) &&
        sieve_same_name(name, "comparator")) {
        *found = (struct tag_found){.tag = &comparator_tag};
        return true;
    }
    for (size_t i = 0; i < unit->extension_count; i++)
        if (tag_in_extension(word, unit->extensions[i], name, found))
            return true;
    return false;
}

static const char *suggest_tag(const struct sieve_compiler *compiler,
    const struct sieve_node *node, const char *name)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const struct sieve_word *word = node->word;
    const struct sieve_unit *unit = compiler->unit;

    for (const struct sieve_tag *tag = word->tags; tag != NULL && tag->name != NULL; tag++)
        g_ptr_array_add(names, (gpointer)(uintptr_t)tag->name);
    if (word->flags & (SIEVE_WORD_COMPARATOR | SIEVE_WORD_MATCH))
        g_ptr_array_add(names, (gpointer)(uintptr_t)"comparator");
    for (size_t i = 0; i < unit->extension_count; i++) {
        const struct sieve_extension *extension = unit->extensions[i];
        const struct sieve_tag *tag = extension->tags;
        const struct sieve_match_type *type = extension->match_types;
        const struct sieve_address_part *part = extension->address_parts;

        for (; tag != NULL && tag->name != NULL; tag++)
            if (tag->applies != NULL && word_in_list(tag->applies, word->name))
                g_ptr_array_add(names, (gpointer)(uintptr_t)tag->name);
        for (; word->flags & SIEVE_WORD_MATCH && type != NULL && type->name != NULL; type++)
            g_ptr_array_add(names, (gpointer)(uintptr_t)type->name);
        for (; word->flags & SIEVE_WORD_ADDRESS_PART && part != NULL && part->name != NULL; part++)
            g_ptr_array_add(names, (gpointer)(uintptr_t)part->name);
        const struct sieve_modifier *modifier = extension->modifiers;
        for (; word->flags & SIEVE_WORD_MODIFIERS && modifier != NULL && modifier->name != NULL;
             modifier++)
            g_ptr_array_add(names, (gpointer)(uintptr_t)modifier->name);
    }
    g_ptr_array_add(names, NULL);
    return sieve_did_you_mean(name, (const char *const *)names->pdata);
}

static void report_unknown_tag(struct sieve_compiler *compiler, const struct sieve_node *node,
    const struct sieve_arg *arg)
{
    g_autofree char *key = g_strdup_printf("%s :%s", node->word->name, arg->tag);
    struct tag_found found;

    if (!first_time(compiler, key))
        return;
    for (size_t i = 0; sieve_extension_list[i] != NULL; i++) {
        const struct sieve_extension *extension = sieve_extension_list[i];

        if (!(extension->flags & (SIEVE_EXTENSION_BASE | SIEVE_EXTENSION_TEST)) &&
            tag_in_extension(node->word, extension, arg->tag, &found)) {
            sieve_error_at(compiler, arg->line, arg->column,
                "unknown tagged argument ':%s' for the %s %s: it needs 'require \"%s\";' at the "
                "top of the script", arg->tag, node->word->name, kind_name(node->word),
                extension->name);
            return;
        }
    }
    const char *near = suggest_tag(compiler, node, arg->tag);
    g_autofree char *hint = near == NULL ? g_strdup(" (reported only once)")
                                         : g_strdup_printf(" (did you mean ':%s'?)", near);
    sieve_error_at(compiler, arg->line, arg->column,
        "unknown tagged argument ':%s' for the %s %s%s", arg->tag, node->word->name,
        kind_name(node->word), hint);
}

/* ------------------------------------------------------------------ arguments */

static const char *arg_kind_name(const struct sieve_arg *arg)
{
    switch (arg->kind) {
    case SIEVE_ARG_TAG: return "a tag";
    case SIEVE_ARG_NUMBER: return "a number";
    case SIEVE_ARG_STRING: return "a string";
    case SIEVE_ARG_LIST: return "a string list";
    }
    return "nothing";
}

static const char *spec_name(char spec)
{
    switch (g_ascii_tolower(spec)) {
    case 'n': return "a number";
    case 's': return "a string";
    default: return "a string list";
    }
}

static bool arg_fits(const struct sieve_arg *arg, char spec)
{
    switch (g_ascii_tolower(spec)) {
    case 'n': return arg->kind == SIEVE_ARG_NUMBER;
    case 's': return arg->kind == SIEVE_ARG_STRING;
    default: return arg->kind == SIEVE_ARG_STRING || arg->kind == SIEVE_ARG_LIST;
    }
}

/* Makes the strings of @arg ready. False: an error in one was reported. */
static bool bind_strings(struct sieve_compiler *compiler, struct sieve_arg *arg)
{
    bool fine = true, constant = true;

    for (unsigned i = 0; i < arg->count; i++) {
        fine &= sieve_literal_prepare(compiler, &arg->strings[i]);
        constant &= arg->strings[i].pieces == NULL;
    }
    if (!constant || arg->count == 0)
        return fine;
    if (arg->count == 1) {
        arg->values = &arg->strings[0].text;
        return fine;
    }
    struct sieve_string *values = arena_take(compiler->arena, arg->count * sizeof(*values));
    for (unsigned i = 0; i < arg->count; i++)
        values[i] = arg->strings[i].text;
    arg->values = values;
    return fine;
}

/* Looks all tags up; *ret_found has as many as there are arguments. */
static bool find_tags(struct sieve_compiler *compiler, struct sieve_node *node,
    struct tag_found *ret_found)
{
    for (size_t i = 0; i < node->written_count; i++) {
        if (node->written[i].kind == SIEVE_ARG_TAG &&
            !find_tag(compiler, node, node->written[i].tag, &ret_found[i])) {
            report_unknown_tag(compiler, node, &node->written[i]);
            return false;
        }
    }
    return true;
}

/* RFC 5229 4.1: no two modifiers of the same precedence. */
static bool modifier_clashes(struct sieve_compiler *compiler, const struct sieve_node *node,
    const struct sieve_arg *arg, const struct sieve_modifier *modifier)
{
    for (size_t i = 0; i < node->tag_count; i++) {
        const struct sieve_modifier *other = node->tags[i].data;

        if (node->tags[i].tag != &modifier_tag || other->precedence != modifier->precedence)
            continue;
        sieve_error_at(compiler, arg->line, arg->column,
            "the modifiers ':%s' and ':%s' of the %s command conflict: they have the same "
            "precedence", other->name, modifier->name, node->word->name);
        return true;
    }
    return false;
}

static bool tag_repeats(struct sieve_compiler *compiler, const struct sieve_node *node,
    const struct sieve_arg *arg, const struct tag_found *found)
{
    const struct sieve_tag *tag = found->tag;

    if (found->modifier != NULL)
        return modifier_clashes(compiler, node, arg, found->modifier);
    if (tag->flags & SIEVE_TAG_MANY)
        return false;
    for (size_t i = 0; i < node->tag_count; i++) {
        const struct sieve_tag *old = node->tags[i].tag;

        if (old == tag ||
            (tag->group != NULL && old->group != NULL && strcmp(tag->group, old->group) == 0)) {
            bool same = sieve_same_name(tag->name, arg->tag);

            sieve_error_at(compiler, arg->line, arg->column,
                old == tag && same ? "encountered duplicate ':%s' argument for the %s %s"
                                   : "':%s' cannot stand beside another tag of its kind at the "
                                     "%s %s", arg->tag, node->word->name,
                kind_name(node->word));
            return true;
        }
    }
    return false;
}

/* Binds the tags in front of the positional arguments; *ret_next is the first one behind them. */
static bool bind_tags(struct sieve_compiler *compiler, struct sieve_node *node, size_t *ret_next,
    struct sieve_match_spec *match)
{
    struct tag_found all_found[SIEVE_ARGUMENTS_MAX];
    size_t i = 0;

    if (!find_tags(compiler, node, all_found))
        return false;
    size_t tags = 0;
    for (size_t j = 0; j < node->written_count; j++)
        tags += node->written[j].kind == SIEVE_ARG_TAG;
    if (tags > 0)
        node->tags = ARENA_ARRAY(compiler->arena, struct sieve_bound_tag, tags);
    while (i < node->written_count && node->written[i].kind == SIEVE_ARG_TAG) {
        const struct tag_found found = all_found[i];
        const struct sieve_arg *arg = &node->written[i++];
        struct sieve_bound_tag *bound = &node->tags[node->tag_count];

        if (tag_repeats(compiler, node, arg, &found))
            return false;
        bound->tag = found.tag;
        bound->line = arg->line;
        bound->column = arg->column;
        if (found.match_type != NULL) {
            match->type = found.match_type;
            match->bound = bound;
        }
        if (found.part != NULL)
            bound->data = (void *)(uintptr_t)found.part;
        if (found.modifier != NULL)
            bound->data = (void *)(uintptr_t)found.modifier;
        if (found.tag->argument != NULL && found.tag->argument[0] != '\0') {
            struct sieve_arg *value = i < node->written_count ? &node->written[i] : NULL;

            if (value == NULL || !arg_fits(value, found.tag->argument[0])) {
                sieve_error_at(compiler, arg->line, arg->column,
                    "the :%s tag for the %s %s requires %s, but %s was found", arg->tag,
                    node->word->name, kind_name(node->word), spec_name(found.tag->argument[0]),
                    value == NULL ? "nothing" : arg_kind_name(value));
                return false;
            }
            if (!bind_strings(compiler, value))
                return false;
            bound->arg = value;
            i++;
        }
        node->tag_count++;
    }
    *ret_next = i;
    return true;
}

static void spec_range(const char *spec, size_t *ret_least, size_t *ret_most)
{
    *ret_least = 0;
    *ret_most = strlen(spec);
    for (const char *p = spec; *p != '\0'; p++)
        *ret_least += g_ascii_islower(*p) != 0;
}

static bool check_positional_count(struct sieve_compiler *compiler, const struct sieve_node *node,
    size_t first)
{
    size_t least, most, count = node->written_count - first;
    const char *spec = node->word->args != NULL ? node->word->args : "";

    spec_range(spec, &least, &most);
    for (size_t i = first; i < node->written_count; i++) {
        if (node->written[i].kind == SIEVE_ARG_TAG) {
            sieve_error_at(compiler, node->written[i].line, node->written[i].column,
                "unexpected tagged argument ':%s' among the positional arguments of the %s %s: "
                "tags come first", node->written[i].tag, node->word->name, kind_name(node->word));
            return false;
        }
    }
    if (count < least || count > most) {
        g_autofree char *wanted = least == most ? g_strdup_printf("%zu", least)
                                                : g_strdup_printf("%zu to %zu", least, most);

        sieve_error(compiler, node,
            "the %s %s requires %s positional argument(s), but %zu is/are specified",
            node->word->name, kind_name(node->word), wanted, count);
        return false;
    }
    return true;
}

static const char *arg_name(struct arena *arena, const char *names, size_t index)
{
    g_auto(GStrv) parts = g_strsplit(names != NULL ? names : "", ",", 0);

    if (index < g_strv_length(parts))
        return arena_printf(arena, " (%s)", parts[index]);
    return "";
}

static bool bind_positional(struct sieve_compiler *compiler, struct sieve_node *node, size_t first)
{
    const char *spec = node->word->args != NULL ? node->word->args : "";
    size_t least, most;
    const struct sieve_arg **args;

    spec_range(spec, &least, &most);
    if (most == 0)
        return true;
    args = ARENA_ARRAY(compiler->arena, const struct sieve_arg *, most);
    node->args = args;
    node->arg_count = (unsigned char)most;
    /* optional ones are left away from the front */
    size_t spare = node->written_count - first - least, next = first;
    for (size_t i = 0; i < most; i++) {
        if (g_ascii_isupper(spec[i])) {
            if (spare == 0)
                continue;
            spare--;
        }
        struct sieve_arg *arg = &node->written[next];
        if (!arg_fits(arg, spec[i])) {
            sieve_error_at(compiler, arg->line, arg->column,
                "the %s %s expects %s as argument %zu%s, but %s was found", node->word->name,
                kind_name(node->word), spec_name(spec[i]), i + 1,
                arg_name(compiler->arena, node->word->arg_names, i), arg_kind_name(arg));
            return false;
        }
        if (!bind_strings(compiler, arg))
            return false;
        args[i] = arg;
        next++;
    }
    return true;
}

/* ------------------------------------------------------------------ matching */

static bool bind_comparator(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_match_spec *match)
{
    const struct sieve_bound_tag *bound = sieve_node_tag(node, "comparator");
    const char *name = "i;ascii-casemap";

    if (bound != NULL) {
        const struct sieve_string *text = sieve_constant(bound->arg);

        if (text == NULL) {
            sieve_error_at(compiler, bound->line, bound->column,
                "the :comparator tag needs a constant string");
            return false;
        }
        name = text->data;
    }
    match->comparator = sieve_comparator_find(compiler, name);
    if (match->comparator == NULL) {
        g_autofree char *needed = g_strdup_printf("comparator-%s", name);

        if (bound == NULL)
            return false;
        if (sieve_extension_find(needed) != NULL)
            sieve_error_at(compiler, bound->line, bound->column,
                "comparator '%s' needs 'require \"%s\";' at the top of the script", name, needed);
        else
            sieve_error_at(compiler, bound->line, bound->column,
                "unknown comparator '%s' for the %s %s", name, node->word->name,
                kind_name(node->word));
        return false;
    }
    return true;
}

static bool bind_match(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_match_spec *match)
{
    const struct sieve_arg *keys = node->arg_count > (size_t)node->word->match_keys
        ? node->args[node->word->match_keys]
        : NULL;

    node->match = match;
    if (!(node->word->flags & SIEVE_WORD_MATCH) || match->type == NULL)
        return true;
    if (match->type->substring && !match->comparator->substrings) {
        sieve_error(compiler, node, "the comparator '%s' does not support ':%s'",
            match->comparator->name, match->type->name);
        return false;
    }
    return match->type->check == NULL || match->type->check(compiler, node, match, keys);
}

/* ------------------------------------------------------------------ one node */

static bool check_test_count(struct sieve_compiler *compiler, const struct sieve_node *node)
{
    const struct sieve_word *word = node->word;
    bool list = node->has_test_list;
    struct tag_found found;

    if (word->flags & SIEVE_WORD_ONE_TEST) {
        if (node->test_count == 1 && !list)
            return true;
        sieve_error(compiler, node, "the %s %s requires one sub-test, but %s is specified",
            word->name, kind_name(word), node->test_count == 0 ? "none" : "a list of tests");
        return false;
    }
    if (word->flags & SIEVE_WORD_TESTS) {
        if (list && node->test_count > 0)
            return true;
        sieve_error(compiler, node,
            "the %s %s requires a list of sub-tests in parentheses, but %s is specified",
            word->name, kind_name(word), node->test_count == 0 ? "none" : "a single test");
        return false;
    }
    if (node->test_count == 0)
        return true;
    const struct sieve_node *test = node->tests[0];
    const struct sieve_word *other = find_word(compiler, test->name, true);
    if (other != NULL && other->flags & SIEVE_WORD_TEST)
        sieve_error(compiler, node, "the %s %s accepts no sub-tests, but tests are specified",
            word->name, kind_name(word));
    else if (other == NULL && find_tag(compiler, node, test->name, &found))
        sieve_error(compiler, test, "missing colon ':' before the ':%s' tag in the %s %s",
            test->name, word->name, kind_name(word));
    else
        sieve_error(compiler, node, "missing semicolon ';' after the %s %s", word->name,
            kind_name(word));
    return false;
}

static bool check_block_there(struct sieve_compiler *compiler, const struct sieve_node *node)
{
    bool wanted = (node->word->flags & SIEVE_WORD_BLOCK) != 0;

    if (node->word->flags & SIEVE_WORD_TEST || wanted == (node->block != NULL))
        return true;
    sieve_error(compiler, node,
        wanted ? "the %s command requires a command block '{ … }', but it is missing"
               : "the %s command does not accept a command block, but one is specified",
        node->word->name);
    return false;
}

static bool check_node_arguments(struct sieve_compiler *compiler, struct sieve_node *node)
{
    struct sieve_match_spec *match = NULL;
    size_t first = 0;

    if (node->word->flags & (SIEVE_WORD_COMPARATOR | SIEVE_WORD_MATCH)) {
        match = ARENA_NEW(compiler->arena, struct sieve_match_spec);
        match->type = match_type_find(compiler->unit->extensions[0], "is");
    }
    /* a missing ':' makes a tag a test, which then is the better thing to complain about */
    if (!bind_tags(compiler, node, &first, match) ||
        (match != NULL && !bind_comparator(compiler, node, match)) ||
        !check_positional_count(compiler, node, first)) {
        check_test_count(compiler, node);
        return false;
    }
    if (!check_test_count(compiler, node) || !check_block_there(compiler, node) ||
        !bind_positional(compiler, node, first) ||
        (match != NULL && !bind_match(compiler, node, match)))
        return false;
    for (size_t i = 0; i < node->tag_count; i++) {
        const struct sieve_tag *tag = node->tags[i].tag;

        if (tag->check != NULL && !tag->check(compiler, node, &node->tags[i]))
            return false;
    }
    return true;
}

static bool bind_word(struct sieve_compiler *compiler, struct sieve_node *node, bool test)
{
    node->word = find_word(compiler, node->name, test);
    if (node->word == NULL) {
        report_unknown_word(compiler, node, test);
        return false;
    }
    if (((node->word->flags & SIEVE_WORD_TEST) != 0) != test) {
        sieve_error(compiler, node, "attempted to use %s '%s' as %s", kind_name(node->word),
            node->name, test ? "test" : "command");
        node->word = NULL;
        return false;
    }
    return true;
}

static bool check_node(struct sieve_compiler *compiler, struct sieve_node *node);

/* allof is known false by one false, anyof known true by one true; the rest of the list is then not
 * checked, as `ihave` wants (RFC 5463 3). */
static bool check_tests(struct sieve_compiler *compiler, struct sieve_node *node)
{
    bool fine = true;
    signed char decides = sieve_same_name(node->word->name, "allof") ? 0
        : sieve_same_name(node->word->name, "anyof")         ? 1
                                                                     : -2;
    bool all_known = true;

    for (unsigned i = 0; i < node->test_count && !compiler->too_many; i++) {
        struct sieve_node *test = node->tests[i];

        if (!bind_word(compiler, test, true) || !check_node(compiler, test)) {
            fine = false;
            continue;
        }
        all_known &= test->constant >= 0;
        if (test->constant == decides) {
            node->constant = decides;
            node->test_count = i + 1;
            return fine;
        }
    }
    if (!(node->word->flags & SIEVE_WORD_TEST) || !fine || !all_known || node->test_count == 0)
        return fine;
    if (decides >= 0)
        node->constant = !decides;
    else if (sieve_same_name(node->word->name, "not"))
        node->constant = !node->tests[0]->constant;
    return fine;
}

/* Checks a node whose word is bound. */
static bool check_node(struct sieve_compiler *compiler, struct sieve_node *node)
{
    bool takes_tests = (node->word->flags & (SIEVE_WORD_ONE_TEST | SIEVE_WORD_TESTS)) != 0;
    unsigned errors = compiler->diagnostics->errors;
    bool fine = check_node_arguments(compiler, node);

    if (takes_tests && !compiler->too_many)
        fine &= check_tests(compiler, node);
    /* the word's own check sees its tests checked; a structural error (elsif without if) is worth
     * saying even when a test inside is wrong */
    /* `fine` too: an error that is reported only once does not count the second time */
    if (fine && compiler->diagnostics->errors == errors && node->word->check != NULL)
        fine &= node->word->check(compiler, node);
    if (node->block != NULL && node->word->flags & SIEVE_WORD_BLOCK && !compiler->too_many) {
        bool skipped = fine && node->test_count == 1 && node->tests[0]->constant == 0;

        if (skipped)
            node->block = ARENA_NEW(compiler->arena, struct sieve_block);
        else
            check_block(compiler, node->block, node);
    }
    return fine;
}

/* ------------------------------------------------------------------ blocks */

static void warn_unreachable(struct sieve_compiler *compiler, const struct sieve_block *block,
    size_t index)
{
    const struct sieve_node *node = block->nodes[index];

    if (node->word == NULL || !(node->word->flags & SIEVE_WORD_CONTROL) ||
        index + 1 >= block->count)
        return;
    sieve_warning(compiler, block->nodes[index + 1],
        "this is never reached: '%s' in line %u ends the script before it", node->name,
        node->line);
}

static void check_block(struct sieve_compiler *compiler, struct sieve_block *block,
    struct sieve_node *owner)
{
    if (owner != NULL)
        compiler->enclosing[compiler->enclosing_count++] = owner;
    struct sieve_block *outer = compiler->block;
    size_t outer_index = compiler->block_index;
    for (size_t i = 0; i < block->count && !compiler->too_many; i++) {
        compiler->block = block;
        compiler->block_index = i;
        if (bind_word(compiler, block->nodes[i], false))
            check_node(compiler, block->nodes[i]);
        warn_unreachable(compiler, block, i);
    }
    compiler->block = outer;
    compiler->block_index = outer_index;
    if (owner != NULL)
        compiler->enclosing_count--;
}

void sieve_check_unit(struct sieve_compiler *compiler, struct sieve_block *block)
{
    /* the parser has bounded how deep blocks stand */
    compiler->enclosing = ARENA_ARRAY(compiler->arena, struct sieve_node *,
        compiler->options->limits.max_nesting + 1);
    check_block(compiler, block, NULL);
}

struct sieve_node *sieve_enclosing(const struct sieve_compiler *compiler, const char *name)
{
    for (size_t i = compiler->enclosing_count; i > 0; i--)
        if (sieve_same_name(compiler->enclosing[i - 1]->name, name))
            return compiler->enclosing[i - 1];
    return NULL;
}

struct sieve_bound_tag *sieve_node_tag(const struct sieve_node *node, const char *name)
{
    for (size_t i = 0; i < node->tag_count; i++)
        if (strcmp(node->tags[i].tag->name, name) == 0)
            return &node->tags[i];
    return NULL;
}

const struct sieve_string *sieve_constant_at(const struct sieve_arg *arg, size_t index)
{
    if (index >= arg->count || arg->strings[index].pieces != NULL)
        return NULL;
    return &arg->strings[index].text;
}

const struct sieve_string *sieve_constant(const struct sieve_arg *arg)
{
    return sieve_constant_at(arg, 0);
}
