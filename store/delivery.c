/*
 * The delivery transaction: the only file that orders flushes (docs/transaction.md).
 *
 *   PostgreSQL                            SQLite
 *   1 BEGIN, INSERTs are sent             1 the message is flushed
 *   2 the message is flushed              2 what must not be lost is handed to the MTA
 *   3 the answers are collected           3 BEGIN IMMEDIATE, INSERTs
 *   4 what must not be lost goes out      4 link() to every folder, the folders are flushed
 *   5 link(), the folders are flushed     5 COMMIT
 *   6 COMMIT
 *
 * A committed row proves that its files are durable. What a crash leaves is found by the retry: the
 * pending file under the delivery's key, its link count, the key in every published name.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "store/db.h"
#include "store/delivery_rows.h"
#include "store/delivery_targets.h"
#include "store/quota.h"
#include "store/store-internal.h"

/* The MTA's time of arrival is believed when it is not older than mail gets in a queue, nor ahead. */
#define RECEIVED_PAST_S (60 * 24 * 3600)
#define RECEIVED_AHEAD_S (24 * 3600)

void earlier_free(gpointer data)
{
    struct earlier *earlier = data;

    g_free(earlier->mailbox);
    g_free(earlier->file);
    g_free(earlier->letters);
    g_free(earlier->flags);
    g_free(earlier->path);
    g_free(earlier);
}

void delivery_note(struct delivery *delivery, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_ptr_array_add(delivery->notes, g_strdup_vprintf(format, arguments));
    va_end(arguments);
}

static void stored_free(gpointer data)
{
    struct delivery_stored *stored = data;

    g_free(stored->mailbox);
    g_free(stored->file);
    g_free(stored);
}

void delivery_result_clear(struct delivery_result *result)
{
    g_clear_pointer(&result->stored, g_ptr_array_unref);
    g_clear_pointer(&result->notes, g_ptr_array_unref);
    result->already = false;
}

static struct pending_file *original(const struct delivery *delivery)
{
    return g_ptr_array_index(delivery->contents, 0);
}

/* ------------------------------------------------------------------ begin */

/* The folder of pending files; that it is missing says that the home is new to us. */
static int open_pending(struct store *store, const struct store_user *user, struct error *err)
{
    int dir = pending_open_dir(user->home, false, err);

    if (dir >= 0 || err->code != ENOENT)
        return dir;
    error_clear(err);
    if (!store_prepare_home(store, user, err))
        return -1;
    return pending_open_dir(user->home, false, err);
}

bool delivery_begin(struct store *store, const struct store_user *user,
                    struct delivery **ret_delivery, struct error *err)
{
    const struct mail_format *format = mail_format_of(user, err);
    struct pending_file *spool;

    if (format == NULL)
        return false;

    int dir = open_pending(store, user, err);

    if (dir < 0)
        return false;
    if (!pending_spool(dir, &spool, err)) {
        close(dir);
        return false;
    }

    struct delivery *delivery = g_new0(struct delivery, 1);

    delivery->store = store;
    delivery->user = user;
    delivery->format = format;
    delivery->pending_dir = dir;
    delivery->contents = g_ptr_array_new_with_free_func(pending_file_free);
    delivery->targets = g_ptr_array_new_with_free_func(target_free);
    delivery->notes = g_ptr_array_new_with_free_func(g_free);
    delivery->now = (int64_t)time(NULL);
    g_ptr_array_add(delivery->contents, spool);
    *ret_delivery = delivery;
    return true;
}

int delivery_fd(const struct delivery *delivery)
{
    return original(delivery)->fd;
}

/* ------------------------------------------------------------------ identify */

static bool make_random_key(char key[PENDING_KEY_DIGITS + 1], struct error *err)
{
    unsigned char bytes[PENDING_KEY_DIGITS / 2];

    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot make a delivery key");
        return false;
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(key + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

static bool take_key(struct delivery *delivery, const char *key, struct error *err)
{
    unsigned char ignored[32];

    if (key == NULL)
        return make_random_key(delivery->key, err);
    if (!store_key_to_bytes(key, ignored)) {
        error_set(err, ERROR_TEMPORARY, "\"%.80s\" is not a delivery key of 64 hex digits", key);
        return false;
    }

    g_autofree char *lower = g_ascii_strdown(key, -1);

    memcpy(delivery->key, lower, sizeof delivery->key);
    delivery->keyed = true;
    return true;
}

static int64_t believable_time(int64_t received_at, int64_t now)
{
    return received_at >= now - RECEIVED_PAST_S && received_at <= now + RECEIVED_AHEAD_S ? received_at
                                                                                        : now;
}

/* The spool's name goes; the leftover is the delivery's file now. The spool stays open: the caller may
 * have a parser over it. */
static bool continue_with(struct delivery *delivery, struct pending_file *leftover,
                          struct error *err)
{
    struct pending_file *spool = original(delivery);
    off_t size_crlf = leftover->size == spool->size ? spool->size_crlf : 0;

    unlinkat(delivery->pending_dir, spool->name, 0);
    g_ptr_array_index(delivery->contents, 0) = leftover;
    delivery->retired = spool;
    return pending_file_measure(leftover, size_crlf, err);
}

/* An earlier try left its file. Links beyond the pending name: it published, and the message must go
 * on as this very inode. Else it may be torn: ours replaces it. */
static bool take_over(struct delivery *delivery, struct pending_file *leftover, struct error *err)
{
    delivery->resumed = true;
    pending_drop_unpublished(delivery->pending_dir, delivery->key);
    if (leftover->links > 1)
        return continue_with(delivery, leftover, err);

    bool ok = pending_replace(delivery->pending_dir, delivery->key, original(delivery), err);

    pending_file_free(leftover);
    return ok;
}

static bool claim(struct delivery *delivery, struct error *err)
{
    struct pending_file *leftover;

    switch (pending_claim(delivery->pending_dir, delivery->key, original(delivery), &leftover,
                          err)) {
    case PENDING_FRESH:
        return true;
    case PENDING_LEFTOVER:
        return take_over(delivery, leftover, err);
    case PENDING_FAILED:
        break;
    }
    return false;
}

/* What a delivery that is committed left behind goes, unless its process is still at work. */
static void clean_committed(struct delivery *delivery)
{
    struct pending_file *leftover;
    struct error ignored;

    switch (pending_claim(delivery->pending_dir, delivery->key, original(delivery), &leftover,
                          &ignored)) {
    case PENDING_LEFTOVER:
        if (delivery->format->recover != NULL)
            delivery->format->recover(delivery->store, delivery->user, delivery->key,
                                      delivery->store->options.lock_timeout_s, &ignored);
        pending_file_free(leftover);
        unlinkat(delivery->pending_dir, original(delivery)->name, 0);
        pending_remove(delivery->pending_dir, delivery->key, false);
        break;
    case PENDING_FRESH:
        pending_remove(delivery->pending_dir, delivery->key, false);
        break;
    case PENDING_FAILED:
        unlinkat(delivery->pending_dir, original(delivery)->name, 0);
        break;
    }
}

bool delivery_identify(struct delivery *delivery, const char *key,
                       const struct delivery_content *content, enum delivery_state *ret_state,
                       struct error *err)
{
    bool committed = false;

    if (!pending_file_measure(original(delivery), content == NULL ? 0 : content->size_crlf, err) ||
        !take_key(delivery, key, err))
        return false;
    delivery->received_at =
        believable_time(content == NULL ? 0 : content->received_at, delivery->now);
    if (delivery->keyed && !store_key_is_committed(delivery->store, delivery->user->id,
                                                   delivery->key, &committed, err))
        return false;
    if (committed) {
        clean_committed(delivery);
        delivery->committed = true;
        *ret_state = DELIVERY_ALREADY;
        return true;
    }
    if (!claim(delivery, err))
        return false;
    delivery->identified = true;
    /* should the caller give up before it commits */
    delivery->keep_witness = delivery->resumed;
    *ret_state = delivery->resumed ? DELIVERY_RESUMED : DELIVERY_NEW;
    return true;
}

bool delivery_new_content(struct delivery *delivery, int *ret_fd, unsigned *ret_content,
                          struct error *err)
{
    struct pending_file *file;

    if (!pending_new_content(delivery->pending_dir, delivery->key, &file, err))
        return false;
    *ret_content = delivery->contents->len;
    *ret_fd = file->fd;
    g_ptr_array_add(delivery->contents, file);
    return true;
}

/* ------------------------------------------------------------------ commit: the steps */

static bool measure_contents(struct delivery *delivery, struct error *err)
{
    for (guint i = 1; i < delivery->contents->len; i++)
        if (!pending_file_measure(g_ptr_array_index(delivery->contents, i), 0, err))
            return false;
    return true;
}

static bool check_quota(struct delivery *delivery, const struct delivery_plan *plan,
                        struct error *err)
{
    int64_t bytes, count;

    targets_sum(delivery, false, &bytes, &count);
    return plan->ignore_quota || count == 0 ||
           quota_check(delivery->store, delivery->user, bytes, count, err);
}

/* Redirects and rejections: at least once. What an earlier try handed over is marked and left out. */
static bool send_before(struct delivery *delivery, const struct delivery_plan *plan,
                        struct error *err)
{
    g_autoptr(GHashTable) marks = NULL;

    for (size_t i = 0; i < plan->send_count; i++) {
        const struct delivery_send *send = &plan->sends[i];

        if (send->after_commit)
            continue;
        if (marks == NULL &&
            !pending_read_marks(delivery->pending_dir, delivery->key, &marks, err))
            return false;

        g_autofree char *mark = pending_mark_of(send->id);

        if (g_hash_table_contains(marks, mark))
            continue;
        if (!send->send(send->ctx, err))
            return false;

        struct error why;

        /* it is out: to fail now would be certain to send it again */
        if (!pending_add_mark(delivery->pending_dir, delivery->key, send->id, &why))
            delivery_note(delivery, "%s", why.text);
    }
    return true;
}

/* Replies and notifications: at most once. The committed key keeps a retry from coming here again. */
static void send_after(struct delivery *delivery, const struct delivery_plan *plan)
{
    for (size_t i = 0; i < plan->send_count; i++) {
        const struct delivery_send *send = &plan->sends[i];
        struct error why;

        if (send->after_commit && !send->send(send->ctx, &why))
            delivery_note(delivery, "%s", why.text);
    }
}

static void account(struct delivery *delivery)
{
    int64_t bytes, count;
    struct error why;

    /* what an earlier try published was not counted by it: that comes behind COMMIT */
    targets_sum(delivery, true, &bytes, &count);
    if (count > 0 && !quota_add(delivery->user, bytes, count, &why))
        delivery_note(delivery, "%s", why.text);
}

/* Everything up to, not including, COMMIT. */
static enum rows_outcome prepare(struct delivery *delivery, const struct delivery_plan *plan,
                                 struct error *err)
{
    bool early = db_kind(delivery->store->db) == DB_PGSQL;
    enum rows_outcome outcome;

    if (!measure_contents(delivery, err) || !targets_build(delivery, plan, err) ||
        !check_quota(delivery, plan, err))
        return ROWS_FAILED;
    if (early) {
        struct error ignored;

        /* a failure shows again, and is dealt with, in rows_collect */
        rows_send(delivery, plan, &ignored);
    }
    if (!targets_sync_contents(delivery, err))
        return ROWS_FAILED;
    if (!early) {
        /* SQLite has one writer at a time: nobody shall wait for our sendmail or our fsync */
        if (!send_before(delivery, plan, err))
            return ROWS_FAILED;
        outcome = rows_collect(delivery, plan, err);
    } else {
        outcome = rows_collect(delivery, plan, err);
        if (outcome == ROWS_OK && !send_before(delivery, plan, err))
            outcome = ROWS_FAILED;
    }
    if (outcome == ROWS_OK && !targets_publish(delivery, err))
        outcome = ROWS_FAILED;
    return outcome;
}

/* Back to where we began. What cannot be taken back stays together with its witness. */
static void undo(struct delivery *delivery, struct error *err)
{
    struct error why;

    /* the open transaction keeps another machine that has the same message from taking our file for its
     * own: it waits for our key's end */
    if (!targets_take_back(delivery, &why)) {
        delivery->keep_witness = true;
        delivery_note(delivery, "%s", why.text);
    }
    db_rollback(delivery->store->db);
    /* the files of an earlier try are out still, or were not looked for yet */
    if (delivery->resumed && (delivery->earlier == NULL || delivery->earlier->len > 0))
        delivery->keep_witness = true;
    if (err->kind == ERROR_NONE)
        error_set(err, ERROR_TEMPORARY, "the delivery could not be committed");
}

static void fill_result(struct delivery *delivery, struct delivery_result *result)
{
    for (guint i = 0; i < delivery->targets->len; i++) {
        const struct target *target = g_ptr_array_index(delivery->targets, i);
        struct delivery_stored *stored = g_new0(struct delivery_stored, 1);

        stored->mailbox = g_strdup(target->mailbox);
        stored->file = g_strdup(target->file);
        stored->fallback = target->fallback;
        stored->resumed = target->found != NULL;
        g_ptr_array_add(result->stored, stored);
    }
}

/* Committed: from here on nothing can fail any more. */
static void conclude(struct delivery *delivery, const struct delivery_plan *plan,
                     struct delivery_result *result)
{
    delivery->committed = true;
    for (guint i = 0; i < delivery->targets->len; i++)
        delivery->format->finish(delivery, g_ptr_array_index(delivery->targets, i));
    fill_result(delivery, result);
    send_after(delivery, plan);
    account(delivery);
    pending_remove(delivery->pending_dir, delivery->key, false);
}

/* The names are the same on every try: a file of ours that has a row by now is the other's, who found it
 * published (another machine, after our connection broke). */
static bool leave_to_rows(struct delivery *delivery, struct error *err)
{
    for (guint i = 0; i < delivery->targets->len && !delivery->format->copies_content; i++) {
        struct target *target = g_ptr_array_index(delivery->targets, i);
        const struct db_value values[] = {db_int(delivery->user->id), db_text(target->file)};
        bool has_row;
        int64_t ignored;

        if (!target->published)
            continue;
        if (!db_query_int(delivery->store->db,
                          "SELECT 1 FROM email_headers WHERE user_id = $1 AND file = $2 LIMIT 1",
                          values, 2, &has_row, &ignored, err))
            return false;
        if (!has_row)
            continue;
        target->published = false;
        delivery->resumed = true; /* whatever else bears our key may be the other's */
    }
    return true;
}

/* Another process, or an earlier try whose COMMIT came through late, was first: nothing of this try
 * stays. */
static void conclude_already(struct delivery *delivery, struct delivery_result *result)
{
    struct error why;

    delivery->committed = true;
    result->already = true;
    if (!leave_to_rows(delivery, &why) || !targets_take_back(delivery, &why))
        delivery_note(delivery, "%s", why.text);
    pending_remove(delivery->pending_dir, delivery->key, false);
}

/* Once in some hundred deliveries: what crashes and time left behind. */
static void sweep_now_and_then(struct delivery *delivery)
{
    struct store_sweep_counts counts = {0};
    struct error ignored;

    if (strncmp(delivery->key, "00", 2) != 0)
        return;
    if (store_sweep_user(delivery->store, delivery->user, false, &counts, &ignored))
        store_sweep_rows(delivery->store, false, &counts, &ignored);
}

/* A commit that failed may be tried again with another plan. */
static void start_afresh(struct delivery *delivery)
{
    g_ptr_array_set_size(delivery->targets, 0);
    g_clear_pointer(&delivery->earlier, g_ptr_array_unref);
    /* what the last one could not take back is to be found like an earlier try's */
    delivery->resumed |= delivery->keep_witness;
    delivery->keep_witness = false;
}

bool delivery_commit(struct delivery *delivery, const struct delivery_plan *plan,
                     struct delivery_result *ret_result, struct error *err)
{
    struct delivery_result result = {.stored = g_ptr_array_new_with_free_func(stored_free)};

    error_clear(err);
    start_afresh(delivery);
    delivery->sender = plan->sender;

    enum rows_outcome outcome = prepare(delivery, plan, err);

    if (outcome == ROWS_OK)
        outcome = rows_commit(delivery, plan, err);
    switch (outcome) {
    case ROWS_OK:
        conclude(delivery, plan, &result);
        break;
    case ROWS_ALREADY:
        conclude_already(delivery, &result);
        break;
    case ROWS_UNKNOWN:
        delivery->keep_witness = true;
        break;
    case ROWS_FAILED:
        undo(delivery, err);
        break;
    }
    if (delivery->committed)
        sweep_now_and_then(delivery);
    result.notes = g_steal_pointer(&delivery->notes);
    delivery->notes = g_ptr_array_new_with_free_func(g_free);
    *ret_result = result;
    return delivery->committed;
}

/* ------------------------------------------------------------------ end */

/* Not committed and not in doubt: the pending file goes; the marks of what was sent stay, so that the
 * retry does not send it again. */
static void abandon(struct delivery *delivery)
{
    if (delivery->identified)
        pending_remove(delivery->pending_dir, delivery->key, true);
    else if (delivery->contents->len > 0)
        unlinkat(delivery->pending_dir, original(delivery)->name, 0);
}

void delivery_free(struct delivery *delivery)
{
    int saved = errno;

    if (delivery == NULL)
        return;
    db_rollback(delivery->store->db);
    if (!delivery->committed && !delivery->keep_witness)
        abandon(delivery);
    g_ptr_array_unref(delivery->targets);
    g_clear_pointer(&delivery->earlier, g_ptr_array_unref);
    pending_file_free(delivery->retired);
    g_ptr_array_unref(delivery->contents); /* closes, and so unlocks, last */
    g_ptr_array_unref(delivery->notes);
    close(delivery->pending_dir);
    g_free(delivery);
    errno = saved;
}
