/* Maildir++ as a format of the delivery: links to the pending file, taken back by unlink. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/base/path.h"
#include "store/keywords.h"
#include "store/mailbox_name.h"
#include "store/maildir.h"
#include "store/maildir_name.h"
#include "store/scan.h"
#include "store/store-internal.h"
#include "store/subscriptions.h"

/* ------------------------------------------------------------------ mailboxes */

static bool make_and_close(int home, const char *mailbox, struct error *err)
{
    int fd = maildir_make(home, mailbox, err);

    if (fd < 0)
        return false;
    close(fd);
    return true;
}

static bool maildir_prepare_home(struct store *store, const struct store_user *user,
                                 struct error *err)
{
    g_autoptr(GPtrArray) subscribed = g_ptr_array_new();
    struct error ignored;

    if (!make_and_close(user->home, "INBOX", err))
        return false;
    g_ptr_array_add(subscribed, (char *)"INBOX");
    for (const char *const *mailbox = store->mailboxes; *mailbox != NULL; mailbox++) {
        /* something else in a folder's place is the user's affair, not a reason to keep mail away */
        if (!make_and_close(user->home, *mailbox, err)) {
            if (!maildir_is_blocked(err))
                return false;
            error_clear(err);
            continue;
        }
        g_ptr_array_add(subscribed, (char *)*mailbox);
    }
    g_ptr_array_add(subscribed, NULL);
    if (!store->options.no_autosubscribe)
        subscriptions_add(user->home, (const char *const *)subscribed->pdata, &ignored);
    return true;
}

static bool maildir_exists(struct store *store, const struct store_user *user, const char *mailbox,
                           bool *ret_exists, struct error *err)
{
    struct error why = {0};
    AUTO_FD folder = maildir_open(user->home, mailbox, &why);
    AUTO_FD cur = folder < 0 ? -1 : maildir_open_sub(folder, "cur", mailbox, &why);

    (void)store;
    if (cur < 0 && why.code != ENOENT && !maildir_is_blocked(&why)) {
        *err = why;
        return false;
    }
    /* INBOX always is: the first delivery makes it */
    *ret_exists = cur >= 0 || mailbox_is_inbox(mailbox);
    return true;
}

static bool maildir_create(struct store *store, const struct store_user *user, const char *mailbox,
                           struct error *err)
{
    const char *const mailboxes[] = {mailbox, NULL};
    struct error ignored;

    /* Its cur/, which says that the mailbox is there, comes after the subscription: nobody would make
     * up for that. An unsubscribed folder is a small evil beside mail that does not arrive. */
    if (!maildir_make_dir(user->home, mailbox, err))
        return false;
    if (!store->options.no_autosubscribe)
        subscriptions_add(user->home, mailboxes, &ignored);
    return make_and_close(user->home, mailbox, err);
}

/* ------------------------------------------------------------------ an earlier try */

struct search {
    struct delivery *delivery;
    GArray *inodes;
    dev_t device;   /* that they are on: a folder may be a mount point, with inodes of its own */
    GPtrArray *found;
};

static bool has_inode(const GArray *inodes, ino_t inode)
{
    for (guint i = 0; i < inodes->len; i++)
        if (g_array_index(inodes, ino_t, i) == inode)
            return true;
    return false;
}

static struct earlier *find_twin(GPtrArray *found, const char *mailbox, const char *file)
{
    for (guint i = 0; i < found->len; i++) {
        struct earlier *earlier = g_ptr_array_index(found, i);

        if (strcmp(earlier->mailbox, mailbox) == 0 && strcmp(earlier->file, file) == 0)
            return earlier;
    }
    return NULL;
}

static void remember(struct search *search, const struct scan_folder *folder, const char *path,
                     const char *entry, bool named, const struct stat *st)
{
    struct scan_keywords keywords = {{NULL}};
    struct error ignored;
    char *file, *letters;

    if (!scan_split_name(entry, &file, &letters))
        return;

    /* Dovecot moved it from new/ to cur/ between our looks at the two: the later one is true */
    struct earlier *earlier = find_twin(search->found, folder->mailbox, file);

    if (earlier == NULL) {
        earlier = g_new0(struct earlier, 1);
        g_ptr_array_add(search->found, earlier);
    } else {
        g_free(earlier->mailbox);
        g_free(earlier->file);
        g_free(earlier->letters);
        g_free(earlier->flags);
        g_free(earlier->path);
    }
    scan_keywords_read(search->delivery->user->home, folder->dir, &keywords, &ignored);
    earlier->mailbox = g_strdup(folder->mailbox);
    earlier->file = file;
    earlier->letters = letters;
    earlier->flags = scan_flags_describe(letters, &keywords);
    earlier->size = st->st_size;
    earlier->named = named;
    earlier->path = g_strdup_printf("%s/%s", path, entry);
    scan_keywords_clear(&keywords);
}

static bool search_directory(struct search *search, const struct scan_folder *folder,
                             const char *sub, struct error *err)
{
    const struct delivery *delivery = search->delivery;
    g_autofree char *path = g_strdup_printf("%s/%s", folder->dir, sub);
    int fd = path_open_dir(delivery->user->home, path, err);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (dir == NULL) {
        if (fd < 0 && err->code == ENOENT) {
            error_clear(err);
            return true;
        }
        if (fd >= 0) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read %s", path);
            close(fd);
        }
        return false;
    }
    errno = 0;
    while ((entry = readdir(dir)) != NULL) {
        bool named = maildir_name_has_key(entry->d_name, delivery->key);
        struct stat st;

        if ((named || has_inode(search->inodes, entry->d_ino)) &&
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && (named || st.st_dev == search->device))
            remember(search, folder, path, entry->d_name, named, &st);
        errno = 0;
    }

    int code = errno;

    closedir(dir);
    if (code != 0)
        error_set_errno(err, ERROR_TEMPORARY, code, "cannot read %s", path);
    return code == 0;
}

/* By name, and by inode: a client that moves a message (IMAP MOVE) gives it a new name but, in
 * Maildir, links the same file. Directory entries tell the inode, so no file is looked at. */
static bool maildir_find_earlier(struct delivery *delivery, GPtrArray **ret_earlier,
                                 struct error *err)
{
    g_autoptr(GPtrArray) folders = NULL;
    g_autoptr(GArray) inodes = g_array_new(FALSE, FALSE, sizeof(ino_t));
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(earlier_free);
    struct search search = {delivery, inodes, 0, found};
    struct stat st;

    if (fstat(delivery->pending_dir, &st) < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot stat %s", PENDING_DIR);
        return false;
    }
    search.device = st.st_dev;
    pending_inodes(delivery->pending_dir, delivery->key, inodes);
    if (!scan_folders(delivery->user->home, &folders, err))
        return false;
    for (guint i = 0; i < folders->len; i++) {
        const struct scan_folder *folder = g_ptr_array_index(folders, i);

        if (!search_directory(&search, folder, "new", err) ||
            !search_directory(&search, folder, "cur", err))
            return false;
    }
    *ret_earlier = g_steal_pointer(&found);
    return true;
}

static bool maildir_is_same_place(const struct delivery *delivery, const struct target *target,
                                  const struct earlier *earlier)
{
    return maildir_name_is_copy(earlier->file, delivery->key, target->mailbox, target->copy);
}

/* Flushes the directory that @path's last component was in. */
static bool sync_parent(int home, const char *path, struct error *err)
{
    g_autofree char *parent = g_path_get_dirname(path);
    AUTO_FD fd = path_open_dir(home, parent, err);

    return fd >= 0 && io_sync(fd, parent, err);
}

static bool maildir_remove_earlier(struct delivery *delivery, const struct earlier *earlier,
                                   struct error *err)
{
    int home = delivery->user->home;

    if (unlinkat(home, earlier->path, 0) == 0)
        return sync_parent(home, earlier->path, err);
    if (errno == ENOENT)
        return true;
    error_set_errno(err, ERROR_TEMPORARY, errno, "cannot take back %s", earlier->path);
    return false;
}

static bool maildir_sync_earlier(struct delivery *delivery, const struct earlier *earlier,
                                 struct error *err)
{
    return sync_parent(delivery->user->home, earlier->path, err);
}

/* ------------------------------------------------------------------ a target */

struct place {
    int folder;      /* the mailbox's directory */
    int sub;         /* its new/ or cur/ */
    bool cur;
    char *name;      /* with flags */
};

static void place_free(struct place *place)
{
    if (place == NULL)
        return;
    if (place->folder >= 0)
        close(place->folder);
    if (place->sub >= 0)
        close(place->sub);
    g_free(place->name);
    g_free(place);
}

static void maildir_release(struct target *target)
{
    place_free(target->own);
    target->own = NULL;
}

/* The folder with all that a delivery may need in it. *@ret_exists: it has cur/, and so is a mailbox;
 * tools that leave empty directories out take new/ and tmp/ away. */
static int open_whole(int home, const char *mailbox, bool *ret_exists, struct error *err)
{
    static const char *const subs[] = {"cur", "new", "tmp"};
    AUTO_FD folder = maildir_open(home, mailbox, err);

    *ret_exists = false;
    for (size_t i = 0; i < G_N_ELEMENTS(subs) && folder >= 0; i++) {
        AUTO_FD sub = maildir_open_sub(folder, subs[i], mailbox, err);

        if (sub < 0)
            return -1;
        *ret_exists = true;
    }
    return fd_steal(&folder);
}

/* The folder, made where it is missing and may be made. -1 and ENOENT: may not. */
static int open_or_make(struct delivery *delivery, const struct target *target, struct error *err)
{
    struct store *store = delivery->store;
    const char *mailbox = target->mailbox;
    int home = delivery->user->home;
    bool exists;
    struct error why = {0};
    int folder = open_whole(home, mailbox, &exists, &why);

    if (folder >= 0)
        return folder;
    if (why.code != ENOENT || (!exists && store->options.no_autocreate && !target->create &&
                               !mailbox_is_inbox(mailbox))) {
        *err = why;
        return -1;
    }
    if (exists ? !make_and_close(home, mailbox, err)
               : !maildir_create(store, delivery->user, mailbox, err))
        return -1;
    return open_whole(home, mailbox, &exists, err);
}

static bool maildir_resolve(struct delivery *delivery, struct target *target, struct error *err)
{
    struct error why = {0};
    int folder = open_or_make(delivery, target, &why);

    if (folder < 0 && !mailbox_is_inbox(target->mailbox) &&
        (why.code == ENOENT || maildir_is_blocked(&why))) {
        delivery_note(delivery, "%s; filed into INBOX", why.text);
        g_free(target->mailbox);
        target->mailbox = g_strdup("INBOX");
        target->fallback = true;
        folder = open_or_make(delivery, target, &why);
    }
    if (folder < 0) {
        *err = why;
        return false;
    }

    struct place *place = g_new0(struct place, 1);

    *place = (struct place){.folder = folder, .sub = -1};
    target->own = place;
    return true;
}

/* System flags as letters, keywords through dovecot-keywords. A keyword that finds no letter is
 * dropped with a note. */
static void letters_of(struct delivery *delivery, struct target *target, GString *letters)
{
    const struct place *place = target->own;
    g_autoptr(GPtrArray) keywords = g_ptr_array_new();
    g_autofree char *dropped = NULL;
    struct error why;

    for (const char *p = "DFRST"; *p != '\0'; p++)
        for (guint i = 0; i < target->flags->len; i++)
            if (maildir_flag_letter(g_ptr_array_index(target->flags, i)) == *p &&
                strchr(letters->str, *p) == NULL)
                g_string_append_c(letters, *p);
    for (guint i = 0; i < target->flags->len; i++) {
        const char *flag = g_ptr_array_index(target->flags, i);

        if (maildir_flag_letter(flag) != '\0')
            continue;
        if (flag[0] == '\\')
            delivery_note(delivery, "flag %s is none that can be stored", flag);
        else
            g_ptr_array_add(keywords, (char *)flag);
    }
    if (keywords->len == 0)
        return;
    if (!keywords_assign(place->folder, keywords, letters, &dropped, &why))
        delivery_note(delivery, "keywords not stored: %s", why.text);
    else if (dropped != NULL)
        delivery_note(delivery, "keywords not stored in %s: %s", target->mailbox, dropped);
}

static int compare_letters(gconstpointer a, gconstpointer b)
{
    return *(const char *)a - *(const char *)b;
}

static bool maildir_name(struct delivery *delivery, struct target *target, struct error *err)
{
    struct place *place = target->own;
    const struct pending_file *content = g_ptr_array_index(delivery->contents, target->content);
    g_autofree char *dir = mailbox_name_to_dir(target->mailbox);
    g_autoptr(GString) letters = g_string_new(NULL);
    struct scan_keywords keywords = {{NULL}};

    letters_of(delivery, target, letters);
    qsort(letters->str, letters->len, 1, compare_letters); /* Dovecot writes them sorted */
    if (letters->len > 0 && !scan_keywords_read(delivery->user->home, dir, &keywords, err))
        return false;
    target->file = maildir_name_build(delivery->received_at, delivery->key, target->mailbox,
                                      target->copy, delivery->store->host, content->size,
                                      content->size_crlf);
    target->flags_text = scan_flags_describe(letters->str, &keywords);
    target->is_read = strchr(letters->str, 'S') != NULL;
    target->size = content->size;
    scan_keywords_clear(&keywords);
    place->cur = letters->len > 0;
    place->name = place->cur ? g_strdup_printf("%s:2,%s", target->file, letters->str)
                             : g_strdup(target->file);
    place->sub = maildir_open_sub(place->folder, place->cur ? "cur" : "new", target->mailbox, err);
    return place->sub >= 0;
}

/* The name is taken. It carries the key, so an earlier try made it whose witness was lost; the size
 * must agree. */
static bool is_ours(const struct place *place, off_t size)
{
    struct stat st;

    return fstatat(place->sub, place->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(st.st_mode) && st.st_size == size;
}

static bool maildir_publish(struct delivery *delivery, struct target *target, struct error *err)
{
    const struct place *place = target->own;
    const struct pending_file *content = g_ptr_array_index(delivery->contents, target->content);
    bool copied;

    if (!maildir_place(delivery->pending_dir, content->name, place->folder, place->sub, place->name,
                       &copied, err)) {
        if (err->code != EEXIST || !is_ours(place, content->size))
            return false;
        error_clear(err);
        delivery_note(delivery, "%s was there from an earlier try", target->file);
    }
    target->published = true;
    return true;
}

static bool maildir_sync(struct delivery *delivery, struct target *target, struct error *err)
{
    const struct place *place = target->own;

    (void)delivery;
    return io_sync(place->sub, target->mailbox, err);
}

/* A client has it already: it was renamed within cur/, or moved. */
static bool take_back_anywhere(struct delivery *delivery, const struct target *target,
                               struct error *err)
{
    g_autoptr(GPtrArray) found = NULL;

    if (!maildir_find_earlier(delivery, &found, err))
        return false;
    for (guint i = 0; i < found->len; i++) {
        const struct earlier *earlier = g_ptr_array_index(found, i);

        if (earlier->named && !maildir_is_same_place(delivery, target, earlier))
            continue;
        if (!maildir_remove_earlier(delivery, earlier, err))
            return false;
    }
    return true;
}

static bool maildir_take_back(struct delivery *delivery, struct target *target, struct error *err)
{
    const struct place *place = target->own;

    if (unlinkat(place->sub, place->name, 0) == 0) {
        target->published = false;
        return io_sync(place->sub, target->mailbox, err);
    }
    if (errno != ENOENT) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot take back %s", target->file);
        return false;
    }
    if (!take_back_anywhere(delivery, target, err))
        return false;
    target->published = false;
    return true;
}

static void maildir_finish(struct delivery *delivery, struct target *target)
{
    (void)delivery;
    (void)target;
}

const struct mail_format mail_format_maildir = {
    .prepare_home = maildir_prepare_home,
    .exists = maildir_exists,
    .create = maildir_create,
    .find_earlier = maildir_find_earlier,
    .is_same_place = maildir_is_same_place,
    .remove_earlier = maildir_remove_earlier,
    .sync_earlier = maildir_sync_earlier,
    .resolve = maildir_resolve,
    .name = maildir_name,
    .publish = maildir_publish,
    .sync = maildir_sync,
    .take_back = maildir_take_back,
    .finish = maildir_finish,
    .release = maildir_release,
};
