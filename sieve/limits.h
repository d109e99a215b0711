/*
 * Every bound of the Sieve engine: name, default and what it protects.
 *
 * The names are the keys of vmail.conf (with "sieve_" in front) and of the test suite's
 * test_config_set. A bound that is hit is an error with a place, never a crash or a hang.
 */
#ifndef VMAIL_SIEVE_LIMITS_H
#define VMAIL_SIEVE_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

struct sieve_limits {
    size_t max_script_size;      /* bytes of one script */
    size_t max_errors;           /* errors reported per compile, then it stops */
    size_t max_nesting;          /* blocks and tests inside each other (RFC 5228 2.10.5: >= 15) */
    size_t max_commands;         /* commands and tests in one script, includes counted apart */
    size_t max_string;           /* bytes of a literal in the script */
    size_t max_list;             /* strings in one list */
    size_t max_variables;        /* variables per script */
    size_t max_variable_size;    /* bytes a variable can hold (RFC 5229 3: >= 4000) */
    size_t max_variable_name;    /* bytes of a variable's name */
    size_t max_include_depth;    /* include inside include */
    size_t max_includes;         /* scripts pulled in per run */
    size_t max_actions;          /* actions of a run; 0 = no bound, as are the next two */
    size_t max_redirects;        /* redirect actions of a run; 0 = redirect is forbidden */
    size_t max_notifies;         /* notify actions of a run */
    size_t max_steps;            /* tests and commands executed in a run */
    size_t max_cpu_ms;           /* processor time of a run; wall deadline of the child engine x 3 */
    size_t max_match_work;       /* bytes looked at by :contains and :matches in a run */
    size_t max_body_size;        /* bytes of a body, or of all its parts, that a body test sees */
    size_t max_regex_match;      /* PCRE2 match limit per pattern and value */
    size_t max_regex_depth;      /* PCRE2 depth limit */
    size_t max_regex_heap_kb;    /* PCRE2 heap limit */
    size_t max_memory;           /* bytes of strings a run may build; bytes of a program with regexes */
    size_t max_trace;            /* lines of trace kept */
    size_t max_duplicate_period; /* seconds, upper bound of duplicate :seconds */
};

void sieve_limits_init(struct sieve_limits *limits);

/* One row per field, for configuration tables and the manual. @name has no "sieve_" in front. */
struct sieve_limit_row {
    const char *name;
    size_t offset; /* of the field, a size_t, in struct sieve_limits */
    size_t value;  /* the default */
    const char *help;
};

/* The rows; ends with a NULL name. */
extern const struct sieve_limit_row sieve_limit_rows[];

/* Sets a bound by name; false when there is none of that name. */
bool sieve_limits_set(struct sieve_limits *limits, const char *name, size_t value);

#endif
