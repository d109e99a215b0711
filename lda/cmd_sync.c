/* vmail sync: rows follow the files, and is_read from SQL goes back into them. */
#include "lda/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include <glib.h>

#include "lda/config.h"
#include "lda/log.h"
#include "lda/progress.h"
#include "lda/sync_host.h"
#include "lda/watch.h"
#include "store/db.h"
#include "store/search.h"

static const char usage[] = "sync -u USER | --all [--full] [--json]\n"
                            "       vmail sync --watch";

/* A delivery publishes its file some milliseconds before its row; a slow database makes it more. */
#define MIN_AGE_S 2

struct arguments {
    const char *user;
    bool all, full, json, watch;
};

static void print_note(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "vmail sync: %s\n", text);
}

static void on_progress(void *ctx, int64_t files)
{
    progress_update(ctx, (uint64_t)files);
}

/* The users asked for. */
static bool find_users(const struct arguments *arguments, struct db *db,
                       const struct config *config, GPtrArray **ret_users, struct error *err)
{
    GPtrArray *users;
    struct user *user;

    if (arguments->all)
        return user_list(db, config, ret_users, err);
    if (!command_find_user(db, config, arguments->user, &user, err))
        return false;
    users = g_ptr_array_new_with_free_func((GDestroyNotify)user_free);
    g_ptr_array_add(users, user);
    *ret_users = users;
    return true;
}

/* All of @users; what fails for one is told and does not keep the others from it. */
static bool sync_users(struct syncer *syncer, struct db *db, const GPtrArray *users,
                       const struct arguments *arguments, struct progress *progress,
                       struct sync_counts *counts, struct error *err)
{
    struct sync_options options = {
        .full = arguments->full,
        .min_age_s = MIN_AGE_S,
        /* of one user the files are counted, of many the users */
        .progress = users->len == 1 ? on_progress : NULL,
        .progress_ctx = progress,
    };
    bool failed = false;

    for (guint i = 0; i < users->len; i++) {
        struct error own = {0};

        if (!syncer_run(syncer, db, users->pdata[i], &options, counts, &own)) {
            if (failed)
                print_note(NULL, own.text);
            else
                *err = own;
            failed = true;
            if (db_fault(db) == DB_FAULT_LOST || db_fault(db) == DB_FAULT_MISSING)
                return false;
            continue;
        }
        if (users->len > 1)
            progress_update(progress, i + 1);
    }
    return !failed;
}

static bool run(const struct arguments *arguments, struct config *config, struct error *err)
{
    g_autoptr(db_t) db = command_open_db(config, err);
    g_autoptr(GPtrArray) users = NULL;
    struct sync_counts counts = {0};
    struct progress *progress;
    struct syncer *syncer;
    int64_t filled;
    bool done;

    if (!db || !find_users(arguments, db, config, &users, err))
        return false;
    syncer = syncer_new(config, print_note, NULL);
    progress = progress_new("rows follow the files", users->len > 1 ? users->len : 0);
    done = sync_users(syncer, db, users, arguments, progress, &counts, err);
    progress_free(progress);
    syncer_free(syncer);
    if (done)
        done = search_fill(db, 0, &filled, err);
    sync_counts_print(&counts, users->len, arguments->json);
    return done;
}

int cmd_sync(int argc, char **argv, struct config *config)
{
    static const struct option options[] = {
        {"user", required_argument, NULL, 'u'}, {"all", no_argument, NULL, 'a'},
        {"full", no_argument, NULL, 'f'},       {"json", no_argument, NULL, 'j'},
        {"watch", no_argument, NULL, 'w'},      {NULL, 0, NULL, 0},
    };
    struct arguments arguments = {NULL};
    struct error err = {0};
    int option;

    while ((option = getopt_long(argc, argv, "u:aj", options, NULL)) != -1)
        switch (option) {
        case 'u':
            arguments.user = optarg;
            break;
        case 'a':
            arguments.all = true;
            break;
        case 'f':
            arguments.full = true;
            break;
        case 'j':
            arguments.json = true;
            break;
        case 'w':
            arguments.watch = true;
            break;
        default:
            return command_usage(usage);
        }
    if (optind < argc || (arguments.user != NULL) + arguments.all + arguments.watch != 1)
        return command_usage(usage);
    if (arguments.watch)
        return watch_run(config, &err) ? EX_OK : command_fail("sync", &err);
    return run(&arguments, config, &err) ? EX_OK : command_fail("sync", &err);
}
