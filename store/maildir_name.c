#include "store/maildir_name.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <glib.h>

#define HOST_MAX 63

/* '/' and ':' as the Maildir specification says; a comma begins S= for Dovecot. */
static void append_host(GString *name, const char *host)
{
    size_t start = name->len;

    for (const char *p = host; *p != '\0' && name->len - start < HOST_MAX; p++) {
        if (*p == '/')
            g_string_append(name, "\\057");
        else if (*p == ':')
            g_string_append(name, "\\072");
        else if (g_ascii_isgraph(*p) && *p != ',')
            g_string_append_c(name, *p);
        else
            g_string_append_c(name, '_');
    }
    if (name->len == start)
        g_string_append(name, "localhost");
}

static void append_copy(GString *name, const char *mailbox, unsigned copy)
{
    g_autofree char *text = g_strdup_printf("%u.%s", copy, mailbox);
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);

    g_string_append_len(name, digest, MAILDIR_COPY_DIGITS);
}

char *maildir_name_build(int64_t seconds, const char *key, const char *mailbox, unsigned copy,
                         const char *host, off_t size, off_t size_crlf)
{
    GString *name = g_string_new(NULL);

    g_string_append_printf(name, "%" G_GINT64_FORMAT ".V%.*s", seconds, MAILDIR_KEY_DIGITS, key);
    append_copy(name, mailbox, copy);
    g_string_append_c(name, '.');
    append_host(name, host);
    g_string_append_printf(name, ",S=%lld,W=%lld", (long long)size, (long long)size_crlf);
    return g_string_free(name, FALSE);
}

/* What follows ".V" and the key's digits; NULL where it is another delivery's, or no delivery's. */
static const char *behind_key(const char *name, const char *key)
{
    size_t digits = strspn(name, "0123456789");

    if (digits == 0 || strncmp(name + digits, ".V", 2) != 0 ||
        strncmp(name + digits + 2, key, MAILDIR_KEY_DIGITS) != 0)
        return NULL;
    return name + digits + 2 + MAILDIR_KEY_DIGITS;
}

bool maildir_name_has_key(const char *name, const char *key)
{
    return behind_key(name, key) != NULL;
}

bool maildir_name_is_copy(const char *name, const char *key, const char *mailbox, unsigned copy)
{
    const char *rest = behind_key(name, key);
    g_autoptr(GString) wanted = g_string_new(NULL);

    if (rest == NULL)
        return false;
    append_copy(wanted, mailbox, copy);
    g_string_append_c(wanted, '.');
    return g_str_has_prefix(rest, wanted->str);
}

off_t maildir_name_size(const char *name, char what)
{
    const char *info = strchr(name, ':');

    for (const char *p = strchr(name, ','); p != NULL && (info == NULL || p < info);
         p = strchr(p + 1, ',')) {
        if (p[1] != what || p[2] != '=' || !g_ascii_isdigit(p[3]))
            continue;

        char *end;

        errno = 0;
        long long size = strtoll(p + 3, &end, 10);

        if (errno == 0 && (*end == ',' || *end == ':' || *end == '\0'))
            return (off_t)size;
    }
    return -1;
}

char maildir_flag_letter(const char *flag)
{
    static const struct {
        const char *flag;
        char letter;
    } letters[] = {
        {"\\Answered", 'R'}, {"\\Deleted", 'T'}, {"\\Draft", 'D'}, {"\\Flagged", 'F'},
        {"\\Seen", 'S'},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(letters); i++)
        if (strcasecmp(flag, letters[i].flag) == 0)
            return letters[i].letter;
    return '\0';
}
