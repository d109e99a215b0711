/*
 * A page of the rows that a query finds (its SQL: search_select.h).
 *
 * A page is found in up to three steps. First the newest rows of the user (or of the mailbox, or of the
 * days, that the query names) are compared one by one: a common word fills its page there, and no index
 * can be faster. How many were found there tells how common the query is: where LONG_HEAD_ROWS fill the
 * page by that measure, they are compared next. What is rarer the token index answers, quarter by quarter,
 * the newest first, until the page is full. So the cost does not depend on the database's guess how common
 * a word is, nor on the size of the mailbox.
 *
 * Rows that an application left without a date (or with one that is none: infinity, a word) come
 * behind all others, by a step of their own; a page's key says of them the first day of year 1.
 *
 * By relevance: the newest RELEVANCE_ROWS matches, found so, and sorted here.
 */
#include "store/search.h"

#include "store/db.h"
#include "store/search_key.h"
#include "store/search_query.h"
#include "store/search_select.h"
#include "store/search_statement.h"
#include "store/search_text.h"

#include <string.h>

#define HEAD_ROWS 300
/* At least, and where more rows are wanted, this many for each. */
#define LONG_HEAD_ROWS 1500
#define LONG_HEAD_SHARE 10
/* Where no index helps: the alternative is to compare all. */
#define PLAIN_LONG_HEAD_ROWS 20000
#define LIMIT_MAX 10000
/* Relevance is weighed among this many of the newest matches. */
#define RELEVANCE_ROWS 500

/* ------------------------------------------------------------------ rows */

static void search_hit_free(gpointer data)
{
    struct search_hit *hit = data;

    g_free(hit->subject);
    g_free(hit->sender);
    g_free(hit->recipient);
    g_free(hit->date);
    g_free(hit->mailbox);
    g_free(hit->file);
    g_free(hit->message_id);
    g_free(hit->references);
    g_free(hit->flags);
    g_free(hit);
}

void search_page_free(struct search_page *page)
{
    if (!page)
        return;
    g_ptr_array_unref(page->hits);
    g_free(page->next);
    g_free(page);
}

static char *text_of(const struct db_row *row, int column)
{
    const char *text = db_row_text(row, column);

    return text ? g_utf8_make_valid(text, -1) : g_strdup("");
}

static bool take_hit(void *ctx, const struct db_row *row, struct error *err)
{
    GPtrArray *hits = ctx;
    struct search_hit *hit = g_new0(struct search_hit, 1);

    (void)err;
    hit->id = db_row_int(row, 0);
    hit->subject = text_of(row, 1);
    hit->sender = text_of(row, 2);
    hit->recipient = text_of(row, 3);
    hit->date = text_of(row, 4);
    hit->mailbox = text_of(row, 5);
    hit->file = text_of(row, 6);
    hit->message_id = text_of(row, 7);
    hit->references = text_of(row, 8);
    hit->size = db_row_int(row, 9);
    hit->is_read = db_row_bool(row, 10);
    hit->flags = text_of(row, 11);
    hit->has_attachment = db_row_bool(row, 12);
    hit->score = (int)db_row_int(row, 13);
    hit->undated = db_row_bool(row, 14);
    g_ptr_array_add(hits, hit);
    return true;
}

/* ------------------------------------------------------------------ order */

/* A hit's place in the order of dates; undated rows are older than all. */
static const char *sort_date(const struct search_hit *hit)
{
    return hit->undated ? SEARCH_UNDATED : hit->date;
}

static int compare_ids(int64_t a, int64_t b)
{
    return a < b ? 1 : a > b ? -1 : 0;
}

/* Newest first, equal dates by id. */
static int compare_dates(gconstpointer a, gconstpointer b)
{
    const struct search_hit *left = *(struct search_hit *const *)a;
    const struct search_hit *right = *(struct search_hit *const *)b;
    int order = strcmp(sort_date(right), sort_date(left));

    return order != 0 ? order : compare_ids(left->id, right->id);
}

static int compare_scores(gconstpointer a, gconstpointer b)
{
    const struct search_hit *left = *(struct search_hit *const *)a;
    const struct search_hit *right = *(struct search_hit *const *)b;

    return left->score != right->score ? (left->score < right->score ? 1 : -1)
                                       : compare_dates(a, b);
}

static void cut(GPtrArray *hits, int limit)
{
    if (hits->len > (guint)limit)
        g_ptr_array_set_size(hits, limit);
}

/* The best first; those up to the key of the page before are removed. */
static void sort_by_relevance(GPtrArray *hits, const struct search_key *key)
{
    guint before = 0;

    g_ptr_array_sort(hits, compare_scores);
    if (!key)
        return;
    while (before < hits->len) {
        struct search_hit last = {.score = key->score, .date = key->date, .id = key->id};
        const struct search_hit *page_end = &last;

        if (compare_scores(&hits->pdata[before], &page_end) > 0)
            break;
        before++;
    }
    if (before > 0)
        g_ptr_array_remove_range(hits, 0, before);
}

/* ------------------------------------------------------------------ steps */

/* A search while it runs. */
struct search {
    struct db *db;
    int64_t user_id;
    struct selection selection;
    int limit;
    GPtrArray *hits;
};

static void begin_statement(const struct search *search, struct statement *statement)
{
    struct db_value user = db_int(search->user_id);

    statement_init(statement, db_kind(search->db), search->user_id);
    g_array_append_val(statement->values, user); /* $1 */
}

static bool run_rows(struct search *search, struct statement *statement, db_row_fn *row, void *ctx,
                     struct error *err)
{
    const struct db_value *values = (const struct db_value *)statement->values->data;
    const char *sql = statement->sql->str;
    guint count = statement->values->len;
    bool done;

    if (db_in_transaction(search->db))
        done = db_queue(search->db, sql, values, count, row, ctx, err) &&
               db_collect(search->db, err);
    else
        done = db_exec(search->db, sql, values, count, row, ctx, err);
    statement_clear(statement);
    return done;
}

/* Appends the statement's rows to the hits. */
static bool run_statement(struct search *search, struct statement *statement, struct error *err)
{
    return run_rows(search, statement, take_hit, search->hits, err);
}

static bool run_head(struct search *search, int rows, struct error *err)
{
    struct statement statement;

    g_ptr_array_set_size(search->hits, 0);
    begin_statement(search, &statement);
    select_head(&statement, &search->selection, rows, search->limit);
    return run_statement(search, &statement, err);
}

/* *@ret_full: the newest rows filled the page. */
static bool run_heads(struct search *search, bool indexed, bool *ret_full, struct error *err)
{
    int longest = indexed ? MAX(LONG_HEAD_ROWS, LONG_HEAD_SHARE * search->limit)
                          : PLAIN_LONG_HEAD_ROWS;
    int64_t rows;

    if (!run_head(search, HEAD_ROWS, err))
        return false;
    *ret_full = search->hits->len >= (guint)search->limit;
    if (*ret_full || search->hits->len == 0)
        return true;
    rows = (int64_t)search->limit * HEAD_ROWS / search->hits->len * 3 / 2;
    if (rows > longest)
        return true;
    if (!run_head(search, (int)rows, err))
        return false;
    *ret_full = search->hits->len >= (guint)search->limit;
    return true;
}

struct range {
    char *newest, *oldest;
};

static bool take_range(void *ctx, const struct db_row *row, struct error *err)
{
    struct range *range = ctx;

    (void)err;
    range->newest = g_strdup(db_row_text(row, 0));
    range->oldest = g_strdup(db_row_text(row, 1));
    return true;
}

/* SQLite: one statement for each quarter; what waits is merged in. */
static bool run_quarters(struct search *search, struct error *err)
{
    struct range range = {0};
    struct statement statement;
    guint waiting;
    bool done;

    begin_statement(search, &statement);
    select_waiting(&statement, &search->selection, search->limit);
    if (!run_statement(search, &statement, err))
        return false;
    waiting = search->hits->len;
    begin_statement(search, &statement);
    select_range(&statement, &search->selection);
    done = run_rows(search, &statement, take_range, &range, err);
    for (int period = search_period(range.newest), oldest = search_period(range.oldest);
         done && range.newest && period >= oldest; period--) {
        int left = search->limit - (int)(search->hits->len - waiting);

        if (left <= 0)
            break;
        begin_statement(search, &statement);
        select_quarter(&statement, &search->selection, period, left);
        done = run_statement(search, &statement, err);
    }
    g_free(range.newest);
    g_free(range.oldest);
    if (waiting > 0)
        g_ptr_array_sort(search->hits, compare_dates);
    cut(search->hits, search->limit);
    return done;
}

/* The head walk, then the index or all. */
static bool run_dated(struct search *search, struct error *err)
{
    bool indexed = search_is_indexed(search->selection.query), full;
    struct statement statement;

    if (!run_heads(search, indexed, &full, err))
        return false;
    if (full)
        return true;
    g_ptr_array_set_size(search->hits, 0);
    if (indexed && db_kind(search->db) == DB_SQLITE)
        return run_quarters(search, err);
    begin_statement(search, &statement);
    if (indexed)
        select_indexed(&statement, &search->selection, search->limit);
    else
        select_walk(&statement, &search->selection, search->limit);
    return run_statement(search, &statement, err);
}

static bool run_by_date(struct search *search, struct error *err)
{
    const struct selection *selection = &search->selection;
    struct statement statement;
    int left;

    if (!(selection->key && selection->key->undated) && !run_dated(search, err))
        return false;
    left = search->limit - (int)search->hits->len;
    if (left <= 0 || search_has_period(selection->query))
        return true;
    begin_statement(search, &statement);
    select_undated(&statement, selection, left);
    return run_statement(search, &statement, err);
}

static bool run_by_relevance(struct search *search, struct error *err)
{
    const struct search_key *key = search->selection.key;
    int limit = search->limit;

    search->selection.scored = true;
    search->selection.key = NULL;
    search->limit = RELEVANCE_ROWS;
    if (!run_by_date(search, err))
        return false;
    sort_by_relevance(search->hits, key);
    cut(search->hits, limit);
    return true;
}

/* PostgreSQL compiles a statement to machine code where it believes it will take long. It believes so of
 * ours, which end when the page is full, and compiling takes longer than they do. For this transaction
 * only: the session may be a pool's. */
static bool begin_pgsql(struct db *db, struct error *err)
{
    return db_begin(db, err) && db_queue(db, "SET LOCAL jit = off", NULL, 0, NULL, NULL, err);
}

/* A search looks at thousands of pages here and there, and a system call for each takes longer than to
 * compare what is on it. An I/O error then kills the process by SIGBUS: one that searches can die. */
static bool map_sqlite(struct db *db, struct error *err)
{
    return db_exec(db, "PRAGMA mmap_size = 2147418112", NULL, 0, NULL, NULL, err);
}

/* All steps see the same rows. In SQLite a row that is put into the index between two steps would be found by
 * both, or by neither. Not db_begin: that waits for the writer's lock. */
static bool begin(struct db *db, struct error *err)
{
    if (db_kind(db) == DB_PGSQL)
        return begin_pgsql(db, err);
    return db_exec(db, "BEGIN", NULL, 0, NULL, NULL, err);
}

/* Nothing was written. */
static void end(struct db *db)
{
    struct error ignored;

    if (db_kind(db) == DB_PGSQL)
        db_rollback(db);
    else
        db_exec(db, "ROLLBACK", NULL, 0, NULL, NULL, &ignored);
}

static bool run(struct search *search, enum search_sort sort, struct error *err)
{
    struct db *db = search->db;
    bool own = !db_in_transaction(db);
    bool done;

    if ((db_kind(db) == DB_SQLITE && !map_sqlite(db, err)) || (own && !begin(db, err)))
        return false;
    done = sort == SEARCH_SORT_RELEVANCE ? run_by_relevance(search, err)
                                         : run_by_date(search, err);
    if (own)
        end(db);
    return done;
}

/* ------------------------------------------------------------------ the door */

bool search_run(struct db *db, int64_t user_id, const struct query *query,
                const struct search_options *options, struct search_page **ret_page,
                struct error *err)
{
    g_autoptr(GPtrArray) hits = g_ptr_array_new_with_free_func(search_hit_free);
    struct search search = {
        .db = db, .user_id = user_id, .selection = {.query = query}, .hits = hits};
    struct search_key key = {0};
    struct search_page *page;
    bool done;

    if (options->limit < 1 || options->limit > LIMIT_MAX) {
        error_set(err, ERROR_USAGE, "a page has 1 to %d messages, not %d", LIMIT_MAX,
                  options->limit);
        return false;
    }
    if (options->after) {
        if (!search_key_parse(options->after, db_kind(db), &key, err))
            return false;
        search.selection.key = &key;
    }
    search.limit = options->limit + 1; /* one more tells whether there is a next page */
    done = run(&search, options->sort, err);
    g_free(key.date);
    if (!done)
        return false;
    page = g_new0(struct search_page, 1);
    if (hits->len > (guint)options->limit) {
        g_ptr_array_set_size(hits, options->limit);
        page->next = search_key_format(hits->pdata[hits->len - 1]);
    }
    page->hits = g_steal_pointer(&hits);
    *ret_page = page;
    return true;
}
