/* vmail stats: how much lies in the store, as the rows know it. */
#include "lda/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include <glib.h>
#include <jansson.h>

#include "lda/config.h"
#include "lda/table.h"
#include "store/db.h"

static const char usage[] = "stats [-u USER | -n COUNT] [--json]";

/* One figure of the whole site or of one user ($1; NULL: all). */
static const struct {
    const char *name, *words, *sql;
} figures[] = {
    {"users", "accounts", "SELECT COUNT(*) FROM virtual_users WHERE $1 IS NULL OR id = $1"},
    {"messages", "messages",
     "SELECT COUNT(*) FROM email_headers WHERE $1 IS NULL OR user_id = $1"},
    {"unread", "of them unread",
     "SELECT COUNT(*) FROM email_headers WHERE ($1 IS NULL OR user_id = $1) AND NOT is_read"},
    {"bytes", "bytes",
     "SELECT COALESCE(SUM(size), 0) FROM email_headers WHERE $1 IS NULL OR user_id = $1"},
    {"mailboxes", "mailboxes",
     "SELECT COUNT(*) FROM (SELECT DISTINCT user_id, mailbox FROM email_headers "
     "WHERE $1 IS NULL OR user_id = $1) AS m"},
    {"contacts", "contacts", "SELECT COUNT(*) FROM contacts WHERE $1 IS NULL OR user_id = $1"},
    {"deliveries_hour", "deliveries in the last hour",
     "SELECT COUNT(*) FROM deliveries WHERE ($1 IS NULL OR user_id = $1) AND delivered_at > $2"},
    {"deliveries_day", "deliveries in the last day",
     "SELECT COUNT(*) FROM deliveries WHERE ($1 IS NULL OR user_id = $1) AND delivered_at > $2"},
    {"replies", "correspondents who got an auto-reply and are remembered",
     "SELECT COUNT(*) FROM sieve_replies WHERE $1 IS NULL OR user_id = $1"},
};

/* PostgreSQL must be told what type a parameter has that is only compared with NULL. */
static char *typed(const struct db *db, const char *sql)
{
    if (db_kind(db) == DB_SQLITE)
        return g_strdup(sql);
    g_auto(GStrv) parts = g_strsplit(sql, "$1", -1);
    return g_strjoinv("$1::bigint", parts);
}

static bool read_figure(struct db *db, size_t index, const struct user *user, int64_t *ret_value,
                        struct error *err)
{
    int64_t window = strcmp(figures[index].name, "deliveries_hour") == 0 ? 3600 : 86400;
    struct db_value values[] = {user == NULL ? DB_VALUE_NULL : db_int(user->id),
                                db_time((int64_t)time(NULL) - window)};
    size_t count = strstr(figures[index].sql, "$2") != NULL ? 2 : 1;
    g_autofree char *sql = typed(db, figures[index].sql);
    bool found;

    *ret_value = 0;
    return db_query_int(db, sql, values, count, &found, ret_value, err);
}

/* --- the largest users */

static bool add_user(void *ctx, const struct db_row *row, struct error *err)
{
    (void)err;
    json_array_append_new(ctx, json_pack("{s:s, s:I, s:I}", "email", db_row_text(row, 0),
                                         "messages", (json_int_t)db_row_int(row, 1), "bytes",
                                         (json_int_t)db_row_int(row, 2)));
    return true;
}

static bool read_largest(struct db *db, int64_t limit, json_t *array, struct error *err)
{
    static const char sql[] =
        "SELECT u.email, COUNT(*), COALESCE(SUM(h.size), 0) FROM email_headers h "
        "JOIN virtual_users u ON u.id = h.user_id GROUP BY u.id, u.email ORDER BY 3 DESC, 1 "
        "LIMIT $1";
    struct db_value values[] = {db_int(limit)};

    return db_exec(db, sql, values, 1, add_user, array, err);
}

static void print_largest(json_t *array)
{
    static const char *const columns[] = {"User", "#Messages", "#Size", NULL};
    struct table *table = table_new(columns);
    json_t *item;
    size_t i;

    json_array_foreach(array, i, item) {
        g_autofree char *messages = g_strdup_printf(
            "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(item, "messages")));
        g_autofree char *size =
            g_format_size((guint64)json_integer_value(json_object_get(item, "bytes")));
        const char *cells[] = {json_string_value(json_object_get(item, "email")), messages, size};

        table_add(table, cells);
    }
    if (table_rows(table) > 0) {
        putchar('\n');
        table_print(table, table_terminal_width(stdout), stdout);
    }
    table_free(table);
}

static bool run(struct db *db, const struct user *user, int64_t limit, bool json,
                struct error *err)
{
    json_t *object = json_object();
    json_t *largest = json_array();
    bool good = true;

    for (size_t i = 0; i < G_N_ELEMENTS(figures) && good; i++) {
        int64_t value;

        good = read_figure(db, i, user, &value, err);
        if (!good)
            break;
        json_object_set_new(object, figures[i].name, json_integer(value));
        if (!json)
            printf("%12" G_GINT64_FORMAT " %s\n", value, figures[i].words);
    }
    good = good && (user != NULL || read_largest(db, limit, largest, err));
    if (good && json) {
        if (user == NULL)
            json_object_set(object, "largest", largest);
        json_dumpf(object, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        putchar('\n');
    } else if (good) {
        print_largest(largest);
    }
    json_decref(object);
    json_decref(largest);
    return good;
}

int cmd_stats(int argc, char **argv, struct config *config)
{
    static const struct option long_options[] = {{"json", no_argument, NULL, 'j'},
                                                 {NULL, 0, NULL, 0}};
    const char *address = NULL;
    g_autoptr(user_t) user = NULL;
    uint64_t limit = 10;
    bool json = false;
    struct error err;
    int option;

    while ((option = getopt_long(argc, argv, "u:n:", long_options, NULL)) != -1) {
        if (option == 'u')
            address = optarg;
        else if (option == 'j')
            json = true;
        else if (option != 'n' || !config_parse_number(CONFIG_COUNT, optarg, &limit))
            return command_usage(usage);
    }
    if (optind < argc)
        return command_usage(usage);
    g_autoptr(db_t) db = command_open_db(config, &err);
    if (db == NULL ||
        (address != NULL && !command_find_user(db, config, address, &user, &err)) ||
        !run(db, user, (int64_t)MIN(limit, 1000000), json, &err))
        return command_fail("stats", &err);
    return EX_OK;
}
