/* vmail migrate: the schema, made or brought forward. */
#include "lda/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "lda/config.h"
#include "store/db.h"
#include "store/store.h"

static void applied(void *ctx, const char *name)
{
    int *count = ctx;

    printf("applied %s\n", name);
    (*count)++;
}

/* SQLite's file usually lies in vmail_root: a new one needs the folder. */
static bool make_root(const struct config *config, struct error *err)
{
    const char *root = config_text(config, CONFIG_VMAIL_ROOT);

    if (mkdir(root, 0750) < 0 && errno != EEXIST) {
        error_set_errno(err, ERROR_CONFIG, errno, "cannot make vmail_root %s", root);
        return false;
    }
    return true;
}

static bool check_only(struct db *db, const char *schema, struct error *err)
{
    int missing;

    if (!store_schema_missing(db, schema, &missing, err))
        return false;
    printf("%s: %d migrations missing\n", db_name(db), missing);
    return true;
}

int cmd_migrate(int argc, char **argv, struct config *config)
{
    struct db_options options = {.create = true, .application = "vmail"};
    const char *schema = config_text(config, CONFIG_SCHEMA_DIR);
    bool check = argc == 2 && strcmp(argv[1], "--check") == 0;
    struct error err;
    struct db *db;
    int count = 0;

    if (argc > 1 && !check)
        return command_usage("migrate [--check]");
    options.create = !check;
    if (strncmp(config_text(config, CONFIG_DATABASE), "sqlite:", 7) == 0 && !check &&
        !make_root(config, &err))
        return command_fail("migrate", &err);
    if (!db_open(config_text(config, CONFIG_DATABASE), &options, &db, &err))
        return command_fail("migrate", &err);
    bool good = check ? check_only(db, schema, &err)
                      : store_migrate(db, schema, applied, &count, &err);
    if (good && !check)
        printf("%s: %s\n", db_name(db), count == 0 ? "up to date" : "migrated");
    db_close(db);
    return good ? EX_OK : command_fail("migrate", &err);
}
