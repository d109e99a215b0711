#include "lda/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* A file with @text; the caller frees the name and removes it. */
static char *write_file(const char *text)
{
    char *path = strdup("/tmp/vmail-config-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static bool load(struct config *config, const char *text, struct error *err)
{
    char *path = write_file(text);
    bool good = config_load(config, path, err);

    unlink(path);
    free(path);
    return good;
}

static void every_default_is_a_value_of_its_type(void **state)
{
    struct config *config = config_new();
    struct error err;

    (void)state;
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const struct config_entry *entry = config_entry_of((enum config_key)i);

        assert_non_null(entry->name);
        assert_non_null(entry->help);
        assert_int_equal(entry->help[strlen(entry->help) - 1], '.');
        if (!config_set(config, entry->name, entry->standard, &err))
            fail_msg("%s: %s", entry->name, err.text);
    }
    config_free(config);
}

static void numbers(void **state)
{
    static const struct {
        enum config_type type;
        const char *text;
        int64_t want; /* -1: refused */
    } rows[] = {
        {CONFIG_COUNT, "5", 5},          {CONFIG_COUNT, "", -1},
        {CONFIG_COUNT, "5k", -1},        {CONFIG_COUNT, "-1", -1},
        {CONFIG_SIZE, "10", 10},         {CONFIG_SIZE, "10K", 10240},
        {CONFIG_SIZE, "1 GB", 1 << 30},  {CONFIG_SIZE, "3x", -1},
        {CONFIG_SIZE, "1.5M", -1},       {CONFIG_SIZE, "99999999999999999999", -1},
        {CONFIG_SIZE, "9999999999T", -1}, {CONFIG_DURATION, "90", 90},
        {CONFIG_DURATION, "5m", 300},    {CONFIG_DURATION, "2 hours", 7200},
        {CONFIG_DURATION, "7d", 604800}, {CONFIG_DURATION, "1w", 604800},
        {CONFIG_DURATION, "5m30s", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t got = 0;
        bool good = config_parse_number(rows[i].type, rows[i].text, &got);

        if (good != (rows[i].want >= 0) || (good && got != (uint64_t)rows[i].want))
            fail_msg("'%s': %s %llu", rows[i].text, good ? "taken" : "refused",
                     (unsigned long long)got);
    }
}

static void a_file(void **state)
{
    struct config *config = config_new();
    struct error err;

    (void)state;
    assert_true(load(config,
                     "# a comment\n"
                     "vmail_root = /srv/mail\n"
                     "\n"
                     "user_query = SELECT id, email\n"
                     "   FROM users\n"
                     "# in between\n"
                     "   WHERE email = $1\n"
                     "hostname=\"mx1.example.org\"\n"
                     "delivery_timeout = 2m\r\n"
                     "mailboxes = Sent, Drafts Trash\n"
                     "mailbox_autocreate = No\n"
                     "sieve_max_redirects = 7\n"
                     "log_target = stderr", &err));
    assert_string_equal(config_text(config, CONFIG_USER_QUERY),
                        "SELECT id, email FROM users WHERE email = $1");
    assert_string_equal(config_text(config, CONFIG_DATABASE), "sqlite:/srv/mail/vmail.db");
    assert_string_equal(config_text(config, CONFIG_POSTMASTER_ADDRESS),
                        "postmaster@mx1.example.org");
    assert_int_equal(config_number(config, CONFIG_DELIVERY_TIMEOUT), 120);
    assert_false(config_bool(config, CONFIG_MAILBOX_AUTOCREATE));
    assert_string_equal(config_extra(config, "sieve_max_redirects"), "7");
    assert_null(config_extra(config, "sieve_other"));
    assert_string_equal(config_text(config, CONFIG_LOG_TARGET), "stderr");

    char word[6];
    assert_true(config_word(config, CONFIG_MAILBOXES, 1, word, sizeof word));
    assert_string_equal(word, "Draft"); /* cut to the buffer */
    assert_true(config_word(config, CONFIG_MAILBOXES, 2, word, sizeof word));
    assert_string_equal(word, "Trash");
    assert_false(config_word(config, CONFIG_MAILBOXES, 3, word, sizeof word));

    /* what names another value follows it */
    assert_true(config_set_option(config, "vmail_root=/elsewhere", &err));
    assert_string_equal(config_text(config, CONFIG_DATABASE), "sqlite:/elsewhere/vmail.db");
    assert_string_equal(config_origin(config, CONFIG_VMAIL_ROOT), "-o");
    assert_string_equal(config_origin(config, CONFIG_SIEVE), "default");
    config_free(config);
}

static void what_is_refused(void **state)
{
    static const struct {
        const char *text;
        const char *want; /* in the sentence */
    } rows[] = {
        {"vmail_rooot = /x\n", ":1: unknown key vmail_rooot"},
        {"\n\nlog_debug = maybe\n", ":3: log_debug = maybe: must be yes or no"},
        {"vmail_root = mail\n", "must be an absolute path"},
        {"mail_format = mh\n", "must be one of maildir|mbox"},
        {"mail_format = \n", "must be one of maildir|mbox"},
        {"delivery_timeout = soon\n", "must be a time such as"},
        {"just words\n", ":1: 'just words': must be key = value"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config *config = config_new();
        struct error err;

        if (load(config, rows[i].text, &err))
            fail_msg("taken: %s", rows[i].text);
        assert_int_equal(err.kind, ERROR_CONFIG);
        if (strstr(err.text, rows[i].want) == NULL)
            fail_msg("%s: %s", rows[i].want, err.text);
        config_free(config);
    }
}

static void a_missing_file(void **state)
{
    struct config *config = config_new();
    struct error err;

    (void)state;
    assert_false(config_read(config, "/nonexistent/vmail.conf", &err));
    assert_int_equal(err.kind, ERROR_CONFIG);
    assert_non_null(strstr(err.text, "/nonexistent/vmail.conf"));
    config_free(config);
}

/* The example must name every key, with its default, and no other. */
static void the_example_is_complete(void **state)
{
    struct config *config = config_new();
    struct error err;
    char line[1024];
    bool seen[CONFIG_KEYS] = {false};
    FILE *file = fopen(TEST_SOURCE_DIR "/vmail.conf.example", "r");

    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "#", 1) != 0 || line[1] == ' ' || strchr(line, '=') == NULL)
            continue;
        line[strcspn(line, "\n")] = '\0';
        if (!config_set_option(config, line + 1, &err))
            fail_msg("%s", err.text);
        for (int i = 0; i < CONFIG_KEYS; i++) {
            const struct config_entry *entry = config_entry_of((enum config_key)i);
            size_t length = strlen(entry->name);

            if (strncmp(line + 1, entry->name, length) != 0 || line[1 + length] != ' ')
                continue;
            if (seen[i])
                fail_msg("%s stands twice", entry->name);
            seen[i] = true;
            const char *value = line + 1 + length + strspn(line + 1 + length, " =");
            if (i != CONFIG_SCHEMA_DIR && strcmp(value, entry->standard) != 0)
                fail_msg("%s: the example says '%s', the default is '%s'", entry->name, value,
                         entry->standard);
        }
    }
    fclose(file);
    for (int i = 0; i < CONFIG_KEYS; i++)
        if (!seen[i])
            fail_msg("%s is missing", config_entry_of((enum config_key)i)->name);
    config_free(config);
}

static void the_manual_names_every_key(void **state)
{
    FILE *file = fopen(TEST_SOURCE_DIR "/docs/vmail.conf.5", "r");
    char text[65536];

    (void)state;
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    for (int i = 0; i < CONFIG_KEYS; i++)
        if (strstr(text, config_entry_of((enum config_key)i)->name) == NULL)
            fail_msg("%s is not in vmail.conf.5", config_entry_of((enum config_key)i)->name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_default_is_a_value_of_its_type),
        cmocka_unit_test(numbers),
        cmocka_unit_test(a_file),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(a_missing_file),
        cmocka_unit_test(the_example_is_complete),
        cmocka_unit_test(the_manual_names_every_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
