/* vmail search: find messages of a user by their header rows. */
#include "lda/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include <glib.h>
#include <jansson.h>

#include "lda/base/cleanup.h"
#include "lda/base/path.h"
#include "lda/config.h"
#include "lda/table.h"
#include "store/db.h"
#include "store/mailbox_name.h"
#include "store/mbox.h"
#include "store/scan.h"
#include "store/search.h"
#include "store/search_query.h"

static const char usage[] =
    "search -u USER [--limit N] [--sort date|relevance] [--threads] [--after KEY]\n"
    "                    [--format table|id|path | --json] [--] [QUERY …]\n"
    "QUERY: words \"a phrase\" -not or (…) from: to: cc: subject: list: in:FOLDER before: after: "
    "on:\n"
    "       larger: smaller: has:attachment is:unread|read|flagged|answered|draft|deleted";

enum format { FORMAT_TABLE, FORMAT_ID, FORMAT_PATH, FORMAT_JSON };

struct arguments {
    const char *user;
    enum format format;
    bool threads;
    struct search_options options;
    GString *query;
};

/* ------------------------------------------------------------------ where the files lie */

struct finding {
    GHashTable *paths; /* base name → path, NULL until found */
    const char *home, *dir;
};

static bool on_file(const struct scan_file *file, void *ctx, struct error *err)
{
    struct finding *finding = ctx;

    (void)err;
    if (g_hash_table_contains(finding->paths, file->name)) {
        bool inbox = strcmp(finding->dir, ".") == 0;

        g_hash_table_replace(finding->paths, g_strdup(file->name),
                             g_strdup_printf("%s/%s%s%s/%s", finding->home,
                                             inbox ? "" : finding->dir, inbox ? "" : "/",
                                             file->is_new ? "new" : "cur", file->entry));
    }
    return true;
}

static bool is_plain(const char *text)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    return true;
}

/* In an mbox the message's id leads on: where it lies in the file is no answer for long, because mail
 * programs write into headers and remove messages. */
static void find_in_mbox(int home_fd, const char *home, const char *mailbox, const GPtrArray *hits,
                         GHashTable *by_id)
{
    g_autofree char *below = mbox_path(mailbox);
    struct error ignored = {0};
    AUTO_FD fd = path_open_file(home_fd, below, &ignored);

    for (guint i = 0; fd >= 0 && i < hits->len; i++) {
        struct search_hit *hit = hits->pdata[i];
        bool named = *hit->message_id && is_plain(hit->message_id);

        if (strcmp(hit->mailbox, mailbox) == 0 && *hit->file)
            g_hash_table_replace(by_id, &hit->id,
                                 g_strdup_printf("%s/%s%s%s%s", home, below, named ? "\t<" : "",
                                                 named ? hit->message_id : "", named ? ">" : ""));
    }
}

/* The paths of those hits that lie in @mailbox; a file that is gone has none. */
static bool find_in_mailbox(int home_fd, const char *home, const char *mailbox,
                            const GPtrArray *hits, GHashTable *by_id, struct error *err)
{
    g_autoptr(GHashTable) paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autofree char *dir = mailbox_name_to_dir(mailbox);
    struct finding finding = {paths, home, dir};
    int64_t ignored = 0;

    for (guint i = 0; i < hits->len; i++) {
        const struct search_hit *hit = hits->pdata[i];

        if (strcmp(hit->mailbox, mailbox) == 0 && *hit->file)
            g_hash_table_replace(paths, g_strdup(hit->file), NULL);
    }
    if (!scan_files(home_fd, dir, on_file, &finding, &ignored, err)) {
        if (err->code != ENOENT)
            return false;
        error_clear(err);
        return true;
    }
    for (guint i = 0; i < hits->len; i++) {
        struct search_hit *hit = hits->pdata[i];
        const char *path =
            strcmp(hit->mailbox, mailbox) == 0 ? g_hash_table_lookup(paths, hit->file) : NULL;

        if (path)
            g_hash_table_replace(by_id, &hit->id, g_strdup(path));
    }
    return true;
}

/* Paths of all hits by id. One read of a folder however many of its messages were found. */
static bool find_paths(const struct user *user, const struct config *config, const GPtrArray *hits,
                       GHashTable **ret_by_id, struct error *err)
{
    g_autoptr(GHashTable) by_id = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    g_autoptr(GHashTable) mailboxes = g_hash_table_new(g_str_hash, g_str_equal);
    AUTO_FD home = user_open_home(user, config, false, err);
    GHashTableIter iter;
    gpointer mailbox;

    if (home < 0)
        return false;
    for (guint i = 0; i < hits->len; i++) {
        const struct search_hit *hit = hits->pdata[i];

        if (*hit->mailbox)
            g_hash_table_add(mailboxes, hit->mailbox);
    }
    g_hash_table_iter_init(&iter, mailboxes);
    while (g_hash_table_iter_next(&iter, &mailbox, NULL)) {
        if (user->mbox)
            find_in_mbox(home, user->home, mailbox, hits, by_id);
        else if (!find_in_mailbox(home, user->home, mailbox, hits, by_id, err))
            return false;
    }
    *ret_by_id = g_steal_pointer(&by_id);
    return true;
}

/* ------------------------------------------------------------------ threads */

/* Threads of a page: hits that name each other's ids. In the order of their newest message. */
static void thread_add(GPtrArray *threads, GHashTable *by_message, struct search_hit *hit)
{
    g_autofree char *names = g_strdup_printf("%s %s", hit->message_id, hit->references);
    g_auto(GStrv) ids = g_strsplit(names, " ", -1);
    GPtrArray *thread = NULL;

    for (char **id = ids; *id; id++) {
        GPtrArray *other = **id ? g_hash_table_lookup(by_message, *id) : NULL;
        GHashTableIter iter;
        gpointer value;

        if (!other || other == thread)
            continue;
        if (!thread) {
            thread = other;
            continue;
        }
        /* this message joins what seemed two threads */
        g_ptr_array_extend(thread, other, NULL, NULL);
        g_hash_table_iter_init(&iter, by_message);
        while (g_hash_table_iter_next(&iter, NULL, &value))
            if (value == other)
                g_hash_table_iter_replace(&iter, thread);
        g_ptr_array_remove(threads, other);
    }
    if (!thread) {
        thread = g_ptr_array_new();
        g_ptr_array_add(threads, thread);
    }
    g_ptr_array_add(thread, hit);
    for (char **id = ids; *id; id++)
        if (**id)
            g_hash_table_replace(by_message, g_strdup(*id), thread);
}

static GPtrArray *threads_new(const GPtrArray *hits)
{
    GPtrArray *threads = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    g_autoptr(GHashTable) by_message = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < hits->len; i++)
        thread_add(threads, by_message, hits->pdata[i]);
    return threads;
}

/* ------------------------------------------------------------------ printing */

static json_t *hit_json(const struct search_hit *hit, GHashTable *paths)
{
    const char *path = paths ? g_hash_table_lookup(paths, &hit->id) : NULL;
    json_t *object = json_pack(
        "{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:s, s:b}", "id",
        (json_int_t)hit->id, "date", hit->date, "sender", hit->sender, "recipient", hit->recipient,
        "subject", hit->subject, "mailbox", hit->mailbox, "file", hit->file, "message_id",
        hit->message_id, "references", hit->references, "size", (json_int_t)hit->size, "is_read",
        hit->is_read, "flags", hit->flags, "has_attachment", hit->has_attachment);

    if (!object)
        return json_null();
    if (hit->score > 0)
        json_object_set_new(object, "score", json_integer(hit->score));
    if (paths)
        json_object_set_new(object, "path", path ? json_string(path) : json_null());
    return object;
}

static json_t *hits_json(const GPtrArray *hits, GHashTable *paths)
{
    json_t *array = json_array();

    for (guint i = 0; i < hits->len; i++)
        json_array_append_new(array, hit_json(hits->pdata[i], paths));
    return array;
}

static void print_json(const struct search_page *page, bool by_threads, GHashTable *paths)
{
    json_t *object = json_object();

    if (by_threads) {
        g_autoptr(GPtrArray) threads = threads_new(page->hits);
        json_t *array = json_array();

        for (guint i = 0; i < threads->len; i++)
            json_array_append_new(
                array, json_pack("{s:o}", "messages", hits_json(threads->pdata[i], paths)));
        json_object_set_new(object, "threads", array);
    } else {
        json_object_set_new(object, "messages", hits_json(page->hits, paths));
    }
    json_object_set_new(object, "next", page->next ? json_string(page->next) : json_null());
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(object);
}

static void table_add_hit(struct table *table, const struct search_hit *hit, const char *indent)
{
    g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, hit->id);
    g_autofree char *date = g_strndup(hit->date, 16);
    g_autofree char *state = g_strconcat(hit->is_read ? "" : "N", hit->has_attachment ? "A" : "",
                                         strstr(hit->flags, "\\Flagged") ? "F" : "",
                                         strstr(hit->flags, "\\Answered") ? "R" : "", NULL);
    g_autofree char *subject = g_strconcat(indent, hit->subject, NULL);
    const char *const cells[] = {id, date, state, hit->mailbox, hit->sender, subject};

    table_add(table, cells);
}

static void print_table(const struct search_page *page, bool by_threads)
{
    static const char *const columns[] = {"#Id",  "Date (UTC)", "",  "Mailbox",
                                          "From", "Subject",    NULL};
    struct table *table = table_new(columns);

    if (by_threads) {
        g_autoptr(GPtrArray) threads = threads_new(page->hits);

        for (guint i = 0; i < threads->len; i++) {
            const GPtrArray *thread = threads->pdata[i];

            for (guint k = 0; k < thread->len; k++)
                table_add_hit(table, thread->pdata[k], k ? "  └ " : "");
        }
    } else {
        for (guint i = 0; i < page->hits->len; i++)
            table_add_hit(table, page->hits->pdata[i], "");
    }
    table_print(table, table_terminal_width(stdout), stdout);
    table_free(table);
    if (page->next)
        printf("more: --after %s\n", page->next);
}

static bool print_page(const struct search_page *page, const struct arguments *arguments,
                       const struct user *user, const struct config *config, struct error *err)
{
    g_autoptr(GHashTable) paths = NULL;

    if (arguments->format == FORMAT_PATH && !find_paths(user, config, page->hits, &paths, err))
        return false;
    switch (arguments->format) {
    case FORMAT_TABLE:
        print_table(page, arguments->threads);
        break;
    case FORMAT_JSON:
        print_json(page, arguments->threads, NULL);
        break;
    case FORMAT_ID:
        for (guint i = 0; i < page->hits->len; i++)
            printf("%" G_GINT64_FORMAT "\n", ((const struct search_hit *)page->hits->pdata[i])->id);
        break;
    case FORMAT_PATH:
        for (guint i = 0; i < page->hits->len; i++) {
            const struct search_hit *hit = page->hits->pdata[i];
            const char *path = g_hash_table_lookup(paths, &hit->id);

            if (path)
                printf("%s\n", path);
            else
                fprintf(stderr,
                        "vmail search: message %" G_GINT64_FORMAT
                        " has no file in %s (vmail sync?)\n",
                        hit->id, hit->mailbox);
        }
        break;
    }
    /* programs get the key where it is in nobody's way */
    if (page->next && (arguments->format == FORMAT_ID || arguments->format == FORMAT_PATH))
        fprintf(stderr, "more: --after %s\n", page->next);
    return true;
}

/* ------------------------------------------------------------------ the verb */

static int local_offset(time_t now)
{
    struct tm local;

    return localtime_r(&now, &local) ? (int)local.tm_gmtoff : 0;
}

static bool search(const struct arguments *arguments, struct config *config, struct error *err)
{
    g_autoptr(db_t) db = NULL;
    g_autoptr(user_t) user = NULL;
    struct query *query;
    struct search_page *page;
    time_t now = time(NULL);
    bool done;

    if (!query_parse(arguments->query->str, arguments->query->len, now, local_offset(now), &query,
                     err))
        return false;
    db = command_open_db(config, err);
    done = db && command_find_user(db, config, arguments->user, &user, err) &&
           search_run(db, user->id, query, &arguments->options, &page, err);
    query_free(query);
    if (!done)
        return false;
    done = print_page(page, arguments, user, config, err);
    search_page_free(page);
    return done;
}

static bool take_format(const char *text, enum format *ret_format)
{
    static const char *const names[] = {"table", "id", "path", "json"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (strcmp(names[i], text) == 0) {
            *ret_format = (enum format)i;
            return true;
        }
    return false;
}

static bool take_option(int option, struct arguments *arguments)
{
    char *end;

    switch (option) {
    case 'u':
        arguments->user = optarg;
        return true;
    case 'j':
        arguments->format = FORMAT_JSON;
        return true;
    case 'f':
        return take_format(optarg, &arguments->format);
    case 't':
        arguments->threads = true;
        return true;
    case 'a':
        arguments->options.after = optarg;
        return true;
    case 'n': {
        gint64 limit = g_ascii_strtoll(optarg, &end, 10);

        arguments->options.limit = (int)CLAMP(limit, 0, 1000000);
        return *optarg && !*end;
    }
    case 's':
        arguments->options.sort =
            strcmp(optarg, "relevance") == 0 ? SEARCH_SORT_RELEVANCE : SEARCH_SORT_DATE;
        return strcmp(optarg, "relevance") == 0 || strcmp(optarg, "date") == 0;
    default:
        return false;
    }
}

int cmd_search(int argc, char **argv, struct config *config)
{
    static const struct option options[] = {
        {"user", required_argument, NULL, 'u'},   {"json", no_argument, NULL, 'j'},
        {"format", required_argument, NULL, 'f'}, {"limit", required_argument, NULL, 'n'},
        {"sort", required_argument, NULL, 's'},   {"threads", no_argument, NULL, 't'},
        {"after", required_argument, NULL, 'a'},  {NULL, 0, NULL, 0},
    };
    g_autoptr(GString) query = g_string_new(NULL);
    struct arguments arguments = {.options = {.limit = 50}, .query = query};
    struct error err = {0};
    bool only_words = false;

    optind =
        1; /* main leaves 0, "start anew", but words are looked at here before getopt is asked */
    /* behind the first word "-word" is part of the query, "--limit" still an option */
    for (int at; (at = MAX(optind, 1)) < argc;) {
        const char *word = argv[at];
        bool is_option = word[0] == '-' && word[1] && (query->len == 0 || word[1] == '-');

        if (!only_words && is_option && strcmp(word, "--") != 0) {
            if (!take_option(getopt_long(argc, argv, "+u:n:j", options, NULL), &arguments))
                return command_usage(usage);
            continue;
        }
        optind = at + 1;
        if (!only_words && strcmp(word, "--") == 0)
            only_words = true;
        else
            g_string_append_printf(query, "%s%s", query->len ? " " : "", word);
    }
    if (!arguments.user)
        return command_usage(usage);
    return search(&arguments, config, &err) ? EX_OK : command_fail("search", &err);
}
