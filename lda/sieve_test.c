#include "lda/sieve_test.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <glib.h>
#include <jansson.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/child.h"
#include "lda/command.h"
#include "lda/config.h"
#include "lda/filter.h"
#include "lda/mail/address.h"
#include "lda/mail/message.h"
#include "lda/script.h"
#include "lda/sieve_json.h"
#include "sieve/sieve.h"

static const char usage[] =
    "sieve test [--json] [--explain] [--envelope-from F] [--envelope-to T] [--orig-to T]\n"
    "                 [--auth USER] [--mailbox EXISTING]… [-o key=value]… [--engine native|libsieve]\n"
    "                 [--global] SCRIPT [MESSAGE|-]";

struct arguments {
    const char *script, *message;
    struct sieve_envelope envelope;
    GPtrArray *mailboxes;
    bool json, explain, global;
    const char *engine;
};

/* The host's world: what the command line says exists, and the folder of the script. */
struct world {
    const struct arguments *arguments;
    const struct config *config;
    char *folder;
};

static bool is_mailbox(const char *a, const char *b)
{
    bool inbox = g_ascii_strcasecmp(a, "INBOX") == 0;

    return inbox ? g_ascii_strcasecmp(b, "INBOX") == 0 : strcmp(a, b) == 0;
}

static enum sieve_answer mailbox_exists(void *ctx, const char *mailbox)
{
    const struct world *world = ctx;
    const GPtrArray *mailboxes = world->arguments->mailboxes;

    if (is_mailbox("INBOX", mailbox))
        return SIEVE_YES;
    for (guint i = 0; i < mailboxes->len; i++)
        if (is_mailbox(mailboxes->pdata[i], mailbox))
            return SIEVE_YES;
    return SIEVE_NO;
}

/* :personal beside the script, :global in the site's folder or beside it too. */
static enum sieve_answer find_script(void *ctx, enum sieve_script_place place, const char *name,
                                     char **ret_text, size_t *ret_length)
{
    const struct world *world = ctx;
    const char *site = config_text(world->config, CONFIG_SIEVE_GLOBAL_DIR);
    const char *folder = place == SIEVE_SCRIPT_GLOBAL && *site != '\0' ? site : world->folder;

    for (size_t i = 0; i < 2; i++) {
        g_autofree char *path = i == 0 ? g_strdup_printf("%s/%s.sieve", folder, name)
                                       : g_strdup_printf("%s/%s", folder, name);

        if (g_file_get_contents(path, ret_text, ret_length, NULL))
            return SIEVE_YES;
    }
    return SIEVE_NO;
}

static enum sieve_answer environment(void *ctx, const char *item, char **ret_value)
{
    const struct world *world = ctx;
    const char *value = NULL;

    if (strcmp(item, "host") == 0)
        value = config_text(world->config, CONFIG_HOSTNAME);
    else if (strcmp(item, "domain") == 0)
        value = strchr(config_text(world->config, CONFIG_HOSTNAME), '.');
    else if (strcmp(item, "name") == 0)
        value = "vmail-lda";
    else if (strcmp(item, "version") == 0)
        value = VMAIL_VERSION;
    else if (strcmp(item, "location") == 0)
        value = "MDA";
    else if (strcmp(item, "phase") == 0)
        value = "during";
    if (value == NULL)
        return SIEVE_NO;
    *ret_value = g_strdup(*value == '.' ? value + 1 : value);
    return SIEVE_YES;
}

/* ------------------------------------------------------------------ arguments */

enum { OPT_JSON = 256, OPT_EXPLAIN, OPT_FROM, OPT_TO, OPT_ORIG_TO, OPT_AUTH, OPT_MAILBOX,
    OPT_ENGINE, OPT_GLOBAL };

static const struct option long_options[] = {
    {"json", no_argument, NULL, OPT_JSON},
    {"explain", no_argument, NULL, OPT_EXPLAIN},
    {"envelope-from", required_argument, NULL, OPT_FROM},
    {"envelope-to", required_argument, NULL, OPT_TO},
    {"orig-to", required_argument, NULL, OPT_ORIG_TO},
    {"auth", required_argument, NULL, OPT_AUTH},
    {"mailbox", required_argument, NULL, OPT_MAILBOX},
    {"engine", required_argument, NULL, OPT_ENGINE},
    {"global", no_argument, NULL, OPT_GLOBAL},
    {NULL, 0, NULL, 0},
};

/* "<a@b>" and "<>" as they stand in SMTP are accepted. */
static const char *bare(char *path)
{
    size_t length = strlen(path);

    if (length < 2 || path[0] != '<' || path[length - 1] != '>')
        return path;
    path[length - 1] = '\0';
    return path + 1;
}

static bool read_arguments(int argc, char **argv, struct config *config,
                           struct arguments *arguments, int *ret_status)
{
    struct error err;
    int option;

    *ret_status = EX_USAGE;
    optind = 0;
    while ((option = getopt_long(argc, argv, "o:", long_options, NULL)) != -1) {
        switch (option) {
        case OPT_JSON: arguments->json = true; break;
        case OPT_EXPLAIN: arguments->explain = true; break;
        case OPT_FROM: arguments->envelope.from = bare(optarg); break;
        case OPT_TO: arguments->envelope.to = bare(optarg); break;
        case OPT_ORIG_TO: arguments->envelope.orig_to = bare(optarg); break;
        case OPT_AUTH: arguments->envelope.auth = optarg; break;
        case OPT_MAILBOX: g_ptr_array_add(arguments->mailboxes, optarg); break;
        case OPT_ENGINE: arguments->engine = optarg; break;
        case OPT_GLOBAL: arguments->global = true; break;
        case 'o':
            if (!config_set_option(config, optarg, &err)) {
                *ret_status = command_fail("sieve test", &err);
                return false;
            }
            break;
        default:
            command_usage(usage);
            return false;
        }
    }
    if (optind >= argc || argc - optind > 2) {
        command_usage(usage);
        return false;
    }
    arguments->script = argv[optind];
    arguments->message = optind + 1 < argc ? argv[optind + 1] : NULL;
    if (arguments->engine != NULL &&
        !config_set(config, "sieve_engine", arguments->engine, &err)) {
        *ret_status = command_fail("sieve test", &err);
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------ the message */

static struct message *open_message(const char *path, struct error *err)
{
    static const char empty[] = "From: sender@example.com\nTo: recipient@example.com\n"
                                "Subject: (no message was given)\n\n";

    if (path == NULL)
        return message_open_bytes(empty, strlen(empty), NULL);
    if (strcmp(path, "-") != 0) {
        AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0) {
            error_set_errno(err, ERROR_USAGE, errno, "cannot open %s", path);
            return NULL;
        }
        return message_open_fd(fd, NULL, err);
    }
    AUTO_FD fd = child_temporary_file(err);
    char buffer[65536];
    ssize_t n;
    if (fd < 0)
        return NULL;
    while ((n = read(STDIN_FILENO, buffer, sizeof(buffer))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read standard input");
            return NULL;
        }
        if (!io_write(fd, buffer, (size_t)n, "a temporary file", err))
            return NULL;
    }
    return message_open_fd(fd, NULL, err);
}

/* The first address of the first field that is there. NULL: none. g_free. */
static char *first_address(struct message *message, const char *const *fields)
{
    for (; *fields != NULL; fields++) {
        const char *raw = headers_get_raw(message_headers(message), *fields);

        if (raw == NULL)
            continue;
        AUTO_ADDRESS_LIST list = address_list_parse(raw, 1, NULL);
        if (list->count > 0 && (list->items[0].valid || list->items[0].full[0] == '\0'))
            return g_strdup(list->items[0].full);
    }
    return NULL;
}

/* ------------------------------------------------------------------ for people */

static void print_list(const char *title, const char *const *items)
{
    if (items == NULL || items[0] == NULL)
        return;
    printf("%s", title);
    for (; *items != NULL; items++)
        printf(" %s", *items);
}

static void print_action(const struct sieve_action *action)
{
    printf("  %s", sieve_action_name(action->kind));
    switch (action->kind) {
    case SIEVE_ACTION_KEEP:
    case SIEVE_ACTION_FILEINTO:
        printf(" into %s%s%s%s", action->store.mailbox, action->implicit ? " (implicit)" : "",
               action->store.copy ? " :copy" : "", action->store.create ? " :create" : "");
        print_list(" flags", action->store.flags);
        break;
    case SIEVE_ACTION_REDIRECT:
        printf(" to <%s>%s", action->redirect.address, action->redirect.copy ? " :copy" : "");
        break;
    case SIEVE_ACTION_REJECT:
    case SIEVE_ACTION_EREJECT:
        printf(": %s", action->reject.reason);
        break;
    case SIEVE_ACTION_VACATION:
        if (action->vacation.suppressed != NULL)
            printf(", not sent: %s", action->vacation.suppressed);
        else
            printf(" to <%s>", action->vacation.to);
        break;
    case SIEVE_ACTION_NOTIFY:
        printf(" by %s", action->notify.method);
        if (action->notify.suppressed != NULL)
            printf(", not sent: %s", action->notify.suppressed);
        break;
    case SIEVE_ACTION_PIPE:
        printf(" to %s", action->pipe.program);
        print_list("", action->pipe.arguments);
        break;
    default:
        break;
    }
    if (action->message != NULL)
        printf(" (the message as edited)");
    if (action->line > 0)
        printf("   [line %u]", action->line);
    putchar('\n');
}

static void print_diagnostics(const struct sieve_diagnostics *diagnostics, const char *script)
{
    for (guint i = 0; i < diagnostics->items->len; i++) {
        const struct sieve_diagnostic *item = diagnostics->items->pdata[i];

        fprintf(stderr, "%s:%u:%u: %s%s\n", item->script[0] != '\0' ? item->script : script,
                item->line, item->column, item->warning ? "warning: " : "", item->message);
    }
}

static void print_trace(const struct sieve_result *result)
{
    printf("What the script did:\n");
    for (size_t i = 0; i < result->trace_count; i++) {
        const struct sieve_note *note = &result->trace[i];

        printf("%6u %*s%s\n", note->line, (int)MIN(note->depth, 30u) * 2, "", note->text);
    }
    putchar('\n');
}

static void print_result(const struct sieve_result *result, bool explain)
{
    if (explain)
        print_trace(result);
    if (result->runtime_error != NULL)
        printf("The script failed: %s\n", result->runtime_error);
    for (size_t i = 0; i < result->log_count; i++)
        printf("Log, line %u: %s\n", result->logs[i].line, result->logs[i].text);
    printf("Actions:\n");
    for (size_t i = 0; i < result->action_count; i++)
        print_action(result->actions[i]);
    if (result->action_count == 0)
        printf("  none: the message is dropped\n");
}

/* ------------------------------------------------------------------ run */

static int run(const struct arguments *arguments, struct config *config, struct message *message,
               const struct script *script)
{
    struct world world = {arguments, config, g_path_get_dirname(arguments->script)};
    struct sieve_host host = {
        .ctx = &world,
        .mailbox_exists = mailbox_exists,
        .script = find_script,
        .environment = environment,
        .postmaster = config_text(config, CONFIG_POSTMASTER_ADDRESS),
        .hostname = config_text(config, CONFIG_HOSTNAME),
    };
    struct sieve_diagnostics *diagnostics = sieve_diagnostics_new();
    struct sieve_options options;
    struct sieve_result *result = NULL;
    struct error err;

    if (!filter_options(config, &options, &err)) {
        g_free(world.folder);
        sieve_diagnostics_free(diagnostics);
        return command_fail("sieve test", &err);
    }
    /* folders that are missing are worth a warning only where some were named */
    struct sieve_host compile_host = host;
    if (arguments->mailboxes->len == 0)
        compile_host.mailbox_exists = NULL;
    options.host = &compile_host;
    options.trace = arguments->explain;
    options.global_script = arguments->global;
    struct sieve_program *program = sieve_compile(script->text, script->length,
                                                  arguments->script, &options, diagnostics);
    struct sieve_stage stage = {program, NULL};
    if (program != NULL)
        result = sieve_run(&stage, 1, message, &arguments->envelope, &host, &options);
    if (arguments->json) {
        json_t *root = sieve_result_json(diagnostics, result, message, &arguments->envelope,
                                         config, arguments->explain);

        json_dumpf(root, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        putchar('\n');
        json_decref(root);
    } else {
        print_diagnostics(diagnostics, arguments->script);
        if (result != NULL)
            print_result(result, arguments->explain);
    }
    int status = program != NULL ? EX_OK : 1;
    sieve_result_free(result);
    sieve_program_unref(program);
    sieve_diagnostics_free(diagnostics);
    g_free(world.folder);
    return status;
}

int sieve_test_main(int argc, char **argv, struct config *config)
{
    static const char *const from_fields[] = {"Return-Path", "Sender", "From", NULL};
    static const char *const to_fields[] = {"Envelope-To", "Delivered-To", "To", NULL};
    g_autoptr(GPtrArray) mailboxes = g_ptr_array_new();
    struct arguments arguments = {.mailboxes = mailboxes};
    g_autofree char *from = NULL, *to = NULL;
    struct script *script = NULL;
    struct error err;
    int status;

    if (!read_arguments(argc, argv, config, &arguments, &status))
        return status;
    if (!script_read_file(arguments.script, &script, &err))
        return command_fail("sieve test", &err);
    if (script->text == NULL) {
        fprintf(stderr, "vmail sieve test: %s\n", script->problem);
        script_free(script);
        return EX_NOINPUT;
    }
    AUTO_MESSAGE message = open_message(arguments.message, &err);
    if (message == NULL) {
        script_free(script);
        return command_fail("sieve test", &err);
    }
    if (arguments.envelope.from == NULL)
        arguments.envelope.from = from = first_address(message, from_fields);
    if (arguments.envelope.to == NULL)
        arguments.envelope.to = to = first_address(message, to_fields);
    status = run(&arguments, config, message, script);
    script_free(script);
    return status;
}
