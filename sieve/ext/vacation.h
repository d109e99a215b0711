/*
 * Between the two halves of vacation: the decision (vacation.c) and the reply (vacation_reply.c).
 */
#ifndef VMAIL_SIEVE_EXT_VACATION_H
#define VMAIL_SIEVE_EXT_VACATION_H

#include "sieve/sieve-internal.h"

/* The reply to @vacation->to. */
struct sieve_mail *vacation_reply(struct sieve_run *run, const struct sieve_vacation *vacation);

/* Seconds of the :days or :seconds value within what the site allows. */
uint64_t vacation_period(const struct sieve_options *options, uint64_t seconds, bool in_seconds);

/* The check of :days and :seconds: a warning when the site's bounds will change the value. */
bool vacation_check_period(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound);

#endif
