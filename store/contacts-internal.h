/* What the files of the address book share. */
#ifndef VMAIL_STORE_CONTACTS_INTERNAL_H
#define VMAIL_STORE_CONTACTS_INTERNAL_H

#include "store/contacts.h"

/* A logical line of an imported file is cut here: photographs live in such lines. */
#define CONTACTS_LINE_MAX 65536

/* A contact with copies of @name and @email, everything else empty. */
struct contact *contact_new(const char *name, const char *email);
/* An array that frees its contacts. */
GPtrArray *contacts_array_new(void);
/* Imported bytes as valid UTF-8 without NUL: a byte order mark is dropped, UTF-16 with a mark is
 * converted (Outlook writes it), other bytes are taken for CP949, then Latin-1. The caller frees. */
char *contacts_text_from(const char *data, size_t length);

/* Cut to what a column holds, on a character, in one line. The caller frees. */
char *contacts_cut_for_column(const char *text);

/* Runs @body in a transaction, or in the one that is open. */
typedef bool contacts_body(struct db *db, int64_t user_id, void *ctx, struct error *err);
bool contacts_in_transaction(struct db *db, int64_t user_id, contacts_body *body, void *ctx,
                             struct error *err);
/* The id of the contact @which, a decimal id or an address. ERROR_USAGE: none. */
bool contacts_id_of(struct db *db, int64_t user_id, const char *which, int64_t *ret_id,
                    struct error *err);
/* Groups without a member are no groups. */
bool contacts_drop_empty_groups(struct db *db, int64_t user_id, struct error *err);

#endif
