/* The messages of an mbox, one after the other, each copied into a file of its own. One pass. */
#include "lda/replay_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/child.h"
#include "lda/mail/address.h"
#include "store/line_reader.h"
#include "store/mbox_entry.h"

#define LOCK_TRIES 50
#define LOCK_PAUSE_US 100000
#define OUT_SIZE 65536
#define FLAGS_MAX 2048

struct mbox_walk {
    int fd;
    const char *name;
    const struct replay_sink *sink;
    off_t end;           /* of the file when we began: a message that begins behind it is not ours */
    struct stat seen;    /* the file as it was when we last looked */
    uint64_t number;     /* of the message, from 1 */
    bool stopped;        /* found() said that it is enough */
    /* the message in hand */
    int out;             /* its copy; -1: there is none */
    size_t length;       /* bytes in the buffer, not yet in the copy */
    bool in_header;
    bool dropping;       /* a header of state and its continuation lines */
    bool internal;       /* Dovecot's and UW's message that holds the mailbox's own data */
    bool blank;          /* the line before was empty… */
    bool held;           /* …and is not in the copy: it may be the one before the next From_ line */
    char *sender;        /* of the From_ line */
    GString *flags;
    char buffer[OUT_SIZE];
};

/* ------------------------------------------------------------------ the copy */

static bool flush(struct mbox_walk *walk, struct error *err)
{
    size_t length = walk->length;

    walk->length = 0;
    return io_write(walk->out, walk->buffer, length, "a temporary file", err);
}

static bool put(struct mbox_walk *walk, const char *data, size_t length, struct error *err)
{
    if (walk->length + length > OUT_SIZE && !flush(walk, err))
        return false;
    if (length > OUT_SIZE)
        return io_write(walk->out, data, length, "a temporary file", err);
    memcpy(walk->buffer + walk->length, data, length);
    walk->length += length;
    return true;
}

/* ------------------------------------------------------------------ header */

static void add_flag(struct mbox_walk *walk, const char *flag)
{
    if (walk->flags->len < FLAGS_MAX)
        g_string_append_printf(walk->flags, "%s%s", walk->flags->len > 0 ? " " : "", flag);
}

static void add_letters(struct mbox_walk *walk, const char *value, bool x_status)
{
    static const struct {
        char letter;
        bool x_status;
        const char *flag;
    } rows[] = {{'R', false, "\\Seen"},  {'A', true, "\\Answered"}, {'F', true, "\\Flagged"},
                {'T', true, "\\Draft"}, {'D', true, "\\Deleted"}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (rows[i].x_status == x_status && strchr(value, rows[i].letter) != NULL)
            add_flag(walk, rows[i].flag);
}

/* What the mailbox, not the sender, wrote: it changes from one look to the next. */
static bool take_state(struct mbox_walk *walk, const char *line, size_t length)
{
    size_t at;

    if (!mbox_line_is_state(line, length) &&
        !mbox_line_is_field(line, length, MBOX_KEY_HEADER, NULL))
        return false;
    if (mbox_line_is_field(line, length, "X-IMAP", NULL))
        walk->internal = true;
    if (mbox_line_is_field(line, length, "Status", &at) ||
        mbox_line_is_field(line, length, "X-Status", &at)) {
        g_autofree char *value = g_strndup(line + at, length - at);

        add_letters(walk, value, g_ascii_tolower(line[0]) == 'x');
    } else if (mbox_line_is_field(line, length, "X-Keywords", &at)) {
        g_autofree char *value = g_strndup(line + at, length - at);
        g_auto(GStrv) words = g_strsplit_set(value, " \t\r\n", -1);

        for (char **word = words; *word != NULL; word++)
            if (**word != '\0' && strlen(*word) <= 100 && g_utf8_validate(*word, -1, NULL))
                add_flag(walk, *word);
    }
    return true;
}

/* ------------------------------------------------------------------ lines */

/* ">From ", ">>From ": quoted by whoever appended it. */
static bool is_quoted(const char *line, size_t length)
{
    size_t marks = 0;

    while (marks < length && line[marks] == '>')
        marks++;
    return marks > 0 && length - marks >= 5 && memcmp(line + marks, "From ", 5) == 0;
}

static bool put_line(struct mbox_walk *walk, const struct line *line, struct error *err)
{
    const char *text = line->text;
    size_t length = line->length;
    bool empty = line->begins && (text[0] == '\n' || (length == 2 && text[0] == '\r'));

    if (walk->held && !put(walk, "\n", 1, err))
        return false;
    walk->held = empty && !walk->in_header;
    walk->blank = empty;
    if (line->begins && walk->in_header) {
        bool folded = text[0] == ' ' || text[0] == '\t';

        walk->in_header = !empty;
        if (!folded)
            walk->dropping = !empty && take_state(walk, text, length);
    } else if (line->begins && is_quoted(text, length)) {
        text++;
        length--;
    }
    return walk->held || walk->dropping || put(walk, text, length, err);
}

/* The sender of "From sender date"; NULL where it is no address. */
static char *sender_of(const struct line *line)
{
    size_t length = 5;
    g_autofree char *local = NULL;
    g_autofree char *domain = NULL;

    while (length < line->length && strchr(" \t\r\n", line->text[length]) == NULL)
        length++;
    g_autofree char *sender = g_strndup(line->text + 5, length - 5);
    if (g_ascii_strcasecmp(sender, "MAILER-DAEMON") == 0)
        return g_strdup("");
    if (!address_parse_path(sender, &local, &domain) || domain[0] == '\0')
        return NULL;
    return g_steal_pointer(&sender);
}

static bool begin_message(struct mbox_walk *walk, const struct line *line, struct error *err)
{
    walk->out = child_temporary_file(err);
    walk->number++;
    walk->in_header = true;
    walk->dropping = walk->internal = walk->blank = walk->held = false;
    walk->sender = sender_of(line);
    g_string_truncate(walk->flags, 0);
    return walk->out >= 0;
}

/* ------------------------------------------------------------------ messages */

/* It may have grown; a program that rewrote it moved what we read. */
static bool is_as_it_was(struct mbox_walk *walk, struct error *err)
{
    struct stat now;

    if (fstat(walk->fd, &now) < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot stat the mbox");
        return false;
    }
    bool touched = now.st_mtim.tv_sec != walk->seen.st_mtim.tv_sec ||
                   now.st_mtim.tv_nsec != walk->seen.st_mtim.tv_nsec;
    if (now.st_size < walk->seen.st_size || (touched && now.st_size == walk->seen.st_size)) {
        error_set(err, ERROR_TEMPORARY, "another program changed the mbox; run it again");
        return false;
    }
    walk->seen = now;
    return true;
}

/* Hands the message in hand over. An empty line before the next From_ line belongs to neither. */
static bool end_message(struct mbox_walk *walk, struct error *err)
{
    g_autofree char *name =
        g_strdup_printf("%s: message %" G_GUINT64_FORMAT, walk->name, walk->number);
    g_autofree char *sender = g_steal_pointer(&walk->sender);
    struct replay_job job = {.name = name, .sender = sender, .flags = walk->flags->str};
    AUTO_FD out = fd_steal(&walk->out);
    struct error why;

    if (out < 0)
        return true;
    walk->out = out;
    bool good = flush(walk, err) && is_as_it_was(walk, err);
    walk->out = -1;
    if (!good)
        return false;
    if (walk->internal) {
        error_set(&why, ERROR_BAD_DATA, "is the mailbox's own data, no mail");
        walk->sink->left(walk->sink->ctx, name, REPLAY_SKIPPED, &why);
        return true;
    }
    if (lseek(out, 0, SEEK_SET) < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read a temporary file");
        return false;
    }
    walk->stopped = !walk->sink->found(walk->sink->ctx, &job, out);
    return !walk->stopped;
}

static bool walk_lines(struct mbox_walk *walk, struct line_reader *reader, struct error *err)
{
    struct line line;
    bool more;

    for (;;) {
        if (!line_reader_next(reader, &line, &more, err))
            return false;
        if (!more || (line.begins && line.offset >= walk->end))
            return end_message(walk, err);
        bool separates = line.begins && (line.offset == 0 || walk->blank) &&
                         (line.offset == 0 || mbox_line_is_from(line.text, line.length, NULL));
        if (separates) {
            if (!end_message(walk, err) || !begin_message(walk, &line, err))
                return false;
        } else if (!put_line(walk, &line, err)) {
            return false;
        }
    }
}

/* ------------------------------------------------------------------ the mbox */

/* Nobody appends at this moment: what is there ends with a whole message. The lock is not kept, or a large
 * replay would hold up the mail for this mailbox. */
static bool look_under_lock(struct mbox_walk *walk, struct error *err)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    int tries = 0;

    while (fcntl(walk->fd, F_OFD_SETLK, &lock) < 0) {
        if ((errno != EAGAIN && errno != EACCES) || ++tries == LOCK_TRIES) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot lock the mbox");
            return false;
        }
        g_usleep(LOCK_PAUSE_US);
    }
    bool good = fstat(walk->fd, &walk->seen) == 0;
    if (!good)
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot stat the mbox");
    walk->end = walk->seen.st_size;
    lock.l_type = F_UNLCK;
    fcntl(walk->fd, F_OFD_SETLK, &lock);
    return good;
}

static bool walk_file(struct mbox_walk *walk, struct error *err)
{
    struct line_reader *reader = line_reader_new(walk->fd, 0, walk->name);
    bool good = walk_lines(walk, reader, err);

    line_reader_free(reader);
    return good;
}

bool replay_mbox(int fd, const char *name, const struct replay_sink *sink)
{
    g_autofree struct mbox_walk *walk = g_new0(struct mbox_walk, 1);
    char start[5];
    struct error err;
    ssize_t length = pread(fd, start, sizeof start, 0);
    bool good = length == sizeof start && memcmp(start, "From ", 5) == 0;

    walk->fd = fd;
    walk->name = name;
    walk->sink = sink;
    walk->out = -1;
    walk->flags = g_string_new(NULL);
    if (!good)
        error_set(&err, ERROR_BAD_DATA, "is no mbox: it does not begin with \"From \"");
    good = good && look_under_lock(walk, &err) && walk_file(walk, &err);
    bool stopped = walk->stopped;
    if (!good && !stopped)
        sink->left(sink->ctx, name, REPLAY_FAILED, &err);
    cleanup_fd(&walk->out);
    g_free(walk->sender);
    g_string_free(walk->flags, TRUE);
    return !stopped;
}
