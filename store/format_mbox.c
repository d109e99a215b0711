/*
 * mbox as a format of the delivery: entries at the end of one file, taken back by cutting it.
 *
 * What Maildir gets from link() and names, an mbox gets from its lock and its journal: the lock is held from
 * before the transaction begins until its end, the journal is durable before the first byte is added.
 * All mailboxes of a delivery are locked in the order of their names, and before the database is asked to
 * write: nobody waits for a lock while others wait for his transaction.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/path.h"
#include "store/mailbox_name.h"
#include "store/maildir_name.h"
#include "store/mbox.h"
#include "store/mbox_entry.h"
#include "store/mbox_journal.h"
#include "store/mbox_recover.h"
#include "store/mbox_rewrite.h"
#include "store/mbox_scan.h"
#include "store/scan.h"
#include "store/store-internal.h"
#include "store/subscriptions.h"

/* A new keyword may move the whole file once; not beyond this size. */
#define KEYWORD_REWRITE_MAX (64 * 1024 * 1024)

/* A mailbox in a delivery's hands; its targets share it. */
struct box {
    int users;
    struct mbox *mbox;
    int dir, journal;
    bool journaled;          /* an append is in the journal */
    bool over;               /* cut back, or committed: unlocked */
    off_t start;             /* size before we came */
    off_t at;                /* where the next entry goes */
};

/* A target's own. */
struct place {
    struct box *box;
    char *letters, *keywords, *imapbase;
    struct mbox_measure measure;
};

/* ------------------------------------------------------------------ mailboxes */

static void subscribe(const struct store *store, const struct store_user *user,
                      const char *const *mailboxes)
{
    struct error ignored;
    AUTO_FD dir = store->options.no_autosubscribe
                      ? -1
                      : path_make_dir(user->home, MBOX_FOLDERS, 0700, &ignored);

    /* an unsubscribed folder is a small evil beside mail that does not arrive */
    if (dir >= 0)
        subscriptions_add_to(dir, ".subscriptions", mailboxes, &ignored);
}

static bool make_and_close(int home, const char *mailbox, struct error *err)
{
    struct mbox *mbox = mbox_open(home, mailbox, true, err);
    bool ok = mbox != NULL && (!mbox->made || mbox_sync(mbox, err));

    mbox_free(mbox);
    return ok;
}

static bool prepare_home(struct store *store, const struct store_user *user, struct error *err)
{
    g_autoptr(GPtrArray) subscribed = g_ptr_array_new();

    if (!make_and_close(user->home, "INBOX", err))
        return false;
    g_ptr_array_add(subscribed, (char *)"INBOX");
    for (const char *const *mailbox = store->mailboxes; *mailbox != NULL; mailbox++) {
        /* something else in its place is the user's affair, not a reason to keep mail away */
        if (!make_and_close(user->home, *mailbox, err)) {
            if (!mbox_is_blocked(err))
                return false;
            error_clear(err);
            continue;
        }
        g_ptr_array_add(subscribed, (char *)*mailbox);
    }
    g_ptr_array_add(subscribed, NULL);
    subscribe(store, user, (const char *const *)subscribed->pdata);
    return true;
}

static bool exists(struct store *store, const struct store_user *user, const char *mailbox,
                   bool *ret_exists, struct error *err)
{
    struct error why = {0};
    struct mbox *mbox = mbox_open(user->home, mailbox, false, &why);

    (void)store;
    if (mbox == NULL && why.code != ENOENT && !mbox_is_blocked(&why)) {
        *err = why;
        return false;
    }
    /* INBOX always is: the first delivery makes it */
    *ret_exists = mbox != NULL || mailbox_is_inbox(mailbox);
    mbox_free(mbox);
    return true;
}

static bool create(struct store *store, const struct store_user *user, const char *mailbox,
                   struct error *err)
{
    const char *const mailboxes[] = {mailbox, NULL};

    if (!make_and_close(user->home, mailbox, err))
        return false;
    subscribe(store, user, mailboxes);
    return true;
}

/* ------------------------------------------------------------------ boxes */

static void box_unref(struct box *box)
{
    if (--box->users > 0)
        return;
    mbox_free(box->mbox);
    if (box->journal >= 0)
        close(box->journal);
    if (box->dir >= 0)
        close(box->dir);
    g_free(box);
}

/* The box of @mailbox that a target holds, or NULL. */
static struct box *find_box(const struct delivery *delivery, const char *mailbox)
{
    for (guint i = 0; i < delivery->targets->len; i++) {
        const struct target *target = g_ptr_array_index(delivery->targets, i);
        const struct place *place = target->own;

        if (place != NULL && strcmp(place->box->mbox->mailbox, mailbox) == 0)
            return place->box;
    }
    return NULL;
}

static struct box *box_new(struct mbox *mbox)
{
    struct box *box = g_new0(struct box, 1);

    box->mbox = mbox;
    box->dir = box->journal = -1;
    return box;
}

static void release(struct target *target)
{
    struct place *place = target->own;

    if (place == NULL)
        return;
    box_unref(place->box);
    g_free(place->letters);
    g_free(place->keywords);
    g_free(place->imapbase);
    g_free(place);
    target->own = NULL;
}

/* Opened, made where it is missing and may be made. NULL and ENOENT: may not. */
static struct mbox *open_or_make(struct delivery *delivery, const struct target *target,
                                 struct error *err)
{
    struct store *store = delivery->store;
    int home = delivery->user->home;
    struct error why = {0};
    struct mbox *mbox = mbox_open(home, target->mailbox, false, &why);

    if (mbox != NULL)
        return mbox;
    if (why.code != ENOENT ||
        (store->options.no_autocreate && !target->create && !mailbox_is_inbox(target->mailbox))) {
        *err = why;
        return NULL;
    }
    if (!create(store, delivery->user, target->mailbox, err))
        return NULL;
    return mbox_open(home, target->mailbox, false, err);
}

static bool resolve(struct delivery *delivery, struct target *target, struct error *err)
{
    struct box *box = find_box(delivery, target->mailbox);
    struct place *place;

    if (box == NULL) {
        struct error why = {0};
        struct mbox *mbox = open_or_make(delivery, target, &why);

        if (mbox == NULL && !mailbox_is_inbox(target->mailbox) &&
            (why.code == ENOENT || mbox_is_blocked(&why))) {
            delivery_note(delivery, "%s; filed into INBOX", why.text);
            g_free(target->mailbox);
            target->mailbox = g_strdup("INBOX");
            target->fallback = true;
            return resolve(delivery, target, err);
        }
        if (mbox == NULL) {
            *err = why;
            return false;
        }
        box = box_new(mbox);
    }
    place = g_new0(struct place, 1);
    box->users++;
    place->box = box;
    target->own = place;
    return true;
}

static bool lock_box(struct delivery *delivery, struct box *box, struct error *err)
{
    const struct store_options *options = &delivery->store->options;

    if (!mbox_take_lock(box->mbox, options->mbox_locks, options->lock_timeout_s, err))
        return false;
    box->dir = mbox_journal_open_dir(delivery->user->home, true, err);
    box->journal = box->dir < 0 ? -1
                                : mbox_journal_open(box->dir, box->mbox->mailbox, true, err);
    return box->journal >= 0 && mbox_recover(delivery->store, delivery->user, box->mbox, box->dir,
                                             box->journal, err);
}

static gint compare_targets(gconstpointer a, gconstpointer b)
{
    const struct target *left = *(const struct target *const *)a;
    const struct target *right = *(const struct target *const *)b;

    return strcmp(left->mailbox, right->mailbox);
}

static bool lock(struct delivery *delivery, struct error *err)
{
    g_autoptr(GPtrArray) sorted = g_ptr_array_new();

    for (guint i = 0; i < delivery->targets->len; i++)
        g_ptr_array_add(sorted, delivery->targets->pdata[i]);
    g_ptr_array_sort(sorted, compare_targets);
    for (guint i = 0; i < sorted->len; i++) {
        const struct target *target = sorted->pdata[i];
        const struct place *place = target->own;

        if (place->box->mbox->lock == NULL && !lock_box(delivery, place->box, err))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ flags */

/* RFC 3501: an atom. */
static bool is_keyword(const char *flag)
{
    for (const char *p = flag; *p != '\0'; p++)
        if (!g_ascii_isgraph(*p) || strchr("(){%*\"\\]", *p) != NULL)
            return false;
    return flag[0] != '\0' && strlen(flag) <= 100;
}

static int compare_letters(gconstpointer a, gconstpointer b)
{
    return *(const char *)a - *(const char *)b;
}

static char *letters_of(const struct target *target)
{
    GString *letters = g_string_new(NULL);

    for (guint i = 0; i < target->flags->len; i++) {
        char letter = maildir_flag_letter(g_ptr_array_index(target->flags, i));

        if (letter != '\0' && strchr(letters->str, letter) == NULL)
            g_string_append_c(letters, letter);
    }
    qsort(letters->str, letters->len, 1, compare_letters);
    return g_string_free(letters, FALSE);
}

static GPtrArray *keywords_of(struct delivery *delivery, const struct target *target)
{
    GPtrArray *keywords = g_ptr_array_new();

    for (guint i = 0; i < target->flags->len; i++) {
        char *flag = g_ptr_array_index(target->flags, i);

        if (maildir_flag_letter(flag) != '\0')
            continue;
        if (flag[0] == '\\')
            delivery_note(delivery, "flag %s is none that can be stored", flag);
        else if (!is_keyword(flag))
            delivery_note(delivery, "keywords not stored in %s: %s", target->mailbox, flag);
        else
            g_ptr_array_add(keywords, flag);
    }
    return keywords;
}

/* Dovecot drops keywords that the first message's X-IMAPbase does not name: makes it name them. */
static bool announce_keywords(struct delivery *delivery, const struct target *target,
                              const GPtrArray *keywords, bool *ret_possible, struct error *err)
{
    struct place *place = target->own;
    struct mbox *mbox = place->box->mbox;
    g_autoptr(GArray) edits = mbox_edits_new();
    off_t size;

    if (!mbox_size(mbox, &size, err))
        return false;
    if (size == 0) {
        /* only the delivery's first entry there is the first message */
        if (target->copy == 0)
            place->imapbase = mbox_imapbase_new(keywords);
        *ret_possible = target->copy == 0;
        return true;
    }
    if (!mbox_edits_imapbase(edits, mbox, keywords, ret_possible, err))
        return false;
    if (!*ret_possible || edits->len == 0)
        return true;
    *ret_possible = size <= KEYWORD_REWRITE_MAX || mbox_edits_keep_length(edits);
    return !*ret_possible || mbox_rewrite(delivery->user->home, mbox, edits, err);
}

static bool name_flags(struct delivery *delivery, struct target *target, struct error *err)
{
    struct place *place = target->own;
    g_autoptr(GPtrArray) keywords = keywords_of(delivery, target);
    g_autoptr(GString) words = g_string_new(NULL);
    g_autofree char *system = NULL;
    bool possible = true;

    place->letters = letters_of(target);
    for (guint i = 0; i < keywords->len; i++)
        g_string_append_printf(words, "%s%s", i > 0 ? " " : "", (const char *)keywords->pdata[i]);
    if (keywords->len > 0 &&
        !announce_keywords(delivery, target, keywords, &possible, err))
        return false;
    if (!possible) {
        delivery_note(delivery, "keywords not stored in %s: %s", target->mailbox, words->str);
        g_string_truncate(words, 0);
    }
    place->keywords = g_strdup(words->str);
    system = scan_flags_describe(place->letters, NULL);
    target->flags_text = g_strdup_printf("%s%s%s", system,
                                         *system != '\0' && words->len > 0 ? " " : "", words->str);
    target->is_read = strchr(place->letters, 'S') != NULL;
    return true;
}

/* ------------------------------------------------------------------ a target */

static struct mbox_entry entry_of(const struct delivery *delivery, const struct target *target)
{
    const struct place *place = target->own;

    return (struct mbox_entry){
        .sender = delivery->sender,
        .received_at = delivery->received_at,
        .key = target->file,
        .letters = place->letters,
        .keywords = place->keywords,
        .imapbase = place->imapbase,
    };
}

static bool name(struct delivery *delivery, struct target *target, struct error *err)
{
    struct place *place = target->own;
    const struct pending_file *content = g_ptr_array_index(delivery->contents, target->content);

    target->file = mbox_key_of(delivery->key, target->mailbox, target->copy);
    if (!name_flags(delivery, target, err))
        return false;

    struct mbox_entry entry = entry_of(delivery, target);

    if (!mbox_entry_make(content->fd, &entry, NULL, NULL, &place->measure, err))
        return false;
    target->size = place->measure.size;
    return true;
}

/* All that this delivery adds to the mailbox goes into one record. */
static void describe_append(const struct delivery *delivery, const struct box *box,
                            struct mbox_journal *journal)
{
    for (guint i = 0; i < delivery->targets->len; i++) {
        const struct target *target = g_ptr_array_index(delivery->targets, i);
        const struct place *place = target->own;
        struct mbox_journal_entry entry = {.body_length = place->measure.body_length};

        if (place->box != box || target->found != NULL)
            continue;
        g_strlcpy(entry.key, target->file, sizeof entry.key);
        g_strlcpy(entry.body_digest, place->measure.body_digest, sizeof entry.body_digest);
        g_array_append_val(journal->entries, entry);
        journal->end += place->measure.length;
    }
}

/* Writes the journal. From then on somebody else can take back what is added. */
static bool begin_append(struct delivery *delivery, struct box *box, int *ret_newlines,
                         struct error *err)
{
    struct mbox_journal journal;
    bool ok;

    if (!mbox_size(box->mbox, &box->start, err) ||
        !mbox_missing_newlines(box->mbox, box->start, ret_newlines, err))
        return false;
    mbox_journal_init(&journal);
    journal.state = MBOX_JOURNAL_APPEND;
    journal.mailbox = g_strdup(box->mbox->mailbox);
    g_strlcpy(journal.key, delivery->key, sizeof journal.key);
    journal.offset = box->start;
    journal.end = box->start + *ret_newlines;
    describe_append(delivery, box, &journal);
    ok = mbox_journal_write(box->journal, &journal, err);
    mbox_journal_release(&journal);
    box->journaled = ok;
    box->at = box->start;
    return ok;
}

static bool append(struct delivery *delivery, const struct target *target, int newlines,
                   off_t *ret_length, struct error *err)
{
    const struct place *place = target->own;
    const struct pending_file *content = g_ptr_array_index(delivery->contents, target->content);
    g_autofree struct mbox_writer *writer = g_new(struct mbox_writer, 1);
    struct mbox_entry entry = entry_of(delivery, target);
    struct mbox_measure measure;

    if (!mbox_writer_open(writer, place->box->mbox, place->box->at, err) ||
        !mbox_writer_add(writer, "\n\n", (size_t)newlines, err) ||
        !mbox_entry_make(content->fd, &entry, mbox_writer_add, writer, &measure, err) ||
        !mbox_writer_flush(writer, err))
        return false;
    if (measure.length != place->measure.length) {
        error_set(err, ERROR_TEMPORARY, "%s changed while it was delivered", content->name);
        return false;
    }
    *ret_length = newlines + measure.length;
    return true;
}

/* Back to where this delivery began. */
static bool cut_back(struct box *box, struct error *err)
{
    struct error ignored;

    if (box->over)
        return true;
    if (!mbox_cut(box->mbox, box->start, err))
        return false;
    /* a record that stays is asked about, and finds nothing to do */
    mbox_journal_clear(box->journal, &ignored);
    box->journaled = false;
    box->over = true;
    mbox_drop_lock(box->mbox);
    return true;
}

static bool any_published(const struct delivery *delivery, const struct box *box)
{
    for (guint i = 0; i < delivery->targets->len; i++) {
        const struct target *target = g_ptr_array_index(delivery->targets, i);

        if (target->published && ((const struct place *)target->own)->box == box)
            return true;
    }
    return false;
}

static bool publish(struct delivery *delivery, struct target *target, struct error *err)
{
    struct place *place = target->own;
    struct box *box = place->box;
    int newlines = 0;
    off_t length;

    if (!box->journaled && !begin_append(delivery, box, &newlines, err))
        return false;
    if (append(delivery, target, newlines, &length, err)) {
        box->at += length;
        target->published = true;
        return true;
    }

    struct error why;

    /* with others of ours before it, their take-back cuts; else nobody would */
    if (!any_published(delivery, box) && !cut_back(box, &why))
        delivery_note(delivery, "%s; the next delivery takes it back", why.text);
    return false;
}

static bool sync_target(struct delivery *delivery, struct target *target, struct error *err)
{
    struct place *place = target->own;

    /* once for all of a box */
    for (guint i = 0; i < delivery->targets->len; i++) {
        const struct target *other = g_ptr_array_index(delivery->targets, i);

        if (other == target)
            break;
        if (other->published && ((const struct place *)other->own)->box == place->box)
            return true;
    }
    return mbox_sync(place->box->mbox, err);
}

static bool take_back(struct delivery *delivery, struct target *target, struct error *err)
{
    struct place *place = target->own;

    (void)delivery;
    if (!cut_back(place->box, err))
        return false;
    target->published = false;
    return true;
}

static void finish(struct delivery *delivery, struct target *target)
{
    struct place *place = target->own;
    struct box *box = place->box;
    struct error ignored;

    (void)delivery;
    if (box->over)
        return;
    /* what stays is asked about by the next: committed, so nothing is done */
    if (box->journaled)
        mbox_journal_clear(box->journal, &ignored);
    box->over = true;
    mbox_drop_lock(box->mbox);
}

/* ------------------------------------------------------------------ an earlier try */

struct search {
    const struct delivery *delivery;
    const char *mailbox;
    GPtrArray *found;
};

static bool on_message(const struct mbox_message *message, void *ctx, struct error *err)
{
    struct search *search = ctx;
    struct earlier *earlier;
    g_autofree char *system = NULL;

    (void)err;
    if (strncmp(message->key, search->delivery->key, MBOX_KEY_DELIVERY_DIGITS) != 0)
        return true;
    system = scan_flags_describe(message->letters, NULL);
    earlier = g_new0(struct earlier, 1);
    earlier->mailbox = g_strdup(search->mailbox);
    earlier->file = g_strdup(message->key);
    earlier->letters = g_strdup(message->letters);
    earlier->flags = g_strdup_printf(
        "%s%s%s", system, *system != '\0' && *message->keywords != '\0' ? " " : "",
        message->keywords);
    earlier->size = message->size;
    earlier->path = mbox_path(search->mailbox);
    g_ptr_array_add(search->found, earlier);
    return true;
}

/* Opens and locks a mailbox that the delivery does not hold; NULL with ENOENT: none. */
static struct mbox *open_locked(const struct delivery *delivery, const char *mailbox,
                                struct error *err)
{
    const struct store_options *options = &delivery->store->options;
    struct mbox *mbox = mbox_open(delivery->user->home, mailbox, false, err);

    if (mbox == NULL ||
        mbox_take_lock(mbox, options->mbox_locks, options->lock_timeout_s, err))
        return mbox;
    mbox_free(mbox);
    return NULL;
}

static bool search_mailbox(struct search *search, const char *mailbox, struct error *err)
{
    struct box *box = find_box(search->delivery, mailbox);
    struct mbox *mbox = box != NULL ? box->mbox : open_locked(search->delivery, mailbox, err);
    bool ok;

    if (mbox == NULL) {
        if (err->code != ENOENT && !mbox_is_blocked(err))
            return false;
        error_clear(err);
        return true;
    }
    search->mailbox = mailbox;
    ok = mbox_scan(mbox->fd, mbox->path, on_message, search, err);
    if (box == NULL)
        mbox_free(mbox);
    return ok;
}

/* What an earlier try added and nobody has touched goes, in mailboxes that this plan does not want too. */
static bool recover_others(struct delivery *delivery, struct error *err)
{
    g_autoptr(GPtrArray) mailboxes = NULL;

    if (!mbox_journal_list(delivery->user->home, delivery->key, &mailboxes, err))
        return false;
    for (guint i = 0; i < mailboxes->len; i++)
        if (find_box(delivery, mailboxes->pdata[i]) == NULL &&
            !mbox_recover_mailbox(delivery->store, delivery->user, mailboxes->pdata[i],
                                  delivery->store->options.lock_timeout_s, err))
            return false;
    return true;
}

/* A copy that a client made has the key too. Ours is the one that lies where the key was made for, or the
 * first; the rest is the user's. */
static void name_ours(const struct delivery *delivery, GPtrArray *found)
{
    g_autoptr(GHashTable) named = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < found->len; i++) {
        struct earlier *earlier = found->pdata[i];

        for (unsigned copy = 0; copy < 4 && !earlier->named; copy++) {
            g_autofree char *key = mbox_key_of(delivery->key, earlier->mailbox, copy);

            earlier->named = strcmp(key, earlier->file) == 0;
        }
        if (earlier->named)
            g_hash_table_add(named, earlier->file);
    }
    for (guint i = 0; i < found->len; i++) {
        struct earlier *earlier = found->pdata[i];

        if (!earlier->named && strlen(earlier->file) == MBOX_KEY_DIGITS)
            earlier->named = g_hash_table_add(named, earlier->file);
    }
}

static bool find_earlier(struct delivery *delivery, GPtrArray **ret_earlier, struct error *err)
{
    g_autoptr(GPtrArray) mailboxes = NULL;
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(earlier_free);
    struct search search = {.delivery = delivery, .found = found};

    if (!recover_others(delivery, err) || !mbox_list(delivery->user->home, &mailboxes, err))
        return false;
    for (guint i = 0; i < mailboxes->len; i++)
        if (!search_mailbox(&search, mailboxes->pdata[i], err))
            return false;
    name_ours(delivery, found);
    *ret_earlier = g_steal_pointer(&found);
    return true;
}

static bool is_same_place(const struct delivery *delivery, const struct target *target,
                          const struct earlier *earlier)
{
    g_autofree char *key = mbox_key_of(delivery->key, target->mailbox, target->copy);

    return strcmp(key, earlier->file) == 0;
}

struct removal {
    const char *key;
    GArray *edits;
};

static bool on_removal(const struct mbox_message *message, void *ctx, struct error *err)
{
    struct removal *removal = ctx;

    (void)err;
    if (strcmp(message->key, removal->key) == 0)
        mbox_edits_remove(removal->edits, message);
    return true;
}

static bool remove_earlier(struct delivery *delivery, const struct earlier *earlier,
                           struct error *err)
{
    struct box *box = find_box(delivery, earlier->mailbox);
    struct mbox *mbox = box != NULL ? box->mbox : open_locked(delivery, earlier->mailbox, err);
    g_autoptr(GArray) edits = mbox_edits_new();
    struct removal removal = {.key = earlier->file, .edits = edits};
    bool ok;

    if (mbox == NULL) {
        if (err->code != ENOENT)
            return false;
        error_clear(err);
        return true;
    }
    ok = mbox_scan(mbox->fd, mbox->path, on_removal, &removal, err) &&
         mbox_rewrite(delivery->user->home, mbox, edits, err);
    if (box == NULL)
        mbox_free(mbox);
    return ok;
}

static bool sync_earlier(struct delivery *delivery, const struct earlier *earlier,
                         struct error *err)
{
    struct box *box = find_box(delivery, earlier->mailbox);
    struct mbox *mbox = box != NULL ? box->mbox
                                    : mbox_open(delivery->user->home, earlier->mailbox, false, err);
    bool ok;

    if (mbox == NULL)
        return false;
    ok = mbox_sync(mbox, err);
    if (box == NULL)
        mbox_free(mbox);
    return ok;
}

const struct mail_format mail_format_mbox = {
    .copies_content = true,
    .prepare_home = prepare_home,
    .exists = exists,
    .create = create,
    .recover = mbox_recover_user,
    .find_earlier = find_earlier,
    .is_same_place = is_same_place,
    .remove_earlier = remove_earlier,
    .sync_earlier = sync_earlier,
    .resolve = resolve,
    .lock = lock,
    .name = name,
    .publish = publish,
    .sync = sync_target,
    .take_back = take_back,
    .finish = finish,
    .release = release,
};
