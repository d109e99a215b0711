/*
 * convert: gives MIME parts another type, as command and as test.
 *
 * RFC 6558. Status: complete, where the site has a converter.
 *
 * The setting sieve_convert_program names one of the programs that the site allows (as for
 * vnd.dovecot.execute). It gets the arguments FROM-TYPE TO-TYPE PARAMETER…, the decoded content on
 * its standard input, and writes the new content; text is UTF-8 both ways. Another exit status than
 * 0 says that it cannot do that: the part stays as it is. text/html to text/plain is done without
 * it.
 *
 * Inside of a foreverypart loop the current part is converted, else all parts of that type, or none
 * of them where one cannot be. As a test it is false only then: no such part is no failure (2.2).
 */
#include <string.h>

#include "lda/mail/message.h"

#include "sieve/ext/foreverypart.h"
#include "sieve/ext/list.h"
#include "sieve/sieve-internal.h"

#define MOST_CONTENT (32u << 20)

static const char *program_of(const struct sieve_options *options)
{
    const char *program = sieve_setting(options, "sieve_convert_program");

    return program != NULL && *program != '\0' ? program : NULL;
}

static bool is_available(const struct sieve_options *options)
{
    return options->testsuite || program_of(options) != NULL;
}

/* "type/subtype" of tokens. */
static bool is_type(const struct sieve_string *text)
{
    const char *slash = strchr(text->data, '/');

    if (slash == NULL || slash == text->data || slash[1] == '\0' ||
        strlen(text->data) != text->length)
        return false;
    for (const char *at = text->data; *at != '\0'; at++)
        if (at != slash && ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7F ||
            strchr("()<>@,;:\\\"/[]?=", *at) != NULL))
            return false;
    return true;
}

static bool check_convert(struct sieve_compiler *compiler, struct sieve_node *node)
{
    for (size_t i = 0; i < 2; i++) {
        const struct sieve_string *type = sieve_constant(node->args[i]);

        if (type != NULL && !is_type(type)) {
            sieve_error(compiler, node, "convert: '%.80s' is no media type", type->data);
            return false;
        }
    }
    return true;
}

/* ------------------------------------------------------------------ one part */

static bool part_is(const struct message_part *part, const char *type)
{
    const char *slash = strchr(type, '/');

    return message_part_first_child(part) == NULL &&
        g_ascii_strncasecmp(message_part_type(part), type, (gsize)(slash - type)) == 0 &&
        message_part_type(part)[slash - type] == '\0' &&
        g_ascii_strcasecmp(message_part_subtype(part), slash + 1) == 0;
}

/* The part's content for the converter: text in UTF-8, else the bytes. False: the error is set. */
static bool read_content(struct sieve_run *run, const struct sieve_node *node,
    struct message_part *part, char **ret_data, size_t *ret_length)
{
    g_autoptr(GBytes) bytes = NULL;
    struct error err;
    bool good;

    if (strcmp(message_part_type(part), "text") == 0) {
        good = message_part_text_source(part, MOST_CONTENT, ret_data, &err);
        if (good)
            *ret_length = strlen(*ret_data);
    } else {
        good = message_part_content(part, MOST_CONTENT, &bytes, &err);
        if (good)
            *ret_data = g_memdup2(g_bytes_get_data(bytes, ret_length), g_bytes_get_size(bytes));
    }
    if (!good)
        sieve_fail(run, node, "cannot read a part of the message: %s", err.text);
    return good;
}

static enum sieve_status convert_html(struct sieve_run *run, const struct sieve_node *node,
    struct message_part *part, char **ret_output, size_t *ret_length)
{
    struct error err;

    if (!message_part_text(part, MOST_CONTENT, ret_output, &err))
        return sieve_fail(run, node, "cannot read a part of the message: %s", err.text);
    *ret_length = strlen(*ret_output);
    return SIEVE_TRUE;
}

static enum sieve_status convert_content(struct sieve_run *run, const struct sieve_node *node,
    struct message_part *part, const char *const *arguments, char **ret_output,
    size_t *ret_length)
{
    g_autofree char *input = NULL;
    struct error err;
    struct sieve_program_call call = {
        .kind = SIEVE_PROGRAM_EXECUTE,
        .name = program_of(run->options),
        .arguments = arguments,
        .max_output = MOST_CONTENT,
    };

    if (call.name == NULL || run->host->run_program == NULL)
        return SIEVE_FALSE;
    if (!read_content(run, node, part, &input, &call.input_length))
        return SIEVE_ERROR;
    call.input = input;
    if (!sieve_work(run, node, call.input_length))
        return SIEVE_ERROR;
    switch (run->host->run_program(run->host->ctx, &call, ret_output, ret_length, &err)) {
    case SIEVE_YES:
        return SIEVE_TRUE;
    case SIEVE_NO:
        return SIEVE_FALSE;
    case SIEVE_FAILED:
        break;
    }
    sieve_log(run, node, "convert: %s", err.text);
    return SIEVE_FALSE;
}

/* The Content-* fields that still tell the truth, then type, encoding and the content in base64. */
static GString *new_entity(struct message_part *part, const char *type, const char *data,
    size_t length)
{
    g_autofree char *base64 = g_base64_encode((const guchar *)data, length);
    struct headers *headers = message_part_headers(part);
    GString *entity = g_string_new(NULL);
    bool text = g_ascii_strncasecmp(type, "text/", 5) == 0;

    for (size_t i = 0; i < headers_count(headers); i++) {
        const char *name = headers_name(headers, i);

        if (g_ascii_strcasecmp(name, "Content-Description") == 0 ||
            g_ascii_strcasecmp(name, "Content-ID") == 0 ||
            g_ascii_strcasecmp(name, "Content-Language") == 0)
            g_string_append_printf(entity, "%s: %s\n", name, headers_raw(headers, i));
    }
    g_string_append_printf(entity,
        "Content-Type: %s%s\nContent-Transfer-Encoding: base64\n\n", type,
        text ? "; charset=utf-8" : "");
    for (size_t at = 0; base64[at] != '\0'; at += strnlen(base64 + at, 76))
        g_string_append_printf(entity, "%.76s\n", base64 + at);
    return entity;
}

/* TRUE: *ret_entity is what the part is to become; the message is as it was. */
static enum sieve_status convert_part(struct sieve_run *run, const struct sieve_node *node,
    struct message_part *part, const char *const *arguments, GString **ret_entity)
{
    g_autofree char *output = NULL;
    size_t length = 0;
    enum sieve_status status;

    if (g_ascii_strcasecmp(arguments[0], "text/html") == 0 &&
        g_ascii_strcasecmp(arguments[1], "text/plain") == 0)
        status = convert_html(run, node, part, &output, &length);
    else
        status = convert_content(run, node, part, arguments, &output, &length);
    sieve_trace(run, node, "convert: a part of %s %s", arguments[0],
        status == SIEVE_TRUE ? "is converted" : "cannot be converted");
    if (status == SIEVE_TRUE)
        *ret_entity = new_entity(part, arguments[1], output != NULL ? output : "", length);
    return status;
}

/* @part must be one of run->message, which is the run's own; its tree is stale afterwards. */
static bool change_part(struct sieve_run *run, const struct sieve_node *node,
    struct message_part *part, const GString *entity)
{
    if (!foreverypart_may_change(run, node))
        return false;
    message_replace_part(run->message, part, entity->str, entity->len);
    return true;
}

/* ------------------------------------------------------------------ command and test */

/* FROM, TO, then the parameters; NULL: the error is set. */
static const char *const *arguments_of(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_list parameters = sieve_arg_list(run, node, 2);
    const char **arguments = ARENA_ARRAY(run->arena, const char *, parameters.count + 3);

    for (size_t i = 0; i < 2; i++) {
        struct sieve_string type = sieve_arg_string(run, node, i);

        if (!is_type(&type)) {
            sieve_fail(run, node, "convert: '%.80s' is no media type", type.data);
            return NULL;
        }
        arguments[i] = type.data;
    }
    for (size_t i = 0; i < parameters.count; i++)
        arguments[i + 2] = parameters.items[i].data;
    return arguments;
}

/* A part and what it is to become. */
struct conversion {
    size_t number; /* in the order of the message */
    GString *entity;
};

static void clear_conversion(void *data)
{
    g_string_free(((struct conversion *)data)->entity, TRUE);
}

static bool first_part(struct sieve_run *run, const struct sieve_node *node,
    struct message_part **ret_part)
{
    struct error err;

    if (message_mime(run->message, ret_part, &err))
        return true;
    sieve_fail(run, node, "cannot read the message: %s", err.text);
    return false;
}

/* Appends to @conversions for each part of the type; FALSE at the first that cannot be. */
static enum sieve_status prepare_all(struct sieve_run *run, const struct sieve_node *node,
    const char *const *arguments, GArray *conversions)
{
    struct conversion conversion = {0, NULL};
    struct message_part *part;

    if (!first_part(run, node, &part))
        return SIEVE_ERROR;
    for (; part != NULL; part = message_part_next(part, NULL), conversion.number++) {
        if (!sieve_work(run, node, 1))
            return SIEVE_ERROR;
        if (!part_is(part, arguments[0]))
            continue;
        enum sieve_status status = convert_part(run, node, part, arguments, &conversion.entity);
        if (status != SIEVE_TRUE)
            return status;
        g_array_append_val(conversions, conversion);
    }
    return SIEVE_TRUE;
}

/* All parts of the type or none: "no partial conversions from a single convert action are allowed"
 * (2). A change makes the tree stale, so parts are found again by their number, the last one first:
 * what a part becomes may have parts itself. */
static enum sieve_status convert_all(struct sieve_run *run, const struct sieve_node *node,
    const char *const *arguments)
{
    g_autoptr(GArray) conversions = g_array_new(FALSE, FALSE, sizeof(struct conversion));

    g_array_set_clear_func(conversions, clear_conversion);
    enum sieve_status status = prepare_all(run, node, arguments, conversions);
    for (guint i = conversions->len; i > 0 && status == SIEVE_TRUE; i--) {
        const struct conversion *conversion = &g_array_index(conversions, struct conversion, i - 1);
        struct message_part *part;

        if (!sieve_work(run, node, conversion->number) || !first_part(run, node, &part))
            return SIEVE_ERROR;
        for (size_t n = 0; n < conversion->number && part != NULL; n++)
            part = message_part_next(part, NULL);
        if (part == NULL || !change_part(run, node, part, conversion->entity))
            return SIEVE_ERROR;
    }
    return status;
}

static enum sieve_status convert(struct sieve_run *run, const struct sieve_node *node)
{
    const char *const *arguments = arguments_of(run, node);
    struct message_part *part;

    if (arguments == NULL)
        return SIEVE_ERROR;
    sieve_edit_message(run);
    if (!foreverypart_is_running(run))
        return convert_all(run, node, arguments);
    if (!foreverypart_current(run, node, &part))
        return SIEVE_ERROR;
    if (part == NULL || !part_is(part, arguments[0]))
        return SIEVE_TRUE;
    g_autoptr(GString) entity = NULL;
    enum sieve_status status = convert_part(run, node, part, arguments, &entity);
    if (status == SIEVE_TRUE && !change_part(run, node, part, entity))
        return SIEVE_ERROR;
    return status;
}

static enum sieve_status run_command(struct sieve_run *run, const struct sieve_node *node)
{
    return convert(run, node) == SIEVE_ERROR ? SIEVE_ERROR : SIEVE_NEXT;
}

static const struct sieve_word words[] = {
    {.name = "convert", .args = "ssl", .check = check_convert, .run = run_command,
        .arg_names = "quoted-from-media-type,quoted-to-media-type,transcoding-params"},
    {.name = "convert", .flags = SIEVE_WORD_TEST, .args = "ssl", .check = check_convert,
        .run = convert,
        .arg_names = "quoted-from-media-type,quoted-to-media-type,transcoding-params"},
    {NULL},
};

const struct sieve_extension sieve_ext_convert = {
    .name = "convert",
    .rfc = "RFC 6558",
    .status = "complete, where the site has a converter (sieve_convert_program)",
    .words = words,
    .available = is_available,
};
