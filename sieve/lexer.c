#include "sieve/lexer.h"

#include <string.h>

#define IDENTIFIER_MAX 32

/* What a byte can be. */
enum {
    BLANK = 1,
    NAME_START = 2,
    NAME = 4,
    PUNCTUATION = 16,
    PLAIN = 8, /* in a quoted string with nothing special about it */
};

static const unsigned char classes[256] = {
    ['\t'] = BLANK, ['\n'] = BLANK, ['\r'] = BLANK, [' '] = BLANK | PLAIN, ['!'] = PLAIN,
    ['#' ... '\''] = PLAIN, ['('] = PLAIN | PUNCTUATION, [')'] = PLAIN | PUNCTUATION,
    ['*' ... '+'] = PLAIN, [','] = PLAIN | PUNCTUATION, ['-' ... '/'] = PLAIN,
    ['0' ... '9'] = PLAIN | NAME, [':'] = PLAIN, [';'] = PLAIN | PUNCTUATION, ['<' ... '@'] = PLAIN,
    ['A' ... 'Z'] = PLAIN | NAME | NAME_START, ['['] = PLAIN | PUNCTUATION,
    [']'] = PLAIN | PUNCTUATION, ['^'] = PLAIN, ['_'] = PLAIN | NAME | NAME_START, ['`'] = PLAIN,
    ['a' ... 'z'] = PLAIN | NAME | NAME_START, ['{'] = PLAIN | PUNCTUATION, ['|'] = PLAIN,
    ['}'] = PLAIN | PUNCTUATION, ['~'] = PLAIN, [0x80 ... 0xFF] = PLAIN,
};

static bool is(char c, unsigned char class)
{
    return (classes[(unsigned char)c] & class) != 0;
}

/* In bytes; who reports an error counts the characters (script.c). */
static unsigned column_of(const struct lexer *lexer, const char *at)
{
    return (unsigned)(at - lexer->line_start) + 1;
}

static int peek(const struct lexer *lexer)
{
    return lexer->at < lexer->end ? (unsigned char)*lexer->at : -1;
}

static void advance(struct lexer *lexer)
{
    if (*lexer->at == '\n') {
        lexer->line++;
        lexer->line_start = lexer->at + 1;
    }
    lexer->at++;
}

static void __attribute__((format(printf, 2, 3)))
fail(struct lexer *lexer, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const char *text = arena_vprintf(lexer->compiler->arena, format, args);
    va_end(args);
    sieve_error_at(lexer->compiler, lexer->token.line, lexer->token.column, "%s", text);
    lexer->token.kind = TOKEN_ERROR;
}

static void new_line(struct lexer *lexer, const char *behind)
{
    lexer->line++;
    lexer->line_start = behind;
}

/* Behind a bracket comment; false: it is not closed, an error token was made. */
static bool skip_bracket_comment(struct lexer *lexer)
{
    char *at = lexer->at + 2;

    lexer->token.line = lexer->line;
    lexer->token.column = column_of(lexer, lexer->at);
    for (; at + 1 < lexer->end; at++) {
        if (at[0] == '*' && at[1] == '/') {
            lexer->at = at + 2;
            return true;
        }
        if (*at == '\n')
            new_line(lexer, at + 1);
    }
    lexer->at = lexer->end;
    fail(lexer, "comment is not closed: '*/' is missing");
    return false;
}

/* Passes over white space and comments. False: an error token was made. */
static bool skip_space(struct lexer *lexer)
{
    char *end = lexer->end;

    for (;;) {
        char *at = lexer->at;

        for (; at < end && is(*at, BLANK); at++)
            if (*at == '\n')
                new_line(lexer, at + 1);
        lexer->at = at;
        if (at < end && *at == '#') {
            char *eol = memchr(at, '\n', (size_t)(end - at));

            lexer->at = eol != NULL ? eol : end;
        } else if (at + 1 < end && *at == '/' && at[1] == '*') {
            if (!skip_bracket_comment(lexer))
                return false;
        } else {
            return true;
        }
    }
}

static void scan_number(struct lexer *lexer)
{
    uint64_t value = 0;
    bool overflow = false;
    unsigned shift = 0;

    while (g_ascii_isdigit(peek(lexer))) {
        unsigned digit = (unsigned)(peek(lexer) - '0');

        overflow |= value > (UINT64_MAX - digit) / 10;
        value = value * 10 + digit;
        advance(lexer);
    }
    switch (peek(lexer)) {
    case 'k': case 'K': shift = 10; break;
    case 'm': case 'M': shift = 20; break;
    case 'g': case 'G': shift = 30; break;
    default: break;
    }
    if (shift > 0) {
        overflow |= value > UINT64_MAX >> shift;
        value <<= shift;
        advance(lexer);
    }
    if (overflow) {
        fail(lexer, "number is too large (the largest is %" G_GUINT64_FORMAT ")", UINT64_MAX);
        return;
    }
    lexer->token.kind = TOKEN_NUMBER;
    lexer->token.number = value;
}

/* Line ends become CRLF; a script in another charset is read as it is by the test suite (whose
 * messages are any bytes), else what is no UTF-8 is replaced. */
static void set_string(struct lexer *lexer, GString *text)
{
    struct token *token = &lexer->token;
    const struct sieve_options *options = lexer->compiler->options;

    if (text->len > options->limits.max_string) {
        fail(lexer, "string is too long (%zu bytes, the bound is %zu)", text->len,
            options->limits.max_string);
        return;
    }
    if (!options->testsuite && !g_utf8_validate_len(text->str, text->len, NULL)) {
        g_autofree char *valid = g_utf8_make_valid(text->str, (gssize)text->len);

        sieve_warning_at(lexer->compiler, token->line, token->column,
            "string is not valid UTF-8; the script must be saved as UTF-8");
        g_string_assign(text, valid);
    }
    token->kind = TOKEN_STRING;
    token->text.data = arena_memdup(lexer->compiler->arena, text->str, text->len);
    token->text.length = text->len;
}

/* The usual string: one line of UTF-8 without a backslash. It stays where it is, in our copy of the
 * script, a NUL in the place of its closing quote. False: look closer. */
static bool scan_plain(struct lexer *lexer)
{
    char *start = lexer->at + 1, *at = start;
    struct token *token = &lexer->token;

    char bits = 0;
    for (; at < lexer->end && is(*at, PLAIN); at++)
        bits |= *at;
    size_t length = (size_t)(at - start);
    if (at >= lexer->end || *at != '"' || length > lexer->compiler->options->limits.max_string ||
        ((bits & 0x80) != 0 && !g_utf8_validate_len(start, length, NULL)))
        return false;
    *at = '\0';
    token->kind = TOKEN_STRING;
    token->text.data = start;
    token->text.length = length;
    lexer->at = at + 1;
    return true;
}

static void scan_escaped(struct lexer *lexer)
{
    g_autoptr(GString) text = g_string_new(NULL);
    advance(lexer);
    for (;;) {
        int c = peek(lexer);

        if (c == '"')
            break;
        if (c == '\\') {
            advance(lexer);
            c = peek(lexer);
        }
        if (c == -1) {
            fail(lexer, "string is not closed: '\"' is missing");
            return;
        }
        if (c == '\0') {
            advance(lexer);
            fail(lexer, "NUL character in string");
            return;
        }
        if (c == '\n')
            g_string_append(text, "\r\n");
        else if (c != '\r')
            g_string_append_c(text, (char)c);
        else if (lexer->at + 1 >= lexer->end || lexer->at[1] != '\n') {
            advance(lexer);
            fail(lexer, "carriage return without line feed in string");
            return;
        }
        advance(lexer);
    }
    advance(lexer);
    set_string(lexer, text);
}

static void scan_quoted(struct lexer *lexer)
{
    if (!scan_plain(lexer))
        scan_escaped(lexer);
}

/* Behind "text:". */
static void scan_multiline(struct lexer *lexer)
{
    g_autoptr(GString) text = g_string_new(NULL);

    while (peek(lexer) == ' ' || peek(lexer) == '\t')
        advance(lexer);
    if (peek(lexer) == '#')
        while (peek(lexer) != -1 && peek(lexer) != '\n')
            advance(lexer);
    if (peek(lexer) == '\r')
        advance(lexer);
    if (peek(lexer) != '\n') {
        fail(lexer, peek(lexer) == -1 ? "multi-line string is not closed: '.' is missing"
                                      : "only a comment may follow 'text:' on its line");
        return;
    }
    advance(lexer);
    for (;;) {
        char *line = lexer->at;
        char *eol = memchr(line, '\n', (size_t)(lexer->end - line));

        if (eol == NULL) {
            /* a final dot without a line end is accepted: editors leave it away */
            if (lexer->end - line == 1 && *line == '.') {
                lexer->at = lexer->end;
                break;
            }
            lexer->at = lexer->end;
            fail(lexer, "multi-line string is not closed: a line with '.' alone is missing");
            return;
        }
        size_t length = (size_t)(eol - line);
        if (length > 0 && line[length - 1] == '\r')
            length--;
        lexer->at = eol;
        advance(lexer);
        if (length == 1 && *line == '.')
            break;
        if (memchr(line, '\0', length) != NULL) {
            fail(lexer, "NUL character in multi-line string");
            return;
        }
        if (length > 1 && line[0] == '.' && line[1] == '.') {
            line++;
            length--;
        }
        g_string_append_len(text, line, (gssize)length);
        g_string_append(text, "\r\n");
    }
    set_string(lexer, text);
}

static void scan_identifier(struct lexer *lexer)
{
    struct token *token = &lexer->token;

    token->kind = TOKEN_IDENTIFIER;
    if (peek(lexer) == ':') {
        token->kind = TOKEN_TAG;
        advance(lexer);
        if (lexer->at >= lexer->end || !is(*lexer->at, NAME_START)) {
            fail(lexer, "':' without a name behind it");
            return;
        }
    }
    char *start = lexer->at, *at = start;
    while (at < lexer->end && is(*at, NAME))
        at++;
    lexer->at = at;
    size_t length = (size_t)(at - start);
    if (token->kind == TOKEN_IDENTIFIER && length == 4 && peek(lexer) == ':' &&
        g_ascii_strncasecmp(start, "text", 4) == 0) {
        advance(lexer);
        scan_multiline(lexer);
        return;
    }
    if (length > IDENTIFIER_MAX) {
        fail(lexer, "name '%.*s…' is too long", IDENTIFIER_MAX, start);
        return;
    }
    token->text.data = start;
    token->text.length = length;
    lexer->name_end = at;
}

static void scan_token(struct lexer *lexer)
{
    struct token *token = &lexer->token;
    bool garbage = lexer->garbage;

    lexer->garbage = false;
    token->text.length = 0;
    if (!skip_space(lexer))
        return;
    token->line = lexer->line;
    token->column = column_of(lexer, lexer->at);
    int c = peek(lexer);
    if (c == -1) {
        token->kind = TOKEN_END;
    } else if (is((char)c, NAME_START) || c == ':') {
        scan_identifier(lexer);
    } else if (c == '"') {
        scan_quoted(lexer);
    } else if (g_ascii_isdigit(c)) {
        scan_number(lexer);
    } else if (is((char)c, PUNCTUATION)) {
        token->kind = TOKEN_PUNCTUATION;
        token->punctuation = (char)c;
        lexer->at++;
    } else {
        if (!garbage) {
            if (c > 31 && c < 127)
                fail(lexer, "unexpected character '%c'", c);
            else
                fail(lexer, "unexpected character 0x%02x", (unsigned)c);
        }
        token->kind = TOKEN_ERROR;
        lexer->garbage = true;
        advance(lexer);
    }
}

/* A name stays where it is, in our copy of the script. Its NUL takes the place of the byte behind it,
 * which may begin the next token: so that one is read first. */
void lexer_next(struct lexer *lexer)
{
    char *name_end = lexer->name_end;

    lexer->name_end = NULL;
    scan_token(lexer);
    if (name_end != NULL)
        *name_end = '\0';
}

void lexer_init(struct lexer *lexer, struct sieve_compiler *compiler, const char *text,
    size_t length)
{
    memset(lexer, 0, sizeof(*lexer));
    lexer->compiler = compiler;
    lexer->begin = lexer->at = arena_memdup(compiler->arena, text, length);
    lexer->end = lexer->at + length;
    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        lexer->at += 3; /* a byte order mark, as Windows editors leave it */
    lexer->line_start = lexer->at;
    lexer->line = 1;
    lexer_next(lexer);
}

size_t lexer_offset(const struct lexer *lexer)
{
    return (size_t)(lexer->at - lexer->begin);
}

bool token_is(const struct token *token, enum token_kind kind, const char *word)
{
    return token->kind == kind && strlen(word) == token->text.length &&
        g_ascii_strncasecmp(token->text.data, word, token->text.length) == 0;
}

const char *lexer_describe(const struct lexer *lexer)
{
    const struct token *token = &lexer->token;
    struct arena *arena = lexer->compiler->arena;

    switch (token->kind) {
    case TOKEN_END: return "the end of the script";
    case TOKEN_IDENTIFIER:
        return arena_printf(arena, "'%.*s'", (int)token->text.length, token->text.data);
    case TOKEN_TAG:
        return arena_printf(arena, "tag ':%.*s'", (int)token->text.length, token->text.data);
    case TOKEN_NUMBER: return arena_printf(arena, "number %" G_GUINT64_FORMAT, token->number);
    case TOKEN_STRING: return "a string";
    case TOKEN_PUNCTUATION: return arena_printf(arena, "'%c'", token->punctuation);
    case TOKEN_ERROR: break;
    }
    return "garbage";
}
