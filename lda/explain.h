/* The plan of a delivery in words, for --dry-run and --explain. */
#ifndef VMAIL_EXPLAIN_H
#define VMAIL_EXPLAIN_H

#include <glib.h>
#include <stdbool.h>

struct envelope;
struct filter;
struct plan;
struct user;

/* What would be stored and sent; with @trace each test of the scripts and its outcome. @message_id
 * may be NULL. g_free. */
char *explain_plan(const struct envelope *envelope, const struct user *user,
                   const struct filter *filter, const struct plan *plan, const char *message_id,
                   bool trace);

#endif
