/* Which keys that begin with "sieve_" mean something to the engine. */
#ifndef VMAIL_SIEVE_SETTINGS_H
#define VMAIL_SIEVE_SETTINGS_H

#include <stdbool.h>

/* True for a bound (sieve/limits.h) and for a setting that an extension reads. The rest is a slip of
 * the pen, or Pigeonhole's and without meaning here: vmail doctor says so. */
bool sieve_setting_is_known(const char *name);

#endif
