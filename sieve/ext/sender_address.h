/*
 * Whose address mail of a script is sent from, where the site may choose: the settings
 * sieve_notify_mailto_envelope_from, sieve_report_from …
 */
#ifndef VMAIL_SIEVE_EXT_SENDER_ADDRESS_H
#define VMAIL_SIEVE_EXT_SENDER_ADDRESS_H

#include "sieve/sieve-internal.h"

/* The user's primary address: sieve_user_email, else the host's; NULL: not known. */
const char *sender_user_email(const struct sieve_run *run);

/* "postmaster@example.org". */
const char *sender_postmaster(struct sieve_run *run);

/* What the setting @name says: "sender", "recipient", "orig_recipient", "user_email", "postmaster"
 * or "<address>"; "" is the null sender. NULL: not set, "default", or not a valid value. */
const char *sender_from_setting(struct sieve_run *run, const char *name);

#endif
