/* vmail deliver: files through the pipeline by hand; what vmail-lda does, with words for a person. */
#include "lda/command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/config.h"
#include "lda/deliver.h"
#include "lda/site.h"

static const char usage[] =
    "deliver -u USER [-f SENDER] [-r RECIPIENT] [-a ORIGINAL] [-m MAILBOX] [-s SCRIPT]\n"
    "                     [--once] [--dry-run] [--explain] [FILE …]";

struct arguments {
    const char *user, *sender, *recipient, *original;
    struct deliver_options options;
};

enum { OPTION_ONCE = 256, OPTION_DRY_RUN, OPTION_EXPLAIN };

static const struct option long_options[] = {
    {"once", no_argument, NULL, OPTION_ONCE},
    {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
    {"explain", no_argument, NULL, OPTION_EXPLAIN},
    {NULL, 0, NULL, 0},
};

static bool take_option(int option, struct arguments *arguments)
{
    switch (option) {
    case 'u':
    case 'd':
        arguments->user = optarg;
        break;
    case 'f':
        arguments->sender = optarg;
        break;
    case 'r':
        arguments->recipient = optarg;
        break;
    case 'a':
        arguments->original = optarg;
        break;
    case 'm':
        arguments->options.mailbox = optarg;
        break;
    case 's':
        arguments->options.script = optarg;
        break;
    case OPTION_ONCE:
        arguments->options.once = true;
        break;
    case OPTION_DRY_RUN:
        arguments->options.dry_run = true;
        break;
    case OPTION_EXPLAIN:
        arguments->options.explain = true;
        break;
    default:
        return false;
    }
    return true;
}

static bool deliver_one(struct site *site, const struct arguments *arguments, int fd,
                        const char *name, struct error *err)
{
    struct deliver_result result = {.notes = NULL};
    struct envelope envelope = {
        .user = g_strdup(arguments->user),
        .sender = g_strdup(arguments->sender),
        .recipient = g_strdup(arguments->recipient),
        .original_recipient = g_strdup(arguments->original),
    };
    bool good = envelope_normalise(&envelope, err) &&
                deliver(site, &envelope, fd, &arguments->options, &result, err);

    for (guint i = 0; result.notes != NULL && result.plan == NULL && i < result.notes->len; i++)
        printf("%s: note: %s\n", name, (const char *)result.notes->pdata[i]);
    if (good && result.plan != NULL)
        fputs(result.plan, stdout);
    else if (good)
        printf("%s: %s (%.1f ms)\n", name, result.summary, result.elapsed_ms);
    else
        error_prefix(err, "%s", name);
    deliver_result_clear(&result);
    envelope_clear(&envelope);
    return good;
}

static bool deliver_file(struct site *site, const struct arguments *arguments, const char *path,
                         struct error *err)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0) {
        error_set_errno(err, ERROR_USAGE, errno, "cannot read %s", path);
        return false;
    }
    return deliver_one(site, arguments, fd, path, err);
}

int cmd_deliver(int argc, char **argv, struct config *config)
{
    struct arguments arguments = {.user = NULL};
    int status = EX_OK;
    struct error err;
    int option;

    while ((option = getopt_long(argc, argv, "u:d:f:r:a:m:s:", long_options, NULL)) != -1)
        if (!take_option(option, &arguments))
            return command_usage(usage);
    if (arguments.user == NULL)
        return command_usage(usage);
    struct site *site = site_new(config);
    if (optind == argc && !deliver_one(site, &arguments, STDIN_FILENO, "standard input", &err))
        status = command_fail("deliver", &err);
    for (int i = optind; i < argc; i++)
        if (!deliver_file(site, &arguments, argv[i], &err))
            status = command_fail("deliver", &err);
    site_free(site);
    return status;
}
