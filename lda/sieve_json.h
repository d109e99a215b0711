/* A Sieve result as JSON, for vmail sieve test. */
#ifndef VMAIL_SIEVE_JSON_H
#define VMAIL_SIEVE_JSON_H

#include <stdbool.h>

#include <jansson.h>

struct config;
struct message;
struct sieve_diagnostics;
struct sieve_envelope;
struct sieve_result;

/* @result is NULL when the script did not compile. @message is the input. With @trace the trace is
 * in it too. */
json_t *sieve_result_json(const struct sieve_diagnostics *diagnostics,
                          const struct sieve_result *result, struct message *message,
                          const struct sieve_envelope *envelope, const struct config *config,
                          bool trace);

#endif
