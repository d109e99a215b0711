/*
 * Rows on their way to the database: a batch is filled while the server works on the one before.
 *
 * PostgreSQL: a batch is sent and its transaction left open while the next files are read; to wait for
 * it comes with the next batch, or when something else wants the connection. SQLite works in our own
 * process and its transaction keeps deliveries out: there a batch is written at once.
 */
#include "store/sync-internal.h"

#include "store/db.h"
#include "store/rows.h"
#include "store/rows_batch.h"

void sync_rows_forget(struct sync *sync)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sync->rows); i++)
        g_clear_pointer(&sync->rows[i], rows_batch_free);
    g_clear_pointer(&sync->sent, rows_batch_free);
}

/* ------------------------------------------------------------------ one by one */

/* Is it the row that the database does not want, rather than the database that is in trouble? */
static bool may_be_a_row(const struct sync *sync)
{
    return db_fault(sync->db) == DB_FAULT_ROW || db_fault(sync->db) == DB_FAULT_UNIQUE;
}

static bool write_one(struct sync *sync, guint number, struct error *err)
{
    if (!db_begin(sync->db, err))
        return false;
    if (!rows_batch_queue_one(sync->sent, number, sync->db, err)) {
        db_rollback(sync->db);
        return false;
    }
    return db_commit(sync->db, err) == DB_DURABLE;
}

/* The row is counted as a file without one, and its folder looked at again next time. */
static void give_up(struct sync *sync, guint number, const struct error *why)
{
    const char *mailbox = rows_batch_mailbox(sync->sent, number);
    struct folder_state *state = g_hash_table_lookup(sync->folders, mailbox);

    sync_note(sync, "%s: %s in %s: no row: %s", sync->user->address,
              rows_batch_file(sync->sent, number), mailbox, why->text);
    sync->counts->ignored++;
    if (rows_batch_rebuilds(sync->sent))
        sync->counts->rebuilt--;
    else
        sync->counts->added--;
    if (state)
        state->unsettled = true;
}

/* The batch failed for @err: each row by itself. Where none of many can be written, it was no row's
 * fault. */
static bool write_one_by_one(struct sync *sync, struct error *err)
{
    g_autoptr(GArray) refused = g_array_new(FALSE, FALSE, sizeof(guint));
    struct error why = *err, own = {0};

    for (guint i = 0; i < rows_batch_count(sync->sent); i++) {
        if (write_one(sync, i, &own))
            continue;
        if (!may_be_a_row(sync)) {
            *err = own;
            return false;
        }
        why = own;
        g_array_append_val(refused, i);
    }
    if (refused->len == rows_batch_count(sync->sent) && refused->len > 1)
        return false;
    error_clear(err);
    for (guint i = 0; i < refused->len; i++)
        give_up(sync, g_array_index(refused, guint, i), &why);
    return true;
}

/* ------------------------------------------------------------------ batches */

bool sync_rows_settle(struct sync *sync, struct error *err)
{
    bool done;

    if (!sync->sent)
        return true;
    done = db_commit(sync->db, err) == DB_DURABLE ||
           (may_be_a_row(sync) && write_one_by_one(sync, err));
    g_clear_pointer(&sync->sent, rows_batch_free);
    return done;
}

/* Hands the batch to the database, and waits for the one before. */
static bool send_batch(struct sync *sync, struct rows_batch **batch, struct error *err)
{
    if (!*batch)
        return true;
    if (!sync_rows_settle(sync, err))
        return false;
    /* statements of others are not to be lost with a row that is refused */
    if (db_in_transaction(sync->db) && db_commit(sync->db, err) != DB_DURABLE)
        return false;
    sync->statements = 0;
    sync->sent = g_steal_pointer(batch);
    if (!db_begin(sync->db, err) || !rows_batch_queue(sync->sent, sync->db, err) ||
        !db_send(sync->db, err))
        return false;
    return db_kind(sync->db) == DB_PGSQL || sync_rows_settle(sync, err);
}

bool sync_rows_add(struct sync *sync, const struct row_place *place, bool rebuild,
                   const struct header_row *row, struct error *err)
{
    struct rows_batch **batch = &sync->rows[rebuild];

    if (!*batch)
        *batch = rows_batch_new(sync->user->id, rebuild);
    rows_batch_add(*batch, place, row);
    return !rows_batch_is_full(*batch) || send_batch(sync, batch, err);
}

bool sync_rows_flush(struct sync *sync, struct error *err)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sync->rows); i++)
        if (!send_batch(sync, &sync->rows[i], err))
            return false;
    return sync_rows_settle(sync, err);
}
