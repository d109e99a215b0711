#include "lda/sieve_settings.h"

#include <stddef.h>
#include <string.h>

#include "sieve/limits.h"

/* A name that ends in '_' stands for all that begin so. tests/unit/lda/test_sieve_settings.c
 * looks whether one is missing. */
static const char *const names[] = {
    "sieve_convert_program",
    "sieve_duplicate_default_period",
    "sieve_duplicate_max_period",
    "sieve_editheader_",
    "sieve_env_",
    "sieve_execute_input_eol",
    "sieve_extensions",
    "sieve_extlists_list",
    "sieve_global_extensions",
    "sieve_include_max_includes",
    "sieve_include_max_nesting_depth",
    "sieve_max_cpu_time",
    "sieve_max_script_size",
    "sieve_notify_mailto_envelope_from",
    "sieve_notify_max_notifications",
    "sieve_report_from",
    "sieve_spamtest_",
    "sieve_user_email",
    "sieve_vacation_check_recipient",
    "sieve_vacation_default_period",
    "sieve_vacation_default_subject",
    "sieve_vacation_default_subject_template",
    "sieve_vacation_dont_check_recipient",
    "sieve_vacation_max_period",
    "sieve_vacation_min_period",
    "sieve_vacation_send_from_recipient",
    "sieve_vacation_to_header_ignore_envelope",
    "sieve_vacation_use_original_recipient",
    "sieve_variables_max_scope_count",
    "sieve_variables_max_scope_size",
    "sieve_variables_max_value_size",
    "sieve_variables_max_variable_size",
    "sieve_virustest_",
};

static bool matches(const char *pattern, const char *name)
{
    size_t length = strlen(pattern);

    return pattern[length - 1] == '_' ? strncmp(pattern, name, length) == 0
                                      : strcmp(pattern, name) == 0;
}

bool sieve_setting_is_known(const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (matches(names[i], name))
            return true;
    for (const struct sieve_limit_row *row = sieve_limit_rows; row->name != NULL; row++)
        if (strcmp(row->name, name + strlen("sieve_")) == 0)
            return true;
    return false;
}
