/*
 * Strings: line ends, vectors, near names, hashes, addresses.
 */
#include <string.h>

#include "lda/mail/message.h"

#include "sieve/sieve-internal.h"

struct sieve_string sieve_str(const char *text)
{
    return (struct sieve_string){text, strlen(text)};
}

const char *sieve_text_lf(struct arena *arena, const struct sieve_string *text)
{
    g_autoptr(GString) out = g_string_sized_new(text->length + 1);

    for (size_t i = 0; i < text->length; i++) {
        char c = text->data[i];

        if (c == '\r' && i + 1 < text->length && text->data[i + 1] == '\n')
            continue;
        if (c != '\0')
            g_string_append_c(out, c);
    }
    if (g_utf8_validate(out->str, (gssize)out->len, NULL))
        return arena_memdup(arena, out->str, out->len);
    g_autofree char *valid = g_utf8_make_valid(out->str, (gssize)out->len);
    return arena_strdup(arena, valid);
}

struct sieve_string sieve_text_crlf(struct arena *arena, const struct sieve_string *text)
{
    size_t bare = 0;

    for (size_t i = 0; i < text->length; i++)
        bare += text->data[i] == '\n' && (i == 0 || text->data[i - 1] != '\r');
    if (bare == 0)
        return *text;
    char *out = arena_alloc(arena, text->length + bare + 1);
    size_t at = 0;
    for (size_t i = 0; i < text->length; i++) {
        if (text->data[i] == '\n' && (i == 0 || text->data[i - 1] != '\r'))
            out[at++] = '\r';
        out[at++] = text->data[i];
    }
    return (struct sieve_string){out, at};
}

const char *const *sieve_list_strv(struct arena *arena, const struct sieve_list *list)
{
    const char **strv = ARENA_ARRAY(arena, const char *, list->count + 1);

    for (size_t i = 0; i < list->count; i++)
        strv[i] = arena_strdup(arena, list->items[i].data);
    return strv;
}

char *sieve_ascii_lower(struct arena *arena, const char *text)
{
    char *copy = arena_strdup(arena, text);

    for (char *p = copy; *p != '\0'; p++)
        *p = g_ascii_tolower(*p);
    return copy;
}

/* Edit distance with a swap of neighbours as one step, for short names; > 3 is "far". */
static size_t distance(const char *a, const char *b)
{
    enum { MOST = 40 };
    size_t n = strlen(a), m = strlen(b);
    size_t rows[3][MOST + 1];

    if (n > MOST || m > MOST)
        return MOST;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = rows[i % 3], *before = rows[(i + 2) % 3], *old = rows[(i + 1) % 3];

        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            char x = g_ascii_tolower(a[i - 1]), y = g_ascii_tolower(b[j - 1]);

            now[j] = MIN(MIN(before[j], now[j - 1]) + 1, before[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == g_ascii_tolower(b[j - 2]) &&
                y == g_ascii_tolower(a[i - 2]))
                now[j] = MIN(now[j], old[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

const char *sieve_did_you_mean(const char *word, const char *const *candidates)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) <= 3 ? 2 : strlen(word) <= 6 ? 3 : 4;

    for (size_t i = 0; candidates[i] != NULL; i++) {
        size_t d = distance(word, candidates[i]);

        if (d < best_distance) {
            best = candidates[i];
            best_distance = d;
        }
    }
    return best;
}

char *sieve_hash_key(struct arena *arena, const char *first, ...)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    va_list args;

    va_start(args, first);
    for (const char *part = first; part != NULL; part = va_arg(args, const char *))
        g_checksum_update(sum, (const guchar *)part, (gssize)strlen(part) + 1);
    va_end(args);
    return arena_strdup(arena, g_checksum_get_string(sum));
}

/* ------------------------------------------------------------------ addresses (RFC 5322 3.4) */

static void skip_cfws(const char **at)
{
    size_t depth = 0;

    for (; **at != '\0'; (*at)++) {
        if (**at == '(')
            depth++;
        else if (**at == ')' && depth > 0)
            depth--;
        else if (depth > 0 && **at == '\\' && (*at)[1] != '\0')
            (*at)++;
        else if (depth == 0 && strchr(" \t\r\n", **at) == NULL)
            break;
    }
}

static bool is_atext(char c)
{
    return g_ascii_isalnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Dots anywhere are let through in local parts: Japanese carriers gave such addresses out. */
static bool take_atoms(const char **at, bool free_dots, GString *out)
{
    gsize start = out->len;

    for (;;) {
        while (is_atext(**at) || (free_dots && **at == '.'))
            g_string_append_c(out, *(*at)++);
        if (out->len == start || **at != '.')
            break;
        g_string_append_c(out, *(*at)++);
        if (!is_atext(**at))
            return false;
    }
    return out->len > start;
}

/* Quotes that are not needed go away: "Sirius"@example.net is Sirius@example.net. */
static void unquote(GString *out)
{
    const char *p = out->str + 1, *end = out->str + out->len - 1;

    for (bool dot = true; p < end; p++) {
        if (*p == '.' ? dot : !is_atext(*p))
            return;
        dot = *p == '.';
    }
    if (out->len <= 2 || end[-1] == '.')
        return;
    g_string_truncate(out, out->len - 1);
    g_string_erase(out, 0, 1);
}

static bool take_quoted(const char **at, GString *out)
{
    g_string_append_c(out, *(*at)++);
    while (**at != '"') {
        if (**at == '\\' && (*at)[1] != '\0')
            g_string_append_c(out, *(*at)++);
        if (**at == '\0' || (unsigned char)**at < 0x20 || (unsigned char)**at > 0x7E)
            return false;
        g_string_append_c(out, *(*at)++);
    }
    g_string_append_c(out, *(*at)++);
    unquote(out);
    return true;
}

static bool take_addr_spec(const char **at, GString *out)
{
    skip_cfws(at);
    if (**at == '"' ? !take_quoted(at, out) : !take_atoms(at, true, out))
        return false;
    skip_cfws(at);
    if (**at != '@')
        return false;
    g_string_append_c(out, *(*at)++);
    skip_cfws(at);
    if (**at == '[') {
        while (**at != '\0' && **at != ']')
            g_string_append_c(out, *(*at)++);
        if (**at != ']')
            return false;
        g_string_append_c(out, *(*at)++);
    } else if (!take_atoms(at, false, out)) {
        return false;
    }
    skip_cfws(at);
    return true;
}

char *sieve_address_normalize(struct arena *arena, const char *text)
{
    g_autoptr(GString) out = g_string_new(NULL);
    const char *at = text;

    if (take_addr_spec(&at, out) && *at == '\0')
        return arena_memdup(arena, out->str, out->len);
    /* phrase <addr-spec>; the phrase may be in any script */
    at = text;
    for (skip_cfws(&at); *at != '<'; skip_cfws(&at)) {
        g_string_truncate(out, 0);
        if (*at == '"') {
            for (at++; *at != '"'; at++) {
                if (*at == '\\' && at[1] != '\0')
                    at++;
                if (*at == '\0')
                    return NULL;
            }
            at++;
        } else if (is_atext(*at) || *at == '.' || (unsigned char)*at >= 0x80) {
            while (is_atext(*at) || *at == '.' || (unsigned char)*at >= 0x80)
                at++;
        } else {
            return NULL;
        }
    }
    at++;
    g_string_truncate(out, 0);
    if (!take_addr_spec(&at, out) || *at != '>')
        return NULL;
    at++;
    skip_cfws(&at);
    return *at == '\0' ? arena_memdup(arena, out->str, out->len) : NULL;
}

bool sieve_address_is_valid(const char *text)
{
    struct arena *arena = arena_new();
    bool valid = sieve_address_normalize(arena, text) != NULL;

    arena_free(arena);
    return valid;
}

const char *sieve_list_name(struct arena *arena, const char *name)
{
    static const char books[] = "urn:ietf:params:sieve:addrbook:";
    const char *full = name[0] == ':' ? arena_printf(arena, "urn:ietf:params:sieve%s", name)
                                      : name;

    if (g_ascii_strncasecmp(full, books, strlen(books)) != 0)
        return full;
    const char *book = full + strlen(books);
    g_autofree char *decoded = g_uri_unescape_string(book, NULL);
    if (decoded != NULL && g_utf8_validate(decoded, -1, NULL))
        book = decoded;
    /* reserved, and the only name that has no case (RFC 6134 2.5) */
    return arena_printf(arena, "%s%s", books,
        g_ascii_strcasecmp(book, "default") == 0 ? "default" : book);
}

bool sieve_header_name_is_valid(const struct sieve_string *name)
{
    return strlen(name->data) == name->length && message_header_name_is_valid(name->data);
}
