#include "lda/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lda/envelope.h"
#include "lda/mail/message.h"
#include "sieve/sieve.h"

static struct envelope envelope = {.user = "u@x", .sender = "s@y", .recipient = "u+d@x",
                                   .original_recipient = "alias@x"};
static const struct plan_policy policy = {.keep_mailbox = "INBOX", .user = "u@x",
                                          .redirect_sender = "sender", .postmaster = "pm@x",
                                          .redirect_hops = 3};
static const struct sieve_mail mail = {.text = "Subject: x\n\n", .length = 12,
                                       .envelope_from = "",
                                       .envelope_to = (const char *const[]){"s@y", NULL}};

#define KEEP {.kind = SIEVE_ACTION_KEEP, .store = {.mailbox = "INBOX"}}
#define FILE_INTO(name) {.kind = SIEVE_ACTION_FILEINTO, .store = {.mailbox = name}}
#define DISCARD {.kind = SIEVE_ACTION_DISCARD}
#define REDIRECT(to) {.kind = SIEVE_ACTION_REDIRECT, .redirect = {.address = to}}
#define REJECT {.kind = SIEVE_ACTION_REJECT, .mail = &mail, .reject = {.reason = "no"}}
#define VACATION                                                                                   \
    {.kind = SIEVE_ACTION_VACATION, .mail = &mail,                                                 \
     .vacation = {.to = "s@y", .key = "k", .period_seconds = 86400}}

static struct plan *build(const struct sieve_action *actions, size_t count, const char *headers,
                          const struct plan_policy *with)
{
    const struct sieve_action *pointers[9] = {NULL};
    struct sieve_result result = {.actions = pointers, .action_count = count};

    for (size_t i = 0; i < count; i++)
        pointers[i] = &actions[i];
    AUTO_MESSAGE message = message_open_bytes(headers, strlen(headers), NULL);
    return plan_build(&result, &envelope, message_headers(message), with);
}

/* "INBOX Work | redirect:a@b" : what goes where. */
static char *describe(const struct plan *plan)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < plan->targets->len; i++) {
        const struct plan_target *target = plan->targets->pdata[i];

        g_string_append_printf(text, "%s%s", i > 0 ? " " : "", target->mailbox);
    }
    for (guint i = 0; i < plan->sends->len; i++) {
        const struct plan_send *send = plan->sends->pdata[i];

        g_string_append_printf(text, "|%s%s", send->id, send->after_commit ? " after" : "");
    }
    if (plan->discarded)
        g_string_append(text, "discarded");
    if (plan->refusal != NULL)
        g_string_append_printf(text, "refused: %s", plan->refusal);
    return g_string_free(text, FALSE);
}

static void actions_become_plans(void **state)
{
    static const struct {
        const char *name;
        struct sieve_action actions[4];
        size_t count;
        const char *headers;
        const char *want;
        bool by_status, replay;
    } rows[] = {
        {"keep", {KEEP}, 1, "", "INBOX"},
        {"no action at all is a keep", {KEEP}, 0, "", "INBOX"},
        {"fileinto", {FILE_INTO("INBOX.Work")}, 1, "", "Work"},
        {"two ways to write one mailbox", {FILE_INTO("INBOX.Work"), FILE_INTO("Work")}, 2, "", "Work"},
        {"keep and fileinto INBOX", {KEEP, FILE_INTO("INBOX")}, 2, "", "INBOX"},
        {"two mailboxes", {FILE_INTO("A"), KEEP}, 2, "", "A INBOX"},
        {"an impossible name goes to INBOX", {FILE_INTO("a..b")}, 1, "", "INBOX"},
        {"discard", {DISCARD}, 1, "", "discarded"},
        {"discard and fileinto", {DISCARD, FILE_INTO("A")}, 2, "", "A"},
        {"redirect", {REDIRECT("a@b")}, 1, "", "|redirect:a@b"},
        {"redirect twice to one address", {REDIRECT("a@b"), REDIRECT("A@b")}, 2, "", "|redirect:a@b"},
        {"redirect to two", {REDIRECT("a@b"), REDIRECT("c@d")}, 2, "",
         "|redirect:a@b|redirect:c@d"},
        {"redirect to oneself", {REDIRECT("U@x"), REDIRECT("a@b")}, 2, "", "INBOX|redirect:a@b"},
        {"redirected by this user before", {REDIRECT("a@b")}, 1, "X-Sieve-Redirected-From: u@x\n\n",
         "INBOX"},
        {"redirected by another user before", {REDIRECT("a@b")}, 1,
         "X-Sieve-Redirected-From: v@x\n\n", "|redirect:a@b"},
        {"redirected too often", {REDIRECT("a@b")}, 1,
         "X-Sieve-Redirected-From: 1@x\nX-Sieve-Redirected-From: 2@x\n"
         "X-Sieve-Redirected-From: 3@x\n\n", "INBOX"},
        {"reject by mail", {REJECT}, 1, "", "|reject"},
        {"reject by status", {REJECT}, 1, "", "refused: no", .by_status = true},
        {"vacation beside keep", {VACATION, KEEP}, 2, "", "INBOX|vacation:k after"},
        {"vacation alone keeps too", {VACATION}, 1, "", "INBOX|vacation:k after"},
        {"no vacation in a replay", {VACATION, KEEP}, 2, "", "INBOX", .replay = true},
        {"no rejection in a replay", {REJECT}, 1, "", "INBOX", .replay = true},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct plan_policy with = policy;

        with.reject_by_status = rows[i].by_status;
        with.replay = rows[i].replay;
        struct plan *plan = build(rows[i].actions, rows[i].count, rows[i].headers, &with);
        g_autofree char *got = describe(plan);
        if (strcmp(got, rows[i].want) != 0)
            fail_msg("%s: want '%s', got '%s'", rows[i].name, rows[i].want, got);
        plan_free(plan);
    }
}

static void minus_m_moves_keep_but_not_fileinto_inbox(void **state)
{
    struct plan_policy with = policy;
    struct sieve_action actions[] = {KEEP, FILE_INTO("INBOX")};

    (void)state;
    with.keep_mailbox = "Lists/C";
    struct plan *plan = build(actions, 2, "", &with);
    g_autofree char *got = describe(plan);
    assert_string_equal(got, "Lists.C INBOX");
    plan_free(plan);
}

static void flags_of_one_mailbox_add_up(void **state)
{
    struct sieve_action actions[] = {
        {.kind = SIEVE_ACTION_FILEINTO,
         .store = {.mailbox = "A", .flags = (const char *const[]){"\\Seen", "$x", NULL}}},
        {.kind = SIEVE_ACTION_FILEINTO,
         .store = {.mailbox = "A", .flags = (const char *const[]){"\\seen", "\\Flagged", NULL}}},
    };
    struct plan *plan = build(actions, 2, "", &policy);
    const struct plan_target *target = plan->targets->pdata[0];

    (void)state;
    assert_int_equal(plan->targets->len, 1);
    g_autofree char *flags = g_strjoinv(" ", (char **)target->flags->pdata);
    assert_string_equal(flags, "\\Seen $x \\Flagged");
    plan_free(plan);
}

static void an_edited_message_is_a_copy_of_its_own(void **state)
{
    AUTO_MESSAGE edited = message_open_bytes("A: b\n\n", 6, NULL);
    struct sieve_action actions[] = {
        {.kind = SIEVE_ACTION_FILEINTO, .message = edited, .store = {.mailbox = "A"}},
        FILE_INTO("A"),
    };
    struct plan *plan = build(actions, 2, "", &policy);

    (void)state;
    assert_int_equal(plan->targets->len, 2);
    plan_free(plan);
}

static void who_sends_a_redirect(void **state)
{
    static const struct {
        const char *how, *sender, *want;
    } rows[] = {
        {"sender", "s@y", "s@y"},       {"sender", "", ""},
        {"sender", NULL, "u@x"},        {"recipient", "s@y", "u+d@x"},
        {"orig_recipient", "s@y", "alias@x"}, {"user_email", "s@y", "u@x"},
        {"postmaster", "s@y", "pm@x"},  {"<fixed@z>", "s@y", "fixed@z"},
        {"<fixed@z>", "", ""}, /* a bounce stays a bounce */
    };
    struct sieve_action actions[] = {REDIRECT("a@b")};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct plan_policy with = policy;
        char *sender = envelope.sender;

        with.redirect_sender = rows[i].how;
        envelope.sender = (char *)rows[i].sender;
        struct plan *plan = build(actions, 1, "", &with);
        const struct plan_send *send = plan->sends->pdata[0];
        envelope.sender = sender;
        if (strcmp(send->from, rows[i].want) != 0)
            fail_msg("%s of %s: %s", rows[i].how, rows[i].sender, send->from);
        plan_free(plan);
    }
}

/* RFC 6009 6.1 and 7.1: they go to the owner of the script, whatever is configured. */
static void reports_asked_for_go_to_the_owner(void **state)
{
    static const struct sieve_redirect rows[] = {
        {.address = "a@b", .dsn_notify = "NEVER"},
        {.address = "a@b", .dsn_ret = "HDRS"},
        {.address = "a@b", .by_time = "600"},
    };
    static const char *const settings[] = {"sender", "postmaster", "<fixed@z>"};

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(settings); j++) {
            struct sieve_action action = {.kind = SIEVE_ACTION_REDIRECT, .redirect = rows[i]};
            struct plan_policy with = policy;
            char *sender = envelope.sender;

            with.redirect_sender = settings[j];
            struct plan *plan = build(&action, 1, "", &with);
            assert_string_equal(((struct plan_send *)plan->sends->pdata[0])->from, "u@x");
            plan_free(plan);
            envelope.sender = (char *)"";
            plan = build(&action, 1, "", &with);
            envelope.sender = sender;
            assert_string_equal(((struct plan_send *)plan->sends->pdata[0])->from, "");
            plan_free(plan);
        }
    }
}

static void what_the_mta_refuses_is_kept(void **state)
{
    struct sieve_action actions[] = {REDIRECT("a@b"), REDIRECT("c@d")};
    struct plan *plan = build(actions, 2, "", &policy);

    (void)state;
    plan_keep_instead(plan, 0, &policy);
    g_autofree char *got = describe(plan);
    assert_string_equal(got, "INBOX|redirect:c@d");
    g_autofree char *summary = plan_summary(plan);
    assert_string_equal(summary, "saved mail to INBOX, forwarded to <c@d>");
    plan_free(plan);
}

static void a_vacation_is_remembered(void **state)
{
    struct sieve_action actions[] = {VACATION};
    struct plan *plan = build(actions, 1, "", &policy);
    const struct plan_send *send = plan->sends->pdata[0];

    (void)state;
    assert_string_equal(send->memory_key, "k");
    assert_string_equal(send->memory_address, "s@y");
    assert_int_equal(send->memory_seconds, 86400);
    plan_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(actions_become_plans),
        cmocka_unit_test(minus_m_moves_keep_but_not_fileinto_inbox),
        cmocka_unit_test(flags_of_one_mailbox_add_up),
        cmocka_unit_test(an_edited_message_is_a_copy_of_its_own),
        cmocka_unit_test(who_sends_a_redirect),
        cmocka_unit_test(reports_asked_for_go_to_the_owner),
        cmocka_unit_test(what_the_mta_refuses_is_kept),
        cmocka_unit_test(a_vacation_is_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
