/*
 * Contacts in the database. Applications write the table too, without address_key: such a row is
 * found by its address in lower case, and adopted (given its key) when we change it.
 */
#include "store/contacts.h"

#include <inttypes.h>
#include <string.h>

#include "store/contacts-internal.h"
#include "store/db.h"

static char *fold_or_fail(const char *email, struct error *err)
{
    char *key = contacts_fold_address(email);

    if (!key)
        error_set(err, ERROR_USAGE, "\"%s\" is not a mail address", email);
    return key;
}

/* ------------------------------------------------------------------ finding one */

/* The id of the contact with the address @key, *@ret_id 0: none. */
static bool id_of_address(struct db *db, int64_t user_id, const char *key, int64_t *ret_id,
                          struct error *err)
{
    struct db_value values[2] = {db_int(user_id), db_text(key)};
    bool found;
    int64_t id = 0;

    if (!db_query_int(db,
                      "SELECT id FROM contacts WHERE user_id = $1 AND (address_key = $2 OR "
                      "(address_key IS NULL AND lower(contact_email) = $2)) "
                      "ORDER BY CASE WHEN address_key IS NULL THEN 1 ELSE 0 END, id LIMIT 1",
                      values, 2, &found, &id, err))
        return false;
    *ret_id = found ? id : 0;
    return true;
}

bool contacts_id_of(struct db *db, int64_t user_id, const char *which, int64_t *ret_id,
                    struct error *err)
{
    struct db_value values[2] = {db_int(user_id)};
    g_autofree char *key = NULL;
    char *end;
    gint64 number = g_ascii_strtoll(which, &end, 10);
    bool found = false;
    int64_t id = 0;

    if (*which && !*end && number > 0 && number <= G_MAXINT32) {
        values[1] = db_int(number);
        if (!db_query_int(db, "SELECT id FROM contacts WHERE user_id = $1 AND id = $2", values, 2,
                          &found, &id, err))
            return false;
    } else {
        key = fold_or_fail(which, err);
        if (!key || !id_of_address(db, user_id, key, &id, err))
            return false;
    }
    if (id == 0) {
        error_set(err, ERROR_USAGE, "no contact %s", which);
        return false;
    }
    *ret_id = id;
    return true;
}

bool contacts_known(struct db *db, int64_t user_id, const char *group, const char *email,
                    bool *ret_known, struct error *err)
{
    g_autofree char *address = NULL;

    if (!contacts_find_address(db, user_id, group, email, &address, err))
        return false;
    *ret_known = address != NULL;
    return true;
}

bool contacts_find_address(struct db *db, int64_t user_id, const char *group, const char *email,
                           char **ret_address, struct error *err)
{
    g_autofree char *key = contacts_fold_address(email);
    struct db_value values[3];

    if (!key) {
        *ret_address = NULL;
        return true;
    }
    values[0] = db_int(user_id);
    values[1] = db_text(key);
    values[2] = db_text(group);
    return db_query_text(
        db,
        group ? "SELECT c.contact_email FROM contacts c JOIN contact_group_members m "
                "ON m.contact_id = c.id JOIN contact_groups g ON g.id = m.group_id "
                "WHERE c.user_id = $1 AND g.user_id = $1 AND (c.address_key = $2 OR "
                "(c.address_key IS NULL AND lower(c.contact_email) = $2)) "
                "AND lower(g.group_name) = lower($3) LIMIT 1"
              : "SELECT contact_email FROM contacts WHERE user_id = $1 AND (address_key = $2 OR "
                "(address_key IS NULL AND lower(contact_email) = $2)) LIMIT 1",
        values, group ? 3 : 2, ret_address, err);
}

/* ------------------------------------------------------------------ changing */

bool contacts_in_transaction(struct db *db, int64_t user_id, contacts_body *body, void *ctx,
                             struct error *err)
{
    if (db_in_transaction(db))
        return body(db, user_id, ctx, err);
    if (!db_begin(db, err))
        return false;
    if (!body(db, user_id, ctx, err)) {
        db_rollback(db);
        return false;
    }
    return db_commit(db, err) == DB_DURABLE;
}

/* What is to be known of one address. */
struct addition {
    const char *name, *email, *source;
    const char *key;
    bool rename; /* over a name that is there */
    bool used;
    int64_t when;
    int64_t id; /* answer */
    bool added; /* answer: it is new */
};

static bool adopt(struct db *db, int64_t id, const char *key, struct error *err)
{
    struct db_value values[2] = {db_text(key), db_int(id)};

    return db_exec(db, "UPDATE contacts SET address_key = $1 WHERE id = $2 AND address_key IS NULL",
                   values, 2, NULL, NULL, err);
}

static bool insert_contact(struct db *db, int64_t user_id, struct addition *addition,
                           struct error *err)
{
    struct db_value values[7] = {
        db_int(user_id),
        db_text(addition->name),
        db_text(addition->email),
        db_text(addition->source),
        db_text(addition->key),
        db_int(addition->used),
        addition->used ? db_time(addition->when) : DB_VALUE_NULL,
    };

    /* somebody may have been quicker: then that row stays */
    if (!db_exec(db,
                 "INSERT INTO contacts (user_id, contact_name, contact_email, source, "
                 "address_key, use_count, last_used) VALUES ($1, $2, $3, $4, $5, $6, $7) "
                 "ON CONFLICT (user_id, address_key) DO NOTHING",
                 values, 7, NULL, NULL, err))
        return false;
    addition->added = db_changes(db) > 0;
    return id_of_address(db, user_id, addition->key, &addition->id, err);
}

static bool add_body(struct db *db, int64_t user_id, void *ctx, struct error *err)
{
    struct addition *addition = ctx;
    struct db_value values[5];

    if (!id_of_address(db, user_id, addition->key, &addition->id, err))
        return false;
    if (addition->id == 0) {
        if (!insert_contact(db, user_id, addition, err))
            return false;
        if (addition->added)
            return true;
    }
    if (!adopt(db, addition->id, addition->key, err))
        return false;
    values[0] = db_int(addition->id);
    values[1] = db_text(addition->name);
    if (*addition->name &&
        !db_exec(db,
                 addition->rename ? "UPDATE contacts SET contact_name = $2 WHERE id = $1"
                                  : "UPDATE contacts SET contact_name = $2 WHERE id = $1 AND "
                                    "(contact_name IS NULL OR contact_name = '')",
                 values, 2, NULL, NULL, err))
        return false;
    if (!addition->used)
        return true;
    values[1] = db_time(addition->when);
    return db_exec(db,
                   "UPDATE contacts SET use_count = use_count + 1, last_used = CASE "
                   "WHEN last_used IS NULL OR last_used < $2 THEN $2 ELSE last_used END "
                   "WHERE id = $1",
                   values, 2, NULL, NULL, err);
}

static bool add_addition(struct db *db, int64_t user_id, struct addition *addition,
                         struct error *err)
{
    g_autofree char *key = fold_or_fail(addition->email, err);
    g_autofree char *name = NULL, *email = NULL;

    if (!key)
        return false;
    name = contacts_cut_for_column(addition->name ? addition->name : "");
    email = contacts_cut_for_column(addition->email);
    addition->key = key;
    addition->name = name;
    addition->email = email;
    return contacts_in_transaction(db, user_id, add_body, addition, err);
}

bool contacts_add(struct db *db, int64_t user_id, const char *name, const char *email,
                  const char *source, int64_t *ret_id, struct error *err)
{
    struct addition addition = {.name = name, .email = email, .source = source, .rename = true};

    if (!add_addition(db, user_id, &addition, err))
        return false;
    if (ret_id)
        *ret_id = addition.id;
    return true;
}

bool contacts_note_use(struct db *db, int64_t user_id, const char *name, const char *email,
                       const char *source, int64_t when, struct error *err)
{
    struct addition addition = {
        .name = name, .email = email, .source = source, .used = true, .when = when};

    return add_addition(db, user_id, &addition, err);
}

struct edit {
    const char *which, *name, *email, *key;
};

static bool edit_body(struct db *db, int64_t user_id, void *ctx, struct error *err)
{
    const struct edit *edit = ctx;
    struct db_value values[3];
    int64_t id, other = 0;

    if (!contacts_id_of(db, user_id, edit->which, &id, err))
        return false;
    values[0] = db_int(id);
    values[1] = db_text(edit->name);
    if (edit->name && !db_exec(db, "UPDATE contacts SET contact_name = $2 WHERE id = $1", values, 2,
                               NULL, NULL, err))
        return false;
    if (!edit->email)
        return true;
    if (!id_of_address(db, user_id, edit->key, &other, err))
        return false;
    if (other != 0 && other != id) {
        error_set(err, ERROR_USAGE, "%s is in the address book already", edit->email);
        return false;
    }
    /* key first: the trigger forgets it when only the address changes */
    values[1] = db_text(edit->email);
    values[2] = db_text(edit->key);
    return db_exec(db, "UPDATE contacts SET contact_email = $2 WHERE id = $1", values, 2, NULL,
                   NULL, err) &&
           (values[1] = values[2], db_exec(db, "UPDATE contacts SET address_key = $2 WHERE id = $1",
                                           values, 2, NULL, NULL, err));
}

bool contacts_edit(struct db *db, int64_t user_id, const char *which, const char *name,
                   const char *email, struct error *err)
{
    g_autofree char *key = email ? fold_or_fail(email, err) : NULL;
    g_autofree char *cut_name = name ? contacts_cut_for_column(name) : NULL;
    g_autofree char *cut_email = email ? contacts_cut_for_column(email) : NULL;
    struct edit edit = {which, cut_name, cut_email, key};

    if (email && !key)
        return false;
    return contacts_in_transaction(db, user_id, edit_body, &edit, err);
}

static bool remove_body(struct db *db, int64_t user_id, void *ctx, struct error *err)
{
    const char *which = ctx;
    struct db_value values[1];
    int64_t id;

    if (!contacts_id_of(db, user_id, which, &id, err))
        return false;
    values[0] = db_int(id);
    /* said, not left to ON DELETE CASCADE: SQLite has foreign keys off unless asked */
    return db_exec(db, "DELETE FROM contact_group_members WHERE contact_id = $1", values, 1, NULL,
                   NULL, err) &&
           db_exec(db, "DELETE FROM contacts WHERE id = $1", values, 1, NULL, NULL, err) &&
           contacts_drop_empty_groups(db, user_id, err);
}

bool contacts_remove(struct db *db, int64_t user_id, const char *which, struct error *err)
{
    g_autofree char *copy = g_strdup(which);

    return contacts_in_transaction(db, user_id, remove_body, copy, err);
}

/* ------------------------------------------------------------------ import and export */

struct importing {
    GPtrArray *contacts;
    struct contacts_import counts;
};

static bool import_one(struct db *db, int64_t user_id, const struct contact *contact,
                       struct contacts_import *counts, struct error *err)
{
    struct addition addition = {.name = contact->name, .email = contact->email, .source = "import"};

    if (!add_addition(db, user_id, &addition, err)) {
        if (err->kind != ERROR_USAGE)
            return false;
        error_clear(err);
        counts->skipped++;
        return true;
    }
    if (addition.added)
        counts->added++;
    else
        counts->known++;
    for (char **group = contact->groups; *group; group++) {
        g_autofree char *which = g_strdup_printf("%" PRId64, addition.id);

        if (**group && !contacts_group_add(db, user_id, *group, which, err))
            return false;
    }
    return true;
}

static bool import_body(struct db *db, int64_t user_id, void *ctx, struct error *err)
{
    struct importing *importing = ctx;

    for (guint i = 0; i < importing->contacts->len; i++)
        if (!import_one(db, user_id, importing->contacts->pdata[i], &importing->counts, err))
            return false;
    return true;
}

bool contacts_import(struct db *db, int64_t user_id, enum contacts_format format, const char *data,
                     size_t length, struct contacts_import *ret_counts, struct error *err)
{
    struct importing importing = {NULL};
    bool done;

    importing.contacts = format == CONTACTS_CSV
                             ? contacts_parse_csv(data, length, &importing.counts.skipped)
                             : contacts_parse_vcard(data, length, &importing.counts.skipped);
    done = contacts_in_transaction(db, user_id, import_body, &importing, err);
    g_ptr_array_unref(importing.contacts);
    if (done)
        *ret_counts = importing.counts;
    return done;
}

bool contacts_export(struct db *db, int64_t user_id, enum contacts_format format, char **ret_text,
                     struct error *err)
{
    g_autoptr(GPtrArray) contacts = NULL;

    if (!contacts_list(db, user_id, 0, &contacts, err))
        return false;
    *ret_text = format == CONTACTS_CSV
                    ? contacts_format_csv(contacts)
                    : contacts_format_vcard(contacts, format == CONTACTS_VCARD3 ? 3 : 4);
    return true;
}
