#include "store/pending.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/base/path.h"

/* More edited versions than this of one message no plan has. */
#define CONTENTS_MAX 100
#define MARKS_SIZE_MAX (1024 * 1024)

void pending_file_free(gpointer data)
{
    struct pending_file *file = data;

    if (file == NULL)
        return;
    if (file->fd >= 0)
        close(file->fd);
    g_free(file->name);
    g_free(file);
}

static bool look_at(struct pending_file *file, struct error *err)
{
    struct stat st;

    if (fstat(file->fd, &st) < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot stat %s/%s", PENDING_DIR, file->name);
        return false;
    }
    file->dev = st.st_dev;
    file->ino = st.st_ino;
    file->links = st.st_nlink;
    file->size = st.st_size;
    return true;
}

/* How many bytes CRLF line ends would add. */
static bool count_bare_lf(const struct pending_file *file, off_t *ret_count, struct error *err)
{
    g_autofree char *buffer = g_malloc(65536);
    off_t count = 0, offset = 0;
    char before = '\0';

    while (offset < file->size) {
        size_t length = (size_t)MIN((off_t)65536, file->size - offset);

        if (!io_read_at(file->fd, buffer, length, offset, file->name, err))
            return false;
        for (size_t i = 0; i < length; i++) {
            count += buffer[i] == '\n' && before != '\r';
            before = buffer[i];
        }
        offset += (off_t)length;
    }
    *ret_count = count;
    return true;
}

bool pending_file_measure(struct pending_file *file, off_t size_crlf, struct error *err)
{
    off_t added = 0;

    if (!look_at(file, err))
        return false;
    if (size_crlf == 0) {
        if (!count_bare_lf(file, &added, err))
            return false;
        size_crlf = file->size + added;
    }
    file->size_crlf = size_crlf;
    return true;
}

int pending_open_dir(int home, bool make, struct error *err)
{
    return make ? path_make_dir(home, PENDING_DIR, 0700, err)
                : path_open_dir(home, PENDING_DIR, err);
}

static struct pending_file *file_new(char *name, int fd)
{
    struct pending_file *file = g_new0(struct pending_file, 1);

    file->name = name;
    file->fd = fd;
    return file;
}

bool pending_spool(int dir, struct pending_file **ret_file, struct error *err)
{
    uint32_t random;

    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint32_t)g_get_monotonic_time();

    g_autofree char *name = g_strdup_printf("spool.%d.%08x", (int)getpid(), random);
    AUTO_FD fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot create %s/%s", PENDING_DIR, name);
        return false;
    }
    /* tells the sweep that somebody lives; nobody else can hold it, and where locks do not work the
     * file's age is what the sweep has left */
    flock(fd, LOCK_EX | LOCK_NB);

    struct pending_file *file = file_new(g_steal_pointer(&name), fd_steal(&fd));

    if (!look_at(file, err)) {
        unlinkat(dir, file->name, 0);
        pending_file_free(file);
        return false;
    }
    *ret_file = file;
    return true;
}

static char *content_name(const char *key, unsigned number)
{
    return g_strdup_printf("%s.%u", key, number);
}

bool pending_new_content(int dir, const char *key, struct pending_file **ret_file,
                         struct error *err)
{
    for (unsigned number = 1; number < CONTENTS_MAX; number++) {
        g_autofree char *name = content_name(key, number);
        AUTO_FD fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

        if (fd < 0 && errno == EEXIST)
            continue; /* an earlier try's: still the witness of what it published */
        if (fd < 0) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot create %s/%s", PENDING_DIR, name);
            return false;
        }
        *ret_file = file_new(g_steal_pointer(&name), fd_steal(&fd));
        return true;
    }
    error_set(err, ERROR_TEMPORARY, "cannot create another version of %s/%s", PENDING_DIR, key);
    return false;
}

void pending_drop_unpublished(int dir, const char *key)
{
    unsigned number = 1;
    struct stat st;

    for (; number < CONTENTS_MAX; number++) {
        g_autofree char *name = content_name(key, number);

        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            break;
    }
    /* from the last one down: the numbers stay without a gap */
    while (--number > 0) {
        g_autofree char *name = content_name(key, number);

        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_nlink > 1 ||
            unlinkat(dir, name, 0) < 0)
            break;
    }
}

/* ------------------------------------------------------------------ claiming the key */

/* rename that does not overwrite; 0 or -1. */
static int rename_new(int dir, const struct pending_file *from, const char *to)
{
    if (renameat2(dir, from->name, dir, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    /* the file system cannot (NFS); what breaks off between the two leaves a second link under the
     * spool's name, which the retry takes for a sign that the content is whole: so it must be */
    if (fsync(from->fd) < 0)
        return -1;
    if (linkat(dir, from->name, dir, to, 0) == 0)
        return unlinkat(dir, from->name, 0);
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
        return -1;

    struct stat st;

    /* nor has it links: looking first is all there is */
    if (fstatat(dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return renameat(dir, from->name, dir, to);
}

/* Opens and locks <key>.0. *ret_file NULL: it went away meanwhile, try again. */
static bool lock_leftover(int dir, const char *name, struct pending_file **ret_file,
                          struct error *err)
{
    struct stat st;
    AUTO_FD fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    *ret_file = NULL;
    if (fd < 0) {
        if (errno == ENOENT)
            return true;
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot open %s/%s", PENDING_DIR, name);
        return false;
    }
    /* where the file system has no locks (ENOLCK, EOPNOTSUPP) the key row alone keeps two apart */
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        error_set(err, ERROR_TEMPORARY, "another process is delivering this message (%s/%s)",
                  PENDING_DIR, name);
        err->code = EWOULDBLOCK;
        return false;
    }

    struct pending_file *file = file_new(g_strdup(name), fd_steal(&fd));

    if (!look_at(file, err)) {
        pending_file_free(file);
        return false;
    }
    /* whoever held the lock may have removed or replaced the file */
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_ino != file->ino)
        pending_file_free(file);
    else
        *ret_file = file;
    return true;
}

enum pending_claim pending_claim(int dir, const char *key, struct pending_file *spool,
                                 struct pending_file **ret_leftover, struct error *err)
{
    g_autofree char *name = content_name(key, 0);

    for (int tries = 0; tries < 20; tries++) {
        struct pending_file *leftover;

        if (rename_new(dir, spool, name) == 0) {
            g_free(spool->name);
            spool->name = g_steal_pointer(&name);
            return PENDING_FRESH;
        }
        if (errno != EEXIST) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot rename %s/%s", PENDING_DIR,
                            spool->name);
            return PENDING_FAILED;
        }
        if (!lock_leftover(dir, name, &leftover, err))
            return PENDING_FAILED;
        if (leftover != NULL) {
            *ret_leftover = leftover;
            return PENDING_LEFTOVER;
        }
    }
    error_set(err, ERROR_TEMPORARY, "other processes are busy with %s/%s", PENDING_DIR, name);
    return PENDING_FAILED;
}

bool pending_replace(int dir, const char *key, struct pending_file *spool, struct error *err)
{
    g_autofree char *name = content_name(key, 0);

    if (renameat(dir, spool->name, dir, name) < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot rename %s/%s", PENDING_DIR,
                        spool->name);
        return false;
    }
    g_free(spool->name);
    spool->name = g_steal_pointer(&name);
    return true;
}

void pending_inodes(int dir, const char *key, GArray *inodes)
{
    for (unsigned number = 0; number < CONTENTS_MAX; number++) {
        g_autofree char *name = content_name(key, number);
        struct stat st;

        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            g_array_append_val(inodes, st.st_ino);
        else if (number > 0)
            break;
    }
}

void pending_remove(int dir, const char *key, bool keep_marks)
{
    g_autofree char *marks = g_strconcat(key, ".sent", NULL);
    g_autofree char *first = content_name(key, 0);

    for (unsigned number = 1; number < CONTENTS_MAX; number++) {
        g_autofree char *name = content_name(key, number);

        if (unlinkat(dir, name, 0) < 0)
            break;
    }
    if (!keep_marks)
        unlinkat(dir, marks, 0);
    unlinkat(dir, first, 0);
}

/* ------------------------------------------------------------------ what was sent */

char *pending_mark_of(const char *id)
{
    return g_compute_checksum_for_string(G_CHECKSUM_SHA256, id, -1);
}

bool pending_read_marks(int dir, const char *key, GHashTable **ret_marks, struct error *err)
{
    g_autofree char *name = g_strconcat(key, ".sent", NULL);
    g_autoptr(GHashTable) marks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct error why = {0};
    AUTO_FD fd = path_open_file(dir, name, &why);
    AUTO_FREE char *text = NULL;
    size_t length;

    if (fd < 0 && why.code != ENOENT) {
        *err = why;
        return false;
    }
    if (fd >= 0) {
        if (!io_read_all(fd, MARKS_SIZE_MAX, &text, &length, name, err))
            return false;

        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (char **line = lines; *line != NULL; line++)
            g_hash_table_add(marks, g_strdup(*line));
    }
    *ret_marks = g_steal_pointer(&marks);
    return true;
}

bool pending_add_mark(int dir, const char *key, const char *id, struct error *err)
{
    g_autofree char *name = g_strconcat(key, ".sent", NULL);
    g_autofree char *mark = pending_mark_of(id);
    g_autofree char *line = g_strconcat(mark, "\n", NULL);
    AUTO_FD fd = openat(dir, name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot open %s/%s", PENDING_DIR, name);
        return false;
    }
    return io_write(fd, line, strlen(line), name, err);
}
