/*
 * One loop: events of the file system, the word of the database, and a clock.
 *
 * A folder that changed is looked at SETTLE_MS after its last event, or HOLD_MS after its first: a
 * client that flags a thousand messages makes one look, not a thousand. What is not told is found
 * by looking at everything now and then (RESCAN_MS), which the stamps of the folders make cheap.
 */
#include "lda/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <syslog.h>
#include <unistd.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/command.h"
#include "lda/config.h"
#include "lda/log.h"
#include "lda/sync_host.h"
#include "lda/user.h"
#include "store/db.h"
#include "store/mailbox_name.h"
#include "store/mbox.h"
#include "store/search.h"
#include "store/sync_events.h"

#define SETTLE_MS 20
#define HOLD_MS 200
#define TICK_MS 1000       /* SQLite is asked for changes of is_read, the index is filled */
#define USERS_MS 30000     /* new accounts and homes are looked for */
#define RESCAN_MS 600000   /* everything is looked at */
#define RETRY_MS 1000      /* the database is away, an error with a user: first wait … */
#define RETRY_MAX_MS 30000 /* … and longest */
#define MIN_AGE_S 2
#define FILL_ROWS 2000 /* index entries in one go: a change must not wait behind them */

/* A user whose folders must be looked at. */
struct dirty {
    bool all;
    GHashTable *mailboxes; /* set of names */
    int64_t first, last;   /* events, ms */
    int64_t not_before;    /* ms; after an error */
};

struct watched_user {
    struct user *user;
    struct dirty dirty;
    bool is_dirty;
    bool is_watched;
    int64_t revisit; /* ms; a file was too young, or moved while we looked. 0: no */
    int64_t retry_ms;
};

struct watch {
    const struct config *config;
    struct sync_events *events;
    struct syncer *syncer;
    struct db *db, *listener; /* NULL: away. listener: PostgreSQL only */
    int64_t retry_ms, next_try;
    int64_t next_tick, next_users, next_rescan;
    GHashTable *users; /* id → watched_user */
    bool told_limit;
};

static int64_t now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

static void log_note(void *ctx, const char *text)
{
    (void)ctx;
    log_line(LOG_WARNING, "sync: %s", text);
}

static void watched_user_free(gpointer data)
{
    struct watched_user *watched = data;

    user_free(watched->user);
    g_hash_table_unref(watched->dirty.mailboxes);
    g_free(watched);
}

/* ------------------------------------------------------------------ what must be looked at */

static void mark(struct watched_user *watched, const char *mailbox, int64_t delay_ms)
{
    struct dirty *dirty = &watched->dirty;
    int64_t now = now_ms();

    if (!watched->is_dirty)
        dirty->first = now;
    watched->is_dirty = true;
    dirty->last = now;
    dirty->not_before = MAX(dirty->not_before, delay_ms > 0 ? now + delay_ms : 0);
    if (mailbox)
        g_hash_table_add(dirty->mailboxes, g_strdup(mailbox));
    else
        dirty->all = true;
}

static void mark_everybody(struct watch *watch)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, watch->users);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        mark(value, NULL, 0);
}

static void watch_home(struct watch *watch, struct watched_user *watched)
{
    struct error err = {0};
    AUTO_FD home = user_open_home(watched->user, watch->config, false, &err);

    if (home < 0)
        return; /* not there yet: the next round */
    if ((watched->user->mbox ? sync_events_add_mbox_home : sync_events_add_home)(
            watch->events, watched->user->id, home, watched->user->home, &err)) {
        watched->is_watched = true;
        return;
    }
    /* without a watch the rescans find what changes */
    if (err.kind != ERROR_CONFIG || !watch->told_limit)
        log_line(LOG_ERR, "sync: %s: %s", watched->user->address, err.text);
    watch->told_limit = watch->told_limit || err.kind == ERROR_CONFIG;
}

static void on_changed(void *ctx, int64_t id, const char *dir)
{
    struct watch *watch = ctx;
    struct watched_user *watched = g_hash_table_lookup(watch->users, &id);
    g_autofree char *mailbox = NULL;

    if (!watched)
        return;
    if (!dir) {
        watch_home(watch, watched);
        mark(watched, NULL, 0);
    } else if (watched->user->mbox) {
        if (mbox_path_to_mailbox(dir, &mailbox))
            mark(watched, mailbox, 0);
    } else if (strcmp(dir, ".") == 0) {
        mark(watched, "INBOX", 0);
    } else if (mailbox_name_from_dir(dir, &mailbox)) {
        mark(watched, mailbox, 0);
    }
}

static bool read_events(struct watch *watch, struct error *err)
{
    bool overflow;

    if (!sync_events_read(watch->events, on_changed, watch, &overflow, err))
        return false;
    if (overflow) {
        log_line(LOG_WARNING, "sync: events were lost, looking at everything");
        mark_everybody(watch);
    }
    return true;
}

/* ------------------------------------------------------------------ the database */

static void drop_database(struct watch *watch, const struct error *err)
{
    if (watch->db || watch->retry_ms == 0)
        log_line(LOG_ERR, "sync: %s; trying again", err->text);
    db_close(g_steal_pointer(&watch->listener));
    db_close(g_steal_pointer(&watch->db));
    watch->retry_ms = CLAMP(watch->retry_ms * 2, RETRY_MS, RETRY_MAX_MS);
    watch->next_try = now_ms() + watch->retry_ms;
}

/* Connects; what was said while nobody listened is asked for by the next tick. */
static bool connect_database(struct watch *watch, struct error *err)
{
    watch->db = command_open_db(watch->config, err);
    if (!watch->db)
        return false;
    if (db_kind(watch->db) == DB_PGSQL) {
        watch->listener = command_open_db(watch->config, err);
        if (!watch->listener || !db_listen(watch->listener, "vmail_is_read", err))
            return false;
    }
    if (watch->retry_ms > 0)
        log_line(LOG_INFO, "sync: the database is back");
    watch->retry_ms = 0;
    watch->next_tick = watch->next_users = 0;
    return true;
}

/* Accounts that are new get a watch and a first look; those that are gone are let go. */
static bool load_users(struct watch *watch, struct error *err)
{
    g_autoptr(GPtrArray) users = NULL;
    g_autoptr(GHashTable) seen = g_hash_table_new(g_int64_hash, g_int64_equal);
    GHashTableIter iter;
    gpointer key;

    if (!user_list(watch->db, watch->config, &users, err))
        return false;
    g_ptr_array_set_free_func(users, NULL);
    for (guint i = 0; i < users->len; i++) {
        struct user *user = users->pdata[i];
        struct watched_user *watched = g_hash_table_lookup(watch->users, &user->id);

        if (!watched) {
            watched = g_new0(struct watched_user, 1);
            watched->user = user;
            watched->dirty.mailboxes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
            g_hash_table_replace(watch->users, &user->id, watched);
            mark(watched, NULL, 0);
        } else {
            user_free(user);
        }
        if (watched)
            g_hash_table_add(seen, &watched->user->id);
        if (watched && !watched->is_watched) {
            watch_home(watch, watched);
            if (watched->is_watched)
                mark(watched, NULL, 0);
        }
    }
    g_hash_table_iter_init(&iter, watch->users);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        if (!g_hash_table_contains(seen, key))
            g_hash_table_iter_remove(&iter);
    return true;
}

static void on_told(void *ctx, const char *channel, const char *payload)
{
    struct watch *watch = ctx;
    int64_t id = g_ascii_strtoll(payload, NULL, 10);
    struct watched_user *watched = g_hash_table_lookup(watch->users, &id);

    (void)channel;
    if (watched)
        mark(watched, NULL, 0);
}

static bool take_changed_user(void *ctx, const struct db_row *row, struct error *err)
{
    struct watch *watch = ctx;
    int64_t id = db_row_int(row, 0);
    struct watched_user *watched = g_hash_table_lookup(watch->users, &id);

    (void)err;
    if (watched && !watched->is_dirty)
        mark(watched, NULL, 0);
    return true;
}

/* Users in whose rows an application changed is_read: by the partial index, nearly always empty. */
static bool ask_for_changes(struct watch *watch, struct error *err)
{
    return db_exec(watch->db,
                   db_kind(watch->db) == DB_PGSQL ? "SELECT DISTINCT user_id FROM email_headers "
                                                    "WHERE is_read IS DISTINCT FROM file_is_read"
                                                  : "SELECT DISTINCT user_id FROM email_headers "
                                                    "WHERE is_read IS NOT file_is_read",
                   NULL, 0, take_changed_user, watch, err);
}

/* ------------------------------------------------------------------ looking */

static void run_user(struct watch *watch, struct watched_user *watched)
{
    g_autoptr(GHashTable) mailboxes = g_steal_pointer(&watched->dirty.mailboxes);
    g_autofree const char **names = NULL;
    struct sync_options options = {.min_age_s = MIN_AGE_S};
    struct sync_counts counts = {0};
    struct error err = {0};
    bool all = watched->dirty.all;

    /* clean from here on: what changes while we look makes it dirty again */
    names = (const char **)g_hash_table_get_keys_as_array(mailboxes, NULL);
    watched->dirty =
        (struct dirty){.mailboxes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
    watched->is_dirty = false;
    if (!all)
        options.only_mailboxes = names;
    if (syncer_run(watch->syncer, watch->db, watched->user, &options, &counts, &err)) {
        watched->retry_ms = 0;
        /* beside the marks, not in their place: what changes meanwhile is looked at meanwhile */
        if (counts.waiting > 0)
            watched->revisit = now_ms() + MIN_AGE_S * 1000 + 100;
        if (sync_counts_differences(&counts) > 0)
            log_line(LOG_DEBUG, "sync: %s: %" PRId64 " rows", watched->user->address,
                     sync_counts_differences(&counts));
        return;
    }
    if (!db_alive(watch->db) || db_fault(watch->db) == DB_FAULT_LOST) {
        mark(watched, NULL, 0);
        drop_database(watch, &err);
        return;
    }
    log_line(LOG_ERR, "sync: %s", err.text);
    watched->retry_ms = CLAMP(watched->retry_ms * 2, RETRY_MS, RETRY_MAX_MS);
    mark(watched, NULL, watched->retry_ms);
}

static int64_t due_of(const struct watched_user *watched)
{
    const struct dirty *dirty = &watched->dirty;

    return MAX(MIN(dirty->last + SETTLE_MS, dirty->first + HOLD_MS), dirty->not_before);
}

/* Looks at who is due; *@next: when the next one is. */
static void run_due(struct watch *watch, int64_t *next)
{
    g_autoptr(GPtrArray) due = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, watch->users);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct watched_user *watched = value;

        if (watched->revisit > 0 && watched->revisit <= now_ms()) {
            watched->revisit = 0;
            mark(watched, NULL, 0);
        }
        if (watched->revisit > 0)
            *next = MIN(*next, watched->revisit);
        if (watched->is_dirty && due_of(watched) <= now_ms())
            g_ptr_array_add(due, watched);
        else if (watched->is_dirty)
            *next = MIN(*next, due_of(watched));
    }
    for (guint i = 0; i < due->len && watch->db; i++) {
        struct watched_user *watched = due->pdata[i];

        run_user(watch, watched);
        if (watched->revisit > 0)
            *next = MIN(*next, watched->revisit);
    }
}

/* What the clock asks for. */
static bool run_clock(struct watch *watch, int64_t now, struct error *err)
{
    int64_t filled;

    if (now >= watch->next_users) {
        if (!load_users(watch, err))
            return false;
        watch->next_users = now + USERS_MS;
    }
    if (now >= watch->next_rescan) {
        mark_everybody(watch);
        watch->next_rescan = now + RESCAN_MS;
    }
    if (now >= watch->next_tick) {
        if (!ask_for_changes(watch, err) || !search_fill(watch->db, FILL_ROWS, &filled, err))
            return false;
        watch->next_tick = now + TICK_MS;
    }
    return !watch->listener || db_notifications(watch->listener, on_told, watch, err);
}

/* One round with the database there; *@next: when the clock wants us again. */
static void round_with_database(struct watch *watch, int64_t *next)
{
    struct error err = {0};

    if (!run_clock(watch, now_ms(), &err)) {
        drop_database(watch, &err);
        return;
    }
    *next = MIN(MIN(watch->next_tick, watch->next_users), watch->next_rescan);
    run_due(watch, next);
}

/* Waits for an event or until @next; false: a signal said to end. */
static bool wait_for_more(struct watch *watch, int signals, int64_t next)
{
    struct pollfd polls[3] = {
        {.fd = signals, .events = POLLIN},
        {.fd = sync_events_fd(watch->events), .events = POLLIN},
        {.fd = watch->listener ? db_socket(watch->listener) : -1, .events = POLLIN},
    };
    int64_t wait = CLAMP(next - now_ms(), 0, 60000);

    if (poll(polls, 3, (int)wait) < 0)
        return errno == EINTR;
    return !(polls[0].revents & POLLIN);
}

static bool loop(struct watch *watch, int signals, struct error *err)
{
    for (;;) {
        int64_t next;

        if (!watch->db && now_ms() >= watch->next_try) {
            struct error away = {0};

            if (!connect_database(watch, &away))
                drop_database(watch, &away);
        }
        if (!read_events(watch, err))
            return false;
        next = watch->next_try;
        if (watch->db)
            round_with_database(watch, &next);
        if (!watch->db)
            next = watch->next_try;
        if (!wait_for_more(watch, signals, next))
            return true;
    }
}

bool watch_run(const struct config *config, struct error *err)
{
    struct watch watch = {.config = config};
    AUTO_FD signals = -1;
    sigset_t set;
    bool done;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    log_open(config, "vmail-sync");
    watch.events = sync_events_open(config_text(config, CONFIG_VMAIL_ROOT),
                                    config_bool(config, CONFIG_SYNC_FANOTIFY), err);
    if (!watch.events) {
        log_close();
        return false;
    }
    watch.users = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, watched_user_free);
    watch.syncer = syncer_new(config, log_note, NULL);
    log_line(LOG_INFO, "sync: watching %s by %s", config_text(config, CONFIG_VMAIL_ROOT),
             sync_events_kind(watch.events));
    done = loop(&watch, signals, err);
    log_line(LOG_INFO, "sync: ends");
    db_close(watch.listener);
    db_close(watch.db);
    syncer_free(watch.syncer);
    g_hash_table_unref(watch.users);
    sync_events_close(watch.events);
    log_close();
    return done;
}
