/*
 * Errors are values: a kind, which decides the exit status, and one sentence for a human.
 *
 * The sentence is written where the cause is known, prefixed once where the context is known, and
 * printed once by the front end. The text lives inside the struct, so that reporting that memory
 * ran out needs no memory.
 */
#ifndef VMAIL_BASE_ERROR_H
#define VMAIL_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

enum error_kind {
    ERROR_NONE = 0,
    ERROR_TEMPORARY,    /* time can cure it: 75. Whatever nobody classified is this */
    ERROR_NO_USER,      /* 67, 5.1.1 */
    ERROR_BAD_DATA,     /* 65, 5.6.0: data that the site refuses */
    ERROR_REFUSED,      /* 77, 5.7.1: refused by the user's script */
    ERROR_QUOTA,        /* 77, 5.2.2 */
    ERROR_QUOTA_DEFER,  /* 75, 4.2.2 */
    ERROR_USAGE,        /* 64 */
    ERROR_CONFIG,       /* 75, 4.3.5 (78 on a terminal) */
    ERROR_LOOP,         /* 65, 5.4.6: the message was here before */
    ERROR_KINDS
};

#define ERROR_TEXT_SIZE 768

struct error {
    enum error_kind kind;
    int code;  /* errno where there was one, else 0 */
    char text[ERROR_TEXT_SIZE];
};

/* Fills @err; a text that does not fit ends in "…". Control characters become '?', so that a
 * hostile name cannot forge a second log line. */
void error_set(struct error *err, enum error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set with ": strerror(@code)" behind it. EDQUOT becomes ERROR_QUOTA_DEFER when @kind is
 * ERROR_TEMPORARY; everything else keeps @kind. */
void error_set_errno(struct error *err, enum error_kind kind, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "prefix: " in front of the sentence; kind and code stay. */
void error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

void error_clear(struct error *err);

#endif
