/* What outlives a delivery: configuration, database connection, store, compiled scripts. */
#ifndef VMAIL_SITE_H
#define VMAIL_SITE_H

#include "lda/base/error.h"

struct config;
struct db;
struct script_cache;
struct store;

/* One per process; not shared by threads. */
struct site;

struct site *site_new(const struct config *config); /* borrows @config */
void site_free(struct site *site);

const struct config *site_config(const struct site *site);
struct script_cache *site_scripts(struct site *site); /* borrowed */

/* The connection, opened when first needed, and again when it was lost. Borrowed. NULL on failure. */
struct db *site_db(struct site *site, struct error *err);
/* The store over that connection. Borrowed. NULL on failure. */
struct store *site_store(struct site *site, struct error *err);
/* Forgets the connection; the next use opens a new one. */
void site_drop_db(struct site *site);

#endif
