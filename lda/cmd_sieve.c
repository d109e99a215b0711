/* vmail sieve: check a script, try it on a message, run test files, list what is supported. */
#include "lda/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include <glib.h>
#include <jansson.h>

#include "lda/config.h"
#include "lda/filter.h"
#include "lda/script.h"
#include "lda/sieve_test.h"
#include "lda/table.h"
#include "sieve/sieve.h"
#include "sieve/svtest.h"

static const char usage[] =
    "sieve check [-o key=value]… [--mailbox EXISTING]… FILE…\n"
    "       vmail sieve test [--json] [--explain] [OPTION]… SCRIPT [MESSAGE|-]\n"
    "       vmail sieve run-tests [--engine native|libsieve] [-v] PATH…\n"
    "       vmail sieve extensions [--json]";

/* ------------------------------------------------------------------ check */

struct checking {
    struct config *config;
    GPtrArray *mailboxes; /* that exist; none given: folders are not asked about */
    bool global;
    const char *folder;   /* of the file being checked */
};

static enum sieve_answer mailbox_exists(void *ctx, const char *mailbox)
{
    const struct checking *checking = ctx;

    if (checking->mailboxes->len == 0 || g_ascii_strcasecmp(mailbox, "INBOX") == 0)
        return SIEVE_YES;
    for (guint i = 0; i < checking->mailboxes->len; i++)
        if (strcmp(checking->mailboxes->pdata[i], mailbox) == 0)
            return SIEVE_YES;
    return SIEVE_NO;
}

static enum sieve_answer find_script(void *ctx, enum sieve_script_place place, const char *name,
                                     char **ret_text, size_t *ret_length)
{
    const struct checking *checking = ctx;
    const char *site = config_text(checking->config, CONFIG_SIEVE_GLOBAL_DIR);
    const char *folder = place == SIEVE_SCRIPT_GLOBAL && *site != '\0' ? site : checking->folder;
    g_autofree char *path = g_strdup_printf("%s/%s.sieve", folder, name);

    return g_file_get_contents(path, ret_text, ret_length, NULL) ? SIEVE_YES : SIEVE_NO;
}

static void print_diagnostics(const char *file, const struct sieve_diagnostics *diagnostics)
{
    for (guint i = 0; i < diagnostics->items->len; i++) {
        const struct sieve_diagnostic *item = diagnostics->items->pdata[i];

        printf("%s:%u:%u: %s%s\n", item->script[0] != '\0' ? item->script : file, item->line,
               item->column, item->warning ? "warning: " : "", item->message);
    }
}

/* True when the file compiles. */
static bool check_file(struct checking *checking, const char *file,
                       const struct sieve_options *options)
{
    struct script *script;
    struct error err;

    if (!script_read_file(file, &script, &err)) {
        printf("%s: %s\n", file, err.text);
        return false;
    }
    if (script->text == NULL) {
        printf("%s: %s\n", file, script->problem);
        script_free(script);
        return false;
    }
    g_autofree char *folder = g_path_get_dirname(file);
    checking->folder = folder;
    struct sieve_diagnostics *diagnostics = sieve_diagnostics_new();
    struct sieve_program *program = sieve_compile(script->text, script->length, file, options,
                                                  diagnostics);
    print_diagnostics(file, diagnostics);
    if (program != NULL) {
        const char *const *requires = sieve_program_requires(program);
        g_autofree char *joined = g_strjoinv(", ", (char **)(uintptr_t)requires);

        printf("%s: ok%s%s\n", file, joined[0] == '\0' ? "" : ", requires ", joined);
    }
    bool fine = program != NULL;
    sieve_program_unref(program);
    sieve_diagnostics_free(diagnostics);
    script_free(script);
    return fine;
}

static int check(int argc, char **argv, struct config *config)
{
    static const struct option long_options[] = {
        {"mailbox", required_argument, NULL, 'm'},
        {"global", no_argument, NULL, 'g'},
        {NULL, 0, NULL, 0},
    };
    g_autoptr(GPtrArray) mailboxes = g_ptr_array_new();
    struct checking checking = {.config = config, .mailboxes = mailboxes};
    struct sieve_host host = {.ctx = &checking, .mailbox_exists = mailbox_exists,
        .script = find_script};
    struct sieve_options options;
    struct error err;
    bool fine = true;
    int option;

    optind = 0;
    while ((option = getopt_long(argc, argv, "o:", long_options, NULL)) != -1) {
        if (option == 'm')
            g_ptr_array_add(mailboxes, optarg);
        else if (option == 'g')
            checking.global = true;
        else if (option != 'o')
            return command_usage(usage);
        else if (!config_set_option(config, optarg, &err))
            return command_fail("sieve check", &err);
    }
    if (optind >= argc)
        return command_usage(usage);
    if (!filter_options(config, &options, &err))
        return command_fail("sieve check", &err);
    options.host = &host;
    options.global_script = checking.global;
    for (int i = optind; i < argc; i++)
        fine &= check_file(&checking, argv[i], &options);
    return fine ? EX_OK : 1;
}

/* ------------------------------------------------------------------ run-tests, extensions */

static int run_tests(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"engine", required_argument, NULL, 'e'},
        {"verbose", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    enum sieve_engine engine = SIEVE_ENGINE_NATIVE;
    struct svtest_counts counts;
    struct error err;
    bool verbose = false;
    int option;

    optind = 0;
    while ((option = getopt_long(argc, argv, "v", long_options, NULL)) != -1) {
        if (option == 'v')
            verbose = true;
        else if (option == 'e' && strcmp(optarg, "libsieve") == 0)
            engine = SIEVE_ENGINE_LIBSIEVE;
        else if (option != 'e' || strcmp(optarg, "native") != 0)
            return command_usage(usage);
    }
    if (optind >= argc)
        return command_usage(usage);
    if (!svtest_run((const char *const *)&argv[optind], (size_t)(argc - optind), engine, verbose,
                    stdout, &counts, &err))
        return command_fail("sieve run-tests", &err);
    return counts.failed == 0 ? EX_OK : 1;
}

static int list_extensions(bool json)
{
    const struct sieve_extension_info *infos = sieve_extensions();

    if (json) {
        json_t *array = json_array();

        for (const struct sieve_extension_info *info = infos; info->names != NULL; info++)
            json_array_append_new(array,
                json_pack("{s:s,s:s,s:s,s:b}", "name", info->names, "rfc", info->rfc, "status",
                          info->status, "site_only", (int)info->site_only));
        json_dumpf(array, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        putchar('\n');
        json_decref(array);
        return EX_OK;
    }
    struct table *table =
        table_new((const char *const[]){"Extension", "Specification", "Status", NULL});
    for (const struct sieve_extension_info *info = infos; info->names != NULL; info++) {
        g_autofree char *status = g_strdup_printf("%s%s", info->status,
            info->site_only ? "; to be switched on by sieve_extensions" : "");

        table_add(table, (const char *const[]){info->names, info->rfc, status});
    }
    table_print(table, table_terminal_width(stdout), stdout);
    table_free(table);
    return EX_OK;
}

int cmd_sieve(int argc, char **argv, struct config *config)
{
    const char *verb = argc > 1 ? argv[1] : "";

    if (strcmp(verb, "check") == 0)
        return check(argc - 1, argv + 1, config);
    if (strcmp(verb, "test") == 0)
        return sieve_test_main(argc - 1, argv + 1, config);
    if (strcmp(verb, "run-tests") == 0)
        return run_tests(argc - 1, argv + 1);
    if (strcmp(verb, "extensions") == 0)
        return list_extensions(argc > 2 && strcmp(argv[2], "--json") == 0);
    return command_usage(usage);
}
