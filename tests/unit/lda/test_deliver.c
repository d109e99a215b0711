/* The whole pipeline over a real disk and SQLite; sendmail is a script that writes down what it got. */
#include "lda/deliver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

struct fixture {
    char *dir, *home;
    struct config *config;
    struct site *site;
};

static char *at(const struct fixture *f, const char *name)
{
    return g_build_filename(f->dir, name, NULL);
}

static void put(const struct fixture *f, const char *path, const char *text)
{
    g_autofree char *name = at(f, path);
    g_autofree char *parent = g_path_get_dirname(name);

    g_mkdir_with_parents(parent, 0700);
    assert_true(g_file_set_contents(name, text, -1, NULL));
}

/* The file's text; NULL where there is none. */
static char *get(const struct fixture *f, const char *path)
{
    g_autofree char *name = at(f, path);
    char *text = NULL;

    g_file_get_contents(name, &text, NULL, NULL);
    return text;
}

static void set(struct fixture *f, const char *key, const char *value)
{
    struct error err;

    if (!config_set(f->config, key, value, &err))
        fail_msg("%s", err.text);
}

static void set_script(const struct fixture *f, const char *text)
{
    put(f, "mail/example.com/alice/.dovecot.sieve", text);
}

/* Each run of it leaves args.N and text.N; it ends with the status in the file "status". */
static void make_sendmail(struct fixture *f)
{
    g_autofree char *path = at(f, "sendmail");
    g_autofree char *script = g_strdup_printf(
        "#!/bin/sh\ncd '%s'\nn=$(ls | grep -c '^args')\necho \"$@\" >args.$n\ncat >text.$n\n"
        "status=$(cat status)\n[ $status = 0 ] || { rm args.$n text.$n; echo refused it >&2; }\n"
        "exit $status\n", f->dir);

    put(f, "sendmail", script);
    put(f, "status", "0");
    assert_int_equal(chmod(path, 0700), 0);
    set(f, "sendmail_path", path);
}

static int setup(void **state)
{
    struct fixture *f = g_new0(struct fixture, 1);
    struct db_options options = {.create = true};
    struct account account = {.address = ALICE};
    g_autofree char *uri = NULL;
    struct error err;
    struct db *db;
    int64_t id;

    f->dir = g_dir_make_tmp("vmail-deliver-XXXXXX", NULL);
    f->config = config_new();
    f->home = at(f, "mail/example.com/alice");
    g_autofree char *root = at(f, "mail");
    g_mkdir_with_parents(root, 0700);
    uri = g_strdup_printf("sqlite:%s/mail/vmail.db", f->dir);
    set(f, "vmail_root", root);
    set(f, "hostname", "mx.example.com");
    make_sendmail(f);
    if (!db_open(uri, &options, &db, &err) ||
        !store_migrate(db, TEST_SOURCE_DIR "/schema", NULL, NULL, &err) ||
        !account_add(db, &account, &id, &err))
        fail_msg("%s", err.text);
    db_close(db);
    f->site = site_new(f->config);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->dir);

    site_free(f->site);
    config_free(f->config);
    g_free(f->home);
    g_free(f->dir);
    g_free(f);
    return g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL) ? 0 : 1;
}

/* ------------------------------------------------------------------ delivering and looking */

struct answer {
    bool good;
    enum deliver_outcome outcome;
    struct error err;
    char summary[200];
    char notes[2000];
    char plan[4000];
};

static struct answer run(struct fixture *f, const char *message, const char *sender,
                         const char *queue_id, const struct deliver_options *options)
{
    static const struct deliver_options standard = {.mailbox = NULL};
    struct envelope envelope = {.user = g_strdup(ALICE), .sender = g_strdup(sender),
                                .queue_id = g_strdup(queue_id)};
    struct deliver_result result;
    struct answer answer = {.good = false};
    AUTO_FD fd = memfd_create("message", MFD_CLOEXEC);

    assert_true(io_write(fd, message, strlen(message), "memory", &answer.err));
    lseek(fd, 0, SEEK_SET);
    error_clear(&answer.err);
    assert_true(envelope_normalise(&envelope, &answer.err));
    answer.good = deliver(f->site, &envelope, fd, options == NULL ? &standard : options, &result,
                          &answer.err);
    answer.outcome = result.outcome;
    g_strlcpy(answer.summary, result.summary == NULL ? "" : result.summary, sizeof answer.summary);
    g_strlcpy(answer.plan, result.plan == NULL ? "" : result.plan, sizeof answer.plan);
    for (guint i = 0; i < result.notes->len; i++) {
        g_strlcat(answer.notes, result.notes->pdata[i], sizeof answer.notes);
        g_strlcat(answer.notes, "\n", sizeof answer.notes);
    }
    deliver_result_clear(&result);
    envelope_clear(&envelope);
    return answer;
}

#define FROM_BOB "From: bob@remote.example\nTo: alice@example.com\nMessage-ID: <m1@remote>\n"

static struct answer from_bob(struct fixture *f, const char *subject, const char *queue_id)
{
    g_autofree char *message = g_strdup_printf(FROM_BOB "Subject: %s\n\nhello\n", subject);

    return run(f, message, "bob@remote.example", queue_id, NULL);
}

static void want_good(const struct answer *answer)
{
    if (!answer->good)
        fail_msg("%s", answer->err.text);
}

static int64_t rows_in(struct fixture *f, const char *mailbox)
{
    struct db_value values[] = {db_text(mailbox)};
    int64_t count = -1;
    bool found;
    struct error err;
    struct db *db = site_db(f->site, &err);

    assert_non_null(db);
    if (!db_query_int(db, "SELECT COUNT(*) FROM email_headers WHERE mailbox = $1", values, 1,
                      &found, &count, &err))
        fail_msg("%s", err.text);
    return count;
}

static int files_in(const struct fixture *f, const char *folder)
{
    static const char *const subs[] = {"new", "cur", "tmp"};
    int count = 0;

    for (size_t i = 0; i < 3; i++) {
        g_autofree char *path = g_build_filename(f->home, folder, subs[i], NULL);
        GDir *dir = g_dir_open(path, 0, NULL);

        while (dir != NULL && g_dir_read_name(dir) != NULL)
            count++;
        if (dir != NULL)
            g_dir_close(dir);
    }
    return count;
}

static void want_stored(struct fixture *f, const char *mailbox, const char *folder, int count)
{
    if (rows_in(f, mailbox) != count || files_in(f, folder) != count)
        fail_msg("%s: want %d, rows %d, files %d", mailbox, count, (int)rows_in(f, mailbox),
                 files_in(f, folder));
}

/* ------------------------------------------------------------------ the tests */

static void keep_fileinto_discard(void **state)
{
    struct fixture *f = *state;
    struct deliver_options lists = {.mailbox = "Lists"};

    struct answer answer = from_bob(f, "plain", NULL);
    want_good(&answer);
    assert_string_equal(answer.summary, "saved mail to INBOX");
    want_stored(f, "INBOX", ".", 1);

    set_script(f, "require \"fileinto\";\n"
                  "if header :contains \"subject\" \"work\" { fileinto \"INBOX.중요\"; }\n"
                  "elsif header :contains \"subject\" \"spam\" { discard; }\n");
    answer = from_bob(f, "work", NULL);
    want_good(&answer);
    assert_string_equal(answer.summary, "stored mail into mailbox '중요'");
    want_stored(f, "중요", ".&yRHGlA-", 1);
    answer = from_bob(f, "spam", NULL);
    want_good(&answer);
    assert_int_equal(answer.outcome, DELIVER_DISCARDED);
    assert_string_equal(answer.summary, "discarded mail");
    answer = run(f, FROM_BOB "\nx\n", "bob@remote.example", NULL, &lists);
    want_good(&answer);
    want_stored(f, "Lists", ".Lists", 1);
    want_stored(f, "INBOX", ".", 1);
}

static void a_broken_script_keeps(void **state)
{
    struct fixture *f = *state;

    set_script(f, "keep;\nnonsense;\n");
    struct answer answer = from_bob(f, "x", NULL);
    want_good(&answer);
    want_stored(f, "INBOX", ".", 1);
    assert_non_null(strstr(answer.notes, "line 2"));
    g_autofree char *log = get(f, "mail/example.com/alice/.dovecot.sieve.log");
    assert_non_null(log);
    assert_non_null(strstr(log, "line 2"));
}

static void dry_run_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct deliver_options dry = {.dry_run = true};
    struct deliver_options explain = {.explain = true};

    struct answer answer = run(f, FROM_BOB "\nx\n", "", NULL, &dry);
    want_good(&answer);
    assert_non_null(strstr(answer.plan, "store in 'INBOX'"));
    assert_false(g_file_test(f->home, G_FILE_TEST_EXISTS));
    set_script(f, "if true { redirect \"x@y.example\"; }\n");
    answer = run(f, FROM_BOB "\nx\n", "", NULL, &explain);
    want_good(&answer);
    assert_non_null(strstr(answer.plan, "redirect to <x@y.example>"));
    assert_non_null(strstr(answer.plan, ":1:")); /* the trace has lines */
    g_autofree char *arguments = get(f, "args.0");
    assert_null(arguments);
}

static void redirect(void **state)
{
    struct fixture *f = *state;

    set_script(f, "redirect \"carol@other.example\";\n");
    struct answer answer = run(f, "Return-Path: <old@x>\n" FROM_BOB "Subject: s\n\nbody\n",
                               "bob@remote.example", "Q1", NULL);
    want_good(&answer);
    assert_int_equal(answer.outcome, DELIVER_DISCARDED);
    assert_string_equal(answer.summary, "forwarded to <carol@other.example>");
    g_autofree char *arguments = get(f, "args.0");
    g_autofree char *text = get(f, "text.0");
    assert_string_equal(arguments, "-i -f bob@remote.example -- carol@other.example\n");
    assert_string_equal(text, "X-Sieve-Redirected-From: alice@example.com\n"
                              "Delivered-To: alice@example.com\n" FROM_BOB
                              "Subject: s\n\nbody\n");
    want_stored(f, "INBOX", ".", 0);
    /* the MTA's second try does not send it again */
    answer = run(f, "Return-Path: <old@x>\n" FROM_BOB "Subject: s\n\nbody\n",
                 "bob@remote.example", "Q1", NULL);
    want_good(&answer);
    assert_int_equal(answer.outcome, DELIVER_DUPLICATE);
    g_autofree char *second = get(f, "args.1");
    assert_null(second);
}

static void redirect_that_cannot_leave_now(void **state)
{
    struct fixture *f = *state;

    set_script(f, "require [\"copy\"]; redirect :copy \"carol@other.example\";\n");
    put(f, "status", "75");
    struct answer answer = from_bob(f, "x", "Q2");
    assert_false(answer.good);
    assert_int_equal(answer.err.kind, ERROR_TEMPORARY);
    assert_non_null(strstr(answer.err.text, "ended with status 75: refused it"));
    want_stored(f, "INBOX", ".", 0);
    put(f, "status", "0");
    answer = from_bob(f, "x", "Q2");
    want_good(&answer);
    want_stored(f, "INBOX", ".", 1);
    g_autofree char *arguments = get(f, "args.0");
    assert_non_null(arguments);
}

static void redirect_that_is_refused_for_good(void **state)
{
    struct fixture *f = *state;

    set_script(f, "redirect \"carol@other.example\";\n");
    put(f, "status", "67");
    struct answer answer = from_bob(f, "x", "Q3");
    want_good(&answer);
    assert_int_equal(answer.outcome, DELIVER_STORED);
    assert_string_equal(answer.summary, "saved mail to INBOX");
    assert_non_null(strstr(answer.notes, "cannot send redirect:carol@other.example"));
    want_stored(f, "INBOX", ".", 1);
}

static void a_loop_of_redirects_is_kept(void **state)
{
    struct fixture *f = *state;

    set_script(f, "redirect \"carol@other.example\";\n");
    struct answer answer = run(f, "X-Sieve-Redirected-From: alice@example.com\n" FROM_BOB "\nx\n",
                               "bob@remote.example", NULL, NULL);
    want_good(&answer);
    want_stored(f, "INBOX", ".", 1);
    assert_non_null(strstr(answer.notes, "this user has redirected it before"));
}

static void reject(void **state)
{
    struct fixture *f = *state;
    struct deliver_options by_status = {.reject_by_status = true};

    set_script(f, "require \"reject\"; reject \"no\\r\\nthanks\";\n");
    struct answer answer = from_bob(f, "x", NULL);
    want_good(&answer);
    g_autofree char *arguments = get(f, "args.0");
    g_autofree char *text = get(f, "text.0");
    assert_string_equal(arguments, "-i -f <> -- bob@remote.example\n");
    assert_non_null(strstr(text, "Auto-Submitted: auto-replied"));
    assert_non_null(strstr(text, "thanks"));
    want_stored(f, "INBOX", ".", 0);
    answer = run(f, FROM_BOB "\nx\n", "bob@remote.example", NULL, &by_status);
    assert_false(answer.good);
    assert_int_equal(answer.err.kind, ERROR_REFUSED);
    assert_non_null(strstr(answer.err.text, "thanks"));
    g_autofree char *second = get(f, "args.1");
    assert_null(second);
}

static void vacation_once_in_its_period(void **state)
{
    struct fixture *f = *state;

    set_script(f, "require \"vacation\"; vacation :days 7 \"휴가 중입니다\";\n");
    struct answer answer = from_bob(f, "x", NULL);
    want_good(&answer);
    want_stored(f, "INBOX", ".", 1);
    g_autofree char *arguments = get(f, "args.0");
    g_autofree char *text = get(f, "text.0");
    assert_non_null(arguments);
    assert_non_null(strstr(arguments, "-- bob@remote.example"));
    assert_non_null(strstr(text, "Auto-Submitted: auto-replied"));
    assert_non_null(strstr(text, "In-Reply-To: <m1@remote>"));
    answer = from_bob(f, "y", NULL);
    want_good(&answer);
    want_stored(f, "INBOX", ".", 2);
    assert_non_null(strstr(answer.notes, "it got one within the period"));
    g_autofree char *second = get(f, "args.1");
    assert_null(second);
    /* another correspondent gets his own */
    answer = run(f, "From: dan@remote.example\nTo: alice@example.com\n\nx\n", "dan@remote.example",
                 NULL, NULL);
    want_good(&answer);
    g_autofree char *third = get(f, "args.1");
    assert_non_null(third);
}

static void a_vacation_that_cannot_leave_costs_nothing(void **state)
{
    struct fixture *f = *state;

    set_script(f, "require \"vacation\"; vacation \"away\";\n");
    put(f, "status", "75");
    struct answer answer = from_bob(f, "x", NULL);
    want_good(&answer);
    want_stored(f, "INBOX", ".", 1);
    assert_non_null(strstr(answer.notes, "status 75"));
}

static void nobody_answers_bounces_and_lists(void **state)
{
    static const struct {
        const char *headers, *sender;
    } rows[] = {
        {"", ""}, /* the null sender */
        {"List-Id: <l.example>\n", "bob@remote.example"},
        {"Precedence: bulk\n", "bob@remote.example"},
        {"Auto-Submitted: auto-replied\n", "bob@remote.example"},
        {"", "owner-list@remote.example"},
        {"", "MAILER-DAEMON@remote.example"},
        {"", "alice@example.com"}, /* oneself */
    };
    struct fixture *f = *state;

    set_script(f, "require \"vacation\"; vacation \"away\";\n");
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *message = g_strconcat(rows[i].headers, FROM_BOB "\nx\n", NULL);
        struct answer answer = run(f, message, rows[i].sender, NULL, NULL);
        g_autofree char *arguments = get(f, "args.0");

        want_good(&answer);
        if (arguments != NULL)
            fail_msg("row %zu was answered: %s", i, arguments);
    }
    want_stored(f, "INBOX", ".", G_N_ELEMENTS(rows));
}

static void twice_with_and_without_queue_id(void **state)
{
    struct fixture *f = *state;
    struct deliver_options once = {.once = true};
    struct answer answer;

    for (int i = 0; i < 2; i++) {
        answer = from_bob(f, "same", "Q9");
        want_good(&answer);
    }
    assert_int_equal(answer.outcome, DELIVER_DUPLICATE);
    want_stored(f, "INBOX", ".", 1);
    for (int i = 0; i < 2; i++) {
        answer = from_bob(f, "same", NULL);
        want_good(&answer);
    }
    want_stored(f, "INBOX", ".", 3);
    for (int i = 0; i < 2; i++) {
        answer = run(f, FROM_BOB "\nonce\n", "", NULL, &once);
        want_good(&answer);
    }
    want_stored(f, "INBOX", ".", 4);
}

/* A file below the home that is too long is no fault of the message: the mail waits, it is not returned. */
static void a_reason_from_below_defers(void **state)
{
    struct fixture *f = *state;
    static const char message[] = FROM_BOB "Subject: s\n\nbody\n";
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, message, -1);
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    const char *parts[] = {"Q1", ALICE, digest, ""};
    g_autofree char *marks = g_strnfill(2 * 1024 * 1024, 'x');

    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
        g_checksum_update(checksum, (const guchar *)parts[i], (gssize)strlen(parts[i]) + 1);
    g_autofree char *path = g_strdup_printf("mail/example.com/alice/vmail-pending/%s.sent",
                                            g_checksum_get_string(checksum));
    struct answer answer = from_bob(f, "makes the home", NULL);
    want_good(&answer);
    set_script(f, "redirect \"carol@other.example\";\n");
    put(f, path, marks);
    answer = run(f, message, "bob@remote.example", "Q1", NULL);
    assert_false(answer.good);
    assert_non_null(strstr(answer.err.text, "larger than"));
    assert_int_equal(answer.err.kind, ERROR_TEMPORARY);
}

/* What a replay asks for. */
static void replayed(void **state)
{
    struct fixture *f = *state;
    static const char *const flags[] = {"\\Seen", "$work", NULL};
    struct deliver_options options = {.once = true, .replay = true, .mailbox = "Old",
                                      .no_script = true, .flags = flags};
    struct deliver_options dry = options;
    struct answer answer;

    dry.dry_run = true;
    set_script(f, "discard;\n");
    for (int i = 0; i < 2; i++) {
        answer = run(f, FROM_BOB "\nx\n", "", NULL, &dry);
        want_good(&answer);
        assert_int_equal(answer.outcome, i == 0 ? DELIVER_STORED : DELIVER_DUPLICATE);
        answer = run(f, FROM_BOB "\nx\n", "", NULL, &options);
        want_good(&answer);
        assert_int_equal(answer.outcome, i == 0 ? DELIVER_STORED : DELIVER_DUPLICATE);
    }
    want_stored(f, "Old", ".Old", 1);
    g_autofree char *keywords = get(f, "mail/example.com/alice/.Old/dovecot-keywords");
    assert_string_equal(keywords, "0 $work\n");
    options.mailbox = "Other"; /* a copy in another folder is another one */
    answer = run(f, FROM_BOB "\nx\n", "", NULL, &options);
    want_good(&answer);
    want_stored(f, "Other", ".Other", 1);
    /* with its queue id, whatever pipe(8) made of the recipient's case */
    struct deliver_options queued = {.replay = true, .no_script = true};
    for (int i = 0; i < 2; i++) {
        answer = run(f, i == 0 ? "Delivered-To: Alice@Example.com\n" FROM_BOB "\nq\n"
                               : FROM_BOB "\nq\n", "", "4Xy", &queued);
        want_good(&answer);
        assert_int_equal(answer.outcome, i == 0 ? DELIVER_STORED : DELIVER_DUPLICATE);
    }
    want_stored(f, "INBOX", ".", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_reason_from_below_defers, setup, teardown),
        cmocka_unit_test_setup_teardown(replayed, setup, teardown),
        cmocka_unit_test_setup_teardown(keep_fileinto_discard, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broken_script_keeps, setup, teardown),
        cmocka_unit_test_setup_teardown(dry_run_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(redirect, setup, teardown),
        cmocka_unit_test_setup_teardown(redirect_that_cannot_leave_now, setup, teardown),
        cmocka_unit_test_setup_teardown(redirect_that_is_refused_for_good, setup, teardown),
        cmocka_unit_test_setup_teardown(a_loop_of_redirects_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(reject, setup, teardown),
        cmocka_unit_test_setup_teardown(vacation_once_in_its_period, setup, teardown),
        cmocka_unit_test_setup_teardown(a_vacation_that_cannot_leave_costs_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nobody_answers_bounces_and_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(twice_with_and_without_queue_id, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
