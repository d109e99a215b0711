/* vmail config: what the configuration is, and where each value comes from. */
#include "lda/command.h"

#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lda/config.h"
#include "sieve/limits.h"

static int explain(void)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++) {
        const struct config_entry *entry = config_entry_of((enum config_key)i);

        printf("%s\n    %s\n    default:%s%s\n", entry->name, entry->help,
               entry->standard[0] == '\0' ? "" : " ", entry->standard);
        if (entry->choices != NULL)
            printf("    choices: %s\n", entry->choices);
    }
    for (const struct sieve_limit_row *row = sieve_limit_rows; row->name != NULL; row++)
        printf("sieve_%s\n    %s\n    default: %zu\n", row->name, row->help, row->value);
    return EX_OK;
}

static int print_one(const struct config *config, const char *name)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++)
        if (strcmp(config_entry_of((enum config_key)i)->name, name) == 0) {
            printf("%s\n", config_text(config, (enum config_key)i));
            return EX_OK;
        }
    const char *extra = config_extra(config, name);
    if (extra != NULL) {
        printf("%s\n", extra);
        return EX_OK;
    }
    fprintf(stderr, "vmail config: unknown key %s\n", name);
    return EX_USAGE;
}

int cmd_config(int argc, char **argv, struct config *config)
{
    static const char usage[] = "config [-n] [KEY …] | config --explain";
    bool only_changed = false;
    int option;

    if (argc == 2 && strcmp(argv[1], "--explain") == 0)
        return explain();
    while ((option = getopt(argc, argv, "n")) != -1) {
        if (option != 'n')
            return command_usage(usage);
        only_changed = true;
    }
    if (optind == argc)
        config_print(config, only_changed, stdout);
    for (int i = optind; i < argc; i++) {
        int status = print_one(config, argv[i]);

        if (status != EX_OK)
            return status;
    }
    return EX_OK;
}
