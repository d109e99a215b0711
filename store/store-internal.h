/* What the files of the store share: the delivery, its targets, and what a mail format must offer. */
#ifndef VMAIL_STORE_INTERNAL_H
#define VMAIL_STORE_INTERNAL_H

#include "store/store.h"

#include "store/pending.h"

struct store {
    struct db *db;
    struct store_options options;
    char *host;
    const char *const *mailboxes;
};

/* A file that an earlier try of this delivery published, found by its name or by its inode. */
struct earlier {
    char *mailbox;      /* where it is now */
    char *file;         /* base name now */
    char *letters;      /* Maildir flags now */
    char *flags;        /* as rows have them */
    off_t size;
    bool named;         /* it bears our name; else a client renamed it while moving it */
    bool taken;         /* it satisfies a target */
    char *path;         /* below the home, for removal */
};
void earlier_free(gpointer earlier);

/* One file that the plan wants. */
struct target {
    const struct mail_format *format;
    const struct header_row *row;
    char *mailbox;          /* row name; INBOX after a fallback */
    GPtrArray *flags;       /* const char *, borrowed from the plan; several wishes are united */
    bool create;
    bool fallback;
    unsigned content;
    unsigned copy;          /* how many targets before it go into the same mailbox */
    /* set by format->name, or by an earlier file that satisfies the target */
    char *file;
    char *flags_text;
    bool is_read;
    off_t size;
    const struct earlier *found;
    bool published;         /* by this try */
    void *own;              /* the format's */
};

struct delivery {
    struct store *store;
    const struct store_user *user;
    const struct mail_format *format;
    int pending_dir;
    GPtrArray *contents;    /* struct pending_file; [0] is the message as spooled */
    struct pending_file *retired; /* the spool whose place a leftover took; or NULL */
    char key[PENDING_KEY_DIGITS + 1];
    bool keyed;             /* a retry can come: the caller gave the key */
    bool identified;
    bool resumed;
    bool committed;
    bool keep_witness;      /* outcome unknown, or an earlier try's files are out: pending stays */
    int64_t received_at;    /* for names */
    const char *sender;     /* of the plan in hand */
    int64_t now;            /* for rows */
    GPtrArray *earlier;     /* struct earlier */
    GPtrArray *targets;     /* struct target */
    GPtrArray *notes;       /* char *, handed to the result */
};

void delivery_note(struct delivery *delivery, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* How a format stores. Maildir is one; mbox fits the same steps (its journal is its witness). Functions
 * return false with @err filled; what each leaves on disk stands beside it. */
struct mail_format {
    /* Targets are copies: the pending file is no witness by its links, and need not be durable. */
    bool copies_content;

    /* ---- mailboxes */
    bool (*prepare_home)(struct store *store, const struct store_user *user, struct error *err);
    bool (*exists)(struct store *store, const struct store_user *user, const char *mailbox,
                   bool *ret_exists, struct error *err);
    bool (*create)(struct store *store, const struct store_user *user, const char *mailbox,
                   struct error *err);

    /* ---- what broke off */
    /* Puts the mailboxes in order that the delivery @key (NULL: any) was at, when it is over; waits at
     * most @timeout_s for each (0: passes over the busy ones). NULL: nothing to do ever. */
    bool (*recover)(struct store *store, const struct store_user *user, const char *key,
                    int timeout_s, struct error *err);

    /* ---- an earlier try */
    /* Finds what it published (array of struct earlier): only asked when there are traces. */
    bool (*find_earlier)(struct delivery *delivery, GPtrArray **ret_earlier, struct error *err);
    /* Could @earlier be this target's file? */
    bool (*is_same_place)(const struct delivery *delivery, const struct target *target,
                          const struct earlier *earlier);
    /* Removes it, durably; gone already is fine. */
    bool (*remove_earlier)(struct delivery *delivery, const struct earlier *earlier,
                           struct error *err);
    /* Durable on return: its try may have died before it was. */
    bool (*sync_earlier)(struct delivery *delivery, const struct earlier *earlier,
                         struct error *err);

    /* ---- a target, in this order; nothing is visible before publish */
    /* Opens target->mailbox (making it where allowed); falls back to INBOX with a note where it
     * cannot be. */
    bool (*resolve)(struct delivery *delivery, struct target *target, struct error *err);
    /* All targets are resolved: takes what must be held until the end, before the database is asked
     * to write. NULL: nothing. */
    bool (*lock)(struct delivery *delivery, struct error *err);
    /* Decides file, flags_text, is_read and size. */
    bool (*name)(struct delivery *delivery, struct target *target, struct error *err);
    /* Makes it visible and sets target->published. On failure nothing of it is visible. */
    bool (*publish)(struct delivery *delivery, struct target *target, struct error *err);
    /* Durable on return. */
    bool (*sync)(struct delivery *delivery, struct target *target, struct error *err);
    /* Undoes publish, wherever a client moved it meanwhile. */
    bool (*take_back)(struct delivery *delivery, struct target *target, struct error *err);
    /* Committed: what only a crash would have needed goes (journal, locks). Cannot fail. */
    void (*finish)(struct delivery *delivery, struct target *target);
    void (*release)(struct target *target);
};

extern const struct mail_format mail_format_maildir;
extern const struct mail_format mail_format_mbox;

/* NULL with ERROR_CONFIG for a format that this build does not have. */
const struct mail_format *mail_format_of(const struct store_user *user, struct error *err);

/* Text for a column of @limit characters: valid UTF-8, cut on a character. Returns @text itself where it
 * fits; else *@ret_memory owns what is returned. NULL stays NULL. */
const char *store_cut(const char *text, size_t limit, char **ret_memory);

/* The column sieve_replies.address. */
#define STORE_REPLY_ADDRESS_MAX 320

/* 64 hex digits to 32 bytes; false: not that. */
bool store_key_to_bytes(const char *key, unsigned char bytes[32]);

#endif
