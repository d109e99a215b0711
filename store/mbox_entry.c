#include "store/mbox_entry.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <glib.h>

#include "store/line_reader.h"

/* RFC 5321 4.5.3.1.3 allows 256; what is longer is cut, the line must stay a From_ line. */
#define SENDER_MAX 320
#define FROM_LINE_MAX 998

static const char *const weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

char *mbox_key_of(const char *key, const char *mailbox, unsigned copy)
{
    g_autofree char *text = g_strdup_printf("%u.%s", copy, mailbox);
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);

    return g_strdup_printf("%.*s%.*s", MBOX_KEY_DELIVERY_DIGITS, key,
                           MBOX_KEY_DIGITS - MBOX_KEY_DELIVERY_DIGITS, digest);
}

/* ------------------------------------------------------------------ lines */

bool mbox_line_is_field(const char *line, size_t length, const char *name, size_t *ret_value)
{
    size_t at = strlen(name);

    if (length <= at || strncasecmp(line, name, at) != 0)
        return false;
    while (at < length && (line[at] == ' ' || line[at] == '\t'))
        at++;
    if (at >= length || line[at] != ':')
        return false;
    at++;
    while (at < length && (line[at] == ' ' || line[at] == '\t'))
        at++;
    if (ret_value != NULL)
        *ret_value = at;
    return true;
}

bool mbox_line_is_state(const char *line, size_t length)
{
    static const char *const names[] = {"Status", "X-Status", "X-Keywords", "X-UID",
                                        "X-IMAP", "X-IMAPbase", "Content-Length"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        if (mbox_line_is_field(line, length, names[i], NULL))
            return true;
    return false;
}

static int index_of(const char *const *names, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strncmp(names[i], text, 3) == 0)
            return (int)i;
    return -1;
}

/* "Sat Nov 29 07:44:19 2025", seconds and a zone before the year allowed. */
static bool parse_date(const char *text, int64_t *ret_time)
{
    struct tm tm = {.tm_isdst = -1};
    char month[4], rest[64] = "";
    int year = 0;

    if (index_of(weekdays, 7, text) < 0 || text[3] != ' ')
        return false;
    if (sscanf(text + 3, " %3s %d %d:%d:%d %63[^\n]", month, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
               &tm.tm_sec, rest) < 6 &&
        sscanf(text + 3, " %3s %d %d:%d %63[^\n]", month, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
               rest) < 5)
        return false;
    tm.tm_mon = index_of(months, 12, month);

    g_auto(GStrv) words = g_strsplit(rest, " ", -1);

    for (char **word = words; *word != NULL && year == 0; word++)
        if (strspn(*word, "0123456789") == 4 && (*word)[4] == '\0')
            year = atoi(*word);
    if (tm.tm_mon < 0 || year < 1970)
        return false;
    tm.tm_year = year - 1900;
    *ret_time = (int64_t)mktime(&tm);
    return true;
}

bool mbox_line_is_from(const char *line, size_t length, int64_t *ret_time)
{
    char text[FROM_LINE_MAX + 1];
    int64_t ignored;

    if (length < 5 || memcmp(line, "From ", 5) != 0)
        return false;
    length = MIN(length, FROM_LINE_MAX);
    memcpy(text, line, length);
    text[length] = '\0';
    for (const char *at = text + 4; at != NULL; at = strchr(at + 1, ' '))
        if (parse_date(at + 1, ret_time == NULL ? &ignored : ret_time))
            return true;
    return false;
}

/* ------------------------------------------------------------------ making */

struct making {
    mbox_sink *sink;
    void *ctx;
    struct mbox_measure measure;
    GChecksum *checksum;         /* of the body */
    bool in_header;
    bool dropping;               /* a header and its continuation lines */
    bool ends_line;              /* the last byte sent was "\n" */
};

static bool send(struct making *making, const char *data, size_t length, struct error *err)
{
    making->measure.length += (off_t)length;
    if (length > 0)
        making->ends_line = data[length - 1] == '\n';
    return making->sink == NULL || making->sink(making->ctx, data, length, err);
}

static bool send_content(struct making *making, const char *data, size_t length, struct error *err)
{
    making->measure.size += (off_t)length;
    if (!making->in_header) {
        making->measure.body_length += (off_t)length;
        g_checksum_update(making->checksum, (const guchar *)data, (gssize)length);
    }
    return send(making, data, length, err);
}

static void append_from(GString *head, const struct mbox_entry *entry)
{
    const char *sender = entry->sender == NULL || entry->sender[0] == '\0' ? "MAILER-DAEMON"
                                                                           : entry->sender;
    time_t when = (time_t)entry->received_at;
    struct tm tm;

    g_string_append(head, "From ");
    for (size_t i = 0; sender[i] != '\0' && i < SENDER_MAX; i++)
        g_string_append_c(head, (unsigned char)sender[i] <= ' ' || sender[i] == 0x7f ? '_'
                                                                                     : sender[i]);
    localtime_r(&when, &tm);
    g_string_append_printf(head, " %s %s %2d %02d:%02d:%02d %04d\n", weekdays[tm.tm_wday],
                           months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                           tm.tm_year + 1900);
}

static void append_flags(GString *head, const struct mbox_entry *entry)
{
    static const struct {
        char letter, mark;
    } marks[] = {{'R', 'A'}, {'F', 'F'}, {'D', 'T'}, {'T', 'D'}};
    g_autoptr(GString) x_status = g_string_new(NULL);

    if (entry->imapbase != NULL)
        g_string_append_printf(head, "X-IMAPbase: %s\n", entry->imapbase);
    if (strchr(entry->letters, 'S') != NULL)
        g_string_append(head, "Status: R\n");
    for (size_t i = 0; i < G_N_ELEMENTS(marks); i++)
        if (strchr(entry->letters, marks[i].letter) != NULL)
            g_string_append_c(x_status, marks[i].mark);
    if (x_status->len > 0)
        g_string_append_printf(head, "X-Status: %s\n", x_status->str);
    if (entry->keywords != NULL && entry->keywords[0] != '\0')
        g_string_append_printf(head, "X-Keywords: %s\n", entry->keywords);
}

static bool send_head(struct making *making, const struct mbox_entry *entry, struct error *err)
{
    g_autoptr(GString) from = g_string_new(NULL);
    g_autoptr(GString) flags = g_string_new(NULL);
    g_autofree char *key = g_strdup_printf(MBOX_KEY_HEADER ": %s\n", entry->key);

    append_from(from, entry);
    append_flags(flags, entry);
    return send(making, from->str, from->len, err) &&
           send_content(making, key, strlen(key), err) && send(making, flags->str, flags->len, err);
}

static bool is_dropped(const struct line *line)
{
    return mbox_line_is_state(line->text, line->length) ||
           mbox_line_is_field(line->text, line->length, MBOX_KEY_HEADER, NULL);
}

static bool take_line(struct making *making, const struct line *line, struct error *err)
{
    bool empty = line->begins && line->text[0] == '\n';

    if (making->in_header && empty) {
        making->dropping = false;
        if (!send_content(making, "\n", 1, err))
            return false;
        making->in_header = false;
        return true;
    }
    if (making->in_header && line->begins && line->text[0] != ' ' && line->text[0] != '\t')
        making->dropping = is_dropped(line);
    if (making->in_header && making->dropping)
        return true;
    if (line->begins && line->length >= 5 && memcmp(line->text, "From ", 5) == 0 &&
        !send_content(making, ">", 1, err))
        return false;
    return send_content(making, line->text, line->length, err);
}

static bool send_lines(struct making *making, struct line_reader *reader, struct error *err)
{
    struct line line;
    bool more;

    for (;;) {
        if (!line_reader_next(reader, &line, &more, err))
            return false;
        if (!more)
            break;
        if (!take_line(making, &line, err))
            return false;
    }
    /* a header without an end: the empty line is what ends it */
    if (!making->ends_line && !send_content(making, "\n", 1, err))
        return false;
    if (making->in_header && !send_content(making, "\n", 1, err))
        return false;
    return send(making, "\n", 1, err);
}

bool mbox_entry_make(int fd, const struct mbox_entry *entry, mbox_sink *sink, void *ctx,
                     struct mbox_measure *ret_measure, struct error *err)
{
    struct making making = {.sink = sink, .ctx = ctx, .in_header = true};
    struct line_reader *reader = line_reader_new(fd, 0, "the message");
    bool ok;

    making.checksum = g_checksum_new(G_CHECKSUM_SHA256);
    ok = send_head(&making, entry, err) && send_lines(&making, reader, err);
    if (ok) {
        g_strlcpy(making.measure.body_digest, g_checksum_get_string(making.checksum),
                  sizeof making.measure.body_digest);
        *ret_measure = making.measure;
    }
    g_checksum_free(making.checksum);
    line_reader_free(reader);
    return ok;
}
