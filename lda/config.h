/*
 * The configuration: one table of keys (config.c), filled from the defaults, the file, -o key=value.
 *
 * libc and lda/base only, because the thin client reads it too. Keys are an enum, so that a misspelt
 * one does not compile; whoever needs a key adds a line here and its row in config.c's table.
 */
#ifndef VMAIL_CONFIG_H
#define VMAIL_CONFIG_H

#include "lda/base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifndef VMAIL_CONFIG_FILE
#define VMAIL_CONFIG_FILE "/etc/vmail/vmail.conf"
#endif

enum config_key {
    /* the store */
    CONFIG_VMAIL_ROOT,
    CONFIG_DATABASE,
    CONFIG_DATABASE_TIMEOUT,
    CONFIG_SCHEMA_DIR,
    CONFIG_MAIL_FORMAT,
    CONFIG_MBOX_LOCKS,
    CONFIG_LOCK_TIMEOUT,
    CONFIG_MAILBOXES,
    CONFIG_MAILBOX_AUTOCREATE,
    CONFIG_MAILBOX_AUTOSUBSCRIBE,
    CONFIG_SPECIAL_USE,
    CONFIG_METADATA_FILE,
    CONFIG_MESSAGE_SIZE_LIMIT,
    CONFIG_QUOTA_FULL,
    CONFIG_KEYS_KEEP,
    CONFIG_HOSTNAME,
    /* users */
    CONFIG_USER_QUERY,
    CONFIG_USER_LIST_QUERY,
    CONFIG_RECIPIENT_DELIMITER,
    /* messages */
    CONFIG_FALLBACK_CHARSETS,
    CONFIG_DELIVERED_TO,
    /* delivery */
    CONFIG_DELIVERY_TIMEOUT,
    CONFIG_POSTMASTER_ADDRESS,
    CONFIG_SENDMAIL_PATH,
    CONFIG_SENDMAIL_TIMEOUT,
    /* Sieve */
    CONFIG_SIEVE,
    CONFIG_SIEVE_DIR,
    CONFIG_SIEVE_DEFAULT,
    CONFIG_SIEVE_BEFORE,
    CONFIG_SIEVE_AFTER,
    CONFIG_SIEVE_GLOBAL_DIR,
    CONFIG_SIEVE_ENGINE,
    CONFIG_SIEVE_REDIRECT_HOPS,
    CONFIG_SIEVE_REDIRECT_ENVELOPE_FROM,
    CONFIG_SIEVE_LOG_MAX_SIZE,
    CONFIG_SIEVE_PROGRAM_DIR,
    CONFIG_SIEVE_PROGRAM_TIMEOUT,
    CONFIG_SIEVE_PROGRAM_OUTPUT_LIMIT,
    /* the address book */
    CONFIG_CONTACTS_FROM_SENT,
    CONFIG_CONTACTS_FROM_RECEIVED,
    /* vmail sync */
    CONFIG_SYNC_FANOTIFY,
    /* log */
    CONFIG_LOG_TARGET,
    CONFIG_LOG_FACILITY,
    CONFIG_LOG_DEBUG,
    CONFIG_KEYS /* how many; last */
};

enum config_type {
    CONFIG_TEXT,     /* as written */
    CONFIG_PATH,     /* an absolute path, "~/…" where the help says so, or empty */
    CONFIG_LIST,     /* words separated by blanks or commas */
    CONFIG_CHOICE,   /* one of config_choices */
    CONFIG_BOOL,     /* yes | no (true/false, on/off, 1/0 too) */
    CONFIG_COUNT,    /* a number */
    CONFIG_SIZE,     /* bytes; 10K 5M 1G */
    CONFIG_DURATION, /* seconds; 30s 5m 2h 7d 1w */
};

struct config_entry {
    const char *name;
    enum config_type type;
    const char *standard; /* the default, as it would stand in the file */
    const char *choices;  /* CONFIG_CHOICE: "a|b" */
    const char *help;     /* one sentence */
};

struct config;

/* Every key at its default. Aborts when memory is out. */
struct config *config_new(void);
void config_free(struct config *config);

/* Reads "key = value" lines; '#' begins a comment line; a line that begins with a blank continues
 * the one before (as in main.cf); a value in double quotes keeps its blanks. An unknown key, a
 * value that its type refuses, a file that cannot be read: ERROR_CONFIG with file and line. */
bool config_load(struct config *config, const char *path, struct error *err);

/* As config_load; with @path NULL the standard file, which need not exist. */
bool config_read(struct config *config, const char *path, struct error *err);

/* One -o "key=value". Unknown key or bad value: ERROR_CONFIG. */
bool config_set_option(struct config *config, const char *option, struct error *err);
bool config_set(struct config *config, const char *name, const char *value, struct error *err);

/* The value; "$vmail_root" and "$hostname" inside are replaced. Never NULL. Borrowed from @config,
 * until the key is set again or @config freed. */
const char *config_text(const struct config *config, enum config_key key);
bool config_bool(const struct config *config, enum config_key key);
/* CONFIG_COUNT, CONFIG_SIZE (bytes) and CONFIG_DURATION (seconds); 0 often means "no limit": see
 * the key's help. */
uint64_t config_number(const struct config *config, enum config_key key);
/* The @index'th word of a list copied into @word (cut to @size); false past the end. */
bool config_word(const struct config *config, enum config_key key, size_t index, char *word,
                 size_t size);
/* A number as the file writes it: 10, 10K (CONFIG_SIZE), 2h (CONFIG_DURATION). For extra keys. */
bool config_parse_number(enum config_type type, const char *text, uint64_t *ret_number);
/* True when a CONFIG_CHOICE or CONFIG_TEXT has exactly this value. */
bool config_is(const struct config *config, enum config_key key, const char *value);

/* The Sieve engine has its own tables (sieve/limits.h, settings of extensions): any key that begins
 * with "sieve_" and is not in ours is kept for it. NULL where it is not set. Borrowed. */
const char *config_extra(const struct config *config, const char *name);
/* The @index'th such key; NULL past the end. */
const char *config_extra_name(const struct config *config, size_t index);

/* Where the value came from: "default", "-o", or "file:line". Borrowed as above. */
const char *config_origin(const struct config *config, enum config_key key);

const struct config_entry *config_entry_of(enum config_key key);

/* Prints "key = value" lines, all or only those not at their default. */
void config_print(const struct config *config, bool only_changed, FILE *stream);

#endif
