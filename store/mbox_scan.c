#include "store/mbox_scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/base/path.h"
#include "store/line_reader.h"
#include "store/mbox.h"
#include "store/mbox_entry.h"

#define MAILBOXES_MAX 20000
#define DEPTH_MAX 32
/* As long as a From_ line may be that Content-Length leads to. */
#define PEEK_SIZE 512

struct scan {
    int fd;
    const char *name;
    mbox_found *found;
    void *ctx;
    struct line_reader *reader;
    GHashTable *seen;            /* key without suffix → how often */
    /* the message in hand */
    struct mbox_message message;
    bool open;                   /* there is one */
    bool in_header;
    bool in_state;               /* a state header, and its continuation lines */
    off_t content_length;        /* -1: none */
    GChecksum *checksum;         /* of the headers that stay */
    GString *key, *keywords, *letters;
    char last;                   /* the last byte before the line in hand */
    off_t last_offset;           /* where the line in hand ended */
};

/* ------------------------------------------------------------------ headers */

static char *value_of(const struct line *line, size_t at)
{
    return g_strstrip(g_strndup(line->text + at, line->length - at));
}

static void add_letters(struct scan *scan, const char *value, const char *marks,
                        const char *letters)
{
    for (const char *p = value; *p != '\0'; p++) {
        const char *mark = strchr(marks, *p);

        if (mark != NULL && strchr(scan->letters->str, letters[mark - marks]) == NULL)
            g_string_append_c(scan->letters, letters[mark - marks]);
    }
}

static void add_keywords(struct scan *scan, const char *value)
{
    g_auto(GStrv) words = g_strsplit_set(value, " \t", -1);

    for (char **word = words; *word != NULL; word++)
        if (**word != '\0' && g_utf8_validate(*word, -1, NULL))
            g_string_append_printf(scan->keywords, "%s%s", scan->keywords->len > 0 ? " " : "",
                                   *word);
}

static void take_state(struct scan *scan, const struct line *line)
{
    size_t at;
    g_autofree char *value = NULL;

    if (mbox_line_is_field(line->text, line->length, "Status", &at)) {
        value = value_of(line, at);
        add_letters(scan, value, "R", "S");
    } else if (mbox_line_is_field(line->text, line->length, "X-Status", &at)) {
        value = value_of(line, at);
        add_letters(scan, value, "AFTD", "RFDT");
    } else if (mbox_line_is_field(line->text, line->length, "X-Keywords", &at)) {
        value = value_of(line, at);
        add_keywords(scan, value);
    } else if (mbox_line_is_field(line->text, line->length, "Content-Length", &at)) {
        char *end;

        value = value_of(line, at);
        scan->content_length = (off_t)g_ascii_strtoll(value, &end, 10);
        if (end == value || *end != '\0' || scan->content_length < 0)
            scan->content_length = -1;
    }
}

static void take_key(struct scan *scan, const struct line *line)
{
    size_t at;
    g_autofree char *value = NULL;

    if (scan->key->len > 0 ||
        !mbox_line_is_field(line->text, line->length, MBOX_KEY_HEADER, &at))
        return;
    value = value_of(line, at);
    if (strlen(value) == MBOX_KEY_DIGITS && strspn(value, "0123456789abcdef") == MBOX_KEY_DIGITS)
        g_string_assign(scan->key, value);
}

static void take_header_line(struct scan *scan, const struct line *line)
{
    if (line->begins && line->text[0] != ' ' && line->text[0] != '\t') {
        scan->in_state = mbox_line_is_state(line->text, line->length);
        if (scan->in_state)
            take_state(scan, line);
        else
            take_key(scan, line);
    }
    if (scan->in_state)
        return;
    scan->message.size += (off_t)line->length;
    g_checksum_update(scan->checksum, (const guchar *)line->text, (gssize)line->length);
}

/* ------------------------------------------------------------------ messages */

static int compare_letters(gconstpointer a, gconstpointer b)
{
    return *(const char *)a - *(const char *)b;
}

/* Alike ones get a number behind the key. */
static void finish_key(struct scan *scan)
{
    gpointer times;

    if (scan->key->len == 0) {
        g_autofree char *length =
            g_strdup_printf("%lld", (long long)(scan->message.end - scan->message.body));

        g_checksum_update(scan->checksum, (const guchar *)length, -1);
        g_string_printf(scan->key, "h%.31s", g_checksum_get_string(scan->checksum));
    }
    times = g_hash_table_lookup(scan->seen, scan->key->str);
    g_hash_table_replace(scan->seen, g_strdup(scan->key->str),
                         GINT_TO_POINTER(GPOINTER_TO_INT(times) + 1));
    if (times != NULL)
        g_string_append_printf(scan->key, ".%d", GPOINTER_TO_INT(times) + 1);
}

/* The message in hand ends before @next; @separated: an "\n" before it belongs to neither. */
static bool end_message(struct scan *scan, off_t next, bool separated, struct error *err)
{
    struct mbox_message *message = &scan->message;

    if (!scan->open)
        return true;
    scan->open = false;
    message->next = next;
    if (scan->in_header)
        message->body = next;
    message->end = MAX(message->body, next - (separated ? 1 : 0));
    message->size += message->end - message->body;
    finish_key(scan);
    qsort(scan->letters->str, scan->letters->len, 1, compare_letters);
    message->key = scan->key->str;
    message->letters = scan->letters->str;
    message->keywords = scan->keywords->str;
    return scan->found(message, scan->ctx, err);
}

static void begin_message(struct scan *scan, const struct line *line, int64_t received_at)
{
    scan->message = (struct mbox_message){
        .offset = line->offset,
        .header = line->offset + (off_t)line->length,
        .received_at = received_at,
        .is_first = line->offset == 0,
    };
    scan->open = true;
    scan->in_header = true;
    scan->in_state = false;
    scan->content_length = -1;
    g_checksum_reset(scan->checksum);
    g_string_truncate(scan->key, 0);
    g_string_truncate(scan->keywords, 0);
    g_string_truncate(scan->letters, 0);
}

/* Does Content-Length lead to a From_ line or the end? Then the body need not be read. */
static void try_content_length(struct scan *scan)
{
    char text[PEEK_SIZE];
    off_t at = scan->message.body + scan->content_length;
    struct stat st;
    ssize_t length;

    if (scan->content_length < 0 || fstat(scan->fd, &st) < 0 || at > st.st_size)
        return;
    length = pread(scan->fd, text, sizeof text, at);
    if (length < 0)
        return;

    size_t skip = length > 0 && text[0] == '\n' ? 1 : 0;

    if ((size_t)length > skip && !mbox_line_is_from(text + skip, (size_t)length - skip, NULL))
        return;
    line_reader_seek(scan->reader, at + (off_t)skip);
    /* with skip, the "\n" passed over separates; without, none does */
    scan->last = skip > 0 ? '\n' : '\0';
    scan->last_offset = at + (off_t)skip;
}

static void end_header(struct scan *scan, const struct line *line)
{
    scan->in_header = false;
    scan->message.body = line->offset + (off_t)line->length;
    scan->message.size += (off_t)line->length;
    scan->last = '\0';
    scan->last_offset = scan->message.body;
    try_content_length(scan);
}

static bool take_line(struct scan *scan, const struct line *line, struct error *err)
{
    int64_t received_at;

    if (line->begins && line->text[0] == 'F' &&
        mbox_line_is_from(line->text, line->length, &received_at)) {
        if (!end_message(scan, line->offset, scan->last == '\n', err))
            return false;
        begin_message(scan, line, received_at);
    } else if (scan->open && scan->in_header && line->begins && line->text[0] == '\n') {
        end_header(scan, line);
        return true;
    } else if (scan->open && scan->in_header) {
        take_header_line(scan, line);
    }
    scan->last = line->text[line->length - 1];
    scan->last_offset = line->offset + (off_t)line->length;
    return true;
}

static bool run(struct scan *scan, struct error *err)
{
    struct line line;
    bool more;

    for (;;) {
        if (!line_reader_next(scan->reader, &line, &more, err))
            return false;
        if (!more)
            return end_message(scan, scan->last_offset, scan->last == '\n', err);
        if (!take_line(scan, &line, err))
            return false;
    }
}

bool mbox_scan(int fd, const char *name, mbox_found *found, void *ctx, struct error *err)
{
    return mbox_scan_from(fd, 0, name, found, ctx, err);
}

bool mbox_scan_from(int fd, off_t offset, const char *name, mbox_found *found, void *ctx,
                    struct error *err)
{
    struct scan scan = {.fd = fd, .name = name, .found = found, .ctx = ctx};
    bool ok;

    scan.reader = line_reader_new(fd, offset, name);
    scan.seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    scan.checksum = g_checksum_new(G_CHECKSUM_SHA256);
    scan.key = g_string_new(NULL);
    scan.keywords = g_string_new(NULL);
    scan.letters = g_string_new(NULL);
    ok = run(&scan, err);
    line_reader_free(scan.reader);
    g_hash_table_unref(scan.seen);
    g_checksum_free(scan.checksum);
    g_string_free(scan.key, TRUE);
    g_string_free(scan.keywords, TRUE);
    g_string_free(scan.letters, TRUE);
    return ok;
}

bool mbox_body_digest(int fd, const struct mbox_message *message, const char *name,
                      char ret_digest[65], struct error *err)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree char *buffer = g_malloc(65536);

    for (off_t at = message->body; at < message->end;) {
        size_t length = (size_t)MIN((off_t)65536, message->end - at);

        if (!io_read_at(fd, buffer, length, at, name, err))
            return false;
        g_checksum_update(checksum, (const guchar *)buffer, (gssize)length);
        at += (off_t)length;
    }
    g_strlcpy(ret_digest, g_checksum_get_string(checksum), 65);
    return true;
}

/* ------------------------------------------------------------------ all of a user */

static bool looks_like_mbox(int dir, const char *name)
{
    AUTO_FD fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char start[5];
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    return st.st_size == 0 || (pread(fd, start, 5, 0) == 5 && memcmp(start, "From ", 5) == 0);
}

static bool list_folder(int home, const char *path, int depth, GPtrArray *mailboxes,
                        struct error *err)
{
    int fd = path_open_dir(home, path, err);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    bool ok = true;

    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        if (fd >= 0 || (err->code != ENOENT && err->code != ENOTDIR && err->code != ELOOP))
            return false;
        error_clear(err);
        return true;
    }
    while (ok && (entry = readdir(dir)) != NULL) {
        g_autofree char *name = g_strdup_printf("%s/%s", path, entry->d_name);
        char *mailbox;
        struct stat st;

        if (entry->d_name[0] == '.' || mailboxes->len >= MAILBOXES_MAX ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
            ok = list_folder(home, name, depth + 1, mailboxes, err);
        else if (S_ISREG(st.st_mode) && mbox_path_to_mailbox(name, &mailbox)) {
            if (looks_like_mbox(dirfd(dir), entry->d_name))
                g_ptr_array_add(mailboxes, mailbox);
            else
                g_free(mailbox);
        }
    }
    closedir(dir);
    return ok;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool mbox_list(int home, GPtrArray **ret_mailboxes, struct error *err)
{
    g_autoptr(GPtrArray) mailboxes = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *inbox = mbox_path("INBOX");

    if (!list_folder(home, MBOX_FOLDERS, 0, mailboxes, err))
        return false;
    g_ptr_array_sort(mailboxes, compare_names);
    if (looks_like_mbox(home, inbox))
        g_ptr_array_insert(mailboxes, 0, g_strdup("INBOX"));
    *ret_mailboxes = g_steal_pointer(&mailboxes);
    return true;
}
