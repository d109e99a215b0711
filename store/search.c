/*
 * A page of the rows that a query finds (its SQL: search_select.h).
 *
 * A page is found in up to three steps. First the newest rows of the user (or of the mailbox, or of the
 * days, that the query names) are compared one by one: a common word fills its page there, and no index
 * can be faster. Where no index by quarters is (SQLite), or none helps, how many were found there tells how
 * common the query is, and where LONG_HEAD_ROWS fill the page by that measure, they are compared next.
 * What is rarer the token index answers. So the cost does not depend on the database's guess how common
 * a word is.
 *
 * Rows that an application left without a date (or with one that is none: infinity, a word) come
 * behind all others, by a step of their own; a page's key says of them the first day of year 1.
 */
#include "store/search.h"

#include "store/db.h"
#include "store/search_key.h"
#include "store/search_query.h"
#include "store/search_select.h"
#include "store/search_statement.h"

#define HEAD_ROWS 2000
#define LONG_HEAD_ROWS 20000
/* PostgreSQL's index costs no more than its page, so that it is asked sooner. */
#define QUARTERS_HEAD_ROWS 500
#define LIMIT_MAX 10000
/* Relevance is weighed among this many of the newest matches. */
#define RELEVANCE_ROWS 1000
#define COMMON_ROWS 50

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

/* ------------------------------------------------------------------ steps */

/* A search while it runs. */
struct search {
    struct db *db;
    int64_t user_id;
    const struct query *query;
    const struct search_key *key; /* NULL: the first page */
    int limit;                    /* one more than asked for tells whether there is a next page */
    GPtrArray *hits;
};

static void begin_statement(const struct search *search, struct statement *statement)
{
    struct db_value user = db_int(search->user_id);

    statement_init(statement, db_kind(search->db), search->user_id);
    g_array_append_val(statement->values, user); /* $1 */
}

/* Appends the statement's rows to the hits. */
static bool run_statement(struct search *search, struct statement *statement, struct error *err)
{
    const struct db_value *values = (const struct db_value *)statement->values->data;
    bool done;

    if (db_in_transaction(search->db))
        done = db_queue(search->db, statement->sql->str, values, statement->values->len, take_hit,
                        search->hits, err) &&
               db_collect(search->db, err);
    else
        done = db_exec(search->db, statement->sql->str, values, statement->values->len, take_hit,
                       search->hits, err);
    statement_clear(statement);
    return done;
}

static bool run_head(struct search *search, const struct search_key *key, int rows, int limit,
                     struct error *err)
{
    struct statement statement;

    begin_statement(search, &statement);
    select_head(&statement, search->query, key, rows, limit);
    return run_statement(search, &statement, err);
}

/* True also when the page is not full yet. */
static bool run_heads(struct search *search, bool quarters, struct error *err)
{
    int rows = quarters ? QUARTERS_HEAD_ROWS : HEAD_ROWS;

    if (!run_head(search, search->key, rows, search->limit, err))
        return false;
    if (search->hits->len >= (guint)search->limit || search->hits->len == 0 || quarters)
        return true;
    rows = rows / (int)search->hits->len * search->limit * 3 / 2;
    if (rows > LONG_HEAD_ROWS)
        return true;
    g_ptr_array_set_size(search->hits, 0);
    return run_head(search, search->key, rows, search->limit, err);
}

/* The head walk, then all. */
static bool run_dated(struct search *search, struct error *err)
{
    bool quarters = db_kind(search->db) == DB_PGSQL && search_is_indexed(search->query);
    struct statement statement;

    if (!run_heads(search, quarters, err))
        return false;
    if (search->hits->len >= (guint)search->limit)
        return true;
    g_ptr_array_set_size(search->hits, 0);
    begin_statement(search, &statement);
    select_dated(&statement, search->query, search->key, search->limit);
    return run_statement(search, &statement, err);
}

static bool run_by_date(struct search *search, struct error *err)
{
    struct statement statement;
    int left;

    if (!(search->key && search->key->undated) && !run_dated(search, err))
        return false;
    left = search->limit - (int)search->hits->len;
    if (left <= 0 || search_has_period(search->query))
        return true;
    begin_statement(search, &statement);
    select_undated(&statement, search->query, search->key, left);
    return run_statement(search, &statement, err);
}

static bool run_by_relevance(struct search *search, struct error *err)
{
    struct statement statement;
    bool common;

    /* as by date: where the newest rows fill a page, the word is common and the walk is quicker */
    if (!run_head(search, NULL, HEAD_ROWS, COMMON_ROWS, err))
        return false;
    common = search->hits->len == COMMON_ROWS;
    g_ptr_array_set_size(search->hits, 0);
    begin_statement(search, &statement);
    select_relevant(&statement, search->query, !common, search->key, RELEVANCE_ROWS, search->limit);
    return run_statement(search, &statement, err);
}

/* PostgreSQL compiles a statement to machine code where it believes it will take long. It believes so of
 * ours, which end when the page is full, and compiling takes longer than they do. For this transaction
 * only: the session may be a pool's. */
static bool begin(struct db *db, struct error *err)
{
    return db_begin(db, err) && db_queue(db, "SET LOCAL jit = off", NULL, 0, NULL, NULL, err);
}

static bool run(struct search *search, enum search_sort sort, struct error *err)
{
    bool own = db_kind(search->db) == DB_PGSQL && !db_in_transaction(search->db);
    bool done = (!own || begin(search->db, err)) &&
                (sort == SEARCH_SORT_RELEVANCE ? run_by_relevance(search, err)
                                               : run_by_date(search, err));

    if (own)
        db_rollback(search->db); /* nothing was written */
    return done;
}

/* ------------------------------------------------------------------ the door */

bool search_run(struct db *db, int64_t user_id, const struct query *query,
                const struct search_options *options, struct search_page **ret_page,
                struct error *err)
{
    g_autoptr(GPtrArray) hits = g_ptr_array_new_with_free_func(search_hit_free);
    struct search search = {.db = db, .user_id = user_id, .query = query, .hits = hits};
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
        search.key = &key;
    }
    search.limit = options->limit + 1;
    done = run(&search, options->sort, err);
    g_free(key.date);
    if (!done)
        return false;
    page = g_new0(struct search_page, 1);
    if (hits->len == (guint)search.limit) {
        g_ptr_array_set_size(hits, options->limit);
        page->next = search_key_format(hits->pdata[hits->len - 1]);
    }
    page->hits = g_steal_pointer(&hits);
    *ret_page = page;
    return true;
}
