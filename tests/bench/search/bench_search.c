/*
 * Numbers for docs/search.md: makes a mailbox of mixed languages, seeded, and times searches in it.
 *
 *   bench_search URI generate ROWS           a site's rows
 *   bench_search URI rows ROWS               the same rows on standard output, for COPY
 *   bench_search URI fill                    moves what waits into the index, tells rows per second
 *   bench_search URI query USER_ID [ROUNDS]  p50, p99 and the worst of each kind of query
 *   bench_search URI insert USER_ID ROWS     one delivery's INSERT after the other, µs each
 *
 * run.sh beside it makes the databases and calls it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <glib.h>

#include "store/db.h"
#include "store/rows.h"
#include "store/search.h"
#include "store/search_query.h"
#include "store/search_text.h"
#include "store/store.h"

#include "words.h"

#define WORDS 4000           /* of each language */
#define PEOPLE 200
#define EPOCH 1700000000
#define TWO_YEARS 63072000.0 /* seconds */
#define OTHER_USERS_MAX 200
#define BATCH 500

enum language { KOREAN, ENGLISH, JAPANESE, CHINESE, GERMAN, LANGUAGES };

static const struct {
    const char *words, *surnames, *given;
} sources[LANGUAGES] = {
    [KOREAN] = { korean_words, korean_surnames, korean_given },
    [ENGLISH] = { english_words, english_surnames, english_given },
    [JAPANESE] = { japanese_words, japanese_surnames, japanese_given },
    [CHINESE] = { chinese_words, chinese_surnames, chinese_given },
    [GERMAN] = { german_words, german_surnames, german_given },
};

static char *words[LANGUAGES][WORDS];
static char *names[LANGUAGES][PEOPLE];

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_search: %s: %s\n", what, why);
    exit(1);
}

/* ------------------------------------------------------------------ words */

static const char *any(char *const *parts, GRand *rand)
{
    return parts[g_rand_int_range(rand, 0, (gint32)g_strv_length((char **)parts))];
}

/* What is rarer than the words of the list, as a language makes it: a compound, a word with a particle,
 * an ending, a number of an order. */
static char *make_rare_word(enum language language, char *const *list, GRand *rand)
{
    static const char *const particles[] = { "은", "는", "이", "가", "을", "를", "에", "의", "로",
                                             "에서", "부터", "까지", "입니다", "드립니다", "하기", NULL };
    static const char *const kana[] = { "の", "を", "に", "が", "は", "する", "について", NULL };
    static const char *const endings[] = { "s", "ed", "ing", "er", "ly", "ment", NULL };
    const char *first = any(list, rand);

    if (g_rand_int_range(rand, 0, 6) == 0)
        return g_strdup_printf("%s%d", language == ENGLISH ? "#" : first,
                               g_rand_int_range(rand, 100, 999999));
    switch (language) {
    case KOREAN:
        return g_strconcat(first, g_rand_boolean(rand) ? any(list, rand) : "",
                           any((char *const *)particles, rand), NULL);
    case JAPANESE:
        return g_strconcat(first, any((char *const *)kana, rand),
                           g_rand_boolean(rand) ? any(list, rand) : "", NULL);
    case ENGLISH:
        return g_rand_boolean(rand) ? g_strconcat(first, "-", any(list, rand), NULL)
                                    : g_strconcat(first, any((char *const *)endings, rand), NULL);
    case GERMAN: {
        g_autofree char *second = g_utf8_strdown(any(list, rand), -1);

        return g_strconcat(first, g_rand_boolean(rand) ? "s" : "", second, NULL);
    }
    default: return g_strconcat(first, any(list, rand), NULL);
    }
}

static void make_words(void)
{
    GRand *rand = g_rand_new_with_seed(20240315);

    for (int language = 0; language < LANGUAGES; language++) {
        g_auto(GStrv) list = g_strsplit(sources[language].words, " ", -1);
        g_auto(GStrv) surnames = g_strsplit(sources[language].surnames, " ", -1);
        g_auto(GStrv) given = g_strsplit(sources[language].given, " ", -1);
        int listed = (int)g_strv_length(list);
        bool western = language == ENGLISH || language == GERMAN;

        for (int i = 0; i < WORDS; i++)
            words[language][i] = i < listed ? g_strdup(list[i])
                                            : make_rare_word((enum language)language, list, rand);
        for (int i = 0; i < PEOPLE; i++) {
            const char *surname = any(surnames, rand), *first = any(given, rand);

            names[language][i] = western ? g_strdup_printf("%s %s", first, surname)
                                         : g_strconcat(surname, first, NULL);
        }
    }
    g_rand_free(rand);
}

/* Zipf, roughly: half of what is written is the first sixteenth of the words. */
static int rank(GRand *rand, int count)
{
    double u = g_rand_double(rand);

    return (int)(u * u * u * u * (double)count);
}

/* ------------------------------------------------------------------ rows */

struct made {
    char *subject, *sender, *recipient, *mailbox, *file, *message_id, *document;
    const char *flags;
    struct header_row row;
    struct row_place place;
};

static void made_clear(struct made *made)
{
    g_free(made->subject);
    g_free(made->sender);
    g_free(made->recipient);
    g_free(made->mailbox);
    g_free(made->file);
    g_free(made->message_id);
    g_free(made->document);
}

static char *make_subject(GRand *rand, enum language language)
{
    GString *subject = g_string_new(g_rand_int_range(rand, 0, 3) == 0 ? "Re: " : "");
    int count = g_rand_int_range(rand, 2, 8);

    for (int i = 0; i < count; i++)
        g_string_append_printf(subject, "%s%s", i ? " " : "", words[language][rank(rand, WORDS)]);
    return g_string_free(subject, FALSE);
}

static void make(struct made *made, GRand *rand, int64_t user_id, int64_t number, int64_t date)
{
    static const char *const mailboxes[] = { "INBOX", "INBOX", "INBOX", "Sent", "Archive.2023",
                                             "중요", "Lists" };
    enum language language = (enum language)(g_rand_int_range(rand, 0, 10) < 5
                                                 ? KOREAN
                                                 : g_rand_int_range(rand, 1, LANGUAGES));
    int person = rank(rand, PEOPLE);
    int size = 2000 + rank(rand, 60000);

    memset(made, 0, sizeof *made);
    if (g_rand_int_range(rand, 0, 200) == 0)
        size += 1048576 * g_rand_int_range(rand, 1, 20);
    made->subject = make_subject(rand, language);
    made->sender = g_strdup_printf("%s <p%d@corp%d.example>", names[language][person], person,
                                   person % 17);
    made->recipient = g_strdup_printf("user%" PRId64 "@mail.example", user_id);
    made->message_id = g_strdup_printf("%" PRId64 ".%" PRId64 "@mail.example", user_id, number);
    made->file = g_strdup_printf("%" PRId64 ".M%" PRId64 "P1.host,S=%d", date, number, size);
    made->mailbox = g_strdup(mailboxes[g_rand_int_range(rand, 0, G_N_ELEMENTS(mailboxes))]);
    made->flags = g_rand_int_range(rand, 0, 300) == 0 ? "\\Flagged" : "";
    made->document = search_document_new(made->subject, made->sender, made->recipient, NULL,
                                         g_rand_int_range(rand, 0, 20) ? NULL : "dev.lists.example");
    made->row = (struct header_row){ .subject = made->subject, .sender = made->sender,
                                     .recipient = made->recipient, .date = date,
                                     .message_id = made->message_id,
                                     .has_attachment = g_rand_int_range(rand, 0, 5) == 0,
                                     .search_document = made->document };
    made->place = (struct row_place){ .user_id = user_id, .mailbox = made->mailbox,
                                      .file = made->file, .size = size,
                                      .is_read = g_rand_int_range(rand, 0, 20) != 0,
                                      .flags = made->flags, .received_at = made->row.date };
}

/* A site: one user of 1,000 messages, one of 100,000, one of up to a million, the rest users of 100,000 at most;
 * number 4 is for INSERTs (inserts). Each row belongs to a user drawn by what he still lacks, so that the
 * rows of all lie as mixed in the tables as mail arrives, over two years. */
struct site {
    int64_t missing[OTHER_USERS_MAX + 5]; /* by user id */
    int64_t users, rows;
};

static void site_init(struct site *site, int64_t rows)
{
    int64_t left = rows;

    memset(site, 0, sizeof *site);
    site->rows = rows;
    for (int64_t user = 1; left > 0; user++) {
        int64_t wanted = user == 1 ? 1000 : user == 3 ? 1000000 : user == 4 ? 0 : 100000;

        if (user == G_N_ELEMENTS(site->missing))
            die("generate", "too many rows");
        site->missing[user] = MIN(wanted, left);
        left -= site->missing[user];
        site->users = user;
    }
}

static int64_t site_draw(struct site *site, GRand *rand, int64_t left)
{
    int64_t place = (int64_t)(g_rand_double(rand) * (double)left), user = 1;

    while (place >= site->missing[user])
        place -= site->missing[user++];
    site->missing[user]--;
    return user;
}

static void add_users(struct db *db, int64_t users)
{
    struct error err = { 0 };

    for (int64_t user = 1; user <= MAX(users, 4); user++) {
        g_autofree char *email = g_strdup_printf("user%" PRId64 "@mail.example", user);
        struct db_value values[] = { db_int(user), db_text(email) };

        if (!db_exec(db, "INSERT INTO virtual_users (id, email) VALUES ($1, $2)", values, 2, NULL, NULL,
                     &err))
            die("user", err.text);
    }
}

static void generate(struct db *db, int64_t rows)
{
    GRand *rand = g_rand_new_with_seed(4);
    struct error err = { 0 };
    int64_t start = g_get_monotonic_time();
    struct site site;

    site_init(&site, rows);
    add_users(db, site.users);
    for (int64_t i = 0; i < rows; i++) {
        bool last = i == rows - 1;
        struct made made;

        if (i % BATCH == 0 && !db_begin(db, &err))
            die("begin", err.text);
        make(&made, rand, site_draw(&site, rand, rows - i), i,
             EPOCH + (int64_t)((double)i * TWO_YEARS / (double)rows));
        if (!rows_queue_insert(db, &made.place, &made.row, &err))
            die("insert", err.text);
        made_clear(&made);
        if ((i % BATCH == BATCH - 1 || last) && db_commit(db, &err) != DB_DURABLE)
            die("commit", err.text);
        if (i % 100000 == 99999)
            fprintf(stderr, "%" PRId64 " rows\n", i + 1);
    }
    printf("generated %" PRId64 " rows, %.0f rows/s\n", rows,
           (double)rows * 1e6 / (double)(g_get_monotonic_time() - start));
    g_rand_free(rand);
}

/* The columns of print_row, run.sh's COPY names them:
 * id, user_id, subject, sender, recipient, date, is_read, file_is_read, mailbox, message_id, file, size,
 * flags, has_attachment, received_at, search_document. */
static void print_row(int64_t id, const struct made *made)
{
    const struct header_row *row = &made->row;
    const struct row_place *place = &made->place;
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(row->date);
    g_autofree char *date = g_date_time_format(time, "%F %T");

    /* nothing generated holds a tab, a line end or a backslash but the flag's */
    printf("%" PRId64 "\t%" PRId64 "\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t%" PRId64
           "\t%s%s\t%d\t%s\t%s\n",
           id, place->user_id, row->subject, row->sender, row->recipient, date, place->is_read,
           place->is_read, place->mailbox, row->message_id, place->file, (int64_t)place->size,
           *place->flags ? "\\" : "", place->flags, row->has_attachment, date, row->search_document);
}

/* As generate, for COPY: a site of ten million rows in minutes. */
static void print_rows(int64_t rows)
{
    GRand *rand = g_rand_new_with_seed(4);
    struct site site;

    site_init(&site, rows);
    for (int64_t i = 0; i < rows; i++) {
        struct made made;

        make(&made, rand, site_draw(&site, rand, rows - i), i,
             EPOCH + (int64_t)((double)i * TWO_YEARS / (double)rows));
        print_row(i + 1, &made);
        made_clear(&made);
    }
    g_rand_free(rand);
}

static void fill(struct db *db)
{
    struct error err = { 0 };
    int64_t filled, start = g_get_monotonic_time();

    if (!search_fill(db, 0, &filled, &err))
        die("fill", err.text);
    printf("filled %" PRId64 " rows, %.0f rows/s\n", filled,
           (double)filled * 1e6 / (double)(g_get_monotonic_time() - start));
}

/* ------------------------------------------------------------------ times */

/* Microseconds of processor time that the server has spent for us: PostgreSQL on this machine, one
 * process a connection. 0: SQLite. */
static double server_time(struct db *db)
{
    static int64_t pid;
    g_autofree char *path = NULL, *text = NULL;
    struct error err = { 0 };
    bool found;

    if (db_kind(db) != DB_PGSQL)
        return 0;
    if (pid == 0 && !db_query_int(db, "SELECT pg_backend_pid()", NULL, 0, &found, &pid, &err))
        die("pid", err.text);
    path = g_strdup_printf("/proc/%" PRId64 "/schedstat", pid);
    return g_file_get_contents(path, &text, NULL, NULL) ? g_ascii_strtod(text, NULL) / 1000 : 0;
}

/* Microseconds. With BENCH_CPU=1 in the environment the processor time of this process and of its
 * connection's server process, which other load on the machine does not change. */
static gint64 now(struct db *db)
{
    bool cpu = g_getenv("BENCH_CPU") != NULL;
    struct timespec time;

    clock_gettime(cpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
    return (gint64)time.tv_sec * 1000000 + time.tv_nsec / 1000 +
           (cpu ? (gint64)server_time(db) : 0);
}

static int compare_times(gconstpointer a, gconstpointer b)
{
    gint64 left = *(const gint64 *)a, right = *(const gint64 *)b;

    return (left > right) - (left < right);
}

static void print_times(const char *what, GArray *times, guint found)
{
    g_array_sort(times, compare_times);
    printf("%-34s p50 %7.2f ms  p99 %7.2f ms  max %7.2f ms  (%u rows, %u runs)\n", what,
           (double)g_array_index(times, gint64, times->len / 2) / 1000,
           (double)g_array_index(times, gint64, times->len * 99 / 100) / 1000,
           (double)g_array_index(times, gint64, times->len - 1) / 1000, found, times->len);
}

/* One kind of query: what stands for %s is drawn anew for each run. */
static const struct {
    const char *name, *text;
    enum language language;
    int first, last;          /* ranks of the words */
} kinds[] = {
    { "everything", "", KOREAN, 0, 1 },
    { "Korean word, common", "%s", KOREAN, 0, 20 },
    { "Korean word, middle", "%s", KOREAN, 200, 600 },
    { "Korean word, rare", "%s", KOREAN, 3000, 4000 },
    { "Korean one letter", "%c", KOREAN, 0, 4000 },
    { "Korean two letters", "%d", KOREAN, 0, 4000 },
    { "Japanese word", "%s", JAPANESE, 0, 4000 },
    { "Chinese word", "%s", CHINESE, 0, 4000 },
    { "English word, common", "%s", ENGLISH, 0, 20 },
    { "English word, rare", "%s", ENGLISH, 2000, 4000 },
    { "English two letters", "\"%d\"", ENGLISH, 0, 4000 },
    { "German word", "%s", GERMAN, 0, 4000 },
    { "two words", "%s %s", KOREAN, 0, 400 },
    { "phrase", "\"%s %s\"", KOREAN, 0, 50 },
    { "subject:", "subject:%s", KOREAN, 0, 4000 },
    { "from: address", "from:p150@corp", KOREAN, 0, 1 },
    { "or", "%s or %s", CHINESE, 0, 4000 },
    { "word -word", "%s -%s", KOREAN, 0, 400 },
    { "word in:", "%s in:Archive.2023", KOREAN, 0, 4000 },
    { "word is:unread", "%s is:unread", KOREAN, 0, 4000 },
    { "is:unread", "is:unread", KOREAN, 0, 1 },
    { "is:flagged", "is:flagged", KOREAN, 0, 1 },
    { "larger:15M", "larger:15M", KOREAN, 0, 1 },
    { "has:attachment", "has:attachment", KOREAN, 0, 1 },
    { "word before:", "%s before:2023-12-01", KOREAN, 0, 4000 },
    { "nothing found", "zzqx%s", KOREAN, 0, 4000 },
};

/* The template with words; %c one letter, %d two letters of a word. */
static char *make_query(size_t kind, GRand *rand)
{
    GString *text = g_string_new(NULL);

    for (const char *p = kinds[kind].text; *p; p++) {
        const char *word = words[kinds[kind].language][g_rand_int_range(
            rand, kinds[kind].first, kinds[kind].last)];
        glong letters;

        if (*p != '%') {
            g_string_append_c(text, *p);
            continue;
        }
        p++;
        letters = *p == 'c' ? 1 : *p == 'd' ? 2 : g_utf8_strlen(word, -1);
        g_string_append_len(text, word, g_utf8_offset_to_pointer(word, letters) - word);
    }
    return g_string_free(text, FALSE);
}

static void query_once(struct db *db, int64_t user_id, const char *text, enum search_sort sort,
                       GArray *times, GArray *all, guint *found)
{
    struct search_options options = { .sort = sort, .limit = 50 };
    struct error err = { 0 };
    struct query *query;
    struct search_page *page = NULL;
    gint64 start = now(db), time;

    if (!query_parse(text, strlen(text), EPOCH, 0, &query, &err) ||
        !search_run(db, user_id, query, &options, &page, &err))
        die(text, err.text);
    time = now(db) - start;
    *found += page->hits->len;
    g_array_append_val(times, time);
    g_array_append_val(all, time);
    search_page_free(page);
    query_free(query);
}

/* @count kinds from @first on, sorted in one way, and all of them together. */
static void kinds_by(struct db *db, int64_t user_id, int rounds, size_t first, size_t count,
                     enum search_sort sort, const char *together)
{
    const char *only = g_getenv("BENCH_KIND"); /* the kinds whose name holds it */
    GArray *all = g_array_new(FALSE, FALSE, sizeof(gint64));
    GRand *rand = g_rand_new_with_seed(99);

    for (size_t kind = first; kind < first + count; kind++) {
        GArray *times = g_array_new(FALSE, FALSE, sizeof(gint64));
        guint found = 0;

        for (int i = 0; i < rounds; i++) {
            g_autofree char *text = make_query(kind, rand);

            if (!only || strstr(kinds[kind].name, only))
                query_once(db, user_id, text, sort, times, all, &found);
        }
        if (times->len > 0)
            print_times(kinds[kind].name, times, found / (guint)rounds);
        g_array_unref(times);
    }
    if (all->len > 0)
        print_times(together, all, 0);
    g_array_unref(all);
    g_rand_free(rand);
}

static void queries(struct db *db, int64_t user_id, int rounds)
{
    kinds_by(db, user_id, rounds, 0, G_N_ELEMENTS(kinds), SEARCH_SORT_DATE, "ALL");
    printf("by relevance:\n");
    kinds_by(db, user_id, rounds, 1, 16, SEARCH_SORT_RELEVANCE, "ALL, by relevance");
}

/* ------------------------------------------------------------------ what a delivery pays */

/* @batch rows a transaction. */
static void inserts(struct db *db, int64_t user_id, int64_t rows, int64_t batch)
{
    GRand *rand = g_rand_new_with_seed(4711);
    GArray *times = g_array_new(FALSE, FALSE, sizeof(gint64));
    struct error err = { 0 };
    gint64 total = 0;
    double server = server_time(db);

    for (int64_t i = 0; i < rows; i++) {
        struct made made;
        gint64 start, time;

        make(&made, rand, user_id, 100000000 + i + g_get_real_time() % 1000000 * 1000,
             EPOCH + (int64_t)TWO_YEARS + i);
        start = g_get_monotonic_time();
        if ((i % batch == 0 && !db_begin(db, &err)) ||
            !rows_queue_insert(db, &made.place, &made.row, &err) ||
            ((i % batch == batch - 1 || i == rows - 1) && db_commit(db, &err) != DB_DURABLE))
            die("insert", err.text);
        time = g_get_monotonic_time() - start;
        total += time;
        g_array_append_val(times, time);
        made_clear(&made);
    }
    print_times("INSERT + COMMIT", times, 0);
    server = server_time(db) - server;
    printf("mean %.1f µs by the clock, %.1f µs of the server's processor\n",
           (double)total / (double)rows, server / (double)rows);
    g_array_unref(times);
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    struct error err = { 0 };
    struct db *db;
    int64_t first = argc > 3 ? g_ascii_strtoll(argv[3], NULL, 10) : 0;
    int64_t count = argc > 4 ? g_ascii_strtoll(argv[4], NULL, 10) : 0;

    if (argc < 3)
        die("usage", "URI generate ROWS | fill | query USER [ROUNDS] | insert USER ROWS [BATCH]");
    make_words();
    if (strcmp(argv[2], "rows") == 0) {
        print_rows(first);
        return 0;
    }
    if (!db_open(argv[1], &(struct db_options){ .timeout_s = 3600 }, &db, &err))
        die(argv[1], err.text);
    if (strcmp(argv[2], "generate") == 0)
        generate(db, first);
    else if (strcmp(argv[2], "fill") == 0)
        fill(db);
    else if (strcmp(argv[2], "query") == 0)
        queries(db, first, count > 0 ? (int)count : 200);
    else if (strcmp(argv[2], "insert") == 0)
        inserts(db, first, count, argc > 5 ? MAX(g_ascii_strtoll(argv[5], NULL, 10), 1) : 1);
    else
        die(argv[2], "what?");
    db_close(db);
    return 0;
}
