#include "lda/script_cache.h"

#include <string.h>
#include <sys/stat.h>

#include <glib.h>

#include "lda/script.h"
#include "lda/sieve_host.h"
#include "sieve/sieve.h"

#define DIAGNOSTIC_BYTES 256 /* of a kept error with its texts, about */

/* What the script asked for while it compiled. */
struct include {
    bool global;
    char *name;
    bool there;
    struct stat identity;
};

struct entry {
    struct compiled_script compiled;
    /* the key: the path, and whose script it is, which decides what it may do */
    char *name;
    bool global;
    struct stat identity;
    GArray *includes;
    size_t bytes;
    GList link; /* in cache->order */
};

struct script_cache {
    struct script_cache_bounds bounds;
    GHashTable *entries; /* struct entry, by its key */
    GQueue order;        /* the one used last comes first */
    size_t bytes;
    size_t hits, compiled;
    struct entry *passing;   /* compiled last, not to be kept */
    struct entry *compiling; /* now; or NULL */
    bool settled, asked;     /* of the one that is compiling */
};

/* ------------------------------------------------------------------ files */

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_same_content(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           is_same_time(&a->st_mtim, &b->st_mtim) && is_same_time(&a->st_ctim, &b->st_ctim);
}

static int64_t to_us(const struct timespec *time)
{
    return (int64_t)time->tv_sec * G_USEC_PER_SEC + time->tv_nsec / 1000;
}

/* Times have the grain of the file system's clock: a second change within it would not be seen (git
 * calls such an entry "racy"). A time in the future is no better. */
static bool is_settled(const struct script_cache *cache, const struct stat *identity)
{
    int64_t changed_us = MAX(to_us(&identity->st_mtim), to_us(&identity->st_ctim));

    return S_ISREG(identity->st_mode) &&
           changed_us + cache->bounds.settle_ms * 1000 < g_get_real_time();
}

/* Looked for anew each time: the same script can stand for another user, whose includes are others. */
static bool is_same_include(const struct include *include, const struct sieve_host_site *site)
{
    struct script *found = NULL;
    struct error err;
    enum script_answer answer = script_find_include(site->config, site->user, site->home,
                                                    include->global, include->name, &found, &err);
    bool there = answer == SCRIPT_FOUND && found->fd >= 0;
    bool same = answer != SCRIPT_FAILED && there == include->there &&
                (!there || is_same_content(&found->identity, &include->identity));

    script_free(found);
    return same;
}

static bool is_current(const struct entry *entry, const struct script *script,
                       const struct sieve_host_site *site)
{
    if (!is_same_content(&entry->identity, &script->identity))
        return false;
    for (guint i = 0; i < entry->includes->len; i++)
        if (!is_same_include(&g_array_index(entry->includes, struct include, i), site))
            return false;
    return true;
}

/* ------------------------------------------------------------------ entries */

static guint entry_hash(gconstpointer data)
{
    const struct entry *entry = data;

    return g_str_hash(entry->name);
}

static gboolean entry_equal(gconstpointer a, gconstpointer b)
{
    const struct entry *left = a, *right = b;

    return left->global == right->global && strcmp(left->name, right->name) == 0;
}

static void clear_include(gpointer data)
{
    g_free(((struct include *)data)->name);
}

static struct entry *entry_new(const struct script *script)
{
    struct entry *entry = g_new0(struct entry, 1);

    entry->name = g_strdup(script->name);
    entry->global = script->global;
    entry->identity = script->identity;
    entry->includes = g_array_new(FALSE, FALSE, sizeof(struct include));
    g_array_set_clear_func(entry->includes, clear_include);
    entry->compiled.diagnostics = sieve_diagnostics_new();
    entry->link.data = entry;
    return entry;
}

static void entry_free(struct entry *entry)
{
    if (entry == NULL)
        return;
    sieve_program_unref(entry->compiled.program);
    sieve_diagnostics_free(entry->compiled.diagnostics);
    g_array_unref(entry->includes);
    g_free(entry->name);
    g_free(entry);
}

static size_t entry_size(const struct entry *entry)
{
    const struct compiled_script *compiled = &entry->compiled;

    return sizeof *entry + strlen(entry->name) +
           entry->includes->len * (sizeof(struct include) + DIAGNOSTIC_BYTES) +
           compiled->diagnostics->items->len * DIAGNOSTIC_BYTES +
           (compiled->program == NULL ? 0 : sieve_program_size(compiled->program));
}

static void drop(struct script_cache *cache, struct entry *entry)
{
    g_hash_table_remove(cache->entries, entry);
    g_queue_unlink(&cache->order, &entry->link);
    cache->bytes -= entry->bytes;
    entry_free(entry);
}

/* False: it is too large to be kept at all. */
static bool keep(struct script_cache *cache, struct entry *entry)
{
    entry->bytes = entry_size(entry);
    if (entry->bytes > cache->bounds.bytes || cache->bounds.scripts == 0)
        return false;
    g_hash_table_add(cache->entries, entry);
    g_queue_push_head_link(&cache->order, &entry->link);
    cache->bytes += entry->bytes;
    while (cache->order.length > cache->bounds.scripts || cache->bytes > cache->bounds.bytes)
        drop(cache, cache->order.tail->data);
    return true;
}

/* ------------------------------------------------------------------ the door */

struct script_cache *script_cache_new(const struct script_cache_bounds *bounds)
{
    struct script_cache *cache = g_new0(struct script_cache, 1);

    cache->bounds = *bounds;
    cache->entries = g_hash_table_new(entry_hash, entry_equal);
    return cache;
}

void script_cache_free(struct script_cache *cache)
{
    if (cache == NULL)
        return;
    while (cache->order.tail != NULL)
        drop(cache, cache->order.tail->data);
    g_hash_table_unref(cache->entries);
    entry_free(cache->passing);
    g_free(cache);
}

/* The entry of @script when it is what a compile would give now. What is old goes. */
static struct entry *look_up(struct script_cache *cache, const struct script *script,
                             const struct sieve_host_site *site)
{
    const struct entry key = {.name = script->name, .global = script->global};
    struct entry *entry = g_hash_table_lookup(cache->entries, &key);

    if (entry == NULL)
        return NULL;
    if (!is_current(entry, script, site)) {
        drop(cache, entry);
        return NULL;
    }
    g_queue_unlink(&cache->order, &entry->link);
    g_queue_push_head_link(&cache->order, &entry->link);
    return entry;
}

/* Errors of libsieve, which works in a process of its own, may be that process's. */
static bool is_lasting(const struct script_cache *cache, const struct entry *entry,
                       const struct sieve_options *options)
{
    return entry->compiled.program != NULL ||
           (!cache->asked && options->engine != SIEVE_ENGINE_LIBSIEVE);
}

/* *ret_settled: nothing that was read for it may change without being seen. */
static struct entry *compile(struct script_cache *cache, const struct script *script, bool settled,
                             const struct sieve_options *options, bool *ret_settled)
{
    struct entry *entry = entry_new(script);

    cache->compiled++;
    cache->compiling = entry;
    cache->settled = settled;
    cache->asked = false;
    entry->compiled.program = sieve_compile(script->text, script->length, script->name, options,
                                            entry->compiled.diagnostics);
    cache->compiling = NULL;
    *ret_settled = cache->settled && is_lasting(cache, entry, options);
    return entry;
}

bool script_cache_compile(struct script_cache *cache, struct script *script,
                          struct sieve_host_site *site, const struct sieve_options *options,
                          const struct compiled_script **ret_compiled, struct error *err)
{
    bool settled = is_settled(cache, &script->identity); /* before it is read */

    g_clear_pointer(&cache->passing, entry_free);
    *ret_compiled = NULL;
    if (script->problem != NULL)
        return true;
    struct entry *entry = options->trace ? NULL : look_up(cache, script, site);
    if (entry != NULL) {
        cache->hits++;
        *ret_compiled = &entry->compiled;
        return true;
    }
    if (!script_load(script, err))
        return false;
    if (script->text == NULL)
        return true;
    entry = compile(cache, script, settled, options, &settled);
    *ret_compiled = &entry->compiled;
    if (!settled || site->failed || options->trace || !keep(cache, entry))
        cache->passing = entry;
    return true;
}

void script_cache_note_include(struct script_cache *cache, bool global, const char *name,
                               const struct script *found)
{
    if (cache == NULL || cache->compiling == NULL)
        return;
    struct include include = {.global = global, .name = g_strdup(name)};
    include.there = found != NULL && found->fd >= 0;
    if (include.there) {
        include.identity = found->identity;
        cache->settled &= is_settled(cache, &found->identity);
    }
    g_array_append_val(cache->compiling->includes, include);
}

void script_cache_note_question(struct script_cache *cache)
{
    if (cache != NULL)
        cache->asked = true;
}

void script_cache_count(const struct script_cache *cache, struct script_cache_counts *ret_counts)
{
    *ret_counts = (struct script_cache_counts){
        .hits = cache->hits,
        .compiled = cache->compiled,
        .scripts = cache->order.length,
        .bytes = cache->bytes,
    };
}
