/* A progress bar on standard error, on a terminal only, for what takes more than a second. */
#ifndef VMAIL_PROGRESS_H
#define VMAIL_PROGRESS_H

#include <stdint.h>

struct progress;

/* @what: "rebuilding rows"; @total 0 when unknown. Draws nothing for the first second. */
struct progress *progress_new(const char *what, uint64_t total);
/* Cheap enough to call per message: draws at most ten times a second. */
void progress_update(struct progress *progress, uint64_t done);
void progress_set_total(struct progress *progress, uint64_t total);
/* Removes the bar and frees. */
void progress_free(struct progress *progress);

#endif
