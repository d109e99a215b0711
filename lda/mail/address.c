#include "address.h"

#include "charset.h"

#include <stdint.h>
#include <string.h>

#include <glib.h>

#define DOMAIN_MAX 255       /* RFC 5321 4.5.3.1.2; a longer one is compared as it is */
#define ENCODED_WORD_MAX 500 /* how far the end of "=?…?=" is looked for */

static bool is_wsp(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Behind the quoted string that begins at @at; NULL when it does not end. */
static const char *skip_quoted(const char *at)
{
    for (at++; *at != '\0'; at++) {
        if (*at == '\\' && at[1] != '\0')
            at++;
        else if (*at == '"')
            return at + 1;
    }
    return NULL;
}

/* Behind the comment that begins at @at (they nest); NULL when it does not end. */
static const char *skip_comment(const char *at)
{
    size_t depth = 0;

    for (; *at != '\0'; at++) {
        if (*at == '\\' && at[1] != '\0')
            at++;
        else if (*at == '(')
            depth++;
        else if (*at == ')' && --depth == 0)
            return at + 1;
    }
    return NULL;
}

/* Behind the encoded word at @at, so that a ',' in a Q word does not end the name; NULL: none here.
 */
static const char *skip_encoded_word(const char *at)
{
    int marks = 0;

    if (at[0] != '=' || at[1] != '?')
        return NULL;
    for (size_t i = 2; i < ENCODED_WORD_MAX && at[i] != '\0' && !is_wsp(at[i]); i++) {
        if (at[i] != '?')
            continue;
        if (++marks == 3)
            return at[i + 1] == '=' ? at + i + 2 : NULL;
    }
    return NULL;
}

/* Most of the time it is one character, which the inline form adds without a call. */
static void append_stretch(GString *to, const char *at, const char *end)
{
    if (end - at == 1)
        g_string_append_c(to, *at);
    else
        g_string_append_len(to, at, end - at);
}

/* --- addr-spec ------------------------------------------------------------------------------ */

static bool is_special(char c)
{
    return c != '\0' && strchr("()<>[]:;@\\,\"", c) != NULL;
}

/* Text without comments. Unterminated ones stay: they make the address invalid later. */
static char *without_comments(const char *text)
{
    GString *out = g_string_sized_new(strlen(text));

    while (*text != '\0') {
        const char *end = NULL;

        if (*text == '"')
            end = skip_quoted(text);
        else if (*text == '(') {
            end = skip_comment(text);
            if (end != NULL) {
                g_string_append_c(out, ' ');
                text = end;
                continue;
            }
            g_string_append(out, text);
            break;
        }
        if (end == NULL)
            end = text + 1;
        append_stretch(out, text, end);
        text = end;
    }
    return g_string_free(out, FALSE);
}

/* local-part with obs-local-part: words and dots, space around them. Dots may stand anywhere, as
 * some operators' addresses have them ("a..b.@docomo.ne.jp"). Advances *@at to the '@' or the end.
 */
static char *parse_local(const char **at)
{
    g_autoptr(GString) local = g_string_new(NULL);
    const char *next = *at;
    bool word_allowed = true; /* two words need a dot between them */

    for (;;) {
        while (is_wsp(*next))
            next++;
        if (*next == '\0' || *next == '@') {
            break;
        } else if (*next == '"') {
            const char *end = skip_quoted(next);

            if (end == NULL || !word_allowed)
                return NULL;
            for (next++; next < end - 1; next++) {
                if (*next == '\\')
                    next++;
                if ((unsigned char)*next < ' ' || *next == 0x7f)
                    return NULL;
                g_string_append_c(local, *next);
            }
            next = end;
            word_allowed = false;
        } else if (*next == '.') {
            g_string_append_c(local, '.');
            next++;
            word_allowed = true;
        } else {
            if (!word_allowed || is_special(*next))
                return NULL;
            while (*next != '\0' && *next != '.' && !is_wsp(*next) && !is_special(*next)) {
                if ((unsigned char)*next < ' ' || *next == 0x7f)
                    return NULL;
                g_string_append_c(local, *next++);
            }
            word_allowed = false;
        }
    }
    *at = next;
    return g_string_free(g_steal_pointer(&local), FALSE);
}

/* A domain or a literal to the end of the text. */
static char *parse_domain(const char *next)
{
    g_autoptr(GString) domain = g_string_new(NULL);
    bool atom_allowed = true;

    while (is_wsp(*next))
        next++;
    if (*next == '[') {
        for (; *next != '\0' && *next != ']'; next++) {
            if (*next == '\\' || (unsigned char)*next < ' ' || *next == 0x7f)
                return NULL;
            g_string_append_c(domain, *next);
        }
        if (*next != ']')
            return NULL;
        g_string_append_c(domain, *next++);
        while (is_wsp(*next))
            next++;
        return *next == '\0' ? g_string_free(g_steal_pointer(&domain), FALSE) : NULL;
    }
    while (*next != '\0') {
        if (is_wsp(*next)) {
            next++;
        } else if (*next == '.') {
            g_string_append_c(domain, *next++);
            atom_allowed = true;
        } else {
            if (!atom_allowed)
                return NULL;
            while (*next != '\0' && *next != '.' && !is_wsp(*next)) {
                if (is_special(*next) || (unsigned char)*next <= ' ' || *next == 0x7f)
                    return NULL;
                g_string_append_c(domain, *next++);
            }
            atom_allowed = false;
        }
    }
    if (domain->len == 0 || domain->str[0] == '.')
        return NULL;
    return g_string_free(g_steal_pointer(&domain), FALSE);
}

/* "local@domain", also with a source route "@a,@b:" before it (RFC 5321 says: ignore it).
 * @bare: a local part alone will do, *ret_domain is "" then. */
static bool parse_addr_spec(const char *text, bool bare, char **ret_local, char **ret_domain)
{
    g_autofree char *clean = without_comments(text);
    g_autofree char *local = NULL;
    g_autofree char *domain = NULL;
    const char *at = clean;

    while (is_wsp(*at))
        at++;
    if (*at == '@') {
        at = strchr(at, ':');
        if (at == NULL)
            return false;
        at++;
    }
    local = parse_local(&at);
    if (local == NULL || (local[0] == '\0' && strchr(clean, '"') == NULL))
        return false;
    if (*at == '@')
        domain = parse_domain(at + 1);
    else if (bare && *at == '\0')
        domain = g_strdup("");
    if (domain == NULL)
        return false;
    *ret_local = g_steal_pointer(&local);
    *ret_domain = g_steal_pointer(&domain);
    return true;
}

char *address_join(const char *local, const char *domain)
{
    GString *full = g_string_new(NULL);
    bool quote = local[0] == '\0';

    for (const char *at = local; *at != '\0'; at++)
        if (is_special(*at) || (unsigned char)*at <= ' ' || *at == 0x7f)
            quote = true;
    if (quote && (local[0] != '\0' || domain[0] != '\0')) {
        g_string_append_c(full, '"');
        for (const char *at = local; *at != '\0'; at++) {
            if (*at == '"' || *at == '\\')
                g_string_append_c(full, '\\');
            g_string_append_c(full, *at);
        }
        g_string_append_c(full, '"');
    } else {
        g_string_append(full, local);
    }
    if (domain[0] != '\0') {
        g_string_append_c(full, '@');
        g_string_append(full, domain);
    }
    return g_string_free(full, FALSE);
}

/* --- lists ---------------------------------------------------------------------------------- */

/* The list with what it owns behind it. */
struct list_owner {
    struct address_list list;
    GStringChunk *strings;
};

struct list_parser {
    struct list_owner *owner;
    GArray *items;
    const char *const *fallbacks;
    size_t max;
    GString *phrase;  /* text outside comments and angles, quotes still on it */
    GString *comment; /* the last comment of the item */
    GString *angle;   /* what stood in <> */
    bool has_angle;
    const char *group;
    bool quotes_end; /* false: a '"' that does not close was seen, so it is a letter like others */
    bool comments_end; /* the same for '(' */
};

static char *unquote(const char *text)
{
    GString *out = g_string_sized_new(strlen(text));
    bool quoted = false;

    for (; *text != '\0'; text++) {
        if (*text == '"')
            quoted = !quoted;
        else if (quoted && *text == '\\' && text[1] != '\0')
            g_string_append_c(out, *++text);
        else
            g_string_append_c(out, *text);
    }
    return g_string_free(out, FALSE);
}

/* A name as a person sees it, kept in the list; NULL when nothing is left of it. */
static const char *keep_name(struct list_parser *parser, const char *raw)
{
    g_autofree char *plain = unquote(raw);
    g_autofree char *name = charset_decode_header(plain, parser->fallbacks);
    size_t length;

    g_strstrip(name);
    length = strlen(name);
    /* Quotes that were encoded with the name. */
    if (length >= 2 && name[0] == '"' && name[length - 1] == '"') {
        name[length - 1] = '\0';
        memmove(name, name + 1, length - 1);
        g_strstrip(name);
    }
    return name[0] == '\0' ? NULL : g_string_chunk_insert(parser->owner->strings, name);
}

static void reset_item(struct list_parser *parser)
{
    g_string_truncate(parser->phrase, 0);
    g_string_truncate(parser->comment, 0);
    g_string_truncate(parser->angle, 0);
    parser->has_angle = false;
}

/* What was collected becomes an item. */
static void emit_item(struct list_parser *parser)
{
    GStringChunk *strings = parser->owner->strings;
    struct address item = {.local = "", .domain = "", .full = "", .group = parser->group};
    g_autofree char *local = NULL;
    g_autofree char *domain = NULL;
    g_autofree char *full = NULL;
    char *text = g_strstrip((parser->has_angle ? parser->angle : parser->phrase)->str);

    if (!parser->has_angle && text[0] == '\0') {
        reset_item(parser);
        return;
    }
    if (parser->items->len >= parser->max) {
        parser->owner->list.truncated = true;
        reset_item(parser);
        return;
    }
    if (parse_addr_spec(text, false, &local, &domain)) {
        full = address_join(local, domain);
        item.local = g_string_chunk_insert(strings, local);
        item.domain = g_string_chunk_insert(strings, domain);
        item.valid = true;
    } else {
        full = charset_decode_header(text, parser->fallbacks);
    }
    item.full = g_string_chunk_insert(strings, full);
    if (parser->has_angle)
        item.name = keep_name(parser, parser->phrase->str);
    if (item.name == NULL)
        item.name = keep_name(parser, parser->comment->str);
    g_array_append_val(parser->items, item);
    reset_item(parser);
}

/* Reads "<…>" into parser->angle; returns behind it. One that is not closed ends at the next comma
 * or at the end; commas within belong only to a source route. */
static const char *read_angle(struct list_parser *parser, const char *at)
{
    bool route;

    g_string_truncate(parser->angle, 0);
    parser->has_angle = true;
    while (*at == '<' || is_wsp(*at))
        at++;
    route = *at == '@';
    while (*at != '\0' && *at != '>' && (*at != ',' || route) && *at != '<') {
        const char *end = NULL;

        if (*at == ':')
            route = false;
        if (*at == '"' && parser->quotes_end) {
            end = skip_quoted(at);
            parser->quotes_end = end != NULL;
        }
        if (end == NULL)
            end = at + 1;
        append_stretch(parser->angle, at, end);
        at = end;
    }
    while (*at == '>')
        at++;
    return at;
}

static const char *read_comment(struct list_parser *parser, const char *at)
{
    const char *end = parser->comments_end ? skip_comment(at) : NULL;

    if (end == NULL) {
        parser->comments_end = false;
        g_string_append_c(parser->phrase, *at);
        return at + 1;
    }
    g_string_truncate(parser->comment, 0);
    for (at++; at < end - 1; at++) {
        if (*at == '\\')
            at++;
        if (at < end - 1)
            g_string_append_c(parser->comment, *at);
    }
    g_string_append_c(parser->phrase, ' ');
    return end;
}

static const char *read_literal(struct list_parser *parser, const char *at)
{
    size_t length = strcspn(at, "],;<>");

    if (at[length] == ']')
        length++;
    g_string_append_len(parser->phrase, at, (gssize)length);
    return at + length;
}

static void parse_list(struct list_parser *parser, const char *at)
{
    while (*at != '\0') {
        const char *end = NULL;

        switch (*at) {
        case '(':
            at = read_comment(parser, at);
            continue;
        case '<':
            if (parser->has_angle) /* "a <b@c> <d@e>": two, whatever the sender meant */
                emit_item(parser);
            at = read_angle(parser, at);
            continue;
        case '[':
            at = read_literal(parser, at);
            continue;
        case ':':
            /* The name of a group; one within a group (forbidden) just takes its place. */
            parser->group = keep_name(parser, parser->phrase->str);
            reset_item(parser);
            at++;
            continue;
        case ',':
            emit_item(parser);
            at++;
            continue;
        case ';':
            emit_item(parser);
            parser->group = NULL;
            at++;
            continue;
        case '"':
            if (parser->quotes_end) {
                end = skip_quoted(at);
                parser->quotes_end = end != NULL;
            }
            if (end == NULL) { /* one quote too many is dropped */
                at++;
                continue;
            }
            break;
        case '=':
            end = skip_encoded_word(at);
            break;
        default:
            break;
        }
        if (end == NULL)
            end = at + 1;
        append_stretch(parser->phrase, at, end);
        at = end;
    }
    emit_item(parser);
}

struct address_list *address_list_parse(const char *raw, size_t max, const char *const *fallbacks)
{
    struct list_owner *owner = g_new0(struct list_owner, 1);
    struct list_parser parser = {.owner = owner,
                                 .fallbacks = fallbacks,
                                 .max = max == 0 ? ADDRESS_LIST_DEFAULT_MAX : max,
                                 .quotes_end = true,
                                 .comments_end = true};
    /* First: in Shift_JIS and ISO-2022-JP half a character may look like a quote or an at sign. */
    g_autofree char *text = charset_guess_utf8(raw, strlen(raw), fallbacks);

    owner->strings = g_string_chunk_new(256);
    parser.items = g_array_new(FALSE, FALSE, sizeof(struct address));
    parser.phrase = g_string_new(NULL);
    parser.comment = g_string_new(NULL);
    parser.angle = g_string_new(NULL);
    parse_list(&parser, text);
    owner->list.count = parser.items->len;
    owner->list.items = (struct address *)(void *)g_array_free(parser.items, FALSE);
    g_string_free(parser.phrase, TRUE);
    g_string_free(parser.comment, TRUE);
    g_string_free(parser.angle, TRUE);
    return &owner->list;
}

void address_list_free(struct address_list *list)
{
    struct list_owner *owner = (struct list_owner *)list;

    if (owner == NULL)
        return;
    g_string_chunk_free(owner->strings);
    g_free(owner->list.items);
    g_free(owner);
}

/* --- single addresses ----------------------------------------------------------------------- */

/* "@a.example,@b.example:" in front (RFC 5321 4.1.2, A-d-l); *ret_rest is behind it. */
static bool skip_route(char *text, char **ret_rest)
{
    char *colon = strchr(text, ':');

    if (colon == NULL)
        return false;
    *colon = '\0';
    g_auto(GStrv) hops = g_strsplit(text, ",", 0);
    for (size_t i = 0; hops[i] != NULL; i++) {
        const char *hop = hops[i];

        if (hop[0] != '@' || hop[1] == '\0' || hop[1] == '.' || strchr(hop + 1, '@') != NULL ||
            strstr(hop, "..") != NULL)
            return false;
    }
    *ret_rest = colon + 1;
    return true;
}

bool address_parse_path(const char *path, char **ret_local, char **ret_domain)
{
    g_autofree char *text = g_strstrip(charset_guess_utf8(path, strlen(path), NULL));
    size_t length = strlen(text);
    char *inner = text;

    if (length >= 2 && text[0] == '<' && text[length - 1] == '>') {
        text[length - 1] = '\0';
        inner = text + 1;
    }
    if (inner[0] == '\0') {
        *ret_local = g_strdup("");
        *ret_domain = g_strdup("");
        return true;
    }
    if (inner[0] == '@' && !skip_route(inner, &inner))
        return false;
    return parse_addr_spec(inner, true, ret_local, ret_domain);
}

void address_split_detail(const char *local, const char *delimiters, char **ret_user,
                          char **ret_detail)
{
    size_t length = strlen(local);
    size_t at = length;

    if (delimiters != NULL && delimiters[0] != '\0' && length > 0)
        at = 1 + strcspn(local + 1, delimiters);
    if (ret_user != NULL)
        *ret_user = g_strndup(local, at);
    if (ret_detail != NULL)
        *ret_detail = at < length ? g_strdup(local + at + 1) : NULL;
}

char *address_domain_fold(const char *domain)
{
    g_autofree char *valid = g_utf8_make_valid(domain, -1);
    g_autofree char *lower = g_utf8_strdown(valid, -1);
    size_t length = strlen(lower);

    if (length > 1 && lower[length - 1] == '.')
        lower[--length] = '\0';
    if (length <= DOMAIN_MAX) {
        char *folded = g_hostname_to_unicode(lower);

        if (folded != NULL)
            return folded;
    }
    return g_steal_pointer(&lower);
}

bool address_equal(const char *a, const char *b)
{
    g_autofree char *local_a = NULL;
    g_autofree char *local_b = NULL;
    g_autofree char *domain_a = NULL;
    g_autofree char *domain_b = NULL;
    g_autofree char *folded_a = NULL;
    g_autofree char *folded_b = NULL;

    if (!address_parse_path(a, &local_a, &domain_a) || !address_parse_path(b, &local_b, &domain_b))
        return false;
    if (g_ascii_strcasecmp(local_a, local_b) != 0)
        return false;
    folded_a = address_domain_fold(domain_a);
    folded_b = address_domain_fold(domain_b);
    return strcmp(folded_a, folded_b) == 0;
}

char *address_format(const char *name, const char *address)
{
    g_autofree char *phrase = name == NULL ? NULL : charset_encode_phrase(name);

    if (phrase == NULL || phrase[0] == '\0')
        return g_strdup(address);
    return g_strdup_printf("%s <%s>", phrase, address);
}
