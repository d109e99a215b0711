#include "lda/spool.h"

#include <string.h>
#include <strings.h>

#include <glib.h>

#include "lda/base/io.h"
#include "lda/envelope.h"
#include "lda/mail/address.h"

#define CHUNK 65536
#define LINE_KEPT 1024     /* of a header line; an address is at most 320 */
#define TOP_LIMIT CHUNK    /* what the MTA puts on top is a few lines */

/* The fields that an MTA puts on top of a message at its final delivery. */
enum top_field { TOP_RETURN_PATH, TOP_ORIGINAL_TO, TOP_DELIVERED_TO, TOP_FIELDS };

static const char *const top_names[TOP_FIELDS] = {
    [TOP_RETURN_PATH] = "Return-Path",
    [TOP_ORIGINAL_TO] = "X-Original-To",
    [TOP_DELIVERED_TO] = "Delivered-To",
};

struct spool {
    const struct spool_options *options;
    int output;
    GChecksum *checksum;
    GString *top;        /* the first lines, held back until we know which fields are missing */
    bool top_done;
    bool top_has[TOP_FIELDS];
    bool was_here;       /* Delivered-To with this recipient */
    bool was_redirected; /* X-Sieve-Redirected-From with this user */
    bool in_header;
    GString *line;       /* the start of the current header line */
    struct spool_result result;
};

/* Which of the top fields @line is, TOP_FIELDS for none of them; *ret_value behind the colon. */
static enum top_field top_field_of(const GString *line, const char **ret_value)
{
    for (enum top_field field = 0; field < TOP_FIELDS; field++) {
        size_t length = strlen(top_names[field]);

        if (line->len > length && line->str[length] == ':' &&
            g_ascii_strncasecmp(line->str, top_names[field], length) == 0) {
            *ret_value = line->str + length + 1;
            return field;
        }
    }
    return TOP_FIELDS;
}

static bool is_address(const char *value, const char *wanted)
{
    g_autofree char *address = g_strstrip(g_strdup(value));

    return address_equal(address, wanted);
}

static bool write_out(struct spool *spool, const char *data, size_t length, struct error *err)
{
    uint64_t lines = 0;

    for (const char *at = data; (at = memchr(at, '\n', (size_t)(data + length - at))) != NULL; at++)
        lines++;
    spool->result.size += length;
    spool->result.size_crlf += length + lines;
    return io_write(spool->output, data, length, "the spooled message", err);
}

/* What the MTA left out, around what it put there: Return-Path is first (RFC 5321 4.4). */
static bool write_top(struct spool *spool, struct error *err)
{
    const struct envelope *envelope = spool->options->envelope;
    g_autoptr(GString) above = g_string_new(NULL);
    g_autoptr(GString) below = g_string_new(NULL);

    if (!spool->top_has[TOP_RETURN_PATH] && envelope->sender != NULL)
        g_string_append_printf(above, "Return-Path: <%s>\n", envelope->sender);
    if (!spool->top_has[TOP_ORIGINAL_TO] &&
        !address_equal(envelope->original_recipient, envelope->recipient))
        g_string_append_printf(below, "X-Original-To: %s\n", envelope->original_recipient);
    if (!spool->top_has[TOP_DELIVERED_TO] && spool->options->add_delivered_to)
        g_string_append_printf(below, "Delivered-To: %s\n", envelope->recipient);
    spool->top_done = true;
    return write_out(spool, above->str, above->len, err) &&
           write_out(spool, spool->top->str, spool->top->len, err) &&
           write_out(spool, below->str, below->len, err);
}

/* A header line is complete (or its first LINE_KEPT bytes are): is it the sign of a loop? */
static void check_line(struct spool *spool, bool on_top)
{
    static const char redirected[] = "X-Sieve-Redirected-From:";
    const char *value;
    enum top_field field = top_field_of(spool->line, &value);

    if (field == TOP_DELIVERED_TO && is_address(value, spool->options->envelope->recipient) &&
        (!on_top || spool->top_has[TOP_DELIVERED_TO])) /* else it is the one of this delivery */
        spool->was_here = true;
    else if (g_ascii_strncasecmp(spool->line->str, redirected, strlen(redirected)) == 0 &&
             spool->options->user != NULL &&
             is_address(spool->line->str + strlen(redirected), spool->options->user))
        spool->was_redirected = true;
}

/* What the user's own script sent away and what came back is stored, not returned to a sender who
 * has nothing to do with it: the plan does not redirect it again. */
static bool check_loop(const struct spool *spool, struct error *err)
{
    if (!spool->options->check_loop || !spool->was_here || spool->was_redirected)
        return true;
    error_set(err, ERROR_LOOP, "mail forwarding loop for %s", spool->options->envelope->recipient);
    return false;
}

/* One line while the top is held back; decides whether the top goes on. What belongs to it is not
 * digested: it tells of this hop, and each way of delivery writes it in its own manner. @whole: it is
 * no piece of a longer line, which is none of the top fields. */
static bool top_line(struct spool *spool, const char *data, size_t length, bool whole,
                     struct error *err)
{
    const char *value;

    g_string_truncate(spool->line, 0);
    g_string_append_len(spool->line, data, (gssize)MIN(length, LINE_KEPT));
    bool continuation = spool->top->len > 0 && (data[0] == ' ' || data[0] == '\t');
    enum top_field field = top_field_of(spool->line, &value);
    check_line(spool, true);
    if (continuation || (whole && field != TOP_FIELDS && spool->top->len < TOP_LIMIT)) {
        if (field != TOP_FIELDS && !continuation)
            spool->top_has[field] = true;
        g_string_append_len(spool->top, data, (gssize)length);
        return true;
    }
    g_checksum_update(spool->checksum, (const guchar *)data, (gssize)length);
    return write_top(spool, err) && write_out(spool, data, length, err);
}

/* Follows the header lines in @data up to the empty line. */
static void scan_header(struct spool *spool, const char *data, size_t length)
{
    while (length > 0 && spool->in_header) {
        const char *newline = memchr(data, '\n', length);
        size_t part = newline == NULL ? length : (size_t)(newline - data);

        if (spool->line->len < LINE_KEPT)
            g_string_append_len(spool->line, data,
                                (gssize)MIN(part, LINE_KEPT - spool->line->len));
        if (newline == NULL)
            return;
        check_line(spool, false);
        if (spool->line->len == 0)
            spool->in_header = false;
        g_string_truncate(spool->line, 0);
        data += part + 1;
        length -= part + 1;
    }
}

/* Takes @data with LF line ends. While the top is held back, whole lines are looked at one by one:
 * *@ret_used tells how much was taken; the rest comes again with more behind it. */
static bool take(struct spool *spool, const char *data, size_t length, bool last,
                 size_t *ret_used, struct error *err)
{
    size_t used = 0;

    while (!spool->top_done && used < length) {
        const char *newline = memchr(data + used, '\n', length - used);
        size_t part = newline == NULL ? length - used : (size_t)(newline - data) - used + 1;

        /* a line that fills half the buffer is none of the top fields */
        if (newline == NULL && !last && length < CHUNK / 2)
            break;
        if (!top_line(spool, data + used, part, newline != NULL || last, err))
            return false;
        spool->in_header = newline != NULL && part > 1;
        if (newline == NULL && spool->top_done) {
            /* a long first line goes on in the next chunk */
            spool->in_header = true;
        } else {
            g_string_truncate(spool->line, 0);
        }
        used += part;
    }
    if (spool->top_done && used < length) {
        scan_header(spool, data + used, length - used);
        g_checksum_update(spool->checksum, (const guchar *)data + used, (gssize)(length - used));
        if (!write_out(spool, data + used, length - used, err))
            return false;
        used = length;
    }
    spool->result.input_size += used;
    *ret_used = used;
    return true;
}

/* CRLF becomes LF, in place; a CR at the end waits for what follows it, unless @last. Returns the
 * new length; *@ret_waiting is 1 when a CR stands behind it. */
static size_t drop_cr(char *data, size_t length, bool last, size_t *ret_waiting)
{
    char *cr = memchr(data, '\r', length);
    size_t out;

    *ret_waiting = 0;
    if (cr == NULL)
        return length;
    out = (size_t)(cr - data);
    for (size_t in = out; in < length; in++) {
        if (data[in] == '\r') {
            if (in + 1 == length && !last) {
                data[out] = '\r';
                *ret_waiting = 1;
                return out;
            }
            if (in + 1 < length && data[in + 1] == '\n')
                continue;
        }
        data[out++] = data[in];
    }
    return out;
}

/* The mbox separator that some programs put in front. */
static size_t from_line_length(const char *data, size_t length)
{
    const char *newline;

    if (length < 5 || memcmp(data, "From ", 5) != 0)
        return 0;
    newline = memchr(data, '\n', length);
    return newline == NULL ? length : (size_t)(newline - data) + 1;
}

static bool copy(struct spool *spool, int input, struct error *err)
{
    g_autofree char *buffer = g_malloc(CHUNK);
    size_t held = 0;   /* bytes in the buffer, of these… */
    size_t ready = 0;  /* …so many have LF ends already */
    uint64_t read = 0;
    bool first = true;
    bool last = false;

    while (!last) {
        size_t got;
        size_t waiting;

        if (!io_read(input, buffer + held, CHUNK - held, &got, "the message", err))
            return false;
        last = got == 0;
        read += got;
        held += got;
        if (spool->options->size_limit > 0 && read > spool->options->size_limit) {
            error_set(err, ERROR_BAD_DATA,
                      "the message is larger than %" G_GUINT64_FORMAT
                      " bytes (message_size_limit)",
                      spool->options->size_limit);
            return false;
        }
        ready += drop_cr(buffer + ready, held - ready, last, &waiting);
        held = ready + waiting;
        if (first && !last && ready < CHUNK / 2 && memchr(buffer, '\n', ready) == NULL)
            continue; /* not one line yet */
        size_t used = first ? from_line_length(buffer, ready) : 0;
        first = false;
        size_t taken = 0;
        if (used < ready && !take(spool, buffer + used, ready - used, last, &taken, err))
            return false;
        used += taken;
        memmove(buffer, buffer + used, held - used);
        held -= used;
        ready -= used;
    }
    return true;
}

bool spool_copy(int input, int output, const struct spool_options *options,
                struct spool_result *ret_result, struct error *err)
{
    struct spool spool = {.options = options, .output = output, .in_header = true};
    bool good;

    spool.checksum = g_checksum_new(G_CHECKSUM_SHA256);
    spool.top = g_string_new(NULL);
    spool.line = g_string_new(NULL);
    good = copy(&spool, input, err);
    if (good && spool.result.input_size == 0) {
        error_set(err, ERROR_TEMPORARY, "the message on standard input is empty");
        good = false;
    }
    if (good && !spool.top_done)
        good = write_top(&spool, err);
    good = good && check_loop(&spool, err);
    if (good) {
        *ret_result = spool.result;
        g_strlcpy(ret_result->digest, g_checksum_get_string(spool.checksum),
                  sizeof ret_result->digest);
    }
    g_checksum_free(spool.checksum);
    g_string_free(spool.top, TRUE);
    g_string_free(spool.line, TRUE);
    return good;
}
