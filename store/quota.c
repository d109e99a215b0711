#include "store/quota.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/base/path.h"
#include "store/db.h"
#include "store/maildir_name.h"
#include "store/scan.h"
#include "store/store-internal.h"

#define FILE_NAME "maildirsize"
/* Maildir++: a file of this size is made anew, and a sum older than 15 minutes is not believed when it
 * says "over quota". */
#define FILE_SIZE_MAX 5120
#define BELIEVED_S (15 * 60)

struct usage {
    int64_t bytes;
    int64_t count;
    bool fresh;      /* one line, younger than BELIEVED_S: made anew moments ago */
};

/* The first line: the limits, as Dovecot writes them. */
static char *definition_of(const struct store_user *user)
{
    GString *line = g_string_new(NULL);

    if (user->quota_bytes > 0)
        g_string_append_printf(line, "%" G_GINT64_FORMAT "S", user->quota_bytes);
    if (user->quota_count > 0)
        g_string_append_printf(line, "%s%" G_GINT64_FORMAT "C", line->len > 0 ? "," : "",
                               user->quota_count);
    return g_string_free(line, FALSE);
}

/* ------------------------------------------------------------------ counting anew */

struct counting {
    int home;
    const char *dir;
    struct usage usage;
};

/* Never negative: the numbers come from file names and from a file of the user's. */
static int64_t sum(int64_t a, int64_t b)
{
    int64_t result;

    return __builtin_add_overflow(a, b, &result) ? INT64_MAX : result;
}

static bool count_file(const struct scan_file *file, void *ctx, struct error *err)
{
    struct counting *counting = ctx;
    off_t size = maildir_name_size(file->name, 'S');

    (void)err;
    if (size < 0) {
        g_autofree char *path = g_strdup_printf("%s/%s/%s", counting->dir,
                                                file->is_new ? "new" : "cur", file->entry);
        struct stat st;

        if (fstatat(counting->home, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return true; /* moved or removed just now */
        size = st.st_size;
    }
    counting->usage.bytes = sum(counting->usage.bytes, (int64_t)size);
    counting->usage.count++;
    return true;
}

static bool count_files(const struct store_user *user, struct usage *ret_usage, struct error *err)
{
    g_autoptr(GPtrArray) folders = NULL;
    struct counting counting = {.home = user->home, .usage = {.fresh = true}};
    int64_t ignored = 0;

    if (!scan_folders(user->home, &folders, err))
        return false;
    for (guint i = 0; i < folders->len; i++) {
        const struct scan_folder *folder = g_ptr_array_index(folders, i);

        counting.dir = folder->dir;
        if (!scan_files(user->home, folder->dir, count_file, &counting, &ignored, err)) {
            if (err->code != ENOENT)
                return false;
            error_clear(err); /* the folder was removed meanwhile */
        }
    }
    *ret_usage = counting.usage;
    return true;
}

/* Replaces maildirsize; a failure costs only the next count. */
static void write_usage(const struct store_user *user, const struct usage *usage)
{
    g_autofree char *definition = definition_of(user);
    g_autofree char *text = g_strdup_printf("%s\n%" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n",
                                            definition, usage->bytes, usage->count);
    g_autofree char *name = g_strdup_printf("%s.%d", FILE_NAME, (int)getpid());
    struct error ignored;
    AUTO_FD tmp = path_open_dir(user->home, "tmp", &ignored);

    if (tmp < 0)
        return;
    unlinkat(tmp, name, 0); /* of a process that died, or planted */

    AUTO_FD fd = openat(tmp, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd >= 0 && io_write(fd, text, strlen(text), name, &ignored) &&
        renameat(tmp, name, user->home, FILE_NAME) == 0)
        return;
    unlinkat(tmp, name, 0);
}

static bool count_anew(const struct store_user *user, struct usage *ret_usage, struct error *err)
{
    if (!count_files(user, ret_usage, err))
        return false;
    write_usage(user, ret_usage);
    return true;
}

/* ------------------------------------------------------------------ the file */

/* Sums the lines. False: not usable (none, other limits, too long, damaged). */
static bool parse_usage(const char *text, const char *definition, struct usage *ret_usage)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    struct usage usage = {0};
    unsigned sums = 0;

    if (lines[0] == NULL || strcmp(lines[0], definition) != 0)
        return false;
    for (char **line = lines + 1; *line != NULL && **line != '\0'; line++) {
        long long bytes, count;

        if (sscanf(*line, "%lld %lld", &bytes, &count) != 2 ||
            __builtin_add_overflow(usage.bytes, bytes, &usage.bytes) ||
            __builtin_add_overflow(usage.count, count, &usage.count))
            return false;
        sums++;
    }
    if (sums == 0 || usage.bytes < 0 || usage.count < 0)
        return false;
    usage.fresh = sums == 1;
    *ret_usage = usage;
    return true;
}

static bool read_usage(const struct store_user *user, struct usage *ret_usage)
{
    g_autofree char *definition = definition_of(user);
    struct error ignored;
    AUTO_FREE char *text = NULL;
    size_t length;
    struct stat st;
    AUTO_FD fd = path_open_file(user->home, FILE_NAME, &ignored);

    if (fd < 0 || fstat(fd, &st) < 0 ||
        !io_read_all(fd, FILE_SIZE_MAX - 1, &text, &length, FILE_NAME, &ignored) ||
        !parse_usage(text, definition, ret_usage))
        return false;
    ret_usage->fresh = ret_usage->fresh && time(NULL) - st.st_mtime < BELIEVED_S;
    return true;
}

/* ------------------------------------------------------------------ mbox: the rows know */

static bool take_usage(void *ctx, const struct db_row *row, struct error *err)
{
    struct usage *usage = ctx;

    (void)err;
    *usage = (struct usage){db_row_int(row, 0), db_row_int(row, 1), true};
    return true;
}

static bool usage_of_rows(struct store *store, const struct store_user *user,
                          struct usage *ret_usage, struct error *err)
{
    const struct db_value values[] = {db_int(user->id)};

    return db_exec(store->db,
                   "SELECT coalesce(sum(size), 0), count(*) FROM email_headers WHERE user_id = $1",
                   values, 1, take_usage, ret_usage, err);
}

/* ------------------------------------------------------------------ the door */

static bool is_over(const struct store_user *user, const struct usage *usage, int64_t bytes,
                    int64_t count)
{
    return (user->quota_bytes > 0 && sum(usage->bytes, bytes) > user->quota_bytes) ||
           (user->quota_count > 0 && sum(usage->count, count) > user->quota_count);
}

bool quota_check(struct store *store, const struct store_user *user, int64_t bytes, int64_t count,
                 struct error *err)
{
    struct usage usage;

    if (user->quota_bytes <= 0 && user->quota_count <= 0)
        return true;
    if (user->format == STORE_MBOX) {
        if (!usage_of_rows(store, user, &usage, err))
            return false;
    } else {
        if (!read_usage(user, &usage) && !count_anew(user, &usage, err))
            return false;
        if (is_over(user, &usage, bytes, count) && !usage.fresh && !count_anew(user, &usage, err))
            return false;
    }
    if (!is_over(user, &usage, bytes, count))
        return true;
    error_set(err, store->options.quota_bounces ? ERROR_QUOTA : ERROR_QUOTA_DEFER,
              "quota exceeded: mailbox of %s is full (%" G_GINT64_FORMAT " bytes, %" G_GINT64_FORMAT
              " messages)", user->address, usage.bytes, usage.count);
    return false;
}

bool quota_add(const struct store_user *user, int64_t bytes, int64_t count, struct error *err)
{
    char line[64];
    struct stat st;
    /* a FIFO in its place would keep us waiting for a reader */
    AUTO_FD fd = user->format == STORE_MBOX
                     ? -1
                     : openat(user->home, FILE_NAME,
                              O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return true;
    g_snprintf(line, sizeof line, "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n", bytes, count);
    return io_write(fd, line, strlen(line), FILE_NAME, err);
}
