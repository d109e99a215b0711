/* <script>.log beside the user's script: what was wrong with it, for the user to read. */
#ifndef VMAIL_SCRIPT_LOG_H
#define VMAIL_SCRIPT_LOG_H

#include <glib.h>

struct config;

/* Appends @lines (array of char *) with the time to <sieve>.log in the home. Bounded: past
 * sieve_log_max_size the file becomes <sieve>.log.0. No link is followed. A log that cannot be
 * written is no reason for anything. */
void script_log_append(const struct config *config, int home, const GPtrArray *lines);

#endif
