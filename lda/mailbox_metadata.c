#include "lda/mailbox_metadata.h"

#include <errno.h>
#include <string.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/base/path.h"
#include "store/mailbox_name.h"
#include "store/scan.h"

#define ID_LENGTH 32
#define UIDLIST_HEADER 1024           /* Dovecot's own is about 60 bytes */
#define DICTIONARY_LIMIT (8 << 20)    /* of one user */
/* where imap_metadata puts the annotations of the server: below the INBOX's */
#define SERVER_PREFIX "vendor/vendor.dovecot/pvt/server/"

/* What no retry cures, a link that somebody planted, is the same as no file. */
static enum metadata_answer not_opened(const struct error *err)
{
    return err->code == ENOENT || err->code == ELOOP || err->code == ENOTDIR ||
                   err->code == EACCES || err->code == EISDIR
               ? METADATA_NONE
               : METADATA_FAILED;
}

/* --- "3 V1700000000 N12 G31ea4131c1d90b6b2b4e000083ecc375": version, UIDVALIDITY, next UID, id */

static bool parse_header(const char *line, char **ret_id)
{
    g_auto(GStrv) words = g_strsplit(line, " ", 16);

    for (char **word = words; *word != NULL; word++)
        if ((*word)[0] == 'G' && strspn(*word + 1, "0123456789abcdefABCDEF") == ID_LENGTH &&
            (*word)[1 + ID_LENGTH] == '\0') {
            *ret_id = g_strdup(*word + 1);
            return true;
        }
    return false;
}

static enum metadata_answer id_of_dir(int home, const char *dir, char **ret_id,
                                      struct error *err)
{
    g_autofree char *path = g_build_filename(dir, "dovecot-uidlist", NULL);
    char header[UIDLIST_HEADER];
    size_t length = 0, got;
    AUTO_FD fd = path_open_file(home, path, err);

    if (fd < 0)
        return not_opened(err);
    do {
        if (!io_read(fd, header + length, sizeof header - 1 - length, &got, path, err))
            return METADATA_FAILED;
        length += got;
    } while (got > 0 && length < sizeof header - 1 && memchr(header, '\n', length) == NULL);
    header[length] = '\0';
    char *end = memchr(header, '\n', length);
    if (end == NULL)
        return METADATA_NONE;
    *end = '\0';
    return parse_header(header, ret_id) ? METADATA_FOUND : METADATA_NONE;
}

enum metadata_answer mailbox_id_of(int home, const char *mailbox, char **ret_id,
                                   struct error *err)
{
    g_autofree char *dir = mailbox_name_to_dir(mailbox);

    return id_of_dir(home, dir, ret_id, err);
}

enum metadata_answer mailbox_find_by_id(int home, const char *id, char **ret_mailbox,
                                        struct error *err)
{
    g_autoptr(GPtrArray) folders = NULL;

    if (strlen(id) != ID_LENGTH)
        return METADATA_NONE;
    if (!scan_folders(home, &folders, err))
        return METADATA_FAILED;
    for (guint i = 0; i < folders->len; i++) {
        const struct scan_folder *folder = folders->pdata[i];
        g_autofree char *its = NULL;
        enum metadata_answer answer = id_of_dir(home, folder->dir, &its, err);

        if (answer == METADATA_FAILED)
            return answer;
        if (answer == METADATA_FOUND && g_ascii_strcasecmp(its, id) == 0) {
            *ret_mailbox = g_strdup(folder->mailbox);
            return METADATA_FOUND;
        }
    }
    return METADATA_NONE;
}

/* --- the dictionary: a line with the key, a line with the value, over and over. What would break a
 * line is a letter behind \001 (Dovecot's str_tabescape). */

static char *unescape(const char *text, size_t length)
{
    static const char from[] = "1trn", to[] = "\001\t\r\n";
    GString *value = g_string_new(NULL);

    for (size_t i = 0; i < length; i++) {
        if (text[i] != '\001' || i + 1 == length) {
            g_string_append_c(value, text[i]);
            continue;
        }
        const char *known = strchr(from, text[++i]);
        if (text[i] == '0' || text[i] == '\0') /* an escaped NUL ends it */
            break;
        g_string_append_c(value, known == NULL ? text[i] : to[known - from]);
    }
    char *valid = g_utf8_make_valid(value->str, -1);
    g_string_free(value, TRUE);
    return valid;
}

/* The length of the line at @at; *@ret_next is where the next one begins, NULL at the end. */
static size_t line_length(const char *at, const char *end, const char **ret_next)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));

    *ret_next = newline == NULL ? NULL : newline + 1;
    return (size_t)((newline == NULL ? end : newline) - at);
}

static bool find_value(const char *data, size_t size, const char *key, char **ret_value)
{
    const char *end = data + size, *next;
    size_t wanted = strlen(key);

    for (const char *at = data; at != NULL && at < end; at = next) {
        size_t length = line_length(at, end, &next);
        bool found = length == wanted && memcmp(at, key, length) == 0;

        if (next == NULL) /* a key without a value: cut off */
            return false;
        at = next;
        length = line_length(at, end, &next);
        if (found) {
            *ret_value = unescape(at, length);
            return true;
        }
    }
    return false;
}

/* "/private/comment" is "priv/<id>/comment" there; NULL: not a name of an annotation. */
static char *key_of(const char *annotation, const char *id, bool server)
{
    static const struct {
        const char *written, *stored;
    } scopes[] = {{"/private/", "priv/"}, {"/shared/", "shared/"}};
    g_autofree char *lower = g_ascii_strdown(annotation, -1);

    for (size_t i = 0; i < G_N_ELEMENTS(scopes); i++)
        if (g_str_has_prefix(lower, scopes[i].written))
            return g_strconcat(scopes[i].stored, id, "/", server ? SERVER_PREFIX : "",
                               lower + strlen(scopes[i].written), NULL);
    return NULL;
}

enum metadata_answer mailbox_metadata(int home, const char *file, const char *mailbox,
                                      const char *annotation, char **ret_value,
                                      struct error *err)
{
    g_autofree char *id = NULL;
    AUTO_FREE char *data = NULL;
    size_t size;
    enum metadata_answer answer =
        mailbox_id_of(home, mailbox == NULL ? "INBOX" : mailbox, &id, err);

    if (answer != METADATA_FOUND)
        return answer;
    g_autofree char *key = key_of(annotation, id, mailbox == NULL);
    if (key == NULL)
        return METADATA_NONE;
    AUTO_FD fd = path_open_file(home, file, err);
    if (fd < 0)
        return not_opened(err);
    if (!io_read_all(fd, DICTIONARY_LIMIT, &data, &size, file, err))
        return METADATA_FAILED;
    return find_value(data, size, key, ret_value) ? METADATA_FOUND : METADATA_NONE;
}
