/*
 * Delivery: message files and header rows as one transaction (docs/transaction.md).
 *
 *   delivery_begin ─▶ write into delivery_fd ─▶ delivery_identify ─▶ (filter, plan) ─▶ delivery_commit
 *                                                                         └─▶ delivery_free
 *
 * The promise: when delivery_commit returns true, every target's file and row exist, durably, once.
 * When anything returns false, nothing is left visible, and the same message under the same key
 * brings it to its end later. The one exception says so itself: a COMMIT whose answer was lost and a
 * database that stays away leave the files published until the retry asks again.
 *
 * The store knows no messages: it gets a descriptor and filled rows. It does not log: what is worth a
 * line and did not fail the delivery is a note in the result.
 */
#ifndef VMAIL_STORE_H
#define VMAIL_STORE_H

#include "lda/base/error.h"

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct db;

/* ------------------------------------------------------------------ the store */

enum store_format { STORE_MAILDIR, STORE_MBOX };

/* What a site sets; strings borrowed for the life of the store. */
struct store_options {
    const char *hostname;             /* in file names; NULL: gethostname */
    const char *const *mailboxes;     /* made and subscribed with a new home, besides INBOX;
                                       * NULL-terminated; NULL: Sent, Drafts */
    bool no_autocreate;               /* a missing folder falls back to INBOX, unless target.create */
    bool no_autosubscribe;
    bool quota_bounces;               /* over quota is ERROR_QUOTA (5.2.2), else ERROR_QUOTA_DEFER */
    int64_t keys_keep_s;              /* how long keys are kept; 0: 15 days */
    const char *mbox_locks;           /* "dotlock fcntl", in this order; NULL: that */
    int lock_timeout_s;               /* 0: 60 */
};

struct store;

/* @db is borrowed and may be replaced by store_set_db after a reconnect elsewhere. Not for threads. */
struct store *store_new(struct db *db, const struct store_options *options);
void store_free(struct store *store);
void store_set_db(struct store *store, struct db *db);

/* Whom we store for; filled by the caller, borrowed for the life of a delivery. */
struct store_user {
    int64_t id;              /* virtual_users.id */
    const char *address;     /* for messages and rows */
    int home;                /* descriptor of the home directory, where the Maildir's cur/new/tmp lie */
    const char *home_path;   /* for messages */
    enum store_format format;
    int64_t quota_bytes;     /* 0: no limit */
    int64_t quota_count;     /* messages; 0: no limit */
};

/* ------------------------------------------------------------------ mailboxes */

/* The canonical row name of a mailbox as a script, a client or an option wrote it: "INBOX", "X",
 * "X.Y" (in UTF-8; "INBOX.X", "INBOX/X", "x/y" are cut to it). ERROR_BAD_DATA for names that cannot be
 * a folder (empty level, "..", control characters, too long): the caller files into INBOX. */
bool store_mailbox_canonical(const char *mailbox, char **ret_canonical, struct error *err);

/* Does it exist for this user? A name that cannot be a mailbox does not. */
bool store_mailbox_exists(struct store *store, const struct store_user *user, const char *mailbox,
                          bool *ret_exists, struct error *err);

/* Makes (and subscribes) INBOX and the standard mailboxes where they are missing: a new account. */
bool store_prepare_home(struct store *store, const struct store_user *user, struct error *err);
/* Makes one mailbox; one that exists is no error. */
bool store_mailbox_create(struct store *store, const struct store_user *user, const char *mailbox,
                          struct error *err);

/* ------------------------------------------------------------------ what Sieve remembers */

/* Was a reply with this key (64 hex digits) sent to @address and is still remembered? */
bool store_reply_remembered(struct store *store, int64_t user_id, const char *key,
                            const char *address, int64_t now, bool *ret_yes, struct error *err);
/* Was a message with this key (RFC 7352) delivered and is still remembered? */
bool store_duplicate_seen(struct store *store, int64_t user_id, const char *key, int64_t now,
                          bool *ret_yes, struct error *err);

/* ------------------------------------------------------------------ one delivery */

/* The header row of one stored file, as far as the message knows it. Valid UTF-8 without NUL; any may
 * be NULL. Longer than the column is fine: it is cut on a character boundary. The store adds user,
 * mailbox, file, size, flags, is_read and received_at. */
struct header_row {
    const char *subject;
    const char *sender;           /* as the From field shows it, decoded */
    const char *recipient;
    int64_t date;                 /* UTC seconds */
    const char *message_id;       /* without <> */
    const char *refs;             /* message ids of References/In-Reply-To without <>, spaces between */
    bool has_attachment;
    const char *search_document;  /* the full decoded subject and all addresses */
};

/* Where one copy goes. */
struct delivery_target {
    const char *mailbox;          /* as written: UTF-8, '.' or '/' between levels */
    const char *const *flags;     /* IMAP flags and keywords, NULL-terminated: "\\Seen", "$label1";
                                   * NULL: none */
    bool create;                  /* :create was said: make it whatever the site's policy */
    unsigned content;             /* 0: the message as spooled; n: what delivery_new_content gave */
    const struct header_row *row; /* never NULL */
};

/* A message to hand to the MTA. Its id is the same on every try of the same delivery and differs
 * between the sends of one: "redirect:bob@example.com". */
struct delivery_send {
    const char *id;
    /* false, before COMMIT: must not be lost (redirect, reject): at least once. A failure fails the
     * delivery. A kill between the MTA's yes and our mark is the only way to a second copy.
     * true, after COMMIT: must not come twice (auto-reply, notification): at most once. A failure
     * becomes a note. */
    bool after_commit;
    bool (*send)(void *ctx, struct error *err);
    void *ctx;
};

/* To remember for Sieve, in the same transaction. */
struct delivery_mark {
    bool reply;                   /* sieve_replies, else sieve_duplicates */
    const char *key;              /* 64 hex digits */
    const char *address;          /* reply only: to whom */
    int64_t expires;              /* UTC seconds */
};

struct delivery_plan {
    const struct delivery_target *targets;
    size_t target_count;          /* 0: nothing is kept (discard, redirect): the key is still written */
    const struct delivery_send *sends;
    size_t send_count;
    const struct delivery_mark *marks;
    size_t mark_count;
    const char *sender;           /* envelope sender, for an mbox's From_ line; NULL, "": none */
    const char *queue_id;         /* kept with the key for people; may be NULL */
    const char *message_id;       /* same */
    bool ignore_quota;            /* e.g. replay after a restore */
};

/* What became of a target. */
struct delivery_stored {
    char *mailbox;                /* canonical: where it is now; INBOX when the plan's could not be */
    char *file;                   /* base name, or the mbox's content key */
    bool fallback;                /* into INBOX instead of what the plan said */
    bool resumed;                 /* was there from an earlier try */
};

struct delivery_result {
    bool already;                 /* committed by somebody else meanwhile: nothing done now */
    GPtrArray *stored;            /* of struct delivery_stored, one per distinct target */
    GPtrArray *notes;             /* char *: sentences for the log */
};
void delivery_result_clear(struct delivery_result *result);

/* Is the delivery of this key (64 hex digits) committed, and still remembered? */
bool store_key_is_committed(struct store *store, int64_t user_id, const char *key, bool *ret_yes,
                            struct error *err);

struct delivery;

/* Opens a spool file in the user's home (made ready where it is new). */
bool delivery_begin(struct store *store, const struct store_user *user, struct delivery **ret_delivery,
                    struct error *err);

/* The spool: write the message as it shall lie on disk (LF lines), from position 0. Owned by the
 * delivery, and readable until its end (mmap, pread). After delivery_identify it must not be written
 * any more; a resumed delivery goes on with the earlier file, of the same content. */
int delivery_fd(const struct delivery *delivery);

/* What the caller knows of what it spooled. */
struct delivery_content {
    off_t size_crlf;              /* size with CRLF line ends (W=); 0: the store counts */
    int64_t received_at;          /* when the MTA took the message (topmost Received field), UTC; the same
                                   * on every try. 0: not known, now. Out of range is now too */
};

enum delivery_state {
    DELIVERY_NEW,
    DELIVERY_RESUMED,             /* an earlier try left traces; go on as for a new one */
    DELIVERY_ALREADY,             /* committed before: report success, whatever script and quota say now */
};

/* Takes the key: 64 hex digits, SHA-256 of queue id, recipient and content; NULL: always new. To be
 * asked before anything is refused, bounced or found over quota. Another process busy with the same
 * key: ERROR_TEMPORARY. */
bool delivery_identify(struct delivery *delivery, const char *key,
                       const struct delivery_content *content, enum delivery_state *ret_state,
                       struct error *err);

/* A second content (an edited message) for targets: write into *@ret_fd (owned by the delivery) and
 * use *@ret_content in the targets. After delivery_identify. */
bool delivery_new_content(struct delivery *delivery, int *ret_fd, unsigned *ret_content,
                          struct error *err);

/* All or nothing. @ret_result is filled on success, and with notes on failure: clear it always. Over
 * quota: ERROR_QUOTA or ERROR_QUOTA_DEFER. After a failure it may be called again with another plan. */
bool delivery_commit(struct delivery *delivery, const struct delivery_plan *plan,
                     struct delivery_result *ret_result, struct error *err);

/* Ends it. Not committed: takes back what was done (except after a COMMIT whose answer is unknown).
 * Takes NULL; keeps errno. */
void delivery_free(struct delivery *delivery);

/* ------------------------------------------------------------------ housekeeping */

struct store_sweep_counts {
    int64_t spools;     /* abandoned spool files removed */
    int64_t finished;   /* leftovers of deliveries that are committed */
    int64_t given_up;   /* leftovers of deliveries never finished, older than keys_keep: the MTA has
                         * returned the mail. What they published stays: the user may have read it,
                         * and sync gives it a row */
    int64_t waiting;    /* leftovers still young enough for a retry */
    int64_t keys, replies, duplicates; /* rows past their time */
};

/* Cleans up for one user, thoroughly; what deliveries do now and then by themselves, a little. For
 * `vmail doctor --repair`; with @check_only it only counts. Adds to @counts. */
bool store_sweep_user(struct store *store, const struct store_user *user, bool check_only,
                      struct store_sweep_counts *counts, struct error *err);
/* Old keys, replies and duplicate marks of all users; a bounded number of rows per statement. */
bool store_sweep_rows(struct store *store, bool check_only, struct store_sweep_counts *counts,
                      struct error *err);

/* ------------------------------------------------------------------ migrations */

/* Applies what is missing of @schema_dir/{sqlite,pgsql}/NNNN-*.sql, each in its transaction; two at
 * once are safe. @applied (may be NULL) is told each file's name. */
bool store_migrate(struct db *db, const char *schema_dir,
                   void (*applied)(void *ctx, const char *name), void *ctx, struct error *err);
/* *@ret_missing: how many of the folder's migrations this database lacks. */
bool store_schema_missing(struct db *db, const char *schema_dir, int *ret_missing,
                          struct error *err);

#endif
