#include "store/mbox_recover.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "store/db.h"
#include "store/mbox.h"
#include "store/mbox_journal.h"
#include "store/mbox_rewrite.h"
#include "store/mbox_scan.h"
#include "store/store-internal.h"

/* ------------------------------------------------------------------ was it committed? */

/*
 * "Not there" is no answer yet: whoever sent COMMIT may be dead while the server is still at work on it.
 * Writing the key ourselves is one: it waits for that transaction's end, and then says that the key is
 * there, or keeps everybody from writing it until db_rollback. (A journal is written only after the
 * server has answered the key's INSERT: the transaction cannot begin later.)
 */
static bool fence(struct store *store, int64_t user_id, const char *key, bool *ret_committed,
                  struct error *err)
{
    unsigned char bytes[32];

    store_key_to_bytes(key, bytes);

    const struct db_value values[] = {db_int(user_id), db_bytes(bytes, sizeof bytes),
                                      db_time((int64_t)time(NULL))};

    if (db_begin(store->db, err) &&
        db_queue(store->db,
                 "INSERT INTO deliveries (user_id, delivery_key, delivered_at) "
                 "VALUES ($1, $2, $3)",
                 values, G_N_ELEMENTS(values), NULL, NULL, err) &&
        db_collect(store->db, err)) {
        *ret_committed = false;
        return true;
    }

    bool unique = db_fault(store->db) == DB_FAULT_UNIQUE;

    db_rollback(store->db);
    if (!unique)
        return false;
    error_clear(err);
    *ret_committed = true;
    return true;
}

/* ------------------------------------------------------------------ not committed: take it back */

struct search {
    const struct mbox *mbox;
    const struct mbox_journal *journal;
    GArray *torn;           /* struct mbox_edit: removals */
    bool others_behind;     /* a message that is not ours lies behind the first of ours */
    bool any, whole;
    off_t first;            /* offset of the first of ours */
};

static const struct mbox_journal_entry *find_entry(const struct mbox_journal *journal,
                                                   const char *key)
{
    for (guint i = 0; i < journal->entries->len; i++) {
        const struct mbox_journal_entry *entry =
            &g_array_index(journal->entries, struct mbox_journal_entry, i);

        if (strcmp(entry->key, key) == 0)
            return entry;
    }
    return NULL;
}

static bool on_message(const struct mbox_message *message, void *ctx, struct error *err)
{
    struct search *search = ctx;
    const struct mbox_journal_entry *entry = find_entry(search->journal, message->key);
    char digest[65];

    if (entry == NULL) {
        search->others_behind |= search->any;
        return true;
    }
    if (!search->any)
        search->first = message->offset;
    search->any = true;
    if (!mbox_body_digest(search->mbox->fd, message, search->mbox->path, digest, err))
        return false;
    if (strcmp(digest, entry->body_digest) == 0)
        search->whole = true;
    else
        mbox_edits_remove(search->torn, message);
    return true;
}

/* The retry must look for what stays in the mbox: the leftover under its key tells it to. */
static bool leave_witness(const struct store_user *user, const char *key, struct error *err)
{
    g_autofree char *name = g_strconcat(key, ".0", NULL);
    AUTO_FD dir = pending_open_dir(user->home, true, err);
    AUTO_FD fd = dir < 0 ? -1 : openat(dir, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (dir < 0)
        return false;
    if (fd < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot create %s/%s", PENDING_DIR, name);
        return false;
    }
    return io_sync(dir, PENDING_DIR, err);
}

/* Somebody wrote since: entries are known by their keys. Nothing behind them: they go, whoever changed
 * their headers. Else only what is torn goes. */
static bool take_back_searching(const struct store_user *user, struct mbox *mbox,
                                const struct mbox_journal *journal, struct error *err)
{
    g_autoptr(GArray) torn = mbox_edits_new();
    struct search search = {.mbox = mbox, .journal = journal, .torn = torn};

    if (!mbox_scan(mbox->fd, mbox->path, on_message, &search, err))
        return false;
    if (!search.any)
        return true;
    if (!search.others_behind)
        return mbox_cut(mbox, search.first, err);
    if (search.whole && !leave_witness(user, journal->key, err))
        return false;
    return mbox_rewrite(user->home, mbox, torn, err);
}

/* An entry begins at @offset or there is less than an entry's begin: is it ours, as far as it got? */
static bool begins_with_ours(const struct mbox *mbox, const struct mbox_journal *journal,
                             off_t size, bool *ret_ours, struct error *err)
{
    char text[2048];
    size_t length = (size_t)MIN(size - journal->offset, (off_t)sizeof text - 1);
    const char *at = text;

    *ret_ours = false;
    if (!io_read_at(mbox->fd, text, length, journal->offset, mbox->path, err))
        return false;
    text[length] = '\0';
    at += strspn(at, "\n");
    if (at - text > 2 || strncmp(at, "From ", MIN(strlen(at), 5)) != 0)
        return true;
    at = strchr(at, '\n');
    if (at == NULL) {
        *ret_ours = true; /* it did not get as far as its second line */
        return true;
    }

    const struct mbox_journal_entry *entry =
        &g_array_index(journal->entries, struct mbox_journal_entry, 0);
    g_autofree char *second = g_strdup_printf("X-Vmail-Key: %s\n", entry->key);

    at++;
    *ret_ours = strncmp(at, second, MIN(strlen(at), strlen(second))) == 0;
    return true;
}

struct counting {
    const struct mbox_journal *journal;
    bool foreign;
};

/* Is a message behind the journal's offset that is none of its entries? */
static bool on_behind(const struct mbox_message *message, void *ctx, struct error *err)
{
    struct counting *counting = ctx;

    (void)err;
    if (message->body < message->next && find_entry(counting->journal, message->key) == NULL)
        counting->foreign = true;
    return true;
}

static bool take_back(const struct store_user *user, struct mbox *mbox,
                      const struct mbox_journal *journal, struct error *err)
{
    struct counting counting = {.journal = journal};
    bool ours = false;
    off_t size;

    if (!mbox_size(mbox, &size, err))
        return false;
    if (size <= journal->offset || size > journal->end || journal->entries->len == 0)
        return size == journal->offset || take_back_searching(user, mbox, journal, err);
    if (!begins_with_ours(mbox, journal, size, &ours, err))
        return false;
    /* somebody may have written behind a torn entry and still be below the length that was planned */
    if (ours && !mbox_scan_from(mbox->fd, journal->offset, mbox->path, on_behind, &counting, err))
        return false;
    if (ours && !counting.foreign)
        return mbox_cut(mbox, journal->offset, err);
    return take_back_searching(user, mbox, journal, err);
}

/* ------------------------------------------------------------------ the journal */

/* The delivery is committed, but was it this try's entries? One whose script changed before the retry has
 * its rows elsewhere, and the leftover that tells the retry to look may be lost in a power cut. */
static bool has_rows(struct store *store, const struct store_user *user,
                     const struct mbox_journal *journal, bool *ret_yes, struct error *err)
{
    *ret_yes = journal->entries->len == 0;
    for (guint i = 0; i < journal->entries->len && !*ret_yes; i++) {
        const struct mbox_journal_entry *entry =
            &g_array_index(journal->entries, struct mbox_journal_entry, i);
        const struct db_value values[] = {db_int(user->id), db_text(journal->mailbox),
                                          db_text(entry->key)};
        int64_t one;

        if (!db_query_int(store->db,
                          "SELECT 1 FROM email_headers WHERE user_id = $1 AND mailbox = $2 "
                          "AND file = $3",
                          values, 3, ret_yes, &one, err))
            return false;
    }
    return true;
}

/* Nobody but the delivery itself can have made rows of entries that nobody has seen: where others wrote
 * since, nothing is touched. */
static bool recover_committed(struct store *store, const struct store_user *user,
                              struct mbox *mbox, const struct mbox_journal *journal,
                              struct error *err)
{
    bool wanted;
    off_t size;

    if (!has_rows(store, user, journal, &wanted, err) || !mbox_size(mbox, &size, err))
        return false;
    return wanted || size != journal->end || take_back(user, mbox, journal, err);
}

static bool recover_append(struct store *store, const struct store_user *user, struct mbox *mbox,
                           const struct mbox_journal *journal, struct error *err)
{
    bool committed, ok;

    if (!store_key_is_committed(store, user->id, journal->key, &committed, err))
        return false;
    if (committed)
        return recover_committed(store, user, mbox, journal, err);
    if (!fence(store, user->id, journal->key, &committed, err))
        return false;
    if (committed)
        return recover_committed(store, user, mbox, journal, err);
    ok = take_back(user, mbox, journal, err);
    db_rollback(store->db);
    return ok;
}

static bool follow(struct store *store, const struct store_user *user, struct mbox *mbox, int dir,
                   const struct mbox_journal *journal, struct error *err)
{
    bool done;

    switch (journal->state) {
    case MBOX_JOURNAL_CLEAN:
        return true;
    case MBOX_JOURNAL_APPEND:
        return recover_append(store, user, mbox, journal, err);
    case MBOX_JOURNAL_REWRITE:
        return mbox_rewrite_again(dir, mbox, journal, &done, err);
    }
    return true;
}

bool mbox_recover(struct store *store, const struct store_user *user, struct mbox *mbox, int dir,
                  int journal_fd, struct error *err)
{
    struct mbox_journal journal, now;
    bool ok;

    if (journal_fd < 0)
        return true;
    mbox_journal_init(&journal);
    ok = mbox_journal_read(journal_fd, &journal, err);
    if (ok && journal.state != MBOX_JOURNAL_CLEAN) {
        ok = follow(store, user, mbox, dir, &journal, err);
        /* a rewrite on the way may have left its own, clean record */
        mbox_journal_init(&now);
        ok = ok && mbox_journal_read(journal_fd, &now, err) &&
             (now.state == MBOX_JOURNAL_CLEAN || mbox_journal_clear(journal_fd, err));
        mbox_journal_release(&now);
    }
    mbox_journal_release(&journal);
    return ok;
}

bool mbox_recover_mailbox(struct store *store, const struct store_user *user, const char *mailbox,
                          int timeout_s, struct error *err)
{
    AUTO_FD dir = mbox_journal_open_dir(user->home, false, err);
    AUTO_FD journal = dir < 0 ? -1 : mbox_journal_open(dir, mailbox, false, err);
    struct mbox *mbox = journal < 0 ? NULL : mbox_open(user->home, mailbox, false, err);
    bool ok;

    if (mbox == NULL) {
        /* no mbox: nothing that could be torn */
        if (err->code != ENOENT && !mbox_is_blocked(err))
            return false;
        error_clear(err);
        return true;
    }
    ok = mbox_take_lock(mbox, store->options.mbox_locks, timeout_s, err) &&
         mbox_recover(store, user, mbox, dir, journal, err);
    mbox_free(mbox);
    return ok;
}

bool mbox_recover_user(struct store *store, const struct store_user *user, const char *key,
                       int timeout_s, struct error *err)
{
    g_autoptr(GPtrArray) mailboxes = NULL;

    if (!mbox_journal_list(user->home, key, &mailboxes, err))
        return false;
    for (guint i = 0; i < mailboxes->len; i++) {
        if (mbox_recover_mailbox(store, user, mailboxes->pdata[i], timeout_s, err))
            continue;
        if (timeout_s > 0 || err->code != EAGAIN)
            return false;
        error_clear(err);
    }
    return true;
}
