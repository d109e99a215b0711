/* A contact and its address as values: made, freed, folded; no database. */
#include "store/contacts-internal.h"

#include <string.h>

#include "store/search_text.h"

#define ADDRESS_MAX 320       /* RFC 5321 4.5.3.1: 64 + @ + 255 */
#define COLUMN_CHARACTERS 255 /* VARCHAR(255) */

struct contact *contact_new(const char *name, const char *email)
{
    struct contact *contact = g_new0(struct contact, 1);

    contact->name = g_strdup(name);
    contact->email = g_strdup(email);
    contact->last_used = g_strdup("");
    contact->source = g_strdup("");
    contact->groups = g_new0(char *, 1);
    return contact;
}

void contact_free(struct contact *contact)
{
    if (!contact)
        return;
    g_free(contact->name);
    g_free(contact->email);
    g_free(contact->last_used);
    g_free(contact->source);
    g_strfreev(contact->groups);
    g_free(contact);
}

GPtrArray *contacts_array_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)contact_free);
}

void contact_group_free(struct contact_group *group)
{
    if (!group)
        return;
    g_free(group->name);
    g_free(group);
}

char *contacts_text_from(const char *data, size_t length)
{
    static const char *const charsets[] = {"CP949", "ISO-8859-1"};
    g_autofree char *copy = NULL;

    if (length >= 2 && ((memcmp(data, "\xff\xfe", 2) == 0) || (memcmp(data, "\xfe\xff", 2) == 0))) {
        char *text = g_convert(data, (gssize)length, "UTF-8", "UTF-16", NULL, NULL, NULL);

        if (text)
            return text;
    }
    if (length >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        data += 3;
        length -= 3;
    }
    copy = g_memdup2(data, length ? length : 1);
    for (size_t i = 0; i < length; i++)
        if (copy[i] == 0)
            copy[i] = ' ';
    if (length == 0)
        return g_strdup("");
    if (g_utf8_validate(copy, (gssize)length, NULL))
        return g_strndup(copy, length);
    for (size_t i = 0; i < G_N_ELEMENTS(charsets); i++) {
        char *text = g_convert(copy, (gssize)length, "UTF-8", charsets[i], NULL, NULL, NULL);

        if (text)
            return text;
    }
    return g_utf8_make_valid(copy, (gssize)length);
}

char *contacts_fold_address(const char *email)
{
    g_autofree char *stripped = NULL, *local = NULL, *folded = NULL, *unicode = NULL;
    g_autofree char *domain = NULL;
    const char *at;

    if (!g_utf8_validate(email, -1, NULL))
        return NULL;
    stripped = g_strstrip(g_strdup(email));
    at = strrchr(stripped, '@');
    if (!at || at == stripped || !at[1] || strlen(stripped) > ADDRESS_MAX)
        return NULL;
    for (const char *p = stripped; *p; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        if (g_unichar_isspace(c) || g_unichar_iscntrl(c) || c == '<' || c == '>' || c == ',')
            return NULL;
    }
    local = g_strndup(stripped, (gsize)(at - stripped));
    folded = search_fold(local);
    unicode = g_hostname_to_unicode(at + 1);
    domain = search_fold(unicode && *unicode ? unicode : at + 1);
    return g_strdup_printf("%s@%s", folded, domain);
}

char *contacts_cut_for_column(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    g_autofree char *one_line = g_strdelimit(g_steal_pointer(&valid), "\r\n\t", ' ');

    g_strstrip(one_line);
    return g_utf8_strlen(one_line, -1) <= COLUMN_CHARACTERS
               ? g_steal_pointer(&one_line)
               : g_utf8_substring(one_line, 0, COLUMN_CHARACTERS);
}
