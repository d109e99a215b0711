/*
 * Changing an mbox before its end: taking a message out, changing flags.
 *
 * What keeps its length is written in place, as Dovecot does. Else everything from the first change on is
 * written to a file of its own and flushed, the journal says so, and then it replaces the mbox's end: a
 * crash at any point leaves the old or the new file, once the journal was followed.
 */
#ifndef VMAIL_STORE_MBOX_REWRITE_H
#define VMAIL_STORE_MBOX_REWRITE_H

#include "lda/base/error.h"
#include "store/mbox_scan.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

struct mbox;
struct mbox_journal;

/* @length bytes at @offset become @text. */
struct mbox_edit {
    off_t offset, length;
    char *text;          /* g_free; NULL: nothing */
    size_t text_length;
};
void mbox_edit_clear(gpointer edit);
/* Array of struct mbox_edit that frees its texts. */
GArray *mbox_edits_new(void);
void mbox_edits_remove(GArray *edits, const struct mbox_message *message);

/* Adds what makes the message \Seen, or not. *@ret_possible false: its header is not one to be
 * changed. */
bool mbox_edits_seen(GArray *edits, const struct mbox *mbox, const struct mbox_message *message,
                     bool seen, bool *ret_possible, struct error *err);

/* Keywords that Dovecot shall keep must stand in the X-IMAPbase field of the first message. Adds what puts
 * @keywords there, nothing where they are. *@ret_possible false: no room in that line, or no message. */
bool mbox_edits_imapbase(GArray *edits, const struct mbox *mbox, const GPtrArray *keywords,
                         bool *ret_possible, struct error *err);
/* The value for the first message of an empty mbox. g_free. */
char *mbox_imapbase_new(const GPtrArray *keywords);

/* They can be made in place. */
bool mbox_edits_keep_length(const GArray *edits);
/* Makes the edits (sorted here; they must not overlap), durably. The mbox is locked and its journal
 * clean. */
bool mbox_rewrite(int home, struct mbox *mbox, GArray *edits, struct error *err);

/* Brings a rewrite to its end that broke off. *@ret_done false: somebody wrote since; left as it is. */
bool mbox_rewrite_again(int dir, struct mbox *mbox, const struct mbox_journal *journal,
                        bool *ret_done, struct error *err);

#endif
