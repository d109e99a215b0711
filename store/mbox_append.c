#include "store/format_mbox.h"

#include <string.h>

#include "store/mbox_journal.h"
#include "store/pending.h"

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

bool mbox_target_name(struct delivery *delivery, struct target *target, struct error *err)
{
    struct place *place = target->own;
    const struct pending_file *content = g_ptr_array_index(delivery->contents, target->content);

    target->file = mbox_key_of(delivery->key, target->mailbox, target->copy);
    if (!mbox_target_name_flags(delivery, target, err))
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

bool mbox_target_publish(struct delivery *delivery, struct target *target, struct error *err)
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

bool mbox_target_sync(struct delivery *delivery, struct target *target, struct error *err)
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

bool mbox_target_take_back(struct delivery *delivery, struct target *target, struct error *err)
{
    struct place *place = target->own;

    (void)delivery;
    if (!cut_back(place->box, err))
        return false;
    target->published = false;
    return true;
}

void mbox_target_finish(struct delivery *delivery, struct target *target)
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
