/*
 * The schema, brought forward: schema/{sqlite,pgsql}/NNNN-what.sql in the order of their numbers, each
 * in a transaction of its own together with its line in schema_version.
 *
 * Two at once: the second waits (SQLite: the writer's lock; PostgreSQL: an advisory lock) and then
 * finds the work done.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "store/db.h"
#include "store/store.h"

/* Any number that no other program is likely to lock. */
#define ADVISORY_LOCK "8263500412"
/* Building an index over millions of rows takes its time. */
#define MIGRATION_TIMEOUT_S (24 * 3600)
#define SCRIPT_SIZE_MAX (1024 * 1024)

/* ------------------------------------------------------------------ the folder */

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "0002-headers.sql" → 2; 0: not a migration. */
static int version_of(const char *name)
{
    if (!g_str_has_suffix(name, ".sql") || strspn(name, "0123456789") != 4 || name[4] != '-')
        return 0;
    return (int)g_ascii_strtoll(name, NULL, 10);
}

/* Opens @schema_dir/<kind>; a tree that was built and not installed has it in the source. */
static int open_folder(const struct db *db, const char *schema_dir, char **ret_path,
                       struct error *err)
{
    const char *kind = db_kind(db) == DB_SQLITE ? "sqlite" : "pgsql";
    const char *const places[] = {schema_dir, VMAIL_SOURCE_SCHEMA_DIR};

    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *path = g_build_filename(places[i], kind, NULL);
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd >= 0) {
            *ret_path = g_steal_pointer(&path);
            return fd;
        }
        if (errno != ENOENT || i + 1 == G_N_ELEMENTS(places)) {
            error_set_errno(err, ERROR_CONFIG, errno, "cannot open %s/%s (see schema_dir)", schema_dir,
                            kind);
            return -1;
        }
    }
    return -1;
}

/* The names of the migrations, in order. */
static bool list_folder(int folder, const char *path, GPtrArray **ret_names, struct error *err)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    int copy = fcntl(folder, F_DUPFD_CLOEXEC, 0);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *entry;

    if (dir == NULL) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read %s", path);
        if (copy >= 0)
            close(copy);
        return false;
    }
    while ((entry = readdir(dir)) != NULL)
        if (version_of(entry->d_name) > 0)
            g_ptr_array_add(names, g_strdup(entry->d_name));
    closedir(dir);
    if (names->len == 0) {
        error_set(err, ERROR_CONFIG, "cannot migrate: no NNNN-*.sql in %s (see schema_dir)", path);
        return false;
    }
    g_ptr_array_sort(names, compare_names);
    *ret_names = g_steal_pointer(&names);
    return true;
}

/* ------------------------------------------------------------------ one migration */

static bool has_column(struct db *db, const char *table, const char *column, bool *ret_yes,
                       struct error *err)
{
    const struct db_value values[] = {db_text(table), db_text(column)};
    int64_t ignored;

    return db_query_int(db, "SELECT 1 FROM pragma_table_info($1) WHERE lower(name) = lower($2)", values,
                        2, ret_yes, &ignored, err);
}

/* SQLite lacks ADD COLUMN IF NOT EXISTS: a line that says so is dropped where the column exists. */
static bool adapt_for_sqlite(struct db *db, char **script, struct error *err)
{
    static const char words[] = "IF NOT EXISTS ";
    g_auto(GStrv) lines = g_strsplit(*script, "\n", -1);

    for (char **line = lines; *line != NULL; line++) {
        char table[128], column[128];
        bool exists;

        if (sscanf(*line, "ALTER TABLE %127s ADD COLUMN IF NOT EXISTS %127s", table, column) != 2)
            continue;
        if (!has_column(db, table, column, &exists, err))
            return false;

        char *at = strstr(*line, words);

        if (exists)
            (*line)[0] = '\0';
        else
            memmove(at, at + strlen(words), strlen(at + strlen(words)) + 1);
    }
    g_free(*script);
    *script = g_strjoinv("\n", lines);
    return true;
}

static bool read_script(int folder, const char *name, char **ret_script, struct error *err)
{
    AUTO_FD fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
    AUTO_FREE char *data = NULL;
    size_t length;

    if (fd < 0) {
        error_set_errno(err, ERROR_CONFIG, errno, "cannot open %s", name);
        return false;
    }
    if (!io_read_all(fd, SCRIPT_SIZE_MAX, &data, &length, name, err))
        return false;
    *ret_script = g_strdup(data);
    return true;
}

/* Takes the lock that keeps a second migration out, until the transaction ends. */
static bool lock(struct db *db, struct error *err)
{
    if (db_kind(db) == DB_SQLITE)
        return true;
    return db_exec(db, "SELECT set_config('statement_timeout', '0', true)", NULL, 0, NULL, NULL, err) &&
           db_exec(db, "SELECT pg_advisory_xact_lock(" ADVISORY_LOCK ")", NULL, 0, NULL, NULL, err);
}

static bool is_applied(struct db *db, int version, bool *ret_yes, struct error *err)
{
    const struct db_value values[] = {db_int(version)};
    int64_t ignored;

    return db_query_int(db, "SELECT version FROM schema_version WHERE version = $1", values, 1,
                        ret_yes, &ignored, err);
}

static bool apply_script(struct db *db, int folder, const char *name, struct error *err)
{
    const struct db_value values[] = {db_int(version_of(name)), db_text(name),
                                      db_time(g_get_real_time() / G_USEC_PER_SEC)};
    g_autofree char *script = NULL;

    return read_script(folder, name, &script, err) &&
           (db_kind(db) != DB_SQLITE || adapt_for_sqlite(db, &script, err)) &&
           db_exec_script(db, script, err) &&
           db_exec(db, "INSERT INTO schema_version (version, name, applied_at) VALUES ($1, $2, $3)",
                   values, 3, NULL, NULL, err);
}

static bool finish(struct db *db, bool ok, struct error *err)
{
    if (ok)
        return db_commit(db, err) == DB_DURABLE;
    db_rollback(db);
    return false;
}

static bool apply(struct db *db, int folder, const char *name, bool *ret_applied,
                  struct error *err)
{
    bool applied = false;

    if (!db_begin(db, err))
        return false;

    bool ok = lock(db, err) && is_applied(db, version_of(name), &applied, err) &&
              (applied || apply_script(db, folder, name, err));

    if (!finish(db, ok, err)) {
        error_prefix(err, "cannot apply %s", name);
        return false;
    }
    *ret_applied = !applied;
    return true;
}

static bool make_version_table(struct db *db, struct error *err)
{
    if (!db_begin(db, err))
        return false;

    bool ok = lock(db, err) &&
              db_exec_script(db, "CREATE TABLE IF NOT EXISTS schema_version ("
                                 "version INTEGER PRIMARY KEY, name VARCHAR(255) NOT NULL, "
                                 "applied_at TIMESTAMP NOT NULL)", err);

    return finish(db, ok, err);
}

/* ------------------------------------------------------------------ the door */

static bool migrate_all(struct db *db, const char *schema_dir,
                        void (*applied)(void *ctx, const char *name), void *ctx, struct error *err)
{
    g_autofree char *path = NULL;
    g_autoptr(GPtrArray) names = NULL;
    AUTO_FD folder = open_folder(db, schema_dir, &path, err);

    if (folder < 0 || !list_folder(folder, path, &names, err) || !make_version_table(db, err))
        return false;
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        bool now;

        if (!apply(db, folder, name, &now, err))
            return false;
        if (now && applied != NULL)
            applied(ctx, name);
    }
    return true;
}

bool store_migrate(struct db *db, const char *schema_dir,
                   void (*applied)(void *ctx, const char *name), void *ctx, struct error *err)
{
    int timeout_s = db_set_timeout(db, MIGRATION_TIMEOUT_S);
    bool ok = migrate_all(db, schema_dir, applied, ctx, err);

    db_set_timeout(db, timeout_s);
    return ok;
}

bool store_schema_missing(struct db *db, const char *schema_dir, int *ret_missing,
                          struct error *err)
{
    g_autofree char *path = NULL;
    g_autoptr(GPtrArray) names = NULL;
    AUTO_FD folder = open_folder(db, schema_dir, &path, err);
    int missing = 0;

    if (folder < 0 || !list_folder(folder, path, &names, err))
        return false;
    for (guint i = 0; i < names->len; i++) {
        bool applied = false;
        struct error why = {0};

        if (!is_applied(db, version_of(g_ptr_array_index(names, i)), &applied, &why)) {
            if (db_fault(db) != DB_FAULT_MISSING) {
                *err = why;
                return false;
            }
            applied = false; /* not even schema_version is there */
        }
        missing += !applied;
    }
    *ret_missing = missing;
    return true;
}
