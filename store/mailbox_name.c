#include "store/mailbox_name.h"

#include <string.h>
#include <strings.h>

#include <glib.h>

/* One component of a path, less what Dovecot adds to it (".lock", "dovecot.index…" lie inside). */
#define DIR_NAME_MAX 240

/* RFC 3501 5.1.3: base64 with ',' for '/', no padding. */
static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

bool mailbox_is_inbox(const char *mailbox)
{
    return strcasecmp(mailbox, "INBOX") == 0;
}

/* ------------------------------------------------------------------ modified UTF-7 */

/* Appends the bits of @units (UTF-16) as "&…-". */
static void append_shifted(GString *out, const GArray *units)
{
    guint32 bits = 0;
    int count = 0;

    g_string_append_c(out, '&');
    for (guint i = 0; i < units->len; i++) {
        bits = bits << 16 | g_array_index(units, guint16, i);
        count += 16;
        while (count >= 6) {
            count -= 6;
            g_string_append_c(out, base64[bits >> count & 0x3f]);
        }
        bits &= (1u << count) - 1;
    }
    if (count > 0)
        g_string_append_c(out, base64[bits << (6 - count) & 0x3f]);
    g_string_append_c(out, '-');
}

static void append_units(GArray *units, gunichar c)
{
    guint16 unit;

    if (c >= 0x10000) {
        unit = (guint16)(0xd800 + ((c - 0x10000) >> 10));
        g_array_append_val(units, unit);
        c = 0xdc00 + ((c - 0x10000) & 0x3ff);
    }
    unit = (guint16)c;
    g_array_append_val(units, unit);
}

char *mailbox_name_encode(const char *utf8)
{
    GString *out = g_string_new(NULL);
    g_autoptr(GArray) units = g_array_new(FALSE, FALSE, sizeof(guint16));

    for (const char *p = utf8; *p != '\0'; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        if (c < 0x20 || c > 0x7e) {
            append_units(units, c);
            continue;
        }
        if (units->len > 0)
            append_shifted(out, units);
        g_array_set_size(units, 0);
        if (c == '&')
            g_string_append(out, "&-");
        else
            g_string_append_c(out, (char)c);
    }
    if (units->len > 0)
        append_shifted(out, units);
    return g_string_free(out, FALSE);
}

/* Decodes what stands between '&' and '-' into @out. */
static bool append_unshifted(GString *out, const char *text, size_t length)
{
    guint32 bits = 0, high = 0;
    int count = 0;

    for (size_t i = 0; i < length; i++) {
        const char *digit = memchr(base64, text[i], sizeof base64 - 1);

        if (digit == NULL)
            return false;
        bits = bits << 6 | (guint32)(digit - base64);
        count += 6;
        if (count < 16)
            continue;
        count -= 16;

        guint32 unit = bits >> count & 0xffff;

        bits &= (1u << count) - 1;
        if ((unit & 0xfc00) == 0xd800 && high == 0) {
            high = unit;
        } else if ((unit & 0xfc00) == 0xdc00 && high != 0) {
            g_string_append_unichar(out, 0x10000 + ((high & 0x3ff) << 10) + (unit & 0x3ff));
            high = 0;
        } else if ((unit & 0xf800) == 0xd800 || high != 0 || unit == 0) {
            return false;
        } else {
            g_string_append_unichar(out, unit);
        }
    }
    return high == 0 && bits == 0;
}

bool mailbox_name_decode(const char *utf7, char **ret_utf8)
{
    GString *out = g_string_new(NULL);
    g_autofree char *again = NULL;

    for (const char *p = utf7; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
            goto bad;
        if (*p != '&') {
            g_string_append_c(out, *p);
            continue;
        }

        const char *end = strchr(p, '-');

        if (end == NULL)
            goto bad;
        if (end == p + 1)
            g_string_append_c(out, '&');
        else if (!append_unshifted(out, p + 1, (size_t)(end - p - 1)))
            goto bad;
        p = end;
    }
    /* "&AGE-" would be a second spelling of "a": two folders with one name */
    again = mailbox_name_encode(out->str);
    if (strcmp(again, utf7) != 0)
        goto bad;
    *ret_utf8 = g_string_free(out, FALSE);
    return true;
bad:
    g_string_free(out, TRUE);
    return false;
}

/* ------------------------------------------------------------------ names */

static bool level_is_good(const char *level)
{
    if (level[0] == '\0')
        return false;
    for (const char *p = level; *p != '\0'; p = g_utf8_next_char(p)) {
        gunichar c = g_utf8_get_char(p);

        /* C1 controls, line and paragraph separators forge lines elsewhere */
        if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029)
            return false;
    }
    return true;
}

/* Always false; the name in the sentence is made printable by error_set. */
static bool refuse(const char *written, const char *why, struct error *err)
{
    g_autofree char *valid = g_utf8_make_valid(written, -1);

    error_set(err, ERROR_BAD_DATA, "\"%.200s\" cannot be a mailbox: %s", valid, why);
    return false;
}

bool mailbox_name_canonical(const char *written, char **ret_mailbox, struct error *err)
{
    if (!g_utf8_validate(written, -1, NULL))
        return refuse(written, "not UTF-8", err);
    if (written[0] == '\0')
        return refuse(written, "empty", err);

    g_autofree char *dotted = g_strdelimit(g_strdup(written), "/", '.');
    g_auto(GStrv) levels = g_strsplit(dotted, ".", -1);
    char **rest = levels;

    /* "INBOX.X" is what a client sees of X under a prefix */
    while (*rest != NULL && mailbox_is_inbox(*rest))
        rest++;
    if (*rest == NULL) {
        *ret_mailbox = g_strdup("INBOX");
        return true;
    }
    for (char **level = rest; *level != NULL; level++)
        if (!level_is_good(*level))
            return refuse(written, "a level is empty or has control characters", err);

    g_autofree char *mailbox = g_strjoinv(".", rest);
    g_autofree char *dir = mailbox_name_to_dir(mailbox);

    if (strlen(dir) > DIR_NAME_MAX)
        return refuse(written, "too long", err);
    *ret_mailbox = g_steal_pointer(&mailbox);
    return true;
}

char *mailbox_name_to_dir(const char *mailbox)
{
    if (mailbox_is_inbox(mailbox))
        return g_strdup(".");

    g_autofree char *encoded = mailbox_name_encode(mailbox);

    return g_strconcat(".", encoded, NULL);
}

bool mailbox_name_from_dir(const char *dir, char **ret_mailbox)
{
    g_autofree char *name = NULL;

    if (strcmp(dir, ".") == 0) {
        *ret_mailbox = g_strdup("INBOX");
        return true;
    }
    if (dir[0] != '.' || !mailbox_name_decode(dir + 1, &name))
        return false;

    /* what the canonical form would not give back is nothing that we can deliver into */
    struct error ignored;
    g_autofree char *canonical = NULL;

    if (!mailbox_name_canonical(name, &canonical, &ignored) || strcmp(canonical, name) != 0 ||
        mailbox_is_inbox(name))
        return false;
    *ret_mailbox = g_steal_pointer(&name);
    return true;
}
