#include "lda/script.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/base/path.h"
#include "lda/config.h"
#include "lda/user.h"

/* What is read of a file before the engine's own limit (sieve_max_script_size) has its say. */
#define READ_LIMIT (16 * 1024 * 1024)

void script_free(struct script *script)
{
    if (script == NULL)
        return;
    g_free(script->name);
    g_free(script->text);
    g_free(script->problem);
    if (script->fd >= 0)
        close(script->fd);
    g_free(script);
}

static struct script *new_script(const char *name, bool global)
{
    struct script *script = g_new0(struct script, 1);

    script->name = g_strdup(name);
    script->global = global;
    script->fd = -1;
    return script;
}

/* Takes @fd. The identity is the descriptor's, whatever the path leads to by now. */
static bool set_file(struct script *script, int fd, struct error *err)
{
    script->fd = fd;
    if (fstat(fd, &script->identity) == 0)
        return true;
    error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read script %s", script->name);
    return false;
}

bool script_load(struct script *script, struct error *err)
{
    AUTO_FREE char *text = NULL;
    size_t length;

    if (script->fd < 0)
        return true;
    AUTO_FD fd = fd_steal(&script->fd);
    if (!io_read_all(fd, READ_LIMIT, &text, &length, script->name, err)) {
        if (err->kind != ERROR_BAD_DATA)
            return false;
        script->problem = g_strdup(err->text);
        return true;
    }
    script->text = g_malloc(length + 1);
    memcpy(script->text, text, length + 1);
    script->length = length;
    return true;
}

/* Errors of opening that no retry cures: the script is broken, the mail is kept. */
static bool is_lasting(int code)
{
    return code == EACCES || code == EPERM || code == ELOOP || code == ENOTDIR ||
           code == EISDIR || code == ENXIO || code == ENAMETOOLONG;
}

/* Opens @path below @home, no link on the way. */
static enum script_answer open_below(int home, const char *path, const char *name,
                                     struct script **ret_script, struct error *err)
{
    struct script *script;
    AUTO_FD fd = path_open_file(home, path, err);

    if (fd < 0 && err->code == ENOENT)
        return SCRIPT_NONE;
    if (fd < 0 && !is_lasting(err->code))
        return SCRIPT_FAILED;
    script = new_script(name, false);
    if (fd < 0) {
        script->problem = g_strdup(err->text);
    } else if (!set_file(script, fd_steal(&fd), err)) {
        script_free(script);
        return SCRIPT_FAILED;
    }
    *ret_script = script;
    return SCRIPT_FOUND;
}

/* --- the user's script */

/* Where the link text @target, found at @path below the home, leads, below the home too. NULL: out of
 * it. ManageSieve writes "sieve/x.sieve"; people also write the home's absolute path. */
static char *resolve(const struct user *user, const char *path, const char *target)
{
    size_t length = strlen(user->home);
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *joined = NULL;

    if (target[0] == '/') {
        if (strncmp(target, user->home, length) != 0 || target[length] != '/')
            return NULL;
        joined = g_strdup(target + length + 1);
    } else {
        joined = strcmp(dir, ".") == 0 ? g_strdup(target) : g_build_filename(dir, target, NULL);
    }
    g_auto(GStrv) parts = g_strsplit(joined, "/", -1);
    for (char **part = parts; *part != NULL; part++)
        if (strcmp(*part, "..") == 0)
            return NULL;
    return g_steal_pointer(&joined);
}

/* @path: relative to the home. */
static enum script_answer find_in_home(const struct user *user, int home, const char *path,
                                       const char *name, struct script **ret_script,
                                       struct error *err)
{
    char target[PATH_MAX];
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *base = g_path_get_basename(path);
    AUTO_FD parent = path_open_dir(home, dir, err);

    if (parent < 0) {
        if (err->code == ENOENT)
            return SCRIPT_NONE;
        return open_below(home, path, name, ret_script, err);
    }
    ssize_t length = readlinkat(parent, base, target, sizeof target - 1);
    if (length < 0)
        return open_below(home, path, name, ret_script, err);
    target[length] = '\0';
    g_autofree char *inside = resolve(user, path, target);
    if (inside == NULL) {
        struct script *script = new_script(name, false);

        script->problem = g_strdup_printf("the link %s leads out of the home", name);
        *ret_script = script;
        return SCRIPT_FOUND;
    }
    return open_below(home, inside, name, ret_script, err);
}

/* No link is refused. */
static bool open_site_file(const char *path, struct script **ret_script, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read script %s", path);
        return false;
    }
    struct script *script = new_script(path, true);
    bool good = set_file(script, fd, err);
    if (good && S_ISDIR(script->identity.st_mode)) {
        error_set_errno(err, ERROR_TEMPORARY, EISDIR, "cannot read script %s", path);
        good = false;
    }
    if (!good) {
        script_free(script);
        return false;
    }
    *ret_script = script;
    return true;
}

static enum script_answer find_site_file(const char *path, struct script **ret_script,
                                         struct error *err)
{
    if (open_site_file(path, ret_script, err))
        return SCRIPT_FOUND;
    if (!is_lasting(err->code) && err->code != ENOENT)
        return SCRIPT_FAILED;
    *ret_script = new_script(path, true);
    (*ret_script)->problem = g_strdup(err->text);
    return SCRIPT_FOUND;
}

enum script_answer script_find_user(const struct config *config, const struct user *user, int home,
                                    struct script **ret_script, struct error *err)
{
    const char *path = config_text(config, CONFIG_SIEVE);
    const char *standard = config_text(config, CONFIG_SIEVE_DEFAULT);
    enum script_answer answer = SCRIPT_NONE;

    if (strncmp(path, "~/", 2) == 0) {
        g_autofree char *name = g_build_filename(user->home, path + 2, NULL);

        if (home >= 0)
            answer = find_in_home(user, home, path + 2, name, ret_script, err);
    } else if (path[0] != '\0') {
        if (access(path, F_OK) == 0)
            answer = find_site_file(path, ret_script, err);
    }
    if (answer == SCRIPT_NONE && standard[0] != '\0')
        return find_site_file(standard, ret_script, err);
    return answer;
}

/* --- the site's */

bool script_read_file(const char *path, struct script **ret_script, struct error *err)
{
    struct script *script;

    if (!open_site_file(path, &script, err))
        return false;
    if (!script_load(script, err)) {
        script_free(script);
        return false;
    }
    *ret_script = script;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool add_file(GPtrArray *scripts, const char *path, struct error *err)
{
    struct script *script;

    if (find_site_file(path, &script, err) != SCRIPT_FOUND)
        return false;
    g_ptr_array_add(scripts, script);
    return true;
}

static bool add_dir(GPtrArray *scripts, const char *path, struct error *err)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    DIR *dir = opendir(path);
    struct dirent *entry;

    if (dir == NULL) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read scripts in %s", path);
        return false;
    }
    while ((entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.' && g_str_has_suffix(entry->d_name, ".sieve"))
            g_ptr_array_add(names, g_build_filename(path, entry->d_name, NULL));
    closedir(dir);
    g_ptr_array_sort(names, by_name);
    for (guint i = 0; i < names->len; i++)
        if (!add_file(scripts, names->pdata[i], err))
            return false;
    return true;
}

bool script_find_site(const struct config *config, bool before, GPtrArray **ret_scripts,
                      struct error *err)
{
    enum config_key key = before ? CONFIG_SIEVE_BEFORE : CONFIG_SIEVE_AFTER;
    g_autoptr(GPtrArray) scripts =
        g_ptr_array_new_with_free_func((GDestroyNotify)script_free);
    char path[PATH_MAX];
    struct stat st;

    for (size_t i = 0; config_word(config, key, i, path, sizeof path); i++) {
        bool is_dir = stat(path, &st) == 0 && S_ISDIR(st.st_mode);

        if (is_dir ? !add_dir(scripts, path, err) : !add_file(scripts, path, err))
            return false;
    }
    *ret_scripts = g_steal_pointer(&scripts);
    return true;
}

/* --- include */

enum script_answer script_find_include(const struct config *config, const struct user *user,
                                       int home, bool global, const char *name,
                                       struct script **ret_script, struct error *err)
{
    const char *dir = config_text(config, global ? CONFIG_SIEVE_GLOBAL_DIR : CONFIG_SIEVE_DIR);
    g_autofree char *file = g_strconcat(name, ".sieve", NULL);
    g_autofree char *path = NULL;

    if (dir[0] == '\0' || !path_component_is_safe(file))
        return SCRIPT_NONE;
    if (!global && strncmp(dir, "~/", 2) == 0) {
        if (home < 0)
            return SCRIPT_NONE;
        path = g_build_filename(dir + 2, file, NULL);
        g_autofree char *shown = g_build_filename(user->home, path, NULL);
        return open_below(home, path, shown, ret_script, err);
    }
    path = g_build_filename(dir, file, NULL);
    if (access(path, F_OK) < 0)
        return SCRIPT_NONE;
    return find_site_file(path, ret_script, err);
}
