#include "lda/command.h"

#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "lda/base/exit_status.h"

const struct command commands[] = {
    {"config", "print the configuration in force", cmd_config},
    {NULL, NULL, NULL},
};

int command_fail(const char *verb, const struct error *err)
{
    fprintf(stderr, "vmail %s: %s\n", verb, err->text);
    /* a person or a script of ops reads the status, no MTA: configuration is 78 */
    return exit_status_of(err->kind, true);
}

int command_usage(const char *usage)
{
    fprintf(stderr, "usage: vmail %s\n", usage);
    return EX_USAGE;
}
