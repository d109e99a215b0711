#include "store/mbox_rewrite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "store/mbox.h"
#include "store/mbox_entry.h"
#include "store/mbox_journal.h"

/* A header beyond this is left as it is. */
#define HEADER_MAX (1024 * 1024)
/* Left in a changed header, for the next change to find room (Dovecot does the same). */
#define PADDING 50
#define IMAPBASE_MAX 900

void mbox_edit_clear(gpointer data)
{
    struct mbox_edit *edit = data;

    g_clear_pointer(&edit->text, g_free);
}

GArray *mbox_edits_new(void)
{
    GArray *edits = g_array_new(FALSE, TRUE, sizeof(struct mbox_edit));

    g_array_set_clear_func(edits, mbox_edit_clear);
    return edits;
}

void mbox_edits_remove(GArray *edits, const struct mbox_message *message)
{
    struct mbox_edit edit = {.offset = message->offset, .length = message->next - message->offset};

    g_array_append_val(edits, edit);
}

/* ------------------------------------------------------------------ headers */

/* The lines of a header, each with its "\n", the empty one at the end left out. */
static bool read_header(const struct mbox *mbox, off_t begin, off_t end, GPtrArray **ret_lines,
                        bool *ret_possible, struct error *err)
{
    g_autofree char *text = NULL;
    size_t length = (size_t)(end - begin);
    GPtrArray *lines;

    *ret_possible = end > begin && end - begin <= HEADER_MAX;
    if (!*ret_possible)
        return true;
    text = g_malloc(length + 1);
    if (!io_read_at(mbox->fd, text, length, begin, mbox->path, err))
        return false;
    text[length] = '\0';
    /* an empty line ends it; NUL is in no header that we touch */
    *ret_possible = strlen(text) == length && text[length - 1] == '\n' &&
                    (length == 1 || text[length - 2] == '\n');
    if (!*ret_possible)
        return true;
    lines = g_ptr_array_new_with_free_func(g_free);
    for (char *at = text; *at != '\n' && *at != '\0';) {
        char *line_end = strchr(at, '\n');

        g_ptr_array_add(lines, g_strndup(at, (gsize)(line_end + 1 - at)));
        at = line_end + 1;
    }
    *ret_lines = lines;
    return true;
}

static int find_field(const GPtrArray *lines, const char *name)
{
    for (guint i = 0; i < lines->len; i++)
        if (mbox_line_is_field(lines->pdata[i], strlen(lines->pdata[i]), name, NULL))
            return (int)i;
    return -1;
}

static size_t total_length(const GPtrArray *lines)
{
    size_t length = 1;

    for (guint i = 0; i < lines->len; i++)
        length += strlen(lines->pdata[i]);
    return length;
}

/* Blanks at the end of the X-Keywords line are room: takes or gives some so that the header keeps its
 * length. Where that does not do, it leaves PADDING. */
static void keep_length(GPtrArray *lines, size_t wanted)
{
    int at = find_field(lines, "X-Keywords");
    size_t length = total_length(lines);

    if (at < 0 && wanted >= length && wanted - length < strlen("X-Keywords: \n")) {
        if (wanted == length)
            return;
    }
    if (at < 0) {
        g_ptr_array_add(lines, g_strdup("X-Keywords: \n"));
        at = (int)lines->len - 1;
    }

    char *line = lines->pdata[at];
    size_t filled = strlen(line) - 1;

    while (filled > 0 && line[filled - 1] == ' ')
        filled--;

    size_t bare = total_length(lines) - strlen(line) + filled + 1;
    size_t blanks = bare <= wanted ? wanted - bare : PADDING;
    g_autofree char *padding = g_strnfill(blanks, ' ');

    lines->pdata[at] = g_strdup_printf("%.*s%s\n", (int)filled, line, padding);
    g_free(line);
}

static void add_header_edit(GArray *edits, off_t begin, off_t end, GPtrArray *lines)
{
    GString *text = g_string_new(NULL);
    struct mbox_edit edit = {.offset = begin, .length = end - begin};

    keep_length(lines, (size_t)(end - begin));
    for (guint i = 0; i < lines->len; i++)
        g_string_append(text, lines->pdata[i]);
    g_string_append_c(text, '\n');
    edit.text_length = text->len;
    edit.text = g_string_free(text, FALSE);
    g_array_append_val(edits, edit);
}

/* ------------------------------------------------------------------ flags */

bool mbox_edits_seen(GArray *edits, const struct mbox *mbox, const struct mbox_message *message,
                     bool seen, bool *ret_possible, struct error *err)
{
    g_autoptr(GPtrArray) lines = NULL;
    g_autoptr(GString) marks = g_string_new(seen ? "R" : "");

    if (!read_header(mbox, message->header, message->body, &lines, ret_possible, err))
        return false;
    if (!*ret_possible)
        return true;
    for (int at; (at = find_field(lines, "Status")) >= 0;) {
        const char *value = strchr(lines->pdata[at], ':') + 1;

        for (const char *p = value; *p != '\0'; p++)
            if (*p != 'R' && g_ascii_isgraph(*p) && strchr(marks->str, *p) == NULL)
                g_string_append_c(marks, *p);
        g_ptr_array_remove_index(lines, (guint)at);
    }
    if (marks->len > 0)
        g_ptr_array_add(lines, g_strdup_printf("Status: %s\n", marks->str));
    add_header_edit(edits, message->header, message->body, lines);
    return true;
}

/* ------------------------------------------------------------------ keywords */

char *mbox_imapbase_new(const GPtrArray *keywords)
{
    GString *value = g_string_new(NULL);

    /* UIDVALIDITY and the last UID: ten digits, so that the number may grow in place */
    g_string_append_printf(value, "%lld %010d", (long long)time(NULL), 0);
    for (guint i = 0; i < keywords->len; i++)
        g_string_append_printf(value, " %s", (const char *)keywords->pdata[i]);
    return g_string_free(value, FALSE);
}

struct first {
    bool found;
    off_t header, body;
};

static bool take_first(const struct mbox_message *message, void *ctx, struct error *err)
{
    struct first *first = ctx;

    (void)err;
    first->found = true;
    first->header = message->header;
    first->body = message->body;
    return false;
}

/* The header of the first message; only the first message is read for it. */
static bool find_first(const struct mbox *mbox, struct first *ret_first, struct error *err)
{
    struct first first = {.found = false};
    struct error why = {0};

    /* the scan ends with the first message: its false is ours */
    if (!mbox_scan(mbox->fd, mbox->path, take_first, &first, &why) && !first.found) {
        *err = why;
        return false;
    }
    *ret_first = first;
    return true;
}

/* "X-IMAPbase: 1764402259 0000000003 work $label1" with what is missing of @keywords. NULL: all there. */
static char *extend_imapbase(const char *line, const GPtrArray *keywords)
{
    g_autofree char *stripped = g_strchomp(g_strdup(line));
    g_auto(GStrv) words = g_strsplit(stripped, " ", -1);
    g_autoptr(GString) longer = g_string_new(stripped);

    for (guint i = 0; i < keywords->len; i++) {
        bool known = false;

        for (char **word = words; *word != NULL && !known; word++)
            known = g_ascii_strcasecmp(*word, keywords->pdata[i]) == 0;
        if (!known)
            g_string_append_printf(longer, " %s", (const char *)keywords->pdata[i]);
    }
    if (longer->len == strlen(stripped))
        return NULL;
    g_string_append_c(longer, '\n');
    return g_strdup(longer->str);
}

bool mbox_edits_imapbase(GArray *edits, const struct mbox *mbox, const GPtrArray *keywords,
                         bool *ret_possible, struct error *err)
{
    g_autoptr(GPtrArray) lines = NULL;
    struct first first = {.found = false};
    char *line;
    int at;

    if (!find_first(mbox, &first, err))
        return false;
    *ret_possible = first.found;
    if (first.found && !read_header(mbox, first.header, first.body, &lines, ret_possible, err))
        return false;
    if (!*ret_possible)
        return true;
    at = find_field(lines, "X-IMAPbase");
    if (at < 0)
        at = find_field(lines, "X-IMAP");
    if (at >= 0) {
        line = extend_imapbase(lines->pdata[at], keywords);
        if (line == NULL)
            return true;
        g_free(lines->pdata[at]);
        lines->pdata[at] = line;
    } else {
        g_autofree char *value = mbox_imapbase_new(keywords);

        line = g_strdup_printf("X-IMAPbase: %s\n", value);
        g_ptr_array_insert(lines, 0, line);
    }
    *ret_possible = strlen(line) <= IMAPBASE_MAX;
    if (*ret_possible)
        add_header_edit(edits, first.header, first.body, lines);
    return true;
}

/* ------------------------------------------------------------------ in place */

static bool write_at(const struct mbox *mbox, off_t offset, const char *data, size_t length,
                     struct error *err)
{
    if (lseek(mbox->fd, offset, SEEK_SET) != offset) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot write mailbox %s", mbox->mailbox);
        return false;
    }
    return io_write(mbox->fd, data, length, mbox->path, err);
}

bool mbox_edits_keep_length(const GArray *edits)
{
    for (guint i = 0; i < edits->len; i++) {
        const struct mbox_edit *edit = &g_array_index(edits, struct mbox_edit, i);

        if (edit->length != (off_t)edit->text_length)
            return false;
    }
    return true;
}

static bool write_in_place(struct mbox *mbox, const GArray *edits, struct error *err)
{
    for (guint i = 0; i < edits->len; i++) {
        const struct mbox_edit *edit = &g_array_index(edits, struct mbox_edit, i);

        if (!write_at(mbox, edit->offset, edit->text, edit->text_length, err))
            return false;
    }
    return mbox_sync(mbox, err);
}

/* ------------------------------------------------------------------ by a tail file */

/* Copies @length bytes at @offset of @from to @to's position. */
static bool copy_range(int from, off_t offset, off_t length, int to, const char *name,
                       struct error *err)
{
    g_autofree char *buffer = g_malloc(65536);

    while (length > 0) {
        size_t piece = (size_t)MIN(length, (off_t)65536);

        if (!io_read_at(from, buffer, piece, offset, name, err) ||
            !io_write(to, buffer, piece, name, err))
            return false;
        offset += (off_t)piece;
        length -= (off_t)piece;
    }
    return true;
}

static bool write_tail(const struct mbox *mbox, const GArray *edits, off_t size, int tail,
                       struct error *err)
{
    off_t at = g_array_index(edits, struct mbox_edit, 0).offset;

    for (guint i = 0; i < edits->len; i++) {
        const struct mbox_edit *edit = &g_array_index(edits, struct mbox_edit, i);

        if (!copy_range(mbox->fd, at, edit->offset - at, tail, mbox->path, err) ||
            (edit->text_length > 0 &&
             !io_write(tail, edit->text, edit->text_length, mbox->path, err)))
            return false;
        at = edit->offset + edit->length;
    }
    return copy_range(mbox->fd, at, size - at, tail, mbox->path, err) &&
           io_sync(tail, mbox->path, err);
}

/* The mbox's end becomes the tail. */
static bool apply_tail(struct mbox *mbox, const struct mbox_journal *journal, int tail,
                       struct error *err)
{
    if (lseek(mbox->fd, journal->offset, SEEK_SET) != journal->offset) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot write mailbox %s", mbox->mailbox);
        return false;
    }
    return copy_range(tail, 0, journal->tail, mbox->fd, mbox->path, err) &&
           mbox_cut(mbox, journal->offset + journal->tail, err);
}

static bool rewrite_by_tail(struct mbox *mbox, const GArray *edits, int dir, int journal_fd,
                            struct error *err)
{
    g_autofree char *name = mbox_journal_name(mbox->mailbox, "tail");
    AUTO_FD tail = openat(dir, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct mbox_journal journal;
    struct error ignored;
    struct stat st;
    off_t size;
    bool ok;

    if (tail < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot create %s/%s", MBOX_JOURNAL_DIR, name);
        return false;
    }
    if (!mbox_size(mbox, &size, err) || !write_tail(mbox, edits, size, tail, err) ||
        !io_sync(dir, MBOX_JOURNAL_DIR, err) || fstat(tail, &st) < 0) {
        unlinkat(dir, name, 0);
        return false;
    }
    mbox_journal_init(&journal);
    journal.state = MBOX_JOURNAL_REWRITE;
    journal.mailbox = g_strdup(mbox->mailbox);
    journal.offset = g_array_index(edits, struct mbox_edit, 0).offset;
    journal.end = size;
    journal.tail = st.st_size;
    ok = mbox_journal_write(journal_fd, &journal, err) && apply_tail(mbox, &journal, tail, err);
    mbox_journal_release(&journal);
    if (!ok)
        return false; /* the journal brings it to its end */
    mbox_journal_clear(journal_fd, &ignored);
    unlinkat(dir, name, 0);
    return true;
}

static gint compare_edits(gconstpointer a, gconstpointer b)
{
    const struct mbox_edit *left = a, *right = b;

    return left->offset < right->offset ? -1 : left->offset > right->offset;
}

bool mbox_rewrite(int home, struct mbox *mbox, GArray *edits, struct error *err)
{
    g_array_sort(edits, compare_edits);
    if (edits->len == 0)
        return true;
    if (mbox_edits_keep_length(edits))
        return write_in_place(mbox, edits, err);

    off_t size;
    const struct mbox_edit *first = &g_array_index(edits, struct mbox_edit, 0);

    if (!mbox_size(mbox, &size, err))
        return false;
    /* the last message goes: nothing to move */
    if (edits->len == 1 && first->text_length == 0 && first->offset + first->length == size)
        return mbox_cut(mbox, first->offset, err);

    AUTO_FD dir = mbox_journal_open_dir(home, true, err);
    AUTO_FD journal = dir < 0 ? -1 : mbox_journal_open(dir, mbox->mailbox, true, err);

    return journal >= 0 && rewrite_by_tail(mbox, edits, dir, journal, err);
}

bool mbox_rewrite_again(int dir, struct mbox *mbox, const struct mbox_journal *journal,
                        bool *ret_done, struct error *err)
{
    g_autofree char *name = mbox_journal_name(mbox->mailbox, "tail");
    AUTO_FD tail = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    off_t size;

    *ret_done = false;
    if (tail < 0 && errno != ENOENT) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot open %s/%s", MBOX_JOURNAL_DIR, name);
        return false;
    }
    if (!mbox_size(mbox, &size, err))
        return false;
    if (tail < 0 || fstat(tail, &st) < 0 || st.st_size != journal->tail)
        return true;
    /* between the old size and the new one lies what a kill leaves; other sizes are somebody else's */
    if (size != journal->end && size != journal->offset + journal->tail &&
        (journal->offset + journal->tail < journal->end || size < journal->end ||
         size > journal->offset + journal->tail))
        return true;
    if (!apply_tail(mbox, journal, tail, err))
        return false;
    *ret_done = true;
    unlinkat(dir, name, 0);
    return true;
}
