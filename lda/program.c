#include "lda/program.h"

#include <errno.h>
#include <sys/stat.h>

#include "lda/base/path.h"
#include "lda/config.h"
#include "lda/envelope.h"
#include "lda/user.h"

static GPtrArray *new_environment(const struct config *config, const struct envelope *envelope,
                                  const struct user *user)
{
    GPtrArray *environment = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(environment, g_strdup("PATH=/usr/local/bin:/usr/bin:/bin"));
    g_ptr_array_add(environment, g_strconcat("HOME=", user->home, NULL));
    g_ptr_array_add(environment, g_strconcat("USER=", user->address, NULL));
    g_ptr_array_add(environment,
                    g_strconcat("HOST=", config_text(config, CONFIG_HOSTNAME), NULL));
    g_ptr_array_add(environment,
                    g_strconcat("SENDER=", envelope->sender == NULL ? "" : envelope->sender, NULL));
    g_ptr_array_add(environment, g_strconcat("RECIPIENT=", envelope->recipient, NULL));
    g_ptr_array_add(environment,
                    g_strconcat("ORIG_RECIPIENT=", envelope->original_recipient, NULL));
    g_ptr_array_add(environment, NULL);
    return environment;
}

bool program_run(const struct config *config, const struct envelope *envelope,
                 const struct user *user, const char *name, const char *const *arguments,
                 int input, size_t output_limit, struct child_result *ret_result,
                 struct error *err)
{
    const char *dir = config_text(config, CONFIG_SIEVE_PROGRAM_DIR);
    g_autofree char *path = NULL;
    struct stat st;

    if (dir[0] == '\0') {
        error_set(err, ERROR_REFUSED, "program %s: this site allows no programs"
                  " (sieve_program_dir)", name);
        return false;
    }
    if (!path_component_is_safe(name)) {
        error_set(err, ERROR_REFUSED, "program %s: not a name of a program", name);
        return false;
    }
    path = g_build_filename(dir, name, NULL);
    if (stat(path, &st) < 0) {
        error_set_errno(err, ERROR_REFUSED, errno, "cannot run program %s", path);
        return false;
    }
    if (!S_ISREG(st.st_mode)) {
        error_set(err, ERROR_REFUSED, "cannot run program %s: it is no file", path);
        return false;
    }
    g_autoptr(GPtrArray) environment = new_environment(config, envelope, user);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, path);
    for (; arguments != NULL && *arguments != NULL; arguments++)
        g_ptr_array_add(argv, (gpointer)*arguments);
    g_ptr_array_add(argv, NULL);
    struct child child = {
        .argv = (const char *const *)argv->pdata,
        .environment = (const char *const *)environment->pdata,
        .input = input,
        .timeout_s = (unsigned)config_number(config, CONFIG_SIEVE_PROGRAM_TIMEOUT),
        .output_limit = output_limit,
    };
    return child_run(&child, ret_result, err);
}
