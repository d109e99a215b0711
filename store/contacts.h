/*
 * The address book: contacts and groups of a user, found by name, address and initial consonants.
 *
 * An address is stored once per user: it is compared by its folded form, local part and domain in
 * lower case, the domain in its Unicode form whether it was written "xn--…" or not.
 */
#ifndef VMAIL_STORE_CONTACTS_H
#define VMAIL_STORE_CONTACTS_H

#include "lda/base/error.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;

struct contact {
    int64_t id;
    char *name;          /* "" where unknown */
    char *email;
    int64_t use_count;
    char *last_used;     /* "2024-01-31 12:00:00", UTC; "" never */
    char *source;        /* "manual", "import", "sent", "received" */
    char **groups;       /* names, NULL terminated */
};
void contact_free(struct contact *contact);

/* The form in which two addresses are the same address; NULL when it is none (no '@', a space or
 * control character, longer than 320 bytes). The caller frees. */
char *contacts_fold_address(const char *email);

/* Adds, or (address known already) renames when @name is not empty and raises nothing. @source as
 * in struct contact. ERROR_USAGE: not an address. *@ret_id may be NULL. */
bool contacts_add(struct db *db, int64_t user_id, const char *name, const char *email,
                  const char *source, int64_t *ret_id, struct error *err);

/* As contacts_add without renaming a contact that has a name, and counts a use at @when (UTC
 * seconds; last_used never goes back). What sync (recipients of Sent) and delivery (senders) call. */
bool contacts_note_use(struct db *db, int64_t user_id, const char *name, const char *email,
                       const char *source, int64_t when, struct error *err);

/* Changes the contact with the address or decimal id @which; a NULL name or email stays. No such contact,
 * or the new address is another contact's: ERROR_USAGE. */
bool contacts_edit(struct db *db, int64_t user_id, const char *which, const char *name,
                   const char *email, struct error *err);

/* By address or decimal id. ERROR_USAGE: no such contact. */
bool contacts_remove(struct db *db, int64_t user_id, const char *which, struct error *err);

/* All, by name then address. @limit 0: all. Array of struct contact. */
bool contacts_list(struct db *db, int64_t user_id, int limit, GPtrArray **ret_contacts,
                   struct error *err);

/* Those whose name, address or group contains every word of @words (folded; ㄱㅊㅅ finds 김철수),
 * the most used and most recent first. */
bool contacts_find(struct db *db, int64_t user_id, const char *words, int limit,
                   GPtrArray **ret_contacts, struct error *err);

/* Is @email in the address book? For Sieve's :list. @group NULL: any contact, else a member of
 * that group (folded). An @email that is no address is not known. */
bool contacts_known(struct db *db, int64_t user_id, const char *group, const char *email,
                    bool *ret_known, struct error *err);
/* As above: the address as the address book writes it (g_free), NULL where it is not known. */
bool contacts_find_address(struct db *db, int64_t user_id, const char *group, const char *email,
                           char **ret_address, struct error *err);

/* Groups. Adding makes the group when it is new; @which is an address or id of a contact. Removing
 * the last member removes the group. */
bool contacts_group_add(struct db *db, int64_t user_id, const char *group, const char *which,
                        struct error *err);
bool contacts_group_remove(struct db *db, int64_t user_id, const char *group, const char *which,
                           struct error *err);
/* Names with member counts: array of struct contact_group. */
struct contact_group {
    char *name;
    int64_t members;
};
void contact_group_free(struct contact_group *group);
bool contacts_group_list(struct db *db, int64_t user_id, GPtrArray **ret_groups,
                         struct error *err);

/* vCard 3.0/4.0 (RFC 2426, RFC 6350) and CSV (RFC 4180; header line names the columns: name,
 * email and groups, or what Thunderbird, Outlook and Google write). What cannot be read is counted, not
 * an error. */
enum contacts_format { CONTACTS_VCARD3, CONTACTS_VCARD4, CONTACTS_CSV };
struct contacts_import {
    int64_t added, known, skipped;
};
bool contacts_import(struct db *db, int64_t user_id, enum contacts_format format,
                     const char *data, size_t length, struct contacts_import *ret_counts,
                     struct error *err);
/* The whole book as text in UTF-8; the caller frees. */
bool contacts_export(struct db *db, int64_t user_id, enum contacts_format format, char **ret_text,
                     struct error *err);

/* The two formats without a database: arrays of struct contact (name, email, groups filled). */
GPtrArray *contacts_parse_vcard(const char *data, size_t length, int64_t *ret_skipped);
GPtrArray *contacts_parse_csv(const char *data, size_t length, int64_t *ret_skipped);
char *contacts_format_vcard(const GPtrArray *contacts, int version);
char *contacts_format_csv(const GPtrArray *contacts);

#endif
