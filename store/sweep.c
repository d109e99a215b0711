/* Housekeeping: what crashes left in vmail-pending/, and rows past their time. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "store/db.h"
#include "store/store-internal.h"

/* A spool whose process is gone; a little age, because locks may not work on the file system. */
#define SPOOL_AGE_S 3600
/* Rows per statement: no long locks, no long transactions. */
#define ROWS_PER_STATEMENT 500
#define STATEMENTS_MAX 2000

struct sweep {
    struct store *store;
    const struct store_user *user;
    int dir;
    int64_t now;
    bool check_only;
    struct store_sweep_counts *counts;
};

/* ------------------------------------------------------------------ files */

/* Locks @name; -1: somebody works on it, or it is gone. */
static int lock_file(int dir, const char *name)
{
    AUTO_FD fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat now, held;

    if (fd < 0 || (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK))
        return -1;
    /* a retry may have put its own file in the place of what was opened */
    if (fstat(fd, &held) < 0 || fstatat(dir, name, &now, AT_SYMLINK_NOFOLLOW) < 0 ||
        held.st_ino != now.st_ino)
        return -1;
    return fd_steal(&fd);
}

static void sweep_spool(struct sweep *sweep, const char *name, const struct stat *st)
{
    /* a young one is left alone: its process may be about to lock it */
    if (sweep->now - st->st_mtime < SPOOL_AGE_S)
        return;

    AUTO_FD lock = lock_file(sweep->dir, name);

    if (lock < 0)
        return;
    sweep->counts->spools++;
    if (!sweep->check_only)
        unlinkat(sweep->dir, name, 0);
}

/* <key>.0, the head of what a delivery left. */
static bool sweep_delivery(struct sweep *sweep, const char *name, const char *key,
                           const struct stat *st, struct error *err)
{
    AUTO_FD lock = lock_file(sweep->dir, name);
    bool committed;

    if (lock < 0)
        return true;
    if (!store_key_is_committed(sweep->store, sweep->user->id, key, &committed, err))
        return false;
    if (committed) {
        sweep->counts->finished++;
    } else if (sweep->now - st->st_mtime > sweep->store->options.keys_keep_s) {
        sweep->counts->given_up++;
    } else {
        sweep->counts->waiting++;
        return true;
    }
    if (!sweep->check_only)
        pending_remove(sweep->dir, key, false);
    return true;
}

/* <key>.sent or <key>.n without its <key>.0: a try that was undone, or a sweep that died. */
static void sweep_orphan(struct sweep *sweep, const char *name, const char *key,
                         const struct stat *st)
{
    g_autofree char *head = g_strconcat(key, ".0", NULL);
    struct stat ignored;

    if (fstatat(sweep->dir, head, &ignored, AT_SYMLINK_NOFOLLOW) == 0 ||
        sweep->now - st->st_mtime <= sweep->store->options.keys_keep_s)
        return;
    sweep->counts->given_up++;
    if (!sweep->check_only)
        unlinkat(sweep->dir, name, 0);
}

static bool sweep_entry(struct sweep *sweep, const char *name, struct error *err)
{
    unsigned char ignored[32];
    g_autofree char *key = NULL;
    struct stat st;

    if (fstatat(sweep->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return true;
    if (g_str_has_prefix(name, "spool.")) {
        sweep_spool(sweep, name, &st);
        return true;
    }
    if (strlen(name) <= PENDING_KEY_DIGITS || name[PENDING_KEY_DIGITS] != '.')
        return true;
    key = g_strndup(name, PENDING_KEY_DIGITS);
    if (!store_key_to_bytes(key, ignored))
        return true;
    if (strcmp(name + PENDING_KEY_DIGITS, ".0") == 0)
        return sweep_delivery(sweep, name, key, &st, err);
    sweep_orphan(sweep, name, key, &st);
    return true;
}

bool store_sweep_user(struct store *store, const struct store_user *user, bool check_only,
                      struct store_sweep_counts *counts, struct error *err)
{
    int fd = pending_open_dir(user->home, false, err);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct sweep sweep = {store, user, fd, (int64_t)time(NULL), check_only, counts};
    const struct dirent *entry;
    bool ok = true;

    if (dir == NULL) {
        if (fd < 0 && err->code == ENOENT) {
            error_clear(err);
            return true;
        }
        if (fd >= 0) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read %s", PENDING_DIR);
            close(fd);
        }
        return false;
    }
    while (ok && (entry = readdir(dir)) != NULL)
        ok = sweep_entry(&sweep, entry->d_name, err);
    closedir(dir);

    const struct mail_format *format = ok ? mail_format_of(user, err) : NULL;

    if (format == NULL)
        return false;
    return check_only || format->recover == NULL || format->recover(store, user, NULL, 0, err);
}

/* ------------------------------------------------------------------ rows */

/* Deletes, some hundred at a time, what is older than @before. */
static bool sweep_table(struct store *store, const char *count_sql, const char *delete_sql,
                        int64_t before, bool check_only, int64_t *counted, struct error *err)
{
    const struct db_value values[] = {db_time(before), db_int(ROWS_PER_STATEMENT)};

    if (check_only) {
        bool found;

        return db_query_int(store->db, count_sql, values, 1, &found, counted, err);
    }
    for (int i = 0; i < STATEMENTS_MAX; i++) {
        if (!db_exec(store->db, delete_sql, values, 2, NULL, NULL, err))
            return false;
        *counted += db_changes(store->db);
        if (db_changes(store->db) < ROWS_PER_STATEMENT)
            break;
    }
    return true;
}

bool store_sweep_rows(struct store *store, bool check_only, struct store_sweep_counts *counts,
                      struct error *err)
{
    int64_t now = (int64_t)time(NULL);
    int64_t keys = 0, replies = 0, duplicates = 0;

    if (!sweep_table(store, "SELECT count(*) FROM deliveries WHERE delivered_at < $1",
                     "DELETE FROM deliveries WHERE (user_id, delivery_key) IN (SELECT user_id, "
                     "delivery_key FROM deliveries WHERE delivered_at < $1 LIMIT $2)",
                     now - store->options.keys_keep_s, check_only, &keys, err) ||
        !sweep_table(store, "SELECT count(*) FROM sieve_replies WHERE expires_at < $1",
                     "DELETE FROM sieve_replies WHERE (user_id, reply_key, address) IN (SELECT "
                     "user_id, reply_key, address FROM sieve_replies WHERE expires_at < $1 LIMIT $2)",
                     now, check_only, &replies, err) ||
        !sweep_table(store, "SELECT count(*) FROM sieve_duplicates WHERE expires_at < $1",
                     "DELETE FROM sieve_duplicates WHERE (user_id, duplicate_key) IN (SELECT "
                     "user_id, duplicate_key FROM sieve_duplicates WHERE expires_at < $1 LIMIT $2)",
                     now, check_only, &duplicates, err))
        return false;
    counts->keys += keys;
    counts->replies += replies;
    counts->duplicates += duplicates;
    return true;
}
