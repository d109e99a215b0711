/* A replay without Postfix: what sources give, what workers make of it, what is told. deliver() is a stand-in
 * that writes down what it was asked. */
#include "lda/replay_pool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include <cmocka.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/config.h"
#include "lda/deliver.h"
#include "lda/replay_report.h"
#include "lda/replay_source.h"
#include "lda/site.h"

/* ------------------------------------------------------------------ stand-ins */

bool __wrap_deliver(struct site *site, const struct envelope *envelope, int input_fd,
                    const struct deliver_options *options, struct deliver_result *ret_result,
                    struct error *err);

static const char *shown(const char *text)
{
    return text == NULL ? "-" : text;
}

/* The message says what shall become of it. */
bool __wrap_deliver(struct site *site, const struct envelope *envelope, int input_fd,
                    const struct deliver_options *options, struct deliver_result *ret_result,
                    struct error *err)
{
    static int busy = 0;
    char text[4096] = "";
    g_autofree char *flags =
        options->flags == NULL ? NULL : g_strjoinv("+", (char **)options->flags);

    (void)site;
    assert_true(read(input_fd, text, sizeof text - 1) >= 0);
    *ret_result = (struct deliver_result){.outcome = DELIVER_STORED};
    if (strstr(text, "Subject: crash") != NULL)
        abort();
    if (strstr(text, "Subject: busy") != NULL && ++busy < 3) {
        error_set(err, ERROR_TEMPORARY, "another process is at it");
        err->code = EWOULDBLOCK;
        return false;
    }
    if (strstr(text, "Subject: away") != NULL) {
        error_set(err, ERROR_TEMPORARY, "the database is away");
        return false;
    }
    if (strstr(text, "Subject: nobody") != NULL) {
        error_set(err, ERROR_NO_USER, "no user %s", envelope->user);
        return false;
    }
    if (strstr(text, "Subject: known") != NULL)
        ret_result->outcome = DELIVER_DUPLICATE;
    ret_result->summary = g_strdup_printf(
        "%s %s %s %s %s %s %s%s%s", envelope->user, shown(envelope->sender), envelope->recipient,
        envelope->original_recipient, shown(envelope->queue_id), shown(options->mailbox),
        shown(flags), options->no_script ? " no-script" : "", options->once ? " once" : "");
    return true;
}

/* readdir with 64-bit offsets. After so many entries the directory cannot be read any further; -1: no limit. */
static int entries_left = -1;

struct dirent *__wrap_readdir64(DIR *stream);
struct dirent *__real_readdir64(DIR *stream);
struct dirent *__wrap_readdir64(DIR *stream)
{
    if (entries_left == 0) {
        errno = EIO;
        return NULL;
    }
    if (entries_left > 0)
        entries_left--;
    return __real_readdir64(stream);
}

/* ------------------------------------------------------------------ packets */

static void packets(void **state)
{
    struct replay_job job = {.name = (char *)"x/1.eml", .recipient = (char *)"", .flags = (char *)"a b"};
    g_autoptr(GBytes) packet = replay_job_encode(&job);
    struct replay_job back;
    gsize length;
    const char *bytes = g_bytes_get_data(packet, &length);

    (void)state;
    assert_true(replay_job_decode(bytes, length, &back));
    assert_string_equal(back.name, "x/1.eml");
    assert_string_equal(back.recipient, "");
    assert_null(back.queue_id);
    assert_string_equal(back.flags, "a b");
    replay_job_clear(&back);
    for (gsize part = 0; part < length; part++)
        assert_false(replay_job_decode(bytes, part, &back));

    struct replay_answer answer = {.outcome = REPLAY_FAILED, .kind = ERROR_QUOTA,
                                   .text = (char *)"full"};
    g_autoptr(GBytes) second = replay_answer_encode(&answer);
    struct replay_answer again;
    bytes = g_bytes_get_data(second, &length);
    assert_true(replay_answer_decode(bytes, length, &again));
    assert_int_equal(again.outcome, REPLAY_FAILED);
    assert_int_equal(again.kind, ERROR_QUOTA);
    assert_string_equal(again.text, "full");
    replay_answer_clear(&again);
    for (gsize part = 0; part < length; part++)
        assert_false(replay_answer_decode(bytes, part, &again));
    g_autofree char *wrong = g_memdup2(bytes, length);
    wrong[0] = '9';
    assert_false(replay_answer_decode(wrong, length, &again));
}

/* ------------------------------------------------------------------ sources */

/* What a walk told, one line each: "name|mailbox|flags|sender|content" and "name: reason". */
struct telling {
    GString *found, *left;
    void (*meanwhile)(void *ctx); /* once, at the first message */
    void *ctx;
};

static bool found(void *ctx, const struct replay_job *job, int fd)
{
    struct telling *telling = ctx;
    AUTO_FREE char *text = NULL;
    size_t length;
    struct error err;

    if (telling->meanwhile != NULL)
        telling->meanwhile(telling->ctx);
    telling->meanwhile = NULL;
    assert_true(io_read_all(fd, 1 << 20, &text, &length, "message", &err));
    g_strdelimit(text, "\n", '/');
    g_string_append_printf(telling->found, "%s|%s|%s|%s|%s\n", job->name, shown(job->mailbox),
                           shown(job->flags), shown(job->sender), text);
    return strstr(text, "Subject: enough") == NULL;
}

static void left(void *ctx, const char *name, enum replay_outcome outcome,
                 const struct error *err)
{
    struct telling *telling = ctx;

    g_string_append_printf(telling->left, "%s: %s%s\n", name,
                           outcome == REPLAY_FAILED ? "FAILED " : "", err->text);
}

static void telling_begin(struct telling *telling, struct replay_sink *sink)
{
    *telling = (struct telling){.found = g_string_new(NULL), .left = g_string_new(NULL)};
    *sink = (struct replay_sink){telling, found, left};
}

static void telling_end(struct telling *telling)
{
    g_string_free(telling->found, TRUE);
    g_string_free(telling->left, TRUE);
}

static int memory(const char *text, size_t length)
{
    struct error err;
    int fd = memfd_create("memory", MFD_CLOEXEC);

    assert_true(fd >= 0 && io_write(fd, text, length, "memory", &err));
    lseek(fd, 0, SEEK_SET);
    return fd;
}

#define FROM "From q@y Thu Jan  1 00:00:00 2024\n"

static void mboxes(void **state)
{
    static const struct {
        const char *name, *input, *found, *left;
    } rows[] = {
        {"two", FROM "A: b\n\nx\n\nFrom MAILER-DAEMON Thu Jan  1 00:00:00 2024\nC: d\n\ny\n\n",
         "m: message 1|-||q@y|A: b//x/\nm: message 2|-|||C: d//y/\n", ""},
        {"state", FROM "Status: RO\nX-Status: AF\nX-Keywords: work\n more\nX-UID: 7\nA: b\n\nStatus: x\n",
         "m: message 1|-|\\Seen \\Answered \\Flagged work|q@y|A: b//Status: x/\n", ""},
        {"quoted", FROM "A: b\n\n>From me\n>>From you\nFrom here\n\nFrom nowhere\n",
         "m: message 1|-||q@y|A: b//From me/>From you/From here//From nowhere/\n", ""},
        {"no end of line", FROM "A: b\n\nx", "m: message 1|-||q@y|A: b//x\n", ""},
        {"blank lines stay", FROM "A: b\n\n\n\nx\n\n\n" FROM "C: d\n\n",
         "m: message 1|-||q@y|A: b////x//\nm: message 2|-||q@y|C: d//\n", ""},
        {"no body", FROM "A: b\n\n" FROM "C: d\n",
         "m: message 1|-||q@y|A: b//\nm: message 2|-||q@y|C: d/\n", ""},
        {"CRLF", "From q@y Thu Jan  1 00:00:00 2024\r\nA: b\r\n\r\nx\r\n",
         "m: message 1|-||q@y|A: b\r/\r/x\r/\n", ""},
        {"own data", FROM "Subject: internal\nX-IMAP: 1 2\n\nx\n\n" FROM "A: b\n\nx\n",
         "m: message 2|-||q@y|A: b//x/\n", "m: message 1: is the mailbox's own data, no mail\n"},
        {"no sender", "From ??? Thu Jan  1 00:00:00 2024\nA: b\n\n", "m: message 1|-||-|A: b//\n", ""},
        {"our own key", FROM "X-Vmail-Key: 0123456789abcdef0123456789abcdef\nA: b\n\nx\n",
         "m: message 1|-||q@y|A: b//x/\n", ""},
        {"no mbox", "A: b\n\n", "", "m: FAILED is no mbox: it does not begin with \"From \"\n"},
        {"enough", FROM "Subject: enough\n\n" FROM "A: b\n\n",
         "m: message 1|-||q@y|Subject: enough//\n", ""},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        AUTO_FD fd = memory(rows[i].input, strlen(rows[i].input));
        struct telling telling;
        struct replay_sink sink;

        telling_begin(&telling, &sink);
        bool more = replay_mbox(fd, "m", &sink);
        if (more != (strcmp(rows[i].name, "enough") != 0) ||
            strcmp(telling.found->str, rows[i].found) != 0 ||
            strcmp(telling.left->str, rows[i].left) != 0)
            fail_msg("%s: got\n%s%s", rows[i].name, telling.found->str, telling.left->str);
        telling_end(&telling);
    }
}

/* A line longer than any buffer, and a message larger than the copy's. */
static void a_large_mbox(void **state)
{
    g_autoptr(GString) text = g_string_new(FROM "A: b\n\n");
    struct telling telling;
    struct replay_sink sink;

    (void)state;
    for (int i = 0; i < 300000; i++)
        g_string_append_c(text, 'x');
    g_string_append(text, "\n\n" FROM "C: d\n\ny\n");
    AUTO_FD fd = memory(text->str, text->len);
    telling_begin(&telling, &sink);
    assert_true(replay_mbox(fd, "m", &sink));
    assert_string_equal(telling.left->str, "");
    assert_non_null(strstr(telling.found->str, "xxx/\nm: message 2|-||q@y|C: d//y/\n"));
    assert_int_equal(telling.found->len, strlen("m: message 1|-||q@y|A: b///\n") + 300000 +
                                             strlen("m: message 2|-||q@y|C: d//y/\n"));
    telling_end(&telling);
}

static void rewrite(void *ctx)
{
    int fd = *(const int *)ctx;
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

    assert_int_equal(futimens(fd, times), 0);
}

static void append(void *ctx)
{
    static const char more[] = FROM "Late: 1\n\n";
    int fd = *(const int *)ctx;

    assert_int_equal(pwrite(fd, more, strlen(more), lseek(fd, 0, SEEK_END)), strlen(more));
}

static void an_mbox_in_use(void **state)
{
    static const char text[] = FROM "A: b\n\n" FROM "C: d\n\n" FROM "E: f\n\n";
    static const struct {
        const char *name;
        void (*meanwhile)(void *ctx);
        const char *found, *left;
    } rows[] = {
        {"appended to", append, "m: message 1|-||q@y|A: b//\nm: message 2|-||q@y|C: d//\n"
                                "m: message 3|-||q@y|E: f//\n", ""},
        {"rewritten", rewrite, "m: message 1|-||q@y|A: b//\n",
         "m: FAILED another program changed the mbox; run it again\n"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        AUTO_FD fd = memory(text, strlen(text));
        struct telling telling;
        struct replay_sink sink;

        telling_begin(&telling, &sink);
        telling.meanwhile = rows[i].meanwhile;
        telling.ctx = (void *)&fd;
        assert_true(replay_mbox(fd, "m", &sink));
        if (strcmp(telling.found->str, rows[i].found) != 0 ||
            strcmp(telling.left->str, rows[i].left) != 0)
            fail_msg("%s: got\n%s%s", rows[i].name, telling.found->str, telling.left->str);
        telling_end(&telling);
    }
}

/* ------------------------------------------------------------------ folders */

static void put(const char *dir, const char *path, const char *text)
{
    g_autofree char *name = g_build_filename(dir, path, NULL);
    g_autofree char *parent = g_path_get_dirname(name);

    g_mkdir_with_parents(parent, 0700);
    assert_true(g_file_set_contents(name, text, -1, NULL));
}

static void remove_all(const char *dir)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", dir);

    assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lines in the order of their names: that of a directory is any. */
static char *sorted(const GString *lines)
{
    g_auto(GStrv) split = g_strsplit(lines->str, "\n", -1);

    qsort(split, g_strv_length(split), sizeof *split, compare_lines);
    return g_strjoinv("\n", split);
}

static void walk(const char *dir, const struct replay_sink *sink)
{
    static const struct replay_queue queue = {.config_dir = NULL};
    g_autofree char *here = g_get_current_dir();

    assert_int_equal(chdir(dir), 0);
    assert_true(replay_source_walk("box", REPLAY_ANY, &queue, sink));
    assert_int_equal(chdir(here), 0);
}

static void eml_folder(void **state)
{
    g_autofree char *dir = g_dir_make_tmp("vmail-replay-XXXXXX", NULL);
    g_autofree char *fifo = g_build_filename(dir, "box/f.eml", NULL);
    g_autofree char *link = g_build_filename(dir, "box/l.eml", NULL);
    struct telling telling;
    struct replay_sink sink;

    (void)state;
    put(dir, "box/1.eml", "A: b\n\n");
    put(dir, "box/2.EML", "C: d\n\n");
    put(dir, "box/e.eml", "");
    put(dir, "box/d.eml/x", "x");
    put(dir, "box/readme", "x");
    put(dir, "box/.hidden.eml", "x");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    telling_begin(&telling, &sink);
    walk(dir, &sink);
    g_autofree char *good = sorted(telling.found);
    g_autofree char *rest = sorted(telling.left);
    assert_string_equal(good, "\nbox/1.eml|-|-|-|A: b//\nbox/2.EML|-|-|-|C: d//");
    assert_string_equal(rest, "\nbox/d.eml: is a directory\nbox/e.eml: is empty\n"
                              "box/f.eml: is a FIFO\nbox/l.eml: is a symbolic link\n"
                              "box/readme: its name does not end in .eml");
    telling_end(&telling);
    remove_all(dir);
}

static void maildir_folders(void **state)
{
    g_autofree char *dir = g_dir_make_tmp("vmail-replay-XXXXXX", NULL);
    struct telling telling;
    struct replay_sink sink;

    (void)state;
    put(dir, "box/new/1.a", "A: 1\n\n");
    put(dir, "box/cur/2.b:2,FS", "A: 2\n\n");
    put(dir, "box/tmp/3.c", "no\n\n");
    put(dir, "box/dovecot-keywords", "0 $work\n");
    put(dir, "box/.Sent.Old/new/x", "A: 4\n\n");
    put(dir, "box/.Sent.Old/cur/4.d:2,Ra", "A: 5\n\n");
    put(dir, "box/.&yRHGlA-/cur/5.e:2,", "A: 6\n\n");
    put(dir, "box/.&yRHGlA-/new/.hidden", "no\n\n");
    put(dir, "box/.NotOne/file", "no\n\n");
    telling_begin(&telling, &sink);
    walk(dir, &sink);
    g_autofree char *good = sorted(telling.found);
    assert_string_equal(good, "\nbox/.&yRHGlA-/cur/5.e:2,|중요||-|A: 6//\n"
                              "box/.Sent.Old/cur/4.d:2,Ra|Sent.Old|\\Answered|-|A: 5//\n"
                              "box/.Sent.Old/new/x|Sent.Old||-|A: 4//\n"
                              "box/cur/2.b:2,FS|-|\\Seen \\Flagged|-|A: 2//\n"
                              "box/new/1.a|-||-|A: 1//");
    telling_end(&telling);
    remove_all(dir);
}

/* Dovecot moves everything from new/ to cur/, then a client reads it. */
static void move_all(void *ctx)
{
    const char *dir = ctx;

    for (int i = 0; i < 40; i++) {
        g_autofree char *from = g_strdup_printf("%s/box/new/%d.a", dir, i);
        g_autofree char *to = g_strdup_printf("%s/box/cur/%d.a:2,S", dir, i);
        g_autofree char *read = g_strdup_printf("%s/box/cur/%d.b:2,", dir, i);
        g_autofree char *flagged = g_strdup_printf("%s/box/cur/%d.b:2,F", dir, i);

        g_rename(from, to);
        g_rename(read, flagged);
    }
}

static void a_maildir_in_use(void **state)
{
    g_autofree char *dir = g_dir_make_tmp("vmail-replay-XXXXXX", NULL);
    struct telling telling;
    struct replay_sink sink;

    (void)state;
    for (int i = 0; i < 40; i++) {
        g_autofree char *fresh = g_strdup_printf("box/new/%d.a", i);
        g_autofree char *seen = g_strdup_printf("box/cur/%d.b:2,", i);

        put(dir, fresh, "A: a\n\n");
        put(dir, seen, "A: b\n\n");
    }
    telling_begin(&telling, &sink);
    telling.meanwhile = move_all;
    telling.ctx = dir;
    walk(dir, &sink);
    assert_string_equal(telling.left->str, "");
    for (int i = 0; i < 40; i++)
        for (const char *kind = "ab"; *kind != '\0'; kind++) {
            g_autofree char *name = g_strdup_printf("/%d.%c", i, *kind);
            const char *at = strstr(telling.found->str, name);

            if (at == NULL || strstr(at + 1, name) != NULL)
                fail_msg("%s: %s", name, at == NULL ? "missed" : "twice");
        }
    telling_end(&telling);
    remove_all(dir);
}

/* NULL from readdir is not always the end. */
static void a_directory_that_fails(void **state)
{
    g_autofree char *dir = g_dir_make_tmp("vmail-replay-XXXXXX", NULL);
    struct telling telling;
    struct replay_sink sink;

    (void)state;
    for (int i = 0; i < 10; i++) {
        g_autofree char *name = g_strdup_printf("box/%d.eml", i);

        put(dir, name, "A: a\n\n");
    }
    telling_begin(&telling, &sink);
    entries_left = 5;
    walk(dir, &sink);
    entries_left = -1;
    assert_string_equal(telling.left->str,
                        "box: FAILED cannot read the directory to its end: Input/output error\n");
    telling_end(&telling);
    remove_all(dir);
}

static void wrong_sources(void **state)
{
    static const struct replay_queue queue = {.config_dir = NULL};
    static const struct {
        const char *path;
        enum replay_type type;
        const char *left;
    } rows[] = {
        {"/nonexistent/x", REPLAY_ANY, "FAILED cannot open it: No such file or directory"},
        {"/dev/null", REPLAY_ANY, "FAILED is neither a file nor a directory"},
        {"/", REPLAY_MBOX, "FAILED is a directory"},
        {TEST_SOURCE_DIR "/tests/data/plain.eml", REPLAY_MAILDIR, "FAILED is a file"},
        {TEST_SOURCE_DIR "/tests/data/plain.eml", REPLAY_MBOX, "FAILED is no mbox"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct telling telling;
        struct replay_sink sink;

        telling_begin(&telling, &sink);
        assert_true(replay_source_walk(rows[i].path, rows[i].type, &queue, &sink));
        if (strstr(telling.left->str, rows[i].left) == NULL)
            fail_msg("%s: %s", rows[i].path, telling.left->str);
        assert_string_equal(telling.found->str, "");
        telling_end(&telling);
    }
}

/* ------------------------------------------------------------------ workers */

static void envelopes(void **state)
{
#define TOP "Return-Path: <q@y>\nX-Original-To: team@x\nDelivered-To: r+d@x\n"
    static const struct {
        const char *name;
        struct replay_options options;
        struct replay_job job;
        const char *message;
        enum replay_outcome outcome;
        const char *want;
    } rows[] = {
        {"from the header", {.user = NULL}, {.name = (char *)"n"}, TOP "\n", REPLAY_DELIVERED,
         "r+d@x q@y r+d@x team@x - - - once"},
        {"to another account", {.user = "a@x"}, {.name = (char *)"n"}, TOP "\n", REPLAY_DELIVERED,
         "a@x q@y a@x team@x - - - once"},
        {"to its account", {.user = "r@x"}, {.name = (char *)"n"}, TOP "\n", REPLAY_DELIVERED,
         "r@x q@y r+d@x team@x - - - once"},
        {"options win", {.user = "a@x", .sender = "s@y", .recipient = "b@x", .original = "c@x",
                         .mailbox = "Old", .no_script = true},
         {.name = (char *)"n", .mailbox = (char *)"Sent"}, TOP "\n", REPLAY_DELIVERED,
         "a@x s@y b@x c@x - Old - no-script once"},
        {"a folder and flags", {.user = "a@x"},
         {.name = (char *)"n", .mailbox = (char *)"Sent", .flags = (char *)"\\Seen work"}, "A: b\n\n",
         REPLAY_DELIVERED, "a@x - a@x a@x - Sent \\Seen+work no-script once"},
        {"an mbox's sender", {.user = "a@x"}, {.name = (char *)"n", .sender = (char *)"f@y"},
         "A: b\n\n", REPLAY_DELIVERED, "a@x f@y a@x a@x - - - once"},
        {"the queue file's", {.user = NULL},
         {.name = (char *)"n", .recipient = (char *)"r@x", .original = (char *)"o@x",
          .sender = (char *)"", .queue_id = (char *)"4Xy"}, TOP "\n", REPLAY_DELIVERED,
         "r@x  r@x o@x 4Xy - -"},
        {"only X-Original-To", {.user = NULL}, {.name = (char *)"n"}, "X-Original-To: o@x\n\n",
         REPLAY_DELIVERED, "o@x - o@x o@x - - - once"},
        {"nobody named", {.user = NULL}, {.name = (char *)"n"}, "A: b\n\n", REPLAY_FAILED, "no recipient"},
        {"nonsense named", {.user = NULL}, {.name = (char *)"n"}, "Delivered-To: a b c\n\n",
         REPLAY_FAILED, "no recipient"},
        {"known", {.user = "a@x"}, {.name = (char *)"n"}, "Subject: known\n\n", REPLAY_BEFORE, "a@x"},
        {"busy for a while", {.user = "a@x"}, {.name = (char *)"n"}, "Subject: busy\n\n",
         REPLAY_DELIVERED, "a@x"},
        {"no such user", {.user = "a@x"}, {.name = (char *)"n"}, "Subject: nobody\n\n", REPLAY_FAILED,
         "no user"},
        {"not ours in the queue", {.user = NULL},
         {.name = (char *)"n", .recipient = (char *)"r@z", .queue_id = (char *)"4Xy"},
         "Subject: nobody\n\n", REPLAY_SKIPPED, "stays in the queue: no user r@z"},
    };
    struct config *config = config_new();
    struct site *site = site_new(config);

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        AUTO_FD fd = memory(rows[i].message, strlen(rows[i].message));
        struct replay_answer answer;

        replay_work(site, &rows[i].options, &rows[i].job, fd, &answer);
        if (answer.outcome != rows[i].outcome || strstr(answer.text, rows[i].want) != answer.text)
            fail_msg("%s: %d, %s", rows[i].name, answer.outcome, answer.text);
        replay_answer_clear(&answer);
    }
    site_free(site);
    config_free(config);
}

static void write_down(void *ctx, const struct replay_job *job, const struct replay_answer *answer)
{
    GHashTable *answers = ctx;

    assert_false(g_hash_table_contains(answers, job->name));
    g_hash_table_insert(answers, g_strdup(job->name),
                        g_strdup_printf("%d %s", answer->outcome, answer->text));
}

/* A message that kills its worker costs itself alone. */
static void a_worker_dies(void **state)
{
    static const struct replay_options options = {.user = "a@x"};
    g_autoptr(GHashTable) answers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    struct config *config = config_new();
    struct error err;

    (void)state;
    assert_true(config_set(config, "vmail_root", "/", &err)); /* root's: nothing to become */
    struct replay_pool *pool = replay_pool_new(config, &options, 2, write_down, answers);
    for (int i = 0; i < 20; i++) {
        g_autofree char *name = g_strdup_printf("%d", i);
        const char *text = i == 3 || i == 19 ? "Subject: crash\n\n" : "Subject: x\n\n";
        struct replay_job job = {.name = name};
        AUTO_FD fd = memory(text, strlen(text));

        assert_true(replay_pool_submit(pool, &job, fd, &err));
    }
    replay_pool_drain(pool);
    assert_int_equal(g_hash_table_size(answers), 20);
    for (int i = 0; i < 20; i++) {
        g_autofree char *name = g_strdup_printf("%d", i);
        const char *answer = g_hash_table_lookup(answers, name);
        const char *want = i == 3 || i == 19 ? "3 the worker died of signal 6 on it"
                                             : "0 a@x - a@x a@x - - - once";

        assert_string_equal(answer, want);
    }
    replay_pool_free(pool);
    config_free(config);
}

/* ------------------------------------------------------------------ report */

static void reports(void **state)
{
    static const struct {
        const char *name;
        unsigned delivered, before, skipped, for_now, for_good;
        const char *stopped;
        int status;
        const char *summary, *left;
    } rows[] = {
        {"all", 3, 0, 0, 0, 0, NULL, EX_OK, "3 delivered (", ""},
        {"again", 0, 3, 1, 0, 0, NULL, EX_OK, "nothing to deliver: 3 delivered before, 1 skipped (",
         "a?b: skipped: text\n"},
        {"some left", 1, 2, 0, 1, 2, NULL, EX_TEMPFAIL,
         "1 delivered, 2 delivered before, 3 not delivered, 1 of them may be later (",
         "a?b: text\na?b: text\na?b: text\n"},
        {"left for good", 1, 0, 0, 0, 1, NULL, EX_DATAERR, "1 delivered, 1 not delivered (",
         "a?b: text\n"},
        {"stopped", 1, 0, 0, 0, 0, "interrupted", EX_TEMPFAIL, "1 delivered (", ""},
        {"nothing", 0, 0, 0, 0, 0, NULL, EX_OK, "0 delivered (", ""},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        AUTO_FREE char *summary = NULL;
        AUTO_FREE char *left_text = NULL;
        size_t length;
        FILE *summary_file = open_memstream(&summary, &length);
        FILE *left_file = open_memstream(&left_text, &length);
        const struct replay_report_options options = {.left = left_file, .summary = summary_file};
        struct replay_report *report = replay_report_new(&options);
        const struct {
            unsigned count;
            struct replay_answer answer;
        } kinds[] = {
            {rows[i].delivered, {.outcome = REPLAY_DELIVERED, .text = (char *)"text"}},
            {rows[i].before, {.outcome = REPLAY_BEFORE, .text = (char *)"text"}},
            {rows[i].skipped, {.outcome = REPLAY_SKIPPED, .text = (char *)"text"}},
            {rows[i].for_good, {.outcome = REPLAY_FAILED, .kind = ERROR_NO_USER, .text = (char *)"text"}},
            {rows[i].for_now, {.outcome = REPLAY_FAILED, .kind = ERROR_TEMPORARY, .text = (char *)"text"}},
        };

        for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++)
            for (unsigned n = 0; n < kinds[k].count; n++)
                replay_report_add(report, "a\nb", NULL, &kinds[k].answer);
        assert_int_equal(replay_report_in_a_row(report), rows[i].for_now);
        int status = replay_report_finish(report, rows[i].stopped);
        replay_report_free(report);
        fclose(summary_file);
        fclose(left_file);
        if (status != rows[i].status || !g_str_has_prefix(summary, rows[i].summary) ||
            strcmp(left_text, rows[i].left) != 0)
            fail_msg("%s: status %d\n%s%s", rows[i].name, status, summary, left_text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets),
        cmocka_unit_test(mboxes),
        cmocka_unit_test(a_large_mbox),
        cmocka_unit_test(an_mbox_in_use),
        cmocka_unit_test(eml_folder),
        cmocka_unit_test(maildir_folders),
        cmocka_unit_test(a_maildir_in_use),
        cmocka_unit_test(a_directory_that_fails),
        cmocka_unit_test(wrong_sources),
        cmocka_unit_test(envelopes),
        cmocka_unit_test(a_worker_dies),
        cmocka_unit_test(reports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
