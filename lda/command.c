#include "lda/command.h"

#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "lda/base/exit_status.h"
#include "lda/config.h"
#include "store/db.h"

const struct command commands[] = {
    {"migrate", "make the database's tables, or bring them forward", cmd_migrate},
    {"user", "accounts: add, list, show, enable, disable", cmd_user},
    {"deliver", "deliver files by hand, or tell what would be done", cmd_deliver},
    {"replay", "deliver files, folders, an mbox or the queue again, each once", cmd_replay},
    {"sync", "rows follow the files; --watch: as it happens", cmd_sync},
    {"reindex", "all rows again from the files, or what differs", cmd_reindex},
    {"search", "find messages by their header rows", cmd_search},
    {"contacts", "a user's address book", cmd_contacts},
    {"sieve", "check scripts, try them on a message, run their tests", cmd_sieve},
    {"doctor", "what is wrong with this set-up, and what to do", cmd_doctor},
    {"stats", "how much lies in the store", cmd_stats},
    {"config", "print the configuration in force", cmd_config},
    {NULL, NULL, NULL},
};

int command_fail(const char *verb, const struct error *err)
{
    fflush(stdout);
    fprintf(stderr, "vmail %s: %s\n", verb, err->text);
    /* a person or a script of ops reads the status, no MTA: configuration is 78 */
    return exit_status_of(err->kind, true);
}

int command_usage(const char *usage)
{
    fprintf(stderr, "usage: vmail %s\n", usage);
    return EX_USAGE;
}

struct db *command_open_db(const struct config *config, struct error *err)
{
    struct db_options options = {
        .timeout_s = (int)MIN(config_number(config, CONFIG_DATABASE_TIMEOUT), 86400),
        .application = "vmail",
    };
    struct db *db;

    return db_open(config_text(config, CONFIG_DATABASE), &options, &db, err) ? db : NULL;
}

bool command_find_user(struct db *db, const struct config *config, const char *address,
                       struct user **ret_user, struct error *err)
{
    return user_look_up(db, config, address, ret_user, err) == USER_FOUND;
}
