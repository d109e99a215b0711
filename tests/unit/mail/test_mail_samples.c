/* The messages of tests/data as a header row, a filter and a person see them. */
#include "lda/mail/address.h"
#include "lda/mail/date.h"
#include "lda/mail/message.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "testing.h"

static const struct {
    const char *file;
    const char *subject;
    const char *name;
    const char *address;
    int64_t utc;
    int zone;
    bool attachment;
    size_t parts;
    const char *text; /* in the text of one of them */
} samples[] = {
    {"plain.eml", "Lunch on Thursday", "Alice Example", "alice@example.com", 1737021753, 60, false,
     1, "in front of the library"},
    {"important.eml", "The contract", "Important Person", "important@example.com", 1737101700, 0,
     false, 1, "Monday – thank"},
    {"reply.eml", "Re: Lunch on Thursday", "Bob Example", "bob@example.org", 1737022801, 0, false,
     1, "Twelve is fine"},
    {"korean.eml", "1월 정기 회의 안내 드립니다", "홍길동", "hong@example.kr", 1737333000, 540,
     false, 1, "참석 여부를 알려 주세요"},
    {"korean-euckr.eml", "[공지] 펩시콜라 할인 행사 - 똠양꿍", "박영희", "park@example.co.kr",
     1737450312, 540, false, 1, "똠양꿍 & 볶음밥"},
    {"korean-raw-8bit.eml", "급히 확인 부탁드립니다", "이민수", "lee@example.kr", 1737507600, 540,
     false, 1, "첨부 없이"},
    {"japanese.eml", "会議の日程変更について", "山田太郎", "yamada@example.jp", 1737611110, 540,
     false, 1, "来週の月曜日"},
    {"german-attachment.eml", "Rechnung für März", "Jürgen Müller", "mueller@example.de",
     1741015200, 60, true, 3, "anbei die Rechnung über 100 €."},
    {"html-inline-image.eml", "Your order has shipped", "Example Shop", "news@shop.example.com",
     1738411200, -300, false, 5, "Your order 5521 has shipped."},
    {"signed.eml", "Release 2.1 is tagged", "Dana", "dana@example.net", 1738527105, 0, false, 3,
     "tag v2.1 is pushed"},
    {"mailing-list.eml", "[users] How do I search all folders?", "Erin via users",
     "users@lists.example.org", 1739190890, 60, false, 1, "search all folders at once"},
    {"bounce.eml", "Undelivered Mail Returned to Sender", "Mail Delivery System",
     "MAILER-DAEMON@mx.example.org", 1739242800, 0, false, 5, "550 5.1.1 No such user"},
    {"forwarded.eml", "Fwd: 회의 minutes", "Bob Example", "bob@example.org", 1739350800, 0, true, 4,
     "회의록을 보냅니다"},
};

static struct message *open_sample(const char *file)
{
    g_autofree char *path = g_build_filename(TEST_SOURCE_DIR, "tests/data", file, NULL);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct message *message;
    struct error err;

    assert_true(fd >= 0);
    message = message_open_fd(fd, NULL, &err);
    close(fd);
    assert_non_null(message);
    return message;
}

static void check_parts(struct message *message, size_t i)
{
    struct message_part *root;
    struct error err;
    size_t parts = 0;
    bool found = false;
    bool has;

    assert_true(message_mime(message, &root, &err));
    for (struct message_part *part = root; part != NULL; part = message_part_next(part, NULL)) {
        g_autofree char *text = NULL;

        parts++;
        assert_true(message_part_text(part, 10000, &text, &err));
        found = found || strstr(text, samples[i].text) != NULL;
    }
    if (parts != samples[i].parts || !found)
        fail_msg("%s: %zu parts, text found: %d", samples[i].file, parts, found);
    assert_true(message_has_attachment(message, &has, &err));
    if (has != samples[i].attachment)
        fail_msg("%s: attachment %d", samples[i].file, has);
}

static void test_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(samples); i++) {
        AUTO_MESSAGE message = open_sample(samples[i].file);
        struct headers *headers = message_headers(message);
        AUTO_ADDRESS_LIST from =
            address_list_parse(headers_get_raw(headers, "From"), 0, message_charsets(message));
        struct mail_date date;

        check_string(headers_get(headers, "Subject"), samples[i].subject, samples[i].file);
        assert_int_equal(from->count, 1);
        check_string(from->items[0].name, samples[i].name, samples[i].file);
        check_string(from->items[0].full, samples[i].address, samples[i].file);
        assert_true(date_parse(headers_get_raw(headers, "Date"), &date));
        if (date.utc != samples[i].utc || date.zone != samples[i].zone)
            fail_msg("%s: date %lld %d", samples[i].file, (long long)date.utc, date.zone);
        check_parts(message, i);
    }
}

static void test_group_and_filename(void **state)
{
    AUTO_MESSAGE forwarded = open_sample("forwarded.eml");
    AUTO_MESSAGE german = open_sample("german-attachment.eml");
    AUTO_ADDRESS_LIST to =
        address_list_parse(headers_get_raw(message_headers(forwarded), "To"), 0, NULL);
    struct message_part *root;
    struct error err;

    (void)state;
    assert_int_equal(to->count, 2);
    assert_string_equal(to->items[1].group, "Team");
    assert_string_equal(to->items[1].name, "Carol, C.");
    assert_true(message_mime(german, &root, &err));
    assert_string_equal(
        message_part_filename(message_part_next_sibling(message_part_first_child(root))),
        "Rechnung März.pdf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_group_and_filename),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
