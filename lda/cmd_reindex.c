/* vmail reindex: all rows again from the files alone; --check only tells what differs. */
#include "lda/command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/config.h"
#include "lda/progress.h"
#include "lda/sync_host.h"
#include "store/db.h"
#include "store/search.h"

static const char usage[] = "reindex -u USER | --all [-j WORKERS] [--check] [--json]";

#define WORKERS_MAX 64

struct arguments {
    const char *user;
    bool all, check, json;
    int workers;
};

/* What a worker tells through its pipe; smaller than PIPE_BUF, so never torn. */
struct report {
    bool last;
    bool failed;
    int64_t files; /* since the last report */
    struct sync_counts counts; /* of the last one only */
    struct error err;
};

struct worker {
    pid_t pid;
    int pipe; /* read end; -1 after the last report */
};

/* ------------------------------------------------------------------ inside a worker */

struct working {
    int pipe;
    int64_t told;
};

static void tell(int pipe, const struct report *report)
{
    struct error ignored = {0};

    io_write(pipe, report, sizeof *report, "pipe", &ignored);
}

static void on_progress(void *ctx, int64_t files)
{
    struct working *working = ctx;
    struct report report = {.files = files - working->told};

    if (report.files < 256)
        return;
    working->told = files;
    tell(working->pipe, &report);
}

static void print_note(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "vmail reindex: %s\n", text);
}

static bool rebuild(struct db *db, const struct config *config, const GPtrArray *users,
                    const struct arguments *arguments, int number, int pipe, struct report *report,
                    struct error *err)
{
    struct syncer *syncer = syncer_new(config, print_note, NULL);
    struct working working = {.pipe = pipe};
    struct sync_options options = {
        .full = true,
        .rebuild = !arguments->check,
        .check_only = arguments->check,
        .progress = on_progress,
        .progress_ctx = &working,
    };
    bool done = true;

    for (guint i = (guint)number; done && i < users->len; i += (guint)arguments->workers) {
        working.told = 0;
        done = syncer_run(syncer, db, users->pdata[i], &options, &report->counts, err);
    }
    syncer_free(syncer);
    return done;
}

/* The worker's whole life. A connection of its own: none survives a fork. */
static void work(const struct config *config, const GPtrArray *users,
                 const struct arguments *arguments, int number, int pipe)
{
    struct report report = {.last = true};
    g_autoptr(db_t) db = command_open_db(config, &report.err);

    report.failed =
        !db || !rebuild(db, config, users, arguments, number, pipe, &report, &report.err);
    tell(pipe, &report);
}

/* ------------------------------------------------------------------ outside */

static bool start_worker(struct worker *worker, const struct config *config, const GPtrArray *users,
                         const struct arguments *arguments, int number, struct error *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot make a pipe");
        return false;
    }
    fflush(NULL);
    worker->pid = fork();
    if (worker->pid < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot start a worker");
        close(ends[0]);
        close(ends[1]);
        return false;
    }
    if (worker->pid == 0) {
        close(ends[0]);
        work(config, users, arguments, number, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    worker->pipe = ends[0];
    return true;
}

/* Takes one report; false: the worker died without its last one. */
static bool take_report(struct worker *worker, struct report *ret_report)
{
    struct error ignored = {0};
    size_t length, have = 0;

    while (have < sizeof *ret_report) {
        if (!io_read(worker->pipe, (char *)ret_report + have, sizeof *ret_report - have, &length,
                     "pipe", &ignored) ||
            length == 0)
            return false;
        have += length;
    }
    return true;
}

static void end_worker(struct worker *worker)
{
    close(worker->pipe);
    worker->pipe = -1;
    while (waitpid(worker->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* Listens until all have ended. The first failure is the answer; the others work on. */
static bool collect(struct worker *workers, int count, struct progress *progress,
                    struct sync_counts *counts, struct error *err)
{
    int running = count;
    uint64_t files = 0;
    bool done = true;

    while (running > 0) {
        struct pollfd polls[WORKERS_MAX];

        for (int i = 0; i < count; i++)
            polls[i] = (struct pollfd){.fd = workers[i].pipe, .events = POLLIN};
        if (poll(polls, (nfds_t)count, -1) < 0)
            continue;
        for (int i = 0; i < count; i++) {
            struct report report;

            if (workers[i].pipe < 0 || !(polls[i].revents & (POLLIN | POLLHUP)))
                continue;
            if (!take_report(&workers[i], &report)) {
                if (done)
                    error_set(err, ERROR_TEMPORARY, "a worker died; run reindex again");
                done = false;
            } else if (!report.last) {
                files += (uint64_t)report.files;
                progress_update(progress, files);
                continue;
            } else {
                sync_counts_add(counts, &report.counts);
                if (report.failed && done)
                    *err = report.err;
                done = done && !report.failed;
            }
            end_worker(&workers[i]);
            running--;
        }
    }
    return done;
}

static bool run_workers(const struct arguments *arguments, const struct config *config,
                        const GPtrArray *users, struct sync_counts *counts,
                        struct error *err)
{
    struct worker workers[WORKERS_MAX];
    struct progress *progress =
        progress_new(arguments->check ? "comparing rows and files" : "rebuilding rows", 0);
    int started = 0;
    bool done = true;

    for (; done && started < arguments->workers; started += done)
        done = start_worker(&workers[started], config, users, arguments, started, err);
    done = collect(workers, started, progress, counts, err) && done;
    progress_free(progress);
    return done;
}

static bool run(struct arguments *arguments, const struct config *config, bool *ret_drift,
                struct error *err)
{
    g_autoptr(GPtrArray) users = NULL;
    g_autoptr(db_t) db = command_open_db(config, err);
    struct sync_counts counts = {0};
    int64_t filled;

    if (!db)
        return false;
    if (arguments->all) {
        if (!user_list(db, config, &users, err))
            return false;
    } else {
        struct user *user;

        if (!command_find_user(db, config, arguments->user, &user, err))
            return false;
        users = g_ptr_array_new_with_free_func((GDestroyNotify)user_free);
        g_ptr_array_add(users, user);
    }
    arguments->workers = CLAMP(arguments->workers, 1, MAX((int)MIN(users->len, WORKERS_MAX), 1));
    /* closed before the fork; opened again for the index */
    db_close(g_steal_pointer(&db));
    if (!run_workers(arguments, config, users, &counts, err))
        return false;
    sync_counts_print(&counts, users->len, arguments->json);
    *ret_drift = sync_counts_differences(&counts) > 0;
    if (arguments->check)
        return true;
    db = command_open_db(config, err);
    return db && search_fill(db, 0, &filled, err);
}

int cmd_reindex(int argc, char **argv, struct config *config)
{
    static const struct option options[] = {
        {"user", required_argument, NULL, 'u'}, {"all", no_argument, NULL, 'a'},
        {"check", no_argument, NULL, 'c'},      {"json", no_argument, NULL, 'J'},
        {"jobs", required_argument, NULL, 'j'}, {NULL, 0, NULL, 0},
    };
    struct arguments arguments = {.workers = 1};
    struct error err = {0};
    bool drift = false;
    int option;

    while ((option = getopt_long(argc, argv, "u:aj:", options, NULL)) != -1)
        switch (option) {
        case 'u':
            arguments.user = optarg;
            break;
        case 'a':
            arguments.all = true;
            break;
        case 'c':
            arguments.check = true;
            break;
        case 'J':
            arguments.json = true;
            break;
        case 'j':
            arguments.workers = (int)CLAMP(g_ascii_strtoll(optarg, NULL, 10), 0, WORKERS_MAX);
            if (arguments.workers < 1)
                return command_usage(usage);
            break;
        default:
            return command_usage(usage);
        }
    if (optind < argc || (arguments.user != NULL) + arguments.all != 1)
        return command_usage(usage);
    if (!run(&arguments, config, &drift, &err))
        return command_fail("reindex", &err);
    return arguments.check && drift ? 1 : EX_OK;
}
