/* vmail doctor: what is wrong with a set-up, and what to do about it. */
#include "lda/command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/child.h"
#include "lda/config.h"
#include "lda/filter.h"
#include "lda/progress.h"
#include "lda/script.h"
#include "lda/sieve_settings.h"
#include "lda/site.h"
#include "sieve/sieve.h"
#include "store/db.h"
#include "store/store.h"

static const char usage[] = "doctor [-u USER] [--repair] [--quiet]";

struct doctor {
    const struct config *config;
    const char *only_user;
    bool repair;
    bool quiet;   /* only what is not well */
    int warnings;
    int wrongs;
};

/* --- findings */

static void well(const struct doctor *doctor, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void warn(struct doctor *doctor, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void wrong(struct doctor *doctor, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(const char *mark, const char *format, va_list args)
{
    printf("%-8s", mark);
    vprintf(format, args);
    putchar('\n');
}

static void well(const struct doctor *doctor, const char *format, ...)
{
    va_list args;

    if (doctor->quiet)
        return;
    va_start(args, format);
    say("ok", format, args);
    va_end(args);
}

static void warn(struct doctor *doctor, const char *format, ...)
{
    va_list args;

    doctor->warnings++;
    va_start(args, format);
    say("warning", format, args);
    va_end(args);
}

static void wrong(struct doctor *doctor, const char *format, ...)
{
    va_list args;

    doctor->wrongs++;
    va_start(args, format);
    say("wrong", format, args);
    va_end(args);
}

/* --- configuration */

/* The file that @origin "path:line" names, when others may read it. */
static bool is_readable_by_all(const char *origin)
{
    g_autofree char *path = g_strdup(origin);
    char *colon = strrchr(path, ':');
    struct stat st;

    if (colon != NULL)
        *colon = '\0';
    return stat(path, &st) == 0 && (st.st_mode & S_IROTH) != 0;
}

/* Does the engine that the site chose work at all? */
static void check_engine(struct doctor *doctor, const struct sieve_options *options)
{
    struct sieve_diagnostics *diagnostics = sieve_diagnostics_new();
    struct sieve_program *program = sieve_compile("keep;", 5, "a test", options, diagnostics);

    if (program == NULL) {
        const struct sieve_diagnostic *first =
            diagnostics->items->len > 0 ? diagnostics->items->pdata[0] : NULL;

        wrong(doctor, "sieve_engine = %s: %s; no script runs, all mail stays in INBOX",
              config_text(doctor->config, CONFIG_SIEVE_ENGINE),
              first == NULL ? "it compiles nothing" : first->message);
    }
    sieve_program_unref(program);
    sieve_diagnostics_free(diagnostics);
}

static void check_config(struct doctor *doctor)
{
    const struct config *config = doctor->config;
    const char *uri = config_text(config, CONFIG_DATABASE);
    const char *at = strchr(uri, '@');
    const char *colon = at == NULL ? NULL : strchr(strstr(uri, "://") == NULL
                                                       ? uri : strstr(uri, "://") + 3, ':');
    struct sieve_options options;
    struct error err;

    if (colon != NULL && colon < at && is_readable_by_all(config_origin(config, CONFIG_DATABASE)))
        warn(doctor, "the configuration holds a password and everybody can read it: chmod 640 it,"
             " owned by root and vmail's group");
    if (config_number(config, CONFIG_DELIVERY_TIMEOUT) == 0 ||
        config_number(config, CONFIG_DELIVERY_TIMEOUT) >= 1000)
        warn(doctor, "delivery_timeout is %s: it should be shorter than Postfix's"
             " vmail_time_limit (1000 s), which returns mail",
             config_text(config, CONFIG_DELIVERY_TIMEOUT));
    if (strchr(config_text(config, CONFIG_HOSTNAME), '.') == NULL)
        warn(doctor, "hostname is %s: set the full name, Message-IDs and postmaster_address have"
             " it", config_text(config, CONFIG_HOSTNAME));
    for (size_t i = 0; config_extra_name(config, i) != NULL; i++)
        if (!sieve_setting_is_known(config_extra_name(config, i)))
            warn(doctor, "%s: no such setting here; it changes nothing",
                 config_extra_name(config, i));
    if (!filter_options(config, &options, &err)) {
        wrong(doctor, "%s", err.text);
        return;
    }
    check_engine(doctor, &options);
    well(doctor, "configuration");
}

/* --- the root of all mail */

static void check_links(struct doctor *doctor, const char *root)
{
    g_autofree char *a = g_build_filename(root, ".vmail-doctor-XXXXXX", NULL);
    AUTO_FD fd = mkostemp(a, O_CLOEXEC);

    if (fd < 0) {
        wrong(doctor, "vmail_root %s: cannot write there: %s; it must belong to the user that"
              " master.cf names", root, strerror(errno));
        return;
    }
    g_autofree char *b = g_strconcat(a, ".2", NULL);
    if (link(a, b) < 0)
        warn(doctor, "vmail_root %s: no hard links here (%s): a message in two mailboxes takes"
             " its space twice", root, strerror(errno));
    else
        well(doctor, "vmail_root %s", root);
    unlink(a);
    unlink(b);
}

static void check_root(struct doctor *doctor)
{
    const char *root = config_text(doctor->config, CONFIG_VMAIL_ROOT);
    struct stat st;

    if (geteuid() == 0)
        warn(doctor, "you are root: what this run makes belongs to root; use"
             " runuser -u vmail -- vmail doctor");
    if (stat(root, &st) < 0)
        wrong(doctor, "vmail_root %s: %s; make it: install -d -o vmail -g vmail -m 750 %s", root,
              strerror(errno), root);
    else if (!S_ISDIR(st.st_mode))
        wrong(doctor, "vmail_root %s is no folder", root);
    else if ((st.st_mode & S_IWOTH) != 0)
        wrong(doctor, "vmail_root %s: everybody may write there; chmod 750 it", root);
    else
        check_links(doctor, root);
}

/* --- programs and site scripts */

static void check_programs(struct doctor *doctor)
{
    const char *sendmail = config_text(doctor->config, CONFIG_SENDMAIL_PATH);
    const char *dir = config_text(doctor->config, CONFIG_SIEVE_PROGRAM_DIR);
    struct stat st;

    if (access(sendmail, X_OK) < 0)
        wrong(doctor, "sendmail_path %s: %s; redirects and replies cannot leave", sendmail,
              strerror(errno));
    else
        well(doctor, "sendmail_path %s", sendmail);
    if (dir[0] == '\0')
        return;
    if (stat(dir, &st) < 0)
        wrong(doctor, "sieve_program_dir %s: %s", dir, strerror(errno));
    else if ((st.st_mode & (S_IWOTH | S_IWGRP)) != 0 || (geteuid() != 0 && st.st_uid == geteuid()))
        warn(doctor, "sieve_program_dir %s: vmail or others may write there; let it belong to"
             " root, mode 755", dir);
    else
        well(doctor, "sieve_program_dir %s", dir);
}

/* Compiles @script; says what is wrong. True when it is well. */
static bool check_script(struct doctor *doctor, struct script *script, const char *whose)
{
    struct sieve_options options;
    struct error err;
    bool good;

    if (!script_load(script, &err)) {
        warn(doctor, "%s: %s", whose, err.text);
        return false;
    }
    if (script->text == NULL) {
        warn(doctor, "%s: %s", whose, script->problem);
        return false;
    }
    if (!filter_options(doctor->config, &options, &err))
        return false;
    options.global_script = script->global;
    struct sieve_diagnostics *diagnostics = sieve_diagnostics_new();
    struct sieve_program *program = sieve_compile(script->text, script->length, script->name,
                                                  &options, diagnostics);
    good = program != NULL;
    for (guint i = 0; i < diagnostics->items->len && !good; i++) {
        const struct sieve_diagnostic *item = diagnostics->items->pdata[i];

        if (!item->warning) {
            warn(doctor, "%s: %s: line %u: %s", whose, script->name, item->line, item->message);
            break;
        }
    }
    sieve_program_unref(program);
    sieve_diagnostics_free(diagnostics);
    return good;
}

static void check_site_scripts(struct doctor *doctor)
{
    for (int after = 0; after < 2; after++) {
        g_autoptr(GPtrArray) scripts = NULL;
        struct error err;

        if (!script_find_site(doctor->config, after == 0, &scripts, &err)) {
            wrong(doctor, "%s", err.text);
            continue;
        }
        for (guint i = 0; i < scripts->len; i++) {
            struct script *script = scripts->pdata[i];

            if (check_script(doctor, script, after == 0 ? "sieve_before" : "sieve_after"))
                well(doctor, "%s %s", after == 0 ? "sieve_before" : "sieve_after", script->name);
        }
    }
}

/* --- Postfix, where it is on this host */

/* The value of a parameter, NULL when Postfix does not know it. */
static char *postconf(const char *name)
{
    const char *argv[] = {"/usr/sbin/postconf", "-h", name, NULL};
    struct child child = {.argv = argv, .input = -1, .timeout_s = 10, .output_limit = 4096};
    struct child_result result;
    struct error err;
    char *value = NULL;

    if (access(argv[0], X_OK) < 0 || !child_run(&child, &result, &err))
        return NULL;
    if (result.status == 0 && result.output->len > 0)
        value = g_strstrip(g_strdup(result.output->str));
    child_result_clear(&result);
    return value;
}

static void check_postfix(struct doctor *doctor)
{
    g_autofree char *transport = postconf("virtual_transport");
    uint64_t seconds;

    if (transport == NULL || strncmp(transport, "vmail", 5) != 0)
        return; /* none here, or not for us */
    g_autofree char *limit = postconf("vmail_destination_recipient_limit");
    g_autofree char *delimiter = postconf("recipient_delimiter");
    g_autofree char *time_limit = postconf("vmail_time_limit");
    g_autofree char *lifetime = postconf("maximal_queue_lifetime");

    if (strcmp(transport, "vmail") == 0 && g_strcmp0(limit, "1") != 0)
        wrong(doctor, "Postfix: vmail_destination_recipient_limit must be 1 in main.cf");
    if (g_strcmp0(delimiter, config_text(doctor->config, CONFIG_RECIPIENT_DELIMITER)) != 0)
        warn(doctor, "Postfix: recipient_delimiter is '%s' there and '%s' here",
             delimiter == NULL ? "" : delimiter,
             config_text(doctor->config, CONFIG_RECIPIENT_DELIMITER));
    if (time_limit != NULL && config_parse_number(CONFIG_DURATION, time_limit, &seconds) &&
        seconds <= config_number(doctor->config, CONFIG_DELIVERY_TIMEOUT))
        wrong(doctor, "Postfix: vmail_time_limit (%s) must be longer than delivery_timeout (%s)",
              time_limit, config_text(doctor->config, CONFIG_DELIVERY_TIMEOUT));
    if (lifetime != NULL && config_parse_number(CONFIG_DURATION, lifetime, &seconds) &&
        seconds >= config_number(doctor->config, CONFIG_KEYS_KEEP))
        warn(doctor, "Postfix: maximal_queue_lifetime (%s) should be shorter than keys_keep (%s)",
             lifetime, config_text(doctor->config, CONFIG_KEYS_KEEP));
    well(doctor, "Postfix: virtual_transport = %s", transport);
}

/* --- database, users, leftovers */

static bool check_schema(struct doctor *doctor, struct db *db)
{
    struct error err;
    int missing;

    if (!store_schema_missing(db, config_text(doctor->config, CONFIG_SCHEMA_DIR), &missing, &err)) {
        wrong(doctor, "database %s: %s", db_name(db), err.text);
        return false;
    }
    if (missing > 0) {
        wrong(doctor, "database %s: %d migrations are missing; run vmail migrate", db_name(db),
              missing);
        return false;
    }
    well(doctor, "database %s", db_name(db));
    return true;
}

static void check_home(struct doctor *doctor, struct store *store, const struct user *user,
                       struct store_sweep_counts *counts)
{
    struct script *script = NULL;
    struct error err;
    struct stat st;
    AUTO_FD home = user_open_home(user, doctor->config, false, &err);

    if (home < 0) {
        if (err.code != ENOENT) /* else: no mail came yet */
            wrong(doctor, "user %s: %s", user->address, err.text);
        return;
    }
    if (fstat(home, &st) == 0 && geteuid() != 0 && st.st_uid != geteuid())
        wrong(doctor, "user %s: %s belongs to another user; chown -R it", user->address,
              user->home);
    else if ((st.st_mode & (S_IWOTH | S_IROTH)) != 0)
        warn(doctor, "user %s: %s is open to everybody; chmod 700 it", user->address, user->home);
    if (script_find_user(doctor->config, user, home, &script, &err) == SCRIPT_FOUND) {
        g_autofree char *whose = g_strdup_printf("user %s", user->address);

        check_script(doctor, script, whose);
    }
    script_free(script);
    struct store_user store_user = user_in_store(user, home);
    if (!store_sweep_user(store, &store_user, !doctor->repair, counts, &err))
        wrong(doctor, "user %s: %s", user->address, err.text);
}

static void report_sweep(struct doctor *doctor, const struct store_sweep_counts *counts)
{
    int64_t files = counts->spools + counts->finished + counts->given_up;
    int64_t rows = counts->keys + counts->replies + counts->duplicates;
    const char *done = doctor->repair ? "removed" : "vmail doctor --repair removes them";

    if (files > 0 && doctor->repair)
        well(doctor, "%" G_GINT64_FORMAT " leftovers of deliveries: %s", files, done);
    else if (files > 0)
        warn(doctor, "%" G_GINT64_FORMAT " leftovers of deliveries: %s", files, done);
    if (rows > 0)
        well(doctor, "%" G_GINT64_FORMAT " rows past their time (keys, replies, duplicates): %s",
             rows, done);
    if (counts->waiting > 0)
        well(doctor, "%" G_GINT64_FORMAT " deliveries wait for the MTA's next try",
             counts->waiting);
}

static bool find_users(struct doctor *doctor, struct db *db, GPtrArray **ret_users,
                       struct error *err)
{
    struct user *user;

    if (doctor->only_user == NULL)
        return user_list(db, doctor->config, ret_users, err);
    if (!command_find_user(db, doctor->config, doctor->only_user, &user, err))
        return false;
    *ret_users = g_ptr_array_new_with_free_func((GDestroyNotify)user_free);
    g_ptr_array_add(*ret_users, user);
    return true;
}

static void check_users(struct doctor *doctor, struct db *db, struct store *store)
{
    struct store_sweep_counts counts = {.spools = 0};
    g_autoptr(GPtrArray) users = NULL;
    struct error err;

    if (!find_users(doctor, db, &users, &err)) {
        wrong(doctor, "%s", err.text);
        return;
    }
    struct progress *progress = progress_new("looking at homes", users->len);
    for (guint i = 0; i < users->len; i++) {
        check_home(doctor, store, users->pdata[i], &counts);
        progress_update(progress, i + 1);
    }
    progress_free(progress);
    if (doctor->only_user == NULL &&
        !store_sweep_rows(store, !doctor->repair, &counts, &err))
        wrong(doctor, "%s", err.text);
    if (users->len == 0)
        warn(doctor, "there are no accounts: vmail user add user@domain");
    else
        well(doctor, "%u accounts", users->len);
    report_sweep(doctor, &counts);
}

static void check_database(struct doctor *doctor)
{
    struct site *site = site_new(doctor->config);
    struct error err;
    struct db *db = site_db(site, &err);

    if (db == NULL)
        wrong(doctor, "%s", err.text);
    else if (check_schema(doctor, db))
        check_users(doctor, db, site_store(site, &err));
    site_free(site);
}

int cmd_doctor(int argc, char **argv, struct config *config)
{
    static const struct option long_options[] = {{"repair", no_argument, NULL, 'r'},
                                                 {"quiet", no_argument, NULL, 'q'},
                                                 {NULL, 0, NULL, 0}};
    struct doctor doctor = {.config = config};
    int option;

    while ((option = getopt_long(argc, argv, "qu:", long_options, NULL)) != -1) {
        if (option == 'u')
            doctor.only_user = optarg;
        else if (option == 'r')
            doctor.repair = true;
        else if (option == 'q')
            doctor.quiet = true;
        else
            return command_usage(usage);
    }
    if (optind < argc)
        return command_usage(usage);
    check_config(&doctor);
    check_root(&doctor);
    check_programs(&doctor);
    check_site_scripts(&doctor);
    check_postfix(&doctor);
    check_database(&doctor);
    if (doctor.wrongs > 0 || doctor.warnings > 0)
        printf("%d wrong, %d warnings\n", doctor.wrongs, doctor.warnings);
    return doctor.wrongs > 0 ? EX_CONFIG : EX_OK;
}
