/*
 * The part that a foreverypart loop stands at, for the extensions that work on it (mime,
 * extracttext, replace, enclose, convert).
 */
#ifndef VMAIL_SIEVE_EXT_FOREVERYPART_H
#define VMAIL_SIEVE_EXT_FOREVERYPART_H

#include "sieve/sieve-internal.h"

struct message_part;

/* The part of the innermost loop that runs, in the tree of run->message; NULL: there is no loop, or
 * the part is gone (a part around it was replaced). False: the message cannot be read; the error is
 * set. */
bool foreverypart_current(struct sieve_run *run, const struct sieve_node *node,
    struct message_part **ret_part);

/* True inside of a loop, also one of the including script. */
bool foreverypart_is_running(struct sieve_run *run);

/* To be asked before the content of run->message is changed. False, the error is set: the script
 * changes a message of very many parts very often. (A changed message keeps its old tree to the end
 * of the run, and is read as a whole again.) */
bool foreverypart_may_change(struct sieve_run *run, const struct sieve_node *node);

/* The current part got another content: the loops do not go into what is new (RFC 5703 5). */
void foreverypart_was_replaced(struct sieve_run *run);

/* The whole message became the second part of another one (RFC 5703 6): the loops go on inside. */
void foreverypart_was_enclosed(struct sieve_run *run);

#endif
