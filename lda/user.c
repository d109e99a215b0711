#include "lda/user.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "lda/base/cleanup.h"
#include "lda/base/path.h"
#include "lda/config.h"
#include "lda/mail/address.h"
#include "store/db.h"

void user_free(struct user *user)
{
    if (user == NULL)
        return;
    g_free(user->address);
    g_free(user->detail);
    g_free(user->home);
    g_free(user);
}

/* --- home */

/* Every component may be a directory's name: what stands in a table was typed by somebody. */
static bool path_is_safe(const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    bool any = false;

    for (char **part = parts; *part != NULL; part++) {
        if (**part == '\0')
            continue;
        if (!path_component_is_safe(*part))
            return false;
        any = true;
    }
    return any;
}

static char *without_final_slashes(const char *path)
{
    size_t length = strlen(path);

    while (length > 1 && path[length - 1] == '/')
        length--;
    return g_strndup(path, length);
}

/* The home that the table gives, or <vmail_root>/<domain>/<user>. */
static bool set_home(struct user *user, const char *home, const struct config *config,
                     struct error *err)
{
    const char *root = config_text(config, CONFIG_VMAIL_ROOT);
    g_autofree char *local = NULL;
    g_autofree char *domain = NULL;
    g_autofree char *below = NULL;

    if (home == NULL || home[0] == '\0') {
        if (!address_parse_path(user->address, &local, &domain) ||
            !path_component_is_safe(local) || !path_component_is_safe(domain)) {
            error_set(err, ERROR_CONFIG, "the address %s of user %" G_GINT64_FORMAT
                      " cannot be a home", user->address, user->id);
            return false;
        }
        below = g_strconcat(domain, "/", local, NULL);
        g_autofree char *lower = g_ascii_strdown(below, -1);
        user->home = g_build_filename(root, lower, NULL);
        return true;
    }
    if (!path_is_safe(home)) {
        error_set(err, ERROR_CONFIG, "the home %s of user %s has an unsafe component", home,
                  user->address);
        return false;
    }
    g_autofree char *plain = without_final_slashes(home);
    user->home = plain[0] == '/' ? g_steal_pointer(&plain) : g_build_filename(root, plain, NULL);
    return true;
}

/* --- the table */

struct reading {
    const struct config *config;
    GPtrArray *users;
};

static bool read_user(void *ctx, const struct db_row *row, struct error *err)
{
    struct reading *reading = ctx;
    g_autoptr(user_t) user = g_new0(struct user, 1);
    const char *home = NULL;
    bool has_id = false;

    user->enabled = true;
    user->mbox = config_is(reading->config, CONFIG_MAIL_FORMAT, "mbox");
    for (int i = 0; i < db_row_columns(row); i++) {
        const char *name = db_row_name(row, i);

        if (db_row_is_null(row, i))
            continue;
        if (strcasecmp(name, "id") == 0) {
            user->id = db_row_int(row, i);
            has_id = true;
        } else if (strcasecmp(name, "email") == 0) {
            g_free(user->address);
            user->address = g_strdup(db_row_text(row, i));
        } else if (strcasecmp(name, "home") == 0) {
            home = db_row_text(row, i);
        } else if (strcasecmp(name, "format") == 0 || strcasecmp(name, "mail_format") == 0) {
            user->mbox = strcasecmp(db_row_text(row, i), "mbox") == 0;
        } else if (strcasecmp(name, "enabled") == 0 || strcasecmp(name, "active") == 0) {
            user->enabled = db_row_bool(row, i);
        } else if (strcasecmp(name, "quota_bytes") == 0) {
            user->quota_bytes = db_row_int(row, i);
        } else if (strcasecmp(name, "quota_count") == 0) {
            user->quota_count = db_row_int(row, i);
        }
    }
    if (!has_id || user->address == NULL) {
        error_set(err, ERROR_CONFIG, "user_query gives no columns named id and email");
        return false;
    }
    if (!set_home(user, home, reading->config, err))
        return false;
    g_ptr_array_add(reading->users, g_steal_pointer(&user));
    return true;
}

static GPtrArray *new_users(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)user_free);
}

/* *@ret_user NULL: there is none. */
static bool query(struct db *db, const struct config *config, const char *address,
                  struct user **ret_user, struct error *err)
{
    g_autoptr(GPtrArray) users = new_users();
    struct reading reading = {config, users};
    struct db_value values[] = {db_text(address)};

    if (!db_exec(db, config_text(config, CONFIG_USER_QUERY), values, 1, read_user, &reading,
                 err)) {
        error_prefix(err, "user_query");
        return false;
    }
    if (users->len > 1) {
        error_set(err, ERROR_CONFIG, "user_query gives %u accounts for %s", users->len, address);
        return false;
    }
    *ret_user = users->len == 0 ? NULL : g_ptr_array_steal_index(users, 0);
    return true;
}

enum user_answer user_look_up(struct db *db, const struct config *config, const char *address,
                              struct user **ret_user, struct error *err)
{
    const char *delimiters = config_text(config, CONFIG_RECIPIENT_DELIMITER);
    g_autofree char *lower = g_ascii_strdown(address, -1);
    g_autofree char *local = NULL;
    g_autofree char *domain = NULL;
    g_autofree char *base = NULL;
    g_autofree char *detail = NULL;
    g_autoptr(user_t) user = NULL;

    if (!address_parse_path(lower, &local, &domain) || !path_component_is_safe(local) ||
        !path_component_is_safe(domain)) {
        error_set(err, ERROR_NO_USER, "no user %s: it cannot be the name of an account", address);
        return USER_NONE;
    }
    if (!query(db, config, lower, &user, err))
        return USER_FAILED;
    address_split_detail(local, delimiters, &base, &detail);
    if (user == NULL && detail != NULL) {
        g_autofree char *without = address_join(base, domain);

        if (!query(db, config, without, &user, err))
            return USER_FAILED;
        if (user != NULL) {
            /* the detail as the sender wrote it: a script may look at its case */
            g_autofree char *written = NULL;
            g_autofree char *ignored = NULL;

            address_parse_path(address, &written, &ignored);
            address_split_detail(written, delimiters, NULL, &user->detail);
        }
    }
    if (user == NULL) {
        error_set(err, ERROR_NO_USER, "no user %s", address);
        return USER_NONE;
    }
    *ret_user = g_steal_pointer(&user);
    return USER_FOUND;
}

bool user_list(struct db *db, const struct config *config, GPtrArray **ret_users,
               struct error *err)
{
    g_autoptr(GPtrArray) users = new_users();
    struct reading reading = {config, users};

    if (!db_exec(db, config_text(config, CONFIG_USER_LIST_QUERY), NULL, 0, read_user, &reading,
                 err)) {
        error_prefix(err, "user_list_query");
        return false;
    }
    *ret_users = g_steal_pointer(&users);
    return true;
}

/* --- opening the home */

const char *user_home_below_root(const struct user *user, const struct config *config)
{
    g_autofree char *root = without_final_slashes(config_text(config, CONFIG_VMAIL_ROOT));
    size_t length = strlen(root);

    if (strncmp(user->home, root, length) != 0 || user->home[length] != '/')
        return NULL;
    return user->home + length + 1;
}

/* The site's own folders, where links may stand: they are the administrator's. */
static int open_site_dir(const char *path, bool make, struct error *err)
{
    if (make && mkdir(path, 0700) < 0 && errno != EEXIST && errno != EACCES) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot make directory %s", path);
        return -1;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot open directory %s", path);
    return fd;
}

int user_open_home(const struct user *user, const struct config *config, bool make,
                   struct error *err)
{
    const char *below = user_home_below_root(user, config);
    g_autofree char *parent = NULL;

    if (below == NULL) {
        /* elsewhere: the administrator chose the place, the last step is the user's */
        parent = g_path_get_dirname(user->home);
        below = user->home + strlen(parent) + (parent[1] == '\0' ? 0 : 1);
    } else {
        parent = g_strdup(config_text(config, CONFIG_VMAIL_ROOT));
    }
    AUTO_FD root = open_site_dir(parent, make, err);
    if (root < 0)
        return -1;
    int fd = make ? path_make_dir(root, below, 0700, err) : path_open_dir(root, below, err);
    if (fd < 0)
        error_prefix(err, "home %s", user->home);
    return fd;
}

struct store_user user_in_store(const struct user *user, int home)
{
    return (struct store_user){
        .id = user->id,
        .address = user->address,
        .home = home,
        .home_path = user->home,
        .format = user->mbox ? STORE_MBOX : STORE_MAILDIR,
        .quota_bytes = user->quota_bytes,
        .quota_count = user->quota_count,
    };
}
