/* vmail-lda: dovecot-lda's options, one delivery, pipe(8)'s exit status. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/base/exit_status.h"
#include "lda/config.h"
#include "lda/deadline.h"
#include "lda/deliver.h"
#include "lda/log.h"
#include "lda/site.h"

static const char usage[] =
    "usage: vmail-lda -d user@domain [-f sender] [-r recipient] [-a original-recipient]\n"
    "                 [-q queue-id] [-m mailbox] [-p file] [-e] [-k] [--once] [--dry-run]\n"
    "                 [--explain] [--auth user] [--dsn parameter]\n"
    "                 [-c config] [-o key=value]\n";

/* Characters of a message id in the log. */
#define MESSAGE_ID_SHOWN 250

struct arguments {
    struct envelope envelope;
    GPtrArray *dsn;      /* const char *, of --dsn */
    struct deliver_options options;
    const char *config_path;
    const char *input_path;
    GPtrArray *settings; /* const char *, of -o */
    bool help, version;
};

enum { OPTION_ONCE = 256, OPTION_AUTH, OPTION_DSN, OPTION_DRY_RUN, OPTION_EXPLAIN, OPTION_HELP, OPTION_VERSION };

static const struct option long_options[] = {
    {"once", no_argument, NULL, OPTION_ONCE},       {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
    {"auth", required_argument, NULL, OPTION_AUTH}, {"dsn", required_argument, NULL, OPTION_DSN},
    {"explain", no_argument, NULL, OPTION_EXPLAIN}, {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION}, {NULL, 0, NULL, 0},
};

static void replace(char **text, const char *with)
{
    g_free(*text);
    *text = g_strdup(with);
}

static bool take_option(int option, struct arguments *arguments)
{
    switch (option) {
    case 'd': replace(&arguments->envelope.user, optarg); break;
    case 'f': replace(&arguments->envelope.sender, optarg); break;
    case 'r': replace(&arguments->envelope.recipient, optarg); break;
    case 'a': replace(&arguments->envelope.original_recipient, optarg); break;
    case 'q': replace(&arguments->envelope.queue_id, optarg); break;
    case 'm': arguments->options.mailbox = optarg[0] == '\0' ? NULL : optarg; break;
    case 'p': arguments->input_path = optarg; break;
    case 'e': arguments->options.reject_by_status = true; break;
    case 'k': break; /* dovecot-lda: keep the environment; we never clear it */
    case 'c': arguments->config_path = optarg; break;
    case 'o': g_ptr_array_add(arguments->settings, optarg); break;
    case OPTION_AUTH: replace(&arguments->envelope.auth, optarg); break;
    case OPTION_DSN: g_ptr_array_add(arguments->dsn, optarg); break;
    case OPTION_ONCE: arguments->options.once = true; break;
    case OPTION_DRY_RUN: arguments->options.dry_run = true; break;
    case OPTION_EXPLAIN: arguments->options.explain = true; break;
    case OPTION_HELP: arguments->help = true; break;
    case OPTION_VERSION: arguments->version = true; break;
    default: return false;
    }
    return true;
}

static bool parse_arguments(int argc, char **argv, struct arguments *arguments, struct error *err)
{
    int option;

    opterr = 0; /* getopt would write before our line */
    while ((option = getopt_long(argc, argv, "+:d:f:r:a:q:m:p:ekc:o:", long_options, NULL)) != -1)
        if (!take_option(option, arguments)) {
            if (option == ':')
                error_set(err, ERROR_USAGE, "option %s needs a value", argv[optind - 1]);
            else if (optopt != 0)
                error_set(err, ERROR_USAGE, "unknown option -%c", optopt);
            else
                error_set(err, ERROR_USAGE, "unknown option %s", argv[optind - 1]);
            return false;
        }
    if (optind < argc) {
        error_set(err, ERROR_USAGE, "unexpected argument %s", argv[optind]);
        return false;
    }
    for (guint i = 0; i < arguments->dsn->len; i++)
        if (!envelope_set_dsn(&arguments->envelope, arguments->dsn->pdata[i], err))
            return false;
    return arguments->help || arguments->version || envelope_normalise(&arguments->envelope, err);
}

static bool load_config(const struct arguments *arguments, struct config *config,
                        struct error *err)
{
    if (!config_read(config, arguments->config_path, err))
        return false;
    for (guint i = 0; i < arguments->settings->len; i++)
        if (!config_set_option(config, arguments->settings->pdata[i], err))
            return false;
    return true;
}

/* A sender makes it up; the line must still have room for what became of the message. */
static char *short_message_id(const char *message_id)
{
    if (message_id == NULL || g_utf8_strlen(message_id, -1) <= MESSAGE_ID_SHOWN)
        return g_strdup(message_id == NULL ? "" : message_id);

    g_autofree char *start = g_utf8_substring(message_id, 0, MESSAGE_ID_SHOWN);

    return g_strconcat(start, "…", NULL);
}

static void log_delivery(const struct arguments *arguments, const struct deliver_result *result,
                         const struct error *err)
{
    const struct envelope *envelope = &arguments->envelope;
    g_autofree char *session =
        envelope->queue_id != NULL
            ? g_strdup(envelope->queue_id)
            : g_strdup_printf("%lx.%x", (unsigned long)time(NULL), (unsigned)getpid());
    g_autofree char *message_id = short_message_id(result->message_id);
    g_autofree char *prefix =
        g_strdup_printf("lda(%s)<%s>: msgid=<%s>", envelope->user, session, message_id);

    for (guint i = 0; result->steps != NULL && i < result->steps->len; i++)
        log_line(LOG_DEBUG, "%s: %s", prefix, (const char *)result->steps->pdata[i]);
    for (guint i = 0; result->notes != NULL && i < result->notes->len; i++)
        log_line(LOG_WARNING, "%s: %s", prefix, (const char *)result->notes->pdata[i]);
    if (err == NULL)
        log_line(LOG_INFO, "%s: %s (size=%" G_GUINT64_FORMAT ", %.1f ms)", prefix,
                 result->summary, result->size, result->elapsed_ms);
    else
        log_line(err->kind == ERROR_NO_USER || err->kind == ERROR_REFUSED ? LOG_INFO : LOG_ERR,
                 "%s: not delivered: %s (size=%" G_GUINT64_FORMAT ", %.1f ms)", prefix, err->text,
                 result->size, result->elapsed_ms);
}

static int open_input(const struct arguments *arguments, struct error *err)
{
    if (arguments->input_path == NULL)
        return STDIN_FILENO;
    int fd = open(arguments->input_path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read %s", arguments->input_path);
    return fd;
}

static bool run(struct arguments *arguments, struct config *config, struct error *err)
{
    struct deliver_result result = {.notes = NULL};
    struct site *site;
    bool good;

    /* a configuration on a disk that hangs: not for ever either */
    deadline_start(DEADLINE_STANDARD);
    if (!load_config(arguments, config, err))
        return false;
    log_open(config, "vmail-lda");
    deadline_start((unsigned)config_number(config, CONFIG_DELIVERY_TIMEOUT));
    int input = open_input(arguments, err);
    if (input < 0)
        return false;
    site = site_new(config);
    good = deliver(site, &arguments->envelope, input, &arguments->options, &result, err);
    if (result.plan != NULL)
        fputs(result.plan, stdout);
    else
        log_delivery(arguments, &result, good ? NULL : err);
    deliver_result_clear(&result);
    site_free(site);
    return good;
}

/* Whoever started us may ignore SIGCHLD (then no child's status can be had, and what was sent is sent
 * again) or block SIGALRM (then there is no deadline); both are inherited. */
static void take_signals(void)
{
    sigset_t none;

    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* 0, 1 and 2 are taken before anything is opened: a file of ours must not become standard error. */
static void open_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.help = false};
    struct error err;
    int status = EX_OK;

    error_clear(&err);
    log_capture();
    open_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a full limit is an error of write, not a death */
    take_signals();
    umask(0077);
    bool terminal = isatty(STDERR_FILENO) != 0;
    arguments.settings = g_ptr_array_new();
    arguments.dsn = g_ptr_array_new();
    struct config *config = config_new();
    bool good = parse_arguments(argc, argv, &arguments, &err);
    if (good && arguments.help)
        fputs(usage, stdout);
    else if (good && arguments.version)
        puts("vmail-lda " VMAIL_VERSION);
    else if (good)
        good = run(&arguments, config, &err);
    if (!good) {
        if (err.kind == ERROR_NONE) /* would be status 0, and the mail lost */
            error_set(&err, ERROR_TEMPORARY, "it failed without a reason");
        /* a slip in master.cf must not bounce everybody's mail: only a person gets 64 */
        if (err.kind == ERROR_USAGE && !terminal)
            err.kind = ERROR_CONFIG;
        status = exit_status_report(&err, terminal, stderr);
        if (err.kind == ERROR_USAGE)
            fputs(usage, stderr);
    }
    log_close();
    config_free(config);
    g_ptr_array_unref(arguments.settings);
    g_ptr_array_unref(arguments.dsn);
    envelope_clear(&arguments.envelope);
#ifdef VMAIL_QUICK_EXIT
    /* the libraries' farewells (OpenSSL's, GnuTLS's behind libpq) cost half a millisecond and concern
     * nothing of ours: all files are closed, all output is written here */
    fflush(NULL);
    _exit(status);
#else
    return status; /* and the leak checker has its say */
#endif
}
