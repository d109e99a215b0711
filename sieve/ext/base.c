/*
 * The base language (RFC 5228): control commands, actions and tests that need no require.
 */
#include <string.h>

#include "lda/base/error.h"
#include "lda/mail/address.h"
#include "lda/mail/message.h"

#include "sieve/fold.h"
#include "sieve/sieve-internal.h"

/* ------------------------------------------------------------------ require (3.2) */

static void require_one(struct sieve_compiler *compiler, struct sieve_node *node,
    const struct sieve_literal *name)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    if (sieve_enable(compiler, name->text.data, name->line, name->column))
        return;
    for (size_t i = 0; sieve_extension_list[i] != NULL; i++)
        if (sieve_is_available(compiler, sieve_extension_list[i]->name))
            g_ptr_array_add(names, (gpointer)(uintptr_t)sieve_extension_list[i]->name);
    g_ptr_array_add(names, NULL);
    const char *near = sieve_did_you_mean(name->text.data, (const char *const *)names->pdata);
    const struct sieve_extension *known = sieve_extension_find(name->text.data);
    if (known != NULL && !(known->flags & (SIEVE_EXTENSION_BASE | SIEVE_EXTENSION_TEST)))
        sieve_error_at(compiler, name->line, name->column,
            "%s: the extension '%s' is not enabled here by the site", node->name,
            name->text.data);
    else if (near != NULL)
        sieve_error_at(compiler, name->line, name->column,
            "%s: unknown Sieve capability '%.80s' (did you mean '%s'?)", node->name,
            name->text.data, near);
    else
        sieve_error_at(compiler, name->line, name->column,
            "%s: unknown Sieve capability '%.80s'", node->name, name->text.data);
}

static bool check_require(struct sieve_compiler *compiler, struct sieve_node *node)
{
    for (size_t i = 0; i < compiler->block_index || compiler->enclosing_count > 0; i++) {
        if (compiler->enclosing_count > 0 ||
            (compiler->block->nodes[i]->word != NULL &&
                !(compiler->block->nodes[i]->word->flags & SIEVE_WORD_REQUIRE) &&
                g_ascii_strncasecmp(compiler->block->nodes[i]->name, "test_", 5) != 0)) {
            sieve_error(compiler, node, compiler->enclosing_count > 0
                ? "require commands can only be placed at top level at the beginning of the script"
                : "require commands must stand before all other commands");
            return false;
        }
    }
    for (size_t i = 0; i < node->args[0]->count; i++)
        require_one(compiler, node, &node->args[0]->strings[i]);
    return true;
}

/* ------------------------------------------------------------------ if, elsif, else (3.1) */

struct chain {
    bool broken; /* reported: the rest of the chain is not complained about again */
};

static bool check_branch(struct sieve_compiler *compiler, struct sieve_node *node)
{
    struct sieve_node *before = compiler->block_index > 0
        ? compiler->block->nodes[compiler->block_index - 1]
        : NULL;
    struct chain *chain = ARENA_NEW(compiler->arena, struct chain);

    node->data = chain;
    if (!(node->word->flags & SIEVE_WORD_BRANCH))
        return true;
    bool follows = before != NULL && (sieve_same_name(before->name, "if") ||
        sieve_same_name(before->name, "elsif"));
    if (follows)
        return true;
    bool broken = before != NULL && before->data != NULL &&
        sieve_same_name(before->name, "else") && ((struct chain *)before->data)->broken;
    chain->broken = true;
    if (before != NULL && sieve_same_name(before->name, "else") && !broken)
        sieve_error(compiler, node, "'%s' cannot follow 'else'", node->name);
    else if (!broken)
        sieve_error(compiler, node, "the %s command must follow an if or elsif command",
            node->name);
    return false;
}

/* FALSE: not taken, the branch behind it may be. */
static enum sieve_status run_if(struct sieve_run *run, const struct sieve_node *node)
{
    if (node->test_count > 0) {
        enum sieve_status status = sieve_run_test(run, node->tests[0]);

        if (status == SIEVE_ERROR)
            return status;
        if (status == SIEVE_FALSE)
            return SIEVE_FALSE;
    }
    sieve_trace(run, node, "%s: taken", node->name);
    return sieve_run_block(run, node->block);
}

/* ------------------------------------------------------------------ stop, keep, discard, redirect */

static enum sieve_status run_stop(struct sieve_run *run, const struct sieve_node *node)
{
    sieve_trace(run, node, "stop");
    return SIEVE_STOP;
}

static enum sieve_status run_keep(struct sieve_run *run, const struct sieve_node *node)
{
    return sieve_action_commit(run, node, sieve_action_new(run, node, SIEVE_ACTION_KEEP));
}

static enum sieve_status run_discard(struct sieve_run *run, const struct sieve_node *node)
{
    return sieve_action_commit(run, node, sieve_action_new(run, node, SIEVE_ACTION_DISCARD));
}

static bool check_redirect(struct sieve_compiler *compiler, struct sieve_node *node)
{
    const struct sieve_string *address = sieve_constant(node->args[0]);

    if (compiler->options->limits.max_redirects == 0) {
        sieve_error(compiler, node, "local policy prohibits the use of a redirect action");
        return false;
    }
    if (address != NULL && sieve_node_tag(node, "list") == NULL &&
        !sieve_address_is_valid(address->data)) {
        sieve_error(compiler, node, "'%.200s' is no valid address for redirect", address->data);
        return false;
    }
    return true;
}

static enum sieve_status redirect_to(struct sieve_run *run, const struct sieve_node *node,
    const char *address, const char *list)
{
    struct sieve_action *action = sieve_action_new(run, node, SIEVE_ACTION_REDIRECT);

    action->redirect.address = sieve_address_normalize(run->arena, address);
    action->redirect.list = list;
    if (action->redirect.address == NULL)
        return sieve_fail(run, node, "redirect: '%.200s' is no valid address", address);
    return sieve_action_commit(run, node, action);
}

/* redirect :list (RFC 6134 2.4): one action for each member. */
static enum sieve_status redirect_to_list(struct sieve_run *run, const struct sieve_node *node,
    const char *list)
{
    g_auto(GStrv) members = NULL;

    list = sieve_list_name(run->arena, list);
    enum sieve_answer answer = run->host->list_members == NULL
        ? SIEVE_NO
        : run->host->list_members(run->host->ctx, list, &members);
    enum sieve_status status = SIEVE_NEXT;

    if (answer == SIEVE_FAILED)
        return sieve_fail_host(run, node, "the members of a list");
    if (answer == SIEVE_NO)
        return sieve_fail(run, node, "redirect: there is no list '%.200s'", list);
    for (size_t i = 0; members[i] != NULL && status == SIEVE_NEXT; i++)
        status = redirect_to(run, node, members[i], list);
    return status;
}

static enum sieve_status run_redirect(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string address = sieve_arg_string(run, node, 0);

    if (strlen(address.data) != address.length)
        return sieve_fail(run, node, "redirect: NUL in address");
    if (sieve_node_tag(node, "list") != NULL)
        return redirect_to_list(run, node, address.data);
    return redirect_to(run, node, address.data, NULL);
}

/* ------------------------------------------------------------------ allof, anyof, not, true, false */

static enum sieve_status run_allof(struct sieve_run *run, const struct sieve_node *node)
{
    enum sieve_status status = SIEVE_TRUE;

    for (size_t i = 0; i < node->test_count && status == SIEVE_TRUE; i++)
        status = sieve_run_test(run, node->tests[i]);
    return status;
}

static enum sieve_status run_anyof(struct sieve_run *run, const struct sieve_node *node)
{
    enum sieve_status status = SIEVE_FALSE;

    for (size_t i = 0; i < node->test_count && status == SIEVE_FALSE; i++)
        status = sieve_run_test(run, node->tests[i]);
    return status;
}

static enum sieve_status run_not(struct sieve_run *run, const struct sieve_node *node)
{
    enum sieve_status status = sieve_run_test(run, node->tests[0]);

    return status == SIEVE_ERROR ? status : status == SIEVE_TRUE ? SIEVE_FALSE : SIEVE_TRUE;
}

static bool check_constant(struct sieve_compiler *compiler, struct sieve_node *node)
{
    (void)compiler;
    node->constant = sieve_same_name(node->name, "true");
    return true;
}

static enum sieve_status run_constant(struct sieve_run *run, const struct sieve_node *node)
{
    (void)run;
    return (enum sieve_status)node->constant;
}

/* ------------------------------------------------------------------ exists, header, address, size */

static bool check_header_names(struct sieve_compiler *compiler, struct sieve_node *node)
{
    for (size_t i = 0; i < node->args[0]->count; i++) {
        const struct sieve_string *name = sieve_constant_at(node->args[0], i);

        if (name != NULL && !sieve_header_name_is_valid(name))
            sieve_warning(compiler, node, "'%.80s' is no valid header field name: it never matches",
                name->data);
    }
    return true;
}

/* True when each of the named fields is there (5.5). */
static enum sieve_status run_exists(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_list names = sieve_arg_list(run, node, 0);

    for (size_t i = 0; i < names.count; i++) {
        struct sieve_list one = {&names.items[i], 1};
        struct sieve_values values = {.fields_only = true};

        if (!sieve_header_values(run, node, &one, &values))
            return SIEVE_ERROR;
        sieve_trace(run, node, "field \"%s\": %s", one.items[0].data,
            values.count > 0 ? "there" : "missing");
        if (values.count == 0)
            return SIEVE_FALSE;
    }
    return SIEVE_TRUE;
}

static enum sieve_status run_header(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_list names = sieve_arg_list(run, node, 0);
    struct sieve_values values = {0};

    return sieve_header_values(run, node, &names, &values)
        ? sieve_match_values(run, node, &values)
        : SIEVE_ERROR;
}

/* 5.1: only header fields that hold addresses. Those of RFC 5322 and of old and new practice. */
static const char *const address_fields[] = {"from", "to", "cc", "bcc", "sender", "reply-to",
    "resent-from", "resent-to", "resent-cc", "resent-bcc", "resent-sender", "resent-reply-to",
    "for-approval", "for-handling", "for-comment", "apparently-to", "errors-to", "delivered-to",
    "return-receipt-to", "x-admin", "read-receipt-to", "x-confirm-reading-to",
    "return-receipt-requested", "registered-mail-reply-requested-by", "mail-followup-to",
    "mail-reply-to", "abuse-reports-to", "x-complaints-to", "x-report-abuse-to", "x-beenthere",
    "x-original-from", "x-original-to", "disposition-notification-to", "return-path",
    "envelope-to", "x-envelope-to", "x-envelope-from", "original-from", "original-to",
    "original-recipient", "x-forwarded-to", "x-forwarded-for", "x-delivered-to", "x-sender",
    "x-resolved-to", "author", "list-post", NULL};

static bool is_address_field(const char *name)
{
    for (size_t i = 0; address_fields[i] != NULL; i++)
        if (sieve_same_name(address_fields[i], name))
            return true;
    return false;
}

static bool check_address(struct sieve_compiler *compiler, struct sieve_node *node)
{
    for (size_t i = 0; i < node->args[0]->count; i++) {
        const struct sieve_string *name = sieve_constant_at(node->args[0], i);

        if (name == NULL)
            continue;
        /* with :mime fields of parts are read as if they held addresses (RFC 5703 4.2) */
        bool part_field = g_ascii_strncasecmp(name->data, "content-", 8) == 0 &&
            sieve_node_tag(node, "mime") != NULL;
        if (!part_field && !is_address_field(name->data)) {
            sieve_error(compiler, node,
                "specified header '%.80s' is not allowed for the address test", name->data);
            return false;
        }
    }
    return true;
}

static enum sieve_status run_address(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_list names = sieve_arg_list(run, node, 0);
    struct sieve_values values = {0};
    struct sieve_match match;
    enum sieve_status status = SIEVE_FALSE;

    if (!sieve_header_values(run, node, &names, &values))
        return SIEVE_ERROR;
    sieve_match_begin(&match, run, node);
    for (size_t i = 0; i < values.count && status == SIEVE_FALSE; i++)
        status = sieve_match_addresses(&match, values.items[i].raw != NULL
            ? values.items[i].raw
            : values.items[i].text.data);
    return sieve_match_finish(&match, status);
}

static bool check_size(struct sieve_compiler *compiler, struct sieve_node *node)
{
    if (node->tag_count == 0) {
        sieve_error(compiler, node, "the size test requires either the :under or the :over tag");
        return false;
    }
    if (sieve_node_tag(node, "under") != NULL && node->args[0]->number == 0)
        sieve_warning(compiler, node, "no message is smaller than 0: this is always false");
    return true;
}

static enum sieve_status run_size(struct sieve_run *run, const struct sieve_node *node)
{
    uint64_t bound = sieve_arg_number(node, 0), size = (uint64_t)message_size(run->message);
    bool over = sieve_node_tag(node, "over") != NULL;
    struct error err;
    off_t exact;

    /* octets as they travel, with CRLF: counted only where line ends can make the difference */
    if (size <= bound && bound <= 2 * size) {
        if (!message_size_crlf(run->message, &exact, &err))
            return sieve_fail(run, node, "size: %s", err.text);
        size = (uint64_t)exact;
    }
    sieve_trace(run, node, "size is %" G_GUINT64_FORMAT, size);
    return (over ? size > bound : size < bound) ? SIEVE_TRUE : SIEVE_FALSE;
}

/* ------------------------------------------------------------------ address parts (2.7.4) */

static bool get_all(struct sieve_run *run, const struct address *address, struct sieve_string *ret)
{
    (void)run;
    *ret = sieve_str(address->full != NULL ? address->full : "");
    return address->full != NULL;
}

static bool get_localpart(struct sieve_run *run, const struct address *address,
    struct sieve_string *ret)
{
    (void)run;
    *ret = sieve_str(address->local);
    return address->valid;
}

static bool get_domain(struct sieve_run *run, const struct address *address,
    struct sieve_string *ret)
{
    (void)run;
    *ret = sieve_str(address->domain);
    return address->valid;
}

/* ------------------------------------------------------------------ tables */

static const struct sieve_tag size_tags[] = {
    {.name = "over", .argument = "", .group = "size"},
    {.name = "under", .argument = "", .group = "size"},
    {NULL},
};

#define TEST SIEVE_WORD_TEST

static const struct sieve_word words[] = {
    {.name = "if", .flags = SIEVE_WORD_ONE_TEST | SIEVE_WORD_BLOCK, .check = check_branch,
        .run = run_if},
    {.name = "header", .flags = TEST | SIEVE_WORD_MATCH, .args = "ll", .match_keys = 1,
        .check = check_header_names, .run = run_header, .arg_names = "header names,key list"},
    {.name = "address", .flags = TEST | SIEVE_WORD_MATCH | SIEVE_WORD_ADDRESS_PART, .args = "ll",
        .match_keys = 1, .check = check_address, .run = run_address,
        .arg_names = "header list,key list"},
    {.name = "keep", .run = run_keep},
    {.name = "stop", .flags = SIEVE_WORD_CONTROL, .run = run_stop},
    {.name = "elsif", .flags = SIEVE_WORD_ONE_TEST | SIEVE_WORD_BLOCK | SIEVE_WORD_BRANCH,
        .check = check_branch, .run = run_if},
    {.name = "else", .flags = SIEVE_WORD_BLOCK | SIEVE_WORD_BRANCH, .check = check_branch,
        .run = run_if},
    {.name = "anyof", .flags = TEST | SIEVE_WORD_TESTS, .run = run_anyof},
    {.name = "allof", .flags = TEST | SIEVE_WORD_TESTS, .run = run_allof},
    {.name = "not", .flags = TEST | SIEVE_WORD_ONE_TEST, .run = run_not},
    {.name = "size", .flags = TEST, .args = "n", .tags = size_tags, .check = check_size,
        .run = run_size, .arg_names = "limit"},
    {.name = "exists", .flags = TEST, .args = "l", .check = check_header_names,
        .run = run_exists, .arg_names = "header names"},
    {.name = "discard", .run = run_discard},
    {.name = "redirect", .args = "s", .check = check_redirect, .run = run_redirect,
        .arg_names = "address"},
    {.name = "true", .flags = TEST, .check = check_constant, .run = run_constant},
    {.name = "false", .flags = TEST, .check = check_constant, .run = run_constant},
    {.name = "require", .flags = SIEVE_WORD_REQUIRE, .args = "l", .check = check_require,
        .arg_names = "capabilities"},
    {NULL},
};

static const struct sieve_match_type match_types[] = {
    {.name = "is", .argument = "", .match = sieve_match_is},
    {.name = "contains", .argument = "", .substring = true, .match = sieve_match_contains},
    {.name = "matches", .argument = "", .substring = true, .match = sieve_match_matches,
        .match_variables = true},
    {NULL},
};

static const struct sieve_address_part address_parts[] = {
    {.name = "all", .get = get_all},
    {.name = "localpart", .get = get_localpart},
    {.name = "domain", .get = get_domain},
    {NULL},
};

const struct sieve_extension sieve_ext_base = {
    .name = "base",
    .rfc = "RFC 5228",
    .status = "complete",
    .flags = SIEVE_EXTENSION_BASE,
    .words = words,
    .match_types = match_types,
    .address_parts = address_parts,
};
