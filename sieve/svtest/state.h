/*
 * One .svtest file that runs: the world its tests see.
 */
#ifndef VMAIL_SIEVE_SVTEST_STATE_H
#define VMAIL_SIEVE_SVTEST_STATE_H

#include "sieve/eval.h"
#include "sieve/svtest.h"

struct message;

struct svtest_mail {        /* stored or sent */
    GString *text;
    char **flags;           /* stored: NULL-terminated */
    char *from, *to;        /* sent: envelope */
};

struct sieve_svtest {
    const char *path;           /* of the file */
    const char *folder;         /* it stands in */
    FILE *out;
    bool verbose;
    struct svtest_counts counts;
    struct sieve_options options; /* of outer and inner scripts */
    struct sieve_host host;
    struct sieve_envelope envelope;
    enum sieve_engine engine;   /* of compiled scripts */

    GHashTable *settings;       /* name -> value */
    GHashTable *mailboxes;      /* name -> GPtrArray of struct svtest_mail */
    GHashTable *metadata;       /* "mailbox\nannotation" -> value */
    GHashTable *marks;          /* duplicate keys */
    GHashTable *binaries;       /* name -> struct sieve_program */
    GPtrArray *sent;            /* struct svtest_mail */
    GPtrArray *errors;          /* sentences, of the last compile, run or execution */
    GPtrArray *texts;           /* strings that the envelope borrows */
    GPtrArray *executed;        /* struct sieve_action that were carried out */
    bool stored_inbox;          /* the implicit keep is done */

    struct sieve_program *script; /* compiled by test_script_compile */
    const struct sieve_node *test; /* that runs, or NULL */
    const char *test_name;
    bool test_failed;
    bool inner_failed;          /* test_fail in a script run by test_script_run */
    bool inner;                 /* such a script runs */
};

/* host.c */
void svtest_host_init(struct sieve_svtest *state);
void svtest_mail_free(gpointer mail);
GPtrArray *svtest_mailbox(struct sieve_svtest *state, const char *name); /* NULL: not there */
GPtrArray *svtest_mailbox_create(struct sieve_svtest *state, const char *name);
const char *svtest_setting(void *ctx, const char *name);
/* Takes the bounds over from the settings. */
void svtest_apply_settings(struct sieve_svtest *state);

/* execute.c: carries out what the result has and was not carried out yet. False: something failed,
 * state->errors says what. */
bool svtest_execute(struct sieve_svtest *state, struct sieve_run *run);
/* The message as it would be written. g_free. */
bool svtest_message_text(struct message *message, char **ret_text, size_t *ret_length);
void svtest_print_result(struct sieve_svtest *state, struct sieve_run *run);

/* programs.c: runs <folder>/<name> with the input; timeout 0: none. SIEVE_NO: exit status not 0. */
enum sieve_answer svtest_run_program(const char *folder, const char *name,
    const char *const *arguments, const struct sieve_envelope *envelope, const char *input,
    size_t length, unsigned timeout_seconds, GString *output, struct error *err);

/* commands.c */
void svtest_clear_errors(struct sieve_svtest *state);
void svtest_report(struct sieve_svtest *state, unsigned line, const char *reason);
/* Takes the messages of a compile over, with a closing one when there were errors. */
void svtest_take_diagnostics(struct sieve_svtest *state,
    const struct sieve_diagnostics *diagnostics);
void svtest_set_message(struct sieve_svtest *state, struct sieve_run *run, const char *text,
    size_t length);
char *svtest_keep_text(struct sieve_svtest *state, const char *text);

/* runner.c */
bool svtest_read_file(const char *path, char **ret_text, size_t *ret_length);

#endif
