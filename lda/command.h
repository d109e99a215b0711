/* The verbs of vmail(1). One file cmd_<verb>.c each; the table stands in command.c: a new verb is
 * its declaration here, its row there, its source in lda/CMakeLists.txt. */
#ifndef VMAIL_COMMAND_H
#define VMAIL_COMMAND_H

#include "lda/base/error.h"
#include "lda/user.h"

#include <stdbool.h>

struct config;
struct db;

struct command {
    const char *name;
    const char *help; /* one line for the list of commands */
    /* argv[0] is the verb (getopt works as in main); returns the exit status. Prints its own
     * errors, by command_fail. */
    int (*run)(int argc, char **argv, struct config *config);
};

extern const struct command commands[]; /* ends with name == NULL */

/* Prints "vmail VERB: sentence" on standard error and returns the exit status of @err. */
int command_fail(const char *verb, const struct error *err);
/* Prints "usage: vmail USAGE" and returns 64. */
int command_usage(const char *usage);

/* Opens the configured database. NULL and @err on failure. Close it with db_close. */
struct db *command_open_db(const struct config *config, struct error *err);

/* The one user @address names, or a failure with a sentence (ERROR_NO_USER). */
bool command_find_user(struct db *db, const struct config *config, const char *address,
                       struct user **ret_user, struct error *err);

int cmd_user(int argc, char **argv, struct config *config);
int cmd_migrate(int argc, char **argv, struct config *config);
int cmd_config(int argc, char **argv, struct config *config);
int cmd_deliver(int argc, char **argv, struct config *config);
int cmd_replay(int argc, char **argv, struct config *config);
int cmd_sync(int argc, char **argv, struct config *config);
int cmd_reindex(int argc, char **argv, struct config *config);
int cmd_search(int argc, char **argv, struct config *config);
int cmd_contacts(int argc, char **argv, struct config *config);
int cmd_doctor(int argc, char **argv, struct config *config);
int cmd_sieve(int argc, char **argv, struct config *config);
int cmd_stats(int argc, char **argv, struct config *config);

#endif
