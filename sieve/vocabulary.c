#include "sieve/vocabulary.h"

#include <string.h>

#include "sieve/script.h"

/* ------------------------------------------------------------------ names */

const char *sieve_kind_name(const struct sieve_word *word)
{
    return word->flags & SIEVE_WORD_TEST ? "test" : "command";
}

const struct sieve_word *sieve_find_word(const struct sieve_compiler *compiler, const char *name,
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

void sieve_report_unknown_word(struct sieve_compiler *compiler, const struct sieve_node *node,
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
const struct sieve_tag sieve_modifier_tag = {.name = "modifier", .argument = "",
    .group = "modifier", .flags = SIEVE_TAG_MANY};
static const struct sieve_tag comparator_tag = {.name = "comparator", .argument = "s",
    .group = "comparator"};

const struct sieve_match_type *sieve_match_type_find(const struct sieve_extension *extension,
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
    const struct sieve_extension *extension, const char *name, struct sieve_tag_found *found)
{
    const struct sieve_tag *tag = extension->tags;

    for (; tag != NULL && tag->name != NULL; tag++) {
        if (sieve_same_name(tag->name, name) && tag->applies != NULL &&
            word_in_list(tag->applies, word->name)) {
            *found = (struct sieve_tag_found){.tag = tag};
            return true;
        }
    }
    if (word->flags & SIEVE_WORD_MATCH) {
        const struct sieve_match_type *type = sieve_match_type_find(extension, name);

        if (type != NULL) {
            *found = (struct sieve_tag_found){.match_type = type,
                .tag = type->argument[0] == 's' ? &match_tag_string : &match_tag_none};
            return true;
        }
    }
    if (word->flags & SIEVE_WORD_ADDRESS_PART) {
        const struct sieve_address_part *part = address_part_find(extension, name);

        if (part != NULL) {
            *found = (struct sieve_tag_found){.part = part, .tag = &part_tag};
            return true;
        }
    }
    if (word->flags & SIEVE_WORD_MODIFIERS) {
        const struct sieve_modifier *modifier = modifier_find(extension, name);

        if (modifier != NULL) {
            *found = (struct sieve_tag_found){.modifier = modifier, .tag = &sieve_modifier_tag};
            return true;
        }
    }
    return false;
}

bool sieve_find_tag(const struct sieve_compiler *compiler, const struct sieve_node *node,
    const char *name, struct sieve_tag_found *found)
{
    const struct sieve_word *word = node->word;
    const struct sieve_unit *unit = compiler->unit;

    for (const struct sieve_tag *tag = word->tags; tag != NULL && tag->name != NULL; tag++) {
        if (sieve_same_name(tag->name, name)) {
            *found = (struct sieve_tag_found){.tag = tag};
            return true;
        }
    }
    if (word->flags & (SIEVE_WORD_COMPARATOR | SIEVE_WORD_MATCH) &&
        sieve_same_name(name, "comparator")) {
        *found = (struct sieve_tag_found){.tag = &comparator_tag};
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

void sieve_report_unknown_tag(struct sieve_compiler *compiler, const struct sieve_node *node,
    const struct sieve_arg *arg)
{
    g_autofree char *key = g_strdup_printf("%s :%s", node->word->name, arg->tag);
    struct sieve_tag_found found;

    if (!first_time(compiler, key))
        return;
    for (size_t i = 0; sieve_extension_list[i] != NULL; i++) {
        const struct sieve_extension *extension = sieve_extension_list[i];

        if (!(extension->flags & (SIEVE_EXTENSION_BASE | SIEVE_EXTENSION_TEST)) &&
            tag_in_extension(node->word, extension, arg->tag, &found)) {
            sieve_error_at(compiler, arg->line, arg->column,
                "unknown tagged argument ':%s' for the %s %s: it needs 'require \"%s\";' at the "
                "top of the script", arg->tag, node->word->name, sieve_kind_name(node->word),
                extension->name);
            return;
        }
    }
    const char *near = suggest_tag(compiler, node, arg->tag);
    g_autofree char *hint = near == NULL ? g_strdup(" (reported only once)")
                                         : g_strdup_printf(" (did you mean ':%s'?)", near);
    sieve_error_at(compiler, arg->line, arg->column,
        "unknown tagged argument ':%s' for the %s %s%s", arg->tag, node->word->name,
        sieve_kind_name(node->word), hint);
}
