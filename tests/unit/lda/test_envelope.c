#include "lda/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <glib.h>
#include <cmocka.h>

static void what_pipe_passes(void **state)
{
    static const struct {
        const char *name;
        const char *user, *sender, *recipient, *original;
        const char *want_user, *want_sender, *want_recipient, *want_original; /* user NULL: refused */
    } rows[] = {
        {"only a user", "a@B.example", NULL, NULL, NULL, "a@b.example", NULL, "a@b.example",
         "a@b.example"},
        {"brackets", "a@b.c", "<x@Y.z>", "<a+d@b.c>", "<alias@b.c>", "a@b.c", "x@y.z", "a+d@b.c",
         "alias@b.c"},
        {"null sender", "a@b.c", "<>", NULL, NULL, "a@b.c", "", "a@b.c", "a@b.c"},
        {"empty sender", "a@b.c", "", NULL, NULL, "a@b.c", "", "a@b.c", "a@b.c"},
        {"pipe's null sender", "a@b.c", "MAILER-DAEMON", NULL, NULL, "a@b.c", "", "a@b.c", "a@b.c"},
        {"a real one of that name", "a@b.c", "MAILER-DAEMON@x.y", NULL, NULL, "a@b.c",
         "MAILER-DAEMON@x.y", "a@b.c", "a@b.c"},
        {"a broken sender is none", "a@b.c", "x y@\nz", NULL, NULL, "a@b.c", "", "a@b.c", "a@b.c"},
        {"empty words are none", "a@b.c", NULL, "", "", "a@b.c", NULL, "a@b.c", "a@b.c"},
        {"no user", NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL},
        {"empty user", "", NULL, NULL, NULL, NULL, NULL, NULL, NULL},
        {"line break in a user", "a@b.c\nBcc: x", NULL, NULL, NULL, NULL, NULL, NULL, NULL},
        {"line break in a recipient", "a@b.c", NULL, "a@b.c\nBcc: x", NULL, "a@b.c", NULL, "a@b.c",
         "a@b.c"},
        {"quotes that pipe took away", "a@b.c", NULL, "a+x y@b.c", "x y@d.e", "a@b.c", NULL, "a@b.c",
         "a@b.c"},
        {"only the original is broken", "a@b.c", NULL, "a+x@b.c", "<>", "a@b.c", NULL, "a+x@b.c",
         "a+x@b.c"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct envelope envelope = {
            .user = g_strdup(rows[i].user),
            .sender = g_strdup(rows[i].sender),
            .recipient = g_strdup(rows[i].recipient),
            .original_recipient = g_strdup(rows[i].original),
        };
        struct error err;
        bool good = envelope_normalise(&envelope, &err);

        if (good != (rows[i].want_user != NULL))
            fail_msg("%s: %s", rows[i].name, good ? "taken" : err.text);
        if (!good)
            assert_int_equal(err.kind, ERROR_USAGE);
        if (good && (g_strcmp0(envelope.user, rows[i].want_user) != 0 ||
                     g_strcmp0(envelope.sender, rows[i].want_sender) != 0 ||
                     g_strcmp0(envelope.recipient, rows[i].want_recipient) != 0 ||
                     g_strcmp0(envelope.original_recipient, rows[i].want_original) != 0))
            fail_msg("%s: user %s sender %s recipient %s original %s", rows[i].name, envelope.user,
                     envelope.sender, envelope.recipient, envelope.original_recipient);
        envelope_clear(&envelope);
    }
}

static void dsn_parameters(void **state)
{
    static const struct {
        const char *parameter, *want; /* want NULL: not given; "!": another name */
    } rows[] = {
        {"ENVID=QQ314159", "QQ314159"},
        {"envid=a+2Bb", "a+2Bb"},
        {"ENVID=", NULL},
        {"ENVID=two words", NULL},
        {"ENVID=\xc3\xa4", NULL},
        {"RET=hdrs", "hdrs"},
        {"RET=SOME", NULL},
        {"NOTIFY=NEVER", "NEVER"},
        {"NOTIFY=SUCCESS,delay", "SUCCESS,delay"},
        {"NOTIFY=SUCCESS,NEVER", NULL},
        {"NOTIFY=SUCCESS,", NULL},
        {"ORCPT=rfc822;a@b", "rfc822;a@b"},
        {"ORCPT=a@b", NULL},
        {"BY=120;R", "!"},
        {"", "!"},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct envelope envelope = {.user = NULL};
        struct error err;
        bool good = envelope_set_dsn(&envelope, rows[i].parameter, &err);
        const char *found = envelope.dsn_notify != NULL  ? envelope.dsn_notify
                            : envelope.dsn_orcpt != NULL ? envelope.dsn_orcpt
                            : envelope.dsn_ret != NULL   ? envelope.dsn_ret
                                                         : envelope.dsn_envid;

        if (!good)
            found = "!";
        if (g_strcmp0(found, rows[i].want) != 0)
            fail_msg("%s: %s", rows[i].parameter, found);
        envelope_clear(&envelope);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_pipe_passes),
                                       cmocka_unit_test(dsn_parameters)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
