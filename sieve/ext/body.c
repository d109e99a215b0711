/*
 * body: the test body with :raw, :content and :text.
 *
 * RFC 5173. Status: complete.
 *
 * Texts are read and folded once per run and kept for the tests that follow; of a very large body
 * the first max_body_size bytes are looked at.
 */
#include <string.h>

#include "lda/base/error.h"
#include "lda/mail/headers.h"
#include "lda/mail/message.h"

#include "sieve/ext/list.h"
#include "sieve/fold.h"
#include "sieve/sieve-internal.h"

enum transform { RAW, CONTENT, EPILOGUE, TEXT, TRANSFORMS };

struct body_text {
    struct sieve_string text;
    struct sieve_string folded[SIEVE_FOLD_UNICODE + 1]; /* data NULL: not folded yet */
    const uint32_t *map;
};

/* Part (for RAW: root or message) to its text. The parts of a message live as long as it does, so an
 * edited body has new keys. */
struct body_state {
    struct arena *arena;        /* of its own: max_body_size bounds it, not max_memory */
    GHashTable *texts[TRANSFORMS];
};

struct body_test {
    struct sieve_run *run;
    const struct sieve_node *node;
    struct body_state *state;
    struct sieve_match match;
    size_t left;                /* bytes that may still be looked at */
};

/* ------------------------------------------------------------------ texts */

/* The value is copied; with @lines LF becomes CRLF. */
static struct body_text *text_new(struct arena *arena, const char *data, size_t length,
    bool lines)
{
    struct body_text *text = ARENA_NEW(arena, struct body_text);
    struct sieve_string raw = {data, length};

    if (lines)
        text->text = sieve_text_crlf(arena, &raw);
    if (!lines || text->text.data == data)
        text->text = (struct sieve_string){arena_memdup(arena, data, length), length};
    return text;
}

static struct body_text *text_of_bytes(struct arena *arena, GBytes *bytes, bool lines)
{
    gsize length;
    const char *data = g_bytes_get_data(bytes, &length);

    return text_new(arena, length > 0 ? data : "", length, lines);
}

/* The line end before a boundary is the boundary's (RFC 2046 5.1.1). */
static struct body_text *read_prologue(struct arena *arena, struct message_part *part,
    size_t limit, struct error *err)
{
    g_autoptr(GBytes) bytes = NULL;
    gsize length;

    if (!message_part_prologue(part, limit, &bytes, err))
        return NULL;
    const char *data = g_bytes_get_data(bytes, &length);
    if (length > 0 && data[length - 1] == '\n')
        length -= length > 1 && data[length - 2] == '\r' ? 2 : 1;
    return text_new(arena, length > 0 ? data : "", length, true);
}

/* 5.2: of an attached message its header is the content; its body is a part of its own. */
static struct body_text *read_nested_header(struct arena *arena, struct message_part *part,
    size_t limit, struct error *err)
{
    g_autoptr(GBytes) bytes = NULL;
    gsize length;

    if (!message_part_raw(part, limit, &bytes, err))
        return NULL;
    const char *data = g_bytes_get_data(bytes, &length);
    size_t end = 0;
    while (end < length) {
        const char *lf = memchr(data + end, '\n', length - end);
        size_t next = lf != NULL ? (size_t)(lf - data) + 1 : length;

        if (next - end <= 2 && lf != NULL && (data[end] == '\n' || data[end] == '\r'))
            break;
        end = next;
    }
    return text_new(arena, length > 0 ? data : "", end, true);
}

/* A body in an encoding that nobody knows is no text. */
static bool can_decode(struct message_part *part)
{
    static const char *const known[] = {"7bit", "8bit", "binary", "quoted-printable", "base64",
        "uuencode", "x-uuencode", "x-uue", "uue"};
    const char *encoding = message_part_encoding(part);

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
        if (strcmp(known[i], encoding) == 0)
            return true;
    return false;
}

static struct body_text *read_content(struct arena *arena, struct message_part *part,
    size_t limit, struct error *err)
{
    const char *type = message_part_type(part);
    g_autoptr(GBytes) bytes = NULL;
    g_autofree char *text = NULL;

    if (strcmp(type, "multipart") == 0)
        return read_prologue(arena, part, limit, err);
    if (strcmp(type, "message") == 0 && message_part_first_child(part) != NULL)
        return read_nested_header(arena, part, limit, err);
    if (!can_decode(part))
        return message_part_raw(part, limit, &bytes, err) ? text_of_bytes(arena, bytes, false)
                                                          : NULL;
    if (strcmp(type, "text") == 0)
        return message_part_text_source(part, limit, &text, err)
            ? text_new(arena, text, strlen(text), true)
            : NULL;
    return message_part_content(part, limit, &bytes, err) ? text_of_bytes(arena, bytes, false)
                                                          : NULL;
}

static struct body_text *read_epilogue(struct arena *arena, struct message_part *part,
    size_t limit, struct error *err)
{
    g_autoptr(GBytes) bytes = NULL;

    return message_part_epilogue(part, limit, &bytes, err) ? text_of_bytes(arena, bytes, true)
                                                           : NULL;
}

static struct body_text *read_text(struct arena *arena, struct message_part *part,
    size_t limit, struct error *err)
{
    g_autofree char *text = NULL;

    return message_part_text(part, limit, &text, err) ? text_new(arena, text, strlen(text), true)
                                                      : NULL;
}

static struct body_text *read_raw(struct arena *arena, struct message *message, size_t limit,
    struct error *err)
{
    g_autoptr(GBytes) bytes = NULL;

    return message_body_raw(message, limit, &bytes, err) ? text_of_bytes(arena, bytes, true)
                                                              : NULL;
}

static void free_arena(void *arena)
{
    arena_free(arena);
}

static void free_table(void *table)
{
    g_hash_table_unref(table);
}

static struct body_text *cached(struct body_test *test, enum transform transform, void *key)
{
    GHashTable **table = &test->state->texts[transform];

    if (*table == NULL)
        *table = arena_own(test->run->arena, g_hash_table_new(NULL, NULL), free_table);
    return g_hash_table_lookup(*table, key);
}

/* ------------------------------------------------------------------ matching */

static enum sieve_status feed(struct body_test *test, struct body_text *text)
{
    const struct sieve_match_spec *spec = test->match.spec;
    unsigned char fold = spec->comparator->fold;

    if (fold == SIEVE_FOLD_NONE || !spec->type->substring)
        return sieve_match_value(&test->match, &text->text);
    /* the map is four times the text: only patterns need it */
    bool mapped = fold == SIEVE_FOLD_UNICODE && strcmp(spec->type->name, "contains") != 0;
    if (text->folded[fold].data == NULL || (mapped && text->map == NULL))
        text->folded[fold] = sieve_fold(test->state->arena, &text->text, fold,
            mapped ? &text->map : NULL);
    return sieve_match_folded(&test->match, &text->text, &text->folded[fold],
        mapped ? text->map : NULL);
}

/* The text of one part; with @part NULL the raw body under @key. */
static enum sieve_status feed_part(struct body_test *test, enum transform transform, void *key,
    struct message_part *part)
{
    struct body_text *text = cached(test, transform, key);
    struct arena *arena = test->state->arena;
    struct error err;

    if (test->left == 0)
        return SIEVE_FALSE;
    if (text == NULL) {
        text = transform == RAW      ? read_raw(arena, test->run->message, test->left, &err)
            : transform == CONTENT  ? read_content(arena, part, test->left, &err)
            : transform == EPILOGUE ? read_epilogue(arena, part, test->left, &err)
                                    : read_text(arena, part, test->left, &err);
        if (text == NULL)
            return sieve_fail(test->run, test->node, "cannot read the message: %s", err.text);
        g_hash_table_insert(test->state->texts[transform], key, text);
    }
    test->left -= MIN(test->left, text->text.length);
    if (transform == EPILOGUE && text->text.length == 0)
        return SIEVE_FALSE;
    return feed(test, text);
}

/* type/subtype and nothing behind it but parameters. Where the field is broken the part has no type:
 * nothing but "" wants it. */
static bool has_type(struct message_part *part)
{
    const char *raw = headers_get_raw(message_part_headers(part), "Content-Type");
    static const char specials[] = " \t()<>@,;:\\\"/[]?=";

    if (raw == NULL)
        return true;
    size_t type = strcspn(raw, specials);
    if (type == 0 || raw[type] != '/')
        return false;
    const char *subtype = raw + type + 1;
    const char *end = subtype + strcspn(subtype, specials);
    return end > subtype && (*end == '\0' || strchr("; \t(", *end) != NULL);
}

/* "" all; "text" all of that type; "text/html" that one (5.2). */
static bool is_wanted(struct message_part *part, const struct sieve_list *types)
{
    const char *type = message_part_type(part), *subtype = message_part_subtype(part);
    g_autofree char *full = g_strconcat(type, "/", subtype, NULL);
    bool typed = has_type(part);

    for (size_t i = 0; i < types->count; i++) {
        const char *wanted = types->items[i].data;

        if (*wanted == '\0' || (typed && (g_ascii_strcasecmp(wanted, full) == 0 ||
                                    g_ascii_strcasecmp(wanted, type) == 0)))
            return true;
    }
    return false;
}

static bool is_readable(struct message_part *part)
{
    return (strcmp(message_part_type(part), "text") == 0 ||
               message_part_is(part, "application", "xhtml+xml")) &&
        has_type(part) && can_decode(part);
}

/* "If the message consists of a header only, not followed by an empty line", there is nothing to
 * match (4). */
static bool has_body(struct message *message)
{
    g_autoptr(GBytes) header = NULL;
    struct error err;

    if (message_body_size(message) > 0)
        return true;
    /* the header as it is written always has the empty line */
    off_t size = message_size(message);
    return !message_header_bytes(message, (size_t)size + 2, &header, &err) ||
        (off_t)g_bytes_get_size(header) <= size;
}

static enum sieve_status feed_parts(struct body_test *test, enum transform transform,
    const struct sieve_list *types)
{
    enum sieve_status status = SIEVE_FALSE;
    struct message_part *root;
    struct error err;

    if (!message_mime(test->run->message, &root, &err))
        return sieve_fail(test->run, test->node, "cannot read the message: %s", err.text);
    for (struct message_part *part = root; part != NULL && status == SIEVE_FALSE;
         part = message_part_next(part, NULL)) {
        if (transform == CONTENT ? !is_wanted(part, types) : !is_readable(part))
            continue;
        status = feed_part(test, transform, part, part);
        /* 5.2: prologue and epilogue are two strings */
        if (status == SIEVE_FALSE && transform == CONTENT &&
            strcmp(message_part_type(part), "multipart") == 0)
            status = feed_part(test, EPILOGUE, part, part);
    }
    return status;
}

/* The key of the raw body: the message, or for one with edits its present tree. */
static enum sieve_status feed_raw(struct body_test *test)
{
    struct message *message = test->run->message;
    struct message_part *root;
    struct error err;

    if (message == test->run->input)
        return feed_part(test, RAW, message, NULL);
    if (!message_mime(message, &root, &err))
        return sieve_fail(test->run, test->node, "cannot read the message: %s", err.text);
    return feed_part(test, RAW, root, NULL);
}

/* Match variables stay as they are (6). */
static enum sieve_status run_body(struct sieve_run *run, const struct sieve_node *node)
{
    struct body_test test = {.run = run, .node = node,
        .state = sieve_sequence_state(run, &sieve_ext_body, sizeof(struct body_state)),
        .left = run->options->limits.max_body_size};
    const struct sieve_bound_tag *content = sieve_node_tag(node, "content");
    struct sieve_list types = {NULL, 0};
    enum sieve_status status;

    if (test.state->arena == NULL)
        test.state->arena = arena_own(run->arena, arena_new(), free_arena);
    if (content != NULL)
        types = sieve_tag_list(run, content);
    sieve_match_begin(&test.match, run, node);
    if (!has_body(run->message))
        return sieve_match_finish(&test.match, SIEVE_FALSE);
    run->keeps_captures = true;
    if (sieve_node_tag(node, "raw") != NULL)
        status = feed_raw(&test);
    else
        status = feed_parts(&test, content != NULL ? CONTENT : TEXT, &types);
    status = sieve_match_finish(&test.match, status);
    run->keeps_captures = false;
    return status;
}

static const struct sieve_tag tags[] = {
    {.name = "raw", .argument = "", .group = "body transform"},
    {.name = "content", .argument = "l", .group = "body transform"},
    {.name = "text", .argument = "", .group = "body transform"},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "body", .flags = SIEVE_WORD_TEST | SIEVE_WORD_MATCH, .args = "l", .match_keys = 0,
        .tags = tags, .run = run_body, .arg_names = "key list"},
    {NULL},
};

const struct sieve_extension sieve_ext_body = {
    .name = "body",
    .rfc = "RFC 5173",
    .status = "complete",
    .words = words,
};
