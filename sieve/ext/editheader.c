/*
 * editheader: addheader, deleteheader.
 *
 * RFC 5293. Status: complete.
 *
 * Received and Auto-Submitted can never be deleted (RFC 5293 6: loops are found by them), Subject
 * can always be changed; what the site protects is left alone without an error, and so is the
 * Original-Subject or Original-From of a replace (RFC 5703 5). Values are decoded
 * when looked at and encoded when added. Actions that were said before keep the header they saw.
 */
#include <string.h>

#include "lda/mail/message.h"

#include "sieve/ext/list.h"
#include "sieve/ext/replace.h"
#include "sieve/sieve-internal.h"

#define DEFAULT_MAX_VALUE 2048u
#define LEAST_MAX_VALUE 1024u

/* ------------------------------------------------------------------ what may be changed */

static bool is_in_words(const char *text, const char *name)
{
    if (text == NULL)
        return false;
    g_auto(GStrv) words = g_strsplit_set(text, " \t,", 0);
    for (size_t i = 0; words[i] != NULL; i++)
        if (g_ascii_strcasecmp(words[i], name) == 0)
            return true;
    return false;
}

/* The settings of Pigeonhole 2.4 ("sieve_editheader_header/NAME/forbid_add") and the older ones. */
static bool is_forbidden(const struct sieve_options *options, const char *name, const char *what)
{
    g_autofree char *old_setting = g_strconcat("sieve_editheader_", what, NULL);
    const char *headers = sieve_setting(options, "sieve_editheader_header");

    if (g_ascii_strcasecmp(name, "Subject") == 0)
        return false;
    if (is_in_words(sieve_setting(options, old_setting), name) ||
        is_in_words(sieve_setting(options, "sieve_editheader_protected"), name))
        return true;
    if (headers == NULL)
        return false;
    g_auto(GStrv) words = g_strsplit_set(headers, " \t,", 0);
    for (size_t i = 0; words[i] != NULL; i++) {
        if (g_ascii_strcasecmp(words[i], name) != 0)
            continue;
        g_autofree char *setting = g_strconcat("sieve_editheader_header/", words[i], "/", what,
            NULL);
        return sieve_setting_bool(options, setting, false);
    }
    return false;
}

static bool may_add(const struct sieve_options *options, const char *name)
{
    return !is_forbidden(options, name, "forbid_add");
}

static bool may_delete(const struct sieve_options *options, const char *name)
{
    return g_ascii_strcasecmp(name, "Received") != 0 &&
        g_ascii_strcasecmp(name, "Auto-Submitted") != 0 &&
        !is_forbidden(options, name, "forbid_delete");
}

static uint64_t max_value(const struct sieve_options *options)
{
    uint64_t most = sieve_setting_size(options, "sieve_editheader_max_header_size",
        DEFAULT_MAX_VALUE);

    return most < LEAST_MAX_VALUE ? DEFAULT_MAX_VALUE : most;
}

/* ------------------------------------------------------------------ addheader (4) */

static bool check_name(struct sieve_compiler *compiler, struct sieve_node *node,
    bool (*may)(const struct sieve_options *options, const char *name))
{
    const struct sieve_string *name = sieve_constant(node->args[0]);

    if (name == NULL)
        return true;
    if (!sieve_header_name_is_valid(name)) {
        sieve_error(compiler, node, "%s: the field name '%.80s' is invalid", node->name,
            name->data);
        return false;
    }
    if (!may(compiler->options, name->data))
        sieve_warning(compiler, node,
            "%s: the header field '%s' is protected here: nothing is changed", node->name,
            name->data);
    return true;
}

/* What no line of a header holds, apart from line ends and tabs (RFC 5322 2.2). */
static bool has_control(const struct sieve_string *value)
{
    for (size_t i = 0; i < value->length; i++)
        if ((unsigned char)value->data[i] < ' ' && (value->data[i] == '\0' ||
            strchr("\t\r\n", value->data[i]) == NULL))
            return true;
    return false;
}

static bool check_addheader(struct sieve_compiler *compiler, struct sieve_node *node)
{
    const struct sieve_string *value = sieve_constant(node->args[1]);

    if (!check_name(compiler, node, may_add))
        return false;
    if (value == NULL)
        return true;
    if (has_control(value)) {
        sieve_error(compiler, node,
            "addheader: the field value '%.80s' is invalid (control characters)", value->data);
        return false;
    }
    if (value->length > max_value(compiler->options)) {
        sieve_error(compiler, node, "addheader: the field value is too long (%zu bytes)",
            value->length);
        return false;
    }
    return true;
}

/* Line breaks become one space: RFC 5293 4 leaves folding to us. */
static char *one_line(struct arena *arena, const char *text)
{
    g_autoptr(GString) line = g_string_new(NULL);

    for (const char *at = text; *at != '\0'; at++) {
        if (*at != '\r' && *at != '\n') {
            g_string_append_c(line, *at);
            continue;
        }
        while (at[1] == '\r' || at[1] == '\n' || at[1] == ' ' || at[1] == '\t')
            at++;
        g_string_append_c(line, ' ');
    }
    g_strstrip(line->str);
    return arena_strdup(arena, line->str);
}

static enum sieve_status run_addheader(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string name = sieve_arg_string(run, node, 0);
    struct sieve_string value = sieve_arg_string(run, node, 1);

    if (!sieve_header_name_is_valid(&name))
        return sieve_fail(run, node, "addheader: the field name '%.80s' is invalid", name.data);
    if (has_control(&value))
        return sieve_fail(run, node,
            "addheader: the field value '%.80s' is invalid (control characters)", value.data);
    if (value.length > max_value(run->options))
        return sieve_fail(run, node, "addheader: the field value is too long (%zu bytes)",
            value.length);
    if (!may_add(run->options, name.data)) {
        sieve_trace(run, node, "field \"%s\" is protected", name.data);
        return SIEVE_NEXT;
    }
    g_autofree char *valid = g_utf8_make_valid(value.data, (gssize)value.length);
    const char *line = one_line(run->arena, valid);
    sieve_trace(run, node, "addheader \"%s: %.80s\"", name.data, line);
    message_add_header(sieve_edit_message(run), name.data, line,
        sieve_node_tag(node, "last") != NULL);
    return SIEVE_NEXT;
}

/* ------------------------------------------------------------------ deleteheader (5) */

static bool check_deleteheader(struct sieve_compiler *compiler, struct sieve_node *node)
{
    if (sieve_node_tag(node, "last") != NULL && sieve_node_tag(node, "index") == NULL) {
        sieve_error(compiler, node,
            "the :last tag for the deleteheader command cannot be specified without the :index "
            "tag");
        return false;
    }
    return check_name(compiler, node, may_delete);
}

/* The places of the fields called @name that :index leaves. */
static GArray *candidates(struct sieve_run *run, const struct sieve_node *node, const char *name)
{
    const struct headers *headers = message_headers(run->message);
    const struct sieve_bound_tag *index = sieve_node_tag(node, "index");
    GArray *places = g_array_new(FALSE, FALSE, sizeof(size_t));

    for (size_t i = headers_find(headers, name, 0); i != HEADERS_NONE;
         i = headers_find(headers, name, i + 1))
        g_array_append_val(places, i);
    if (index == NULL)
        return places;
    uint64_t wanted = sieve_tag_number(index);
    if (wanted == 0 || wanted > places->len) {
        g_array_set_size(places, 0);
        return places;
    }
    guint at = sieve_node_tag(node, "last") != NULL ? places->len - (guint)wanted
                                                    : (guint)wanted - 1;
    size_t place = g_array_index(places, size_t, at);
    g_array_set_size(places, 0);
    g_array_append_val(places, place);
    return places;
}

/* Does the field match one of the patterns, where there are any? */
static enum sieve_status matches(struct sieve_run *run, const struct sieve_node *node,
    size_t place)
{
    struct sieve_match match;

    if (node->args[1] == NULL)
        return SIEVE_TRUE;
    struct sieve_string value = sieve_str(headers_value(message_headers(run->message), place));
    sieve_match_begin(&match, run, node);
    return sieve_match_finish(&match, sieve_match_value(&match, &value));
}

static enum sieve_status run_deleteheader(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string name = sieve_arg_string(run, node, 0);

    if (!sieve_header_name_is_valid(&name))
        return sieve_fail(run, node, "deleteheader: the field name '%.80s' is invalid",
            name.data);
    if (!may_delete(run->options, name.data) || replace_added(run, name.data)) {
        sieve_trace(run, node, "field \"%s\" is protected", name.data);
        return SIEVE_NEXT;
    }
    g_autoptr(GArray) places = candidates(run, node, name.data);
    for (guint i = places->len; i > 0; i--) {
        size_t place = g_array_index(places, size_t, i - 1);
        enum sieve_status status = matches(run, node, place);

        if (status == SIEVE_ERROR)
            return status;
        if (status != SIEVE_TRUE)
            continue;
        sieve_trace(run, node, "deleteheader \"%s\", field %u of its name", name.data, i);
        message_delete_header(sieve_edit_message(run), place);
    }
    return SIEVE_NEXT;
}

/* ------------------------------------------------------------------ tables */

static const struct sieve_tag addheader_tags[] = {
    {.name = "last", .argument = ""},
    {NULL},
};

static const struct sieve_tag deleteheader_tags[] = {
    {.name = "index", .argument = "n"},
    {.name = "last", .argument = ""},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "addheader", .args = "ss", .tags = addheader_tags, .check = check_addheader,
        .run = run_addheader, .arg_names = "field-name,value"},
    {.name = "deleteheader", .flags = SIEVE_WORD_MATCH, .args = "sL", .match_keys = 1,
        .tags = deleteheader_tags, .check = check_deleteheader, .run = run_deleteheader,
        .arg_names = "field-name,value patterns"},
    {NULL},
};

const struct sieve_extension sieve_ext_editheader = {
    .name = "editheader",
    .rfc = "RFC 5293",
    .status = "complete",
    .words = words,
};
