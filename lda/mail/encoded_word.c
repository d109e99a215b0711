/* RFC 2047: the part of charset.h that knows encoded words. */
#include "charset.h"

#include <stdint.h>
#include <string.h>

#include <glib.h>

struct word {
    const char *charset;
    size_t charset_length;
    char encoding; /* 'b' or 'q' */
    const char *text;
    size_t text_length;
    const char *end; /* behind "?=" */
};

/* Parses the encoded word that may begin at @at ("=?"). Spaces and '?' inside the text, which the
 * RFC forbids, are taken as senders mean them; a new "=?" ends the attempt, so that the search
 * never runs over the same bytes twice. */
static bool parse_word(const char *at, struct word *ret_word)
{
    struct word word = {.charset = at + 2};
    const char *next = word.charset;

    while (*next != '\0' && *next != '?' && *next != '*' && *next > ' ' && *next < 0x7f &&
           next - at < 80)
        next++;
    word.charset_length = (size_t)(next - word.charset);
    if (*next == '*') /* RFC 2231 language */
        while (*next != '\0' && *next != '?' && *next > ' ' && next - at < 160)
            next++;
    if (*next != '?' || word.charset_length == 0 || next[1] == '\0' || next[2] != '?')
        return false;
    word.encoding = (char)g_ascii_tolower(next[1]);
    if (word.encoding != 'b' && word.encoding != 'q')
        return false;
    word.text = next + 3;
    for (next = word.text; *next != '\0'; next++) {
        if (next[0] == '?' && next[1] == '=') {
            word.text_length = (size_t)(next - word.text);
            word.end = next + 2;
            *ret_word = word;
            return true;
        }
        if (next[0] == '=' && next[1] == '?' && next[2] != '=')
            return false;
    }
    return false;
}

static void decode_q(const char *text, size_t length, GByteArray *bytes)
{
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = (uint8_t)text[i];

        if (byte == '_') {
            byte = ' ';
        } else if (byte == '=' && i + 2 < length && g_ascii_isxdigit(text[i + 1]) &&
                   g_ascii_isxdigit(text[i + 2])) {
            byte = (uint8_t)(g_ascii_xdigit_value(text[i + 1]) * 16 +
                             g_ascii_xdigit_value(text[i + 2]));
            i += 2;
        }
        g_byte_array_append(bytes, &byte, 1);
    }
}

static void decode_b(const char *text, size_t length, GByteArray *bytes)
{
    guint old = bytes->len;
    gint state = 0;
    guint save = 0;
    gsize written;

    g_byte_array_set_size(bytes, old + (guint)(length / 4 * 3 + 6));
    written = g_base64_decode_step(text, length, bytes->data + old, &state, &save);
    /* Padding left out: what is there of the last group still counts. */
    if (length > 0 && text[length - 1] != '=') {
        static const char padding[] = "==";
        size_t missing = 0;

        for (size_t i = 0; i < length; i++)
            missing += g_ascii_isalnum(text[i]) || text[i] == '+' || text[i] == '/';
        missing = (4 - missing % 4) % 4;
        if (missing == 1 || missing == 2)
            written +=
                g_base64_decode_step(padding, missing, bytes->data + old + written, &state, &save);
    }
    g_byte_array_set_size(bytes, old + (guint)written);
}

/* Decoded words of one charset in a row are converted together: characters are split over words by
 * senders who count bytes. */
struct decoder {
    GString *text;
    GByteArray *pending;
    char charset[80];
    const char *const *fallbacks;
};

static void flush_words(struct decoder *decoder)
{
    g_autofree char *utf8 = NULL;

    if (decoder->pending->len == 0)
        return;
    utf8 = charset_to_utf8(decoder->pending->data, decoder->pending->len, decoder->charset,
                           decoder->fallbacks);
    g_string_append(decoder->text, utf8);
    g_byte_array_set_size(decoder->pending, 0);
}

static void add_word(struct decoder *decoder, const struct word *word)
{
    if (strlen(decoder->charset) != word->charset_length ||
        g_ascii_strncasecmp(decoder->charset, word->charset, word->charset_length) != 0) {
        flush_words(decoder);
        memcpy(decoder->charset, word->charset, word->charset_length);
        decoder->charset[word->charset_length] = '\0';
    }
    if (word->encoding == 'q')
        decode_q(word->text, word->text_length, decoder->pending);
    else
        decode_b(word->text, word->text_length, decoder->pending);
}

static void add_raw(struct decoder *decoder, const char *raw, size_t length)
{
    g_autofree char *utf8 = NULL;

    if (length == 0)
        return;
    flush_words(decoder);
    utf8 = charset_guess_utf8(raw, length, decoder->fallbacks);
    g_string_append(decoder->text, utf8);
}

static bool is_space(const char *from, const char *to)
{
    for (; from < to; from++)
        if (*from != ' ' && *from != '\t' && *from != '\r' && *from != '\n')
            return false;
    return true;
}

static void flatten_space(char *text)
{
    for (; *text != '\0'; text++)
        if (*text == '\t' || *text == '\r' || *text == '\n')
            *text = ' ';
}

char *charset_decode_header(const char *raw, const char *const *fallbacks)
{
    struct decoder decoder = {.fallbacks = fallbacks};
    const char *run = raw; /* begin of what has not been added yet */
    const char *at = raw;
    bool after_word = false;

    if (strstr(raw, "=?") == NULL) {
        char *text = charset_guess_utf8(raw, strlen(raw), fallbacks);

        flatten_space(text);
        return text;
    }
    decoder.text = g_string_new(NULL);
    decoder.pending = g_byte_array_new();
    while ((at = strstr(at, "=?")) != NULL) {
        struct word word;

        if (!parse_word(at, &word)) {
            at += 2;
            continue;
        }
        if (!after_word || !is_space(run, at))
            add_raw(&decoder, run, (size_t)(at - run));
        add_word(&decoder, &word);
        after_word = true;
        run = at = word.end;
    }
    flush_words(&decoder);
    add_raw(&decoder, run, strlen(run));
    g_byte_array_unref(decoder.pending);
    flatten_space(decoder.text->str);
    return g_string_free(decoder.text, FALSE);
}

/* --- encoding ------------------------------------------------------------------------------ */

#define LINE_LIMIT 76 /* RFC 2047 section 2: a line with an encoded word */
#define WORD_LIMIT 75
#define WORD_FRAME 12        /* of "=?UTF-8?B?" and "?=" */
#define PLAIN_WORD_LIMIT 900 /* a longer one would make a line beyond 998 (RFC 5322 2.1.1) */

/* What an encoded word in a phrase may hold as it is (RFC 2047 section 5 (3)). */
static bool q_safe(unsigned char byte)
{
    return g_ascii_isalnum((char)byte) || (byte != '\0' && strchr("!*+-/", byte) != NULL);
}

static char *without_controls(const char *utf8)
{
    char *text = g_utf8_make_valid(utf8, -1);

    for (char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = ' ';
    return text;
}

/* Encodes @length bytes as one or more words with @separator between them. @column: where the first
 * begins; a word gets shorter for it, but not shorter than one character. Returns the new column.
 */
static size_t append_words(GString *out, const char *text, size_t length, size_t column,
                           const char *separator)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t special = 0;
    bool q;

    for (size_t i = 0; i < length; i++)
        special += !q_safe((unsigned char)text[i]) && text[i] != ' ';
    q = special * 3 <= length;
    for (size_t at = 0; at < length;) {
        size_t room = column + 30 < LINE_LIMIT ? LINE_LIMIT - column : WORD_LIMIT;
        size_t begin = out->len;
        size_t taken = 0;
        size_t size = 0; /* of the encoded text */

        if (column + 30 >= LINE_LIMIT && at == 0 && separator[0] == '\n' && column > 1) {
            if (out->len > 0 && out->str[out->len - 1] == ' ')
                g_string_truncate(out, out->len - 1);
            g_string_append(out, separator);
            begin = out->len;
            column = 1;
        }
        room = MIN(room, WORD_LIMIT) - WORD_FRAME;
        while (at + taken < length) {
            size_t step = (size_t)g_utf8_skip[(unsigned char)text[at + taken]];
            size_t cost = 0;

            if (q) {
                for (size_t i = 0; i < step; i++) {
                    unsigned char byte = (unsigned char)text[at + taken + i];

                    cost += q_safe(byte) || byte == ' ' ? 1 : 3;
                }
                cost += size;
            } else {
                cost = (taken + step + 2) / 3 * 4;
            }
            if (cost > room && taken > 0)
                break;
            size = cost;
            taken += step;
        }
        g_string_append(out, q ? "=?UTF-8?Q?" : "=?UTF-8?B?");
        if (q) {
            for (size_t i = at; i < at + taken; i++) {
                unsigned char byte = (unsigned char)text[i];

                if (byte == ' ') {
                    g_string_append_c(out, '_');
                } else if (q_safe(byte)) {
                    g_string_append_c(out, (char)byte);
                } else {
                    g_string_append_c(out, '=');
                    g_string_append_c(out, hex[byte >> 4]);
                    g_string_append_c(out, hex[byte & 15]);
                }
            }
        } else {
            g_autofree char *base64 = g_base64_encode((const guchar *)text + at, taken);

            g_string_append(out, base64);
        }
        g_string_append(out, "?=");
        column += out->len - begin;
        at += taken;
        if (at < length) {
            g_string_append(out, separator);
            column = 1;
        }
    }
    return column;
}

/* Plain ASCII text, folded before a space where the line gets long. */
static size_t append_plain(GString *out, const char *text, size_t length, size_t column)
{
    for (size_t at = 0; at < length;) {
        size_t end = at;

        while (end < length && text[end] == ' ')
            end++;
        while (end < length && text[end] != ' ')
            end++;
        /* A line of space alone would end the field for some readers. */
        if (column + (end - at) > LINE_LIMIT && text[at] == ' ' && column > 1 &&
            text[end - 1] != ' ') {
            g_string_append_c(out, '\n');
            column = 0;
        }
        g_string_append_len(out, text + at, (gssize)(end - at));
        column += end - at;
        at = end;
    }
    return column;
}

/* The span that must be encoded: from the first to the last word that is not plain. False: none. */
static bool find_span(const char *text, size_t *ret_begin, size_t *ret_end)
{
    bool found = false;

    for (size_t at = 0; text[at] != '\0';) {
        size_t begin = at;
        bool plain = true;

        while (text[at] != '\0' && text[at] != ' ') {
            if ((unsigned char)text[at] >= 0x80 || (text[at] == '=' && text[at + 1] == '?'))
                plain = false;
            at++;
        }
        if (!plain || at - begin > PLAIN_WORD_LIMIT) {
            if (!found)
                *ret_begin = begin;
            *ret_end = at;
            found = true;
        }
        while (text[at] == ' ')
            at++;
    }
    return found;
}

char *charset_encode_header(const char *utf8, size_t column)
{
    g_autofree char *text = without_controls(utf8);
    GString *out = g_string_new(NULL);
    size_t begin = 0;
    size_t end = 0;

    if (!find_span(text, &begin, &end)) {
        append_plain(out, text, strlen(text), column);
    } else {
        column = append_plain(out, text, begin, column);
        column = append_words(out, text + begin, end - begin, column, "\n ");
        append_plain(out, text + end, strlen(text + end), column);
    }
    return g_string_free(out, FALSE);
}

char *charset_encode_phrase(const char *utf8)
{
    g_autofree char *text = without_controls(utf8);
    GString *out = g_string_new(NULL);
    size_t begin = 0;
    size_t end = 0;
    bool atoms = true;

    if (find_span(text, &begin, &end)) {
        append_words(out, text, strlen(text), 0, " ");
        return g_string_free(out, FALSE);
    }
    for (const char *at = text; *at != '\0'; at++)
        if (!g_ascii_isalnum(*at) && strchr("!#$%&'*+-/=?^_`{|}~ ", *at) == NULL)
            atoms = false;
    if (atoms && text[0] != ' ' && (text[0] == '\0' || text[strlen(text) - 1] != ' '))
        return g_string_free(g_string_assign(out, text), FALSE);
    g_string_append_c(out, '"');
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            g_string_append_c(out, '\\');
        g_string_append_c(out, *at);
    }
    g_string_append_c(out, '"');
    return g_string_free(out, FALSE);
}
