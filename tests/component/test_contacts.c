/*
 * The address book in both databases: folding, ranking, groups, what an application writes beside
 * us; and vCard and CSV as programs of the field write them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <glib.h>

#include "database.h"
#include "store/contacts.h"

static struct test_database *database;
static struct db *db;

static int start(void **state)
{
    (void)state;
    test_sql(db, "DELETE FROM contact_group_members; DELETE FROM contact_groups; "
                 "DELETE FROM contacts");
    return 0;
}

static int64_t add(const char *name, const char *email)
{
    struct error err = { 0 };
    int64_t id = 0;

    if (!contacts_add(db, 1, name, email, "manual", &id, &err))
        fail_msg("%s: %s", email, err.text);
    return id;
}

/* Addresses of an array, "a b c". */
static char *emails_of(GPtrArray *contacts)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < contacts->len; i++)
        g_string_append_printf(text, "%s%s", i ? " " : "",
                               ((const struct contact *)contacts->pdata[i])->email);
    g_ptr_array_unref(contacts);
    return g_string_free(text, FALSE);
}

static void expect_found(const char *words, const char *want)
{
    GPtrArray *contacts;
    struct error err = { 0 };
    g_autofree char *got = NULL;

    if (!contacts_find(db, 1, words, 0, &contacts, &err))
        fail_msg("%s: %s", words, err.text);
    got = emails_of(contacts);
    if (strcmp(got, want) != 0)
        fail_msg("%s: found \"%s\", want \"%s\"", words, got, want);
}

static bool known(const char *group, const char *email)
{
    struct error err = { 0 };
    bool yes = false;

    if (!contacts_known(db, 1, group, email, &yes, &err))
        fail_msg("%s", err.text);
    return yes;
}

/* The address as it is written in the address book; NULL: not in it. */
static char *spelled(const char *group, const char *email)
{
    struct error err = { 0 };
    char *address = NULL;

    if (!contacts_find_address(db, 1, group, email, &address, &err))
        fail_msg("%s", err.text);
    return address;
}

static const struct {
    const char *email, *want; /* NULL: no address */
} addresses[] = {
    { "Kim@Corp.EXAMPLE", "kim@corp.example" },
    { " kim@corp.example ", "kim@corp.example" },
    { "kim@xn--3e0b707e.example", "kim@한국.example" },
    { "kim@한국.EXAMPLE", "kim@한국.example" },
    { "JÜRGEN@x.example", "jürgen@x.example" },
    { "\"a@b\"@x.example", "\"a@b\"@x.example" },
    { "kim", NULL },
    { "@x.example", NULL },
    { "kim@", NULL },
    { "a b@x.example", NULL },
    { "a\n@x.example", NULL },
    { "<kim@x.example>", NULL },
    { "a,b@x.example", NULL },
    { "a\xff@x.example", NULL },
    { "", NULL },
};

static void test_fold(void **state)
{
    g_autofree char *long_local = g_strnfill(400, 'a');
    g_autofree char *long_address = g_strconcat(long_local, "@x.example", NULL);

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++) {
        g_autofree char *got = contacts_fold_address(addresses[i].email);

        if (g_strcmp0(got, addresses[i].want) != 0)
            fail_msg("%s: got %s", addresses[i].email, got ? got : "NULL");
    }
    assert_null(contacts_fold_address(long_address));
}

static void test_duplicates_fold(void **state)
{
    int64_t first = add("", "Kim@Corp.example");
    struct error err = { 0 };
    g_autofree char *name = NULL;

    (void)state;
    assert_int_equal(add("김철수", "kim@corp.EXAMPLE"), first);
    assert_int_equal(add("", "kim@corp.example"), first);
    name = test_sql_text(db, "SELECT contact_name FROM contacts");
    assert_string_equal(name, "김철수");
    assert_int_equal(add("Han", "h@xn--3e0b707e.example"), add("Han", "h@한국.example"));
    assert_int_equal(test_sql_int(db, "SELECT count(*) FROM contacts"), 2);
    assert_false(contacts_add(db, 1, "x", "no address", "manual", NULL, &err));
    assert_int_equal(err.kind, ERROR_USAGE);
    /* another user's book is another book */
    assert_true(contacts_add(db, 2, "x", "kim@corp.example", "manual", NULL, &err));
    assert_int_equal(test_sql_int(db, "SELECT count(*) FROM contacts"), 3);
    assert_true(known(NULL, "KIM@corp.example"));
    assert_false(known(NULL, "other@corp.example"));
    assert_false(known(NULL, "no address"));
}

static void test_uses(void **state)
{
    struct error err = { 0 };
    g_autofree char *last = NULL;

    (void)state;
    add("Kim", "kim@x.example");
    assert_true(contacts_note_use(db, 1, "Other Name", "KIM@x.example", "sent", 1700000000, &err));
    assert_true(contacts_note_use(db, 1, NULL, "kim@x.example", "sent", 1600000000, &err));
    assert_true(contacts_note_use(db, 1, "박", "park@x.example", "sent", 1700000000, &err));
    last = test_sql_text(db, "SELECT contact_name || ' ' || use_count || ' ' || source FROM contacts "
                             "WHERE contact_email = 'kim@x.example'");
    assert_string_equal(last, "Kim 2 manual");
    assert_int_equal(test_sql_int(db, "SELECT count(*) FROM contacts WHERE last_used = "
                                      "'2023-11-14 22:13:20'"), 2);
    assert_int_equal(test_sql_int(db, "SELECT count(*) FROM contacts WHERE source = 'sent'"), 1);
}

static void test_find(void **state)
{
    int64_t now = g_get_real_time() / G_USEC_PER_SEC;
    struct error err = { 0 };

    (void)state;
    add("김철수", "kim@corp.example");
    add("김영희", "yh@home.example");
    add("Müller, Jürgen", "jm@de.example");
    add("", "shop@xn--3e0b707e.example");
    add("100%_off", "deal@spam.example");
    expect_found("김", "yh@home.example kim@corp.example");
    expect_found("ㄱㅊㅅ", "kim@corp.example");
    expect_found("ㄱㅇ", "yh@home.example");
    expect_found("ㅊㅅ", "kim@corp.example");
    expect_found("JÜRGEN", "jm@de.example");
    expect_found("müller de.ex", "jm@de.example");
    expect_found("한국", "shop@xn--3e0b707e.example");
    expect_found("%", "deal@spam.example");
    expect_found("_", "deal@spam.example");
    expect_found("'", "");
    expect_found("zzz", "");
    /* used more, and lately, comes first; long ago counts little */
    for (int i = 0; i < 3; i++)
        assert_true(contacts_note_use(db, 1, NULL, "kim@corp.example", "sent", now, &err));
    for (int i = 0; i < 5; i++)
        assert_true(contacts_note_use(db, 1, NULL, "yh@home.example", "sent",
                                      now - 3 * 365 * 86400, &err));
    expect_found("김", "kim@corp.example yh@home.example");
    {
        g_autofree char *megabyte = g_strnfill(1 << 20, 'a');
        GPtrArray *contacts;

        assert_false(contacts_find(db, 1, megabyte, 0, &contacts, &err));
        assert_int_equal(err.kind, ERROR_USAGE);
        assert_false(contacts_find(db, 1, "\xff", 0, &contacts, &err));
    }
}

static void test_edit_and_remove(void **state)
{
    int64_t kim = add("Kim", "kim@x.example");
    struct error err = { 0 };
    g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, kim);

    (void)state;
    add("Lee", "lee@x.example");
    assert_true(contacts_edit(db, 1, id, "Kim C.", NULL, &err));
    assert_true(contacts_edit(db, 1, "KIM@x.example", NULL, "Kim@New.example", &err));
    expect_found("kim", "Kim@New.example");
    assert_true(known(NULL, "kim@new.example"));
    assert_false(known(NULL, "kim@x.example"));
    assert_false(contacts_edit(db, 1, id, NULL, "LEE@x.example", &err));
    assert_int_equal(err.kind, ERROR_USAGE);
    /* his own address in another spelling is no clash */
    assert_true(contacts_edit(db, 1, id, NULL, "KIM@NEW.example", &err));
    assert_false(contacts_edit(db, 1, "nobody@x.example", "x", NULL, &err));
    assert_false(contacts_remove(db, 2, id, &err)); /* another user's */
    assert_true(contacts_remove(db, 1, id, &err));
    expect_found("", "lee@x.example");
    assert_false(contacts_remove(db, 1, id, &err));
}

static void test_groups(void **state)
{
    struct error err = { 0 };
    GPtrArray *groups;

    (void)state;
    add("Kim", "kim@x.example");
    add("Lee", "lee@x.example");
    assert_true(contacts_group_add(db, 1, "친구", "KIM@x.example", &err));
    assert_true(contacts_group_add(db, 1, "친구", "kim@x.example", &err));
    assert_true(contacts_group_add(db, 1, "친구", "lee@x.example", &err));
    assert_true(contacts_group_add(db, 1, "Work", "lee@x.example", &err));
    assert_true(contacts_group_add(db, 1, "work", "kim@x.example", &err));
    assert_false(contacts_group_add(db, 1, "Work", "nobody@x.example", &err));
    assert_false(contacts_group_add(db, 1, " ", "kim@x.example", &err));
    assert_true(contacts_group_list(db, 1, &groups, &err));
    assert_int_equal(groups->len, 2);
    g_ptr_array_unref(groups);
    expect_found("친구", "kim@x.example lee@x.example");
    assert_true(known("친구", "kim@x.example"));
    assert_true(known("WORK", "lee@x.example"));
    assert_false(known("친구", "other@x.example"));
    g_autofree char *lee = spelled("work", "LEE@X.example");
    assert_string_equal(lee, "lee@x.example");
    assert_null(spelled("친구", "lee@nowhere.example"));
    assert_null(spelled(NULL, "no address"));
    assert_false(known("none", "kim@x.example"));
    assert_true(contacts_group_remove(db, 1, "work", "kim@x.example", &err));
    assert_false(contacts_group_remove(db, 1, "work", "kim@x.example", &err));
    assert_true(contacts_group_remove(db, 1, "Work", "lee@x.example", &err));
    assert_int_equal(test_sql_int(db, "SELECT count(*) FROM contact_groups"), 1);
    assert_true(contacts_remove(db, 1, "kim@x.example", &err));
    assert_int_equal(test_sql_int(db, "SELECT count(*) FROM contact_group_members"), 1);
}

/* Applications know the mission's four columns only. */
static void test_beside_an_application(void **state)
{
    struct error err = { 0 };

    (void)state;
    test_sql(db, "INSERT INTO contacts (user_id, contact_name, contact_email) VALUES "
                 "(1, 'App', 'App@X.example'), (1, NULL, NULL), (1, 'twice', 'app@x.example')");
    expect_found("app", "App@X.example app@x.example");
    assert_true(known(NULL, "APP@x.example"));
    /* adopted, not doubled */
    add("", "app@x.example");
    assert_int_equal(test_sql_int(db, "SELECT count(*) FROM contacts"), 3);
    assert_int_equal(
        test_sql_int(db, "SELECT count(*) FROM contacts WHERE address_key = 'app@x.example'"), 1);
    /* it changes an address of ours: known under the new one at once */
    add("Kim", "kim@x.example");
    test_sql(db, "UPDATE contacts SET contact_email = 'Kim2@X.example' "
                 "WHERE contact_email = 'kim@x.example'");
    assert_true(known(NULL, "kim2@x.example"));
    assert_false(known(NULL, "kim@x.example"));
    assert_true(contacts_note_use(db, 1, NULL, "kim2@x.example", "sent", 1700000000, &err));
    assert_int_equal(test_sql_int(db, "SELECT count(*) FROM contacts"), 4);
}

static const char vcards[] =
    "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:김 철수\r\nN:김;철수;;;\r\n"
    "EMAIL;TYPE=INTERNET,HOME:kim@x.example\r\nitem1.EMAIL;type=WORK:Kim@Work.example\r\n"
    "CATEGORIES:친구,Work\\, old\r\nPHOTO;ENCODING=b;TYPE=JPEG:AAAA\r\n BBBB\r\nEND:VCARD\r\n"
    "BEGIN:VCARD\nVERSION:4.0\nFN:Lee\\, B.\nEMAIL;PREF=1:lee@x.exa\n mple\nEND:VCARD\n"
    "BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=EB=B0=95;=\n=EB=AF=BC\n"
    "EMAIL;INTERNET:park@x.example\nEND:VCARD\n"
    "BEGIN:VCARD\nVERSION:4.0\nFN:No Address\nEND:VCARD\n"
    "BEGIN:VCARD\nVERSION:4.0\nFN:Bad\nEMAIL:not an address\nEND:VCARD\n"
    "BEGIN:VCARD\nFN:never ended\nEMAIL:x@x.example\n";

static void test_vcard(void **state)
{
    struct contacts_import counts;
    struct error err = { 0 };
    g_autofree char *names = NULL, *four = NULL, *three = NULL, *again = NULL;

    (void)state;
    assert_true(contacts_import(db, 1, CONTACTS_VCARD4, vcards, strlen(vcards), &counts, &err));
    assert_int_equal(counts.added, 4);
    assert_int_equal(counts.known, 0);
    assert_int_equal(counts.skipped, 3);
    expect_found("김", "Kim@Work.example kim@x.example");
    expect_found("친구", "Kim@Work.example kim@x.example");
    expect_found("old", "Kim@Work.example kim@x.example");
    expect_found("lee", "lee@x.example");
    names = test_sql_text(db, "SELECT contact_name FROM contacts WHERE contact_email = "
                              "'park@x.example'");
    assert_string_equal(names, "박민");
    assert_true(contacts_import(db, 1, CONTACTS_VCARD4, vcards, strlen(vcards), &counts, &err));
    assert_int_equal(counts.added, 0);
    assert_int_equal(counts.known, 4);
    /* out and in again: the same book */
    assert_true(contacts_export(db, 1, CONTACTS_VCARD4, &four, &err));
    assert_true(contacts_export(db, 1, CONTACTS_VCARD3, &three, &err));
    start(NULL);
    assert_true(contacts_import(db, 1, CONTACTS_VCARD3, three, strlen(three), &counts, &err));
    assert_int_equal(counts.added, 4);
    assert_int_equal(counts.skipped, 0);
    assert_true(contacts_export(db, 1, CONTACTS_VCARD4, &again, &err));
    assert_string_equal(again, four);
}

static void test_csv(void **state)
{
    static const struct {
        const char *name, *csv, *want;
    } files[] = {
        { "ours", "name,email,groups\r\n\"Kim, C.\",kim@x.example,\"a;b\"\r\n",
          "Kim, C. <kim@x.example> a b|" },
        { "Outlook", "First Name,Last Name,E-mail Address\r\nJane,Doe,jane@x.example\r\n",
          "Jane Doe <jane@x.example>|" },
        { "Google", "Name,Group Membership,E-mail 1 - Value,E-mail 2 - Value\n"
                    "박,친구 ::: * myContacts,p@x.example,p2@x.example\n",
          "박 <p@x.example> 친구|박 <p2@x.example> 친구|" },
        { "Thunderbird", "First Name,Last Name,Display Name,Nickname,Primary Email\n"
                         ",,Tom,,tom@x.example\n",
          "Tom <tom@x.example>|" },
        { "semicolons, quotes, newline", "\xef\xbb\xbfname;email\n\"a \"\"b\"\"\nc\";d@x.example\n",
          "a \"b\" c <d@x.example>|" },
        { "no heading", "Kim,kim@x.example\nlee,lee@x.example\n",
          "Kim <kim@x.example>|lee <lee@x.example>|" },
        { "CP949", "name,email\n\xb1\xe8,k@x.example\n", "김 <k@x.example>|" },
        { "UTF-16", "\xff\xfe" "a\0@\0x\0.\0y\0\n", NULL },
        { "empty", "", "" },
        { "one quote", "name,email\n\"abc", "" },
        { "NUL", "name,email\na\0b,c@x.example\n", NULL },
    };

    (void)state;
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        int64_t skipped;
        g_autoptr(GPtrArray) contacts = NULL;
        g_autoptr(GString) got = g_string_new(NULL);

        if (!files[i].want)
            continue;
        contacts = contacts_parse_csv(files[i].csv, strlen(files[i].csv), &skipped);
        for (guint k = 0; k < contacts->len; k++) {
            const struct contact *contact = contacts->pdata[k];
            g_autofree char *groups = g_strjoinv(" ", contact->groups);

            g_string_append_printf(got, "%s <%s>%s%s|", contact->name, contact->email,
                                   *groups ? " " : "", groups);
        }
        if (strcmp(got->str, files[i].want) != 0)
            fail_msg("%s: got %s", files[i].name, got->str);
    }
    {
        /* with NULs and in UTF-16: lengths count, not terminators */
        static const char nul[] = "name,email\na\0b,c@x.example\n";
        static const char wide[] = "\xff\xfe" "a\0@\0x\0.\0y\0\n\0";
        int64_t skipped;
        g_autoptr(GPtrArray) one = contacts_parse_csv(nul, sizeof nul - 1, &skipped);
        g_autoptr(GPtrArray) two = contacts_parse_csv(wide, sizeof wide - 1, &skipped);

        assert_int_equal(one->len, 1);
        assert_int_equal(two->len, 1);
        assert_string_equal(((struct contact *)two->pdata[0])->email, "a@x.y");
    }
}

/* A cell that begins like a formula must not be one in a spreadsheet. */
static void test_csv_formulas(void **state)
{
    g_autofree char *csv = NULL;
    struct error err = { 0 };

    (void)state;
    add("=HYPERLINK(\"http://x\")", "f@x.example");
    assert_true(contacts_export(db, 1, CONTACTS_CSV, &csv, &err));
    assert_non_null(strstr(csv, "\"'=HYPERLINK(\"\"http://x\"\")\",\"f@x.example\",\"\""));
}

static int run_on(enum db_kind kind, const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_fold, start),
        cmocka_unit_test_setup(test_duplicates_fold, start),
        cmocka_unit_test_setup(test_uses, start),
        cmocka_unit_test_setup(test_find, start),
        cmocka_unit_test_setup(test_edit_and_remove, start),
        cmocka_unit_test_setup(test_groups, start),
        cmocka_unit_test_setup(test_beside_an_application, start),
        cmocka_unit_test_setup(test_vcard, start),
        cmocka_unit_test_setup(test_csv, start),
        cmocka_unit_test_setup(test_csv_formulas, start),
    };
    int failed;

    (void)kind;
    db = test_database_connect(database);
    failed = cmocka_run_group_tests_name(name, tests, NULL, NULL);
    db_close(g_steal_pointer(&db));
    return failed;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return test_on_each_database("contacts", &database, run_on);
}
