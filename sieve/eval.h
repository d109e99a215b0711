/*
 * A run as a sequence of stages; used by sieve_run and by the test runner.
 */
#ifndef VMAIL_SIEVE_EVAL_H
#define VMAIL_SIEVE_EVAL_H

#include "sieve/script.h"

#define SIEVE_MATCH_VALUES 33u

/* Variables of one script that runs. */
struct sieve_frame {
    struct sieve_string *values; /* data NULL: unset */
    size_t count;
};

/* An action in the result, with what the merging of stages needs. */
struct sieve_entry {
    struct sieve_action *action;
    size_t stage;
};

/* The addresses of a field, which tests ask for again and again. */
struct sieve_addresses {
    const char *raw;             /* the field's text, in the message */
    struct address_list *list;
};

/* The state of one extension, in a list: few extensions have one. */
struct sieve_state_slot {
    struct sieve_state_slot *next;
    const struct sieve_extension *extension;
    void *state;
};

/* What a run keeps that no extension sees. */
struct sieve_engine_state {
    GPtrArray *entries;          /* struct sieve_entry in the arena, in order */
    size_t stage;                /* number of the present one */
    size_t stage_first_mark;
    bool implicit_keep;          /* of the present stage */
    bool message_shared;         /* an action holds run->message: copy before editing */
    struct sieve_state_slot *stage_states, *sequence_states;
    struct sieve_frame *frame;
    struct sieve_string *globals;
    size_t global_count;
    struct sieve_string match_values[SIEVE_MATCH_VALUES];
    size_t match_count;
    char *error;                 /* sentence of this stage's error, or NULL */
    const char *error_script;
    unsigned error_line;
    char *first_error;           /* "script:line: sentence" of the sequence */
    GArray *logs, *trace, *marks;
    GPtrArray *runtime_errors;   /* sentences, for the test runner */
    size_t steps, work, memory;
    size_t includes, unit_depth, depth;
    struct timespec cpu_start;
    bool cpu_started;
    GPtrArray *address_lists;    /* struct sieve_addresses: fields parsed in this run */
    struct sieve_string folded_field, folded; /* the last field and its folded value */
    time_t now;
    int zone;
    bool now_known;
    bool deferred;               /* an earlier stage ended in a keep that waits */
};

/* @message, @envelope, @host, @options must outlive the run. */
struct sieve_run *sieve_sequence_new(struct message *message,
    const struct sieve_envelope *envelope, const struct sieve_host *host,
    const struct sieve_options *options);

/* Runs one script as the next stage. True: the message is kept so far, another stage may follow.
 * False: it is not, or the stage failed (state->first_error). */
bool sieve_sequence_stage(struct sieve_run *run, const struct sieve_program *program,
    const char *name);

/* The end: resolves the keep. The result owns everything; the run is gone. */
struct sieve_result *sieve_sequence_finish(struct sieve_run *run);

/* Begins a stage without a script: for the test runner, whose own script makes actions. */
void sieve_stage_begin(struct sieve_run *run, const struct sieve_program *program);
enum sieve_status sieve_stage_execute(struct sieve_run *run);
/* Takes the stage's actions away after an error; true when the message is being kept. */
bool sieve_stage_end(struct sieve_run *run, bool failed);
/* Puts the keep that the sequence ends with into the list. */
void sieve_resolve_keep(struct sieve_run *run, bool failed);

bool sieve_action_is_keep(const struct sieve_action *action);

#endif
