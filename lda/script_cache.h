/*
 * Compiled scripts, for a process that delivers many messages: a script is compiled once for each
 * content of its file.
 *
 * The file is opened for every delivery; what that descriptor is (device, inode, size, both times)
 * tells whether the program still is its content's. The files that it includes are looked at in the
 * same way, those that were missing too. Errors are kept as programs are.
 */
#ifndef VMAIL_SCRIPT_CACHE_H
#define VMAIL_SCRIPT_CACHE_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct script;
struct sieve_diagnostics;
struct sieve_host_site;
struct sieve_options;
struct sieve_program;

struct script_cache_bounds {
    size_t scripts;    /* at most so many are kept; the one not used for longest goes first */
    size_t bytes;      /* at most so much memory */
    int64_t settle_ms; /* what was changed so lately is not kept: one more change could leave the
                        * file's size and times as they are */
};

struct compiled_script {
    struct sieve_program *program; /* NULL: it has errors */
    struct sieve_diagnostics *diagnostics;
};

struct script_cache_counts {
    size_t hits, compiled; /* since the beginning */
    size_t scripts, bytes; /* now */
};

/* For one configuration, because compiling depends on its settings; not shared by threads. */
struct script_cache;

struct script_cache *script_cache_new(const struct script_cache_bounds *bounds);
void script_cache_free(struct script_cache *cache); /* takes NULL */

/* What @script, opened but not read, compiles to; *ret_compiled is borrowed until the next call, NULL
 * when the script has a problem. @site, whose @scripts is @cache, answers for the user: it finds what
 * is included. With options->trace everything is compiled anew, because then warnings count, which
 * depend on more than files. False: reading failed for a reason that time cures. */
bool script_cache_compile(struct script_cache *cache, struct script *script,
                          struct sieve_host_site *site, const struct sieve_options *options,
                          const struct compiled_script **ret_compiled, struct error *err);

/* Told by sieve_host while a script compiles: it asked for this script to include; @found is NULL where
 * there is none. To be called before @found is read. */
void script_cache_note_include(struct script_cache *cache, bool global, const char *name,
                               const struct script *found);
/* Told as well: it asked what no file answers, so errors of this compile are not to be kept. */
void script_cache_note_question(struct script_cache *cache);

void script_cache_count(const struct script_cache *cache, struct script_cache_counts *ret_counts);

#endif
