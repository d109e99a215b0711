/*
 * The plan: what shall become of a message, from the script's actions and the site's policy.
 *
 * A pure function of its arguments: no disk, no network, no clock. Whatever the actions say, the
 * plan either keeps the message somewhere, sends it on, or says in so many words that it is thrown
 * away because a script asked for it.
 */
#ifndef VMAIL_PLAN_H
#define VMAIL_PLAN_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct envelope;
struct headers;
struct message;
struct sieve_mail;
struct sieve_pipe;
struct sieve_redirect;
struct sieve_result;

struct plan_policy {
    const char *keep_mailbox;    /* -m, else "INBOX": where keep goes */
    const char *user;            /* the account's address: marks redirects */
    const char *redirect_sender; /* sieve_redirect_envelope_from as configured */
    const char *postmaster;
    uint64_t redirect_hops;      /* a message redirected so often is kept instead */
    bool reject_by_status;       /* -e */
    bool replay;                 /* nothing is sent but redirects */
    const char *const *keep_flags; /* of the message before: each keep has them too; or NULL */
};

struct plan_target {
    char *mailbox;               /* as said; the store makes it canonical */
    GPtrArray *flags;            /* char *, NULL-terminated; NULL: none */
    bool create;
    bool keep;                   /* a keep, not a fileinto: for the log */
    struct message *message;     /* edited, borrowed from the result; NULL: as spooled */
    const struct sieve_mail *text; /* :fcc: this is stored, not the message; borrowed; or NULL */
};

enum plan_send_kind {
    PLAN_REDIRECT,
    PLAN_REJECT,
    PLAN_VACATION,
    PLAN_NOTIFY,
    PLAN_REPORT,
    PLAN_PIPE,
};

struct plan_send {
    enum plan_send_kind kind;
    char *id;                    /* unique in the plan, the same on each try */
    char *from;                  /* envelope sender; "" is null */
    GPtrArray *to;               /* char *, NULL-terminated */
    bool after_commit;
    struct message *message;     /* redirect, pipe: edited message; NULL: as spooled; borrowed */
    const struct sieve_mail *mail;         /* the others: the finished text; borrowed */
    const struct sieve_redirect *redirect; /* for its DSN parameters; borrowed */
    const struct sieve_pipe *pipe;         /* borrowed */
    /* remembered with the delivery when the send is made; NULL: nothing */
    const char *memory_key;      /* borrowed */
    const char *memory_address;  /* borrowed */
    uint64_t memory_seconds;
};

struct plan {
    GPtrArray *targets;          /* struct plan_target */
    GPtrArray *sends;            /* struct plan_send */
    char *refusal;               /* reject_by_status: the reason for the exit status; else NULL */
    bool discarded;              /* nothing is kept because a script said discard */
    GPtrArray *notes;            /* char *: why something was not done */
};

/* @headers: of the message, for loop protection. Borrows from @result, which must outlive it. */
struct plan *plan_build(const struct sieve_result *result, const struct envelope *envelope,
                        struct headers *headers, const struct plan_policy *policy);
void plan_free(struct plan *plan);

/* Takes the send out, and keeps the message in INBOX instead: the MTA will never take it. */
void plan_keep_instead(struct plan *plan, guint send, const struct plan_policy *policy);

/* "stored mail into mailbox 'X', forwarded to <a@b>": what the plan does, for the log. */
char *plan_summary(const struct plan *plan);

#endif
