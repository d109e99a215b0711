/*
 * What the files of the mbox format share: a mailbox while a delivery holds it, and the steps of a
 * target (struct mail_format says what each promises). format_mbox.c opens and locks the mailboxes,
 * mbox_flags.c names the flags, mbox_append.c adds and takes back entries, mbox_earlier.c looks after
 * an earlier try.
 */
#ifndef VMAIL_STORE_FORMAT_MBOX_H
#define VMAIL_STORE_FORMAT_MBOX_H

#include "store/mbox.h"
#include "store/mbox_entry.h"
#include "store/store-internal.h"

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

/* The box of @mailbox that a target holds, or NULL. */
struct box *mbox_find_box(const struct delivery *delivery, const char *mailbox);

/* Fills letters, keywords and imapbase of the place, flags_text and is_read of the target. The mbox
 * may be rewritten, to name a new keyword. */
bool mbox_target_name_flags(struct delivery *delivery, struct target *target, struct error *err);

bool mbox_target_name(struct delivery *delivery, struct target *target, struct error *err);
bool mbox_target_publish(struct delivery *delivery, struct target *target, struct error *err);
bool mbox_target_sync(struct delivery *delivery, struct target *target, struct error *err);
bool mbox_target_take_back(struct delivery *delivery, struct target *target, struct error *err);
void mbox_target_finish(struct delivery *delivery, struct target *target);

bool mbox_earlier_find(struct delivery *delivery, GPtrArray **ret_earlier, struct error *err);
bool mbox_earlier_is_same_place(const struct delivery *delivery, const struct target *target,
                                const struct earlier *earlier);
bool mbox_earlier_remove(struct delivery *delivery, const struct earlier *earlier,
                         struct error *err);
bool mbox_earlier_sync(struct delivery *delivery, const struct earlier *earlier,
                       struct error *err);

#endif
