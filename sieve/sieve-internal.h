/*
 * The inside door: what a file of sieve/ (above all sieve/ext/) sees of the engine.
 *
 * An extension is one file in sieve/ext/ that ends in one `const struct sieve_extension`, and one
 * line in ext/list.c. Its tables say what words (commands and tests), tags, match types,
 * comparators … it adds; the engine names no extension.
 *
 *   compile: parser makes nodes; check.c binds each node to its word (struct sieve_word,
 *            vocabulary.c), its arguments and tags (arguments.c), then calls word->check and
 *            tag->check.
 *   run:     eval.c walks the nodes and calls word->run.
 *
 * Line ends: strings in scripts have CRLF, as RFC 5228 2.4.2 wants; a value taken from a body must be
 * given to a match with CRLF too. What actions hand out has LF (sieve_text_lf).
 *
 * Strings have a length and may hold NUL; they are NUL-terminated as well. Everything a run makes
 * lives in run->arena, everything a compile makes in compiler->arena: nothing is freed by hand.
 */
#ifndef VMAIL_SIEVE_INTERNAL_H
#define VMAIL_SIEVE_INTERNAL_H

#include "sieve/arena.h"
#include "sieve/sieve.h"

struct headers;
struct address;
struct sieve_node;
struct sieve_compiler;
struct sieve_run;
struct sieve_extension;
struct sieve_match;
struct sieve_values;

/* ------------------------------------------------------------------ values */

struct sieve_string {
    const char *data;   /* NUL-terminated, may hold NUL inside; never NULL in a value that is there */
    size_t length;
};

struct sieve_list {
    const struct sieve_string *items;
    size_t count;
};

/* Names of the language are without case (RFC 5228 2.1). */
static inline bool sieve_same_name(const char *a, const char *b)
{
    for (;; a++, b++) {
        if (*a != *b && (((*a ^ *b) != 0x20) || !g_ascii_isalpha(*a)))
            return false;
        if (*a == '\0')
            return true;
    }
}

/* A string from a C string literal or variable. */
struct sieve_string sieve_str(const char *text);

enum sieve_arg_kind { SIEVE_ARG_NUMBER, SIEVE_ARG_STRING, SIEVE_ARG_LIST, SIEVE_ARG_TAG };

/* One piece of a string that has variables in it: literal text, or a variable. */
struct sieve_piece {
    struct sieve_string text;           /* literal when variable is NULL */
    struct sieve_variable *variable;
};

struct sieve_pieces {
    size_t count;
    struct sieve_piece items[];
};

/* A string as written: with encoded-character undone; with variables it is in pieces. */
struct sieve_literal {
    unsigned line, column;
    struct sieve_string text;           /* the source text (pieces NULL: the value) */
    const struct sieve_pieces *pieces;  /* NULL: constant */
};

/* An argument as it stands behind its word: a tag, the argument of a tag, a positional one. A script
 * of a thousand rules has seven thousand of these: a program's memory is what compiling it costs. */
struct sieve_arg {
    enum sieve_arg_kind kind;
    unsigned line, column;
    unsigned count;                      /* of strings; 0: it is a number or a tag */
    union {
        uint64_t number;
        const char *tag;                 /* without the colon */
        struct sieve_literal *strings;   /* STRING: one; LIST: count of them */
    };
    const struct sieve_string *values;   /* the strings when all are constant, else NULL */
};

/* ------------------------------------------------------------------ nodes: a command or a test */

/* A tag as it stands at a node, bound to its row. */
struct sieve_bound_tag {
    const struct sieve_tag *tag;
    unsigned line, column;
    const struct sieve_arg *arg;        /* NULL: the tag takes none */
    void *data;                         /* the check hook's, for the run */
};

struct sieve_block {
    struct sieve_node **nodes;
    unsigned count;
};

struct sieve_node {
    const char *name;                   /* as written */
    unsigned line, column;
    const struct sieve_unit *unit;      /* the script it stands in */
    const struct sieve_word *word;
    const struct sieve_arg *const *args; /* positional, as word->args says; optional ones that are
                                          * missing are NULL. Always strlen of the spec many */
    struct sieve_bound_tag *tags;
    struct sieve_node **tests;
    struct sieve_block *block;          /* NULL: none */
    void *data;                         /* word->check's, for word->run */
    const struct sieve_match_spec *match; /* when the word takes a match type */
    struct sieve_arg *written;          /* the parser's list of arguments: what args and tags are
                                         * bound to */
    unsigned test_count;
    unsigned char written_count, arg_count, tag_count;
    bool has_test_list;                 /* the tests stood in parentheses */
    signed char constant;               /* tests, at compile time: 0 or 1 known, else -1 */
};

/* What a step says. Tests answer FALSE, TRUE or ERROR; commands NEXT, STOP, RETURN, BREAK or
 * ERROR. sieve_fail() makes an ERROR. */
enum sieve_status {
    SIEVE_ERROR = -1,
    SIEVE_FALSE = 0,
    SIEVE_TRUE = 1,
    SIEVE_NEXT = 2,
    SIEVE_STOP = 3,
    SIEVE_RETURN = 4, /* leaves the included script (RFC 6609) */
    SIEVE_BREAK = 5,  /* leaves loops up to run->break_target (RFC 5703) */
};

/* ------------------------------------------------------------------ tables of an extension */

enum sieve_word_flags {
    SIEVE_WORD_TEST = 1 << 0,       /* a test; else a command */
    SIEVE_WORD_ONE_TEST = 1 << 1,   /* takes exactly one test */
    SIEVE_WORD_TESTS = 1 << 2,      /* takes a list of tests in parentheses */
    SIEVE_WORD_BLOCK = 1 << 3,      /* needs a block */
    SIEVE_WORD_COMPARATOR = 1 << 4, /* takes :comparator */
    SIEVE_WORD_MATCH = 1 << 5,      /* takes match types; keys are args[match_keys]. Implies
                                     * :comparator */
    SIEVE_WORD_ADDRESS_PART = 1 << 6, /* takes :all, :localpart, :domain and those of extensions */
    SIEVE_WORD_REQUIRE = 1 << 7,    /* only before all other commands (require) */
    SIEVE_WORD_CONTROL = 1 << 8,    /* stop and the like: what follows in the block never runs */
    SIEVE_WORD_MODIFIERS = 1 << 9,  /* takes the modifiers of `set` as tags (ext/modifiers.h) */
    SIEVE_WORD_BRANCH = 1 << 10,    /* runs only when the command before it said FALSE (else) */
};

/* A command or a test. */
struct sieve_word {
    const char *name;
    unsigned flags;
    /* Positional arguments: "s" string, "l" string or list, "n" number; small letters must be
     * there. "S", "L", "N" may be missing, all of them from the front ("Ll": keyword list with an
     * optional variable list before it). */
    const char *args;
    int match_keys;                 /* WORD_MATCH: index of the key list in args */
    const struct sieve_tag *tags;   /* own tags; ends with a NULL name; or NULL */
    /* After binding: validate what is constant, keep what run needs in node->data. Reports through
     * sieve_error; return false to say that errors were reported (nothing more). May be NULL. */
    bool (*check)(struct sieve_compiler *compiler, struct sieve_node *node);
    enum sieve_status (*run)(struct sieve_run *run, const struct sieve_node *node);
    const char *arg_names;          /* for messages: "header names,key list"; or NULL */
};

enum sieve_tag_flags {
    SIEVE_TAG_MANY = 1 << 0,     /* may stand more than once at a node */
};

/* A tag is a row. */
struct sieve_tag {
    const char *name;               /* "copy", without colon, lower case */
    const char *argument;           /* "" none, "s", "l", "n" */
    const char *applies;            /* extensions' tags: "keep fileinto", the words they extend;
                                     * own tags: NULL */
    const char *group;              /* only one tag of a group may stand at a node; or NULL */
    unsigned flags;
    bool (*check)(struct sieve_compiler *compiler, struct sieve_node *node,
        struct sieve_bound_tag *bound);
    /* Called by sieve_action_commit for the node's tags: changes the action. May be NULL. */
    enum sieve_status (*apply)(struct sieve_run *run, const struct sieve_node *node,
        const struct sieve_bound_tag *bound, struct sieve_action *action);
    /* Changes or replaces the header values that header, address, exists, date … look at: :mime,
     * :index, :last. Run in ascending @order. May be NULL. */
    enum sieve_status (*values)(struct sieve_run *run, const struct sieve_node *node,
        const struct sieve_bound_tag *bound, struct sieve_values *values);
    int order;
};

struct sieve_comparator {
    const char *name;               /* "i;ascii-casemap" */
    unsigned char fold;             /* 0: bytes, 1: ASCII case, 2: Unicode case */
    bool substrings;                /* :contains and :matches allowed */
    bool numeric;                   /* i;ascii-numeric: compared as numbers, equality too */
    /* <0, 0, >0 */
    int (*compare)(struct sieve_run *run, const struct sieve_string *a,
        const struct sieve_string *b);
};

/* What a test says about matching, bound at compile time. */
struct sieve_match_spec {
    const struct sieve_match_type *type;
    const struct sieve_bound_tag *bound;   /* NULL: the default :is */
    const struct sieve_comparator *comparator;
    void *data;                     /* type->check's */
};

/* A match type. Exactly one of @match and @finish decides. */
struct sieve_match_type {
    const char *name;               /* "contains" */
    const char *argument;           /* "" or "s" (relational) */
    bool substring;                 /* needs a comparator with substrings */
    /* Validates the tag's argument and constant keys. May be NULL. */
    bool (*check)(struct sieve_compiler *compiler, struct sieve_node *node,
        struct sieve_match_spec *spec, const struct sieve_arg *keys);
    /* One value against one key: SIEVE_TRUE ends the test. */
    enum sieve_status (*match)(struct sieve_match *match, const struct sieve_string *value,
        const struct sieve_string *key);
    /* After the last value (:count: match->value_count). */
    enum sieve_status (*finish)(struct sieve_match *match);
    bool match_variables;           /* sets ${0}…: the caller has called sieve_match_capture */
};

/* :user, :detail (RFC 5233). False: this address has no such part, it does not match. */
struct sieve_address_part {
    const char *name;
    bool (*get)(struct sieve_run *run, const struct address *address, struct sieve_string *ret);
};

/* Further parts of the envelope test (RFC 6009). FALSE: not there; no value. */
struct sieve_envelope_part {
    const char *name;               /* "notify", lower case */
    bool is_address;                /* address parts make sense */
    void (*get)(struct sieve_run *run, const char *name, struct sieve_values *values);
};

/* Variable namespaces "name.rest" (RFC 5229 4): `env.`, `global.` */
struct sieve_namespace {
    const char *name;
    /* Compile time: is @rest right? Reports itself. May be NULL. */
    bool (*check)(struct sieve_compiler *compiler, const char *rest, bool assign, unsigned line,
        unsigned column, void **ret_data);
    /* False: unset, the empty string. */
    bool (*get)(struct sieve_run *run, const char *rest, void *data, struct sieve_string *ret);
    /* NULL: read-only. */
    enum sieve_status (*set)(struct sieve_run *run, const char *rest, void *data,
        const struct sieve_string *value);
};

/* A modifier of `set` (RFC 5229 4.1): a tag of the words with SIEVE_WORD_MODIFIERS; two of the same
 * precedence cannot stand together. Highest precedence first. */
struct sieve_modifier {
    const char *name;
    int precedence;
    bool (*apply)(struct sieve_run *run, const struct sieve_string *in, struct sieve_string *ret);
};

enum sieve_extension_flags {
    SIEVE_EXTENSION_BASE = 1 << 0,      /* always on: the base language */
    SIEVE_EXTENSION_SITE_ONLY = 1 << 1, /* off unless sieve_extensions says "+name" */
    SIEVE_EXTENSION_TEST = 1 << 2,      /* only with options.testsuite */
    SIEVE_EXTENSION_IMPLICIT = 1 << 3,  /* on without require (comparator i;octet, …) */
    SIEVE_EXTENSION_GLOBAL_ONLY = 1 << 4, /* like SITE_ONLY, and only for scripts of the site */
    SIEVE_EXTENSION_DEPRECATED = 1 << 5, /* left out of the default list of capabilities */
    SIEVE_EXTENSION_EVERY_ACTION = 1 << 6, /* on_action is called also where the script has it off:
                                            * what an earlier script of the sequence began */
};

struct sieve_extension {
    const char *name;                   /* what require says */
    const char *rfc;                    /* "RFC 5230" */
    const char *status;                 /* "complete" or what is missing */
    unsigned flags;
    const struct sieve_word *words;     /* all tables end with a NULL name, or are NULL */
    const struct sieve_tag *tags;
    const struct sieve_match_type *match_types;
    const struct sieve_comparator *comparators;
    const struct sieve_address_part *address_parts;
    const struct sieve_envelope_part *envelope_parts;
    const struct sieve_namespace *namespaces;
    const struct sieve_modifier *modifiers;
    /* Other extensions that this one switches on, NULL-terminated names; or NULL. */
    const char *const *implies;
    /* Other extensions that may not be required with it; or NULL. */
    const char *const *conflicts;
    /* Called when it gets required. May be NULL. */
    bool (*required)(struct sieve_compiler *compiler, unsigned line, unsigned column);
    /* Called at the end of each script that has it on: what else it needs (extracttext). May be NULL. */
    void (*unit_end)(struct sieve_compiler *compiler);
    /* False: the site's settings leave it off (spamtest without settings). May be NULL. */
    bool (*available)(const struct sieve_options *options);
    /* Called for each action before it is committed, whatever the tags: the internal flag variable
     * of imap4flags. Only when this extension is on in the script of @node (NULL for the implicit
     * keep: on in any script of the program). May be NULL. */
    enum sieve_status (*on_action)(struct sieve_run *run, const struct sieve_node *node,
        struct sieve_action *action);
    /* Called for each store that the result kept, when a whole run has ended well. May be NULL. */
    enum sieve_status (*run_end)(struct sieve_run *run);
};

/* ext/list.c: one line per extension; NULL at the end. */
extern const struct sieve_extension *const sieve_extension_list[];

/* By require's name; NULL: there is none. */
const struct sieve_extension *sieve_extension_find(const char *name);

/* ------------------------------------------------------------------ compile time */

/* One script text: the main one or an included one. */
struct sieve_unit {
    const char *name;
    bool global;                        /* the site's */
    struct sieve_block *block;
    const struct sieve_extension **extensions; /* required ones */
    size_t extension_count;
    struct sieve_scope *scope;          /* its variables */
    size_t index;                       /* in program->units */
};

struct sieve_compiler {
    struct arena *arena;                /* lives as long as the program */
    const struct sieve_options *options;
    struct sieve_diagnostics *diagnostics;
    struct sieve_program *program;
    struct sieve_unit *unit;            /* being checked */
    const char *source;                 /* its text; may be NULL */
    size_t source_length;
    size_t include_depth;
    bool too_many;                      /* the bound on errors was hit: stop */
    struct sieve_node **enclosing;      /* commands around the present node, outermost first */
    size_t enclosing_count;
    struct sieve_block *block;          /* the block being checked and the place in it */
    size_t block_index;
    struct sieve_compile_extra *extra;  /* script.h */
};

/* Report; both count as in options.limits.max_errors. Text without a final dot, names in ''. */
void sieve_error_at(struct sieve_compiler *compiler, unsigned line, unsigned column,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
void sieve_warning_at(struct sieve_compiler *compiler, unsigned line, unsigned column,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
/* At a node. */
#define sieve_error(compiler, node, ...) \
    sieve_error_at((compiler), (node)->line, (node)->column, __VA_ARGS__)
#define sieve_warning(compiler, node, ...) \
    sieve_warning_at((compiler), (node)->line, (node)->column, __VA_ARGS__)

/* Is the extension on in the script being checked? */
bool sieve_has(const struct sieve_compiler *compiler, const char *extension);
/* Switches it on (ihave, implies); false: unknown or not available; nothing is reported. */
bool sieve_enable(struct sieve_compiler *compiler, const char *extension, unsigned line,
    unsigned column);
/* Known and allowed here (without switching it on)? For ihave. */
bool sieve_is_available(const struct sieve_compiler *compiler, const char *extension);

/* The setting's text, or NULL; a number with @fallback; durations "7d", "1h", "30s", "30" (seconds);
 * yes/no. Names as in Pigeonhole. */
const char *sieve_setting(const struct sieve_options *options, const char *name);
uint64_t sieve_setting_number(const struct sieve_options *options, const char *name,
    uint64_t fallback);
uint64_t sieve_setting_seconds(const struct sieve_options *options, const char *name,
    uint64_t fallback);
uint64_t sieve_setting_size(const struct sieve_options *options, const char *name,
    uint64_t fallback); /* "10M", "4k" */
bool sieve_setting_bool(const struct sieve_options *options, const char *name, bool fallback);

/* The argument's one string when it is constant; NULL when it has variables in it. */
const struct sieve_string *sieve_constant(const struct sieve_arg *arg);
/* The i-th string of a list, if constant. */
const struct sieve_string *sieve_constant_at(const struct sieve_arg *arg, size_t index);

/* The bound tag of that name at a node, or NULL. Also at run time. */
struct sieve_bound_tag *sieve_node_tag(const struct sieve_node *node, const char *name);

/* A node's nearest enclosing command of that name (`foreverypart`), or NULL. */
struct sieve_node *sieve_enclosing(const struct sieve_compiler *compiler, const char *name);

/* A variable that a command writes ("name", "global.x" is fine too): a constant string checked by
 * the rules of RFC 5229 3; NULL when an error was reported (also when "variables" is not required).
 */
struct sieve_variable *sieve_variable_bind(struct sieve_compiler *compiler,
    const struct sieve_arg *arg);
/* The program-wide variable of that name, made at need; NULL: error reported. */
struct sieve_variable *sieve_variable_global(struct sieve_compiler *compiler, const char *name,
    unsigned line, unsigned column);
/* Declares @name of the unit as the program-wide global variable of the same name (RFC 6609 3.4). */
bool sieve_variable_declare_global(struct sieve_compiler *compiler, const char *name,
    unsigned line, unsigned column);
/* A valid name of a variable (identifier, without namespace)? */
bool sieve_variable_name_is_valid(const char *name, size_t length);
/* The modifier of that name among the extensions that are on, else NULL. */
const struct sieve_modifier *sieve_modifier_find(const struct sieve_compiler *compiler,
    const char *name);

/* include: compiles another script (from the host) once per program and gives its unit; NULL: error
 * reported, or, when @optional, not there (*ret_missing = true, nothing reported). */
struct sieve_unit *sieve_include_unit(struct sieve_compiler *compiler,
    enum sieve_script_place place, const char *name, bool optional, unsigned line, unsigned column,
    bool *ret_missing);

/* State of an extension for this compile, zeroed at first use. */
void *sieve_compile_state(struct sieve_compiler *compiler, const struct sieve_extension *extension,
    size_t size);

/* Is this a valid address (for redirect, :from, :addresses …)? */
bool sieve_address_is_valid(const char *text);
/* "local@domain" of `a@b` or `Name <a@b>` (one mailbox, ASCII address); NULL: not valid. */
char *sieve_address_normalize(struct arena *arena, const char *text);
/* The name of an external list as the host knows it (RFC 6134 2.2): ":addrbook:x" written out, what is
 * %-encoded in the name of an address book undone. */
const char *sieve_list_name(struct arena *arena, const char *name);
/* A header field name, RFC 5322? */
bool sieve_header_name_is_valid(const struct sieve_string *name);

/* ------------------------------------------------------------------ run time */

struct sieve_run {
    struct arena *arena;                /* lives as long as the result */
    const struct sieve_options *options;
    const struct sieve_host *host;      /* never NULL; its functions may be */
    const struct sieve_envelope *envelope; /* never NULL */
    struct message *input;              /* the message as it came: read only */
    struct message *message;            /* as it is now: `input` until sieve_edit_message */
    const struct sieve_program *program; /* of the stage that runs */
    const struct sieve_unit *unit;      /* the script that runs: main or included */
    const void *break_target;           /* SIEVE_BREAK: node of the loop to leave */
    struct sieve_result *result;        /* under construction */
    struct sieve_engine_state *state;   /* eval.c's own */
    struct sieve_svtest *svtest;        /* the test runner's, else NULL */
    void *svtest_data;
    const char *const *message_flags;   /* flags that the message has already (test runner), or NULL:
                                         * what imap4flags begins with in each sequence state */
    bool tracing;
    bool keeps_captures;                /* while set, matching leaves ${0}… as they are (body) */
};

/* Sets the runtime error with the node's place; always SIEVE_ERROR. */
enum sieve_status sieve_fail(struct sieve_run *run, const struct sieve_node *node,
    const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A line for the user's log with the node's place: warnings, debug_log. */
void sieve_log(struct sieve_run *run, const struct sieve_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for what is wrong but does not end the script; the test runner counts it as an error. */
void sieve_log_error(struct sieve_run *run, const struct sieve_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A line of the trace, only when run->tracing. */
void sieve_trace(struct sieve_run *run, const struct sieve_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A host question that could not be answered. */
enum sieve_status sieve_fail_host(struct sieve_run *run, const struct sieve_node *node,
    const char *what);

/* Counts work against the bounds (steps; bytes looked at). False: too much, the error is set. */
bool sieve_work(struct sieve_run *run, const struct sieve_node *node, size_t bytes);

/* Evaluated arguments: variables are replaced. Index as in word->args; a missing optional string is
 * {NULL, 0}, a missing list count 0. */
struct sieve_string sieve_arg_string(struct sieve_run *run, const struct sieve_node *node,
    size_t index);
struct sieve_list sieve_arg_list(struct sieve_run *run, const struct sieve_node *node,
    size_t index);
uint64_t sieve_arg_number(const struct sieve_node *node, size_t index);
/* The same for a tag's argument. */
struct sieve_string sieve_tag_string(struct sieve_run *run, const struct sieve_bound_tag *tag);
struct sieve_list sieve_tag_list(struct sieve_run *run, const struct sieve_bound_tag *tag);
uint64_t sieve_tag_number(const struct sieve_bound_tag *tag);
/* The same for any argument. */
struct sieve_string sieve_eval_string(struct sieve_run *run, const struct sieve_arg *arg);
struct sieve_list sieve_eval_list(struct sieve_run *run, const struct sieve_arg *arg);

/* Tests and blocks inside words: a test's answer; a block's NEXT, STOP, … */
enum sieve_status sieve_run_test(struct sieve_run *run, const struct sieve_node *test);
enum sieve_status sieve_run_block(struct sieve_run *run, const struct sieve_block *block);
/* An included script: NEXT also after its `return`. */
enum sieve_status sieve_run_unit(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_unit *unit);
bool sieve_run_has(const struct sieve_run *run, const char *extension); /* on in run->unit */

/* State of an extension, zeroed at first use: for this stage's run; for the whole sequence. */
void *sieve_stage_state(struct sieve_run *run, const struct sieve_extension *extension,
    size_t size);
void *sieve_sequence_state(struct sieve_run *run, const struct sieve_extension *extension,
    size_t size);

/* Variables. Values beyond limits.max_variable_size are cut on a character. */
struct sieve_string sieve_variable_get(struct sieve_run *run,
    const struct sieve_variable *variable);
enum sieve_status sieve_variable_set(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_variable *variable, const struct sieve_string *value);

/* A pointer that is run->message, private to the run, to be edited by message_* functions: the
 * first call makes the copy. Actions committed before keep the message as it was. */
struct message *sieve_edit_message(struct sieve_run *run);
/* Replaces the present message; the run owns @message. */
void sieve_set_message(struct sieve_run *run, struct message *message);

/* The clock of the run: the same for all its tests. Zone in minutes east. */
time_t sieve_now(struct sieve_run *run, int *ret_zone_minutes);

/* ---- header values and matching */

/* The values a test looks at. */
struct sieve_value {
    struct sieve_string text;   /* decoded UTF-8 */
    const char *raw;            /* header fields: unfolded raw (for addresses, dates); else NULL */
    const char *name;           /* header field's name or NULL */
};

struct sieve_values {
    struct sieve_value *items;
    size_t count, room;
    struct sieve_value first;   /* room for one: most fields stand once */
    struct arena *arena;
    const struct sieve_list *names; /* the header names asked for, for :mime */
    bool fields_only;           /* exists: only whether there is one */
};

void sieve_values_add(struct sieve_values *values, struct sieve_string text, const char *raw,
    const char *name);

/* All fields of the present message with one of the names, in the order of @names, each from top to
 * bottom; then the node's tags with a `values` hook (:mime, :index) had their say. False: error. */
bool sieve_header_values(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_list *names, struct sieve_values *ret_values);
/* The fields of one header list (of a MIME part) with that name appended to @values. */
void sieve_values_add_fields(struct sieve_run *run, struct sieve_values *values,
    struct headers *headers, const char *name);

/* Matching: feed values until one says TRUE or ERROR (stop feeding), then finish.
 *
 *   sieve_match_begin(&m, run, node);
 *   for (…) if ((status = sieve_match_value(&m, &value)) != SIEVE_FALSE) break;
 *   return sieve_match_finish(&m, status);
 */
struct sieve_match {
    struct sieve_run *run;
    const struct sieve_node *node;
    const struct sieve_match_spec *spec;
    struct sieve_list keys;
    size_t value_count;         /* values fed so far */
    void *data;                 /* the match type's */
    struct sieve_string folded; /* the present value made ready for comparing; data NULL: not yet */
    const uint32_t *map;        /* fold 2: for each folded byte, the offset of its character */
};

void sieve_match_begin(struct sieve_match *match, struct sieve_run *run,
    const struct sieve_node *node);
enum sieve_status sieve_match_value(struct sieve_match *match, const struct sieve_string *value);
enum sieve_status sieve_match_finish(struct sieve_match *match, enum sieve_status status);
/* The same for a value whose folded form is known (@folded: SIEVE_FOLD… of the comparator, @map as
 * sieve_fold gave it): spares folding a large one again for each test. */
enum sieve_status sieve_match_folded(struct sieve_match *match, const struct sieve_string *value,
    const struct sieve_string *folded, const uint32_t *map);
/* All of @values, from begin to finish. */
enum sieve_status sieve_match_values(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_values *values);
/* The address part the node asks for (:all without a tag), for each address of a value: fed to
 * @match. @raw is an unfolded raw address field. */
enum sieve_status sieve_match_addresses(struct sieve_match *match, const char *raw);

/* Match variables: ${0} … ${count-1}. Kept only where "variables" is on. Copies. */
void sieve_match_capture(struct sieve_run *run, const struct sieve_string *values, size_t count);
/* ${index}; false: unset. */
bool sieve_match_variable(struct sieve_run *run, size_t index, struct sieve_string *ret);

/* The comparator by name among those that are on; NULL: unknown. */
const struct sieve_comparator *sieve_comparator_find(const struct sieve_compiler *compiler,
    const char *name);
/* wildcard match in linear time for one key (`*`, `?`, `\` quotes). @fold as in sieve_comparator;
 * @ret_captures may be NULL, else room for one string more than the key has wildcards. */
bool sieve_wildcard_match(const struct sieve_string *value, const struct sieve_string *key,
    unsigned char fold, struct sieve_string *ret_captures, size_t *ret_count);

/* ---- actions */

/* A new action of that kind, zeroed, with the node's place (@node NULL: the implicit keep's); fill
 * it, then commit. Strings must live in run->arena (evaluated arguments do). */
struct sieve_action *sieve_action_new(struct sieve_run *run, const struct sieve_node *node,
    enum sieve_action_kind kind);

/* Applies the node's tags and the extensions' hooks, gives the action the message as it is now,
 * then puts it into the result: duplicates merge, bounds and conflicts (reject with keep …) are
 * errors. Cancels the implicit keep unless the action has copy set or the kind never does
 * (vacation, notify, report). NEXT or ERROR. */
enum sieve_status sieve_action_commit(struct sieve_run *run, const struct sieve_node *node,
    struct sieve_action *action);

/* The actions that stand in the result so far, also those of earlier scripts; NULL behind the last. */
const struct sieve_action *sieve_action_at(const struct sieve_run *run, size_t index);

/* Cancels the implicit keep (discard). */
void sieve_cancel_implicit_keep(struct sieve_run *run);
/* A mark to be stored when the delivery succeeds. */
void sieve_duplicate_mark_add(struct sieve_run *run, const char *key, uint64_t seconds);

/* ---- strings */

/* A NULL-terminated vector of C strings in the arena (NULs cut). */
const char *const *sieve_list_strv(struct arena *arena, const struct sieve_list *list);
/* A copy with LF for CRLF and valid UTF-8 without NUL: for what goes into actions. */
const char *sieve_text_lf(struct arena *arena, const struct sieve_string *text);
/* A copy with CRLF for every LF that has no CR before it. */
struct sieve_string sieve_text_crlf(struct arena *arena, const struct sieve_string *text);
/* Lower case ASCII copy. */
char *sieve_ascii_lower(struct arena *arena, const char *text);
/* The name of @candidates (NULL-terminated) nearest to @word, or NULL when none is near: for "did
 * you mean". */
const char *sieve_did_you_mean(const char *word, const char *const *candidates);
/* 64 hex digits over the parts, NULL-terminated C strings. */
char *sieve_hash_key(struct arena *arena, const char *first, ...) __attribute__((sentinel));

/* ---- mail that actions send: helps for reject, vacation, notify, report (compose.c) */

/* Starts a header: Date, Message-ID, From, To, Subject (encoded), Auto-Submitted and so on are added
 * by the extension with sieve_mail_field; then the body. */
struct sieve_composer {
    GString *text;
    struct sieve_run *run;
};
void sieve_compose_begin(struct sieve_composer *composer, struct sieve_run *run);
/* "Name: value", value UTF-8, encoded and folded; control characters become spaces. */
void sieve_compose_field(struct sieve_composer *composer, const char *name, const char *value);
/* The same, value is ready for the wire (addresses). Line ends become spaces all the same. */
void sieve_compose_field_raw(struct sieve_composer *composer, const char *name, const char *value);
void sieve_compose_date(struct sieve_composer *composer);
void sieve_compose_message_id(struct sieve_composer *composer);
/* A text/plain; charset=utf-8 body with its MIME header fields and the empty line (8bit, or
 * quoted-printable when a line is longer than 998). */
void sieve_compose_text(struct sieve_composer *composer, const char *utf8);
/* Ends: a sieve_mail in run->arena. */
struct sieve_mail *sieve_compose_end(struct sieve_composer *composer, const char *envelope_from,
    const char *const *envelope_to);

#endif
