/*
 * Scripts that want to do harm, through a whole delivery: the mail is in INBOX, once, with its row; the
 * log and the script's own log say why; memory stays bounded. Each runs in a process of its own.
 */
#include "lda/deliver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <cmocka.h>

#include "lda/account.h"
#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/config.h"
#include "lda/site.h"
#include "store/db.h"
#include "store/store.h"

#define ALICE "alice@example.com"
#define SCRIPT ".dovecot.sieve"
#define LOG_MAX (16 * 1024) /* one delivery's lines, and sieve_log_max_size */
#define NOTES "notes" /* where the child leaves what a log would have had */

/* What ASan keeps of freed memory (its quarantine) counts too. */
#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_MAX_KB (900 * 1024)
#else
#define MEMORY_MAX_KB (320 * 1024)
#endif

struct fixture {
    char *dir, *home;
};

static char *at(const struct fixture *f, const char *name)
{
    return g_build_filename(f->home, name, NULL);
}

static void put(const struct fixture *f, const char *name, const char *text, size_t length)
{
    g_autofree char *path = at(f, name);
    g_autofree char *parent = g_path_get_dirname(path);

    g_mkdir_with_parents(parent, 0700);
    assert_true(g_file_set_contents(path, text, (gssize)length, NULL));
}

static char *get(const struct fixture *f, const char *name)
{
    g_autofree char *path = at(f, name);
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
}

static struct config *new_config(const struct fixture *f)
{
    struct config *config = config_new();
    g_autofree char *sendmail = g_build_filename(f->dir, "sendmail", NULL);
    const struct {
        const char *key, *value;
    } rows[] = {
        {"vmail_root", f->dir},
        {"hostname", "mx.example.com"},
        {"sendmail_path", sendmail},
        {"sieve_max_cpu_ms", "30000"}, /* a slow machine under ASan: the other bounds come first */
        {"sieve_extensions", "+editheader"},
    };
    struct error err;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (!config_set(config, rows[i].key, rows[i].value, &err))
            fail_msg("%s", err.text);
    return config;
}

static int setup(void **state)
{
    struct fixture *f = g_new0(struct fixture, 1);
    struct db_options options = {.create = true};
    struct account account = {.address = ALICE};
    struct error err;
    struct db *db;
    int64_t id;

    f->dir = g_dir_make_tmp("vmail-scripts-XXXXXX", NULL);
    f->home = g_build_filename(f->dir, "example.com/alice", NULL);
    g_autofree char *uri = g_strdup_printf("sqlite:%s/vmail.db", f->dir);
    if (!db_open(uri, &options, &db, &err) ||
        !store_migrate(db, TEST_SOURCE_DIR "/schema", NULL, NULL, &err) ||
        !account_add(db, &account, &id, &err))
        fail_msg("%s", err.text);
    db_close(db);
    g_autofree char *sendmail = g_build_filename(f->dir, "sendmail", NULL);
    g_autofree char *text = g_strdup_printf("#!/bin/sh\ncat >'%s/sent'\n", f->dir);
    assert_true(g_file_set_contents(sendmail, text, -1, NULL));
    assert_int_equal(chmod(sendmail, 0700), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->dir);

    g_free(f->home);
    g_free(f->dir);
    g_free(f);
    return g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL) ? 0 : 1;
}

/* ------------------------------------------------------------------ one delivery, in a child */

static bool deliver_message(const struct fixture *f, const char *engine, const char *message,
                            struct error *err)
{
    struct config *config = new_config(f);
    struct deliver_options options = {.mailbox = NULL};
    struct envelope envelope = {.user = g_strdup(ALICE),
                                .sender = g_strdup("bob@remote.example")};
    struct deliver_result result;
    g_autoptr(GString) notes = g_string_new(NULL);
    AUTO_FD fd = memfd_create("message", MFD_CLOEXEC);

    if (!config_set(config, "sieve_engine", engine, err) ||
        /* what loops there does so for ever */
        (strcmp(engine, "native") != 0 && !config_set(config, "sieve_max_cpu_ms", "400", err)) ||
        !io_write(fd, message, strlen(message), "memory", err) || lseek(fd, 0, SEEK_SET) != 0 ||
        !envelope_normalise(&envelope, err))
        return false;
    struct site *site = site_new(config);
    bool good = deliver(site, &envelope, fd, &options, &result, err);
    for (guint i = 0; i < result.notes->len; i++)
        g_string_append_printf(notes, "%s\n", (const char *)result.notes->pdata[i]);
    put(f, NOTES, notes->str, notes->len);
    deliver_result_clear(&result);
    envelope_clear(&envelope);
    site_free(site);
    config_free(config);
    return good;
}

struct run {
    int status;     /* as of wait */
    long memory_kb; /* at its peak */
    long cpu_ms;
};

static struct run run_delivery(const struct fixture *f, const char *engine, const char *message)
{
    struct run run;
    struct rusage usage;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct error err;

        error_clear(&err);
        if (deliver_message(f, engine, message, &err))
            _exit(0);
        fprintf(stderr, "%s\n", err.text);
        _exit(1);
    }
    assert_int_equal(wait4(pid, &run.status, 0, &usage), pid);
    run.memory_kb = usage.ru_maxrss;
    run.cpu_ms = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
                 (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
    return run;
}

static int64_t rows_in_inbox(const struct fixture *f)
{
    g_autofree char *uri = g_strdup_printf("sqlite:%s/vmail.db", f->dir);
    struct db_options options = {.create = false};
    int64_t count = -1;
    struct error err;
    struct db *db;
    bool found;

    if (!db_open(uri, &options, &db, &err) ||
        !db_query_int(db, "SELECT COUNT(*) FROM email_headers WHERE mailbox = 'INBOX'", NULL, 0,
                      &found, &count, &err))
        fail_msg("%s", err.text);
    db_close(db);
    return count;
}

static int files_in_inbox(const struct fixture *f)
{
    static const char *const subs[] = {"new", "cur"};
    int count = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(subs); i++) {
        g_autofree char *path = at(f, subs[i]);
        GDir *dir = g_dir_open(path, 0, NULL);

        while (dir != NULL && g_dir_read_name(dir) != NULL)
            count++;
        if (dir != NULL)
            g_dir_close(dir);
    }
    return count;
}

/* ------------------------------------------------------------------ the scripts */

static GString *repeat(const char *text, size_t count)
{
    GString *out = g_string_new(NULL);

    while (count-- > 0)
        g_string_append(out, text);
    return out;
}

static GString *wrap(const char *head, const char *text, size_t count, const char *tail)
{
    GString *out = repeat(text, count);

    g_string_prepend(out, head);
    g_string_append(out, tail);
    return out;
}

static GString *numbered(const char *head, const char *format_head, const char *format_tail,
                         size_t count)
{
    GString *out = g_string_new(head);

    for (size_t i = 0; i < count; i++)
        g_string_append_printf(out, "%s%zu%s", format_head, i, format_tail);
    return out;
}

static GString *ten_megabytes(void) { return repeat("# a comment, nothing but comments\n", 310000); }
static GString *twenty_megabytes(void) { return repeat("keep; keep; keep; keep;\n", 875000); }
static GString *nested_blocks(void) { return wrap("", "if true {", 100000, ""); }
static GString *closed_blocks(void)
{
    GString *out = wrap("", "if true {\n", 40000, "keep;");
    g_autoptr(GString) closing = repeat("}", 40000);

    g_string_append(out, closing->str);
    return out;
}
static GString *nested_nots(void) { return wrap("if ", "not ", 100000, "true { discard; }"); }
static GString *nested_anyofs(void) { return wrap("if ", "anyof (true,", 80000, ""); }
static GString *brackets(void) { return wrap("redirect ", "[", 100000, ";"); }
static GString *comment_without_end(void) { return wrap("/*", "x", 900000, ""); }
static GString *text_without_end(void)
{
    return wrap("require \"vacation\"; vacation text:\n", "x\n", 300000, "");
}
static GString *long_string(void) { return wrap("redirect \"", "x", 1000000, "\";"); }
static GString *long_list(void)
{
    return wrap("if header :is \"subject\" [", "\"x\",", 20000, "\"y\"] { discard; }");
}
static GString *many_commands(void) { return repeat("keep;", 200000); }
static GString *many_errors(void) { return repeat("nonsense;\n", 90000); }
static GString *nul_bytes(void)
{
    GString *out = g_string_new("if true { discard; }");

    g_string_append_len(out, "\0\0\0", 3);
    return out;
}
static GString *broken_utf8(void) { return g_string_new("redirect \"\xff\xfe\xc0\x80@x\"; discard;"); }

static GString *matches_bomb(void)
{
    return wrap("if header :matches \"x-long\" \"", "*a", 2000, "b\" { discard; }");
}
static GString *matches_again(void)
{
    g_autoptr(GString) one = matches_bomb();

    return repeat(one->str, 200);
}
static GString *contains_again(void)
{
    return repeat("if header :contains \"x-long\" \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\" { discard; }\n",
                  1000);
}
static GString *regex_backtracks(void)
{
    return g_string_new("require \"regex\"; if header :regex \"x-long\" \"^(a+)+$\" { discard; }");
}
static GString *regex_again(void)
{
    return wrap("require \"regex\";\n",
                "if header :regex \"x-long\" \"^(a|aa)+$\" { discard; }\n", 4000, "");
}
static GString *regex_compiles_large(void)
{
    return g_string_new("require \"regex\"; if header :regex \"subject\" "
                        "\"((((a{1,1000}){1,1000}){1,1000}){1,1000})\" { discard; }");
}
static GString *regex_nests(void)
{
    GString *out = wrap("require \"regex\"; if header :regex \"subject\" \"", "(", 50000, "a");
    g_autoptr(GString) closing = repeat(")", 50000);

    g_string_append(out, closing->str);
    g_string_append(out, "\" { discard; }");
    return out;
}
static GString *regex_from_variable(void)
{
    return wrap("require [\"regex\", \"variables\"]; set \"a\" \"(a*)*\";\n",
                "set \"a\" \"(${a})*\";\n", 500,
                "if header :regex \"x-long\" \"${a}b\" { discard; }");
}
static GString *doubling(void)
{
    return wrap("require \"variables\"; set \"a\" \"0123456789abcdef\";\n",
                "set \"a\" \"${a}${a}\";\n", 40000, "");
}
static GString *quoted_and_upper(void)
{
    return wrap("require \"variables\"; set \"a\" \"***************\";\n",
                "set :quotewildcard :upper \"a\" \"${a}${a}\";\n", 20000, "");
}
static GString *too_many_variables(void)
{
    return numbered("require \"variables\";\n", "set \"v", "\" \"x\";\n", 5000);
}
static GString *headers_grow(void)
{
    g_autoptr(GString) value = repeat("x", 1500);
    g_autofree char *line = g_strdup_printf("addheader \"X-Grow\" \"%s\";\n", value->str);

    return wrap("require \"editheader\";\n", line, 600, "");
}
static GString *includes_itself(void)
{
    return g_string_new("require \"include\"; include :personal \"a\"; discard;");
}
static GString *includes_a_chain(void)
{
    return g_string_new("require \"include\"; include :personal \"c0\"; discard;");
}
static GString *includes_a_fan(void)
{
    return g_string_new("require \"include\"; include :personal \"f0\"; discard;");
}
static GString *too_many_actions(void)
{
    return numbered("require \"fileinto\";\n", "fileinto \"F", "\";\n", 1000);
}
static GString *too_many_redirects(void)
{
    return numbered("", "redirect \"a", "@remote.example\";\n", 100);
}
static GString *enclosing(void)
{
    return wrap("require \"enclose\";\n", "enclose \"again and again\";\n", 150, "");
}
static GString *bodies(void)
{
    return wrap("require \"body\";\n", "if body :text :matches \"*z*z*z*z\" { discard; }\n", 20000,
                "");
}
static GString *parts(void)
{
    return g_string_new("require [\"foreverypart\", \"mime\", \"variables\", \"extracttext\"];\n"
                        "foreverypart { foreverypart { foreverypart { foreverypart {"
                        " extracttext \"t\"; } } } }\n");
}

struct row {
    const char *name;
    GString *(*script)(void);
    const char *want; /* in the log; NULL: the script just comes to its end */
};

static const struct row rows[] = {
    {"ten megabytes of comments", ten_megabytes, "script"},
    {"twenty megabytes", twenty_megabytes, "bytes"},
    {"100,000 blocks inside each other", nested_blocks, "nest"},
    {"40,000 blocks, closed", closed_blocks, "nest"},
    {"100,000 times not", nested_nots, "nest"},
    {"80,000 anyof inside each other", nested_anyofs, "nest"},
    {"100,000 brackets", brackets, "error"},
    {"a comment without an end", comment_without_end, "error"},
    {"a text without an end", text_without_end, "error"},
    {"a string of a megabyte", long_string, "error"},
    {"a list of 20,000", long_list, "error"},
    {"200,000 commands", many_commands, "error"},
    {"90,000 errors", many_errors, "unknown command"},
    {"NUL bytes", nul_bytes, "error"},
    {"broken UTF-8", broken_utf8, "error"},
    {":matches that backtracks", matches_bomb, NULL},
    {":matches, 200 times", matches_again, NULL},
    {":contains, 1,000 times", contains_again, NULL},
    {"regex that backtracks", regex_backtracks, "too much work"},
    {"regex that backtracks, 4,000 times", regex_again, "too much"},
    {"regex that compiles large", regex_compiles_large, "regular expression"},
    {"regex of 50,000 groups", regex_nests, "regular expression"},
    {"regex out of a variable", regex_from_variable, "invalid regular expression"},
    {"a variable that doubles", doubling, "too much memory"},
    {"a variable of wildcards", quoted_and_upper, "too much memory"},
    {"too many variables", too_many_variables, "one too many"},
    {"headers that grow", headers_grow, NULL},
    {"include in a circle", includes_itself, "include"},
    {"include, deeper and deeper", includes_a_chain, "include"},
    {"include, wider and wider", includes_a_fan, "include"},
    {"too many actions", too_many_actions, "actions"},
    {"too many redirects", too_many_redirects, "redirect"},
    {"enclose, 150 times", enclosing, NULL},
    {"body, 20,000 times", bodies, "too much"},
    {"parts of parts", parts, NULL},
};

static void put_includes(const struct fixture *f)
{
    put(f, "sieve/a.sieve", "require \"include\"; include :personal \"b\";", 41);
    put(f, "sieve/b.sieve", "require \"include\"; include :personal \"a\";", 41);
    for (int i = 0; i < 30; i++) {
        g_autofree char *name = g_strdup_printf("sieve/c%d.sieve", i);
        g_autofree char *text =
            g_strdup_printf("require \"include\"; include :personal \"c%d\";", i + 1);

        put(f, name, text, strlen(text));
    }
    /* each of the ten levels includes the next one eight times */
    for (int i = 0; i < 9; i++) {
        g_autofree char *name = g_strdup_printf("sieve/f%d.sieve", i);
        g_autofree char *line = g_strdup_printf("include :personal \"f%d\";\n", i + 1);
        g_autoptr(GString) text = wrap("require \"include\";\n", line, 8, "");

        put(f, name, text->str, text->len);
    }
    put(f, "sieve/f9.sieve", "keep;", 5);
}

/* A header of 60,000 letters, and 300 parts. */
static char *make_message(void)
{
    g_autoptr(GString) letters = repeat("a", 60000);
    g_autoptr(GString) body = repeat("--b\nContent-Type: text/plain\n\nzzz\n", 300);

    return g_strdup_printf("From: bob@remote.example\nTo: alice@example.com\nSubject: s\n"
                           "X-Long: %s!\nMIME-Version: 1.0\n"
                           "Content-Type: multipart/mixed; boundary=b\n\n%s--b--\n",
                           letters->str, body->str);
}

/* What one row must leave behind; says what is wrong and returns whether something is. */
static bool check(const struct fixture *f, const struct row *row, const struct run *run, size_t count,
                  const char *notes, const char *log)
{
    bool explained = row->want == NULL ? notes[0] == '\0'
                                       : strstr(notes, row->want) != NULL &&
                                             strstr(log, row->want) != NULL;
    const struct {
        bool good;
        const char *claim;
    } claims[] = {
        {run->status == 0, "the delivery succeeds"},
        {rows_in_inbox(f) == (int64_t)count, "one more row in INBOX"},
        {files_in_inbox(f) == (int)count, "one more file in INBOX"},
        {explained, "the log and the script's log say why"},
        {strlen(log) <= LOG_MAX, "the script's log is bounded"},
        {run->memory_kb <= MEMORY_MAX_KB, "memory is bounded"},
    };
    bool wrong = false;

    for (size_t i = 0; i < G_N_ELEMENTS(claims); i++)
        if (!claims[i].good) {
            print_error("%s: not so: %s (status %x)\n%.600s\n", row->name, claims[i].claim,
                        (unsigned)run->status, notes);
            wrong = true;
        }
    return wrong;
}

static void hostile_scripts(void **state)
{
    const struct fixture *f = *state;
    g_autofree char *message = make_message();
    long most_kb = 0;
    int wrong = 0;

    put_includes(f);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) script = rows[i].script();
        g_autofree char *log_path = at(f, SCRIPT ".log");

        put(f, SCRIPT, script->str, script->len);
        g_unlink(log_path);
        struct run run = run_delivery(f, "native", message);
        g_autofree char *notes = get(f, NOTES);
        g_autofree char *log = get(f, SCRIPT ".log");

        print_message("%-40s %6ld KiB %5ld ms  %.90s\n", rows[i].name, run.memory_kb, run.cpu_ms,
                      notes);
        wrong += check(f, &rows[i], &run, i + 1, notes, log);
        most_kb = MAX(most_kb, run.memory_kb);
    }
    print_message("at most %ld MiB\n", most_kb / 1024);
    assert_int_equal(wrong, 0);
}

/* ------------------------------------------------------------------ what is no script at all */

static void not_a_file(void **state)
{
    static const struct {
        const char *name;
        const char *target; /* of a link; NULL: mode is made */
        mode_t mode;
        const char *want; /* as of struct row */
    } files[] = {
        {"a link to a file of the system", "/etc/passwd", 0, "leads out of the home"},
        {"a link to itself", SCRIPT, 0, "many levels of symbolic links"},
        {"a link to a link", "second", 0, "many levels of symbolic links"},
        {"a link to nothing", "sieve/missing.sieve", 0, NULL},
        {"a directory", NULL, S_IFDIR, "sieve"},
        {"a FIFO that nobody writes to", NULL, S_IFIFO, "sieve"},
    };
    const struct fixture *f = *state;
    g_autofree char *path = at(f, SCRIPT);
    g_autofree char *second = at(f, "second");
    int wrong = 0;

    put(f, "sieve/a.sieve", "discard;", 8);
    assert_int_equal(symlink("sieve/a.sieve", second), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        struct row row = {.name = files[i].name, .want = files[i].want};

        if (files[i].target != NULL)
            assert_int_equal(symlink(files[i].target, path), 0);
        else if (files[i].mode == S_IFDIR)
            assert_int_equal(mkdir(path, 0700), 0);
        else
            assert_int_equal(mkfifo(path, 0600), 0);
        struct run run = run_delivery(f, "native", "From: a@b.example\n\nx\n");
        g_autofree char *notes = get(f, NOTES);
        g_autofree char *log = get(f, SCRIPT ".log");

        print_message("%-40s %.100s\n", row.name, notes);
        wrong += check(f, &row, &run, i + 1, notes, log);
        assert_int_equal(g_remove(path), 0);
    }
    assert_int_equal(wrong, 0);
}

/* ------------------------------------------------------------------ the second engine */

static void libsieve_scripts(void **state)
{
    static const struct {
        const char *name, *script, *want; /* as of struct row */
    } scripts[] = {
        /* which libsieve alone would not answer */
        {"vacation without :addresses", "require \"vacation\"; vacation \"away\";", NULL},
        {"endless", "require \"imap4flags\"; setflag \"a\"; setflag \"b\"; keep;", "libsieve"},
        {"crash", "require \"imap4flags\"; if hasflag :is \"\\\\Flagged\" { discard; }",
         "libsieve"},
        {"matching", "if header :matches \"x-long\" \"*a*a*a*a*a*a*a*a*b\" { discard; }",
         "libsieve"},
        {"parse error", "require \"fileinto\"; if if if fileinto;", "error"},
        {"unknown", "require [\"body\"]; if body :contains \"x\" { discard; }", "body"},
    };
    const struct fixture *f = *state;
    g_autofree char *message = make_message();
    g_autofree char *sent = g_build_filename(f->dir, "sent", NULL);
    int wrong = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
        struct row row = {.name = scripts[i].name, .want = scripts[i].want};

        put(f, SCRIPT, scripts[i].script, strlen(scripts[i].script));
        struct run run = run_delivery(f, "libsieve", message);
        g_autofree char *notes = get(f, NOTES);
        g_autofree char *log = get(f, SCRIPT ".log");

        print_message("%-40s %6ld KiB %5ld ms  %.90s\n", row.name, run.memory_kb, run.cpu_ms, notes);
        wrong += check(f, &row, &run, i + 1, notes, log);
        if (g_file_test(sent, G_FILE_TEST_EXISTS) != (i == 0)) {
            print_error("%s: what was sent is wrong\n", row.name);
            wrong++;
        }
        g_unlink(sent);
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(hostile_scripts, setup, teardown),
        cmocka_unit_test_setup_teardown(not_a_file, setup, teardown),
        cmocka_unit_test_setup_teardown(libsieve_scripts, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
