#include "lda/sieve_check.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/command.h"
#include "lda/config.h"
#include "lda/filter.h"
#include "lda/script.h"
#include "lda/sieve_host.h"
#include "lda/site.h"
#include "sieve/sieve.h"
#include "store/store.h"

static const char usage[] =
    "sieve check [-o key=value]… [--mailbox EXISTING]… FILE…\n"
    "       vmail sieve check -u USER [-o key=value]… [FILE…]";

struct checking {
    struct config *config;
    GPtrArray *mailboxes; /* that exist; none given: folders are not asked about */
    bool global;
    const char *address;  /* -u, or NULL */
    const char *folder;   /* of the file being checked */
    struct sieve_options options;
};

/* ------------------------------------------------------------------ without a user */

static enum sieve_answer mailbox_exists(void *ctx, const char *mailbox)
{
    const struct checking *checking = ctx;

    if (checking->mailboxes->len == 0 || g_ascii_strcasecmp(mailbox, "INBOX") == 0)
        return SIEVE_YES;
    for (guint i = 0; i < checking->mailboxes->len; i++)
        if (strcmp(checking->mailboxes->pdata[i], mailbox) == 0)
            return SIEVE_YES;
    return SIEVE_NO;
}

/* What a script includes lies beside it. */
static enum sieve_answer find_script(void *ctx, enum sieve_script_place place, const char *name,
                                     char **ret_text, size_t *ret_length)
{
    const struct checking *checking = ctx;
    const char *site = config_text(checking->config, CONFIG_SIEVE_GLOBAL_DIR);
    const char *folder = place == SIEVE_SCRIPT_GLOBAL && *site != '\0' ? site : checking->folder;
    g_autofree char *path = g_strdup_printf("%s/%s.sieve", folder, name);

    return g_file_get_contents(path, ret_text, ret_length, NULL) ? SIEVE_YES : SIEVE_NO;
}

/* ------------------------------------------------------------------ one script */

static void print_diagnostics(const char *file, const struct sieve_diagnostics *diagnostics)
{
    for (guint i = 0; i < diagnostics->items->len; i++) {
        const struct sieve_diagnostic *item = diagnostics->items->pdata[i];

        printf("%s:%u:%u: %s%s\n", item->script[0] != '\0' ? item->script : file, item->line,
               item->column, item->warning ? "warning: " : "", item->message);
    }
}

/* True when it compiles. */
static bool check_script(const struct script *script, const char *name,
                         const struct sieve_options *options)
{
    if (script->text == NULL) {
        printf("%s: %s\n", name, script->problem);
        return false;
    }
    struct sieve_diagnostics *diagnostics = sieve_diagnostics_new();
    struct sieve_program *program =
        sieve_compile(script->text, script->length, name, options, diagnostics);
    print_diagnostics(name, diagnostics);
    if (program != NULL) {
        const char *const *requires = sieve_program_requires(program);
        g_autofree char *joined = g_strjoinv(", ", (char **)(uintptr_t)requires);

        printf("%s: ok%s%s\n", name, joined[0] == '\0' ? "" : ", requires ", joined);
    }
    bool fine = program != NULL;
    sieve_program_unref(program);
    sieve_diagnostics_free(diagnostics);
    return fine;
}

static bool check_file(struct checking *checking, const char *file)
{
    g_autofree char *folder = g_path_get_dirname(file);
    struct script *script;
    struct error err;

    if (!script_read_file(file, &script, &err)) {
        printf("%s: %s\n", file, err.text);
        return false;
    }
    checking->folder = folder;
    bool fine = check_script(script, file, &checking->options);
    script_free(script);
    return fine;
}

static bool check_files(struct checking *checking, char *const *files)
{
    bool fine = true;

    for (; *files != NULL; files++)
        fine &= check_file(checking, *files);
    return fine;
}

/* ------------------------------------------------------------------ of a user */

/* The script that deliveries run. *ret_fine: it compiles, or there is none. */
static bool check_active(struct checking *checking, const struct sieve_host_site *site,
                         bool *ret_fine, struct error *err)
{
    struct script *script = NULL;
    enum script_answer answer =
        script_find_user(checking->config, site->user, site->home, &script, err);

    *ret_fine = true;
    if (answer == SCRIPT_NONE)
        printf("%s has no script\n", site->user->address);
    if (answer != SCRIPT_FOUND)
        return answer == SCRIPT_NONE;
    bool good = script_load(script, err);
    if (good)
        *ret_fine = check_script(script, script->name, &checking->options);
    script_free(script);
    return good;
}

/* With the user's folders, groups, annotations and scripts to include. */
static bool check_of_user(struct checking *checking, const struct user *user, struct site *site,
                          char *const *files, bool *ret_fine, struct error *err)
{
    AUTO_FD home = user_open_home(user, checking->config, false, err);
    struct sieve_host host;

    if (home < 0 && err->code != ENOENT)
        return false;
    struct store_user store_user = user_in_store(user, home);
    struct sieve_host_site host_site = {
        .config = checking->config,
        .db = site_db(site, err),
        .store = site_store(site, err),
        .store_user = &store_user,
        .user = user,
        .home = home,
    };
    if (host_site.db == NULL || host_site.store == NULL)
        return false;
    sieve_host_fill(&host, &host_site);
    checking->options.host = &host;
    if (*files != NULL)
        *ret_fine = check_files(checking, files);
    else if (!check_active(checking, &host_site, ret_fine, err))
        return false;
    checking->options.host = NULL;
    if (host_site.failed)
        *err = host_site.failure;
    return !host_site.failed;
}

static int check_user(struct checking *checking, char *const *files)
{
    struct site *site = site_new(checking->config);
    struct user *user = NULL;
    struct error err;
    bool fine = true;
    struct db *db = site_db(site, &err);
    bool good = db != NULL &&
                command_find_user(db, checking->config, checking->address, &user, &err) &&
                check_of_user(checking, user, site, files, &fine, &err);

    user_free(user);
    site_free(site);
    if (!good)
        return command_fail("sieve check", &err);
    return fine ? EX_OK : 1;
}

/* ------------------------------------------------------------------ the command */

static bool read_options(int argc, char **argv, struct checking *checking, struct error *err)
{
    static const struct option long_options[] = {
        {"mailbox", required_argument, NULL, 'm'},
        {"global", no_argument, NULL, 'g'},
        {"user", required_argument, NULL, 'u'},
        {NULL, 0, NULL, 0},
    };
    int option;

    optind = 0;
    while ((option = getopt_long(argc, argv, "o:u:", long_options, NULL)) != -1) {
        if (option == 'm')
            g_ptr_array_add(checking->mailboxes, optarg);
        else if (option == 'g')
            checking->global = true;
        else if (option == 'u')
            checking->address = optarg;
        else if (option != 'o' || !config_set_option(checking->config, optarg, err))
            return false;
    }
    return true;
}

int sieve_check_main(int argc, char **argv, struct config *config)
{
    g_autoptr(GPtrArray) mailboxes = g_ptr_array_new();
    struct checking checking = {.config = config, .mailboxes = mailboxes};
    struct sieve_host host = {.ctx = &checking, .mailbox_exists = mailbox_exists,
        .script = find_script};
    struct error err = {.kind = ERROR_USAGE};

    if (!read_options(argc, argv, &checking, &err))
        return err.text[0] == '\0' ? command_usage(usage) : command_fail("sieve check", &err);
    if (checking.address == NULL ? optind >= argc : mailboxes->len > 0)
        return command_usage(usage);
    if (!filter_options(config, &checking.options, &err))
        return command_fail("sieve check", &err);
    checking.options.host = &host;
    checking.options.global_script = checking.global;
    if (checking.address != NULL)
        return check_user(&checking, argv + optind);
    return check_files(&checking, argv + optind) ? EX_OK : 1;
}
