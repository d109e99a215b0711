/*
 * CSV (RFC 4180) as address books exchange it. The first line names the columns; ours are name,
 * email, groups (separated by ';'), and what Thunderbird, Outlook and Google write is understood.
 */
#include "store/contacts.h"

#include <string.h>

#include "store/contacts-internal.h"

enum column { COLUMN_NAME, COLUMN_GIVEN, COLUMN_FAMILY, COLUMN_EMAIL, COLUMN_GROUPS, COLUMN_OTHER };

static const struct {
    const char *heading; /* lower case */
    enum column column;
} headings[] = {
    {"name", COLUMN_NAME},
    {"display name", COLUMN_NAME}, /* Thunderbird */
    {"full name", COLUMN_NAME},
    {"file as", COLUMN_OTHER},
    {"contact_name", COLUMN_NAME},
    {"이름", COLUMN_NAME},
    {"표시 이름", COLUMN_NAME},
    {"表示名", COLUMN_NAME},
    {"first name", COLUMN_GIVEN},
    {"given name", COLUMN_GIVEN},
    {"last name", COLUMN_FAMILY},
    {"family name", COLUMN_FAMILY},
    {"성", COLUMN_FAMILY},
    {"email", COLUMN_EMAIL},
    {"e-mail", COLUMN_EMAIL},
    {"contact_email", COLUMN_EMAIL},
    {"email address", COLUMN_EMAIL},
    {"e-mail address", COLUMN_EMAIL}, /* Outlook */
    {"e-mail 2 address", COLUMN_EMAIL},
    {"e-mail 3 address", COLUMN_EMAIL},
    {"primary email", COLUMN_EMAIL}, /* Thunderbird */
    {"secondary email", COLUMN_EMAIL},
    {"e-mail 1 - value", COLUMN_EMAIL}, /* Google */
    {"e-mail 2 - value", COLUMN_EMAIL},
    {"전자 메일 주소", COLUMN_EMAIL},
    {"이메일", COLUMN_EMAIL},
    {"이메일 주소", COLUMN_EMAIL},
    {"メールアドレス", COLUMN_EMAIL},
    {"groups", COLUMN_GROUPS},
    {"categories", COLUMN_GROUPS},
    {"group membership", COLUMN_GROUPS},
    {"labels", COLUMN_GROUPS},
};

static enum column column_of(const char *cell)
{
    g_autofree char *lower = g_utf8_strdown(cell, -1);

    g_strstrip(lower);
    for (size_t i = 0; i < G_N_ELEMENTS(headings); i++)
        if (strcmp(headings[i].heading, lower) == 0)
            return headings[i].column;
    return COLUMN_OTHER;
}

/* Takes a record from *@text; false at the end. Quotes may hold newlines and doubled quotes. */
static bool next_record(const char **text, char separator, GPtrArray *cells)
{
    const char *p = *text;
    g_autoptr(GString) cell = g_string_new(NULL);
    bool quoted = false;

    g_ptr_array_set_size(cells, 0);
    if (!*p)
        return false;
    for (;; p++) {
        if (quoted && *p == '"' && p[1] == '"') {
            g_string_append_c(cell, *p++);
            continue;
        }
        if (*p == '"' && (quoted || cell->len == 0)) {
            quoted = !quoted;
            continue;
        }
        if (*p && (quoted || (*p != separator && *p != '\n'))) {
            if (*p != '\r' && cell->len < CONTACTS_LINE_MAX)
                g_string_append_c(cell, *p == '\n' ? ' ' : *p);
            continue;
        }
        if (cells->len < 500)
            g_ptr_array_add(cells, g_strdup(g_strstrip(cell->str)));
        g_string_truncate(cell, 0);
        if (*p == separator && *p)
            continue;
        *text = *p ? p + 1 : p;
        return true;
    }
}

static char separator_of(const char *text)
{
    size_t line = strcspn(text, "\r\n");
    size_t commas = 0, semicolons = 0, tabs = 0;

    for (size_t i = 0; i < line; i++) {
        commas += text[i] == ',';
        semicolons += text[i] == ';';
        tabs += text[i] == '\t';
    }
    return tabs > commas && tabs > semicolons ? '\t' : semicolons > commas ? ';' : ',';
}

/* Groups of a cell: "a;b", Google's "a ::: b". "* myContacts" is Google's own. */
static char **split_groups(const char *cell)
{
    g_auto(GStrv) parts = NULL;
    g_autofree char *plain = NULL;
    GPtrArray *groups = g_ptr_array_new();
    g_auto(GStrv) triple = g_strsplit(cell, ":::", -1);

    plain = g_strjoinv(";", triple);
    parts = g_strsplit(plain, ";", -1);
    for (char **part = parts; *part; part++) {
        g_strstrip(*part);
        if (**part && **part != '*')
            g_ptr_array_add(groups, g_strdup(*part));
    }
    g_ptr_array_add(groups, NULL);
    return (char **)g_ptr_array_free(groups, FALSE);
}

static void read_record(const GPtrArray *cells, const enum column *columns, size_t n_columns,
                        GPtrArray *contacts, int64_t *skipped)
{
    const char *name = "", *given = "", *family = "", *groups = "";
    g_autofree char *joined = NULL;
    bool any = false;

    for (size_t i = 0; i < cells->len && i < n_columns; i++) {
        const char *cell = cells->pdata[i];

        if (!*cell)
            continue;
        switch (columns[i]) {
        case COLUMN_NAME:
            name = cell;
            break;
        case COLUMN_GIVEN:
            given = cell;
            break;
        case COLUMN_FAMILY:
            family = cell;
            break;
        case COLUMN_GROUPS:
            groups = cell;
            break;
        default:
            break;
        }
    }
    if (!*name && (*given || *family)) {
        joined = g_strstrip(g_strdup_printf("%s %s", given, family));
        name = joined;
    }
    for (size_t i = 0; i < cells->len && i < n_columns; i++) {
        struct contact *contact;

        if (columns[i] != COLUMN_EMAIL || !*(const char *)cells->pdata[i])
            continue;
        contact = contact_new(name, cells->pdata[i]);
        g_strfreev(contact->groups);
        contact->groups = split_groups(groups);
        g_ptr_array_add(contacts, contact);
        any = true;
    }
    *skipped += !any;
}

GPtrArray *contacts_parse_csv(const char *data, size_t length, int64_t *ret_skipped)
{
    GPtrArray *contacts = contacts_array_new();
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *text = contacts_text_from(data, length);
    char separator = separator_of(text);
    const char *at = text;
    g_autofree enum column *columns = NULL;
    size_t n_columns;
    bool has_email = false;
    int64_t skipped = 0;

    if (!next_record(&at, separator, cells)) {
        *ret_skipped = 0;
        return contacts;
    }
    n_columns = cells->len;
    columns = g_new0(enum column, n_columns);
    for (size_t i = 0; i < n_columns; i++) {
        columns[i] = column_of(cells->pdata[i]);
        has_email = has_email || columns[i] == COLUMN_EMAIL;
    }
    if (!has_email) {
        /* no headings: "name,address" or "address" as people write by hand */
        for (size_t i = 0; i < n_columns; i++)
            columns[i] = strchr(cells->pdata[i], '@') ? COLUMN_EMAIL
                         : i == 0                     ? COLUMN_NAME
                                                      : COLUMN_OTHER;
        read_record(cells, columns, n_columns, contacts, &skipped);
    }
    while (next_record(&at, separator, cells)) {
        if (cells->len == 1 && !*(const char *)cells->pdata[0])
            continue;
        read_record(cells, columns, n_columns, contacts, &skipped);
    }
    *ret_skipped = skipped;
    return contacts;
}

/* A cell that a spreadsheet would run as a formula gets a quote mark in front (=, +, -, @). */
static void append_cell(GString *out, const char *text, bool last)
{
    g_string_append_c(out, '"');
    if (strchr("=+-@\t", *text) && *text)
        g_string_append_c(out, '\'');
    for (const char *p = text; *p; p++) {
        if (*p == '"')
            g_string_append_c(out, '"');
        g_string_append_c(out, *p);
    }
    g_string_append(out, last ? "\"\r\n" : "\",");
}

char *contacts_format_csv(const GPtrArray *contacts)
{
    GString *out = g_string_new("name,email,groups\r\n");

    for (guint i = 0; i < contacts->len; i++) {
        const struct contact *contact = contacts->pdata[i];
        g_autofree char *groups = g_strjoinv(";", contact->groups);

        append_cell(out, contact->name, false);
        append_cell(out, contact->email, false);
        append_cell(out, groups, true);
    }
    return g_string_free(out, FALSE);
}
