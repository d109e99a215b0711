/*
 * The host of the test runner: mailboxes, lists, scripts and settings in memory, or in the folder of
 * the test.
 */
#include <string.h>

#include "lda/base/error.h"
#include "lda/mail/message.h"

#include "sieve/svtest/state.h"

void svtest_mail_free(gpointer data)
{
    struct svtest_mail *mail = data;

    g_string_free(mail->text, TRUE);
    g_strfreev(mail->flags);
    g_free(mail->from);
    g_free(mail->to);
    g_free(mail);
}

/* INBOX and what is below it in any case (RFC 3501 5.1). */
static char *mailbox_key(const char *name)
{
    bool inbox = g_ascii_strncasecmp(name, "INBOX", 5) == 0 &&
        (name[5] == '\0' || name[5] == '.' || name[5] == '/');

    return inbox ? g_strconcat("INBOX", name + 5, NULL) : g_strdup(name);
}

GPtrArray *svtest_mailbox(struct sieve_svtest *state, const char *name)
{
    g_autofree char *key = mailbox_key(name);

    return g_hash_table_lookup(state->mailboxes, key);
}

GPtrArray *svtest_mailbox_create(struct sieve_svtest *state, const char *name)
{
    GPtrArray *mails = svtest_mailbox(state, name);

    if (mails == NULL) {
        mails = g_ptr_array_new_with_free_func(svtest_mail_free);
        g_hash_table_insert(state->mailboxes, mailbox_key(name), mails);
    }
    return mails;
}

const char *svtest_setting(void *ctx, const char *name)
{
    const struct sieve_svtest *state = ctx;

    return g_hash_table_lookup(state->settings, name);
}

static enum sieve_answer mailbox_exists(void *ctx, const char *mailbox)
{
    return svtest_mailbox(ctx, mailbox) != NULL ? SIEVE_YES : SIEVE_NO;
}

static enum sieve_answer metadata(void *ctx, const char *mailbox, const char *annotation,
    char **ret_value)
{
    const struct sieve_svtest *state = ctx;
    g_autofree char *box = mailbox == NULL ? g_strdup("") : mailbox_key(mailbox);
    g_autofree char *lower = g_ascii_strdown(annotation, -1);
    g_autofree char *key = g_strconcat(box, "\n", lower, NULL);
    const char *value = g_hash_table_lookup(state->metadata, key);

    if (value == NULL)
        return SIEVE_NO;
    *ret_value = g_strdup(value);
    return SIEVE_YES;
}

/* Special use as metadata "/private/specialuse" of the mailbox, as RFC 8579 6 has it. */
static enum sieve_answer special_use(void *ctx, const char *mailbox, const char *flag,
    char **ret_mailbox)
{
    struct sieve_svtest *state = ctx;
    g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(state->mailboxes),
        (GCompareFunc)strcmp);

    for (const GList *item = names; item != NULL; item = item->next) {
        const char *name = item->data;
        g_autofree char *uses = NULL;

        if ((mailbox != NULL && strcmp(name, mailbox) != 0) ||
            metadata(state, name, "/private/specialuse", &uses) != SIEVE_YES)
            continue;
        g_auto(GStrv) words = g_strsplit(uses, " ", 0);
        for (size_t i = 0; words[i] != NULL; i++) {
            if (g_ascii_strcasecmp(words[i], flag) != 0)
                continue;
            if (ret_mailbox != NULL)
                *ret_mailbox = g_strdup(name);
            return SIEVE_YES;
        }
    }
    return SIEVE_NO;
}

/* The identifier of a mailbox of the runner is "id-" and its name. */
static enum sieve_answer mailbox_by_id(void *ctx, const char *id, char **ret_mailbox)
{
    if (!g_str_has_prefix(id, "id-") || svtest_mailbox(ctx, id + 3) == NULL)
        return SIEVE_NO;
    *ret_mailbox = g_strdup(id + 3);
    return SIEVE_YES;
}

/* ------------------------------------------------------------------ external lists */

/* Pigeonhole's settings: sieve_extlists_list/<key>/name is the list's name, …/dict/file/path a file
 * of "key" and "value" lines; our own: svtest_list/<name> with the members, one a line. */
static char *list_text(struct sieve_svtest *state, const char *list, bool *ret_exists)
{
    g_autofree char *own = g_strconcat("svtest_list/", list, NULL);
    const char *members = svtest_setting(state, own);
    const char *lists = svtest_setting(state, "sieve_extlists_list");

    *ret_exists = true;
    if (members != NULL)
        return g_strdup(members);
    g_auto(GStrv) keys = g_strsplit_set(lists != NULL ? lists : "", " \t", 0);
    for (size_t i = 0; keys[i] != NULL; i++) {
        g_autofree char *prefix = g_strconcat("sieve_extlists_list/", keys[i], NULL);
        g_autofree char *name_key = g_strconcat(prefix, "/name", NULL);
        g_autofree char *path_key = g_strconcat(prefix, "/dict/file/path", NULL);
        const char *name = svtest_setting(state, name_key);
        const char *path = svtest_setting(state, path_key);
        g_autofree char *text = NULL;
        size_t length;

        if (*keys[i] == '\0')
            continue;
        g_autofree char *full = name == NULL ? g_strdup(keys[i]) : g_strdup(name);
        if (*full == ':') {
            char *urn = g_strconcat("urn:ietf:params:sieve", full, NULL);

            g_free(full);
            full = urn;
        }
        if (strcmp(full, list) != 0)
            continue;
        if (path == NULL || !svtest_read_file(path, &text, &length))
            return g_strdup("");
        return g_steal_pointer(&text);
    }
    *ret_exists = false;
    return NULL;
}

static enum sieve_answer list_valid(void *ctx, const char *list)
{
    bool exists;

    g_free(list_text(ctx, list, &exists));
    return exists ? SIEVE_YES : SIEVE_NO;
}

static enum sieve_answer list_members(void *ctx, const char *list, char ***ret_members)
{
    bool exists;
    g_autofree char *text = list_text(ctx, list, &exists);
    g_autoptr(GPtrArray) members = g_ptr_array_new_with_free_func(g_free);

    if (!exists)
        return SIEVE_NO;
    g_auto(GStrv) lines = g_strsplit_set(text, "\r\n", 0);
    for (size_t i = 0; lines[i] != NULL; i++) {
        /* the key lines of a dict file: "shared/…/address" or the address itself */
        const char *slash = strrchr(lines[i], '/');
        const char *member = slash != NULL ? slash + 1 : lines[i];

        if (*member != '\0')
            g_ptr_array_add(members, g_strdup(member));
    }
    g_ptr_array_add(members, NULL);
    *ret_members = (char **)g_ptr_array_free(g_steal_pointer(&members), FALSE);
    return SIEVE_YES;
}

static enum sieve_answer list_contains(void *ctx, const char *list, const char *value,
    char **ret_entry)
{
    g_auto(GStrv) members = NULL;
    enum sieve_answer answer = list_members(ctx, list, &members);

    if (answer != SIEVE_YES)
        return answer;
    for (size_t i = 0; members[i] != NULL; i++) {
        if (g_ascii_strcasecmp(members[i], value) != 0)
            continue;
        if (ret_entry != NULL)
            *ret_entry = g_strdup(members[i]);
        return SIEVE_YES;
    }
    return SIEVE_NO;
}

/* ------------------------------------------------------------------ memory, scripts, environment */

static enum sieve_answer duplicate_seen(void *ctx, const char *key)
{
    const struct sieve_svtest *state = ctx;

    return g_hash_table_contains(state->marks, key) ? SIEVE_YES : SIEVE_NO;
}

static enum sieve_answer script(void *ctx, enum sieve_script_place place, const char *name,
    char **ret_text, size_t *ret_length)
{
    const struct sieve_svtest *state = ctx;
    g_autofree char *file = g_strconcat(name, ".sieve", NULL);
    g_autofree char *path = g_build_filename(state->folder,
        place == SIEVE_SCRIPT_GLOBAL ? "included-global" : "included", file, NULL);

    return svtest_read_file(path, ret_text, ret_length) ? SIEVE_YES : SIEVE_NO;
}

static enum sieve_answer environment(void *ctx, const char *item, char **ret_value)
{
    static const struct {
        const char *item, *value;
    } items[] = {
        {"domain", "example.com"},
        {"host", "test.example.com"},
        {"location", "MS"}, /* the runner stands beside its own mailboxes (RFC 5183 4.1) */
        {"phase", "during"},
        {"name", "vmail-lda"},
        {"version", VMAIL_VERSION},
        {"vnd.dovecot.username", "testuser"},
    };
    g_autofree char *own = g_strconcat("svtest_environment/", item, NULL);
    const char *said = svtest_setting(ctx, own);

    if (g_str_has_prefix(item, "vnd.dovecot.config.")) {
        g_autofree char *key = g_strconcat("sieve_environment/",
            item + strlen("vnd.dovecot.config."), NULL);
        g_autofree char *old = g_strconcat("sieve_env_", item + strlen("vnd.dovecot.config."),
            NULL);

        said = svtest_setting(ctx, key) != NULL ? svtest_setting(ctx, key)
                                                : svtest_setting(ctx, old);
    }
    for (size_t i = 0; said == NULL && i < G_N_ELEMENTS(items); i++)
        if (strcmp(items[i].item, item) == 0)
            said = items[i].value;
    if (said == NULL)
        return SIEVE_NO;
    *ret_value = g_strdup(said);
    return SIEVE_YES;
}

/* ------------------------------------------------------------------ programs */

static enum sieve_answer run_program(void *ctx, const struct sieve_program_call *call,
    char **ret_output, size_t *ret_length, struct error *err)
{
    struct sieve_svtest *state = ctx;
    const char *kind = call->kind == SIEVE_PROGRAM_FILTER ? "filter" : "execute";
    g_autofree char *folder_key = g_strdup_printf("sieve_%s_bin_dir", kind);
    g_autofree char *timeout_key = g_strdup_printf("sieve_%s_exec_timeout", kind);
    const char *folder = svtest_setting(state, folder_key);
    g_autoptr(GString) input = g_string_new(NULL);
    g_autoptr(GString) output = g_string_new(NULL);

    if (folder == NULL) {
        error_set(err, ERROR_CONFIG, "no folder of programs is configured");
        return SIEVE_FAILED;
    }
    if (call->message != NULL) {
        g_autofree char *text = NULL;
        size_t length;

        if (!svtest_message_text(call->message, &text, &length)) {
            error_set(err, ERROR_TEMPORARY, "cannot read the message");
            return SIEVE_FAILED;
        }
        g_string_append_len(input, text, (gssize)length);
    } else if (call->input != NULL) {
        g_string_append_len(input, call->input, (gssize)call->input_length);
    }
    enum sieve_answer answer = svtest_run_program(folder, call->name, call->arguments,
        &state->envelope, input->str, input->len, (unsigned)sieve_setting_seconds(&state->options, timeout_key, 10), output, err);
    if (ret_output != NULL) {
        *ret_output = g_memdup2(output->str, output->len + 1);
        *ret_length = output->len;
    }
    return answer;
}

/* ------------------------------------------------------------------ settings that are bounds */

void svtest_apply_settings(struct sieve_svtest *state)
{
    static const struct {
        const char *setting; /* as Pigeonhole names it */
        const char *limit;
    } rows[] = {
        {"sieve_variables_max_variable_size", "max_variable_size"},
        {"sieve_variables_max_value_size", "max_variable_size"},
        {"sieve_variables_max_scope_size", "max_variables"},
        {"sieve_variables_max_scope_count", "max_variables"},
        {"sieve_include_max_nesting_depth", "max_include_depth"},
        {"sieve_include_max_includes", "max_includes"},
        {"sieve_max_script_size", "max_script_size"},
        {"sieve_duplicate_max_period", "max_duplicate_period"},
        {"sieve_notify_max_notifications", "max_notifies"},
    };
    struct sieve_limits *limits = &state->options.limits;

    sieve_limits_init(limits);
    for (const struct sieve_limit_row *row = sieve_limit_rows; row->name != NULL; row++) {
        g_autofree char *name = g_strconcat("sieve_", row->name, NULL);

        sieve_limits_set(limits, row->name, (size_t)sieve_setting_size(&state->options, name,
            row->value));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint64_t value = sieve_setting_size(&state->options, rows[i].setting, UINT64_MAX);

        if (value != UINT64_MAX)
            sieve_limits_set(limits, rows[i].limit, (size_t)value);
    }
    limits->max_cpu_ms = (size_t)sieve_setting_seconds(&state->options, "sieve_max_cpu_time",
        limits->max_cpu_ms / 1000) * 1000;
}

void svtest_host_init(struct sieve_svtest *state)
{
    state->host = (struct sieve_host){
        .ctx = state,
        .mailbox_exists = mailbox_exists,
        .metadata = metadata,
        .special_use = special_use,
        .mailbox_by_id = mailbox_by_id,
        .list_valid = list_valid,
        .list_contains = list_contains,
        .list_members = list_members,
        .duplicate_seen = duplicate_seen,
        .script = script,
        .environment = environment,
        .run_program = run_program,
        .postmaster = "postmaster@example.com",
        .hostname = "test.example.com",
    };
    state->options.setting = svtest_setting;
    state->options.setting_ctx = state;
    state->options.host = &state->host;
    state->options.testsuite = true;
    state->options.global_script = true;
    svtest_mailbox_create(state, "INBOX");
}
