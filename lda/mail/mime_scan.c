/*
 * The MIME tree in one pass over the lines of the body (RFC 2046), with a stack of our own: no
 * recursion, and what is kept of each part is bounded. GMime's parser takes 416 MB for a message of
 * 300,000 empty parts.
 */
#include "message-internal.h"

#include "charset.h"

#include <string.h>

/* All headers of parts together, overhead included; each part gets PART_HEADER_MIN whatever others
 * took. */
#define PART_HEADERS_BUDGET (16u << 20)
#define PART_HEADER_MIN 1024u
#define BOUNDARY_MAX 1000 /* RFC 2046 says 70; longer ones are seen and work elsewhere */

struct scan {
    struct message *message;
    off_t begin; /* of the body */
    off_t end;
    GPtrArray *open;           /* parts from the root to the innermost that is not complete */
    size_t boundaries;         /* how many of them have one that still counts */
    struct header_scan header; /* of the innermost while in_header */
    bool in_header;
    size_t parts;
    size_t header_budget;
    size_t last_end; /* length of the previous line end: it belongs to the boundary behind it */
    bool truncated;
    bool stopped; /* no more parts are made */
};

static struct message_part *innermost(const struct scan *scan)
{
    return g_ptr_array_index(scan->open, scan->open->len - 1);
}

static struct message_part *add_part(struct scan *scan, struct message_part *parent, off_t begin)
{
    struct message_part *part = g_new0(struct message_part, 1);

    part->message = scan->message;
    part->source = source_ref(scan->message->body_source);
    part->parent = parent;
    part->entity_begin = part->body_begin = begin;
    part->body_end = scan->end;
    part->first_boundary = part->epilogue = -1;
    if (parent != NULL) {
        part->depth = parent->depth + 1;
        if (parent->last != NULL)
            parent->last->next = part;
        else
            parent->first = part;
        parent->last = part;
    }
    scan->parts++;
    g_ptr_array_add(scan->open, part);
    return part;
}

static bool is_message_type(const struct message_part *part)
{
    return strcmp(part->type, "message") == 0 &&
           (strcmp(part->subtype, "rfc822") == 0 || strcmp(part->subtype, "global") == 0);
}

/* A value of one token: "Base64 (comment)" → "base64". NULL: none. */
static char *token_of(const char *raw)
{
    size_t length = raw == NULL ? 0 : strcspn(raw, " \t;(,\"");

    return length == 0 ? NULL : g_ascii_strdown(raw, (gssize)MIN(length, 100));
}

/* What the header says about the part. */
static void learn_type(struct scan *scan, struct message_part *part)
{
    const char *raw = headers_get_raw(part->headers, "Content-Type");
    const struct message_part *parent = part->parent;

    if (raw == NULL || !content_type_parse(raw, &part->type, &part->subtype, &part->boundary)) {
        bool digest = raw == NULL && parent != NULL && parent->boundary != NULL &&
                      strcmp(parent->subtype, "digest") == 0; /* RFC 2046 5.1.5 */

        part->type = g_strdup(digest ? "message" : "text");
        part->subtype = g_strdup(digest ? "rfc822" : "plain");
    }
    part->encoding = token_of(headers_get_raw(part->headers, "Content-Transfer-Encoding"));
    if (part->encoding == NULL)
        part->encoding = g_strdup("7bit");
    part->disposition = token_of(headers_get_raw(part->headers, "Content-Disposition"));
    if (part->boundary != NULL && strcmp(part->type, "multipart") != 0)
        g_clear_pointer(&part->boundary, g_free);
    if (part->boundary != NULL && part->depth + 1 >= scan->message->limits.max_depth) {
        g_clear_pointer(&part->boundary, g_free);
        scan->truncated = true;
    }
}

static void begin_header(struct scan *scan)
{
    const struct message_options *options = &scan->message->limits;
    struct header_limits limits = {
        MIN(options->max_part_header_bytes, MAX(scan->header_budget, PART_HEADER_MIN)),
        options->max_fields, options->max_field_bytes};

    header_scan_init(&scan->header, scan->message->body_source, &limits, options->charsets);
    scan->in_header = true;
}

/* The header ends at @end, the body begins at @body. A message/rfc822 opens the message in it. */
static void end_header(struct scan *scan, off_t end, off_t body)
{
    struct message_part *part = innermost(scan);
    size_t used = scan->header.used;

    part->headers = header_scan_finish(&scan->header, end);
    part->own_headers = true;
    part->body_begin = body;
    scan->in_header = false;
    scan->header_budget -= MIN(used, scan->header_budget);
    learn_type(scan, part);
    if (part->boundary != NULL)
        scan->boundaries++;
    if (!is_message_type(part) || scan->stopped)
        return;
    /* RFC 2046 5.2.1 allows no encoding here; what is encoded all the same is not looked into. */
    if (strcmp(part->encoding, "base64") == 0 || strcmp(part->encoding, "quoted-printable") == 0)
        return;
    if (part->depth + 1 >= scan->message->limits.max_depth ||
        scan->parts >= scan->message->limits.max_parts) {
        scan->truncated = true;
        return;
    }
    add_part(scan, part, body);
    begin_header(scan);
}

/* Closes the parts above @keep in the stack: their bodies end at @end. */
static void close_parts(struct scan *scan, size_t keep, off_t end)
{
    if (scan->in_header && scan->open->len > keep) {
        off_t begin = innermost(scan)->entity_begin;

        scan->stopped = true; /* a header that was cut opens nothing */
        end_header(scan, MAX(end, begin), MAX(end, begin));
        scan->stopped = false;
    }
    while (scan->open->len > keep) {
        struct message_part *part = innermost(scan);

        part->body_end = MAX(end, part->body_begin);
        if (part->boundary != NULL && part->epilogue < 0)
            scan->boundaries--;
        g_ptr_array_set_size(scan->open, (gint)scan->open->len - 1);
    }
}

/* The open multipart whose boundary the line is, innermost first; @ret_closing: "--" stands behind
 * it. NULL: just a line. */
static struct message_part *match_boundary(const struct scan *scan, const struct line *line,
                                           size_t *ret_level, bool *ret_closing)
{
    const char *text = line->data + 2;
    size_t length = line->length - 2;

    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r' ||
                          text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    for (size_t level = scan->open->len; level > 0; level--) {
        struct message_part *part = g_ptr_array_index(scan->open, level - 1);
        size_t want;

        if (part->boundary == NULL || part->epilogue >= 0)
            continue;
        want = strlen(part->boundary);
        if (want > length || memcmp(text, part->boundary, want) != 0)
            continue;
        if (length == want || (length == want + 2 && memcmp(text + want, "--", 2) == 0)) {
            *ret_level = level;
            *ret_closing = length > want;
            return part;
        }
    }
    return NULL;
}

/* True when the line was a boundary. */
static bool take_boundary(struct scan *scan, const struct line *line)
{
    off_t end = line->offset - (off_t)scan->last_end;
    struct message_part *multipart;
    size_t level;
    bool closing;

    if (scan->boundaries == 0 || !line->begins || !line->ends || line->length < 3 ||
        line->length > BOUNDARY_MAX + 8 || line->data[0] != '-' || line->data[1] != '-')
        return false;
    multipart = match_boundary(scan, line, &level, &closing);
    if (multipart == NULL)
        return false;
    close_parts(scan, level, MAX(end, multipart->body_begin));
    if (multipart->first_boundary < 0)
        multipart->first_boundary = line->offset;
    if (closing) {
        multipart->epilogue = line->offset + (off_t)line->length;
        scan->boundaries--;
        return true;
    }
    if (scan->parts >= scan->message->limits.max_parts) {
        scan->truncated = true;
        scan->stopped = true;
        return true;
    }
    add_part(scan, multipart, line->offset + (off_t)line->length);
    begin_header(scan);
    return true;
}

static void take_line(struct scan *scan, const struct line *line)
{
    if (take_boundary(scan, line))
        return;
    while (scan->in_header) {
        switch (header_scan_line(&scan->header, line)) {
        case HEADER_SCAN_MORE:
            return;
        case HEADER_SCAN_END:
            end_header(scan, line->offset, line->offset + (off_t)line->length);
            return;
        case HEADER_SCAN_NO_HEADER:
            /* The line is body; in a message/rfc822 it may begin the header of the message. */
            end_header(scan, line->offset, line->offset);
            break;
        }
    }
}

static struct message_part *begin_tree(struct scan *scan)
{
    struct message *message = scan->message;
    struct message_part *root = add_part(scan, NULL, message->body_begin);

    root->headers = message->headers;
    learn_type(scan, root);
    if (root->boundary != NULL)
        scan->boundaries++;
    if (is_message_type(root) && strcmp(root->encoding, "base64") != 0 &&
        strcmp(root->encoding, "quoted-printable") != 0) {
        add_part(scan, root, message->body_begin);
        begin_header(scan);
    }
    return root;
}

bool mime_scan(struct message *message, struct message_part **ret_root, bool *ret_truncated,
               struct error *err)
{
    struct scan scan = {.message = message,
                        .begin = message->body_begin,
                        .end = message->body_end,
                        .header_budget = PART_HEADERS_BUDGET};
    struct source_reader reader;
    struct message_part *root;
    struct line line;
    bool end = false;
    bool ok = true;

    scan.open = g_ptr_array_new();
    root = begin_tree(&scan);
    source_reader_init(&reader, message->body_source, scan.begin, scan.end);
    /* Without a boundary or a header to read there is nothing to find. */
    while (!scan.stopped && (scan.boundaries > 0 || scan.in_header) &&
           (ok = source_reader_next(&reader, &line, &end, err)) && !end) {
        take_line(&scan, &line);
        scan.last_end = line.ends ? line_end_length(&line) : 0;
    }
    source_reader_clear(&reader);
    close_parts(&scan, 0, scan.end);
    g_ptr_array_unref(scan.open);
    if (!ok) {
        message_part_free_tree(root);
        return false;
    }
    *ret_root = root;
    *ret_truncated = scan.truncated;
    return true;
}
