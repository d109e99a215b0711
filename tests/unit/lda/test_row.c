#include "lda/row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <glib.h>
#include <cmocka.h>

#include "lda/mail/message.h"
#include "store/store.h"

#define WHEN 1700000000

static void messages(void **state)
{
    static const struct {
        const char *name, *message;
        const char *subject, *sender, *recipient, *message_id, *refs;
        int64_t date;
        bool attachment;
    } rows[] = {
        {"a usual one",
         "From: =?utf-8?B?6rmA7LKg7IiY?= <kim@x.kr>\nTo: a@b\nSubject: =?utf-8?B?7ZqM7J2Y?=\n"
         "Date: Tue, 02 Jan 2024 03:04:05 +0900\nMessage-ID: <1@x>\n\nhi\n",
         "회의", "김철수 <kim@x.kr>", "a@b", "1@x", NULL, 1704132245, false},
        {"no header at all", "\nonly a body\n", NULL, NULL, "r@x", NULL, NULL, WHEN, false},
        {"threads",
         "References: <1@x> <2@x>\n <3@x>\nIn-Reply-To: <3@x>\nSubject: a\n b\n\n", "a b", NULL,
         "r@x", NULL, "1@x 2@x 3@x", WHEN, false},
        {"an absurd date", "Date: Fri, 31 Dec 1999999 23:59:59 +0000\nSubject: s\n\n", "s", NULL,
         "r@x", NULL, NULL, WHEN, false},
        {"a date far ahead", "Date: Fri, 31 Dec 2099 23:59:59 +0000\n\n", NULL, NULL, "r@x", NULL,
         NULL, WHEN, false},
        {"a broken message id", "Message-ID: no brackets\n\n", NULL, NULL, "r@x", "no brackets",
         NULL, WHEN, false},
        {"sender for from, several to", "Sender: s@x\nTo: a@b\nTo: c@d\n\n", NULL, "s@x",
         "a@b, c@d", NULL, NULL, WHEN, false},
        {"an attachment",
         "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"
         "Content-Type: application/pdf\nContent-Disposition: attachment; filename=x.pdf\n\nx\n"
         "--b--\n", NULL, NULL, "r@x", NULL, NULL, WHEN, true},
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        AUTO_MESSAGE message =
            message_open_bytes(rows[i].message, strlen(rows[i].message), NULL);
        struct header_row *row;
        struct error err;

        if (!row_new(message, "r@x", WHEN, &row, &err))
            fail_msg("%s: %s", rows[i].name, err.text);
        if (g_strcmp0(row->subject, rows[i].subject) != 0 ||
            g_strcmp0(row->sender, rows[i].sender) != 0 ||
            g_strcmp0(row->recipient, rows[i].recipient) != 0 ||
            g_strcmp0(row->message_id, rows[i].message_id) != 0 ||
            g_strcmp0(row->refs, rows[i].refs) != 0 || row->date != rows[i].date ||
            row->has_attachment != rows[i].attachment)
            fail_msg("%s: subject '%s' sender '%s' recipient '%s' id '%s' refs '%s' date %lld "
                     "attachment %d", rows[i].name, row->subject, row->sender, row->recipient,
                     row->message_id, row->refs, (long long)row->date, row->has_attachment);
        assert_non_null(row->search_document);
        row_free(row);
    }
}

static void received(void **state)
{
    static const char text[] =
        "Received: from a by b; Tue, 02 Jan 2024 03:04:05 +0900 (KST)\n"
        "Received: from c by a; Mon, 01 Jan 2024 00:00:00 +0000\n\n";
    AUTO_MESSAGE message = message_open_bytes(text, sizeof text - 1, NULL);
    AUTO_MESSAGE none = message_open_bytes("A: b\n\n", 6, NULL);

    (void)state;
    assert_int_equal(row_received_at(message), 1704132245);
    assert_int_equal(row_received_at(none), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(messages), cmocka_unit_test(received)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
