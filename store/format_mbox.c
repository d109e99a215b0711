/*
 * mbox as a format of the delivery: entries at the end of one file, taken back by cutting it.
 *
 * What Maildir gets from link() and names, an mbox gets from its lock and its journal: the lock is held from
 * before the transaction begins until its end, the journal is durable before the first byte is added.
 * All mailboxes of a delivery are locked in the order of their names, and before the database is asked to
 * write: nobody waits for a lock while others wait for his transaction.
 */
#include "store/format_mbox.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/path.h"
#include "store/mailbox_name.h"
#include "store/mbox_journal.h"
#include "store/mbox_recover.h"
#include "store/subscriptions.h"

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

struct box *mbox_find_box(const struct delivery *delivery, const char *mailbox)
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
    struct box *box = mbox_find_box(delivery, target->mailbox);
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

/* ------------------------------------------------------------------ the format */

const struct mail_format mail_format_mbox = {
    .copies_content = true,
    .prepare_home = prepare_home,
    .exists = exists,
    .create = create,
    .recover = mbox_recover_user,
    .find_earlier = mbox_earlier_find,
    .is_same_place = mbox_earlier_is_same_place,
    .remove_earlier = mbox_earlier_remove,
    .sync_earlier = mbox_earlier_sync,
    .resolve = resolve,
    .lock = lock,
    .name = mbox_target_name,
    .publish = mbox_target_publish,
    .sync = mbox_target_sync,
    .take_back = mbox_target_take_back,
    .finish = mbox_target_finish,
    .release = release,
};
