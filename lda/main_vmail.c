/* vmail: the operator's tool. Options, configuration, then the verb's function from the table. */
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "lda/base/exit_status.h"
#include "lda/command.h"
#include "lda/config.h"

static void print_help(FILE *stream)
{
    fputs("usage: vmail [-c FILE] [-o KEY=VALUE] COMMAND [ARGUMENTS]\n\n", stream);
    for (const struct command *command = commands; command->name != NULL; command++)
        fprintf(stream, "  %-10s %s\n", command->name, command->help);
    fputs("\nvmail COMMAND --help tells a command's arguments; vmail(1) explains them.\n", stream);
}

static const struct command *find_command(const char *name)
{
    for (const struct command *command = commands; command->name != NULL; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

/* Fills @config in the order file, then -o; *@ret_next is the index of the command. */
static int read_options(int argc, char **argv, struct config *config, int *ret_next)
{
    const char *path = NULL;
    struct error err;
    int option;

    /* '+': options behind the command are the command's */
    while ((option = getopt(argc, argv, "+c:o:hV")) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'o':
            break; /* second round: the file comes first */
        case 'h':
            print_help(stdout);
            return EX_OK;
        case 'V':
            puts("vmail " VMAIL_VERSION);
            return EX_OK;
        default:
            return EX_USAGE;
        }
    }
    *ret_next = optind;
    if (!config_read(config, path, &err)) {
        fprintf(stderr, "vmail: %s\n", err.text);
        return EX_CONFIG;
    }
    optind = 0;
    while ((option = getopt(argc, argv, "+c:o:hV")) != -1)
        if (option == 'o' && !config_set_option(config, optarg, &err)) {
            fprintf(stderr, "vmail: %s\n", err.text);
            return EX_CONFIG;
        }
    return -1;
}

int main(int argc, char **argv)
{
    int next = 0;

    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* inherited: without it no child has a status */
    umask(0077);
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        print_help(stdout);
        return EX_OK;
    }
    struct config *config = config_new();
    int status = read_options(argc, argv, config, &next);
    if (status < 0) {
        const struct command *command = next < argc ? find_command(argv[next]) : NULL;

        if (command != NULL) {
            bool help = next + 1 < argc && strcmp(argv[next + 1], "--help") == 0;

            if (help) { /* every command answers a wrong option with its usage */
                opterr = 0;
                dup2(STDOUT_FILENO, STDERR_FILENO);
            }
            optind = 0;
            status = command->run(argc - next, argv + next, config);
            status = help ? EX_OK : status;
        } else {
            if (next < argc)
                fprintf(stderr, "vmail: there is no command '%s'\n\n", argv[next]);
            print_help(stderr);
            status = EX_USAGE;
        }
    }
    config_free(config);
    return fflush(stdout) == 0 ? status : EX_IOERR;
}
