/* A directory of .eml files, and a Maildir that may be in use. Nothing but regular files is opened. */
#include "lda/replay_source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/path.h"
#include "store/scan.h"

/* How often a Maildir that does not hold still is walked. */
#define PASSES_MAX 6

/* Calls @entry for each name; false from it ends the walk. */
typedef bool entry_fn(void *ctx, const char *entry);

/* False: @entry said so. A directory that cannot be read to its end is told. */
static bool each_entry(int dir, const char *name, const struct replay_sink *sink,
                       entry_fn *entry, void *ctx)
{
    struct error err;
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* a position of its own */
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    bool more = true;

    if (stream == NULL) {
        error_set_errno(&err, ERROR_TEMPORARY, errno, "cannot read the directory");
        cleanup_fd(&fd);
        sink->left(sink->ctx, name, REPLAY_FAILED, &err);
        return true;
    }
    while (more) {
        errno = 0; /* NULL is the end, or an error */
        const struct dirent *found = readdir(stream);

        if (found == NULL)
            break;
        /* tools' own files, and . and .. */
        if (found->d_name[0] != '.')
            more = entry(ctx, found->d_name);
        errno = 0;
    }
    if (more && errno != 0) {
        error_set_errno(&err, ERROR_TEMPORARY, errno, "cannot read the directory to its end");
        sink->left(sink->ctx, name, REPLAY_FAILED, &err);
    }
    closedir(stream);
    return more;
}

/* ------------------------------------------------------------------ one file */

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR: return "is a directory";
    case S_IFLNK: return "is a symbolic link";
    case S_IFIFO: return "is a FIFO";
    case S_IFSOCK: return "is a socket";
    default: return "is a device";
    }
}

enum opened { OPENED, OPENED_GONE, OPENED_NOT };

/* OPENED_NOT has been told. */
static enum opened open_message(int dir, const char *entry, const char *name,
                                const struct replay_sink *sink, int *ret_fd)
{
    enum replay_outcome outcome = REPLAY_SKIPPED;
    struct stat st;
    struct error err;
    AUTO_FD fd = path_open_file(dir, entry, &err);

    if (fd < 0 && err.code == ENOENT)
        return OPENED_GONE;
    if (fd < 0 && fstatat(dir, entry, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode)) {
        error_set(&err, ERROR_BAD_DATA, "%s", kind_of(st.st_mode));
    } else if (fd < 0) {
        outcome = REPLAY_FAILED;
    } else if (fstat(fd, &st) == 0 && st.st_size == 0) {
        error_set(&err, ERROR_BAD_DATA, "is empty");
    } else {
        *ret_fd = fd_steal(&fd);
        return OPENED;
    }
    sink->left(sink->ctx, name, outcome, &err);
    return OPENED_NOT;
}

/* ------------------------------------------------------------------ .eml files */

struct eml_walk {
    int dir;
    const char *name;
    const struct replay_sink *sink;
};

static bool eml_entry(void *ctx, const char *entry)
{
    struct eml_walk *walk = ctx;
    g_autofree char *name = g_strdup_printf("%s/%s", walk->name, entry);
    const char *dot = strrchr(entry, '.');
    struct replay_job job = {.name = name};
    AUTO_FD fd = -1;

    if (open_message(walk->dir, entry, name, walk->sink, &fd) != OPENED)
        return true;
    if (dot == NULL || g_ascii_strcasecmp(dot, ".eml") != 0) {
        struct error err;

        error_set(&err, ERROR_BAD_DATA, "its name does not end in .eml");
        walk->sink->left(walk->sink->ctx, name, REPLAY_SKIPPED, &err);
        return true;
    }
    return walk->sink->found(walk->sink->ctx, &job, fd);
}

bool replay_eml_folder(int dir, const char *name, const struct replay_sink *sink)
{
    struct eml_walk walk = {dir, name, sink};

    return each_entry(dir, name, sink, eml_entry, &walk);
}

/* ------------------------------------------------------------------ Maildir */

struct maildir_walk {
    const struct replay_sink *sink;
    const struct scan_folder *folder;
    const struct scan_keywords *keywords;
    int dir;                /* new/ or cur/ */
    char *name;             /* of it */
    GArray *known;          /* uint64_t, sorted: base names that were dealt with in walks before */
    GArray *fresh;          /* uint64_t: in this one */
    bool missed;            /* a file was gone when we came to it: it has another name now */
};

/* 64 bits of a digest: no two names of one folder share them. */
static uint64_t number_of(const char *base)
{
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, base, -1);

    digest[16] = '\0';
    return g_ascii_strtoull(digest, NULL, 16);
}

static int compare_numbers(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static bool is_known(const struct maildir_walk *walk, uint64_t number)
{
    return walk->known->len > 0 &&
           bsearch(&number, walk->known->data, walk->known->len, sizeof number,
                   compare_numbers) != NULL;
}

static char *flags_of(const struct maildir_walk *walk, const char *letters)
{
    g_autofree char *others = scan_flags_describe(letters, walk->keywords);
    bool seen = strchr(letters, 'S') != NULL;

    return g_strconcat(seen ? "\\Seen" : "", seen && others[0] != '\0' ? " " : "", others, NULL);
}

static bool maildir_entry(void *ctx, const char *entry)
{
    struct maildir_walk *walk = ctx;
    g_autofree char *name = g_strdup_printf("%s/%s", walk->name, entry);
    g_autofree char *base = NULL;
    g_autofree char *letters = NULL;
    bool is_inbox = strcmp(walk->folder->mailbox, "INBOX") == 0;
    AUTO_FD fd = -1;
    bool more = true;

    bool named = scan_split_name(entry, &base, &letters);
    uint64_t number = number_of(named ? base : entry);
    if (is_known(walk, number))
        return true;
    switch (open_message(walk->dir, entry, name, walk->sink, &fd)) {
    case OPENED_GONE:
        walk->missed = true;
        return true;
    case OPENED_NOT:
        break;
    case OPENED: {
        g_autofree char *flags = flags_of(walk, named ? letters : "");
        struct replay_job job = {.name = name, .flags = flags,
                                 .mailbox = is_inbox ? NULL : walk->folder->mailbox};

        more = walk->sink->found(walk->sink->ctx, &job, fd);
        break;
    }
    }
    g_array_append_val(walk->fresh, number);
    return more;
}

/* One of new/ and cur/. */
static bool walk_subdirectory(struct maildir_walk *walk, int home, const char *maildir,
                              const char *sub)
{
    g_autofree char *path = g_strdup_printf("%s/%s", walk->folder->dir, sub);
    g_autofree char *name = strcmp(walk->folder->dir, ".") == 0
                                ? g_strdup_printf("%s/%s", maildir, sub)
                                : g_strdup_printf("%s/%s", maildir, path);
    struct error err;
    AUTO_FD dir = path_open_dir(home, path, &err);

    if (dir < 0) {
        walk->sink->left(walk->sink->ctx, name, REPLAY_FAILED, &err);
        return true;
    }
    walk->dir = dir;
    walk->name = name;
    bool more = each_entry(dir, name, walk->sink, maildir_entry, walk);
    if (walk->fresh->len > 0) {
        g_array_append_vals(walk->known, walk->fresh->data, walk->fresh->len);
        g_array_set_size(walk->fresh, 0);
        g_array_sort(walk->known, compare_numbers);
    }
    return more;
}

static bool stamps_equal(const struct scan_stamp *a, const struct scan_stamp *b)
{
    return a->new_mtime_ns == b->new_mtime_ns && a->cur_mtime_ns == b->cur_mtime_ns;
}

/* new/ comes first, because mail moves from there to cur/. What is renamed while a directory is read
 * may be shown once, twice or not at all: so it is walked again until it did not change. */
static bool walk_folder(struct maildir_walk *walk, int home, const char *maildir)
{
    struct scan_stamp before, after;
    struct error err;
    bool quiet = false;

    for (int pass = 0; pass < PASSES_MAX && !quiet; pass++) {
        bool stamped = scan_stamp(home, walk->folder->dir, &before, &err);

        walk->missed = false;
        if (!walk_subdirectory(walk, home, maildir, "new") ||
            !walk_subdirectory(walk, home, maildir, "cur"))
            return false;
        quiet = !walk->missed && (!stamped || (scan_stamp(home, walk->folder->dir, &after, &err) &&
                                               stamps_equal(&before, &after)));
    }
    return true;
}

static bool replay_folder(int home, const char *maildir, const struct scan_folder *folder,
                          const struct replay_sink *sink)
{
    struct scan_keywords keywords = {{NULL}};
    struct error err;

    if (!scan_keywords_read(home, folder->dir, &keywords, &err)) {
        g_autofree char *name = g_strdup_printf("%s/%s", maildir, folder->dir);

        sink->left(sink->ctx, name, REPLAY_FAILED, &err);
        return true;
    }
    struct maildir_walk walk = {
        .sink = sink,
        .folder = folder,
        .keywords = &keywords,
        .known = g_array_new(FALSE, FALSE, sizeof(uint64_t)),
        .fresh = g_array_new(FALSE, FALSE, sizeof(uint64_t)),
    };
    bool more = walk_folder(&walk, home, maildir);
    g_array_unref(walk.known);
    g_array_unref(walk.fresh);
    scan_keywords_clear(&keywords);
    return more;
}

bool replay_maildir(int home, const char *name, const struct replay_sink *sink)
{
    g_autoptr(GPtrArray) folders = NULL;
    struct error err;

    if (!scan_folders(home, &folders, &err)) {
        sink->left(sink->ctx, name, REPLAY_FAILED, &err);
        return true;
    }
    for (guint i = 0; i < folders->len; i++)
        if (!replay_folder(home, name, folders->pdata[i], sink))
            return false;
    return true;
}

bool replay_is_maildir(int dir)
{
    struct stat st;

    return fstatat(dir, "cur", &st, 0) == 0 && S_ISDIR(st.st_mode) &&
           fstatat(dir, "new", &st, 0) == 0 && S_ISDIR(st.st_mode);
}

/* ------------------------------------------------------------------ how many */

static void count_not(void *ctx, const char *name, enum replay_outcome outcome,
                      const struct error *err)
{
    (void)ctx;
    (void)name;
    (void)outcome;
    (void)err;
}

static bool count_entry(void *ctx, const char *entry)
{
    uint64_t *count = ctx;

    (void)entry;
    (*count)++;
    return true;
}

static uint64_t count_in(int home, const char *path)
{
    static const struct replay_sink nobody = {.left = count_not};
    struct error err;
    uint64_t count = 0;
    AUTO_FD dir = path_open_dir(home, path, &err);

    if (dir >= 0)
        each_entry(dir, path, &nobody, count_entry, &count);
    return count;
}

uint64_t replay_folder_count(const char *path)
{
    g_autoptr(GPtrArray) folders = NULL;
    struct error err;
    uint64_t count = 0;
    AUTO_FD home = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (home < 0)
        return 0;
    if (!replay_is_maildir(home))
        return count_in(home, ".");
    if (!scan_folders(home, &folders, &err))
        return 0;
    for (guint i = 0; i < folders->len; i++) {
        const struct scan_folder *folder = folders->pdata[i];
        g_autofree char *fresh = g_strdup_printf("%s/new", folder->dir);
        g_autofree char *current = g_strdup_printf("%s/cur", folder->dir);

        count += count_in(home, fresh) + count_in(home, current);
    }
    return count;
}
