/*
 * extracttext: the text of the current part into a variable.
 *
 * RFC 5703, section 7. Status: complete. Needs variables and foreverypart.
 *
 * Modifiers of `set` may stand at it. What is no text, and text in a transfer encoding or charset
 * that nobody knows, gives the empty string. Bytes that are none of their charset become U+FFFD.
 */
#include <string.h>

#include "lda/mail/charset.h"
#include "lda/mail/message.h"

#include "sieve/ext/foreverypart.h"
#include "sieve/ext/list.h"
#include "sieve/ext/modifiers.h"
#include "sieve/sieve-internal.h"

static bool has_needed(const struct sieve_compiler *compiler)
{
    return sieve_has(compiler, "variables") && sieve_has(compiler, "foreverypart");
}

static void check_needed(struct sieve_compiler *compiler)
{
    if (!has_needed(compiler))
        sieve_error_at(compiler, 0, 0,
            "extracttext needs 'require [\"variables\", \"foreverypart\"];' at the top of the "
            "script");
}

static bool check_extracttext(struct sieve_compiler *compiler, struct sieve_node *node)
{
    if (!has_needed(compiler))
        return false; /* said at the end of the script */
    if (sieve_enclosing(compiler, "foreverypart") == NULL) {
        sieve_error(compiler, node, "extracttext can only stand inside of a foreverypart loop");
        return false;
    }
    node->data = sieve_variable_bind(compiler, node->args[0]);
    return node->data != NULL;
}

/* False: an encoding or a charset that nobody knows. */
static bool is_readable(struct message_part *part)
{
    static const char *const encodings[] = {"7bit", "8bit", "binary", "base64",
        "quoted-printable", "x-uuencode", "uuencode", "x-uue", "uue", "", NULL};
    const char *charset = message_part_param(part, "charset");
    const char *encoding = message_part_encoding(part);

    return (encoding == NULL || g_strv_contains(encodings, encoding)) &&
        (charset == NULL || *charset == '\0' || charset_is_known(charset));
}

/* The part's text with CRLF, at most as many characters as :first says. */
static bool part_text(struct sieve_run *run, const struct sieve_node *node,
    struct message_part *part, struct sieve_string *ret_text)
{
    const struct sieve_bound_tag *first = sieve_node_tag(node, "first");
    g_autofree char *text = NULL;
    struct error err;

    *ret_text = (struct sieve_string){"", 0};
    if (part == NULL || strcmp(message_part_type(part), "text") != 0 ||
        !is_readable(part))
        return true;
    if (!message_part_text(part, run->options->limits.max_variable_size, &text, &err)) {
        sieve_fail(run, node, "cannot read a part of the message: %s", err.text);
        return false;
    }
    struct sieve_string raw = {text, strlen(text)};
    struct sieve_string crlf = sieve_text_crlf(run->arena, &raw);
    if (first != NULL)
        crlf.length = charset_cut(crlf.data, (size_t)MIN(sieve_tag_number(first), SIZE_MAX));
    ret_text->data = arena_memdup(run->arena, crlf.data, crlf.length);
    ret_text->length = crlf.length;
    return true;
}

static enum sieve_status run_extracttext(struct sieve_run *run, const struct sieve_node *node)
{
    struct message_part *part;
    struct sieve_string text;

    if (!foreverypart_current(run, node, &part) || !part_text(run, node, part, &text))
        return SIEVE_ERROR;
    if (!sieve_work(run, node, text.length) || !modifiers_apply(run, node, &text))
        return SIEVE_ERROR;
    return sieve_variable_set(run, node, node->data, &text);
}

static const struct sieve_tag own_tags[] = {
    {.name = "first", .argument = "n"},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "extracttext", .flags = SIEVE_WORD_MODIFIERS, .args = "s", .tags = own_tags,
        .check = check_extracttext, .run = run_extracttext, .arg_names = "varname"},
    {NULL},
};

const struct sieve_extension sieve_ext_extracttext = {
    .name = "extracttext",
    .rfc = "RFC 5703",
    .status = "complete",
    .words = words,
    .unit_end = check_needed,
};
