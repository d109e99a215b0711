#include "lda/filter.h"

#include <string.h>

#include "lda/config.h"
#include "lda/envelope.h"
#include "lda/script.h"
#include "lda/script_cache.h"
#include "lda/script_log.h"
#include "lda/user.h"
#include "sieve/sieve.h"

/* A broken script says so with every mail: the first errors are enough for a log. */
#define ERRORS_SHOWN 3

struct filter {
    struct sieve_options options;
    struct sieve_host host;
    struct sieve_host compile_host;
    GArray *stages;        /* struct sieve_stage */
    GPtrArray *names;      /* char *, one per stage */
    GPtrArray *notes;      /* char *, for the log */
    GPtrArray *user_lines; /* char *, for <script>.log */
    struct sieve_result *result;
};

void filter_free(struct filter *filter)
{
    if (filter == NULL)
        return;
    sieve_result_free(filter->result);
    for (guint i = 0; i < filter->stages->len; i++) {
        const struct sieve_stage *stage = &g_array_index(filter->stages, struct sieve_stage, i);

        sieve_program_unref((struct sieve_program *)stage->program);
    }
    g_array_unref(filter->stages);
    g_ptr_array_unref(filter->names);
    g_ptr_array_unref(filter->notes);
    g_ptr_array_unref(filter->user_lines);
    g_free(filter);
}

const struct sieve_result *filter_result(const struct filter *filter)
{
    return filter->result;
}

const GPtrArray *filter_notes(const struct filter *filter)
{
    return filter->notes;
}

const GPtrArray *filter_scripts(const struct filter *filter)
{
    return filter->names;
}

/* --- options */

/* subaddress splits where the delivery does. */
static const char *setting(void *ctx, const char *name)
{
    if (strcmp(name, "recipient_delimiter") == 0)
        return config_text(ctx, CONFIG_RECIPIENT_DELIMITER);
    return config_extra(ctx, name);
}

/* Bounds are numbers; a word that is not one must not mean "no bound". */
static bool set_limits(const struct config *config, struct sieve_limits *limits,
                       struct error *err)
{
    for (const struct sieve_limit_row *row = sieve_limit_rows; row->name != NULL; row++) {
        g_autofree char *key = g_strconcat("sieve_", row->name, NULL);
        const char *text = config_extra(config, key);
        uint64_t number;

        if (text == NULL)
            continue;
        if (!config_parse_number(CONFIG_SIZE, text, &number) || number > SIZE_MAX) {
            error_set(err, ERROR_CONFIG, "%s = %s: must be a number", key, text);
            return false;
        }
        sieve_limits_set(limits, row->name, (size_t)number);
    }
    return true;
}

bool filter_options(const struct config *config, struct sieve_options *ret_options,
                    struct error *err)
{
    struct sieve_options options;

    sieve_options_init(&options);
    if (config_is(config, CONFIG_SIEVE_ENGINE, "libsieve"))
        options.engine = SIEVE_ENGINE_LIBSIEVE;
    if (!set_limits(config, &options.limits, err))
        return false;
    options.setting = setting;
    options.setting_ctx = (void *)config; /* read only */
    *ret_options = options;
    return true;
}

/* --- compiling */

static void add_note(struct filter *filter, bool global, char *text)
{
    if (!global)
        g_ptr_array_add(filter->user_lines, g_strdup(text));
    g_ptr_array_add(filter->notes, text);
}

static void add_diagnostics(struct filter *filter, const struct script *script,
                            const struct sieve_diagnostics *diagnostics)
{
    unsigned shown = 0;

    for (guint i = 0; i < diagnostics->items->len; i++) {
        const struct sieve_diagnostic *item = diagnostics->items->pdata[i];

        /* "the folder does not exist yet" is no news for every mail; explain tells it */
        if (item->warning && !filter->options.trace)
            continue;
        if (++shown > ERRORS_SHOWN && !filter->options.trace) {
            add_note(filter, script->global,
                     g_strdup_printf("sieve: %s: and more errors", script->name));
            break;
        }
        add_note(filter, script->global,
                 g_strdup_printf("sieve: %s: line %u: %s: %s",
                                 item->script == NULL ? script->name : item->script, item->line,
                                 item->warning ? "warning" : "error", item->message));
    }
}

/* A script that cannot be read or compiled is a stage without a program: it fails, the mail is
 * kept. */
static bool add_stage(struct filter *filter, struct sieve_host_site *site, struct script *script,
                      struct error *err)
{
    const struct compiled_script *compiled;
    struct sieve_stage stage = {.program = NULL};

    filter->options.global_script = script->global;
    if (!script_cache_compile(site->scripts, script, site, &filter->options, &compiled, err))
        return false;
    if (compiled == NULL) {
        add_note(filter, script->global, g_strdup_printf("sieve: %s", script->problem));
    } else {
        if (compiled->program != NULL)
            stage.program = sieve_program_ref(compiled->program);
        add_diagnostics(filter, script, compiled->diagnostics);
    }
    char *name = g_strdup(script->name);
    stage.name = name;
    g_ptr_array_add(filter->names, name);
    g_array_append_val(filter->stages, stage);
    return true;
}

static bool add_site(struct filter *filter, struct sieve_host_site *site, bool before,
                     struct error *err)
{
    g_autoptr(GPtrArray) scripts = NULL;

    if (!script_find_site(site->config, before, &scripts, err))
        return false;
    for (guint i = 0; i < scripts->len; i++)
        if (!add_stage(filter, site, scripts->pdata[i], err))
            return false;
    return true;
}

static bool add_user(struct filter *filter, const struct filter_input *input, struct error *err)
{
    struct sieve_host_site *site = input->site;
    struct script *script = NULL;

    if (input->script != NULL) {
        if (!script_read_file(input->script, &script, err))
            return false;
        script->global = false;
    } else {
        switch (script_find_user(site->config, site->user, site->home, &script, err)) {
        case SCRIPT_FAILED:
            return false;
        case SCRIPT_NONE:
            return true;
        case SCRIPT_FOUND:
            break;
        }
    }
    bool good = add_stage(filter, site, script, err);
    script_free(script);
    return good;
}

/* --- running */

static void run(struct filter *filter, const struct filter_input *input)
{
    const struct envelope *envelope = input->site->envelope;
    struct sieve_envelope sieve_envelope = {
        .from = envelope->sender,
        .to = envelope->recipient,
        .orig_to = envelope->original_recipient,
        .auth = envelope->auth,
        .dsn_notify = envelope->dsn_notify,
        .dsn_orcpt = envelope->dsn_orcpt,
        .dsn_ret = envelope->dsn_ret,
        .dsn_envid = envelope->dsn_envid,
        /* BY (RFC 2852) reaches no delivery agent: Postfix does not speak it */
    };

    filter->result = sieve_run((const struct sieve_stage *)(const void *)filter->stages->data,
                               filter->stages->len, input->message, &sieve_envelope,
                               &filter->host, &filter->options);
    if (filter->result->runtime_error != NULL)
        add_note(filter, false, g_strdup_printf("sieve: %s", filter->result->runtime_error));
    for (size_t i = 0; i < filter->result->log_count; i++) {
        const struct sieve_note *line = &filter->result->logs[i];

        add_note(filter, false,
                 g_strdup_printf("sieve: %s: line %u: %s", line->script, line->line, line->text));
    }
}

bool filter_run(const struct filter_input *input, struct filter **ret_filter, struct error *err)
{
    struct filter *filter = g_new0(struct filter, 1);
    bool good;

    filter->stages = g_array_new(FALSE, FALSE, sizeof(struct sieve_stage));
    filter->names = g_ptr_array_new_with_free_func(g_free);
    filter->notes = g_ptr_array_new_with_free_func(g_free);
    filter->user_lines = g_ptr_array_new_with_free_func(g_free);
    sieve_host_fill(&filter->host, input->site);
    good = filter_options(input->site->config, &filter->options, err);
    /* of what mailboxes there are compiling makes warnings alone, which count in a trace alone: and each
     * fileinto would be a system call */
    filter->compile_host = filter->host;
    if (!input->trace)
        filter->compile_host.mailbox_exists = NULL;
    filter->options.host = &filter->compile_host;
    filter->options.trace = input->trace;
    if (!input->no_script)
        good = good && add_site(filter, input->site, true, err) &&
               add_user(filter, input, err) && add_site(filter, input->site, false, err);
    if (good)
        run(filter, input);
    if (good && input->site->failed) {
        *err = input->site->failure;
        error_prefix(err, "sieve");
        good = false;
    }
    if (!good) {
        filter_free(filter);
        return false;
    }
    if (input->write_log)
        script_log_append(input->site->config, input->site->home, filter->user_lines);
    *ret_filter = filter;
    return true;
}
