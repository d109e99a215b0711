/*
 * What the engine asks its host: does the mailbox exist, is the sender known, was it seen before?
 *
 * The engine itself touches no disk, database or network. Every function gets @ctx back and may be
 * NULL: then the answer is SIEVE_NO (or the default the comment gives). All text is UTF-8 and may
 * not be kept by the host. An answer handed out through a char ** is g_malloc'd and the engine
 * frees it.
 */
#ifndef VMAIL_SIEVE_HOST_H
#define VMAIL_SIEVE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct error;
struct message;

enum sieve_answer {
    SIEVE_NO = 0,
    SIEVE_YES,
    SIEVE_FAILED, /* cannot tell now (database away): the script fails, implicit keep */
};

enum sieve_script_place { SIEVE_SCRIPT_PERSONAL, SIEVE_SCRIPT_GLOBAL };

enum sieve_program_kind {
    SIEVE_PROGRAM_PIPE,    /* message on standard input, after the run: an action, never asked */
    SIEVE_PROGRAM_FILTER,  /* message on standard input, new message on standard output */
    SIEVE_PROGRAM_EXECUTE, /* input as given, output into a variable */
};

/* A run of a site-allowed program (vnd.dovecot.filter, vnd.dovecot.execute), now. */
struct sieve_program_call {
    enum sieve_program_kind kind;
    const char *name;                   /* as in the script; the host checks it and finds it */
    const char *const *arguments;       /* NULL-terminated */
    struct message *message;            /* its standard input, or NULL */
    const char *input;                  /* its standard input when message is NULL; may be NULL */
    size_t input_length;
    size_t max_output;                  /* bytes; more is a failure */
};

struct sieve_host {
    void *ctx;

    /* ---- mailboxes (RFC 5490, 8579, 9042). Names as the script wrote them, UTF-8. */

    /* May the user deliver into it, without creating it? NULL: SIEVE_NO. */
    enum sieve_answer (*mailbox_exists)(void *ctx, const char *mailbox);
    /* The value of an annotation ("/private/comment") of @mailbox, or of the server when @mailbox
     * is NULL. SIEVE_YES: it exists, *ret_value is set. */
    enum sieve_answer (*metadata)(void *ctx, const char *mailbox, const char *annotation,
        char **ret_value);
    /* Has @mailbox the special use @flag ("\\Archive")? @mailbox NULL: is there any mailbox with
     * it; then *ret_mailbox is its name. @ret_mailbox may be NULL. */
    enum sieve_answer (*special_use)(void *ctx, const char *mailbox, const char *flag,
        char **ret_mailbox);
    /* The mailbox with this MAILBOXID. */
    enum sieve_answer (*mailbox_by_id)(void *ctx, const char *id, char **ret_mailbox);

    /* ---- external lists (RFC 6134): "urn:ietf:params:sieve:addrbook:default", a user's group */

    enum sieve_answer (*list_valid)(void *ctx, const char *list);
    /* Is @value in the list? For address books @value is an address, compared without case.
     * SIEVE_YES may set *ret_entry (what matched). */
    enum sieve_answer (*list_contains)(void *ctx, const char *list, const char *value,
        char **ret_entry);
    /* All addresses of a list, for redirect :list: a g_strfreev'able vector. */
    enum sieve_answer (*list_members)(void *ctx, const char *list, char ***ret_members);

    /* ---- memory (RFC 7352). A mark is written only when the delivery succeeds: see
     * sieve_result.duplicate_marks. @key is the 64 hex digits that the mark carries. */
    enum sieve_answer (*duplicate_seen)(void *ctx, const char *key);

    /* ---- scripts for include (RFC 6609). SIEVE_YES sets text and length; SIEVE_NO: no such
     * script. @name is checked: no '/', no NUL, not empty. */
    enum sieve_answer (*script)(void *ctx, enum sieve_script_place place, const char *name,
        char **ret_text, size_t *ret_length);

    /* ---- environment (RFC 5183): "host", "domain", "remote-ip", "remote-host", "name", "version",
     * "location", "phase", "imap.*", "vnd.dovecot.*" and "vnd.dovecot.config.*". */
    enum sieve_answer (*environment)(void *ctx, const char *item, char **ret_value);

    /* ---- programs. SIEVE_YES: it ran and exited 0, *ret_output (if wanted, for EXECUTE and FILTER)
     * is what it wrote. SIEVE_NO: it ran and exited with another status. SIEVE_FAILED: not allowed,
     * not found, too slow, too much output; @err says what. */
    enum sieve_answer (*run_program)(void *ctx, const struct sieve_program_call *call,
        char **ret_output, size_t *ret_length, struct error *err);

    /* ---- the address this user's own mail is written from, and further own addresses
     * (vacation). NULL: the envelope's recipients are all there is. */
    const char *const *own_addresses; /* NULL-terminated or NULL */
    const char *user_email;           /* primary address or NULL */
    const char *postmaster;           /* "postmaster@example.org" or NULL */
    const char *hostname;             /* for Message-IDs of what is sent; NULL: "localhost" */

    /* ---- the clock of a run: seconds since the epoch, and the zone of `currentdate` in minutes
     * east of UTC. NULL: the system's. */
    time_t (*now)(void *ctx, int *ret_zone_minutes);
};

#endif
