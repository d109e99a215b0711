/* vmail replay: messages that ops have, delivered once more, each once. */
#include "lda/command.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <glib.h>

#include "lda/config.h"
#include "lda/progress.h"
#include "lda/replay_pool.h"
#include "lda/replay_report.h"
#include "lda/replay_source.h"

static const char usage[] =
    "replay [-u USER] [-f SENDER] [-r RECIPIENT] [-a ORIGINAL] [-m MAILBOX]\n"
    "                    [-t eml|maildir|mbox|queue] [-q QUEUE-ID|ALL]... [-j WORKERS] [-v]\n"
    "                    [--no-script] [--ignore-quota] [--dry-run] [--report FILE] [--json]\n"
    "                    [--postfix-config DIR] [SOURCE ...]";

/* So many in a row failing for a reason outside the messages: the database is away, the disk is full. */
#define IN_A_ROW_MAX 10

struct arguments {
    struct replay_options options;
    struct replay_queue queue;
    enum replay_type type;
    GPtrArray *queue_ids;    /* const char * */
    const char *report_path;
    int workers;
    bool json, verbose;
};

struct run {
    const struct arguments *arguments;
    struct replay_pool *pool;
    struct replay_report *report;
    struct progress *progress;
    const char *stopped;     /* why; or NULL */
    struct error err;        /* what @stopped may point at */
};

/* ------------------------------------------------------------------ ^C */

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* What is begun is brought to its end; the second signal does not wait for it. */
static void catch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;

    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = interrupt;
    action.sa_flags = (int)SA_RESETHAND;
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
        sigaction(signals[i], &action, NULL);
}

/* ------------------------------------------------------------------ a run */

static void add(struct run *run, const char *name, const char *queue_id,
                const struct replay_answer *answer)
{
    replay_report_add(run->report, name, queue_id, answer);
    progress_update(run->progress, replay_report_done(run->report));
}

static void answered(void *ctx, const struct replay_job *job, const struct replay_answer *answer)
{
    add(ctx, job->name, job->queue_id, answer);
}

static void left(void *ctx, const char *name, enum replay_outcome outcome,
                 const struct error *err)
{
    struct replay_answer answer = {
        .outcome = outcome, .kind = err->kind, .text = (char *)err->text};

    add(ctx, name, NULL, &answer);
}

static bool found(void *ctx, const struct replay_job *job, int fd)
{
    struct run *run = ctx;

    if (interrupted) {
        run->stopped = "interrupted";
    } else if (replay_report_in_a_row(run->report) >= IN_A_ROW_MAX) {
        run->stopped = "stopped, because one after the other failed";
    } else if (job->recipient != NULL && run->arguments->options.user != NULL) {
        struct error err;

        error_set(&err, ERROR_USAGE, "a queue file has an envelope of its own: leave -u out");
        left(run, job->name, REPLAY_FAILED, &err);
    } else if (!replay_pool_submit(run->pool, job, fd, &run->err)) {
        run->stopped = run->err.text;
    }
    return run->stopped == NULL;
}

static bool walk(struct run *run, char **sources, int count)
{
    const struct arguments *arguments = run->arguments;
    const struct replay_sink sink = {run, found, left};

    for (guint i = 0; i < arguments->queue_ids->len; i++) {
        const char *id = arguments->queue_ids->pdata[i];
        bool more = strcmp(id, "ALL") == 0 ? replay_queue_all(&arguments->queue, &sink)
                                           : replay_queue_id(&arguments->queue, id, &sink);
        if (!more)
            return false;
    }
    for (int i = 0; i < count; i++)
        if (!replay_source_walk(sources[i], arguments->type, &arguments->queue, &sink))
            return false;
    return true;
}

/* For the bar; 0, not known, where an mbox or a queue is among the sources. */
static uint64_t count_messages(const struct arguments *arguments, char **sources, int count)
{
    uint64_t sum = 0;

    if (!isatty(STDERR_FILENO) || arguments->queue_ids->len > 0)
        return 0;
    for (int i = 0; i < count; i++) {
        uint64_t messages = replay_folder_count(sources[i]);

        if (messages == 0)
            return 0;
        sum += messages;
    }
    return sum;
}

static int replay(const struct arguments *arguments, const struct config *config, FILE *left_file,
                  char **sources, int count)
{
    const struct replay_report_options report_options = {
        .left = left_file,
        .summary = stdout,
        .json = arguments->json,
        .verbose = arguments->verbose || arguments->options.dry_run,
        .dry_run = arguments->options.dry_run,
    };
    struct run run = {.arguments = arguments};

    run.report = replay_report_new(&report_options);
    run.progress = progress_new("replaying", count_messages(arguments, sources, count));
    run.pool = replay_pool_new(config, &arguments->options, arguments->workers, answered, &run);
    catch_signals();
    walk(&run, sources, count);
    replay_pool_free(run.pool);
    progress_free(run.progress);
    int status = replay_report_finish(run.report, run.stopped);
    if (left_file != stdout && left_file != stderr && replay_report_failed(run.report) > 0 &&
        !arguments->json)
        printf("what was not delivered, and why: %s\n", arguments->report_path);
    replay_report_free(run.report);
    return status;
}

/* ------------------------------------------------------------------ options */

enum {
    OPTION_NO_SCRIPT = 256,
    OPTION_IGNORE_QUOTA,
    OPTION_DRY_RUN,
    OPTION_REPORT,
    OPTION_JSON,
    OPTION_POSTFIX_CONFIG
};

static const struct option long_options[] = {
    {"no-script", no_argument, NULL, OPTION_NO_SCRIPT},
    {"ignore-quota", no_argument, NULL, OPTION_IGNORE_QUOTA},
    {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
    {"report", required_argument, NULL, OPTION_REPORT},
    {"json", no_argument, NULL, OPTION_JSON},
    {"postfix-config", required_argument, NULL, OPTION_POSTFIX_CONFIG},
    {NULL, 0, NULL, 0},
};

static bool take_type(const char *name, enum replay_type *ret_type)
{
    static const struct {
        const char *name;
        enum replay_type type;
    } rows[] = {{"eml", REPLAY_EML},
                {"maildir", REPLAY_MAILDIR},
                {"mbox", REPLAY_MBOX},
                {"queue", REPLAY_QUEUE}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (strcmp(rows[i].name, name) == 0) {
            *ret_type = rows[i].type;
            return true;
        }
    return false;
}

static bool take_option(int option, struct arguments *arguments)
{
    switch (option) {
    case 'u': arguments->options.user = optarg; break;
    case 'f': arguments->options.sender = optarg; break;
    case 'r': arguments->options.recipient = optarg; break;
    case 'a': arguments->options.original = optarg; break;
    case 'm': arguments->options.mailbox = optarg; break;
    case 't': return take_type(optarg, &arguments->type);
    case 'q':
        g_ptr_array_add(arguments->queue_ids, optarg);
        return strcmp(optarg, "ALL") == 0 || replay_queue_id_is_valid(optarg);
    case 'j':
        arguments->workers = (int)CLAMP(g_ascii_strtoll(optarg, NULL, 10), 0, REPLAY_WORKERS_MAX);
        return arguments->workers > 0;
    case 'v': arguments->verbose = true; break;
    case OPTION_NO_SCRIPT: arguments->options.no_script = true; break;
    case OPTION_IGNORE_QUOTA: arguments->options.ignore_quota = true; break;
    case OPTION_DRY_RUN: arguments->options.dry_run = true; break;
    case OPTION_REPORT: arguments->report_path = optarg; break;
    case OPTION_JSON: arguments->json = true; break;
    case OPTION_POSTFIX_CONFIG: arguments->queue.config_dir = optarg; break;
    default: return false;
    }
    return true;
}

/* A queue file says who sent it to whom. */
static bool envelope_is_given(const struct replay_options *options)
{
    return options->user != NULL || options->sender != NULL || options->recipient != NULL ||
           options->original != NULL;
}

static int open_report_and_replay(const struct arguments *arguments, const struct config *config,
                                  char **sources, int count)
{
    FILE *file = arguments->json ? stdout : stderr;
    struct error err;
    bool own = arguments->report_path != NULL && strcmp(arguments->report_path, "-") != 0;
    if (arguments->report_path != NULL)
        file = stdout;
    if (own)
        file = fopen(arguments->report_path, "we");
    if (file == NULL) {
        error_set_errno(&err, ERROR_USAGE, errno, "cannot write %s", arguments->report_path);
        return command_fail("replay", &err);
    }
    int status = replay(arguments, config, file, sources, count);
    if (own && fclose(file) != 0)
        status = EX_IOERR;
    return status;
}

int cmd_replay(int argc, char **argv, struct config *config)
{
    static char *standard_input[] = {"-"};
    struct arguments arguments = {.workers = 1};
    int option, status;

    arguments.queue_ids = g_ptr_array_new();
    bool good = true;
    while (good && (option = getopt_long(argc, argv, "u:f:r:a:m:t:q:j:v", long_options, NULL)) != -1)
        good = take_option(option, &arguments);
    if (arguments.queue_ids->len > 0 && envelope_is_given(&arguments.options))
        good = false;
    char **sources = argv + optind;
    int count = argc - optind;
    if (count == 0 && arguments.queue_ids->len == 0) {
        sources = standard_input;
        count = 1;
        good = good && !isatty(STDIN_FILENO);
    }
    status = good ? open_report_and_replay(&arguments, config, sources, count)
                  : command_usage(usage);
    g_ptr_array_unref(arguments.queue_ids);
    return status;
}
