/*
 * vacation-seconds: the tag :seconds of vacation.
 *
 * RFC 6131. Status: complete.
 */
#include "sieve/ext/vacation.h"

static const struct sieve_tag tags[] = {
    {.name = "seconds", .argument = "n", .applies = "vacation", .group = "period",
        .check = vacation_check_period},
    {NULL},
};

static const char *const implies[] = {"vacation", NULL};

const struct sieve_extension sieve_ext_vacation_seconds = {
    .name = "vacation-seconds",
    .rfc = "RFC 6131",
    .status = "complete",
    .tags = tags,
    .implies = implies,
};
