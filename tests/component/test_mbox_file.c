/* An mbox file without a database: reading it, changing it in its middle, its journal, its locks. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "store/mbox.h"
#include "store/mbox_entry.h"
#include "store/mbox_journal.h"
#include "store/mbox_lock.h"
#include "store/mbox_rewrite.h"
#include "store/mbox_scan.h"

#define FROM "From a@b.example Sat Nov 29 07:44:19 2025\n"
#define KEY "X-Vmail-Key: 0123456789abcdef0123456789abcdef\n"
#define LOCKS "dotlock fcntl"

static char *home_path;
static int home;

static int set_up(void **state)
{
    (void)state;
    home_path = g_dir_make_tmp("vmail-mbox-XXXXXX", NULL);
    home = open(home_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return 0;
}

static int tear_down(void **state)
{
    g_autofree char *command = g_strdup_printf("rm -rf %s", home_path);

    (void)state;
    close(home);
    assert_int_equal(system(command), 0);
    g_clear_pointer(&home_path, g_free);
    return 0;
}

static char *path_of(const char *name)
{
    return g_build_filename(home_path, name, NULL);
}

static char *text_of(const char *name)
{
    g_autofree char *path = path_of(name);
    char *text = NULL;

    assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static void write_file(const char *name, const char *text)
{
    g_autofree char *path = path_of(name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static struct mbox *open_inbox(void)
{
    struct error err = {0};
    struct mbox *mbox = mbox_open(home, "INBOX", true, &err);

    if (mbox == NULL)
        fail_msg("%s", err.text);
    return mbox;
}

/* ------------------------------------------------------------------ reading */

static bool describe(const struct mbox_message *message, void *ctx, struct error *err)
{
    (void)err;
    /* of a digest only that it is one */
    g_string_append_printf(ctx, "%.*s%s %s [%s] %lld+%lld=%lld; ", message->key[0] == 'h' ? 1 : 4,
                           message->key,
                           strchr(message->key, '.') ? strchr(message->key, '.') : "",
                           message->letters, message->keywords,
                           (long long)(message->body - message->header),
                           (long long)(message->end - message->body), (long long)message->size);
    return true;
}

static void reading(void **state)
{
    static const struct {
        const char *name, *text, *want;
    } rows[] = {
        {"empty", "", ""},
        {"no mbox", "just\ntext\n", ""},
        {"one of ours", FROM KEY "Subject: x\n\nbody\n\n", "0123  [] 58+5=63; "},
        {"state is not counted",
         FROM KEY "Status: RO\nX-Status: AF\nX-Keywords: work $label1    \nX-UID: 7\n"
         "Subject: x\n\nbody\n\n",
         "0123 FRS [work $label1] 120+5=63; "},
        {"draft and deleted", FROM KEY "X-Status: TD\nSubject: x\n\nbody\n\n",
         "0123 DT [] 71+5=63; "},
        {"a state field that goes on in the next line",
         FROM KEY "X-Keywords: a\n b\nSubject: x\n\nbody\n\n", "0123  [a] 75+5=63; "},
        {"two alike, and one that differs",
         FROM KEY "\na\n\n" FROM KEY "\na\n\n" FROM "Subject: x\n\n\n",
         "0123  [] 47+2=49; 0123.2  [] 47+2=49; h  [] 12+0=12; "},
        {"a From line in the body that is none", FROM KEY "\nFrom here on\nFrom : x\n\n",
         "0123  [] 47+22=69; "},
        {"no empty line between", FROM KEY "\na\n" FROM KEY "\nb\n",
         "0123  [] 47+1=48; 0123.2  [] 47+1=48; "},
        {"no end", FROM KEY "\nno end", "0123  [] 47+6=53; "},
        {"nothing but a From line", FROM, "h  [] 0+0=0; "},
        {"header only", FROM KEY, "0123  [] 46+0=46; "},
        {"Content-Length that is right hides what is in the body",
         FROM KEY "Content-Length: 46\n\n" FROM "abc\n\n" FROM KEY "\nb\n\n",
         "0123  [] 66+46=93; 0123.2  [] 47+2=49; "},
        {"Content-Length that leads nowhere is not believed",
         FROM KEY "Content-Length: 20\n\n" FROM "abc\n\n", "0123  [] 66+0=47; h  [] 5+0=5; "},
        {"Content-Length beyond the end", FROM KEY "Content-Length: 999999999999\n\nabc\n\n",
         "0123  [] 76+4=51; "},
        {"a key that is none", FROM "X-Vmail-Key: 0123\n\na\n\n", "h  [] 19+2=21; "},
        {"the first key counts", FROM KEY "X-Vmail-Key: fedcba98fedcba98fedcba98fedcba98\n\na\n\n",
         "0123  [] 93+2=95; "},
        {"zones and no seconds", "From a Sat Nov 29 07:44 +0200 2025\n" KEY "\na\n\n"
         "From b Sat Nov 29 07:44:01 CET 2025\n" KEY "\nb\n\n",
         "0123  [] 47+2=49; 0123.2  [] 47+2=49; "},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) got = g_string_new(NULL);
        g_autofree char *path = path_of("x");
        struct error err = {0};
        int fd;

        write_file("x", rows[i].text);
        fd = open(path, O_RDONLY);
        if (!mbox_scan(fd, "x", describe, got, &err))
            fail_msg("%s", err.text);
        close(fd);
        if (strcmp(got->str, rows[i].want) != 0)
            fail_msg("%s: \"%s\" instead of \"%s\"", rows[i].name, got->str, rows[i].want);
    }
}

/* Lines longer than any buffer, and what looks like a From_ line at a buffer's border. */
static void long_lines(void **state)
{
    g_autoptr(GString) text = g_string_new(FROM KEY "\n");
    g_autoptr(GString) got = g_string_new(NULL);
    g_autofree char *path = path_of("x");
    struct error err = {0};
    int fd;

    (void)state;
    for (size_t i = 0; i < 300000; i++)
        g_string_append_c(text, 'x');
    g_string_append(text, FROM "\n\n" FROM KEY "\n");
    for (size_t i = 0; i < 524288; i++)
        g_string_append_c(text, '\n');
    write_file("x", text->str);
    fd = open(path, O_RDONLY);
    assert_true(mbox_scan(fd, "x", describe, got, &err));
    close(fd);
    assert_string_equal(got->str,
                        "0123  [] 47+300043=300090; 0123.2  [] 47+524287=524334; ");
}

/* What an entry holds, read again: the same body, whatever the message's end. */
static void entries_read_back(void **state)
{
    static const char *const messages[] = {
        "", "\n", "no header end", "Subject: x\n", "Subject: x\n\n", "Subject: x\n\nbody",
        "Subject: x\n\nbody\n", "Subject: x\n\nbody\n\n\n", "\n\n\n", "Subject: x\n\nFrom\nFrom \n",
        "From the start\n\nFrom a@b Sat Nov 29 07:44:19 2025\n",
    };
    const struct mbox_entry entry = {
        .sender = "a@b", .received_at = 1764402259, .letters = "FS", .keywords = "$label1",
        .key = "0123456789abcdef0123456789abcdef"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(messages); i++) {
        g_autofree struct mbox_writer *writer = g_new(struct mbox_writer, 1);
        g_autofree char *path = path_of("message");
        g_autoptr(GString) got = g_string_new(NULL), want = g_string_new(NULL);
        struct mbox_measure measure, again;
        struct error err = {0};
        struct mbox *mbox;
        int fd;

        write_file("message", messages[i]);
        write_file("mbox", "");
        mbox = open_inbox();
        fd = open(path, O_RDONLY);
        assert_true(mbox_entry_make(fd, &entry, NULL, NULL, &measure, &err));
        assert_true(mbox_writer_open(writer, mbox, 0, &err));
        for (int copy = 0; copy < 2; copy++) {
            assert_true(mbox_entry_make(fd, &entry, mbox_writer_add, writer, &again, &err));
            assert_true(measure.length == again.length && measure.size == again.size);
            assert_string_equal(measure.body_digest, again.body_digest);
        }
        assert_true(mbox_writer_flush(writer, &err));
        close(fd);
        if (!mbox_scan(mbox->fd, "mbox", describe, got, &err))
            fail_msg("%s", err.text);
        for (int copy = 0; copy < 2; copy++)
            g_string_append_printf(want, "0123%s FS [$label1] %lld+%lld=%lld; ",
                                   copy == 0 ? "" : ".2",
                                   (long long)(measure.size - measure.body_length) + 42,
                                   (long long)measure.body_length, (long long)measure.size);
        if (strcmp(got->str, want->str) != 0)
            fail_msg("message %zu: \"%s\" instead of \"%s\"", i, got->str, want->str);
        mbox_free(mbox);
    }
}

/* ------------------------------------------------------------------ changing the middle */

#define M(key, header, body) FROM "X-Vmail-Key: " key "\n" header "\n" body "\n"
#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccc"

struct change {
    const struct mbox *mbox;
    GArray *edits;
    const char *remove, *seen, *unseen;   /* first letters of keys */
};

static bool change(const struct mbox_message *message, void *ctx, struct error *err)
{
    const struct change *wanted = ctx;
    bool possible = true;

    if (wanted->remove != NULL && strchr(wanted->remove, message->key[0]) != NULL)
        mbox_edits_remove(wanted->edits, message);
    else if (wanted->seen != NULL && strchr(wanted->seen, message->key[0]) != NULL)
        return mbox_edits_seen(wanted->edits, wanted->mbox, message, true, &possible, err);
    else if (wanted->unseen != NULL && strchr(wanted->unseen, message->key[0]) != NULL)
        return mbox_edits_seen(wanted->edits, wanted->mbox, message, false, &possible, err);
    return possible;
}

static void run_change(const char *text, struct change wanted)
{
    g_autoptr(GArray) edits = mbox_edits_new();
    struct error err = {0};

    write_file("mbox", text);

    struct mbox *mbox = open_inbox();

    wanted.mbox = mbox;
    wanted.edits = edits;
    if (!mbox_scan(mbox->fd, "mbox", change, &wanted, &err) ||
        !mbox_rewrite(home, mbox, edits, &err))
        fail_msg("%s", err.text);
    mbox_free(mbox);
}

static void removing(void **state)
{
    static const struct {
        const char *remove, *want;
    } rows[] = {
        {"a", M(B, "", "two\n") M(C, "", "three\n")},
        {"b", M(A, "", "one\n") M(C, "", "three\n")},
        {"c", M(A, "", "one\n") M(B, "", "two\n")},
        {"ac", M(B, "", "two\n")},
        {"abc", ""},
        {"x", M(A, "", "one\n") M(B, "", "two\n") M(C, "", "three\n")},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = NULL;

        run_change(M(A, "", "one\n") M(B, "", "two\n") M(C, "", "three\n"),
                   (struct change){.remove = rows[i].remove});
        text = text_of("mbox");
        assert_string_equal(text, rows[i].want);
    }
}

static void marking_seen(void **state)
{
    g_autofree char *padding = g_strnfill(50, ' ');
    g_autofree char *first = NULL, *second = NULL, *third = NULL, *want = NULL;

    (void)state;
    run_change(M(A, "Status: O\n", "one\n") M(B, "", "two\n"), (struct change){.seen = "ab"});
    first = text_of("mbox");
    want = g_strdup_printf(M(A, "Status: RO\nX-Keywords:%s\n", "one\n")
                           M(B, "Status: R\nX-Keywords:%s\n", "two\n"), padding, padding);
    assert_string_equal(first, want);
    /* from now on there is room: in place */
    run_change(first, (struct change){.unseen = "b"});
    second = text_of("mbox");
    assert_int_equal(strlen(second), strlen(first));
    assert_null(strstr(second, "Status: R\n"));
    run_change(second, (struct change){.seen = "b"});
    third = text_of("mbox");
    assert_int_equal(strlen(third), strlen(first));
    assert_non_null(strstr(third, "\nStatus: R\n"));
    assert_true(g_str_has_suffix(third, "\n\ntwo\n\n"));
}

static char *with_keywords(const char *text, const char *const *names, bool *ret_possible)
{
    g_autoptr(GArray) edits = mbox_edits_new();
    g_autoptr(GPtrArray) keywords = g_ptr_array_new();
    struct error err = {0};

    write_file("mbox", text);

    struct mbox *mbox = open_inbox();

    for (; *names != NULL; names++)
        g_ptr_array_add(keywords, (char *)*names);
    if (!mbox_edits_imapbase(edits, mbox, keywords, ret_possible, &err) ||
        !mbox_rewrite(home, mbox, edits, &err))
        fail_msg("%s", err.text);
    mbox_free(mbox);
    return text_of("mbox");
}

static void announcing_keywords(void **state)
{
    static const char *const work[] = {"$label1", "work", NULL};
    bool possible;
    g_autofree char *added = NULL, *in_place = NULL, *same = NULL, *fresh = NULL, *none = NULL;

    (void)state;
    added = with_keywords(M(A, "X-IMAPbase: 17 0000000003 $Label1\n", "one\n") M(B, "", "two\n"),
                          work, &possible);
    assert_true(possible);
    assert_non_null(strstr(added, "\nX-IMAPbase: 17 0000000003 $Label1 work\n"));
    assert_true(g_str_has_suffix(added, "\none\n\n" M(B, "", "two\n")));
    in_place = with_keywords(
        M(A, "X-IMAPbase: 17 0000000003\nX-Keywords: a                    \n", "one\n")
        M(B, "", "two\n"), work, &possible);
    assert_string_equal(in_place, M(A, "X-IMAPbase: 17 0000000003 $label1 work\nX-Keywords: a       \n",
                                    "one\n") M(B, "", "two\n"));
    same = with_keywords(in_place, work, &possible);
    assert_string_equal(same, in_place);
    fresh = with_keywords(M(A, "", "one\n"), work, &possible);
    assert_non_null(strstr(fresh, FROM "X-IMAPbase: "));
    assert_non_null(strstr(fresh, " 0000000000 $label1 work\n"));
    none = with_keywords("", work, &possible);
    assert_false(possible);
}

/* A rewrite that is killed between any two writes is brought to its end. */
static void a_rewrite_that_broke_off(void **state)
{
    static const char before[] = M(A, "", "one\n") M(B, "", "two\n") M(C, "", "three\n");
    static const char after[] = M(A, "", "one\n") M(C, "", "three\n");
    static const char tail[] = M(C, "", "three\n");
    const off_t offset = (off_t)strlen(M(A, "", "one\n"));
    g_autofree char *name = mbox_journal_name("INBOX", "tail");
    g_autofree char *tail_path = g_strconcat("vmail-mbox/", name, NULL);
    struct error err = {0};
    int dir = mbox_journal_open_dir(home, true, &err);
    struct mbox_journal journal;

    (void)state;
    assert_true(dir >= 0);
    mbox_journal_init(&journal);
    journal.offset = offset;
    journal.end = (off_t)strlen(before);
    journal.tail = (off_t)strlen(tail);
    for (size_t written = 0; written <= strlen(tail) + 1; written++) {
        g_autofree char *text = g_strdup(before);
        g_autofree char *now = NULL;
        bool done;

        memcpy(text + offset, tail, MIN(written, strlen(tail)));
        if (written > strlen(tail))
            text[strlen(after)] = '\0'; /* cut already */
        write_file("mbox", text);
        write_file(tail_path, tail);

        struct mbox *mbox = open_inbox();

        assert_true(mbox_rewrite_again(dir, mbox, &journal, &done, &err));
        assert_true(done);
        mbox_free(mbox);
        now = text_of("mbox");
        assert_string_equal(now, after);
    }
    /* somebody wrote since: left alone */
    write_file("mbox", M(A, "", "one\n"));
    write_file(tail_path, tail);

    struct mbox *mbox = open_inbox();
    bool done;

    assert_true(mbox_rewrite_again(dir, mbox, &journal, &done, &err));
    assert_false(done);
    mbox_free(mbox);
    mbox_journal_release(&journal);
    close(dir);
}

/* ------------------------------------------------------------------ the journal */

static void journal(void **state)
{
    const struct mbox_journal_entry entry = {.key = A, .body_length = 5, .body_digest = "00ff"};
    struct mbox_journal wrote, got;
    g_autofree char *name = mbox_journal_name("중요", "journal");
    g_autofree char *path = g_strconcat("vmail-mbox/", name, NULL);
    g_autofree char *record = NULL;
    struct error err = {0};
    int dir = mbox_journal_open_dir(home, true, &err), fd;
    g_autoptr(GPtrArray) list = NULL, none = NULL;
    size_t whole;

    (void)state;
    assert_int_equal(mbox_journal_open(dir, "중요", false, &err), -1);
    assert_int_equal(err.code, ENOENT);
    fd = mbox_journal_open(dir, "중요", true, &err);
    mbox_journal_init(&wrote);
    mbox_journal_init(&got);
    assert_true(mbox_journal_read(fd, &got, &err));
    assert_int_equal(got.state, MBOX_JOURNAL_CLEAN);
    wrote.state = MBOX_JOURNAL_APPEND;
    wrote.mailbox = g_strdup("중요");
    g_strlcpy(wrote.key, "1234", sizeof wrote.key);
    wrote.offset = (off_t)5 << 30;
    wrote.end = wrote.offset + 100;
    g_array_append_val(wrote.entries, entry);
    assert_true(mbox_journal_write(fd, &wrote, &err));
    assert_true(mbox_journal_read(fd, &got, &err));
    assert_int_equal(got.state, MBOX_JOURNAL_APPEND);
    assert_string_equal(got.mailbox, "중요");
    assert_string_equal(got.key, "1234");
    assert_true(got.offset == wrote.offset && got.end == wrote.end);
    assert_int_equal(got.entries->len, 1);
    assert_string_equal(((struct mbox_journal_entry *)(void *)got.entries->data)->key, A);
    assert_int_equal(((struct mbox_journal_entry *)(void *)got.entries->data)->body_length, 5);
    assert_string_equal(((struct mbox_journal_entry *)(void *)got.entries->data)->body_digest, "00ff");
    assert_true(mbox_journal_list(home, "1234", &list, &err));
    assert_int_equal(list->len, 1);
    assert_true(mbox_journal_list(home, "12", &none, &err));
    assert_int_equal(none->len, 0);
    assert_true(mbox_journal_clear(fd, &err));
    assert_true(mbox_journal_read(fd, &got, &err));
    assert_int_equal(got.state, MBOX_JOURNAL_CLEAN);
    assert_string_equal(got.key, "1234"); /* still said, for the search of what broke off */

    /* torn anywhere: it never came to changing the mbox */
    assert_true(mbox_journal_write(fd, &wrote, &err));
    record = text_of(path);
    whole = (size_t)(g_strstr_len(record, -1, "\nsum ") - record) + strlen("\nsum ") + 64;
    for (size_t length = 0; length < whole; length += 3) {
        g_autofree char *torn = g_strndup(record, length);

        write_file(path, torn);
        assert_true(mbox_journal_read(fd, &got, &err));
        assert_int_equal(got.state, MBOX_JOURNAL_CLEAN);
    }
    mbox_journal_release(&wrote);
    mbox_journal_release(&got);
    close(fd);
    close(dir);
}

/* ------------------------------------------------------------------ locks */

static struct mbox_lock *take(struct mbox *mbox, const char *locks, struct error *err)
{
    return mbox_lock_take(mbox->dir, mbox->name, mbox->fd, locks, 0, err);
}

static void put_dotlock(const char *text, time_t age_s)
{
    g_autofree char *path = path_of("mbox.lock");
    const struct timespec times[2] = {{.tv_sec = time(NULL) - age_s}, {.tv_sec = time(NULL) - age_s}};

    write_file("mbox.lock", text);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void dotlocks(void **state)
{
    char host[256] = "";
    struct mbox *mbox = open_inbox();
    const struct timespec long_ago[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    pid_t gone = fork();

    (void)state;
    if (gone == 0)
        _exit(0);
    waitpid(gone, NULL, 0);
    gethostname(host, sizeof host - 1);
    futimens(mbox->fd, long_ago);

    const struct {
        const char *name;
        char *text;
        time_t age_s;
        bool stale;
    } rows[] = {
        {"a process that lives", g_strdup_printf("%d:%s", (int)getppid(), host), 0, false},
        {"one that is gone", g_strdup_printf("%d:%s\n", (int)gone, host), 0, true},
        {"its number is used again", g_strdup_printf("%d:%s", (int)getpid(), host), 400, true},
        {"init, since long", g_strdup_printf("1:%s", host), 1, false},
        {"of another host", g_strdup_printf("%d:elsewhere.example", (int)gone), 10, false},
        {"of another host, old", g_strdup_printf("%d:elsewhere.example", (int)gone), 500, true},
        {"empty", g_strdup(""), 0, false},
        {"empty, old", g_strdup(""), 500, true},
        {"empty, from before the machine started", g_strdup(""), time(NULL) - 1000, true},
        {"torn, from before the machine started", g_strdup_printf("%d:%.1s", (int)gone, host),
         time(NULL) - 1000, true},
        {"torn, but young", g_strdup_printf("%d:%.1s", (int)gone, host), 0, false},
        {"not ours to read", g_strdup("procmail was here"), 20, false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct error err = {0};

        put_dotlock(rows[i].text, rows[i].age_s);

        struct mbox_lock *lock = take(mbox, LOCKS, &err);

        if ((lock != NULL) != rows[i].stale)
            fail_msg("%s: %s", rows[i].name, err.text);
        if (lock == NULL)
            assert_int_equal(err.code, EAGAIN);
        mbox_lock_free(lock);
        assert_int_equal(faccessat(home, "mbox.lock", F_OK, 0) == 0, !rows[i].stale);
        unlinkat(home, "mbox.lock", 0);
        g_free(rows[i].text);
    }
    mbox_free(mbox);
}

/* The old lock is younger than two minutes' silence of the mbox: somebody may be writing. */
static void an_mbox_that_grows_keeps_its_lock(void **state)
{
    struct mbox *mbox = open_inbox();
    struct error err = {0};

    (void)state;
    put_dotlock("", 500);
    assert_null(take(mbox, LOCKS, &err));
    assert_int_equal(err.code, EAGAIN);
    mbox_free(mbox);
}

static void each_kind_of_lock(void **state)
{
    static const char *const kinds[] = {"dotlock", "fcntl", "flock", "lockf", "dotlock,fcntl flock"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        struct mbox *one = open_inbox(), *two = open_inbox();
        struct error err = {0};
        struct mbox_lock *lock = take(one, kinds[i], &err);

        assert_non_null(lock);
        assert_null(take(two, kinds[i], &err));
        assert_int_equal(err.code, EAGAIN);
        mbox_lock_free(lock);
        lock = take(two, kinds[i], &err);
        assert_non_null(lock);
        mbox_lock_free(lock);
        mbox_free(one);
        mbox_free(two);
    }

    struct mbox *mbox = open_inbox();
    struct error err = {0};

    assert_null(take(mbox, "semaphore", &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    mbox_free(mbox);
}

/* What we hold keeps a program out that locks as Postfix and Dovecot do, and text says who holds it. */
static void others_see_our_lock(void **state)
{
    struct mbox *mbox = open_inbox();
    struct error err = {0};
    struct mbox_lock *lock = take(mbox, LOCKS, &err);
    g_autofree char *path = path_of("mbox"), *text = text_of("mbox.lock");
    char host[256] = "";
    g_autofree char *want = NULL;
    int status;
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = open(path, O_RDWR);

        _exit(fcntl(fd, F_SETLK, &whole) < 0 && (errno == EAGAIN || errno == EACCES) ? 0 : 1);
    }
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    gethostname(host, sizeof host - 1);
    want = g_strdup_printf("%d:%s", (int)getpid(), host);
    assert_string_equal(text, want);
    mbox_lock_free(lock);
    mbox_free(mbox);
}

/* The file is another one by the time we have its lock (a tool that renames a new one over it). */
static void a_file_that_is_replaced(void **state)
{
    struct mbox *mbox = open_inbox();
    struct error err = {0};
    struct stat ours, named;

    (void)state;
    write_file("new", FROM "\n\n");
    assert_int_equal(renameat(home, "new", home, "mbox"), 0);
    assert_true(mbox_take_lock(mbox, LOCKS, 0, &err));
    assert_int_equal(fstat(mbox->fd, &ours), 0);
    assert_int_equal(fstatat(home, "mbox", &named, 0), 0);
    assert_int_equal(ours.st_ino, named.st_ino);
    mbox_drop_lock(mbox);
    assert_int_equal(unlinkat(home, "mbox", 0), 0);
    mbox->make = false;
    assert_false(mbox_take_lock(mbox, LOCKS, 0, &err));
    assert_int_equal(err.code, ENOENT);
    assert_int_not_equal(faccessat(home, "mbox.lock", F_OK, 0), 0);
    mbox_free(mbox);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(reading), T(long_lines), T(entries_read_back), T(removing), T(marking_seen),
        T(announcing_keywords), T(a_rewrite_that_broke_off), T(journal), T(dotlocks),
        T(an_mbox_that_grows_keeps_its_lock), T(each_kind_of_lock), T(others_see_our_lock),
        T(a_file_that_is_replaced),
    };

    return cmocka_run_group_tests_name("mbox files", tests, NULL, NULL);
}
