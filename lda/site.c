#include "lda/site.h"

#include <glib.h>

#include "lda/config.h"
#include "lda/script_cache.h"
#include "store/db.h"
#include "store/store.h"

/* A script of ten rules takes some 15 KB. Two seconds: the grain of the coarsest file systems. */
static const struct script_cache_bounds script_bounds = {
    .scripts = 1000, .bytes = 32 * 1024 * 1024, .settle_ms = 2000};

struct site {
    const struct config *config;
    struct script_cache *scripts;
    struct db *db;
    struct store *store;
    struct store_options store_options;
    GPtrArray *mailboxes; /* char *, NULL-terminated: what store_options points at */
};

static void fill_store_options(struct site *site)
{
    const struct config *config = site->config;
    struct store_options *options = &site->store_options;
    char word[512];

    site->mailboxes = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; config_word(config, CONFIG_MAILBOXES, i, word, sizeof word); i++)
        g_ptr_array_add(site->mailboxes, g_strdup(word));
    g_ptr_array_add(site->mailboxes, NULL);
    options->hostname = config_text(config, CONFIG_HOSTNAME);
    options->mailboxes = (const char *const *)site->mailboxes->pdata;
    options->no_autocreate = !config_bool(config, CONFIG_MAILBOX_AUTOCREATE);
    options->no_autosubscribe = !config_bool(config, CONFIG_MAILBOX_AUTOSUBSCRIBE);
    options->quota_bounces = config_is(config, CONFIG_QUOTA_FULL, "bounce");
    options->keys_keep_s = (int64_t)config_number(config, CONFIG_KEYS_KEEP);
    options->mbox_locks = config_text(config, CONFIG_MBOX_LOCKS);
    options->lock_timeout_s = (int)MIN(config_number(config, CONFIG_LOCK_TIMEOUT), 86400);
}

struct site *site_new(const struct config *config)
{
    struct site *site = g_new0(struct site, 1);

    site->config = config;
    site->scripts = script_cache_new(&script_bounds);
    fill_store_options(site);
    return site;
}

void site_free(struct site *site)
{
    if (site == NULL)
        return;
    site_drop_db(site);
    script_cache_free(site->scripts);
    g_ptr_array_unref(site->mailboxes);
    g_free(site);
}

const struct config *site_config(const struct site *site)
{
    return site->config;
}

struct script_cache *site_scripts(struct site *site)
{
    return site->scripts;
}

struct db *site_db(struct site *site, struct error *err)
{
    struct db_options options = {
        .timeout_s = (int)MIN(config_number(site->config, CONFIG_DATABASE_TIMEOUT), 86400),
        .application = "vmail-lda",
    };

    if (site->db != NULL && !db_alive(site->db))
        site_drop_db(site);
    if (site->db == NULL &&
        !db_open(config_text(site->config, CONFIG_DATABASE), &options, &site->db, err)) {
        site->db = NULL;
        return NULL;
    }
    return site->db;
}

struct store *site_store(struct site *site, struct error *err)
{
    struct db *db = site_db(site, err);

    if (db == NULL)
        return NULL;
    if (site->store == NULL)
        site->store = store_new(db, &site->store_options);
    return site->store;
}

void site_drop_db(struct site *site)
{
    store_free(site->store);
    site->store = NULL;
    db_close(site->db);
    site->db = NULL;
}
