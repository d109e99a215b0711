/* The Sieve step: finds the scripts, runs site-before, user, site-after, gives their actions. */
#ifndef VMAIL_FILTER_H
#define VMAIL_FILTER_H

#include "lda/base/error.h"
#include "lda/sieve_host.h"

#include <glib.h>
#include <stdbool.h>

struct filter;
struct message;
struct sieve_result;

struct filter_input {
    struct sieve_host_site *site; /* with its scripts */
    struct message *message;
    const char *script;   /* a file to run instead of the user's script; or NULL */
    bool no_script;       /* run none, the site's neither: implicit keep */
    bool trace;           /* keep a trace of each test in the result */
    bool write_log;       /* errors go to the user's <script>.log too; not for a dry run */
};

/* What is wrong in a script ends in implicit keep and is in the notes; false only for what time cures
 * (a disk or database that does not answer). */
bool filter_run(const struct filter_input *input, struct filter **ret_filter, struct error *err);
void filter_free(struct filter *filter);

/* The actions; lives as long as the filter. */
const struct sieve_result *filter_result(const struct filter *filter);
/* char *: errors and warnings of compiling and running, for the log. */
const GPtrArray *filter_notes(const struct filter *filter);
/* Names of the scripts that were run, in order: char *. */
const GPtrArray *filter_scripts(const struct filter *filter);

/* The engine's options as the configuration says, without host. ERROR_CONFIG for a bad value of a
 * bound (sieve_max_…) or a key that neither we nor the engine know. */
struct sieve_options;
bool filter_options(const struct config *config, struct sieve_options *ret_options,
                    struct error *err);

#endif
