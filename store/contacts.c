/*
 * Contacts in the database. Applications write the table too, without address_key: such a row is
 * found by its address in lower case, and adopted (given its key) when we change it.
 */
#include "store/contacts.h"

#include <inttypes.h>
#include <string.h>

#include "store/contacts-internal.h"
#include "store/db.h"
#include "store/search_text.h"

#define ADDRESS_MAX 320       /* RFC 5321 4.5.3.1: 64 + @ + 255 */
#define COLUMN_CHARACTERS 255 /* VARCHAR(255) */
#define WORDS_MAX 1024        /* bytes of a search */

/* ------------------------------------------------------------------ values */

struct contact *contact_new(const char *name, const char *email)
{
    struct contact *contact = g_new0(struct contact, 1);

    contact->name = g_strdup(name);
    contact->email = g_strdup(email);
    contact->last_used = g_strdup("");
    contact->source = g_strdup("");
    contact->groups = g_new0(char *, 1);
    return contact;
}

void contact_free(struct contact *contact)
{
    if (!contact)
        return;
    g_free(contact->name);
    g_free(contact->email);
    g_free(contact->last_used);
    g_free(contact->source);
    g_strfreev(contact->groups);
    g_free(contact);
}

GPtrArray *contacts_array_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)contact_free);
}

void contact_group_free(struct contact_group *group)
{
    if (!group)
        return;
    g_free(group->name);
    g_free(group);
}

char *contacts_text_from(const char *data, size_t length)
{
    static const char *const charsets[] = {"CP949", "ISO-8859-1"};
    g_autofree char *copy = NULL;

    if (length >= 2 && ((memcmp(data, "\xff\xfe", 2) == 0) || (memcmp(data, "\xfe\xff", 2) == 0))) {
        char *text = g_convert(data, (gssize)length, "UTF-8", "UTF-16", NULL, NULL, NULL);

        if (text)
            return text;
    }
    if (length >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        data += 3;
        length -= 3;
    }
    copy = g_memdup2(data, length ? length : 1);
    for (size_t i = 0; i < length; i++)
        if (copy[i] == 0)
            copy[i] = ' ';
    if (length == 0)
        return g_strdup("");
    if (g_utf8_validate(copy, (gssize)length, NULL))
        return g_strndup(copy, length);
    for (size_t i = 0; i < G_N_ELEMENTS(charsets); i++) {
        char *text = g_convert(copy, (gssize)length, "UTF-8", charsets[i], NULL, NULL, NULL);

        if (text)
            return text;
    }
    return g_utf8_make_valid(copy, (gssize)length);
}

char *contacts_fold_address(const char *email)
{
    g_autofree char *stripped = NULL, *local = NULL, *folded = NULL, *unicode = NULL;
    g_autofree char *domain = NULL;
    const char *at;

    if (!g_utf8_validate(email, -1, NULL))
        return NULL;
    stripped = g_strstrip(g_strdup(email));
    at = strrchr(stripped, '@');
    if (!at || at == stripped || !at[1] || strlen(stripped) > ADDRESS_MAX)
        return NULL;
    for (const char *p = stripped; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        if (g_unichar_isspace(c) || g_unichar_iscntrl(c) || c == '<' || c == '>' || c == ',')
            return NULL;
    }
    local = g_strndup(stripped, (gsize)(at - stripped));
    folded = search_fold(local);
    unicode = g_hostname_to_unicode(at + 1);
    domain = search_fold(unicode && *unicode ? unicode : at + 1);
    return g_strdup_printf("%s@%s", folded, domain);
}

/* Cut to what the column holds, on a character. */
static char *cut_for_column(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    g_autofree char *one_line = g_strdelimit(g_steal_pointer(&valid), "\r\n\t", ' ');

    g_strstrip(one_line);
    return g_utf8_strlen(one_line, -1) <= COLUMN_CHARACTERS
               ? g_steal_pointer(&one_line)
               : g_utf8_substring(one_line, 0, COLUMN_CHARACTERS);
}

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

/* @which: a decimal id or an address. */
static bool id_of(struct db *db, int64_t user_id, const char *which, int64_t *ret_id,
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
    g_autofree char *key = contacts_fold_address(email);
    struct db_value values[3];
    bool found;
    int64_t one;

    if (!key) {
        *ret_known = false;
        return true;
    }
    values[0] = db_int(user_id);
    values[1] = db_text(key);
    values[2] = db_text(group);
    if (!db_query_int(db,
                      group ? "SELECT 1 FROM contacts c JOIN contact_group_members m "
                              "ON m.contact_id = c.id JOIN contact_groups g ON g.id = m.group_id "
                              "WHERE c.user_id = $1 AND g.user_id = $1 AND (c.address_key = $2 OR "
                              "(c.address_key IS NULL AND lower(c.contact_email) = $2)) "
                              "AND lower(g.group_name) = lower($3) LIMIT 1"
                            : "SELECT 1 FROM contacts WHERE user_id = $1 AND (address_key = $2 OR "
                              "(address_key IS NULL AND lower(contact_email) = $2)) LIMIT 1",
                      values, group ? 3 : 2, &found, &one, err))
        return false;
    *ret_known = found;
    return true;
}

/* ------------------------------------------------------------------ changing */

/* Runs @body in a transaction, or in the one that is open. */
typedef bool contacts_body(struct db *db, int64_t user_id, void *ctx, struct error *err);

static bool in_transaction(struct db *db, int64_t user_id, contacts_body *body, void *ctx,
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
    name = cut_for_column(addition->name ? addition->name : "");
    email = cut_for_column(addition->email);
    addition->key = key;
    addition->name = name;
    addition->email = email;
    return in_transaction(db, user_id, add_body, addition, err);
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

    if (!id_of(db, user_id, edit->which, &id, err))
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
    g_autofree char *cut_name = name ? cut_for_column(name) : NULL;
    g_autofree char *cut_email = email ? cut_for_column(email) : NULL;
    struct edit edit = {which, cut_name, cut_email, key};

    if (email && !key)
        return false;
    return in_transaction(db, user_id, edit_body, &edit, err);
}

/* Groups without a member are no groups. */
static bool drop_empty_groups(struct db *db, int64_t user_id, struct error *err)
{
    struct db_value values[1] = {db_int(user_id)};

    return db_exec(db,
                   "DELETE FROM contact_groups WHERE user_id = $1 AND NOT EXISTS "
                   "(SELECT 1 FROM contact_group_members m WHERE m.group_id = contact_groups.id)",
                   values, 1, NULL, NULL, err);
}

static bool remove_body(struct db *db, int64_t user_id, void *ctx, struct error *err)
{
    const char *which = ctx;
    struct db_value values[1];
    int64_t id;

    if (!id_of(db, user_id, which, &id, err))
        return false;
    values[0] = db_int(id);
    /* said, not left to ON DELETE CASCADE: SQLite has foreign keys off unless asked */
    return db_exec(db, "DELETE FROM contact_group_members WHERE contact_id = $1", values, 1, NULL,
                   NULL, err) &&
           db_exec(db, "DELETE FROM contacts WHERE id = $1", values, 1, NULL, NULL, err) &&
           drop_empty_groups(db, user_id, err);
}

bool contacts_remove(struct db *db, int64_t user_id, const char *which, struct error *err)
{
    g_autofree char *copy = g_strdup(which);

    return in_transaction(db, user_id, remove_body, copy, err);
}

/* ------------------------------------------------------------------ groups */

struct membership {
    const char *group, *which;
};

/* The id of the group, compared without case; *@ret_id 0: none. */
static bool id_of_group(struct db *db, int64_t user_id, const char *group, int64_t *ret_id,
                        struct error *err)
{
    struct db_value values[2] = {db_int(user_id), db_text(group)};
    bool found;
    int64_t id = 0;

    if (!db_query_int(db,
                      "SELECT id FROM contact_groups WHERE user_id = $1 AND "
                      "lower(group_name) = lower($2) ORDER BY id LIMIT 1",
                      values, 2, &found, &id, err))
        return false;
    *ret_id = found ? id : 0;
    return true;
}

static bool group_add_body(struct db *db, int64_t user_id, void *ctx, struct error *err)
{
    const struct membership *membership = ctx;
    struct db_value values[3] = {db_int(user_id), db_text(membership->group)};
    int64_t contact, group;

    if (!id_of(db, user_id, membership->which, &contact, err) ||
        !id_of_group(db, user_id, membership->group, &group, err))
        return false;
    if (group == 0 && (!db_exec(db,
                                "INSERT INTO contact_groups (user_id, group_name) VALUES ($1, $2) "
                                "ON CONFLICT (user_id, group_name) DO NOTHING",
                                values, 2, NULL, NULL, err) ||
                       !id_of_group(db, user_id, membership->group, &group, err)))
        return false;
    values[1] = db_int(group);
    values[2] = db_int(contact);
    return db_exec(db,
                   "INSERT INTO contact_group_members (user_id, group_id, contact_id) "
                   "VALUES ($1, $2, $3) ON CONFLICT (user_id, group_id, contact_id) DO NOTHING",
                   values, 3, NULL, NULL, err);
}

bool contacts_group_add(struct db *db, int64_t user_id, const char *group, const char *which,
                        struct error *err)
{
    g_autofree char *name = cut_for_column(group);
    struct membership membership = {name, which};

    if (!*name) {
        error_set(err, ERROR_USAGE, "a group needs a name");
        return false;
    }
    return in_transaction(db, user_id, group_add_body, &membership, err);
}

static bool group_remove_body(struct db *db, int64_t user_id, void *ctx, struct error *err)
{
    const struct membership *membership = ctx;
    struct db_value values[3] = {db_int(user_id)};
    int64_t contact, group;

    if (!id_of(db, user_id, membership->which, &contact, err) ||
        !id_of_group(db, user_id, membership->group, &group, err))
        return false;
    values[1] = db_int(group);
    values[2] = db_int(contact);
    if (!db_exec(db,
                 "DELETE FROM contact_group_members WHERE user_id = $1 AND group_id = $2 AND "
                 "contact_id = $3",
                 values, 3, NULL, NULL, err))
        return false;
    if (db_changes(db) == 0) {
        error_set(err, ERROR_USAGE, "%s is not in the group %s", membership->which,
                  membership->group);
        return false;
    }
    return drop_empty_groups(db, user_id, err);
}

bool contacts_group_remove(struct db *db, int64_t user_id, const char *group, const char *which,
                           struct error *err)
{
    struct membership membership = {group, which};

    return in_transaction(db, user_id, group_remove_body, &membership, err);
}

static bool take_group(void *ctx, const struct db_row *row, struct error *err)
{
    struct contact_group *group = g_new0(struct contact_group, 1);

    (void)err;
    group->name = g_strdup(db_row_text(row, 0));
    group->members = db_row_int(row, 1);
    g_ptr_array_add(ctx, group);
    return true;
}

bool contacts_group_list(struct db *db, int64_t user_id, GPtrArray **ret_groups, struct error *err)
{
    struct db_value values[1] = {db_int(user_id)};
    g_autoptr(GPtrArray) groups =
        g_ptr_array_new_with_free_func((GDestroyNotify)contact_group_free);

    if (!db_exec(db,
                 "SELECT g.group_name, count(m.contact_id) FROM contact_groups g "
                 "LEFT JOIN contact_group_members m ON m.group_id = g.id "
                 "WHERE g.user_id = $1 GROUP BY g.id, g.group_name ORDER BY g.group_name",
                 values, 1, take_group, groups, err))
        return false;
    *ret_groups = g_steal_pointer(&groups);
    return true;
}

/* ------------------------------------------------------------------ all of them */

struct loading {
    GPtrArray *contacts;
    GHashTable *by_id;
};

static bool take_contact(void *ctx, const struct db_row *row, struct error *err)
{
    struct loading *loading = ctx;
    const char *name = db_row_text(row, 1), *email = db_row_text(row, 2);
    struct contact *contact = contact_new(name ? name : "", email ? email : "");

    (void)err;
    contact->id = db_row_int(row, 0);
    contact->use_count = db_row_int(row, 3);
    g_free(contact->last_used);
    contact->last_used = g_strdup(db_row_text(row, 4) ? db_row_text(row, 4) : "");
    g_free(contact->source);
    contact->source = g_strdup(db_row_text(row, 5) ? db_row_text(row, 5) : "");
    g_ptr_array_add(loading->contacts, contact);
    g_hash_table_insert(loading->by_id, &contact->id, contact);
    return true;
}

static bool take_membership(void *ctx, const struct db_row *row, struct error *err)
{
    struct loading *loading = ctx;
    int64_t id = db_row_int(row, 0);
    struct contact *contact = g_hash_table_lookup(loading->by_id, &id);
    guint count;

    (void)err;
    if (!contact)
        return true;
    count = g_strv_length(contact->groups);
    contact->groups = g_renew(char *, contact->groups, count + 2);
    contact->groups[count] = g_strdup(db_row_text(row, 1));
    contact->groups[count + 1] = NULL;
    return true;
}

static bool load_all(struct db *db, int64_t user_id, GPtrArray **ret_contacts, struct error *err)
{
    struct db_value values[1] = {db_int(user_id)};
    g_autoptr(GPtrArray) contacts = contacts_array_new();
    g_autoptr(GHashTable) by_id = g_hash_table_new(g_int64_hash, g_int64_equal);
    struct loading loading = {contacts, by_id};

    if (!db_exec(db,
                 "SELECT id, contact_name, contact_email, use_count, last_used, source "
                 "FROM contacts WHERE user_id = $1 ORDER BY id",
                 values, 1, take_contact, &loading, err) ||
        !db_exec(db,
                 "SELECT m.contact_id, g.group_name FROM contact_group_members m "
                 "JOIN contact_groups g ON g.id = m.group_id WHERE g.user_id = $1 "
                 "ORDER BY g.group_name",
                 values, 1, take_membership, &loading, err))
        return false;
    *ret_contacts = g_steal_pointer(&contacts);
    return true;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    const struct contact *left = *(struct contact *const *)a, *right = *(struct contact *const *)b;
    int order = g_utf8_collate(*left->name ? left->name : left->email,
                               *right->name ? right->name : right->email);

    return order ? order : strcmp(left->email, right->email);
}

static void cut_array(GPtrArray *contacts, int limit)
{
    if (limit > 0 && contacts->len > (guint)limit)
        g_ptr_array_set_size(contacts, limit);
}

bool contacts_list(struct db *db, int64_t user_id, int limit, GPtrArray **ret_contacts,
                   struct error *err)
{
    GPtrArray *contacts;

    if (!load_all(db, user_id, &contacts, err))
        return false;
    g_ptr_array_sort(contacts, compare_names);
    cut_array(contacts, limit);
    *ret_contacts = contacts;
    return true;
}

/* Most used first; a use counts half after a month, a quarter after two. Last, by name. */
static double weight_of(const struct contact *contact, int64_t now)
{
    g_autofree char *iso = NULL;
    g_autoptr(GDateTime) used = NULL;
    double days;

    if (contact->use_count <= 0 || strlen(contact->last_used) < 19)
        return 0;
    iso = g_strndup(contact->last_used, 19);
    iso[10] = 'T';
    {
        g_autoptr(GTimeZone) utc = g_time_zone_new_utc();

        used = g_date_time_new_from_iso8601(iso, utc);
    }
    if (!used)
        return 0;
    days = (double)MAX(now - g_date_time_to_unix(used), 0) / 86400;
    return (double)contact->use_count / (1 + days / 30);
}

static int compare_weights(gconstpointer a, gconstpointer b, gpointer now)
{
    const struct contact *left = *(struct contact *const *)a, *right = *(struct contact *const *)b;
    double left_weight = weight_of(left, *(int64_t *)now);
    double right_weight = weight_of(right, *(int64_t *)now);

    if (left_weight != right_weight)
        return left_weight > right_weight ? -1 : 1;
    return compare_names(a, b);
}

/* A word of the search; initials are compared with initials. */
struct word {
    char *folded, *initials;
};

static bool contains(const char *folded, const struct word *word)
{
    g_autofree char *initials = NULL;

    if (strstr(folded, word->folded))
        return true;
    if (!word->initials)
        return false;
    initials = search_initials_new(folded);
    return strstr(initials, word->initials) != NULL;
}

static bool matches(const struct contact *contact, const GArray *words)
{
    g_autofree char *groups = g_strjoinv("\n", contact->groups);
    g_autofree char *name = search_fold(contact->name);
    g_autofree char *email = search_fold(contact->email);
    g_autofree char *group = search_fold(groups);
    g_autofree char *key = contacts_fold_address(contact->email);

    for (guint i = 0; i < words->len; i++) {
        const struct word *word = &g_array_index(words, struct word, i);

        if (!contains(name, word) && !contains(email, word) && !contains(group, word) &&
            !(key && contains(key, word)))
            return false;
    }
    return true;
}

static void word_clear(gpointer data)
{
    struct word *word = data;

    g_free(word->folded);
    g_free(word->initials);
}

static bool split_words(const char *text, GArray **ret_words, struct error *err)
{
    GArray *words;
    g_auto(GStrv) parts = NULL;

    if (strlen(text) > WORDS_MAX || !g_utf8_validate(text, -1, NULL)) {
        error_set(err, ERROR_USAGE, "the words are longer than %d bytes or not UTF-8", WORDS_MAX);
        return false;
    }
    words = g_array_new(FALSE, TRUE, sizeof(struct word));
    g_array_set_clear_func(words, word_clear);
    parts = g_strsplit_set(text, " \t\r\n", -1);
    for (char **part = parts; *part; part++) {
        struct word word = {NULL};

        if (!**part)
            continue;
        word.initials = search_is_initials(*part) ? g_strdup(*part) : NULL;
        word.folded = search_fold(*part);
        g_array_append_val(words, word);
    }
    *ret_words = words;
    return true;
}

bool contacts_find(struct db *db, int64_t user_id, const char *words, int limit,
                   GPtrArray **ret_contacts, struct error *err)
{
    GPtrArray *contacts;
    g_autoptr(GArray) list = NULL;
    int64_t now = g_get_real_time() / G_USEC_PER_SEC;

    if (!split_words(words, &list, err) || !load_all(db, user_id, &contacts, err))
        return false;
    for (guint i = contacts->len; i-- > 0;)
        if (!matches(contacts->pdata[i], list))
            g_ptr_array_remove_index_fast(contacts, i);
    g_ptr_array_sort_with_data(contacts, compare_weights, &now);
    cut_array(contacts, limit);
    *ret_contacts = contacts;
    return true;
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
    done = in_transaction(db, user_id, import_body, &importing, err);
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
