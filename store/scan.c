#include "store/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/base/path.h"
#include "store/mailbox_name.h"

/* A folder listing longer than this is not a mail store any more. */
#define FOLDERS_MAX 20000

static void scan_folder_free(gpointer data)
{
    struct scan_folder *folder = data;

    g_free(folder->dir);
    g_free(folder->mailbox);
    g_free(folder);
}

static bool text_is_printable(const char *text)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    return true;
}

bool scan_split_name(const char *file_name, char **ret_base, char **ret_letters)
{
    const char *info = strstr(file_name, ":2,");
    size_t length = info ? (size_t)(info - file_name) : strlen(file_name);
    bool seen[256] = {false};
    GString *letters;

    if (*file_name == '.' || length == 0 || !text_is_printable(file_name) ||
        !g_utf8_validate(file_name, -1, NULL))
        return false;
    letters = g_string_new(NULL);
    if (info)
        for (const char *p = info + 3; g_ascii_isalpha(*p); p++)
            seen[(unsigned char)*p] = true;
    for (int c = 'A'; c <= 'z'; c++)
        if (seen[c])
            g_string_append_c(letters, (char)c);
    *ret_base = g_strndup(file_name, length);
    *ret_letters = g_string_free(letters, FALSE);
    return true;
}

/* Opens @path below the home as a stream of entries; NULL and err->code on failure. */
static DIR *open_stream(int home, const char *path, struct error *err)
{
    int fd = path_open_dir(home, path, err);
    DIR *stream;

    if (fd < 0)
        return NULL;
    stream = fdopendir(fd);
    if (!stream) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read the directory %s", path);
        close(fd);
    }
    return stream;
}

/* The next entry; NULL at the end and on an error (*ret_failed). */
static struct dirent *next_entry(DIR *stream, const char *path, bool *ret_failed, struct error *err)
{
    struct dirent *entry;

    errno = 0;
    entry = readdir(stream);
    *ret_failed = !entry && errno != 0;
    if (*ret_failed)
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read the directory %s", path);
    return entry;
}

static bool has_cur(int home, const char *dir)
{
    g_autofree char *path = g_strconcat(dir, "/cur", NULL);
    struct stat status;

    return fstatat(home, path, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

static void add_folder(GPtrArray *folders, const char *dir, char *mailbox)
{
    struct scan_folder *folder = g_new0(struct scan_folder, 1);

    folder->dir = g_strdup(dir);
    folder->mailbox = mailbox;
    g_ptr_array_add(folders, folder);
}

static int compare_folders(gconstpointer a, gconstpointer b)
{
    const struct scan_folder *const *left = a, *const *right = b;

    return strcmp((*left)->dir, (*right)->dir);
}

bool scan_folders(int home, GPtrArray **ret_folders, struct error *err)
{
    g_autoptr(GPtrArray) folders = g_ptr_array_new_with_free_func(scan_folder_free);
    DIR *stream = open_stream(home, ".", err);
    struct dirent *entry;
    bool failed;

    if (!stream)
        return false;
    while ((entry = next_entry(stream, "the home", &failed, err))) {
        char *mailbox;

        struct stat status;

        /* ".X": a Maildir++ folder. Neither "." and "..", nor "..X" */
        if (entry->d_name[0] != '.' || entry->d_name[1] == 0 || entry->d_name[1] == '.' ||
            !text_is_printable(entry->d_name) || folders->len >= FOLDERS_MAX)
            continue;
        if (fstatat(dirfd(stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISDIR(status.st_mode) || !has_cur(home, entry->d_name))
            continue;
        if (mailbox_name_from_dir(entry->d_name, &mailbox))
            add_folder(folders, entry->d_name, mailbox);
    }
    closedir(stream);
    if (failed)
        return false;
    if (has_cur(home, "."))
        add_folder(folders, ".", g_strdup("INBOX"));
    g_ptr_array_sort(folders, compare_folders);
    *ret_folders = g_steal_pointer(&folders);
    return true;
}

static int64_t nanoseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

/* The mtime of @path, 0 where it does not stand and may be missing. */
static bool read_mtime(int home, const char *dir, const char *name, bool may_miss,
                       int64_t *ret_mtime, struct error *err)
{
    g_autofree char *path = g_strdup_printf("%s/%s", dir, name);
    struct stat status;

    if (fstatat(home, path, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        *ret_mtime = nanoseconds(&status.st_mtim);
        return true;
    }
    if (errno == ENOENT && may_miss) {
        *ret_mtime = 0;
        return true;
    }
    error_set_errno(err, ERROR_TEMPORARY, errno, "cannot look at %s", path);
    return false;
}

bool scan_stamp(int home, const char *dir, struct scan_stamp *ret_stamp, struct error *err)
{
    struct scan_stamp stamp;
    struct timespec now;
    int64_t newest;

    clock_gettime(CLOCK_REALTIME, &now);
    if (!read_mtime(home, dir, "new", true, &stamp.new_mtime_ns, err) ||
        !read_mtime(home, dir, "cur", false, &stamp.cur_mtime_ns, err) ||
        !read_mtime(home, dir, "dovecot-keywords", true, &stamp.keywords_mtime_ns, err))
        return false;
    newest = MAX(MAX(stamp.new_mtime_ns, stamp.cur_mtime_ns), stamp.keywords_mtime_ns);
    stamp.settled = nanoseconds(&now) - newest > 2000000000;
    *ret_stamp = stamp;
    return true;
}

/* Is the entry a regular file? d_type spares a stat where the file system gives it. */
static bool is_regular(DIR *stream, const struct dirent *entry)
{
    struct stat status;

    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_REG;
    return fstatat(dirfd(stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(status.st_mode);
}

static bool scan_directory(int home, const char *dir, bool is_new, scan_found *found, void *ctx,
                           int64_t *ignored, struct error *err)
{
    g_autofree char *path = g_strdup_printf("%s/%s", dir, is_new ? "new" : "cur");
    DIR *stream = open_stream(home, path, err);
    struct dirent *entry;
    bool failed = false;

    if (!stream) {
        /* a folder without new/ is one that somebody is making */
        if (is_new && err->code == ENOENT) {
            error_clear(err);
            return true;
        }
        return false;
    }
    while (!failed && (entry = next_entry(stream, path, &failed, err))) {
        struct scan_file file = {.entry = entry->d_name, .is_new = is_new};

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (!is_regular(stream, entry) ||
            !scan_split_name(entry->d_name, &file.name, &file.flags)) {
            (*ignored)++;
            continue;
        }
        failed = !found(&file, ctx, err);
        g_free(file.name);
        g_free(file.flags);
    }
    closedir(stream);
    return !failed;
}

bool scan_files(int home, const char *dir, scan_found *found, void *ctx, int64_t *ret_ignored,
                struct error *err)
{
    int64_t ignored = 0;

    /* new/ first: Dovecot moves from new/ to cur/, so a file that moves in between is seen twice
     * rather than never */
    if (!scan_directory(home, dir, true, found, ctx, &ignored, err) ||
        !scan_directory(home, dir, false, found, ctx, &ignored, err))
        return false;
    *ret_ignored += ignored;
    return true;
}

/* dovecot-keywords: lines "0 $Forwarded", "1 work"; number n is letter 'a' + n. */
bool scan_keywords_read(int home, const char *dir, struct scan_keywords *ret_keywords,
                        struct error *err)
{
    g_autofree char *path = g_strdup_printf("%s/dovecot-keywords", dir);
    struct scan_keywords keywords = {{NULL}};
    AUTO_FD fd = path_open_file(home, path, err);
    AUTO_FREE char *text = NULL;
    g_auto(GStrv) lines = NULL;
    size_t length;

    if (fd < 0 || !io_read_all(fd, 16384, &text, &length, path, err)) {
        /* none, a link, too long to be one: no names. Only what time can cure is an error */
        if (fd >= 0 && err->kind != ERROR_BAD_DATA)
            return false;
        if (fd < 0 && err->code != ENOENT && err->code != ELOOP)
            return false;
        error_clear(err);
        *ret_keywords = keywords;
        return true;
    }
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        char *end;
        guint64 number = g_ascii_strtoull(*line, &end, 10);

        if (end == *line || *end != ' ' || number >= 26 || !end[1] || strlen(end + 1) > 100 ||
            !g_utf8_validate(end + 1, -1, NULL) || strchr(end + 1, ' ') ||
            !text_is_printable(end + 1))
            continue;
        g_free(keywords.names[number]);
        keywords.names[number] = g_strdup(end + 1);
    }
    *ret_keywords = keywords;
    return true;
}

void scan_keywords_clear(struct scan_keywords *keywords)
{
    for (int i = 0; i < 26; i++)
        g_clear_pointer(&keywords->names[i], g_free);
}

/* Maildir letter → IMAP flag; \Seen is the column is_read. */
static const struct {
    char letter;
    const char *name;
} system_flags[] = {
    {'R', "\\Answered"}, {'T', "\\Deleted"},  {'D', "\\Draft"},
    {'F', "\\Flagged"},  {'P', "$Forwarded"},
};

char *scan_flags_describe(const char *letters, const struct scan_keywords *keywords)
{
    GString *out = g_string_new(NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(system_flags); i++)
        if (strchr(letters, system_flags[i].letter))
            g_string_append_printf(out, "%s%s", out->len ? " " : "", system_flags[i].name);
    for (const char *p = letters; *p; p++) {
        if (!g_ascii_islower(*p))
            continue;
        if (keywords && keywords->names[*p - 'a'])
            g_string_append_printf(out, "%s%s", out->len ? " " : "", keywords->names[*p - 'a']);
    }
    return g_string_free(out, FALSE);
}
