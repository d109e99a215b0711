/*
 * mime: the tags :mime, :anychild, :type, :subtype, :contenttype and :param of header, address and
 * exists.
 *
 * RFC 5703, section 4. Status: complete.
 *
 * :mime makes the test look at the part of the loop it stands in, or at the message outside of a
 * loop; :anychild at the parts below it too.
 */
#include <string.h>

#include "lda/mail/message.h"

#include "sieve/ext/foreverypart.h"
#include "sieve/ext/list.h"
#include "sieve/sieve-internal.h"

/* The four ways to look into a Content-Type or Content-Disposition field. */
static const char *const options[] = {"type", "subtype", "contenttype", "param", NULL};

static const struct sieve_bound_tag *option_of(const struct sieve_node *node)
{
    for (size_t i = 0; options[i] != NULL; i++) {
        const struct sieve_bound_tag *tag = sieve_node_tag(node, options[i]);

        if (tag != NULL)
            return tag;
    }
    return NULL;
}

static bool check_needs_mime(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    if (sieve_node_tag(node, "mime") != NULL)
        return true;
    sieve_error_at(compiler, bound->line, bound->column,
        "the :%s tag for the %s test cannot be specified without the :mime tag",
        bound->tag->name, node->word->name);
    return false;
}

/* ------------------------------------------------------------------ values */

/* The two fields that have types and parameters to look at. */
static bool is_structured(const char *name)
{
    return g_ascii_strcasecmp(name, "Content-Type") == 0 ||
        g_ascii_strcasecmp(name, "Content-Disposition") == 0;
}

/* "text/plain; charset=x": its type, subtype or both, lower case as the RFC's examples; what has no
 * slash (Content-Disposition) is all type; other fields are a blank string (4.1). False: nothing
 * there. */
static bool content_value(struct arena *arena, const char *name, const char *raw,
    const char *option, struct sieve_string *ret)
{
    g_autoptr(GString) text = g_string_new(NULL);
    unsigned depth = 0;

    *ret = sieve_str("");
    if (!is_structured(name))
        return true;

    for (const char *at = raw; *at != '\0' && (depth > 0 || *at != ';'); at++) {
        if (*at == '(')
            depth++;
        else if (*at == ')' && depth > 0)
            depth--;
        else if (depth == 0 && !g_ascii_isspace(*at))
            g_string_append_c(text, g_ascii_tolower(*at));
    }
    if (text->len == 0)
        return false;
    char *slash = strchr(text->str, '/');
    const char *value = text->str;
    if (strcmp(option, "subtype") == 0)
        value = slash != NULL ? slash + 1 : "";
    else if (strcmp(option, "type") == 0 && slash != NULL)
        *slash = '\0';
    *ret = sieve_str(arena_strdup(arena, value));
    return true;
}

static void add_params(struct sieve_run *run, const struct sieve_bound_tag *tag,
    struct message_part *part, const char *name, struct sieve_values *values)
{
    struct sieve_list params = sieve_tag_list(run, tag);
    bool is_type = g_ascii_strcasecmp(name, "Content-Type") == 0;

    if (!is_structured(name))
        return;
    for (size_t i = 0; i < params.count; i++) {
        const char *value = is_type ? message_part_param(part, params.items[i].data)
                                    : message_part_disposition_param(part, params.items[i].data);

        if (value != NULL)
            sieve_values_add(values, sieve_str(arena_strdup(run->arena, value)), NULL, name);
    }
}

static void add_fields(struct sieve_run *run, const struct sieve_node *node,
    struct message_part *part, const char *name, struct sieve_values *values)
{
    const struct sieve_bound_tag *option = option_of(node);
    struct headers *headers = message_part_headers(part);

    if (option == NULL) {
        sieve_values_add_fields(run, values, headers, name);
        return;
    }
    if (strcmp(option->tag->name, "param") == 0) {
        if (headers_find(headers, name, 0) != HEADERS_NONE)
            add_params(run, option, part, name, values);
        return;
    }
    for (size_t i = headers_find(headers, name, 0); i != HEADERS_NONE;
         i = headers_find(headers, name, i + 1)) {
        struct sieve_string value;

        if (content_value(run->arena, name, headers_raw(headers, i), option->tag->name, &value))
            sieve_values_add(values, value, NULL, name);
    }
}

/* Takes the values of the message away and puts those of the part in their place. */
static enum sieve_status mime_values(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_bound_tag *bound, struct sieve_values *values)
{
    struct message_part *part, *root;
    bool children = sieve_node_tag(node, "anychild") != NULL;

    (void)bound;
    if (!foreverypart_current(run, node, &part))
        return SIEVE_ERROR;
    values->count = 0;
    if (part == NULL && foreverypart_is_running(run))
        return SIEVE_NEXT;
    if (part == NULL) {
        struct error err;

        if (!message_mime(run->message, &part, &err))
            return sieve_fail(run, node, "cannot read the message: %s", err.text);
    }
    root = part;
    for (; part != NULL; part = children ? message_part_next(part, root) : NULL) {
        if (!sieve_work(run, node, 16))
            return SIEVE_ERROR;
        for (size_t i = 0; i < values->names->count; i++)
            add_fields(run, node, part, values->names->items[i].data, values);
    }
    return SIEVE_NEXT;
}

/* ------------------------------------------------------------------ tables */

#define TESTS "header address exists"

static const struct sieve_tag tags[] = {
    {.name = "mime", .argument = "", .applies = TESTS, .values = mime_values, .order = 10},
    {.name = "anychild", .argument = "", .applies = TESTS, .check = check_needs_mime},
    {.name = "type", .argument = "", .applies = "header", .group = "mime option",
        .check = check_needs_mime},
    {.name = "subtype", .argument = "", .applies = "header", .group = "mime option",
        .check = check_needs_mime},
    {.name = "contenttype", .argument = "", .applies = "header", .group = "mime option",
        .check = check_needs_mime},
    {.name = "param", .argument = "l", .applies = "header", .group = "mime option",
        .check = check_needs_mime},
    {NULL},
};

const struct sieve_extension sieve_ext_mime = {
    .name = "mime",
    .rfc = "RFC 5703",
    .status = "complete",
    .tags = tags,
};
