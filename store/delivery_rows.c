#include "store/delivery_rows.h"

#include <string.h>
#include <time.h>

#include "store/db.h"
#include "store/rows.h"
#include "store/store-internal.h"

/* Tries of a transaction that was undone for a reason that passes. */
#define TRIES 3

/* ------------------------------------------------------------------ statements */

static bool queue_key(struct delivery *delivery, const struct delivery_plan *plan,
                      struct error *err)
{
    unsigned char key[32];
    g_autofree char *queue_id = NULL, *message_id = NULL;

    store_key_to_bytes(delivery->key, key);

    const struct db_value values[] = {
        db_int(delivery->user->id),
        db_bytes(key, sizeof key),
        db_time(delivery->now),
        db_text(store_cut(plan->queue_id, 255, &queue_id)),
        db_text(store_cut(plan->message_id, 1024, &message_id)),
    };

    /* no ON CONFLICT: that the key is there already is what we must be told */
    return db_queue(delivery->store->db,
                    "INSERT INTO deliveries (user_id, delivery_key, delivered_at, queue_id, "
                    "message_id) VALUES ($1, $2, $3, $4, $5)",
                    values, G_N_ELEMENTS(values), NULL, NULL, err);
}

static bool queue_mark(struct delivery *delivery, const struct delivery_mark *mark,
                       struct error *err)
{
    unsigned char key[32];
    g_autofree char *address = NULL;

    if (!store_key_to_bytes(mark->key, key)) {
        error_set(err, ERROR_TEMPORARY, "\"%.80s\" is not a key of 64 hex digits", mark->key);
        return false;
    }

    const struct db_value reply[] = {
        db_int(delivery->user->id), db_bytes(key, sizeof key), db_time(mark->expires),
        db_text(store_cut(mark->address == NULL ? "" : mark->address, STORE_REPLY_ADDRESS_MAX,
                          &address)),
    };

    if (mark->reply)
        return db_queue(delivery->store->db,
                        "INSERT INTO sieve_replies (user_id, reply_key, expires_at, address) "
                        "VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, reply_key, address) "
                        "DO UPDATE SET expires_at = excluded.expires_at",
                        reply, 4, NULL, NULL, err);
    return db_queue(delivery->store->db,
                    "INSERT INTO sieve_duplicates (user_id, duplicate_key, expires_at) "
                    "VALUES ($1, $2, $3) ON CONFLICT (user_id, duplicate_key) "
                    "DO UPDATE SET expires_at = excluded.expires_at",
                    reply, 3, NULL, NULL, err);
}

static bool queue_row(struct delivery *delivery, const struct target *target, struct error *err)
{
    const struct row_place place = {
        .user_id = delivery->user->id,
        .mailbox = target->mailbox,
        .file = target->file,
        .size = (int64_t)target->size,
        .is_read = target->is_read,
        .flags = target->flags_text,
        .received_at = delivery->now,
    };

    return rows_queue_insert(delivery->store->db, &place, target->row, err);
}

static bool queue_all(struct delivery *delivery, const struct delivery_plan *plan,
                      struct error *err)
{
    if (!queue_key(delivery, plan, err))
        return false;
    for (guint i = 0; i < delivery->targets->len; i++)
        if (!queue_row(delivery, g_ptr_array_index(delivery->targets, i), err))
            return false;
    /* what an earlier try published and this plan does not want may have got a row from sync */
    for (guint i = 0; delivery->earlier != NULL && i < delivery->earlier->len; i++) {
        const struct earlier *earlier = g_ptr_array_index(delivery->earlier, i);

        if (earlier->named && !earlier->taken &&
            !rows_queue_delete(delivery->store->db, delivery->user->id, earlier->mailbox,
                               earlier->file, err))
            return false;
    }
    for (size_t i = 0; i < plan->mark_count; i++)
        if (!queue_mark(delivery, &plan->marks[i], err))
            return false;
    return true;
}

/* ------------------------------------------------------------------ the transaction */

bool rows_send(struct delivery *delivery, const struct delivery_plan *plan, struct error *err)
{
    struct db *db = delivery->store->db;

    if (!db_begin(db, err))
        return false;
    if (queue_all(delivery, plan, err) && db_send(db, err))
        return true;
    db_rollback(db);
    return false;
}

/* After a failure, the transaction being over: was it that the key is there already? */
static enum rows_outcome explain(struct delivery *delivery, enum db_fault fault, struct error *err)
{
    struct error ignored = {0};
    bool committed = false;

    if (fault == DB_FAULT_UNIQUE &&
        store_key_is_committed(delivery->store, delivery->user->id, delivery->key, &committed,
                               &ignored) &&
        committed) {
        error_clear(err);
        return ROWS_ALREADY;
    }
    return ROWS_FAILED;
}

/* Makes the connection usable for another try; false: no use. */
static bool ready_again(struct db *db, enum db_fault fault, int tried)
{
    struct error ignored = {0};

    if (tried + 1 >= TRIES)
        return false;
    if (fault == DB_FAULT_LOST)
        return db_reconnect(db, &ignored);
    /* SQLite has waited its busy timeout by then */
    return fault == DB_FAULT_CONFLICT && db_kind(db) == DB_PGSQL;
}

enum rows_outcome rows_collect(struct delivery *delivery, const struct delivery_plan *plan,
                               struct error *err)
{
    struct db *db = delivery->store->db;

    for (int tried = 0;; tried++) {
        bool sent = db_in_transaction(db) || rows_send(delivery, plan, err);

        if (sent && db_collect(db, err))
            return ROWS_OK;

        enum db_fault fault = db_fault(db);

        db_rollback(db);
        if (!ready_again(db, fault, tried))
            return explain(delivery, fault, err);
        error_clear(err);
    }
}

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

/*
 * The answer to COMMIT is lost. A question would not do: the server may still be at work on it, and
 * SQLite may find the transaction in its log later. Writing the same key again does: it waits for the
 * first transaction's end, and then either says that the key is there or takes its place.
 */
static enum rows_outcome settle(struct delivery *delivery, const struct delivery_plan *plan,
                                struct error *err)
{
    static const int pauses_ms[] = {0, 250, 1000};
    struct db *db = delivery->store->db;
    struct error why = {0};

    for (size_t i = 0; i < G_N_ELEMENTS(pauses_ms); i++) {
        pause_ms(pauses_ms[i]);
        if (!db_reconnect(db, &why))
            continue;

        enum rows_outcome outcome = rows_collect(delivery, plan, &why);

        if (outcome == ROWS_ALREADY)
            return ROWS_OK; /* it was the first COMMIT that had come through */
        if (outcome == ROWS_OK && db_commit(db, &why) == DB_DURABLE)
            return ROWS_OK;
    }
    error_prefix(err, "the answer to COMMIT was lost, the next try will find out");
    return ROWS_UNKNOWN;
}

enum rows_outcome rows_commit(struct delivery *delivery, const struct delivery_plan *plan,
                              struct error *err)
{
    struct db *db = delivery->store->db;

    for (int tried = 0;; tried++) {
        switch (db_commit(db, err)) {
        case DB_DURABLE:
            return ROWS_OK;
        case DB_UNKNOWN:
            return settle(delivery, plan, err);
        case DB_UNDONE:
            break;
        }

        enum db_fault fault = db_fault(db);

        if (!ready_again(db, fault, tried))
            return explain(delivery, fault, err);
        error_clear(err);

        enum rows_outcome outcome = rows_collect(delivery, plan, err);

        if (outcome != ROWS_OK)
            return outcome;
    }
}
