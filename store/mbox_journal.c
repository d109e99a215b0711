#include "store/mbox_journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/base/path.h"

#define WORD_LENGTH 8
#define BLOCK 512
#define RECORD_MAX (64 * 1024)
#define DIGEST_DIGITS 32

/* The first line, by state; all of one length, so that one replaces the other in place. */
static const char *const words[] = {"clean  \n", "append \n", "rewrite\n"};

void mbox_journal_init(struct mbox_journal *journal)
{
    *journal = (struct mbox_journal){
        .entries = g_array_new(FALSE, TRUE, sizeof(struct mbox_journal_entry)),
    };
}

void mbox_journal_release(struct mbox_journal *journal)
{
    g_clear_pointer(&journal->mailbox, g_free);
    g_clear_pointer(&journal->entries, g_array_unref);
}

/* ------------------------------------------------------------------ files */

int mbox_journal_open_dir(int home, bool make, struct error *err)
{
    return make ? path_make_dir(home, MBOX_JOURNAL_DIR, 0700, err)
                : path_open_dir(home, MBOX_JOURNAL_DIR, err);
}

char *mbox_journal_name(const char *mailbox, const char *suffix)
{
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, mailbox, -1);

    return g_strdup_printf("%.*s.%s", DIGEST_DIGITS, digest, suffix);
}

int mbox_journal_open(int dir, const char *mailbox, bool make, struct error *err)
{
    g_autofree char *name = mbox_journal_name(mailbox, "journal");
    AUTO_FD fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT && make) {
        fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 && !io_sync(dir, MBOX_JOURNAL_DIR, err))
            return -1;
    }
    if (fd < 0) {
        int code = errno;

        error_set_errno(err, ERROR_TEMPORARY, code, "cannot open the journal of mailbox %s",
                        mailbox);
        err->code = code;
    }
    return fd_steal(&fd);
}

/* ------------------------------------------------------------------ text */

/* Over all but the first line, and over what that line said when the record was written. */
static char *sum_of(enum mbox_journal_state state, const char *text, size_t length)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);

    g_checksum_update(checksum, (const guchar *)words[state], WORD_LENGTH);
    g_checksum_update(checksum, (const guchar *)text, (gssize)length);
    return g_strdup(g_checksum_get_string(checksum));
}

static GString *text_of(const struct mbox_journal *journal)
{
    GString *text = g_string_new(words[journal->state]);

    g_string_append_printf(text, "mailbox %s\nkey %s\noffset %lld\nend %lld\ntail %lld\n",
                           journal->mailbox, journal->key, (long long)journal->offset,
                           (long long)journal->end, (long long)journal->tail);
    for (guint i = 0; i < journal->entries->len; i++) {
        const struct mbox_journal_entry *entry =
            &g_array_index(journal->entries, struct mbox_journal_entry, i);

        g_string_append_printf(text, "entry %s %lld %s\n", entry->key,
                               (long long)entry->body_length, entry->body_digest);
    }

    g_autofree char *sum = sum_of(journal->state, text->str + WORD_LENGTH,
                                  text->len - WORD_LENGTH);

    g_string_append_printf(text, "sum %s\n", sum);
    while (text->len % BLOCK != 0)
        g_string_append_c(text, '\n');
    return text;
}

static void parse_entry(struct mbox_journal *journal, const char *value)
{
    g_auto(GStrv) parts = g_strsplit(value, " ", 3);
    struct mbox_journal_entry entry = {.body_length = 0};

    if (g_strv_length(parts) != 3)
        return;
    g_strlcpy(entry.key, parts[0], sizeof entry.key);
    entry.body_length = (off_t)g_ascii_strtoll(parts[1], NULL, 10);
    g_strlcpy(entry.body_digest, parts[2], sizeof entry.body_digest);
    g_array_append_val(journal->entries, entry);
}

static void parse_line(struct mbox_journal *journal, const char *line)
{
    const char *value = strchr(line, ' ');

    if (value == NULL)
        return;
    value++;
    if (g_str_has_prefix(line, "mailbox "))
        journal->mailbox = g_strdup(value);
    else if (g_str_has_prefix(line, "key "))
        g_strlcpy(journal->key, value, sizeof journal->key);
    else if (g_str_has_prefix(line, "offset "))
        journal->offset = (off_t)g_ascii_strtoll(value, NULL, 10);
    else if (g_str_has_prefix(line, "end "))
        journal->end = (off_t)g_ascii_strtoll(value, NULL, 10);
    else if (g_str_has_prefix(line, "tail "))
        journal->tail = (off_t)g_ascii_strtoll(value, NULL, 10);
    else if (g_str_has_prefix(line, "entry "))
        parse_entry(journal, value);
}

static enum mbox_journal_state state_of(const char *text)
{
    for (size_t i = MBOX_JOURNAL_APPEND; i < G_N_ELEMENTS(words); i++)
        if (strncmp(text, words[i], WORD_LENGTH) == 0)
            return (enum mbox_journal_state)i;
    return MBOX_JOURNAL_CLEAN;
}

/* An unfinished record counts only when it is whole. */
static bool is_whole(enum mbox_journal_state state, const char *text)
{
    const char *sum_line = strstr(text, "\nsum ");

    if (sum_line == NULL)
        return false;

    g_autofree char *sum = sum_of(state, text + WORD_LENGTH,
                                  (size_t)(sum_line + 1 - text) - WORD_LENGTH);

    return strncmp(sum_line + 5, sum, strlen(sum)) == 0;
}

static void parse(struct mbox_journal *journal, const char *text, size_t length)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    if (length <= WORD_LENGTH)
        return;
    journal->state = state_of(text);
    for (char **line = lines; *line != NULL && !g_str_has_prefix(*line, "sum "); line++)
        parse_line(journal, *line);
    if (journal->state != MBOX_JOURNAL_CLEAN &&
        (!is_whole(journal->state, text) || journal->mailbox == NULL))
        journal->state = MBOX_JOURNAL_CLEAN;
}

/* ------------------------------------------------------------------ records */

bool mbox_journal_read(int fd, struct mbox_journal *journal, struct error *err)
{
    AUTO_FREE char *text = NULL;
    size_t length;

    if (lseek(fd, 0, SEEK_SET) != 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read an mbox journal");
        return false;
    }
    if (!io_read_all(fd, RECORD_MAX, &text, &length, MBOX_JOURNAL_DIR, err))
        return false;
    mbox_journal_release(journal);
    mbox_journal_init(journal);
    parse(journal, text, length);
    return true;
}

static bool write_at_start(int fd, const char *text, size_t length, struct error *err)
{
    if (lseek(fd, 0, SEEK_SET) != 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot write an mbox journal");
        return false;
    }
    return io_write(fd, text, length, MBOX_JOURNAL_DIR, err);
}

bool mbox_journal_write(int fd, const struct mbox_journal *journal, struct error *err)
{
    g_autoptr(GString) text = text_of(journal);

    if (text->len > RECORD_MAX) {
        error_set(err, ERROR_TEMPORARY, "too many messages at once for mailbox %s",
                  journal->mailbox);
        return false;
    }
    return write_at_start(fd, text->str, text->len, err) && io_sync(fd, MBOX_JOURNAL_DIR, err);
}

bool mbox_journal_clear(int fd, struct error *err)
{
    return write_at_start(fd, words[MBOX_JOURNAL_CLEAN], WORD_LENGTH, err);
}

/* ------------------------------------------------------------------ all of a user */

static bool list_one(int dir, const char *name, const char *key, GPtrArray *mailboxes,
                     struct error *err)
{
    struct mbox_journal journal;
    struct error why = {0};
    AUTO_FD fd = path_open_file(dir, name, &why);
    bool ok;

    if (fd < 0) {
        if (why.code == ENOENT || why.code == ELOOP)
            return true;
        *err = why;
        return false;
    }
    mbox_journal_init(&journal);
    ok = mbox_journal_read(fd, &journal, err);
    if (ok && journal.mailbox != NULL && (key == NULL || strcmp(journal.key, key) == 0))
        g_ptr_array_add(mailboxes, g_strdup(journal.mailbox));
    mbox_journal_release(&journal);
    return ok;
}

bool mbox_journal_list(int home, const char *key, GPtrArray **ret_mailboxes, struct error *err)
{
    g_autoptr(GPtrArray) mailboxes = g_ptr_array_new_with_free_func(g_free);
    int fd = mbox_journal_open_dir(home, false, err);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    bool ok = true;

    if (dir == NULL) {
        if (fd >= 0) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read %s", MBOX_JOURNAL_DIR);
            close(fd);
            return false;
        }
        if (err->code != ENOENT)
            return false;
        error_clear(err);
        *ret_mailboxes = g_steal_pointer(&mailboxes);
        return true;
    }
    while (ok && (entry = readdir(dir)) != NULL)
        if (g_str_has_suffix(entry->d_name, ".journal"))
            ok = list_one(dirfd(dir), entry->d_name, key, mailboxes, err);
    closedir(dir);
    if (!ok)
        return false;
    *ret_mailboxes = g_steal_pointer(&mailboxes);
    return true;
}
