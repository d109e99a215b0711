/*
 * Bytes of a script into tokens (RFC 5228 section 8.1).
 */
#ifndef VMAIL_SIEVE_LEXER_H
#define VMAIL_SIEVE_LEXER_H

#include "sieve/sieve-internal.h"

enum token_kind {
    TOKEN_END,
    TOKEN_IDENTIFIER,
    TOKEN_TAG,          /* text without the colon */
    TOKEN_NUMBER,
    TOKEN_STRING,       /* quoted or multi-line, line ends CRLF */
    TOKEN_PUNCTUATION,  /* one of ; , ( ) [ ] { } */
    TOKEN_ERROR,        /* reported already */
};

struct token {
    enum token_kind kind;
    unsigned line, column; /* column in bytes */
    char punctuation;
    uint64_t number;
    struct sieve_string text; /* lives as long as the compile's arena. A name ends with its length;
                               * with a NUL only when the next token has been read */
};

struct lexer {
    struct sieve_compiler *compiler;
    char *begin, *at, *end; /* a copy of the script, which the compile's arena owns */
    const char *line_start;
    unsigned line;
    bool garbage;        /* the last token was garbage: report a run of it once */
    char *name_end;      /* behind the name that was read last; or NULL */
    struct token token;  /* the present one */
};

/* Starts at the first token. */
void lexer_init(struct lexer *lexer, struct sieve_compiler *compiler, const char *text,
    size_t length);
void lexer_next(struct lexer *lexer);
/* How many bytes of the script are behind us, the present token among them. */
size_t lexer_offset(const struct lexer *lexer);

/* The identifier or tag @word? Without case. */
bool token_is(const struct token *token, enum token_kind kind, const char *word);

/* "string \"x\"" and so on, for messages; in the arena. */
const char *lexer_describe(const struct lexer *lexer);

#endif
