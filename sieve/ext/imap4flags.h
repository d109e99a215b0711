/*
 * Lists of IMAP flags as imap4flags and its forerunner imapflags keep them: names with spaces between
 * them, each once, case of the first mention.
 */
#ifndef VMAIL_SIEVE_EXT_IMAP4FLAGS_H
#define VMAIL_SIEVE_EXT_IMAP4FLAGS_H

#include "sieve/sieve-internal.h"

enum flags_change { FLAGS_SET, FLAGS_ADD, FLAGS_REMOVE };

/* The internal variable of the sequence. */
struct sieve_string flags_internal(struct sieve_run *run);

/* Changes the internal variable by the flags that @changes name. */
void flags_change_internal(struct sieve_run *run, enum flags_change change,
    const struct sieve_list *changes);

/* @flags changed; what is no valid flag is left out. Never longer than max_variable_size. */
struct sieve_string flags_changed(struct sieve_run *run, const struct sieve_string *flags,
    enum flags_change change, const struct sieve_list *changes);

/* A warning for the first constant that is no flag. */
void flags_check(struct sieve_compiler *compiler, const struct sieve_node *node,
    const struct sieve_arg *arg);

/* The flags of a list for an action: a NULL-terminated vector, never NULL. */
const char *const *flags_vector(struct sieve_run *run, const struct sieve_list *list);

#endif
