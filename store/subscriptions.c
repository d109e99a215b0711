#include "store/subscriptions.h"

#include <string.h>

#include <glib.h>

#include "store/dotlock_file.h"
#include "store/mailbox_name.h"

/* Version 2 begins with this and an empty line; levels are separated by tabs. Version 1 has no head and
 * dots. Names are modified UTF-7 in both. */
#define VERSION_2 "V\t2\n\n"

static char *line_of(const char *mailbox, bool version_2)
{
    char *name = mailbox_name_encode(mailbox);

    return version_2 ? g_strdelimit(name, ".", '\t') : name;
}

static bool has_line(const char *text, const char *line)
{
    size_t length = strlen(line);

    for (const char *at = text; (at = strstr(at, line)) != NULL; at++)
        if ((at == text || at[-1] == '\n') && (at[length] == '\n' || at[length] == '\0'))
            return true;
    return false;
}

static char *add_lines(void *ctx, const char *text)
{
    const char *const *mailboxes = ctx;
    bool version_2 = text[0] == '\0' || g_str_has_prefix(text, "V\t2");
    GString *changed = g_string_new(text[0] == '\0' ? VERSION_2 : text);

    if (changed->str[changed->len - 1] != '\n')
        g_string_append_c(changed, '\n');

    size_t before = changed->len;

    for (; *mailboxes != NULL; mailboxes++) {
        g_autofree char *line = line_of(*mailboxes, version_2);

        if (!has_line(changed->str, line))
            g_string_append_printf(changed, "%s\n", line);
    }
    if (changed->len > before)
        return g_string_free(changed, FALSE);
    g_string_free(changed, TRUE);
    return NULL;
}

bool subscriptions_add(int home, const char *const *mailboxes, struct error *err)
{
    return subscriptions_add_to(home, "subscriptions", mailboxes, err);
}

bool subscriptions_add_to(int dir, const char *name, const char *const *mailboxes,
                          struct error *err)
{
    return dotlock_file_rewrite(dir, name, add_lines, (void *)mailboxes, err);
}
