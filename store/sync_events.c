#include "store/sync_events.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/base/path.h"
#include "store/mbox.h"

/* What a watched directory is to a Maildir. */
enum place_kind {
    PLACE_OTHER,    /* nothing of ours (fanotify sees the whole file system) */
    PLACE_HOME,     /* a home: folders come and go, INBOX's dovecot-keywords */
    PLACE_FOLDER,   /* ".X": its dovecot-keywords, cur and new */
    PLACE_MESSAGES, /* cur or new */
    PLACE_MBOXES,   /* a home with mboxes, "mail" in it or a folder below that */
};

struct place {
    enum place_kind kind;
    int64_t id;
    char *dir; /* "." or ".X"; of mboxes "." or "mail/X"; NULL for OTHER */
};

struct home {
    int64_t id;
    bool mbox;
};

struct sync_events {
    int fd;
    int root; /* fanotify: descriptor on the file system, for handles */
    bool fanotify;
    GHashTable *homes;  /* path → struct home */
    GHashTable *places; /* inotify: wd (as pointer) → place; fanotify: handle (GBytes) → place */
};

#define INOTIFY_MASK (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)
/* An mbox is written in place. */
#define INOTIFY_MBOX_MASK (INOTIFY_MASK | IN_MODIFY)
#define FANOTIFY_MASK (FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_ONDIR)
/* Handles remembered: more and we start over. */
#define PLACES_MAX 100000
#define MBOX_DEPTH_MAX 32

static void place_free(gpointer data)
{
    struct place *place = data;

    g_free(place->dir);
    g_free(place);
}

static struct place *place_new(enum place_kind kind, int64_t id, const char *dir)
{
    struct place *place = g_new0(struct place, 1);

    place->kind = kind;
    place->id = id;
    place->dir = g_strdup(dir);
    return place;
}

static bool open_fanotify(struct sync_events *events, const char *root)
{
    AUTO_FD fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_DFID_NAME,
                               O_RDONLY | O_CLOEXEC);
    AUTO_FD root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || root_fd < 0 ||
        fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FANOTIFY_MASK, root_fd, NULL) != 0)
        return false;
    events->fd = fd_steal(&fd);
    events->root = fd_steal(&root_fd);
    events->fanotify = true;
    events->places = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
                                           (GDestroyNotify)g_bytes_unref, place_free);
    return true;
}

struct sync_events *sync_events_open(const char *root, bool fanotify, struct error *err)
{
    struct sync_events *events = g_new0(struct sync_events, 1);

    events->fd = events->root = -1;
    events->homes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (fanotify && open_fanotify(events, root))
        return events;
    events->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (events->fd < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot start inotify");
        sync_events_close(events);
        return NULL;
    }
    events->places = g_hash_table_new_full(NULL, NULL, NULL, place_free);
    return events;
}

void sync_events_close(struct sync_events *events)
{
    if (!events)
        return;
    if (events->fd >= 0)
        close(events->fd);
    if (events->root >= 0)
        close(events->root);
    g_hash_table_unref(events->homes);
    if (events->places)
        g_hash_table_unref(events->places);
    g_free(events);
}

const char *sync_events_kind(const struct sync_events *events)
{
    return events->fanotify ? "fanotify" : "inotify";
}

int sync_events_fd(const struct sync_events *events)
{
    return events->fd;
}

/* ------------------------------------------------------------------ inotify */

/* Watches the directory @path below @home, reached without following a link. One that is not there
 * (yet) is passed by. */
static bool watch_directory(struct sync_events *events, int home, const char *path,
                            enum place_kind kind, int64_t id, const char *dir, struct error *err)
{
    AUTO_FD fd = path_open_dir(home, path, err);
    g_autofree char *link = NULL;
    int watch;

    if (fd < 0) {
        if (err->code != ENOENT && err->code != ENOTDIR && err->code != ELOOP)
            return false;
        error_clear(err);
        return true;
    }
    link = g_strdup_printf("/proc/self/fd/%d", fd);
    watch = inotify_add_watch(events->fd, link,
                              kind == PLACE_MBOXES ? INOTIFY_MBOX_MASK : INOTIFY_MASK);
    if (watch < 0) {
        if (errno == ENOSPC)
            error_set(err, ERROR_CONFIG,
                      "no more inotify watches: raise fs.inotify.max_user_watches (sysctl)");
        else
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot watch %s", path);
        return false;
    }
    g_hash_table_replace(events->places, GINT_TO_POINTER(watch), place_new(kind, id, dir));
    return true;
}

static bool watch_folder(struct sync_events *events, int home, int64_t id, const char *dir,
                         struct error *err)
{
    g_autofree char *cur = g_strconcat(dir, "/cur", NULL), *new = g_strconcat(dir, "/new", NULL);

    return (strcmp(dir, ".") == 0 ||
            watch_directory(events, home, dir, PLACE_FOLDER, id, dir, err)) &&
           watch_directory(events, home, new, PLACE_MESSAGES, id, dir, err) &&
           watch_directory(events, home, cur, PLACE_MESSAGES, id, dir, err);
}

/* Every ".X", also one without cur/: it is being made, and cur/ is its next event. */
static bool watch_folders(struct sync_events *events, int home, int64_t id, struct error *err)
{
    int copy = path_open_dir(home, ".", err);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;
    bool done = true;

    if (!stream) {
        if (copy >= 0) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read a home");
            close(copy);
        }
        return false;
    }
    while (done && (entry = readdir(stream)))
        if (entry->d_name[0] == '.' && entry->d_name[1] && entry->d_name[1] != '.' &&
            (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN))
            done = watch_folder(events, home, id, entry->d_name, err);
    closedir(stream);
    return done;
}

static void remember_home(struct sync_events *events, int64_t id, bool mbox, const char *path)
{
    struct home *home = g_new(struct home, 1);

    *home = (struct home){id, mbox};
    g_hash_table_replace(events->homes, g_strdup(path), home);
}

/* "mail" and the folders below it. */
static bool watch_mboxes(struct sync_events *events, int home, int64_t id, const char *dir,
                         int depth, struct error *err)
{
    int copy = path_open_dir(home, dir, err);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;
    bool done;

    if (!stream) {
        if (copy >= 0)
            close(copy);
        if (copy < 0 && err->code != ENOENT && err->code != ENOTDIR && err->code != ELOOP)
            return false;
        error_clear(err);
        return true;
    }
    /* the folder first: what is made in it from here on is an event */
    done = watch_directory(events, home, dir, PLACE_MBOXES, id, dir, err);
    while (done && depth < MBOX_DEPTH_MAX && (entry = readdir(stream))) {
        g_autofree char *path = g_strdup_printf("%s/%s", dir, entry->d_name);

        if (entry->d_name[0] != '.' && (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN))
            done = watch_mboxes(events, home, id, path, depth + 1, err);
    }
    closedir(stream);
    return done;
}

bool sync_events_add_mbox_home(struct sync_events *events, int64_t id, int fd, const char *path,
                               struct error *err)
{
    remember_home(events, id, true, path);
    return events->fanotify || (watch_directory(events, fd, ".", PLACE_MBOXES, id, ".", err) &&
                                watch_mboxes(events, fd, id, MBOX_FOLDERS, 0, err));
}

bool sync_events_add_home(struct sync_events *events, int64_t id, int fd, const char *path,
                          struct error *err)
{
    remember_home(events, id, false, path);
    /* the home first: a folder made from here on is an event */
    return events->fanotify ||
           (watch_directory(events, fd, ".", PLACE_HOME, id, ".", err) &&
            watch_folder(events, fd, id, ".", err) && watch_folders(events, fd, id, err));
}

/* ------------------------------------------------------------------ meaning */

/* A dotlock tells of the mbox that it locks where writing is no event. */
static void tell_mbox(const struct place *place, const char *name, bool is_dir, bool by_locks,
                      sync_changed *changed, void *ctx)
{
    bool is_lock = g_str_has_suffix(name, ".lock");
    g_autofree char *mbox = g_strndup(name, strlen(name) - (is_lock ? strlen(".lock") : 0));
    g_autofree char *path = NULL;

    if (strcmp(place->dir, ".") == 0) {
        if (strcmp(mbox, is_dir ? MBOX_FOLDERS : MBOX_INBOX) != 0)
            return;
        path = g_strdup(mbox);
    } else {
        if (strchr(mbox, '.') != NULL) /* no mailbox is called so */
            return;
        path = g_strdup_printf("%s/%s", place->dir, mbox);
    }
    if (is_dir)
        changed(ctx, place->id, NULL);
    else if (!is_lock || by_locks)
        changed(ctx, place->id, path);
}

/* @name changed in @place: who must look where? */
static void tell(const struct place *place, const char *name, bool is_dir, bool by_locks,
                 sync_changed *changed, void *ctx)
{
    switch (place->kind) {
    case PLACE_MBOXES:
        tell_mbox(place, name, is_dir, by_locks, changed, ctx);
        return;
    case PLACE_OTHER:
        return;
    case PLACE_MESSAGES:
        if (!is_dir)
            changed(ctx, place->id, place->dir);
        return;
    case PLACE_HOME:
        if (strcmp(name, "dovecot-keywords") == 0)
            changed(ctx, place->id, ".");
        else if (is_dir && (name[0] == '.' || strcmp(name, "cur") == 0 || strcmp(name, "new") == 0))
            changed(ctx, place->id, NULL);
        return;
    case PLACE_FOLDER:
        if (is_dir && (strcmp(name, "cur") == 0 || strcmp(name, "new") == 0))
            changed(ctx, place->id, NULL);
        else if (strcmp(name, "dovecot-keywords") == 0)
            changed(ctx, place->id, place->dir);
        return;
    }
}

static void read_inotify(struct sync_events *events, const char *buffer, size_t length,
                         sync_changed *changed, void *ctx, bool *overflow)
{
    for (size_t at = 0; at + sizeof(struct inotify_event) <= length;) {
        const struct inotify_event *event = (const void *)(buffer + at);
        const struct place *place = g_hash_table_lookup(events->places, GINT_TO_POINTER(event->wd));

        at += sizeof *event + event->len;
        if (event->mask & IN_Q_OVERFLOW)
            *overflow = true;
        else if (event->mask & IN_IGNORED)
            g_hash_table_remove(events->places, GINT_TO_POINTER(event->wd));
        else if (place && event->len > 0)
            tell(place, event->name, event->mask & IN_ISDIR, false, changed, ctx);
    }
}

/* ------------------------------------------------------------------ fanotify */

/* "mail" of a home with mboxes, or a folder below it? */
static struct place *place_of_mboxes(const struct sync_events *events, const char *path)
{
    g_autofree char *above = g_path_get_dirname(path);

    for (int depth = 0; depth <= MBOX_DEPTH_MAX + 1 && above[1] != '\0'; depth++) {
        const struct home *owner = g_hash_table_lookup(events->homes, above);
        const char *below = path + strlen(above) + 1;
        char *next = g_path_get_dirname(above);

        if (owner && owner->mbox && strstr(below, "/.") == NULL &&
            (strcmp(below, MBOX_FOLDERS) == 0 || g_str_has_prefix(below, MBOX_FOLDERS "/"))) {
            g_free(next);
            return place_new(PLACE_MBOXES, owner->id, below);
        }
        g_free(above);
        above = next;
    }
    return place_new(PLACE_OTHER, 0, NULL);
}

/* What the directory at @path is. */
static struct place *place_of_path(const struct sync_events *events, const char *path)
{
    g_autofree char *folder = NULL, *home = NULL, *folder_name = NULL;
    g_autofree char *base = g_path_get_basename(path);
    const struct home *owner = g_hash_table_lookup(events->homes, path);
    bool messages = strcmp(base, "cur") == 0 || strcmp(base, "new") == 0;

    if (owner)
        return place_new(owner->mbox ? PLACE_MBOXES : PLACE_HOME, owner->id, ".");
    folder = messages ? g_path_get_dirname(path) : g_strdup(path);
    owner = g_hash_table_lookup(events->homes, folder);
    if (owner && messages && !owner->mbox)
        return place_new(PLACE_MESSAGES, owner->id, ".");
    folder_name = g_path_get_basename(folder);
    home = g_path_get_dirname(folder);
    owner = folder_name[0] == '.' ? g_hash_table_lookup(events->homes, home) : NULL;
    if (!owner)
        return place_of_mboxes(events, path);
    if (owner->mbox)
        return place_new(PLACE_OTHER, 0, NULL);
    return place_new(messages ? PLACE_MESSAGES : PLACE_FOLDER, owner->id, folder_name);
}

/* The directory behind a handle; NULL: it is gone. */
static const struct place *place_of_handle(struct sync_events *events, struct file_handle *handle)
{
    size_t size = sizeof *handle + handle->handle_bytes;
    g_autoptr(GBytes) key = g_bytes_new(handle, size);
    struct place *place = g_hash_table_lookup(events->places, key);
    char path[PATH_MAX + 1];
    g_autofree char *link = NULL;
    AUTO_FD fd = -1;
    ssize_t length;

    if (place)
        return place;
    fd = open_by_handle_at(events->root, handle, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    link = g_strdup_printf("/proc/self/fd/%d", fd);
    length = readlink(link, path, PATH_MAX);
    if (length <= 0)
        return NULL;
    path[length] = 0;
    place = place_of_path(events, path);
    if (g_hash_table_size(events->places) >= PLACES_MAX)
        g_hash_table_remove_all(events->places);
    g_hash_table_replace(events->places, g_bytes_ref(key), place);
    return place;
}

/* What follows the metadata of an event: the directory's handle and the name in it. */
static void read_fanotify_event(struct sync_events *events, uint64_t mask, const char *record,
                                size_t length, sync_changed *changed, void *ctx)
{
    const struct fanotify_event_info_fid *info = (const void *)record;
    struct file_handle *handle = (void *)(guintptr)info->handle;
    bool is_dir = mask & FAN_ONDIR;
    const struct place *place;

    if (length < sizeof *info + sizeof *handle ||
        info->hdr.info_type != FAN_EVENT_INFO_TYPE_DFID_NAME)
        return;
    place = place_of_handle(events, handle);
    if (place)
        tell(place, (const char *)handle->f_handle + handle->handle_bytes, is_dir, true, changed,
             ctx);
    /* a directory that was renamed has the same handle and another meaning */
    if (is_dir && mask & (FAN_MOVED_FROM | FAN_MOVED_TO | FAN_DELETE))
        g_hash_table_remove_all(events->places);
}

static void read_fanotify(struct sync_events *events, const char *buffer, size_t length,
                          sync_changed *changed, void *ctx, bool *overflow)
{
    for (size_t at = 0; at + sizeof(struct fanotify_event_metadata) <= length;) {
        struct fanotify_event_metadata event;

        /* events with handles lie at multiples of four, the mask wants eight */
        memcpy(&event, buffer + at, sizeof event);
        if (event.event_len < sizeof event || event.event_len > length - at ||
            event.vers != FANOTIFY_METADATA_VERSION)
            return;
        if (event.fd >= 0)
            close(event.fd);
        if (event.mask & FAN_Q_OVERFLOW)
            *overflow = true;
        else
            read_fanotify_event(events, event.mask, buffer + at + event.metadata_len,
                                event.event_len - event.metadata_len, changed, ctx);
        at += event.event_len;
    }
}

bool sync_events_read(struct sync_events *events, sync_changed *changed, void *ctx,
                      bool *ret_overflow, struct error *err)
{
    char buffer[65536] __attribute__((aligned(8)));
    bool overflow = false;

    for (;;) {
        ssize_t length = read(events->fd, buffer, sizeof buffer);

        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 && errno == EAGAIN)
            break;
        if (length <= 0) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read events of %s",
                            sync_events_kind(events));
            return false;
        }
        if (events->fanotify)
            read_fanotify(events, buffer, (size_t)length, changed, ctx, &overflow);
        else
            read_inotify(events, buffer, (size_t)length, changed, ctx, &overflow);
    }
    *ret_overflow = overflow;
    return true;
}
