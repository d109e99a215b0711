/* Finding Sieve scripts on the disk: the site's, and the user's behind ManageSieve's link. */
#ifndef VMAIL_SCRIPT_H
#define VMAIL_SCRIPT_H

#include "lda/base/error.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct config;
struct user;

struct script {
    char *name;   /* for messages: the path as configured */
    bool global;  /* the site's */
    int fd;       /* opened, not read yet; else -1 */
    struct stat identity; /* of what was opened */
    char *text;   /* NULL: not read yet; or it stands there but cannot be read */
    size_t length;
    char *problem; /* why it cannot be read; or NULL */
};

void script_free(struct script *script);

/* Reads the text, unless it is there or the script has a problem; too long a file is a problem. False:
 * reading failed for a reason that time cures. */
bool script_load(struct script *script, struct error *err);

enum script_answer { SCRIPT_FOUND, SCRIPT_NONE, SCRIPT_FAILED };

/* What the functions below find is opened but not read: script_load does that. */

/* The user's active script (key sieve), else the site's sieve_default. A link is followed once, when
 * its target lies in the home (ManageSieve links into ~/sieve/) and no further link is on the way;
 * a link elsewhere is SCRIPT_FOUND with a problem. @home -1: there is no home yet. SCRIPT_FAILED:
 * opening failed for a reason that time cures. */
enum script_answer script_find_user(const struct config *config, const struct user *user, int home,
                                    struct script **ret_script, struct error *err);

/* The scripts of sieve_before or sieve_after in order: files as they stand, the *.sieve of folders
 * sorted by name. What is missing becomes a script with a problem. Array of struct script. */
bool script_find_site(const struct config *config, bool before, GPtrArray **ret_scripts,
                      struct error *err);

/* A script for include: @name.sieve in ~/sieve (or sieve_global_dir for @global). */
enum script_answer script_find_include(const struct config *config, const struct user *user,
                                       int home, bool global, const char *name,
                                       struct script **ret_script, struct error *err);

/* One file of the site, or of a person testing, with its text: no link is refused. */
bool script_read_file(const char *path, struct script **ret_script, struct error *err);

#endif
