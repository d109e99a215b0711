#include "store/format_mbox.h"

#include <errno.h>
#include <string.h>

#include "store/mbox_journal.h"
#include "store/mbox_recover.h"
#include "store/mbox_rewrite.h"
#include "store/mbox_scan.h"
#include "store/scan.h"

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
    struct box *box = mbox_find_box(search->delivery, mailbox);
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

/* What an earlier try added and nobody has touched goes, in mailboxes that this plan does not want
 * too. */
static bool recover_others(struct delivery *delivery, struct error *err)
{
    g_autoptr(GPtrArray) mailboxes = NULL;

    if (!mbox_journal_list(delivery->user->home, delivery->key, &mailboxes, err))
        return false;
    for (guint i = 0; i < mailboxes->len; i++)
        if (mbox_find_box(delivery, mailboxes->pdata[i]) == NULL &&
            !mbox_recover_mailbox(delivery->store, delivery->user, mailboxes->pdata[i],
                                  delivery->store->options.lock_timeout_s, err))
            return false;
    return true;
}

/* A copy that a client made has the key too. Ours is the one that lies where the key was made for, or
 * the first; the rest is the user's. */
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

bool mbox_earlier_find(struct delivery *delivery, GPtrArray **ret_earlier, struct error *err)
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

bool mbox_earlier_is_same_place(const struct delivery *delivery, const struct target *target,
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

bool mbox_earlier_remove(struct delivery *delivery, const struct earlier *earlier,
                         struct error *err)
{
    struct box *box = mbox_find_box(delivery, earlier->mailbox);
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

bool mbox_earlier_sync(struct delivery *delivery, const struct earlier *earlier,
                       struct error *err)
{
    struct box *box = mbox_find_box(delivery, earlier->mailbox);
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
