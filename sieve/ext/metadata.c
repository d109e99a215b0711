/*
 * mboxmetadata: metadata, metadataexists. servermetadata: servermetadata, servermetadataexists.
 *
 * RFC 5490, sections 3 and 4. Status: complete.
 */
#include <string.h>

#include "sieve/ext/list.h"
#include "sieve/sieve-internal.h"

static bool is_mailbox(const struct sieve_string *name)
{
    return name->length > 0 && strlen(name->data) == name->length &&
        g_utf8_validate_len(name->data, name->length, NULL);
}

/* RFC 5464 4.1: /private/… or /shared/…, no empty level, no wildcard. NULL: valid, else what is
 * wrong. */
static const char *annotation_fault(const struct sieve_string *name)
{
    size_t length = strlen(name->data);

    if (length != name->length)
        return "NUL in it";
    if (g_ascii_strncasecmp(name->data, "/private/", 9) != 0 &&
        g_ascii_strncasecmp(name->data, "/shared/", 8) != 0)
        return "it must begin with /private/ or /shared/";
    if (strstr(name->data, "//") != NULL || name->data[length - 1] == '/')
        return "empty level";
    for (const char *at = name->data; *at != '\0'; at++)
        if (*at == '*' || *at == '%' || (unsigned char)*at < ' ' || (unsigned char)*at >= 0x7F)
            return "character that is not allowed";
    return NULL;
}

static void warn_mailbox(struct sieve_compiler *compiler, const struct sieve_node *node)
{
    const struct sieve_string *name = sieve_constant(node->args[0]);

    if (name != NULL && !is_mailbox(name))
        sieve_warning(compiler, node,
            "%s: '%.100s' is no valid mailbox name: the test is always false", node->name,
            name->data);
}

static void warn_annotations(struct sieve_compiler *compiler, const struct sieve_node *node,
    size_t index)
{
    for (size_t i = 0; i < node->args[index]->count; i++) {
        const struct sieve_string *name = sieve_constant_at(node->args[index], i);
        const char *fault = name != NULL ? annotation_fault(name) : NULL;

        if (fault != NULL)
            sieve_warning(compiler, node,
                "%s: '%.100s' is no valid annotation name (%s): the test is always false",
                node->name, name->data, fault);
    }
}

static bool check_mailbox(struct sieve_compiler *compiler, struct sieve_node *node)
{
    warn_mailbox(compiler, node);
    warn_annotations(compiler, node, 1);
    return true;
}

static bool check_server(struct sieve_compiler *compiler, struct sieve_node *node)
{
    warn_annotations(compiler, node, 0);
    return true;
}

/* @mailbox NULL: of the server. */
static enum sieve_answer ask(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_string *mailbox, const struct sieve_string *annotation, char **ret_value)
{
    enum sieve_answer answer;

    if (run->host->metadata == NULL || annotation_fault(annotation) != NULL ||
        (mailbox != NULL && !is_mailbox(mailbox)))
        return SIEVE_NO;
    answer = run->host->metadata(run->host->ctx, mailbox != NULL ? mailbox->data : NULL,
        annotation->data, ret_value);
    if (answer == SIEVE_FAILED)
        sieve_fail_host(run, node, "the value of an annotation");
    return answer;
}

static enum sieve_status match_value(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_string *mailbox, const struct sieve_string *annotation)
{
    g_autofree char *text = NULL;
    struct sieve_match match;
    enum sieve_status status = SIEVE_FALSE;

    switch (ask(run, node, mailbox, annotation, &text)) {
    case SIEVE_FAILED:
        return SIEVE_ERROR;
    case SIEVE_NO:
        sieve_match_begin(&match, run, node);
        break;
    case SIEVE_YES: {
        struct sieve_string value = sieve_str(arena_strdup(run->arena, text != NULL ? text : ""));

        sieve_match_begin(&match, run, node);
        status = sieve_match_value(&match, &value);
        break;
    }
    }
    return sieve_match_finish(&match, status);
}

static enum sieve_status all_exist(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_string *mailbox, const struct sieve_list *annotations)
{
    for (size_t i = 0; i < annotations->count; i++) {
        g_autofree char *value = NULL;
        enum sieve_answer answer = ask(run, node, mailbox, &annotations->items[i], &value);

        if (answer == SIEVE_FAILED)
            return SIEVE_ERROR;
        sieve_trace(run, node, "annotation \"%.100s\": %s", annotations->items[i].data,
            answer == SIEVE_YES ? "there" : "missing");
        if (answer == SIEVE_NO)
            return SIEVE_FALSE;
    }
    return SIEVE_TRUE;
}

static enum sieve_status run_metadata(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string mailbox = sieve_arg_string(run, node, 0);
    struct sieve_string annotation = sieve_arg_string(run, node, 1);

    return match_value(run, node, &mailbox, &annotation);
}

static enum sieve_status run_metadataexists(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string mailbox = sieve_arg_string(run, node, 0);
    struct sieve_list annotations = sieve_arg_list(run, node, 1);

    return all_exist(run, node, &mailbox, &annotations);
}

static enum sieve_status run_servermetadata(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string annotation = sieve_arg_string(run, node, 0);

    return match_value(run, node, NULL, &annotation);
}

static enum sieve_status run_servermetadataexists(struct sieve_run *run,
    const struct sieve_node *node)
{
    struct sieve_list annotations = sieve_arg_list(run, node, 0);

    return all_exist(run, node, NULL, &annotations);
}

static const struct sieve_word mailbox_words[] = {
    {.name = "metadata", .flags = SIEVE_WORD_TEST | SIEVE_WORD_MATCH, .args = "ssl",
        .match_keys = 2, .check = check_mailbox, .run = run_metadata,
        .arg_names = "mailbox,annotation-name,key list"},
    {.name = "metadataexists", .flags = SIEVE_WORD_TEST, .args = "sl", .check = check_mailbox,
        .run = run_metadataexists, .arg_names = "mailbox,annotation-names"},
    {NULL},
};

static const struct sieve_word server_words[] = {
    {.name = "servermetadata", .flags = SIEVE_WORD_TEST | SIEVE_WORD_MATCH, .args = "sl",
        .match_keys = 1, .check = check_server, .run = run_servermetadata,
        .arg_names = "annotation-name,key list"},
    {.name = "servermetadataexists", .flags = SIEVE_WORD_TEST, .args = "l",
        .check = check_server, .run = run_servermetadataexists, .arg_names = "annotation-names"},
    {NULL},
};

const struct sieve_extension sieve_ext_mboxmetadata = {
    .name = "mboxmetadata",
    .rfc = "RFC 5490",
    .status = "complete",
    .words = mailbox_words,
};

const struct sieve_extension sieve_ext_servermetadata = {
    .name = "servermetadata",
    .rfc = "RFC 5490",
    .status = "complete",
    .words = server_words,
};
