#include "sieve/lexer.h"

#include <string.h>

#define IDENTIFIER_MAX 32

/* Counted on from the last call: a script of one long line stays linear. */
static unsigned column_of(struct lexer *lexer, const char *at)
{
    if (lexer->counted < lexer->line_start) {
        lexer->counted = lexer->line_start;
        lexer->counted_column = 1;
    }
    for (; lexer->counted < at; lexer->counted++)
        lexer->counted_column += ((unsigned char)*lexer->counted & 0xC0) != 0x80;
    return lexer->counted_column;
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

/* Passes over white space and comments. False: an error token was made. */
static bool skip_space(struct lexer *lexer)
{
    for (;;) {
        int c = peek(lexer);

        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            advance(lexer);
        } else if (c == '#') {
            while (peek(lexer) != -1 && peek(lexer) != '\n')
                advance(lexer);
        } else if (c == '/' && lexer->at + 1 < lexer->end && lexer->at[1] == '*') {
            lexer->token.line = lexer->line;
            lexer->token.column = column_of(lexer, lexer->at);
            lexer->at += 2;
            while (lexer->at + 1 < lexer->end && !(lexer->at[0] == '*' && lexer->at[1] == '/'))
                advance(lexer);
            if (lexer->at + 1 >= lexer->end) {
                lexer->at = lexer->end;
                fail(lexer, "comment is not closed: '*/' is missing");
                return false;
            }
            lexer->at += 2;
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

static void scan_quoted(struct lexer *lexer)
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
        const char *line = lexer->at;
        const char *eol = memchr(line, '\n', (size_t)(lexer->end - line));

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
        if (!g_ascii_isalpha(peek(lexer)) && peek(lexer) != '_') {
            fail(lexer, "':' without a name behind it");
            return;
        }
    }
    const char *start = lexer->at;
    while (g_ascii_isalnum(peek(lexer)) || peek(lexer) == '_')
        advance(lexer);
    size_t length = (size_t)(lexer->at - start);
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
    token->text.data = arena_memdup(lexer->compiler->arena, start, length);
    token->text.length = length;
}

void lexer_next(struct lexer *lexer)
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
    } else if (g_ascii_isdigit(c)) {
        scan_number(lexer);
    } else if (c == '"') {
        scan_quoted(lexer);
    } else if (g_ascii_isalpha(c) || c == '_' || c == ':') {
        scan_identifier(lexer);
    } else if (c != 0 && strchr(";,()[]{}", c) != NULL) {
        token->kind = TOKEN_PUNCTUATION;
        token->punctuation = (char)c;
        advance(lexer);
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

void lexer_init(struct lexer *lexer, struct sieve_compiler *compiler, const char *text,
    size_t length)
{
    memset(lexer, 0, sizeof(*lexer));
    lexer->compiler = compiler;
    lexer->at = text;
    lexer->end = text + length;
    if (length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        lexer->at += 3; /* a byte order mark, as Windows editors leave it */
    lexer->line_start = lexer->at;
    lexer->line = 1;
    lexer->counted = lexer->line_start;
    lexer->counted_column = 1;
    lexer_next(lexer);
}

const char *lexer_describe(const struct lexer *lexer)
{
    const struct token *token = &lexer->token;
    struct arena *arena = lexer->compiler->arena;

    switch (token->kind) {
    case TOKEN_END: return "the end of the script";
    case TOKEN_IDENTIFIER: return arena_printf(arena, "'%s'", token->text.data);
    case TOKEN_TAG: return arena_printf(arena, "tag ':%s'", token->text.data);
    case TOKEN_NUMBER: return arena_printf(arena, "number %" G_GUINT64_FORMAT, token->number);
    case TOKEN_STRING: return "a string";
    case TOKEN_PUNCTUATION: return arena_printf(arena, "'%c'", token->punctuation);
    case TOKEN_ERROR: break;
    }
    return "garbage";
}
