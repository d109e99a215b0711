/*
 * The text of an HTML body, for tests that look for words: tags, comments, scripts and styles go, a
 * block becomes a line, entities become their characters. One pass; whatever comes in is taken as
 * browsers take it, nothing is an error.
 */
#include "message-internal.h"

#include <string.h>

static const struct {
    const char *name;
    gunichar character;
} entities[] = {
    {"amp", '&'},      {"lt", '<'},       {"gt", '>'},       {"quot", '"'},      {"apos", '\''},
    {"nbsp", 0xA0},    {"iexcl", 0xA1},   {"cent", 0xA2},    {"pound", 0xA3},    {"yen", 0xA5},
    {"sect", 0xA7},    {"uml", 0xA8},     {"copy", 0xA9},    {"laquo", 0xAB},    {"shy", 0xAD},
    {"reg", 0xAE},     {"deg", 0xB0},     {"plusmn", 0xB1},  {"acute", 0xB4},    {"micro", 0xB5},
    {"para", 0xB6},    {"middot", 0xB7},  {"raquo", 0xBB},   {"frac12", 0xBD},   {"iquest", 0xBF},
    {"Agrave", 0xC0},  {"Aacute", 0xC1},  {"Acirc", 0xC2},   {"Atilde", 0xC3},   {"Auml", 0xC4},
    {"Aring", 0xC5},   {"AElig", 0xC6},   {"Ccedil", 0xC7},  {"Egrave", 0xC8},   {"Eacute", 0xC9},
    {"Ecirc", 0xCA},   {"Euml", 0xCB},    {"Iacute", 0xCD},  {"Ntilde", 0xD1},   {"Oacute", 0xD3},
    {"Ocirc", 0xD4},   {"Ouml", 0xD6},    {"times", 0xD7},   {"Oslash", 0xD8},   {"Uacute", 0xDA},
    {"Uuml", 0xDC},    {"szlig", 0xDF},   {"agrave", 0xE0},  {"aacute", 0xE1},   {"acirc", 0xE2},
    {"atilde", 0xE3},  {"auml", 0xE4},    {"aring", 0xE5},   {"aelig", 0xE6},    {"ccedil", 0xE7},
    {"egrave", 0xE8},  {"eacute", 0xE9},  {"ecirc", 0xEA},   {"euml", 0xEB},     {"igrave", 0xEC},
    {"iacute", 0xED},  {"icirc", 0xEE},   {"iuml", 0xEF},    {"ntilde", 0xF1},   {"ograve", 0xF2},
    {"oacute", 0xF3},  {"ocirc", 0xF4},   {"otilde", 0xF5},  {"ouml", 0xF6},     {"oslash", 0xF8},
    {"ugrave", 0xF9},  {"uacute", 0xFA},  {"ucirc", 0xFB},   {"uuml", 0xFC},     {"yacute", 0xFD},
    {"ndash", 0x2013}, {"mdash", 0x2014}, {"lsquo", 0x2018}, {"rsquo", 0x2019},  {"ldquo", 0x201C},
    {"rdquo", 0x201D}, {"bdquo", 0x201E}, {"bull", 0x2022},  {"hellip", 0x2026}, {"euro", 0x20AC},
    {"trade", 0x2122}, {"rarr", 0x2192},
};

/* Elements that begin a new line. */
static const char *const blocks[] = {"address",  "blockquote", "br",    "dd", "div", "dl",  "dt",
                                     "fieldset", "form",       "h1",    "h2", "h3",  "h4",  "h5",
                                     "h6",       "hr",         "li",    "ol", "p",   "pre", "table",
                                     "td",       "th",         "title", "tr", "ul"};

/* Elements whose content nobody reads. */
static const char *const silent[] = {"script", "style", "head", "noscript", "template"};

static bool name_is(const char *name, size_t length, const char *wanted)
{
    return strlen(wanted) == length && g_ascii_strncasecmp(name, wanted, length) == 0;
}

static bool name_in(const char *name, size_t length, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (name_is(name, length, names[i]))
            return true;
    return false;
}

/* Resolves the entity at @at ("&…"); returns behind it, or NULL when it is none. */
static const char *take_entity(const char *at, GString *text)
{
    size_t length;

    if (at[1] == '#') {
        bool hex = at[2] == 'x' || at[2] == 'X';
        char *end;
        guint64 code = g_ascii_strtoull(at + (hex ? 3 : 2), &end, hex ? 16 : 10);

        if (hex ? !g_ascii_isxdigit(at[3]) : !g_ascii_isdigit(at[2]))
            return NULL;
        if (code == 0 || code > 0x10FFFF || !g_unichar_validate((gunichar)code))
            code = 0xFFFD;
        g_string_append_unichar(text, (gunichar)code);
        return *end == ';' ? end + 1 : end;
    }
    for (length = 0; length < 10 && g_ascii_isalnum(at[1 + length]); length++)
        ;
    for (size_t i = 0; i < G_N_ELEMENTS(entities); i++) {
        if (strlen(entities[i].name) != length || memcmp(entities[i].name, at + 1, length) != 0)
            continue;
        g_string_append_unichar(text, entities[i].character);
        return at + 1 + length + (at[1 + length] == ';');
    }
    return NULL;
}

/* Behind the '>' of the tag at @at; quoted attribute values may hold one. The end of the text when
 * there is none. */
static const char *skip_tag(const char *at)
{
    char quote = '\0';

    for (; *at != '\0'; at++) {
        if (quote != '\0')
            quote = *at == quote ? '\0' : quote;
        else if ((*at == '"' || *at == '\'') && at[-1] == '=')
            quote = *at;
        else if (*at == '>')
            return at + 1;
    }
    return at;
}

/* At the "</name" that ends a silent element, or the end of the text. */
static const char *skip_silent(const char *at, const char *name, size_t length)
{
    for (; *at != '\0'; at++)
        if (at[0] == '<' && at[1] == '/' && g_ascii_strncasecmp(at + 2, name, length) == 0 &&
            !g_ascii_isalnum(at[2 + length]))
            return at;
    return at;
}

static void new_line(GString *text)
{
    if (text->len > 0 && text->str[text->len - 1] == ' ')
        g_string_truncate(text, text->len - 1);
    if (text->len > 0 && text->str[text->len - 1] != '\n')
        g_string_append_c(text, '\n');
}

static const char *take_markup(const char *at, GString *text)
{
    const char *name = at + 1 + (at[1] == '/');
    size_t length = 0;
    const char *end;

    if (strncmp(at, "<!--", 4) == 0) {
        end = strstr(at + 4, "-->");
        return end == NULL ? at + strlen(at) : end + 3;
    }
    while (g_ascii_isalnum(name[length]))
        length++;
    end = skip_tag(at + 1);
    if (name_in(name, length, blocks, G_N_ELEMENTS(blocks)))
        new_line(text);
    if (at[1] != '/' && end[-1] == '>' && end[-2] != '/' &&
        name_in(name, length, silent, G_N_ELEMENTS(silent)))
        return skip_silent(end, name, length);
    return end;
}

char *html_to_text(const char *html)
{
    GString *text = g_string_sized_new(strlen(html) / 2 + 16);
    const char *at = html;

    while (*at != '\0') {
        const char *end = NULL;

        if (*at == '<' &&
            (g_ascii_isalpha(at[1]) || at[1] == '/' || at[1] == '!' || at[1] == '?')) {
            at = take_markup(at, text);
            continue;
        }
        if (*at == '&')
            end = take_entity(at, text);
        if (end != NULL) {
            at = end;
        } else if (g_ascii_isspace(*at)) {
            if (text->len > 0 && text->str[text->len - 1] != ' ' &&
                text->str[text->len - 1] != '\n')
                g_string_append_c(text, ' ');
            at++;
        } else {
            g_string_append_c(text, *at++);
        }
    }
    new_line(text);
    return g_string_free(text, FALSE);
}
