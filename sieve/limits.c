#include "sieve/limits.h"

#include <string.h>

#define ROW(field, def, text) {#field, offsetof(struct sieve_limits, field), (def), (text)}

const struct sieve_limit_row sieve_limit_rows[] = {
    ROW(max_script_size, 1024 * 1024, "Largest Sieve script that is compiled, in bytes."),
    ROW(max_errors, 50, "Errors reported for one script before compiling stops."),
    ROW(max_nesting, 32, "How deep blocks, and tests, may stand inside each other."),
    ROW(max_commands, 100000, "Commands and tests in one script."),
    ROW(max_string, 1024 * 1024, "Bytes of one string in a script."),
    ROW(max_list, 10000, "Strings in one list of a script."),
    ROW(max_variables, 255, "Variables in one script."),
    ROW(max_variable_size, 4000, "Bytes that a variable can hold; more is cut."),
    ROW(max_variable_name, 64, "Bytes of the name of a variable."),
    ROW(max_include_depth, 10, "How deep scripts may include each other."),
    ROW(max_includes, 255, "Scripts that one run may include."),
    ROW(max_actions, 32, "Actions that the scripts may ask for; 0 means no bound."),
    ROW(max_redirects, 4, "Redirects that the scripts may ask for; 0 forbids redirect."),
    ROW(max_notifies, 10, "Notifications that the scripts may ask for."),
    ROW(max_steps, 1000000, "Commands and tests that one run may execute."),
    ROW(max_cpu_ms, 30000, "Processor time of one run, in milliseconds."),
    ROW(max_match_work, 1024UL * 1024 * 1024, "Bytes that one run may look at while matching."),
    ROW(max_body_size, 4 * 1024 * 1024, "Bytes of a message's body that the body test looks at."),
    ROW(max_regex_match, 500000, "Match limit of regular expressions (PCRE2)."),
    ROW(max_regex_depth, 5000, "Depth limit of regular expressions (PCRE2)."),
    ROW(max_regex_heap_kb, 4096, "Memory of one regular expression match, in KiB."),
    ROW(max_memory, 64UL * 1024 * 1024, "Bytes of strings that one run may build, and of a script's regular expressions."),
    ROW(max_trace, 20000, "Lines that --explain keeps."),
    ROW(max_duplicate_period, 7 * 24 * 3600, "Longest memory of the duplicate test, in seconds."),
    {NULL, 0, 0, NULL},
};

static size_t *limit_field(struct sieve_limits *limits, const struct sieve_limit_row *row)
{
    return (size_t *)(void *)((char *)limits + row->offset);
}

void sieve_limits_init(struct sieve_limits *limits)
{
    for (const struct sieve_limit_row *row = sieve_limit_rows; row->name != NULL; row++)
        *limit_field(limits, row) = row->value;
}

bool sieve_limits_set(struct sieve_limits *limits, const char *name, size_t value)
{
    for (const struct sieve_limit_row *row = sieve_limit_rows; row->name != NULL; row++) {
        if (strcmp(row->name, name) == 0) {
            *limit_field(limits, row) = value;
            return true;
        }
    }
    return false;
}
