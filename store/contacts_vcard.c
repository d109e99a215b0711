/*
 * vCard 3.0 (RFC 2426), 4.0 (RFC 6350), and the 2.1 that telephones still write: names, addresses
 * and groups out of it, and 3.0 and 4.0 back. The rest of a card is not kept.
 */
#include "store/contacts.h"

#include <string.h>

#include "store/contacts-internal.h"

/* One content line: "group.NAME;PARAM=x:value", unfolded. */
struct line {
    char *name;       /* upper case, without group */
    char *parameters; /* upper case, with leading ';' */
    char *value;      /* raw */
};

static void line_clear(struct line *line)
{
    g_free(line->name);
    g_free(line->parameters);
    g_free(line->value);
    *line = (struct line){NULL};
}

/* Takes the next unfolded line from *@text; false at the end. RFC 6350 3.2: CRLF and one blank
 * continue a line; quoted-printable of 2.1 continues by "=" at the end. */
static bool next_line(const char **text, const char *end, GString *out)
{
    const char *p = *text;

    g_string_truncate(out, 0);
    if (p >= end)
        return false;
    for (;;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *stop = newline ? newline : end;
        size_t length = (size_t)(stop - p);

        if (length > 0 && stop[-1] == '\r')
            length--;
        if (out->len + length <= CONTACTS_LINE_MAX)
            g_string_append_len(out, p, (gssize)length);
        p = newline ? newline + 1 : end;
        if (p < end && (*p == ' ' || *p == '\t')) {
            p++;
            continue;
        }
        if (p < end && out->len > 0 && out->str[out->len - 1] == '=' &&
            strcasestr(out->str, "QUOTED-PRINTABLE")) {
            g_string_truncate(out, out->len - 1);
            continue;
        }
        *text = p;
        return true;
    }
}

static bool split_line(const char *text, struct line *ret_line)
{
    const char *colon = NULL, *semicolon, *name = text, *dot;
    bool quoted = false;

    for (const char *p = text; *p && !colon; p++) {
        if (*p == '"')
            quoted = !quoted;
        else if (*p == ':' && !quoted)
            colon = p;
    }
    if (!colon)
        return false;
    semicolon = memchr(text, ';', (size_t)(colon - text));
    if (!semicolon)
        semicolon = colon;
    dot = memchr(text, '.', (size_t)(semicolon - text));
    if (dot)
        name = dot + 1;
    ret_line->name = g_ascii_strup(name, semicolon - name);
    ret_line->parameters = g_ascii_strup(semicolon, colon - semicolon);
    ret_line->value = g_strdup(colon + 1);
    return true;
}

static char *decode_quoted_printable(const char *value)
{
    GString *out = g_string_new(NULL);

    for (const char *p = value; *p; p++) {
        if (*p == '=' && g_ascii_isxdigit(p[1]) && g_ascii_isxdigit(p[2])) {
            int byte = g_ascii_xdigit_value(p[1]) * 16 + g_ascii_xdigit_value(p[2]);

            if (byte)
                g_string_append_c(out, (char)byte);
            p += 2;
        } else {
            g_string_append_c(out, *p);
        }
    }
    return g_string_free(out, FALSE);
}

/* Backslash escapes away: "\n" a space, "\," a comma. */
static char *unescape(const char *value, size_t length)
{
    GString *out = g_string_new(NULL);

    for (size_t i = 0; i < length; i++) {
        if (value[i] == '\\' && i + 1 < length) {
            i++;
            g_string_append_c(out, value[i] == 'n' || value[i] == 'N' ? ' ' : value[i]);
        } else {
            g_string_append_c(out, value[i]);
        }
    }
    return g_string_free(out, FALSE);
}

/* The @index'th part of a value whose parts end at @separator, unescaped. NULL past the end. */
static char *value_part(const char *value, char separator, int index)
{
    const char *start = value;

    for (const char *p = value;; p++) {
        if (*p == '\\' && p[1]) {
            p++;
            continue;
        }
        if (*p && *p != separator)
            continue;
        if (index-- == 0)
            return g_strstrip(unescape(start, (size_t)(p - start)));
        if (!*p)
            return NULL;
        start = p + 1;
    }
}

/* "Family;Given;Additional;Prefix;Suffix" to one name: Given Additional Family, but without
 * spaces and family first where the name is written in Hangul, Han or Kana. */
static char *name_from_n(const char *value)
{
    g_autofree char *family = value_part(value, ';', 0), *given = value_part(value, ';', 1);
    g_autofree char *additional = value_part(value, ';', 2);
    GString *name = g_string_new(NULL);

    if (family && *family && given && *given && g_utf8_get_char_validated(family, -1) >= 0x2e80 &&
        g_utf8_get_char_validated(family, -1) < 0x40000) {
        g_string_append_printf(name, "%s%s", family, given);
        return g_string_free(name, FALSE);
    }
    for (int i = 0; i < 3; i++) {
        const char *part = i == 0 ? given : i == 1 ? additional : family;

        if (part && *part)
            g_string_append_printf(name, "%s%s", name->len ? " " : "", part);
    }
    return g_string_free(name, FALSE);
}

/* What is known of the card that is being read. */
struct card {
    bool open;
    char *fn, *n, *organisation;
    GPtrArray *emails;
    GPtrArray *groups;
};

static void card_reset(struct card *card)
{
    g_clear_pointer(&card->fn, g_free);
    g_clear_pointer(&card->n, g_free);
    g_clear_pointer(&card->organisation, g_free);
    g_ptr_array_set_size(card->emails, 0);
    g_ptr_array_set_size(card->groups, 0);
}

static void card_read(struct card *card, const struct line *line)
{
    g_autofree char *value = strstr(line->parameters, "QUOTED-PRINTABLE")
                                 ? decode_quoted_printable(line->value)
                                 : g_strdup(line->value);
    char *part;

    if (strcmp(line->name, "FN") == 0 && !card->fn) {
        card->fn = g_strstrip(unescape(value, strlen(value)));
    } else if (strcmp(line->name, "N") == 0 && !card->n) {
        card->n = name_from_n(value);
    } else if (strcmp(line->name, "ORG") == 0 && !card->organisation) {
        card->organisation = value_part(value, ';', 0);
    } else if (strcmp(line->name, "EMAIL") == 0) {
        g_ptr_array_add(card->emails, g_strstrip(unescape(value, strlen(value))));
    } else if (strcmp(line->name, "CATEGORIES") == 0) {
        for (int i = 0; (part = value_part(value, ',', i)); i++) {
            if (*part)
                g_ptr_array_add(card->groups, part);
            else
                g_free(part);
        }
    }
}

/* One contact for each address of the card; none: skipped. */
static void card_finish(struct card *card, GPtrArray *contacts, int64_t *skipped)
{
    const char *name = card->fn && *card->fn ? card->fn
                       : card->n && *card->n ? card->n
                       : card->organisation  ? card->organisation
                                             : "";

    if (card->emails->len == 0)
        (*skipped)++;
    for (guint i = 0; i < card->emails->len; i++) {
        struct contact *contact = contact_new(name, card->emails->pdata[i]);

        g_strfreev(contact->groups);
        contact->groups = g_new0(char *, card->groups->len + 1);
        for (guint k = 0; k < card->groups->len; k++)
            contact->groups[k] = g_strdup(card->groups->pdata[k]);
        g_ptr_array_add(contacts, contact);
    }
}

GPtrArray *contacts_parse_vcard(const char *data, size_t length, int64_t *ret_skipped)
{
    GPtrArray *contacts = contacts_array_new();
    struct card card = {.emails = g_ptr_array_new_with_free_func(g_free),
                        .groups = g_ptr_array_new_with_free_func(g_free)};
    g_autofree char *valid = contacts_text_from(data, length);
    g_autoptr(GString) text = g_string_new(NULL);
    const char *at = valid, *end = valid + strlen(valid);
    int64_t skipped = 0;

    while (next_line(&at, end, text)) {
        struct line line = {NULL};

        if (!split_line(text->str, &line))
            continue;
        if (strcmp(line.name, "BEGIN") == 0 && g_ascii_strcasecmp(line.value, "VCARD") == 0) {
            skipped += card.open;
            card_reset(&card);
            card.open = true;
        } else if (card.open && strcmp(line.name, "END") == 0) {
            card_finish(&card, contacts, &skipped);
            card.open = false;
        } else if (card.open) {
            card_read(&card, &line);
        }
        line_clear(&line);
    }
    skipped += card.open;
    card_reset(&card);
    g_ptr_array_unref(card.emails);
    g_ptr_array_unref(card.groups);
    *ret_skipped = skipped;
    return contacts;
}

/* RFC 6350 3.4: backslash, comma, semicolon and newline are escaped. */
static void append_escaped(GString *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\\' || *p == ',' || *p == ';')
            g_string_append_c(out, '\\');
        if (*p == '\n')
            g_string_append(out, "\\n");
        else if ((unsigned char)*p >= 0x20)
            g_string_append_c(out, *p);
    }
}

/* Appends @line and CRLF, folded after 75 bytes on a character (RFC 6350 3.2). */
static void append_folded(GString *out, const char *line)
{
    size_t column = 0;

    for (const char *p = line; *p;) {
        size_t width = (size_t)(g_utf8_next_char(p) - p);

        if (column + width > 75) {
            g_string_append(out, "\r\n ");
            column = 1;
        }
        g_string_append_len(out, p, (gssize)width);
        column += width;
        p += width;
    }
    g_string_append(out, "\r\n");
}

char *contacts_format_vcard(const GPtrArray *contacts, int version)
{
    GString *out = g_string_new(NULL);
    g_autoptr(GString) line = g_string_new(NULL);

    for (guint i = 0; i < contacts->len; i++) {
        const struct contact *contact = contacts->pdata[i];

        g_string_append_printf(out, "BEGIN:VCARD\r\nVERSION:%d.0\r\n", version);
        /* FN must not be empty in either version; N is required in 3.0 */
        g_string_assign(line, "FN:");
        append_escaped(line, *contact->name ? contact->name : contact->email);
        append_folded(out, line->str);
        if (version == 3) {
            g_string_assign(line, "N:");
            append_escaped(line, contact->name);
            g_string_append(line, ";;;;");
            append_folded(out, line->str);
        }
        g_string_assign(line, version == 3 ? "EMAIL;TYPE=INTERNET:" : "EMAIL:");
        append_escaped(line, contact->email);
        append_folded(out, line->str);
        if (contact->groups && contact->groups[0]) {
            g_string_assign(line, "CATEGORIES:");
            for (char **group = contact->groups; *group; group++) {
                if (group != contact->groups)
                    g_string_append_c(line, ',');
                append_escaped(line, *group);
            }
            append_folded(out, line->str);
        }
        g_string_append(out, "END:VCARD\r\n");
    }
    return g_string_free(out, FALSE);
}
