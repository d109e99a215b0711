/* vmail sieve: check a script, try it on a message, run test files, list what is supported. */
#include "lda/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include <glib.h>
#include <jansson.h>

#include "lda/sieve_check.h"
#include "lda/sieve_test.h"
#include "lda/table.h"
#include "sieve/sieve.h"
#include "sieve/svtest.h"

static const char usage[] =
    "sieve check [-o key=value]… [--mailbox EXISTING]… FILE…\n"
    "       vmail sieve check -u USER [-o key=value]… [FILE…]\n"
    "       vmail sieve test [--json] [--explain] [OPTION]… SCRIPT [MESSAGE|-]\n"
    "       vmail sieve run-tests [--engine native|libsieve] [-v|-F] PATH…\n"
    "       vmail sieve extensions [--json]";

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
    unsigned flags = 0;
    int option;

    optind = 0;
    while ((option = getopt_long(argc, argv, "vF", long_options, NULL)) != -1) {
        if (option == 'v')
            flags |= SVTEST_VERBOSE;
        else if (option == 'F')
            flags |= SVTEST_MEANT_TO_FAIL;
        else if (option == 'e' && strcmp(optarg, "libsieve") == 0)
            engine = SIEVE_ENGINE_LIBSIEVE;
        else if (option != 'e' || strcmp(optarg, "native") != 0)
            return command_usage(usage);
    }
    if (optind >= argc)
        return command_usage(usage);
    if (!svtest_run((const char *const *)&argv[optind], (size_t)(argc - optind), engine, flags,
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
        return sieve_check_main(argc - 1, argv + 1, config);
    if (strcmp(verb, "test") == 0)
        return sieve_test_main(argc - 1, argv + 1, config);
    if (strcmp(verb, "run-tests") == 0)
        return run_tests(argc - 1, argv + 1);
    if (strcmp(verb, "extensions") == 0)
        return list_extensions(argc > 2 && strcmp(argv[2], "--json") == 0);
    return command_usage(usage);
}
