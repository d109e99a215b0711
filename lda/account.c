#include "lda/account.h"

#include <string.h>
#include <strings.h>

#include <glib.h>

#include "lda/base/path.h"
#include "lda/mail/address.h"
#include "store/db.h"

/* A password that no hash scheme accepts, for tables whose column must not be NULL. */
#define NO_PASSWORD "{CRYPT}!"

struct columns {
    GHashTable *nullable; /* name in lower case → "YES" or "NO" */
};

static bool add_column(void *ctx, const struct db_row *row, struct error *err)
{
    struct columns *columns = ctx;

    (void)err;
    g_hash_table_insert(columns->nullable, g_ascii_strdown(db_row_text(row, 0), -1),
                        g_strdup(db_row_text(row, 1)));
    return true;
}

/* The columns of virtual_users as the site has it. */
static bool read_columns(struct db *db, struct columns *ret_columns, struct error *err)
{
    static const char sqlite[] =
        "SELECT name, CASE WHEN \"notnull\" THEN 'NO' ELSE 'YES' END "
        "FROM pragma_table_info('virtual_users')";
    static const char pgsql[] =
        "SELECT column_name::text, is_nullable::text FROM information_schema.columns "
        "WHERE table_name = 'virtual_users' AND table_schema = ANY (current_schemas(false))";

    ret_columns->nullable = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (db_exec(db, db_kind(db) == DB_SQLITE ? sqlite : pgsql, NULL, 0, add_column, ret_columns,
                err) &&
        g_hash_table_size(ret_columns->nullable) > 0)
        return true;
    if (g_hash_table_size(ret_columns->nullable) == 0)
        error_set(err, ERROR_CONFIG, "there is no table virtual_users: run vmail migrate");
    g_hash_table_unref(ret_columns->nullable);
    return false;
}

static bool has(const struct columns *columns, const char *name)
{
    return g_hash_table_contains(columns->nullable, name);
}

static bool must_have(const struct columns *columns, const char *name)
{
    return g_strcmp0(g_hash_table_lookup(columns->nullable, name), "NO") == 0;
}

/* --- adding */

static bool check_address(const char *address, char **ret_address, char **ret_domain,
                          struct error *err)
{
    g_autofree char *lower = g_ascii_strdown(address, -1);
    g_autofree char *local = NULL;
    g_autofree char *domain = NULL;

    if (!address_parse_path(lower, &local, &domain) || !path_component_is_safe(local) ||
        !path_component_is_safe(domain)) {
        error_set(err, ERROR_USAGE, "%s cannot be the address of an account", address);
        return false;
    }
    *ret_address = address_join(local, domain);
    *ret_domain = g_steal_pointer(&domain);
    return true;
}

/* The id of the domain, made where it is missing. *@ret_id 0: the site keeps no such table. */
static bool domain_id(struct db *db, const struct columns *columns, const char *domain,
                      int64_t *ret_id, struct error *err)
{
    struct db_value values[] = {db_text(domain)};
    bool found;

    *ret_id = 0;
    if (!has(columns, "domain_id"))
        return true;
    if (!db_query_int(db, "SELECT id FROM virtual_domains WHERE name = $1", values, 1, &found,
                      ret_id, err))
        return false;
    if (found)
        return true;
    return db_query_int(db, "INSERT INTO virtual_domains (name) VALUES ($1) RETURNING id", values,
                        1, &found, ret_id, err);
}

struct insertion {
    GString *names;
    GString *places;
    GArray *values; /* struct db_value */
};

static void add_value(struct insertion *insertion, const char *name, struct db_value value)
{
    g_array_append_val(insertion->values, value);
    g_string_append_printf(insertion->names, "%s%s", insertion->values->len > 1 ? ", " : "", name);
    g_string_append_printf(insertion->places, "%s$%u", insertion->values->len > 1 ? ", " : "",
                           insertion->values->len);
}

/* A column that the caller asked for and the site's table may lack. @name is one of ours. */
static bool add_wanted(struct insertion *insertion, const struct columns *columns,
                       const char *name, struct db_value value, struct error *err)
{
    if (!has(columns, name)) {
        error_set(err, ERROR_USAGE, "virtual_users has no column %s on this site", name);
        return false;
    }
    add_value(insertion, name, value);
    return true;
}

static bool fill(struct insertion *insertion, const struct columns *columns,
                 const struct account *account, const char *address, int64_t domain,
                 struct error *err)
{
    add_value(insertion, "email", db_text(address));
    if (domain != 0)
        add_value(insertion, "domain_id", db_int(domain));
    if (account->password_hash != NULL) {
        if (!add_wanted(insertion, columns, "password", db_text(account->password_hash), err))
            return false;
    } else if (must_have(columns, "password")) {
        add_value(insertion, "password", db_text(NO_PASSWORD));
    }
    return (account->home == NULL ||
            add_wanted(insertion, columns, "home", db_text(account->home), err)) &&
           (account->format == NULL ||
            add_wanted(insertion, columns, "mail_format", db_text(account->format), err)) &&
           (account->quota_bytes == 0 ||
            add_wanted(insertion, columns, "quota_bytes", db_int(account->quota_bytes), err));
}

static bool insert(struct db *db, const struct columns *columns, const struct account *account,
                   const char *address, const char *domain, int64_t *ret_id, struct error *err)
{
    struct insertion insertion = {
        g_string_new(NULL), g_string_new(NULL), g_array_new(FALSE, FALSE, sizeof(struct db_value))};
    int64_t domain_number;
    bool found = false;
    bool good = domain_id(db, columns, domain, &domain_number, err) &&
                fill(&insertion, columns, account, address, domain_number, err);

    if (good) {
        g_autofree char *sql =
            g_strdup_printf("INSERT INTO virtual_users (%s) VALUES (%s) RETURNING id",
                            insertion.names->str, insertion.places->str);

        good = db_query_int(db, sql,
                            (const struct db_value *)(const void *)insertion.values->data,
                            insertion.values->len, &found, ret_id, err);
        if (!good && db_fault(db) == DB_FAULT_UNIQUE)
            error_set(err, ERROR_USAGE, "user %s exists already", address);
    }
    g_string_free(insertion.names, TRUE);
    g_string_free(insertion.places, TRUE);
    g_array_unref(insertion.values);
    return good;
}

bool account_add(struct db *db, const struct account *account, int64_t *ret_id, struct error *err)
{
    g_autofree char *address = NULL;
    g_autofree char *domain = NULL;
    struct columns columns;

    if (!check_address(account->address, &address, &domain, err) ||
        !read_columns(db, &columns, err))
        return false;
    bool good = db_begin(db, err) &&
                insert(db, &columns, account, address, domain, ret_id, err) &&
                db_commit(db, err) == DB_DURABLE;
    if (!good)
        db_rollback(db);
    g_hash_table_unref(columns.nullable);
    return good;
}

bool account_enable(struct db *db, int64_t id, bool enabled, struct error *err)
{
    struct db_value values[] = {db_bool(enabled), db_int(id)};
    struct columns columns;
    const char *sql = NULL;

    if (!read_columns(db, &columns, err))
        return false;
    if (has(&columns, "enabled"))
        sql = "UPDATE virtual_users SET enabled = $1 WHERE id = $2";
    else if (has(&columns, "active"))
        sql = "UPDATE virtual_users SET active = $1 WHERE id = $2";
    g_hash_table_unref(columns.nullable);
    if (sql == NULL) {
        error_set(err, ERROR_USAGE, "virtual_users has no column enabled or active on this site");
        return false;
    }
    return db_exec(db, sql, values, 2, NULL, NULL, err);
}
