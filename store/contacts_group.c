/* Groups of contacts. */
#include "store/contacts-internal.h"

#include "store/db.h"

bool contacts_drop_empty_groups(struct db *db, int64_t user_id, struct error *err)
{
    struct db_value values[1] = {db_int(user_id)};

    return db_exec(db,
                   "DELETE FROM contact_groups WHERE user_id = $1 AND NOT EXISTS "
                   "(SELECT 1 FROM contact_group_members m WHERE m.group_id = contact_groups.id)",
                   values, 1, NULL, NULL, err);
}

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

    if (!contacts_id_of(db, user_id, membership->which, &contact, err) ||
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
    g_autofree char *name = contacts_cut_for_column(group);
    struct membership membership = {name, which};

    if (!*name) {
        error_set(err, ERROR_USAGE, "a group needs a name");
        return false;
    }
    return contacts_in_transaction(db, user_id, group_add_body, &membership, err);
}

static bool group_remove_body(struct db *db, int64_t user_id, void *ctx, struct error *err)
{
    const struct membership *membership = ctx;
    struct db_value values[3] = {db_int(user_id)};
    int64_t contact, group;

    if (!contacts_id_of(db, user_id, membership->which, &contact, err) ||
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
    return contacts_drop_empty_groups(db, user_id, err);
}

bool contacts_group_remove(struct db *db, int64_t user_id, const char *group, const char *which,
                           struct error *err)
{
    struct membership membership = {group, which};

    return contacts_in_transaction(db, user_id, group_remove_body, &membership, err);
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
