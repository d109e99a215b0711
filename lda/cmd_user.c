/* vmail user: the accounts. */
#include "lda/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <glib.h>
#include <jansson.h>

#include "lda/account.h"
#include "lda/base/cleanup.h"
#include "lda/config.h"
#include "lda/script.h"
#include "lda/table.h"
#include "store/db.h"

static const char usage[] =
    "user list [--json]\n"
    "       vmail user show ADDRESS [--json]\n"
    "       vmail user add ADDRESS [--password-hash HASH] [--home PATH] [--format maildir|mbox]\n"
    "                      [--quota SIZE]\n"
    "       vmail user enable|disable ADDRESS";

static json_t *to_json(const struct user *user)
{
    return json_pack("{s:I, s:s, s:s, s:s, s:b, s:I}", "id", (json_int_t)user->id, "email",
                     user->address, "home", user->home, "format", user->mbox ? "mbox" : "maildir",
                     "enabled", user->enabled, "quota_bytes", (json_int_t)user->quota_bytes);
}

static void print_json(json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(json);
}

/* --- list */

static void print_table(const GPtrArray *users)
{
    static const char *const columns[] = {"#Id", "Address", "Format", "Enabled", "Home", NULL};
    struct table *table = table_new(columns);

    for (guint i = 0; i < users->len; i++) {
        const struct user *user = users->pdata[i];
        g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, user->id);
        const char *cells[] = {id, user->address, user->mbox ? "mbox" : "maildir",
                               user->enabled ? "yes" : "no", user->home};

        table_add(table, cells);
    }
    table_print(table, table_terminal_width(stdout), stdout);
    table_free(table);
}

static bool list(struct db *db, const struct config *config, bool json, struct error *err)
{
    g_autoptr(GPtrArray) users = NULL;

    if (!user_list(db, config, &users, err))
        return false;
    if (!json) {
        print_table(users);
        return true;
    }
    json_t *array = json_array();
    for (guint i = 0; i < users->len; i++)
        json_array_append_new(array, to_json(users->pdata[i]));
    print_json(array);
    return true;
}

/* --- show */

static char *describe_script(const struct config *config, const struct user *user, int home)
{
    struct script *script = NULL;
    struct error err;
    char *text;

    switch (script_find_user(config, user, home, &script, &err)) {
    case SCRIPT_NONE:
        return g_strdup("none");
    case SCRIPT_FAILED:
        return g_strdup(err.text);
    case SCRIPT_FOUND:
        break;
    }
    text = script->problem != NULL ? g_strdup(script->problem)
                                   : g_strdup_printf("%s, %lld bytes", script->name,
                                                     (long long)script->identity.st_size);
    script_free(script);
    return text;
}

static bool show(struct db *db, const struct config *config, const struct user *user, bool json,
                 struct error *err)
{
    struct db_value values[] = {db_int(user->id)};
    struct error home_error;
    int64_t rows = 0;
    int64_t unread = 0;
    bool found;

    if (!db_query_int(db, "SELECT COUNT(*) FROM email_headers WHERE user_id = $1", values, 1,
                      &found, &rows, err) ||
        !db_query_int(db,
                      "SELECT COUNT(*) FROM email_headers WHERE user_id = $1 AND NOT is_read",
                      values, 1, &found, &unread, err))
        return false;
    AUTO_FD home = user_open_home(user, config, false, &home_error);
    g_autofree char *script = describe_script(config, user, home);
    if (json) {
        json_t *object = to_json(user);

        json_object_set_new(object, "home_exists", json_boolean(home >= 0));
        json_object_set_new(object, "script", json_string(script));
        json_object_set_new(object, "messages", json_integer(rows));
        json_object_set_new(object, "unread", json_integer(unread));
        print_json(object);
        return true;
    }
    printf("id:       %" G_GINT64_FORMAT "\naddress:  %s\nenabled:  %s\nformat:   %s\n", user->id,
           user->address, user->enabled ? "yes" : "no", user->mbox ? "mbox" : "maildir");
    printf("home:     %s%s\nscript:   %s\nmessages: %" G_GINT64_FORMAT " (%" G_GINT64_FORMAT
           " unread)\n",
           user->home, home >= 0 ? "" : " (made by the first delivery)", script, rows, unread);
    return true;
}

/* --- the verbs */

enum { OPTION_JSON = 256, OPTION_PASSWORD, OPTION_HOME, OPTION_FORMAT, OPTION_QUOTA };

static const struct option long_options[] = {
    {"json", no_argument, NULL, OPTION_JSON},
    {"password-hash", required_argument, NULL, OPTION_PASSWORD},
    {"home", required_argument, NULL, OPTION_HOME},
    {"format", required_argument, NULL, OPTION_FORMAT},
    {"quota", required_argument, NULL, OPTION_QUOTA},
    {NULL, 0, NULL, 0},
};

static bool take_option(int option, struct account *account, bool *json)
{
    uint64_t quota;

    switch (option) {
    case OPTION_JSON:
        *json = true;
        return true;
    case OPTION_PASSWORD:
        account->password_hash = optarg;
        return true;
    case OPTION_HOME:
        account->home = optarg;
        return true;
    case OPTION_FORMAT:
        account->format = optarg;
        return strcmp(optarg, "maildir") == 0 || strcmp(optarg, "mbox") == 0;
    case OPTION_QUOTA:
        if (!config_parse_number(CONFIG_SIZE, optarg, &quota))
            return false;
        account->quota_bytes = (int64_t)quota;
        return true;
    default:
        return false;
    }
}

static bool add(struct db *db, const struct account *account, struct error *err)
{
    int64_t id;

    if (!account_add(db, account, &id, err))
        return false;
    printf("added %s, id %" G_GINT64_FORMAT "\n", account->address, id);
    return true;
}

static bool enable(struct db *db, const struct user *user, bool enabled, struct error *err)
{
    if (!account_enable(db, user->id, enabled, err))
        return false;
    printf("%s %s\n", enabled ? "enabled" : "disabled", user->address);
    return true;
}

static bool run(struct db *db, const struct config *config, const char *verb,
                const struct account *account, bool json, struct error *err)
{
    g_autoptr(user_t) user = NULL;

    if (strcmp(verb, "list") == 0)
        return list(db, config, json, err);
    if (strcmp(verb, "add") == 0)
        return add(db, account, err);
    if (!command_find_user(db, config, account->address, &user, err))
        return false;
    if (strcmp(verb, "show") == 0)
        return show(db, config, user, json, err);
    return enable(db, user, strcmp(verb, "enable") == 0, err);
}

int cmd_user(int argc, char **argv, struct config *config)
{
    static const char *const verbs[] = {"add", "disable", "enable", "list", "show", NULL};
    struct account account = {.address = NULL};
    bool json = false;
    struct error err;
    int option;

    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        if (!take_option(option, &account, &json))
            return command_usage(usage);
    const char *verb = optind < argc ? argv[optind] : "";
    bool wants_address = strcmp(verb, "list") != 0;
    if (!g_strv_contains(verbs, verb) || argc - optind != (wants_address ? 2 : 1))
        return command_usage(usage);
    if (wants_address)
        account.address = argv[optind + 1];
    g_autoptr(db_t) db = command_open_db(config, &err);
    if (db == NULL || !run(db, config, verb, &account, json, &err))
        return command_fail("user", &err);
    return EX_OK;
}
