/*
 * Values against keys. Wildcards match in one pass: each literal stretch between stars is looked for
 * from left to right, so the work is linear in the value (RFC 5229 3.2: as few characters as
 * possible for each star).
 */
#include <string.h>

#include "lda/mail/address.h"
#include "lda/mail/charset.h"
#include "lda/mail/headers.h"
#include "lda/mail/message.h"

#include "sieve/eval.h"
#include "sieve/fold.h"

/* ------------------------------------------------------------------ feeding values */

void sieve_match_begin(struct sieve_match *match, struct sieve_run *run,
    const struct sieve_node *node)
{
    memset(match, 0, sizeof(*match));
    match->run = run;
    match->node = node;
    match->spec = node->match;
    match->keys = sieve_arg_list(run, node, (size_t)node->word->match_keys);
}

static void trace_match(const struct sieve_match *match, const struct sieve_string *value,
    const struct sieve_string *key, enum sieve_status status)
{
    sieve_trace(match->run, match->node, "\"%.100s\" :%s \"%.100s\": %s", value->data,
        match->spec->type->name, key->data, status == SIEVE_TRUE ? "yes" : "no");
}

static enum sieve_status match_keys(struct sieve_match *match, const struct sieve_string *value)
{
    const struct sieve_match_type *type = match->spec->type;

    match->value_count++;
    if (type->match == NULL)
        return SIEVE_FALSE;
    for (size_t i = 0; i < match->keys.count; i++) {
        if (!sieve_work(match->run, match->node, value->length + 16))
            return SIEVE_ERROR;
        enum sieve_status status = type->match(match, value, &match->keys.items[i]);
        if (match->run->tracing)
            trace_match(match, value, &match->keys.items[i], status);
        if (status != SIEVE_FALSE)
            return status;
    }
    return SIEVE_FALSE;
}

enum sieve_status sieve_match_value(struct sieve_match *match, const struct sieve_string *value)
{
    match->folded.data = NULL;
    return match_keys(match, value);
}

enum sieve_status sieve_match_folded(struct sieve_match *match, const struct sieve_string *value,
    const struct sieve_string *folded, const uint32_t *map)
{
    match->folded = *folded;
    match->map = map;
    return match_keys(match, value);
}

enum sieve_status sieve_match_finish(struct sieve_match *match, enum sieve_status status)
{
    if (status == SIEVE_FALSE && match->spec->type->finish != NULL)
        return match->spec->type->finish(match);
    return status;
}

/* Scripts ask the same field again and again: the last field folded is kept. Its value stays where it
 * is until an edit of the message, which forgets it (eval.c). */
static enum sieve_status match_field(struct sieve_match *match, const struct sieve_string *value)
{
    struct sieve_engine_state *state = match->run->state;

    if (state->folded_field.data != value->data || state->folded_field.length != value->length) {
        state->folded_field = *value;
        state->folded = sieve_fold(match->run->arena, value, SIEVE_FOLD_ASCII, NULL);
    }
    return sieve_match_folded(match, value, &state->folded, NULL);
}

enum sieve_status sieve_match_values(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_values *values)
{
    struct sieve_match match;
    enum sieve_status status = SIEVE_FALSE;

    sieve_match_begin(&match, run, node);
    bool folds = match.spec->comparator->fold == SIEVE_FOLD_ASCII && match.spec->type->substring;
    for (size_t i = 0; i < values->count && status == SIEVE_FALSE; i++) {
        const struct sieve_value *value = &values->items[i];

        status = folds && value->raw != NULL ? match_field(&match, &value->text)
                                             : sieve_match_value(&match, &value->text);
    }
    return sieve_match_finish(&match, status);
}

/* A field without an address is one value, its text: rules look for "undisclosed-recipients:;". */
static enum sieve_status match_no_address(struct sieve_match *match, const char *raw)
{
    g_autofree char *decoded = charset_decode_header(raw,
        message_charsets(match->run->message));
    struct sieve_string text = sieve_str(arena_strdup(match->run->arena, decoded));

    return sieve_match_value(match, &text);
}

/* Parsed once per field: its text is at the same place all through a run, and an edit of the message
 * forgets them (eval.c). NULL in @ret_own unless the caller has to free the list. */
static const struct address_list *addresses_of(struct sieve_run *run, const char *raw,
    struct address_list **ret_own)
{
    enum { KEPT_MAX = 64 };
    GPtrArray *kept = run->state->address_lists;

    for (guint i = 0; i < kept->len; i++) {
        const struct sieve_addresses *addresses = g_ptr_array_index(kept, i);

        if (addresses->raw == raw)
            return addresses->list;
    }
    struct address_list *list = address_list_parse(raw, 0, message_charsets(run->message));
    if (kept->len >= KEPT_MAX) {
        *ret_own = list;
        return list;
    }
    struct sieve_addresses *addresses = g_new(struct sieve_addresses, 1);
    *addresses = (struct sieve_addresses){raw, list};
    g_ptr_array_add(kept, addresses);
    return list;
}

enum sieve_status sieve_match_addresses(struct sieve_match *match, const char *raw)
{
    struct sieve_run *run = match->run;
    const struct sieve_address_part *part = NULL;
    enum sieve_status status = SIEVE_FALSE;

    for (size_t i = 0; i < match->node->tag_count; i++)
        if (match->node->tags[i].tag->group != NULL &&
            strcmp(match->node->tags[i].tag->group, "address part") == 0)
            part = match->node->tags[i].data;
    AUTO_ADDRESS_LIST own = NULL;
    const struct address_list *list = addresses_of(run, raw, &own);
    bool whole = part == NULL || strcmp(part->name, "all") == 0;
    if (list->count == 0 && whole)
        return match_no_address(match, raw);
    match->value_count += list->count == 0;
    for (size_t i = 0; i < list->count && status == SIEVE_FALSE; i++) {
        const struct address *address = &list->items[i];
        struct sieve_string text;

        if (whole) /* "<>" has no text of its own */
            text = sieve_str(*address->full != '\0' ? address->full : "<>");
        else if (!part->get(run, address, &text)) {
            match->value_count++; /* :count counts addresses, whether they have the part or not */
            continue;
        }
        status = sieve_match_value(match, &text);
    }
    return status;
}

/* ------------------------------------------------------------------ header values */

void sieve_values_add(struct sieve_values *values, struct sieve_string text, const char *raw,
    const char *name)
{
    if (values->room == 0) {
        values->items = &values->first;
        values->room = 1;
    } else if (values->count == values->room) {
        size_t room = values->room * 8;
        struct sieve_value *items = ARENA_ARRAY(values->arena, struct sieve_value, room);

        memcpy(items, values->items, values->count * sizeof(*items));
        values->items = items;
        values->room = room;
    }
    values->items[values->count++] = (struct sieve_value){text, raw, name};
}

void sieve_values_add_fields(struct sieve_run *run, struct sieve_values *values,
    struct headers *headers, const char *name)
{
    (void)run;
    for (size_t i = headers_find(headers, name, 0); i != HEADERS_NONE;
         i = headers_find(headers, name, i + 1)) {
        const char *value = values->fields_only ? "" : headers_value(headers, i);

        sieve_values_add(values, sieve_str(value), values->fields_only ? "" : headers_raw(headers,
            i), headers_name(headers, i));
    }
}

bool sieve_header_values(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_list *names, struct sieve_values *ret_values)
{
    struct headers *headers = message_headers(run->message);
    bool fields_only = ret_values->fields_only;
    size_t hooks = 0;

    memset(ret_values, 0, sizeof(*ret_values));
    ret_values->arena = run->arena;
    ret_values->names = names;
    ret_values->fields_only = fields_only;
    for (size_t i = 0; i < names->count; i++)
        sieve_values_add_fields(run, ret_values, headers, names->items[i].data);
    for (size_t i = 0; i < node->tag_count; i++)
        hooks += node->tags[i].tag->values != NULL;
    for (int order = 0; hooks > 0 && order < 100; order++) {
        for (size_t i = 0; i < node->tag_count; i++) {
            const struct sieve_bound_tag *bound = &node->tags[i];

            if (bound->tag->values == NULL || bound->tag->order != order)
                continue;
            if (bound->tag->values(run, node, bound, ret_values) == SIEVE_ERROR)
                return false;
            hooks--;
        }
    }
    return true;
}

/* ------------------------------------------------------------------ :is, :contains, :matches */

static const struct sieve_string *folded_value(struct sieve_match *match,
    const struct sieve_string *value)
{
    unsigned char fold = match->spec->comparator->fold;

    if (fold == SIEVE_FOLD_NONE)
        return value;
    if (match->folded.data == NULL)
        match->folded = sieve_fold(match->run->arena, value, fold, &match->map);
    return &match->folded;
}

enum sieve_status sieve_match_is(struct sieve_match *match, const struct sieve_string *value,
    const struct sieve_string *key)
{
    return match->spec->comparator->compare(match->run, value, key) == 0 ? SIEVE_TRUE
                                                                         : SIEVE_FALSE;
}

enum sieve_status sieve_match_contains(struct sieve_match *match,
    const struct sieve_string *value, const struct sieve_string *key)
{
    unsigned char fold = match->spec->comparator->fold;
    const struct sieve_string *haystack = folded_value(match, value);
    struct sieve_string needle = *key;
    char room[128];

    if (fold == SIEVE_FOLD_ASCII && key->length < sizeof(room))
        needle = sieve_fold_ascii(room, key);
    else if (fold != SIEVE_FOLD_NONE)
        needle = sieve_fold(match->run->arena, key, fold, NULL);
    return needle.length == 0 ||
            memmem(haystack->data, haystack->length, needle.data, needle.length) != NULL
        ? SIEVE_TRUE
        : SIEVE_FALSE;
}

/* The key in stretches: what stands between two stars. */
struct stretch {
    const char *text;      /* folded; '?' places are marked in `any` */
    const bool *any;
    size_t length;
    bool has_any;
    bool star_before;
};

struct wildcard {
    struct sieve_string value;  /* folded */
    const uint32_t *map;        /* or NULL */
    struct sieve_string original;
    bool characters;            /* '?' is a character, not a byte */
    struct sieve_string *captures;
    size_t capture_count, capture_room;
};

/* Bytes that one '?' takes at @at; 0 at the end. */
static size_t any_length(const struct wildcard *w, size_t at)
{
    size_t n = 1;

    if (at >= w->value.length)
        return 0;
    if (w->map != NULL)
        while (at + n < w->value.length && w->map[at + n] == w->map[at])
            n++;
    else if (w->characters)
        while (at + n < w->value.length &&
            ((unsigned char)w->value.data[at + n] & 0xC0) == 0x80)
            n++;
    return n;
}

/* Does the stretch stand at @at? *ret_end is behind it. */
static bool stands_at(const struct wildcard *w, const struct stretch *s, size_t at,
    size_t *ret_end)
{
    if (!s->has_any) {
        if (w->value.length - at < s->length ||
            memcmp(w->value.data + at, s->text, s->length) != 0)
            return false;
        *ret_end = at + s->length;
        return true;
    }
    for (size_t i = 0; i < s->length; i++) {
        if (s->any[i]) {
            size_t n = any_length(w, at);

            if (n == 0)
                return false;
            at += n;
        } else if (at >= w->value.length || w->value.data[at] != s->text[i]) {
            return false;
        } else {
            at++;
        }
    }
    *ret_end = at;
    return true;
}

/* The first place at or behind @from where the stretch stands. */
static bool find_stretch(const struct wildcard *w, const struct stretch *s, size_t from,
    size_t *ret_at, size_t *ret_end)
{
    if (!s->has_any) {
        const char *hit = s->length == 0
            ? w->value.data + from
            : memmem(w->value.data + from, w->value.length - from, s->text, s->length);

        if (hit == NULL)
            return false;
        *ret_at = (size_t)(hit - w->value.data);
        *ret_end = *ret_at + s->length;
        return true;
    }
    for (size_t at = from; at <= w->value.length; at++) {
        if (w->characters && w->map == NULL && at < w->value.length &&
            ((unsigned char)w->value.data[at] & 0xC0) == 0x80)
            continue;
        if (stands_at(w, s, at, ret_end)) {
            *ret_at = at;
            return true;
        }
    }
    return false;
}

/* The last place: for the stretch that must end the value. Only one length fits when there is no
 * '?'; with '?' of several bytes the start is looked for. */
static bool find_final(const struct wildcard *w, const struct stretch *s, size_t from,
    size_t *ret_at)
{
    size_t end;

    if (!s->has_any) {
        if (w->value.length - from < s->length)
            return false;
        *ret_at = w->value.length - s->length;
        return stands_at(w, s, *ret_at, &end);
    }
    for (size_t at = w->value.length + 1; at > from; at--) {
        if (w->value.length - (at - 1) < s->length && at <= w->value.length)
            continue;
        if (stands_at(w, s, at - 1, &end) && end == w->value.length) {
            *ret_at = at - 1;
            return true;
        }
        if (w->value.length - (at - 1) > s->length * 16)
            break;
    }
    return false;
}

static size_t original_offset(const struct wildcard *w, size_t at)
{
    if (w->map == NULL)
        return at;
    return at < w->value.length ? w->map[at] : w->original.length;
}

static void capture(struct wildcard *w, size_t from, size_t to)
{
    if (w->captures == NULL || w->capture_count >= w->capture_room)
        return;
    size_t start = original_offset(w, from), end = original_offset(w, to);
    w->captures[w->capture_count++] = (struct sieve_string){w->original.data + start,
        end - start};
}

static void capture_stretch(struct wildcard *w, const struct stretch *s, size_t at)
{
    for (size_t i = 0; s->has_any && i < s->length; i++) {
        size_t n = s->any[i] ? any_length(w, at) : 1;

        if (s->any[i])
            capture(w, at, at + n);
        at += n;
    }
}

static bool match_stretches(struct wildcard *w, const struct stretch *stretches, size_t count)
{
    size_t at = 0, end;

    capture(w, 0, w->value.length);
    for (size_t i = 0; i < count; i++) {
        const struct stretch *s = &stretches[i];
        bool last = i + 1 == count;
        size_t found;

        if (!s->star_before) {
            found = at;
            if (!stands_at(w, s, at, &end))
                return false;
            if (last && end != w->value.length)
                return false;
        } else if (last) {
            if (!find_final(w, s, at, &found))
                return false;
            end = w->value.length;
        } else if (!find_stretch(w, s, at, &found, &end)) {
            return false;
        }
        if (s->star_before)
            capture(w, at, found);
        capture_stretch(w, s, found);
        at = end;
    }
    return true;
}

/* Splits the folded key; the folding is done piece by piece because a quoted '*' is a letter. */
static struct stretch *split_key(struct arena *arena, const struct sieve_string *key,
    unsigned char fold, size_t *ret_count)
{
    g_autoptr(GArray) stretches = g_array_new(FALSE, TRUE, sizeof(struct stretch));
    g_autoptr(GString) literal = g_string_new(NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GByteArray) any = g_byte_array_new();
    bool star = false;

    for (size_t i = 0;; i++) {
        char c = i < key->length ? key->data[i] : '\0';
        bool at_end = i >= key->length;

        if (!at_end && c != '*' && c != '?') {
            if (c == '\\' && i + 1 < key->length)
                c = key->data[++i];
            g_string_append_c(literal, c);
            continue;
        }
        struct sieve_string piece = {literal->str, literal->len};
        struct sieve_string folded = fold == SIEVE_FOLD_NONE ? piece
                                                             : sieve_fold(arena, &piece, fold, NULL);
        g_string_append_len(text, folded.data, (gssize)folded.length);
        g_byte_array_set_size(any, (guint)text->len);
        if (folded.length > 0) /* an empty array has no data */
            memset(any->data + text->len - folded.length, 0, folded.length);
        g_string_truncate(literal, 0);
        if (!at_end && c == '?') {
            guint8 one = 1;

            g_string_append_c(text, '?');
            g_byte_array_append(any, &one, 1);
            continue;
        }
        struct stretch s = {.text = arena_memdup(arena, text->str, text->len),
            .length = text->len, .star_before = star,
            .has_any = memchr(any->data != NULL ? any->data : (guint8 *)"", 1, any->len) != NULL};
        s.any = arena_memdup(arena, any->data, any->len);
        g_array_append_val(stretches, s);
        g_string_truncate(text, 0);
        g_byte_array_set_size(any, 0);
        star = true;
        if (at_end)
            break;
    }
    *ret_count = stretches->len;
    return arena_memdup(arena, stretches->data, stretches->len * sizeof(struct stretch));
}

static bool run_wildcard(struct arena *arena, const struct sieve_string *original,
    const struct sieve_string *folded, const uint32_t *map, const struct sieve_string *key,
    unsigned char fold, struct sieve_string *captures, size_t room, size_t *ret_count)
{
    size_t count;
    const struct stretch *stretches = split_key(arena, key, fold, &count);
    struct wildcard w = {.value = *folded, .map = map, .original = *original,
        .characters = fold == SIEVE_FOLD_UNICODE, .captures = captures, .capture_room = room};
    bool hit = match_stretches(&w, stretches, count);

    if (hit && ret_count != NULL)
        *ret_count = w.capture_count;
    return hit;
}

enum sieve_status sieve_match_matches(struct sieve_match *match,
    const struct sieve_string *value, const struct sieve_string *key)
{
    struct sieve_string captures[33];
    size_t count = 0;
    const struct sieve_string *folded = folded_value(match, value);

    if (!sieve_work(match->run, match->node, key->length * 8))
        return SIEVE_ERROR;
    if (!run_wildcard(match->run->arena, value, folded,
        match->spec->comparator->fold == SIEVE_FOLD_UNICODE ? match->map : NULL, key,
        match->spec->comparator->fold, captures, G_N_ELEMENTS(captures), &count))
        return SIEVE_FALSE;
    sieve_match_capture(match->run, captures, count);
    return SIEVE_TRUE;
}

bool sieve_wildcard_match(const struct sieve_string *value, const struct sieve_string *key,
    unsigned char fold, struct sieve_string *ret_captures, size_t *ret_count)
{
    struct arena *arena = arena_new();
    const uint32_t *map = NULL;
    struct sieve_string folded = *value;
    size_t room = 1;

    for (size_t i = 0; i < key->length; i++)
        room += key->data[i] == '*' || key->data[i] == '?';
    if (fold != SIEVE_FOLD_NONE)
        folded = sieve_fold(arena, value, fold, &map);
    bool hit = run_wildcard(arena, value, &folded, map, key, fold, ret_captures,
        ret_captures != NULL ? room : 0, ret_count);
    arena_free(arena);
    return hit;
}
