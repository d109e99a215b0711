#include "charset.h"

#include <errno.h>
#include <string.h>

#include <glib.h>

const char *const charset_default_fallbacks[] = {"CP949", NULL};

#define REPLACEMENT "\xEF\xBF\xBD"

/*
 * Labels that mail uses and the converter that reads them. A list of what is allowed, not of what
 * iconv has: converters nobody sends mail in (ISO-2022-CN-EXT, IBM1390 …) have been the home of
 * overflows and endless loops. Where a label is used for more than it says, the superset is named.
 */
static const struct {
    const char *label;
    const char *iconv;
} labels[] = {
    {"utf-8", "UTF-8"},
    {"utf8", "UTF-8"},
    {"unicode-1-1-utf-8", "UTF-8"},
    {"cp65001", "UTF-8"},
    {"utf-7", "UTF-7"},
    {"unicode-1-1-utf-7", "UTF-7"},
    {"utf-16", "UTF-16"},
    {"utf-16le", "UTF-16LE"},
    {"utf-16be", "UTF-16BE"},
    {"utf-32", "UTF-32"},
    {"utf-32le", "UTF-32LE"},
    {"utf-32be", "UTF-32BE"},
    {"euc-kr", "CP949"},
    {"euckr", "CP949"},
    {"ks_c_5601-1987", "CP949"},
    {"ks_c_5601-1989", "CP949"},
    {"ks_c_5601", "CP949"},
    {"ksc_5601", "CP949"},
    {"ksc5601", "CP949"},
    {"korean", "CP949"},
    {"cp949", "CP949"},
    {"windows-949", "CP949"},
    {"x-windows-949", "CP949"},
    {"ms949", "CP949"},
    {"uhc", "CP949"},
    {"johab", "JOHAB"},
    {"cp1361", "JOHAB"},
    {"iso-2022-kr", "ISO-2022-KR"},
    {"iso-2022-jp", "ISO-2022-JP"},
    {"iso-2022-jp-1", "ISO-2022-JP-1"},
    {"iso-2022-jp-2", "ISO-2022-JP-2"},
    {"cp50220", "ISO-2022-JP"},
    {"cp50221", "ISO-2022-JP"},
    {"shift_jis", "CP932"},
    {"shift-jis", "CP932"},
    {"sjis", "CP932"},
    {"x-sjis", "CP932"},
    {"ms_kanji", "CP932"},
    {"windows-31j", "CP932"},
    {"cp932", "CP932"},
    {"euc-jp", "EUC-JP"},
    {"eucjp", "EUC-JP"},
    {"x-euc-jp", "EUC-JP"},
    {"gb2312", "GB18030"},
    {"gb_2312-80", "GB18030"},
    {"gbk", "GB18030"},
    {"x-gbk", "GB18030"},
    {"cp936", "GB18030"},
    {"euc-cn", "GB18030"},
    {"gb18030", "GB18030"},
    {"hz-gb-2312", "HZ"},
    {"iso-2022-cn", "ISO-2022-CN"},
    {"big5", "BIG5-HKSCS"},
    {"big-5", "BIG5-HKSCS"},
    {"big5-hkscs", "BIG5-HKSCS"},
    {"cp950", "CP950"},
    {"euc-tw", "EUC-TW"},
    {"koi8-r", "KOI8-R"},
    {"koi8-u", "KOI8-U"},
    {"tis-620", "CP874"},
    {"viscii", "VISCII"},
    {"macintosh", "MACINTOSH"},
    {"x-mac-roman", "MACINTOSH"},
    {"ibm437", "CP437"},
    {"cp437", "CP437"},
    {"ibm850", "CP850"},
    {"cp850", "CP850"},
    {"ibm852", "CP852"},
    {"cp852", "CP852"},
    {"ibm866", "CP866"},
    {"cp866", "CP866"},
    {"cp874", "CP874"},
    {"windows-874", "CP874"},
    {"iso-8859-11", "CP874"},
    {"latin1", "WINDOWS-1252"},
    {"latin-1", "WINDOWS-1252"},
    {"iso8859-1", "WINDOWS-1252"},
    {"iso_8859-1", "WINDOWS-1252"},
    {"iso-8859-1", "WINDOWS-1252"},
    {"windows-1252", "WINDOWS-1252"},
    {"cp1252", "WINDOWS-1252"},
    {"x-ansi", "WINDOWS-1252"},
    {"iso-8859-8-i", "ISO-8859-8"},
    {"iso-8859-8-e", "ISO-8859-8"},
    {"iso-8859-9", "CP1254"},
    {"latin2", "ISO-8859-2"},
    {"latin9", "ISO-8859-15"},
};

/* "iso-8859-N" and "windows-125N"/"cp125N" that the table does not name. */
static bool family_name(const char *label, char *ret_name, size_t size)
{
    const char *digits = NULL;
    const char *family = NULL;

    if (g_ascii_strncasecmp(label, "iso-8859-", 9) == 0 ||
        g_ascii_strncasecmp(label, "iso_8859-", 9) == 0) {
        digits = label + 9;
        family = "ISO-8859-";
    } else if (g_ascii_strncasecmp(label, "windows-125", 11) == 0) {
        digits = label + 11;
        family = "CP125";
    } else if (g_ascii_strncasecmp(label, "cp125", 5) == 0) {
        digits = label + 5;
        family = "CP125";
    }
    if (digits == NULL || !g_ascii_isdigit(digits[0]) ||
        (digits[1] != '\0' && (!g_ascii_isdigit(digits[1]) || digits[2] != '\0')))
        return false;
    g_snprintf(ret_name, (gulong)size, "%s%s", family, digits);
    return true;
}

/* The name iconv knows, in @buffer or static; NULL for a label that is not allowed. */
static const char *iconv_name(const char *label, char *buffer, size_t size)
{
    for (size_t i = 0; i < G_N_ELEMENTS(labels); i++)
        if (g_ascii_strcasecmp(labels[i].label, label) == 0)
            return labels[i].iconv;
    return family_name(label, buffer, size) ? buffer : NULL;
}

bool charset_is_known(const char *charset)
{
    char buffer[32];
    const char *name = iconv_name(charset, buffer, sizeof(buffer));
    GIConv converter;

    if (g_ascii_strcasecmp(charset, "us-ascii") == 0)
        return true;
    if (name == NULL)
        return false;
    converter = g_iconv_open("UTF-8", name);
    if (converter == (GIConv)-1)
        return false;
    g_iconv_close(converter);
    return true;
}

/* A converter may give U+0000; it goes the way of every NUL. */
static void append_without_nul(GString *text, const char *bytes, size_t length)
{
    while (length > 0) {
        const char *nul = memchr(bytes, '\0', length);
        size_t run = nul == NULL ? length : (size_t)(nul - bytes);

        g_string_append_len(text, bytes, (gssize)run);
        if (nul == NULL)
            return;
        g_string_append(text, REPLACEMENT);
        bytes += run + 1;
        length -= run + 1;
    }
}

/* In the two-byte sets of ISO-2022 a bad character is two bytes long: skipping one would shift all
 * that follows. */
static size_t bad_length(const char *name, const char *begin, const char *at, size_t left)
{
    if (!g_str_has_prefix(name, "ISO-2022-") || left < 2)
        return 1;
    while (at > begin && *at != '\x1b')
        at--;
    return *at == '\x1b' && at[1] == '$' ? 2 : 1;
}

/* @bytes through iconv. Strict: NULL at the first byte that does not convert; otherwise such bytes
 * become U+FFFD. */
static char *convert(const char *bytes, size_t length, const char *name, bool strict)
{
    GIConv converter = g_iconv_open("UTF-8", name);
    g_autoptr(GString) text = NULL;
    gchar *in = (gchar *)bytes;
    gsize left = length;
    bool flushed = false;

    if (converter == (GIConv)-1)
        return NULL;
    text = g_string_sized_new(length + length / 2 + 16);
    while (left > 0 || !flushed) {
        char out[4096];
        gchar *next = out;
        gsize room = sizeof(out);
        gsize before = left;
        gsize result;
        int saved;

        flushed = left == 0;
        result = g_iconv(converter, flushed ? NULL : &in, &left, &next, &room);
        saved = errno;
        append_without_nul(text, out, sizeof(out) - room);
        if (result != (gsize)-1)
            continue;
        if (saved == E2BIG && (room < sizeof(out) || left < before)) {
            flushed = false;
            continue;
        }
        if (strict) {
            g_iconv_close(converter);
            return NULL;
        }
        if (left > 0) {
            /* Escapes stand on each line; looking further back would cost a square. */
            size_t skip = bad_length(name, in - bytes > 256 ? in - 256 : bytes, in, left);

            g_string_append(text, REPLACEMENT);
            in += skip;
            left -= skip;
            flushed = false;
        } else {
            break;
        }
    }
    g_iconv_close(converter);
    if (!g_utf8_validate_len(text->str, text->len, NULL)) {
        char *valid = strict ? NULL : g_utf8_make_valid(text->str, (gssize)text->len);

        return valid;
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* Latin-1 as everybody means it. Every byte has a meaning; those that windows-1252 leaves open are
 * the C1 controls. */
static char *from_latin1(const char *bytes, size_t length)
{
    static const gunichar c1[32] = {0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
                                    0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D,   0x017D, 0x8F,
                                    0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                    0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};
    GString *text = g_string_sized_new(length + length / 4 + 8);

    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];

        if (byte == 0)
            g_string_append(text, REPLACEMENT);
        else if (byte < 0x80)
            g_string_append_c(text, (char)byte);
        else
            g_string_append_unichar(text, byte < 0xA0 ? c1[byte - 0x80] : byte);
    }
    return g_string_free(text, FALSE);
}

static bool has_hangul(const char *utf8)
{
    for (; *utf8 != '\0'; utf8 = g_utf8_next_char(utf8)) {
        gunichar c = g_utf8_get_char(utf8);

        if ((c >= 0xAC00 && c <= 0xD7A3) || (c >= 0x3131 && c <= 0x318E))
            return true;
    }
    return false;
}

/* UTF-8 that was cut in the middle of a character, or had a byte damaged, is still UTF-8: believed
 * when whole characters beyond ASCII outnumber the bad bytes by far. */
static bool mostly_utf8(const char *bytes, size_t length)
{
    size_t good = 0;
    size_t bad = 0;

    for (size_t i = 0; i < length;) {
        unsigned char byte = (unsigned char)bytes[i];
        gunichar c;

        if (byte < 0x80) {
            i++;
            continue;
        }
        c = g_utf8_get_char_validated(bytes + i, (gssize)(length - i));
        if (c == (gunichar)-2) /* cut at the end */
            return good > 2 * (bad + 1);
        if (c == (gunichar)-1) {
            bad++;
            i++;
        } else {
            good++;
            i += (size_t)g_utf8_skip[byte];
        }
    }
    return good > 2 * bad;
}

static bool is_ascii(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)bytes[i] >= 0x80)
            return false;
    return true;
}

/* A copy where every NUL became U+FFFD; *ret_length is its length. */
static char *copy_without_nul(const char *bytes, size_t length, size_t *ret_length)
{
    GString *text = g_string_sized_new(length + 8);

    append_without_nul(text, bytes, length);
    *ret_length = text->len;
    return g_string_free(text, FALSE);
}

/* ISO-2022 is the one undeclared encoding that can be told with certainty, by its escapes. */
static const char *escape_charset(const char *bytes, size_t length)
{
    const char *escape = memchr(bytes, '\x1b', length);

    while (escape != NULL) {
        size_t left = length - (size_t)(escape - bytes);

        if (left >= 4 && memcmp(escape, "\x1b$)C", 4) == 0)
            return "ISO-2022-KR";
        if (left >= 3 && (memcmp(escape, "\x1b$B", 3) == 0 || memcmp(escape, "\x1b$@", 3) == 0 ||
                          memcmp(escape, "\x1b(J", 3) == 0))
            return "ISO-2022-JP";
        escape = memchr(escape + 1, '\x1b', left - 1);
    }
    return NULL;
}

char *charset_guess_utf8(const void *bytes, size_t length, const char *const *fallbacks)
{
    const char *data = length == 0 ? "" : bytes;
    const char *escaped;

    if (fallbacks == NULL)
        fallbacks = charset_default_fallbacks;
    if (is_ascii(data, length)) {
        escaped = escape_charset(data, length);
        if (escaped != NULL) {
            char *text = convert(data, length, escaped, false);

            if (text != NULL)
                return text;
        }
        return memchr(data, '\0', length) == NULL ? g_strndup(data, length)
                                                  : copy_without_nul(data, length, &length);
    }
    if (memchr(data, '\0', length) != NULL) {
        size_t clean_length;
        g_autofree char *clean = copy_without_nul(data, length, &clean_length);

        /* U+FFFD itself must not decide what the rest is. */
        if (g_utf8_validate_len(clean, clean_length, NULL))
            return g_steal_pointer(&clean);
    } else if (g_utf8_validate_len(data, length, NULL)) {
        return g_strndup(data, length);
    }
    if (mostly_utf8(data, length))
        return g_utf8_make_valid(data, (gssize)length);
    for (size_t i = 0; fallbacks[i] != NULL; i++) {
        char buffer[32];
        const char *name = iconv_name(fallbacks[i], buffer, sizeof(buffer));
        g_autofree char *text = NULL;

        if (name == NULL || strcmp(name, "UTF-8") == 0)
            continue;
        if (strcmp(name, "WINDOWS-1252") == 0)
            break;
        text = convert(data, length, name, true);
        if (text != NULL &&
            ((strcmp(name, "CP949") != 0 && strcmp(name, "JOHAB") != 0) || has_hangul(text)))
            return g_steal_pointer(&text);
    }
    return from_latin1(data, length);
}

char *charset_to_utf8(const void *bytes, size_t length, const char *declared,
                      const char *const *fallbacks)
{
    const char *data = length == 0 ? "" : bytes;
    char buffer[32];
    const char *name;
    char *text;

    name = declared == NULL ? NULL : iconv_name(declared, buffer, sizeof(buffer));
    if (name == NULL || strcmp(name, "UTF-8") == 0)
        return charset_guess_utf8(data, length, fallbacks);
    text = convert(data, length, name, true);
    if (text != NULL)
        return text;
    /* The label lies, or a few bytes are broken. */
    if (!is_ascii(data, length) && g_utf8_validate_len(data, length, NULL))
        return g_strndup(data, length);
    if (strcmp(name, "WINDOWS-1252") == 0)
        return from_latin1(data, length);
    text = convert(data, length, name, false);
    return text != NULL ? text : charset_guess_utf8(data, length, fallbacks);
}

size_t charset_cut(const char *utf8, size_t characters)
{
    const char *at = utf8;

    while (characters > 0 && *at != '\0') {
        at = g_utf8_next_char(at);
        characters--;
    }
    return (size_t)(at - utf8);
}

char *charset_cut_dup(const char *utf8, size_t characters)
{
    return g_strndup(utf8, charset_cut(utf8, characters));
}

size_t charset_cut_bytes(const char *utf8, size_t length, size_t limit)
{
    if (length <= limit)
        return length;
    while (limit > 0 && ((unsigned char)utf8[limit] & 0xC0) == 0x80)
        limit--;
    return limit;
}
