/* The table of keys, for config.c alone. */
#ifndef VMAIL_CONFIG_KEYS_H
#define VMAIL_CONFIG_KEYS_H

#include "lda/config.h"

extern const struct config_entry config_entries[CONFIG_KEYS];

#endif
