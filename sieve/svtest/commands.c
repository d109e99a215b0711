/*
 * vnd.dovecot.testsuite: the commands and tests of .svtest files (Pigeonhole's; Stalwart has them too).
 */
#include <string.h>

#include "lda/mail/address.h"
#include "lda/mail/message.h"

#include "sieve/svtest/state.h"

void svtest_clear_errors(struct sieve_svtest *state)
{
    g_ptr_array_set_size(state->errors, 0);
}

char *svtest_keep_text(struct sieve_svtest *state, const char *text)
{
    char *copy = g_strdup(text);

    g_ptr_array_add(state->texts, copy);
    return copy;
}

void svtest_report(struct sieve_svtest *state, unsigned line, const char *reason)
{
    fprintf(state->out, "%s:%u: test '%s' failed: %s\n", state->path, line,
        state->test_name != NULL ? state->test_name : "", reason);
}

void svtest_take_diagnostics(struct sieve_svtest *state,
    const struct sieve_diagnostics *diagnostics)
{
    for (guint i = 0; i < diagnostics->items->len; i++) {
        const struct sieve_diagnostic *item = g_ptr_array_index(diagnostics->items, i);

        if (!item->warning)
            g_ptr_array_add(state->errors, g_strdup(item->message));
    }
    if (diagnostics->errors > 0)
        g_ptr_array_add(state->errors, g_strdup("validation failed"));
}

/* ------------------------------------------------------------------ test, test_fail */

static bool check_test(struct sieve_compiler *compiler, struct sieve_node *node)
{
    if (compiler->enclosing_count == 0)
        return true;
    sieve_error(compiler, node, "tests cannot be nested");
    return false;
}

/* Leaves the running test. */
static enum sieve_status fail_test(struct sieve_run *run, const struct sieve_node *node,
    const char *reason)
{
    struct sieve_svtest *state = run->svtest;

    if (state->inner)
        state->inner_failed = true;
    else if (!state->test_failed)
        svtest_report(state, node->line, reason);
    if (!state->inner)
        state->test_failed = true;
    run->break_target = state->inner ? run->program : (const void *)state->test;
    return SIEVE_BREAK;
}

static enum sieve_status run_test_fail(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_string reason = sieve_arg_string(run, node, 0);

    return fail_test(run, node, reason.data);
}

static enum sieve_status run_test_command(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_svtest *state = run->svtest;
    struct sieve_string name = sieve_arg_string(run, node, 0);

    if (state->inner)
        return sieve_run_block(run, node->block);
    state->test = node;
    state->test_name = name.data;
    state->test_failed = false;
    enum sieve_status status = sieve_run_block(run, node->block);
    if (status == SIEVE_ERROR) {
        if (!state->test_failed)
            svtest_report(state, run->state->error_line, run->state->error);
        state->test_failed = true;
        run->state->error = NULL;
    }
    if (state->test_failed)
        state->counts.failed++;
    else
        state->counts.passed++;
    if (state->verbose && !state->test_failed)
        fprintf(state->out, "%s:%u: test '%s' ok\n", state->path, node->line, name.data);
    state->test = NULL;
    state->test_name = NULL;
    return SIEVE_NEXT;
}

/* ------------------------------------------------------------------ test_set */

/* What was committed before belongs to the message of that time. */
static void pin_message(struct sieve_run *run)
{
    for (guint i = 0; i < run->state->entries->len; i++) {
        const struct sieve_entry *entry = g_ptr_array_index(run->state->entries, i);

        if (entry->action->message == NULL)
            entry->action->message = run->input;
    }
}

static void free_message(void *message)
{
    message_free(message);
}

/* The first valid address of the first of the fields that is there. */
static const char *first_address(struct sieve_svtest *state, struct message *message,
    const char *const *fields, const char *otherwise)
{
    for (size_t i = 0; fields[i] != NULL; i++) {
        const char *raw = headers_get_raw(message_headers(message), fields[i]);

        if (raw == NULL)
            continue;
        AUTO_ADDRESS_LIST list = address_list_parse(raw, 1, NULL);
        if (list->count > 0 && list->items[0].valid)
            return svtest_keep_text(state, list->items[0].full);
    }
    return otherwise;
}

/* Until test_set says otherwise the envelope is what the header suggests. */
static void envelope_from_message(struct sieve_svtest *state, struct message *message)
{
    static const char *const to[] = {"Envelope-To", "To", NULL};
    static const char *const from[] = {"Return-Path", "Sender", "From", NULL};

    state->envelope.to = first_address(state, message, to, "recipient@example.com");
    state->envelope.from = first_address(state, message, from, "sender@example.com");
    state->envelope.orig_to = NULL;
    state->envelope.auth = NULL;
}

void svtest_set_message(struct sieve_svtest *state, struct sieve_run *run, const char *text,
    size_t length)
{
    g_autoptr(GString) lf = g_string_sized_new(length);

    for (size_t i = 0; i < length; i++)
        if (text[i] != '\r' || i + 1 >= length || text[i + 1] != '\n')
            g_string_append_c(lf, text[i]);
    pin_message(run);
    struct message *message = message_open_bytes(lf->str, lf->len, NULL);
    arena_own(run->arena, message, free_message);
    run->input = run->message = message;
    run->message_flags = NULL;
    run->state->message_shared = false;
    run->state->sequence_states = NULL;
    envelope_from_message(state, message);
}

/* What is no path leaves the envelope without that address. */
static void set_address(struct sieve_svtest *state, const char **field, const char *value)
{
    g_autofree char *text = g_strstrip(g_strdup(value));
    g_autofree char *local = NULL, *domain = NULL;

    *field = NULL;
    if (!address_parse_path(text, &local, &domain))
        return;
    g_autofree char *full = address_join(local, domain);
    *field = svtest_keep_text(state, full);
}

static enum sieve_status run_test_set(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_svtest *state = run->svtest;
    struct sieve_string what = sieve_arg_string(run, node, 0);
    struct sieve_string value = sieve_arg_string(run, node, 1);
    struct sieve_envelope *envelope = &state->envelope;

    if (strcmp(what.data, "message") == 0) {
        svtest_set_message(state, run, value.data, value.length);
    } else if (strcmp(what.data, "envelope.from") == 0) {
        set_address(state, &envelope->from, value.data);
    } else if (strcmp(what.data, "envelope.to") == 0) {
        set_address(state, &envelope->to, value.data);
        envelope->orig_to = NULL;
    } else if (strcmp(what.data, "envelope.orig_to") == 0) {
        set_address(state, &envelope->orig_to, value.data);
    } else if (strcmp(what.data, "envelope.auth") == 0) {
        envelope->auth = svtest_keep_text(state, value.data);
    } else {
        static const struct {
            const char *name;
            size_t offset;
        } rows[] = {
            {"envelope.notify", offsetof(struct sieve_envelope, dsn_notify)},
            {"envelope.orcpt", offsetof(struct sieve_envelope, dsn_orcpt)},
            {"envelope.ret", offsetof(struct sieve_envelope, dsn_ret)},
            {"envelope.envid", offsetof(struct sieve_envelope, dsn_envid)},
            {"envelope.bytimeabsolute", offsetof(struct sieve_envelope, by_time_absolute)},
            {"envelope.bytimerelative", offsetof(struct sieve_envelope, by_time_relative)},
            {"envelope.bymode", offsetof(struct sieve_envelope, by_mode)},
            {"envelope.bytrace", offsetof(struct sieve_envelope, by_trace)},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
            if (strcmp(rows[i].name, what.data) == 0) {
                *(const char **)(void *)((char *)envelope + rows[i].offset) =
                    svtest_keep_text(state, value.data);
                return SIEVE_NEXT;
            }
        }
        return sieve_fail(run, node, "test_set: unknown object '%s'", what.data);
    }
    return SIEVE_NEXT;
}

/* ------------------------------------------------------------------ scripts */

/* From the test's own folder. */
static struct sieve_program *compile_file(struct sieve_svtest *state, const char *name)
{
    g_autofree char *path = g_build_filename(state->folder, name, NULL);
    g_autofree char *text = NULL;
    struct sieve_diagnostics *diagnostics = sieve_diagnostics_new();
    struct sieve_options options = state->options;
    struct sieve_program *program = NULL;
    g_autofree char *short_name = g_path_get_basename(name);
    size_t length;

    options.engine = state->engine;
    if (g_str_has_suffix(short_name, ".sieve"))
        short_name[strlen(short_name) - 6] = '\0';
    if (svtest_read_file(path, &text, &length))
        program = sieve_compile(text, length, short_name, &options, diagnostics);
    else
        g_ptr_array_add(state->errors, g_strdup_printf("cannot read %s", path));
    svtest_take_diagnostics(state, diagnostics);
    sieve_diagnostics_free(diagnostics);
    return program;
}

static enum sieve_status run_script_compile(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_svtest *state = run->svtest;
    struct sieve_string name = sieve_arg_string(run, node, 0);

    svtest_clear_errors(state);
    struct sieve_program *program = compile_file(state, name.data);
    if (program == NULL)
        return SIEVE_FALSE;
    sieve_program_unref(state->script);
    state->script = program;
    return SIEVE_TRUE;
}

static void reset_result(struct sieve_svtest *state, struct sieve_run *run)
{
    struct sieve_engine_state *engine = run->state;

    g_ptr_array_set_size(engine->entries, 0);
    g_array_set_size(engine->marks, 0);
    engine->sequence_states = NULL;
    engine->stage_states = NULL;
    engine->stage++;
    engine->stage_first_mark = 0;
    engine->implicit_keep = true;
    run->message = run->input;
    engine->message_shared = false;
    g_ptr_array_set_size(state->executed, 0);
    state->stored_inbox = false;
}

/* Runs @program as one more stage of the outer script's result. */
static bool run_program(struct sieve_svtest *state, struct sieve_run *run,
    struct sieve_program *program, bool *ret_kept)
{
    struct sieve_engine_state *engine = run->state;
    const struct sieve_program *outer = run->program;
    const struct sieve_unit *unit = run->unit;
    struct sieve_frame *frame = engine->frame;
    struct sieve_string *globals = engine->globals;
    size_t global_count = engine->global_count;
    const void *target = run->break_target;
    guint errors = engine->runtime_errors->len;

    arena_own(run->arena, sieve_program_ref(program), (void (*)(void *))sieve_program_unref);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &engine->cpu_start);
    engine->includes = 0;
    state->inner = true;
    state->inner_failed = false;
    sieve_stage_begin(run, program);
    bool failed = sieve_stage_execute(run) == SIEVE_ERROR;
    *ret_kept = sieve_stage_end(run, failed);
    state->inner = false;
    for (guint i = errors; i < engine->runtime_errors->len; i++)
        g_ptr_array_add(state->errors, g_strdup(g_ptr_array_index(engine->runtime_errors, i)));
    run->program = outer;
    run->unit = unit;
    engine->frame = frame;
    engine->globals = globals;
    engine->global_count = global_count;
    run->break_target = target;
    engine->error = NULL;
    engine->first_error = NULL;
    return !failed && !state->inner_failed;
}

static enum sieve_status run_script_run(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_svtest *state = run->svtest;
    bool kept;

    if (state->script == NULL)
        return sieve_fail(run, node, "test_script_run: no script was compiled");
    if (sieve_node_tag(node, "append_result") == NULL)
        reset_result(state, run);
    svtest_clear_errors(state);
    return run_program(state, run, state->script, &kept) ? SIEVE_TRUE : SIEVE_FALSE;
}

static enum sieve_status run_multiscript(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_svtest *state = run->svtest;
    struct sieve_list names = sieve_arg_list(run, node, 0);
    bool fine = true, kept = true;

    reset_result(state, run);
    svtest_clear_errors(state);
    for (size_t i = 0; i < names.count && kept && fine; i++) {
        struct sieve_program *program = compile_file(state, names.items[i].data);

        if (program == NULL)
            return SIEVE_FALSE;
        fine = run_program(state, run, program, &kept);
        sieve_program_unref(program);
    }
    return fine && svtest_execute(state, run) ? SIEVE_TRUE : SIEVE_FALSE;
}

static enum sieve_status run_binary_save(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_svtest *state = run->svtest;
    struct sieve_string name = sieve_arg_string(run, node, 0);

    if (state->script == NULL)
        return sieve_fail(run, node, "test_binary_save: no script was compiled");
    g_hash_table_insert(state->binaries, g_strdup(name.data), sieve_program_ref(state->script));
    return SIEVE_NEXT;
}

static enum sieve_status run_binary_load(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_svtest *state = run->svtest;
    struct sieve_string name = sieve_arg_string(run, node, 0);
    struct sieve_program *program = g_hash_table_lookup(state->binaries, name.data);

    if (program == NULL)
        return sieve_fail(run, node, "test_binary_load: there is no binary '%s'", name.data);
    sieve_program_unref(state->script);
    state->script = sieve_program_ref(program);
    return SIEVE_NEXT;
}

/* ------------------------------------------------------------------ results */

static enum sieve_status run_result_reset(struct sieve_run *run, const struct sieve_node *node)
{
    (void)node;
    reset_result(run->svtest, run);
    g_ptr_array_set_size(run->svtest->sent, 0);
    return SIEVE_NEXT;
}

static enum sieve_status run_result_print(struct sieve_run *run, const struct sieve_node *node)
{
    (void)node;
    svtest_print_result(run->svtest, run);
    return SIEVE_NEXT;
}

static enum sieve_status run_result_execute(struct sieve_run *run, const struct sieve_node *node)
{
    (void)node;
    return svtest_execute(run->svtest, run) ? SIEVE_TRUE : SIEVE_FALSE;
}

static const char *result_name(const struct sieve_action *action)
{
    return action->kind == SIEVE_ACTION_FILEINTO ? "store" : sieve_action_name(action->kind);
}

/* @index from 1; none: all. */
static enum sieve_status match_texts(struct sieve_run *run, const struct sieve_node *node,
    const GPtrArray *texts)
{
    const struct sieve_bound_tag *tag = sieve_node_tag(node, "index");
    struct sieve_values values = {.arena = run->arena};

    for (guint i = 0; i < texts->len; i++)
        if (tag == NULL || sieve_tag_number(tag) == (uint64_t)i + 1)
            sieve_values_add(&values, sieve_str(g_ptr_array_index(texts, i)), NULL, NULL);
    return sieve_match_values(run, node, &values);
}

static enum sieve_status run_result_action(struct sieve_run *run, const struct sieve_node *node)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (guint i = 0; i < run->state->entries->len; i++) {
        const struct sieve_entry *entry = g_ptr_array_index(run->state->entries, i);

        g_ptr_array_add(names, (gpointer)(uintptr_t)result_name(entry->action));
    }
    return match_texts(run, node, names);
}

static enum sieve_status run_error(struct sieve_run *run, const struct sieve_node *node)
{
    return match_texts(run, node, run->svtest->errors);
}

/* ------------------------------------------------------------------ messages, mailboxes */

static bool check_message(struct sieve_compiler *compiler, struct sieve_node *node)
{
    if (node->tag_count == 1)
        return true;
    sieve_error(compiler, node, "%s needs either :smtp or :folder", node->name);
    return false;
}

/* Makes it the present message; false: there is none. */
static bool take_message(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_svtest *state = run->svtest;
    const struct sieve_bound_tag *folder = sieve_node_tag(node, "folder");
    uint64_t index = sieve_arg_number(node, 0);
    const GPtrArray *mails = folder == NULL
        ? state->sent
        : svtest_mailbox(state, sieve_tag_string(run, folder).data);

    if (mails == NULL || index >= mails->len)
        return false;
    const struct svtest_mail *mail = g_ptr_array_index(mails, (guint)index);
    svtest_set_message(state, run, mail->text->str, mail->text->len);
    if (folder == NULL) {
        state->envelope.from = svtest_keep_text(state, mail->from);
        state->envelope.to = svtest_keep_text(state, mail->to);
        state->envelope.orig_to = NULL;
    } else if (mail->flags != NULL) {
        struct sieve_string *items = ARENA_ARRAY(run->arena, struct sieve_string,
            g_strv_length(mail->flags));
        struct sieve_list list = {items, g_strv_length(mail->flags)};

        for (size_t i = 0; i < list.count; i++)
            items[i] = sieve_str(mail->flags[i]);
        run->message_flags = sieve_list_strv(run->arena, &list);
    }
    return true;
}

static enum sieve_status run_message_test(struct sieve_run *run, const struct sieve_node *node)
{
    return take_message(run, node) ? SIEVE_TRUE : SIEVE_FALSE;
}

static enum sieve_status run_message_command(struct sieve_run *run, const struct sieve_node *node)
{
    return take_message(run, node) ? SIEVE_NEXT : fail_test(run, node, "there is no such message");
}

static enum sieve_status run_message_print(struct sieve_run *run, const struct sieve_node *node)
{
    g_autofree char *text = NULL;
    size_t length;

    (void)node;
    if (svtest_message_text(run->message, &text, &length))
        fwrite(text, 1, length, run->svtest->out);
    return SIEVE_NEXT;
}

static enum sieve_status run_mailbox_create(struct sieve_run *run, const struct sieve_node *node)
{
    svtest_mailbox_create(run->svtest, sieve_arg_string(run, node, 0).data);
    return SIEVE_NEXT;
}

static enum sieve_status run_mailbox_delete(struct sieve_run *run, const struct sieve_node *node)
{
    g_hash_table_remove(run->svtest->mailboxes, sieve_arg_string(run, node, 0).data);
    return SIEVE_NEXT;
}

static enum sieve_status run_metadata_set(struct sieve_run *run, const struct sieve_node *node)
{
    const struct sieve_bound_tag *mailbox = sieve_node_tag(node, "mailbox");
    g_autofree char *lower = g_ascii_strdown(sieve_arg_string(run, node, 0).data, -1);
    const char *box = mailbox != NULL ? sieve_tag_string(run, mailbox).data : "";

    if (g_ascii_strcasecmp(box, "INBOX") == 0)
        box = "INBOX";
    g_hash_table_insert(run->svtest->metadata, g_strconcat(box, "\n", lower, NULL),
        g_strdup(sieve_arg_string(run, node, 1).data));
    return SIEVE_NEXT;
}

/* ------------------------------------------------------------------ settings */

static enum sieve_status run_config_set(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_svtest *state = run->svtest;
    struct sieve_string value = sieve_arg_string(run, node, 1);

    g_hash_table_insert(state->settings, g_strdup(sieve_arg_string(run, node, 0).data),
        g_strstrip(g_strdup(sieve_text_lf(run->arena, &value))));
    svtest_apply_settings(state);
    return SIEVE_NEXT;
}

static enum sieve_status run_config_unset(struct sieve_run *run, const struct sieve_node *node)
{
    g_hash_table_remove(run->svtest->settings, sieve_arg_string(run, node, 0).data);
    svtest_apply_settings(run->svtest);
    return SIEVE_NEXT;
}

/* Settings count at once: nothing is left to do. */
static enum sieve_status run_config_reload(struct sieve_run *run, const struct sieve_node *node)
{
    (void)node;
    svtest_apply_settings(run->svtest);
    return SIEVE_NEXT;
}

/* ------------------------------------------------------------------ ${tst.path} */

static bool get_variable(struct sieve_run *run, const char *rest, void *data,
    struct sieve_string *ret)
{
    (void)data;
    if (strcmp(rest, "path") != 0)
        return false;
    *ret = sieve_str(run->svtest->folder);
    return true;
}

/* ------------------------------------------------------------------ tables */

static const struct sieve_tag message_tags[] = {
    {.name = "smtp", .argument = "", .group = "source"},
    {.name = "folder", .argument = "s", .group = "source"},
    {NULL},
};
static const struct sieve_tag index_tags[] = {{.name = "index", .argument = "n"}, {NULL}};
static const struct sieve_tag append_tags[] = {{.name = "append_result", .argument = ""}, {NULL}};
static const struct sieve_tag reload_tags[] = {{.name = "extension", .argument = "s"}, {NULL}};
static const struct sieve_tag metadata_tags[] = {{.name = "mailbox", .argument = "s"}, {NULL}};

#define TEST SIEVE_WORD_TEST

static const struct sieve_word words[] = {
    {.name = "test", .flags = SIEVE_WORD_BLOCK, .args = "s", .check = check_test,
        .run = run_test_command},
    {.name = "test_fail", .args = "s", .run = run_test_fail},
    {.name = "test_set", .args = "ss", .run = run_test_set},
    {.name = "test_script_compile", .flags = TEST, .args = "s", .run = run_script_compile},
    {.name = "test_script_run", .flags = TEST, .tags = append_tags, .run = run_script_run},
    {.name = "test_multiscript", .flags = TEST, .args = "l", .run = run_multiscript},
    {.name = "test_binary_save", .args = "s", .run = run_binary_save},
    {.name = "test_binary_load", .args = "s", .run = run_binary_load},
    {.name = "test_result_reset", .run = run_result_reset},
    {.name = "test_result_print", .run = run_result_print},
    {.name = "test_result_execute", .flags = TEST, .run = run_result_execute},
    {.name = "test_result_action", .flags = TEST | SIEVE_WORD_MATCH, .args = "l",
        .tags = index_tags, .run = run_result_action},
    {.name = "test_error", .flags = TEST | SIEVE_WORD_MATCH, .args = "l", .tags = index_tags,
        .run = run_error},
    {.name = "test_message", .args = "n", .tags = message_tags, .check = check_message,
        .run = run_message_command},
    {.name = "test_message", .flags = TEST, .args = "n", .tags = message_tags,
        .check = check_message, .run = run_message_test},
    {.name = "test_message_print", .run = run_message_print},
    {.name = "test_mailbox_create", .args = "s", .run = run_mailbox_create},
    {.name = "test_mailbox_delete", .args = "s", .run = run_mailbox_delete},
    {.name = "test_imap_metadata_set", .args = "ss", .tags = metadata_tags,
        .run = run_metadata_set},
    {.name = "test_config_set", .args = "ss", .run = run_config_set},
    {.name = "test_config_unset", .args = "s", .run = run_config_unset},
    {.name = "test_config_reload", .tags = reload_tags, .run = run_config_reload},
    {NULL},
};

static const struct sieve_namespace namespaces[] = {
    {.name = "tst", .get = get_variable},
    {NULL},
};

const struct sieve_extension sieve_ext_testsuite = {
    .name = "vnd.dovecot.testsuite",
    .flags = SIEVE_EXTENSION_TEST,
    .words = words,
    .namespaces = namespaces,
};
