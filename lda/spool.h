/* Standard input becomes the pending file, in one pass and a fixed amount of memory. */
#ifndef VMAIL_SPOOL_H
#define VMAIL_SPOOL_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct envelope;

struct spool_options {
    const struct envelope *envelope; /* normalised */
    const char *user;                /* the account's address; or NULL */
    bool add_delivered_to;           /* configuration: delivered_to */
    bool check_loop;                 /* not for replays: what is in a store was delivered once */
    uint64_t size_limit;             /* bytes of input; 0: none */
};

struct spool_result {
    /* SHA-256, in hex, of the input without a From_ line, CRLF made LF, and without the fields named
     * above where they stand on top: so it is the same for what pipe(8), whatever its flags, an
     * LMTP client and a replay hand us, and for the stored file. */
    char digest[65];
    uint64_t input_size; /* bytes of input behind the From_ line, with LF */
    uint64_t size;       /* bytes written: what Maildir's S= says */
    uint64_t size_crlf;  /* with each LF as CRLF: W= */
};

/* Copies @input to its end into @output. A first line "From " is dropped, CRLF becomes LF. On top
 * come Return-Path (when the sender is known), X-Original-To (when it is not the recipient) and
 * Delivered-To, each unless the MTA put it there: pipe(8) flags R, O, D.
 *
 * Failures: ERROR_LOOP where a Delivered-To with the same recipient stands below what the MTA puts on
 * top, as virtual(8) and pipe(8) flag D see it, unless the user's own
 * script redirected it (X-Sieve-Redirected-From); ERROR_BAD_DATA over the limit; ERROR_TEMPORARY for
 * no input at all (an MTA always writes at least a header, so something in between is broken)
 * and for I/O. An unknown part has been written then. */
bool spool_copy(int input, int output, const struct spool_options *options,
                struct spool_result *ret_result, struct error *err);

#endif
