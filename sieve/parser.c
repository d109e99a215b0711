#include "sieve/parser.h"

#include <string.h>

#include "sieve/lexer.h"

struct parser {
    struct lexer lexer;
    struct sieve_compiler *compiler;
    bool failed;
    size_t node_count;
    GPtrArray *nodes;  /* stacks: what a list has so far lies above the mark it began with */
    GArray *strings;
};

/* The nodes above @mark, moved into the arena. */
static struct sieve_node **take_nodes(struct parser *parser, guint mark, unsigned *ret_count)
{
    GPtrArray *stack = parser->nodes;
    struct sieve_node **nodes = NULL;

    *ret_count = stack->len - mark;
    if (*ret_count > 0)
        nodes = arena_copy(parser->compiler->arena, stack->pdata + mark,
            *ret_count * sizeof(*nodes));
    g_ptr_array_set_size(stack, (int)mark);
    return nodes;
}

/* What a parsing step leaves behind: in place, or lost (the caller looks for a place to go on). */
enum outcome { PLACED, LOST };

static bool at(const struct parser *parser, char punctuation)
{
    const struct token *token = &parser->lexer.token;

    return token->kind == TOKEN_PUNCTUATION && token->punctuation == punctuation;
}

static bool accept(struct parser *parser, char punctuation)
{
    if (!at(parser, punctuation))
        return false;
    lexer_next(&parser->lexer);
    return true;
}

static void __attribute__((format(printf, 2, 3)))
fail(struct parser *parser, const char *format, ...)
{
    const struct token *token = &parser->lexer.token;
    va_list args;

    parser->failed = true;
    if (token->kind == TOKEN_ERROR && !parser->lexer.garbage)
        return; /* the lexer has said it */
    va_start(args, format);
    const char *text = arena_vprintf(parser->compiler->arena, format, args);
    va_end(args);
    sieve_error_at(parser->compiler, token->line, token->column, "%s", text);
}

static int priority(const struct token *token)
{
    if (token->kind != TOKEN_PUNCTUATION)
        return -1;
    switch (token->punctuation) {
    case '[': case ']': return 0;
    case '(': case ')': return 1;
    case ';': return 2;
    case '{': case '}': return 3;
    default: return -1;
    }
}

/* Passes over what is broken until @closing of this level, or something of a higher level. Each
 * round takes a token, so it ends. */
static enum outcome recover(struct parser *parser, char closing)
{
    static const char opening[] = {'[', '(', 0, '{'};
    int level = closing == ']' ? 0 : closing == ')' ? 1 : closing == ';' ? 2 : 3;
    size_t depth = 1;

    while (parser->lexer.token.kind != TOKEN_END && priority(&parser->lexer.token) <= level) {
        if (opening[level] != 0 && at(parser, opening[level]))
            depth++;
        else if (at(parser, closing) && --depth == 0)
            return PLACED;
        lexer_next(&parser->lexer);
        if (parser->compiler->too_many)
            return LOST;
    }
    return closing == ';' && at(parser, '{') ? PLACED : LOST;
}

static struct sieve_node *node_new(struct parser *parser)
{
    struct sieve_node *node = ARENA_NEW(parser->compiler->arena, struct sieve_node);
    const struct token *token = &parser->lexer.token;

    node->name = token->text.data;
    node->line = token->line;
    node->column = token->column;
    node->unit = parser->compiler->unit;
    node->constant = -1;
    if (++parser->node_count == parser->compiler->options->limits.max_commands + 1)
        fail(parser, "the script has too many commands and tests (the bound is %zu)",
            parser->compiler->options->limits.max_commands);
    lexer_next(&parser->lexer);
    return node;
}

static void take_literal(struct parser *parser, GArray *strings)
{
    const struct token *token = &parser->lexer.token;
    struct sieve_literal literal = {.line = token->line, .column = token->column,
        .text = token->text};

    g_array_append_val(strings, literal);
    lexer_next(&parser->lexer);
}

static enum outcome parse_list(struct parser *parser, GArray *strings, guint mark)
{
    lexer_next(&parser->lexer);
    for (;;) {
        if (parser->lexer.token.kind != TOKEN_STRING) {
            fail(parser, "expected a string in the list, but found %s",
                lexer_describe(&parser->lexer));
            break;
        }
        if (strings->len - mark >= parser->compiler->options->limits.max_list) {
            fail(parser, "the list has too many strings (the bound is %zu)",
                parser->compiler->options->limits.max_list);
            break;
        }
        take_literal(parser, strings);
        if (accept(parser, ']'))
            return PLACED;
        if (!accept(parser, ',')) {
            fail(parser, "expected ',' or ']' in the list, but found %s",
                lexer_describe(&parser->lexer));
            break;
        }
    }
    if (recover(parser, ']') == LOST)
        return LOST;
    lexer_next(&parser->lexer);
    return PLACED;
}

/* A string list, from its bracket to behind the closing one. */
static enum outcome take_list(struct parser *parser, struct sieve_arg *arg)
{
    GArray *strings = parser->strings;
    guint mark = strings->len;
    enum outcome outcome = parse_list(parser, strings, mark);

    arg->kind = SIEVE_ARG_LIST;
    arg->count = strings->len - mark;
    if (arg->count > 0)
        arg->strings = arena_copy(parser->compiler->arena,
            &g_array_index(strings, struct sieve_literal, mark),
            arg->count * sizeof(*arg->strings));
    g_array_set_size(strings, mark);
    return outcome;
}

static void take_string(struct parser *parser, struct sieve_arg *arg)
{
    const struct token *token = &parser->lexer.token;

    arg->kind = SIEVE_ARG_STRING;
    arg->count = 1;
    arg->strings = arena_take(parser->compiler->arena, sizeof(*arg->strings));
    *arg->strings = (struct sieve_literal){.line = token->line, .column = token->column,
        .text = token->text};
    lexer_next(&parser->lexer);
}

static enum outcome parse_written(struct parser *parser, struct sieve_node *node)
{
    struct sieve_arg args[SIEVE_ARGUMENTS_MAX];
    unsigned char count = 0;
    enum outcome outcome = PLACED;

    while (outcome == PLACED) {
        const struct token *token = &parser->lexer.token;
        bool is_list = at(parser, '[');

        if (token->kind != TOKEN_TAG && token->kind != TOKEN_NUMBER &&
            token->kind != TOKEN_STRING && !is_list)
            break;
        if (count == SIEVE_ARGUMENTS_MAX) {
            fail(parser, "too many arguments for '%s'", node->name);
            return LOST;
        }
        struct sieve_arg *arg = &args[count++];
        *arg = (struct sieve_arg){.line = token->line, .column = token->column};
        if (token->kind == TOKEN_TAG) {
            arg->kind = SIEVE_ARG_TAG;
            arg->tag = token->text.data;
            lexer_next(&parser->lexer);
        } else if (token->kind == TOKEN_NUMBER) {
            arg->kind = SIEVE_ARG_NUMBER;
            arg->number = token->number;
            lexer_next(&parser->lexer);
        } else if (is_list) {
            outcome = take_list(parser, arg);
        } else {
            take_string(parser, arg);
        }
    }
    node->written_count = count;
    if (count > 0)
        node->written = arena_copy(parser->compiler->arena, args, count * sizeof(*args));
    return outcome;
}

static enum outcome parse_arguments(struct parser *parser, struct sieve_node *node,
    size_t depth);

static enum outcome parse_test(struct parser *parser, size_t depth)
{
    struct sieve_node *test = node_new(parser);

    g_ptr_array_add(parser->nodes, test);
    return parse_arguments(parser, test, depth + 1);
}

/* Behind '(' until behind ')'. */
static enum outcome parse_test_list(struct parser *parser, size_t depth)
{
    for (;;) {
        if (parser->lexer.token.kind != TOKEN_IDENTIFIER) {
            fail(parser, "expected a test in the list, but found %s",
                lexer_describe(&parser->lexer));
            break;
        }
        if (parse_test(parser, depth) == LOST)
            break;
        if (accept(parser, ')'))
            return PLACED;
        if (!accept(parser, ',')) {
            fail(parser, "expected ',' or ')' in the list of tests, but found %s",
                lexer_describe(&parser->lexer));
            break;
        }
    }
    if (recover(parser, ')') == LOST)
        return LOST;
    lexer_next(&parser->lexer);
    return PLACED;
}

/* arguments = *argument [ test / test-list ]. The recursion is bounded by max_nesting. */
static enum outcome parse_arguments(struct parser *parser, struct sieve_node *node, size_t depth)
{
    size_t bound = parser->compiler->options->limits.max_nesting;

    if (parse_written(parser, node) == LOST)
        return LOST;
    bool list = at(parser, '(');
    if (!list && parser->lexer.token.kind != TOKEN_IDENTIFIER)
        return PLACED;
    if (depth + 1 > bound) {
        fail(parser, "tests are nested too deep (the bound is %zu)", bound);
        if (!list)
            return LOST;
        lexer_next(&parser->lexer);
        if (recover(parser, ')') == LOST)
            return LOST;
        lexer_next(&parser->lexer);
        return PLACED;
    }
    guint mark = parser->nodes->len;
    enum outcome outcome;
    if (list) {
        node->has_test_list = true;
        lexer_next(&parser->lexer);
        outcome = parse_test_list(parser, depth);
    } else {
        outcome = parse_test(parser, depth);
    }
    node->tests = take_nodes(parser, mark, &node->test_count);
    return outcome;
}

static enum outcome parse_block(struct parser *parser, struct sieve_block *block, size_t depth);

/* Behind '{' until behind '}'. */
static enum outcome parse_braces(struct parser *parser, struct sieve_node *node, size_t depth)
{
    size_t bound = parser->compiler->options->limits.max_nesting;
    enum outcome outcome;

    if (depth + 1 > bound) {
        fail(parser, "blocks are nested too deep (the bound is %zu)", bound);
        outcome = LOST;
    } else {
        node->block = ARENA_NEW(parser->compiler->arena, struct sieve_block);
        outcome = parse_block(parser, node->block, depth + 1);
        if (outcome == PLACED && accept(parser, '}'))
            return PLACED;
        if (outcome == PLACED)
            fail(parser, "expected a command or '}', but found %s",
                lexer_describe(&parser->lexer));
    }
    if (recover(parser, '}') == LOST)
        return LOST;
    lexer_next(&parser->lexer);
    return PLACED;
}

static enum outcome parse_command(struct parser *parser, size_t depth)
{
    struct sieve_node *node = node_new(parser);
    enum outcome outcome;

    g_ptr_array_add(parser->nodes, node);
    outcome = parse_arguments(parser, node, 1);
    if (outcome == PLACED && !at(parser, ';') && !at(parser, '{')) {
        fail(parser, "expected ';' or '{' after '%s', but found %s", node->name,
            lexer_describe(&parser->lexer));
        outcome = LOST;
    }
    if (outcome == LOST && recover(parser, ';') == LOST)
        return LOST;
    if (accept(parser, ';'))
        return PLACED;
    lexer_next(&parser->lexer);
    return parse_braces(parser, node, depth);
}

static enum outcome parse_block(struct parser *parser, struct sieve_block *block, size_t depth)
{
    guint mark = parser->nodes->len;
    enum outcome outcome = PLACED;

    while (outcome == PLACED && parser->lexer.token.kind == TOKEN_IDENTIFIER &&
        !parser->compiler->too_many &&
        parser->node_count <= parser->compiler->options->limits.max_commands)
        outcome = parse_command(parser, depth);
    block->nodes = take_nodes(parser, mark, &block->count);
    return outcome;
}

struct sieve_block *sieve_parse(struct sieve_compiler *compiler, const char *text, size_t length)
{
    g_autoptr(GPtrArray) nodes = g_ptr_array_new();
    g_autoptr(GArray) strings = g_array_new(FALSE, TRUE, sizeof(struct sieve_literal));
    struct parser parser = {.compiler = compiler, .nodes = nodes, .strings = strings};
    unsigned errors = compiler->diagnostics->errors;
    struct sieve_block *block = ARENA_NEW(compiler->arena, struct sieve_block);

    lexer_init(&parser.lexer, compiler, text, length);
    enum outcome outcome = parse_block(&parser, block, 1);
    if (outcome == PLACED && !parser.failed && parser.lexer.token.kind != TOKEN_END &&
        !compiler->too_many)
        fail(&parser, "expected a command, but found %s", lexer_describe(&parser.lexer));
    return parser.failed || outcome == LOST || compiler->diagnostics->errors > errors ? NULL
                                                                                     : block;
}
