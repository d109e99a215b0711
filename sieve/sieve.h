/*
 * The Sieve language: the only door.
 *
 *   script text --sieve_compile--> program --sieve_run (message, envelope, host)--> result: actions
 *
 * A program is immutable and may be kept and run any number of times. A run touches no disk and no
 * network; it asks its host (host.h) and answers with a list of typed actions, in the order of
 * execution, that the caller carries out. Whatever goes wrong in a script is in the result as a
 * runtime error beside an implicit keep: sieve_run itself cannot fail.
 */
#ifndef VMAIL_SIEVE_H
#define VMAIL_SIEVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <glib.h>

#include "sieve/host.h"
#include "sieve/limits.h"

struct error;
struct message;

/* ------------------------------------------------------------------ options of compile and run */

enum sieve_engine {
    SIEVE_ENGINE_NATIVE,
    SIEVE_ENGINE_LIBSIEVE, /* the second engine; compile fails where it was not built in */
};

struct sieve_options {
    enum sieve_engine engine;
    struct sieve_limits limits;
    /* Site settings of extensions, named as Pigeonhole names them ("sieve_vacation_min_period",
     * "sieve_spamtest_status_header", "sieve_extensions", "sieve_user_email"…): the value (borrowed
     * until the next call) or NULL for the default. May be NULL. */
    const char *(*setting)(void *ctx, const char *name);
    void *setting_ctx;
    /* For include and for warnings about folders at compile time; may be NULL. */
    const struct sieve_host *host;
    bool global_script;   /* the script is the site's: may use what users may not */
    bool testsuite;       /* vnd.dovecot.testsuite may be required: the test runner only */
    bool trace;           /* keep a trace of each test and command in the result */
};

void sieve_options_init(struct sieve_options *options); /* native, default limits, no settings */

/* ------------------------------------------------------------------ compile */

struct sieve_diagnostic {
    bool warning;         /* else an error */
    unsigned line;        /* 1-based; 0: the script as a whole */
    unsigned column;      /* 1-based, in characters */
    char *script;         /* name of the script, an included one perhaps */
    char *message;        /* one sentence, valid UTF-8, no control characters */
};

/* A list of struct sieve_diagnostic, in the order found. */
struct sieve_diagnostics {
    GPtrArray *items;
    unsigned errors;
    unsigned warnings;
};

struct sieve_diagnostics *sieve_diagnostics_new(void);
void sieve_diagnostics_free(struct sieve_diagnostics *diagnostics);

struct sieve_program;

/* Compiles @length bytes (UTF-8, NUL and broken UTF-8 are errors with a place). @name is used in
 * messages: "main", "/path/x.sieve". Several errors per compile, up to limits.max_errors. Returns
 * NULL when there was an error; warnings alone do not fail. @diagnostics is never NULL. */
struct sieve_program *sieve_compile(const char *text, size_t length, const char *name,
    const struct sieve_options *options, struct sieve_diagnostics *diagnostics);

struct sieve_program *sieve_program_ref(struct sieve_program *program);
void sieve_program_unref(struct sieve_program *program); /* takes NULL */
const char *sieve_program_name(const struct sieve_program *program);
/* Bytes of memory, for who keeps programs. */
size_t sieve_program_size(const struct sieve_program *program);
/* The extensions the script requires, NULL-terminated, borrowed. */
const char *const *sieve_program_requires(const struct sieve_program *program);

/* ------------------------------------------------------------------ run */

/* All borrowed. Addresses have no angle brackets; "" is the null sender. */
struct sieve_envelope {
    const char *from;         /* MAIL FROM; NULL: not known (the "from" part does not exist) */
    const char *to;           /* final recipient: who is delivered to */
    const char *orig_to;      /* original recipient, before aliases; NULL: as `to` */
    const char *auth;         /* authenticated submitter; NULL: none */
    /* RFC 6009; NULL: not given. Values as in the SMTP parameters. */
    const char *dsn_notify;   /* "SUCCESS,DELAY" */
    const char *dsn_orcpt;    /* "rfc822;…" */
    const char *dsn_ret;      /* "FULL" or "HDRS" */
    const char *dsn_envid;
    const char *by_time_absolute; /* RFC 3339 date-time at which BY ends */
    const char *by_time_relative; /* seconds left */
    const char *by_mode;      /* "N" or "R" */
    const char *by_trace;     /* "true" when trace was asked */
};

enum sieve_action_kind {
    SIEVE_ACTION_KEEP,
    SIEVE_ACTION_FILEINTO,
    SIEVE_ACTION_DISCARD,
    SIEVE_ACTION_REDIRECT,
    SIEVE_ACTION_REJECT,
    SIEVE_ACTION_EREJECT,
    SIEVE_ACTION_VACATION,
    SIEVE_ACTION_NOTIFY,
    SIEVE_ACTION_PIPE,
    SIEVE_ACTION_REPORT,   /* vnd.dovecot.report: an abuse report is mailed */
    SIEVE_ACTION_KINDS
};

/* The word of the language: "fileinto". */
const char *sieve_action_name(enum sieve_action_kind kind);

/* keep, fileinto, and a copy filed by :fcc (RFC 8580) */
struct sieve_store {
    const char *mailbox;         /* UTF-8 as in the script, "INBOX" for keep; :mailboxid and
                                  * :specialuse are resolved already: file here */
    const char *const *flags;    /* NULL-terminated; NULL: none were said */
    bool copy;                   /* :copy, the implicit keep stayed */
    bool create;                 /* :create: make the mailbox where it does not exist; without it
                                  * the site's policy decides */
    const char *special_use;     /* "\\Junk" as said; with :create, the new mailbox's; or NULL */
    const char *mailbox_id;      /* as said, or NULL */
};

struct sieve_redirect {
    const char *address;         /* one addr-spec; a list was expanded to one action each */
    bool copy;
    const char *list;            /* :list it came from, or NULL */
    const char *dsn_notify;      /* RFC 6009, or NULL */
    const char *dsn_ret;
    const char *by_time;         /* relative seconds or absolute RFC 3339, or NULL */
    bool by_absolute;
    const char *by_mode;         /* "notify" or "return", or NULL */
    bool by_trace;
};

struct sieve_reject {
    const char *reason;          /* UTF-8, lines end in LF */
};

struct sieve_vacation {
    const char *reason;          /* UTF-8; a whole MIME entity when mime is set */
    const char *subject;         /* UTF-8 or NULL: "Auto: <subject>" */
    const char *from;            /* UTF-8 mailbox or NULL: the recipient address */
    const char *const *addresses; /* further own addresses, NULL-terminated */
    bool mime;
    const char *handle;          /* as said, or NULL */
    uint64_t period_seconds;     /* after limits were applied; 0: answer each time */
    const char *key;             /* 64 hex digits: what to remember for this reply (handle or
                                  * reason, subject, from…) together with `to` */
    const char *to;              /* who gets the reply: the envelope sender */
    const char *recipient;       /* own address it was found by; sender of the reply's From */
    const char *suppressed;      /* NULL: answer. Else why not: "sender is a mailing list". The
                                  * memory (key, to, period) is the caller's to ask */
    const struct sieve_store *fcc; /* or NULL */
};

struct sieve_notify {
    const char *method;          /* "mailto:a@example.org?subject=x"; deprecated notify: as said */
    const char *scheme;          /* "mailto" */
    const char *const *to;       /* mailto: decoded recipients (to and cc), NULL-terminated */
    const char *message;         /* UTF-8 or NULL */
    const char *from;            /* or NULL */
    int importance;              /* 1 high, 2 normal, 3 low */
    const char *const *options;  /* NULL-terminated "name=value" */
    const char *id;              /* deprecated notify's :id, or NULL */
    bool deprecated;
    const char *suppressed;      /* NULL, or why nothing shall be sent (auto-submitted input) */
    const struct sieve_store *fcc;
};

struct sieve_pipe {
    const char *program;
    const char *const *arguments; /* NULL-terminated */
    bool copy;
    bool try;                    /* :try: a failure of the program is no failure of the script */
};

struct sieve_report {
    const char *feedback_type;   /* "abuse" */
    const char *message;
    const char *address;
    bool headers_only;
};

/* The text that an action sends, complete RFC 5322 with LF lines: built by the engine for
 * vacation, reject, notify mailto and report; NULL for the others (redirect sends the message). */
struct sieve_mail {
    const char *text;
    size_t length;
    const char *envelope_from;        /* "" for the null sender */
    const char *const *envelope_to;   /* NULL-terminated */
};

struct sieve_action {
    enum sieve_action_kind kind;
    bool implicit;                   /* keep only: the script's, not said */
    bool from_error;                 /* keep only: implicit because of a runtime error */
    const char *script;              /* where it was said */
    unsigned line;
    /* The message as it was then: NULL: the input unchanged. Owned by the result. For keep,
     * fileinto, redirect, pipe. */
    struct message *message;
    const struct sieve_mail *mail;   /* what is sent, or NULL */
    union {
        struct sieve_store store;    /* KEEP, FILEINTO */
        struct sieve_redirect redirect;
        struct sieve_reject reject;  /* REJECT, EREJECT */
        struct sieve_vacation vacation;
        struct sieve_notify notify;
        struct sieve_pipe pipe;
        struct sieve_report report;
    };
};

/* Remember this key for so long, when the delivery succeeds (RFC 7352 3). */
struct sieve_duplicate_mark {
    const char *key;                 /* 64 hex digits; what host.duplicate_seen is asked */
    uint64_t seconds;
};

/* A line for the user's log (vnd.dovecot.debug, runtime warnings) or of the trace. */
struct sieve_note {
    const char *script;
    unsigned line;
    unsigned depth;                  /* trace: nesting, for indentation */
    const char *text;
};

struct sieve_result {
    const struct sieve_action *const *actions; /* NULL-terminated, in order of execution */
    size_t action_count;
    bool implicit_keep;              /* an implicit keep is among the actions */
    const char *runtime_error;       /* "main:12: sentence" or NULL. Of the first script that failed;
                                      * that script's own actions are not in the list */
    const struct sieve_duplicate_mark *duplicate_marks;
    size_t duplicate_mark_count;
    const struct sieve_note *logs;   /* debug_log and warnings */
    size_t log_count;
    const struct sieve_note *trace;  /* when options.trace */
    size_t trace_count;
    size_t steps;                    /* tests and commands executed */
};

/* One script of a sequence. A NULL program stands for one that could not be compiled: it fails at
 * once, as at run time. */
struct sieve_stage {
    const struct sieve_program *program;
    const char *name;                /* for messages; NULL: the program's */
};

/* Runs the stages one after the other over the message: site scripts before, the user's, site
 * scripts after. Like Pigeonhole's multiscript: the next one runs only while the message is being
 * kept, by an explicit or the implicit keep; that keep is then left to the last script run. A stage
 * that fails ends the sequence in an implicit keep; actions of earlier stages stand.
 *
 * @message is read only. Never returns NULL; free with sieve_result_free. Stages, message, envelope
 * and host must outlive the call only. */
struct sieve_result *sieve_run(const struct sieve_stage *stages, size_t stage_count,
    struct message *message, const struct sieve_envelope *envelope, const struct sieve_host *host,
    const struct sieve_options *options);

void sieve_result_free(struct sieve_result *result);

/* ------------------------------------------------------------------ what is supported */

struct sieve_extension_info {
    const char *names;     /* "fileinto", or "enotify" */
    const char *rfc;       /* "RFC 5435" */
    const char *status;    /* "complete", or what is missing */
    bool site_only;        /* must be switched on by the site (sieve_extensions) */
};

/* All extensions, sorted by name; ends with NULL names. Borrowed for ever. */
const struct sieve_extension_info *sieve_extensions(void);

#endif
