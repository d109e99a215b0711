/* vmail sync --watch: rows follow the files as they change. */
#ifndef VMAIL_WATCH_H
#define VMAIL_WATCH_H

#include "lda/base/error.h"

#include <stdbool.h>

struct config;

/* Runs until SIGTERM or SIGINT (true). A database that is away is waited for; false only for what
 * cannot get better by itself. */
bool watch_run(const struct config *config, struct error *err);

#endif
