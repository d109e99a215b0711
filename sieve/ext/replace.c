/*
 * replace: gives the current part, or the whole message, another content.
 *
 * RFC 5703, section 5. Status: complete.
 *
 * Inside of a foreverypart loop the current part is replaced, else the message; its header stays,
 * but for Content-* and what :subject and :from say. The loop does not go into what is new.
 */
#include "sieve/ext/replace.h"

#include <string.h>

#include "lda/mail/address.h"
#include "lda/mail/message.h"

#include "sieve/ext/foreverypart.h"
#include "sieve/ext/list.h"
#include "sieve/sieve-internal.h"

#define LONGEST_LINE 990u /* RFC 5322 2.1.1 allows 998 */

/* All items are mailboxes; false also for none. */
static bool is_mailbox_list(const char *text)
{
    AUTO_ADDRESS_LIST list = address_list_parse(text, 0, NULL);
    bool valid = list->count > 0;

    for (size_t i = 0; i < list->count; i++)
        valid &= list->items[i].valid && sieve_address_is_valid(list->items[i].full);
    return valid;
}

/* The fields of this run that editheader leaves alone (5). */
struct replaced {
    bool subject, from;
};

bool replace_added(struct sieve_run *run, const char *name)
{
    const struct replaced *added = sieve_sequence_state(run, &sieve_ext_replace, sizeof(*added));

    return (added->subject && g_ascii_strcasecmp(name, "Original-Subject") == 0) ||
        (added->from && g_ascii_strcasecmp(name, "Original-From") == 0);
}

/* With :mime the two mean nothing; an error rather than silence (5). */
static bool check_no_mime(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    if (sieve_node_tag(node, "mime") == NULL)
        return true;
    sieve_error_at(compiler, bound->line, bound->column,
        "the :%s tag for the %s command cannot be specified together with the :mime tag",
        bound->tag->name, node->word->name);
    return false;
}

static bool check_from(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    const struct sieve_string *from = sieve_constant(bound->arg);

    if (!check_no_mime(compiler, node, bound))
        return false;
    if (from == NULL || is_mailbox_list(from->data))
        return true;
    sieve_error_at(compiler, bound->line, bound->column,
        "the :from address '%.200s' for the %s command is invalid", from->data,
        node->word->name);
    return false;
}

static bool has_long_line(const char *text)
{
    for (size_t length; *text != '\0'; text += length + (text[length] == '\n')) {
        length = strcspn(text, "\n");
        if (length > LONGEST_LINE)
            return true;
    }
    return false;
}

/* "Content-…" fields, empty line, body: a text/plain part that holds @text. */
static GString *text_entity(const char *text)
{
    GString *entity = g_string_new("Content-Type: text/plain; charset=utf-8\n");

    if (!has_long_line(text)) {
        g_string_append_printf(entity, "Content-Transfer-Encoding: %s\n\n%s",
            g_str_is_ascii(text) ? "7bit" : "8bit", text);
        return entity;
    }
    g_autofree char *base64 = g_base64_encode((const guchar *)text, strlen(text));
    g_string_append(entity, "Content-Transfer-Encoding: base64\n\n");
    for (size_t at = 0; base64[at] != '\0'; at += strnlen(base64 + at, 76))
        g_string_append_printf(entity, "%.76s\n", base64 + at);
    return entity;
}

static size_t find_last(const struct headers *headers, const char *name)
{
    size_t last = HEADERS_NONE;

    for (size_t i = headers_find(headers, name, 0); i != HEADERS_NONE;
         i = headers_find(headers, name, i + 1))
        last = i;
    return last;
}

/* The field of the name becomes @value; what was said by it stays as @original_name. True when
 * there was one. */
static bool change_field(struct message *message, const char *name, const char *original_name,
    const char *value, bool is_address)
{
    struct headers *headers = message_headers(message);
    bool had = false;
    size_t at;

    /* from the last to the first: what is added comes on top */
    while ((at = find_last(headers, name)) != HEADERS_NONE) {
        g_autofree char *old = g_strdup(headers_value(headers, at));

        message_delete_header(message, at);
        message_add_header(message, original_name, old, false);
        had = true;
    }
    if (!is_address) {
        message_add_header(message, name, value, false);
        return had;
    }
    AUTO_ADDRESS_LIST list = address_list_parse(value, 0, NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    for (size_t i = 0; i < list->count; i++) {
        g_autofree char *one = address_format(list->items[i].name, list->items[i].full);

        g_string_append_printf(text, "%s%s", i > 0 ? ", " : "", one);
    }
    message_add_header(message, name, text->str, false);
    return had;
}

static enum sieve_status change_header(struct sieve_run *run, const struct sieve_node *node,
    struct message *message)
{
    const struct sieve_bound_tag *subject = sieve_node_tag(node, "subject");
    const struct sieve_bound_tag *from = sieve_node_tag(node, "from");
    struct replaced *added = sieve_sequence_state(run, &sieve_ext_replace, sizeof(*added));

    if (subject != NULL) {
        struct sieve_string text = sieve_tag_string(run, subject);

        added->subject |= change_field(message, "Subject", "Original-Subject",
            sieve_text_lf(run->arena, &text), false);
    }
    if (from != NULL) {
        struct sieve_string text = sieve_tag_string(run, from);
        const char *value = sieve_text_lf(run->arena, &text);

        /* an address that cannot be used is ignored, as the RFC suggests */
        if (is_mailbox_list(value))
            added->from |= change_field(message, "From", "Original-From", value, true);
        else
            sieve_log(run, node, "replace: the :from address '%.200s' is invalid", value);
    }
    return SIEVE_NEXT;
}

static enum sieve_status run_replace(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string replacement = sieve_arg_string(run, node, 0);
    const char *text = sieve_text_lf(run->arena, &replacement);
    g_autoptr(GString) entity = sieve_node_tag(node, "mime") != NULL ? g_string_new(text)
                                                                     : text_entity(text);
    struct message_part *part;

    if (!foreverypart_may_change(run, node))
        return SIEVE_ERROR;
    if (foreverypart_is_running(run)) {
        /* the copy to be edited first: the part must be one of its tree */
        sieve_edit_message(run);
        if (!foreverypart_current(run, node, &part))
            return SIEVE_ERROR;
        if (part == NULL)
            return SIEVE_NEXT; /* it went with a part around it */
        sieve_trace(run, node, "replace: one part");
        bool whole = message_part_parent(part) == NULL;
        message_replace_part(run->message, part, entity->str, entity->len);
        foreverypart_was_replaced(run);
        return whole ? change_header(run, node, run->message) : SIEVE_NEXT;
    }
    sieve_trace(run, node, "replace: the whole message");
    message_set_entity(sieve_edit_message(run), entity->str, entity->len);
    return change_header(run, node, run->message);
}

static const struct sieve_tag tags[] = {
    {.name = "mime", .argument = ""},
    {.name = "subject", .argument = "s", .check = check_no_mime},
    {.name = "from", .argument = "s", .check = check_from},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "replace", .args = "s", .tags = tags, .run = run_replace,
        .arg_names = "replacement"},
    {NULL},
};

const struct sieve_extension sieve_ext_replace = {
    .name = "replace",
    .rfc = "RFC 5703",
    .status = "complete",
    .words = words,
};
