#include "sieve/check.h"

#include "sieve/arguments.h"
#include "sieve/vocabulary.h"

static void check_block(struct sieve_compiler *compiler, struct sieve_block *block,
    struct sieve_node *owner);

/* ------------------------------------------------------------------ one node */

static bool check_test_count(struct sieve_compiler *compiler, const struct sieve_node *node)
{
    const struct sieve_word *word = node->word;
    bool list = node->has_test_list;
    struct sieve_tag_found found;

    if (word->flags & SIEVE_WORD_ONE_TEST) {
        if (node->test_count == 1 && !list)
            return true;
        sieve_error(compiler, node, "the %s %s requires one sub-test, but %s is specified",
            word->name, sieve_kind_name(word), node->test_count == 0 ? "none" : "a list of tests");
        return false;
    }
    if (word->flags & SIEVE_WORD_TESTS) {
        if (list && node->test_count > 0)
            return true;
        sieve_error(compiler, node,
            "the %s %s requires a list of sub-tests in parentheses, but %s is specified",
            word->name, sieve_kind_name(word), node->test_count == 0 ? "none" : "a single test");
        return false;
    }
    if (node->test_count == 0)
        return true;
    const struct sieve_node *test = node->tests[0];
    const struct sieve_word *other = sieve_find_word(compiler, test->name, true);
    if (other != NULL && other->flags & SIEVE_WORD_TEST)
        sieve_error(compiler, node, "the %s %s accepts no sub-tests, but tests are specified",
            word->name, sieve_kind_name(word));
    else if (other == NULL && sieve_find_tag(compiler, node, test->name, &found))
        sieve_error(compiler, test, "missing colon ':' before the ':%s' tag in the %s %s",
            test->name, word->name, sieve_kind_name(word));
    else
        sieve_error(compiler, node, "missing semicolon ';' after the %s %s", word->name,
            sieve_kind_name(word));
    return false;
}

static bool check_block_there(struct sieve_compiler *compiler, const struct sieve_node *node)
{
    bool wanted = (node->word->flags & SIEVE_WORD_BLOCK) != 0;

    if (node->word->flags & SIEVE_WORD_TEST || wanted == (node->block != NULL))
        return true;
    sieve_error(compiler, node,
        wanted ? "the %s command requires a command block '{ … }', but it is missing"
               : "the %s command does not accept a command block, but one is specified",
        node->word->name);
    return false;
}

static bool check_node_arguments(struct sieve_compiler *compiler, struct sieve_node *node)
{
    struct sieve_match_spec *match = NULL;
    size_t first = 0;

    if (node->word->flags & (SIEVE_WORD_COMPARATOR | SIEVE_WORD_MATCH)) {
        match = ARENA_NEW(compiler->arena, struct sieve_match_spec);
        match->type = sieve_match_type_find(compiler->unit->extensions[0], "is");
    }
    /* a missing ':' makes a tag a test, which then is the better thing to complain about */
    if (!sieve_bind_tags(compiler, node, &first, match) ||
        (match != NULL && !sieve_bind_comparator(compiler, node, match)) ||
        !sieve_check_positional_count(compiler, node, first)) {
        check_test_count(compiler, node);
        return false;
    }
    if (!check_test_count(compiler, node) || !check_block_there(compiler, node) ||
        !sieve_bind_positional(compiler, node, first) ||
        (match != NULL && !sieve_bind_match(compiler, node, match)))
        return false;
    for (size_t i = 0; i < node->tag_count; i++) {
        const struct sieve_tag *tag = node->tags[i].tag;

        if (tag->check != NULL && !tag->check(compiler, node, &node->tags[i]))
            return false;
    }
    return true;
}

static bool bind_word(struct sieve_compiler *compiler, struct sieve_node *node, bool test)
{
    node->word = sieve_find_word(compiler, node->name, test);
    if (node->word == NULL) {
        sieve_report_unknown_word(compiler, node, test);
        return false;
    }
    if (((node->word->flags & SIEVE_WORD_TEST) != 0) != test) {
        sieve_error(compiler, node, "attempted to use %s '%s' as %s", sieve_kind_name(node->word),
            node->name, test ? "test" : "command");
        node->word = NULL;
        return false;
    }
    return true;
}

static bool check_node(struct sieve_compiler *compiler, struct sieve_node *node);

/* allof is known false by one false, anyof known true by one true; the rest of the list is then not
 * checked, as `ihave` wants (RFC 5463 3). */
static bool check_tests(struct sieve_compiler *compiler, struct sieve_node *node)
{
    bool fine = true;
    signed char decides = sieve_same_name(node->word->name, "allof") ? 0
        : sieve_same_name(node->word->name, "anyof")         ? 1
                                                                     : -2;
    bool all_known = true;

    for (unsigned i = 0; i < node->test_count && !compiler->too_many; i++) {
        struct sieve_node *test = node->tests[i];

        if (!bind_word(compiler, test, true) || !check_node(compiler, test)) {
            fine = false;
            continue;
        }
        all_known &= test->constant >= 0;
        if (test->constant == decides) {
            node->constant = decides;
            node->test_count = i + 1;
            return fine;
        }
    }
    if (!(node->word->flags & SIEVE_WORD_TEST) || !fine || !all_known || node->test_count == 0)
        return fine;
    if (decides >= 0)
        node->constant = !decides;
    else if (sieve_same_name(node->word->name, "not"))
        node->constant = !node->tests[0]->constant;
    return fine;
}

/* Checks a node whose word is bound. */
static bool check_node(struct sieve_compiler *compiler, struct sieve_node *node)
{
    bool takes_tests = (node->word->flags & (SIEVE_WORD_ONE_TEST | SIEVE_WORD_TESTS)) != 0;
    unsigned errors = compiler->diagnostics->errors;
    bool fine = check_node_arguments(compiler, node);

    if (takes_tests && !compiler->too_many)
        fine &= check_tests(compiler, node);
    /* the word's own check sees its tests checked; a structural error (elsif without if) is worth
     * saying even when a test inside is wrong */
    /* `fine` too: an error that is reported only once does not count the second time */
    if (fine && compiler->diagnostics->errors == errors && node->word->check != NULL)
        fine &= node->word->check(compiler, node);
    if (node->block != NULL && node->word->flags & SIEVE_WORD_BLOCK && !compiler->too_many) {
        bool skipped = fine && node->test_count == 1 && node->tests[0]->constant == 0;

        if (skipped)
            node->block = ARENA_NEW(compiler->arena, struct sieve_block);
        else
            check_block(compiler, node->block, node);
    }
    return fine;
}

/* ------------------------------------------------------------------ blocks */

static void warn_unreachable(struct sieve_compiler *compiler, const struct sieve_block *block,
    size_t index)
{
    const struct sieve_node *node = block->nodes[index];

    if (node->word == NULL || !(node->word->flags & SIEVE_WORD_CONTROL) ||
        index + 1 >= block->count)
        return;
    sieve_warning(compiler, block->nodes[index + 1],
        "this is never reached: '%s' in line %u ends the script before it", node->name,
        node->line);
}

static void check_block(struct sieve_compiler *compiler, struct sieve_block *block,
    struct sieve_node *owner)
{
    if (owner != NULL)
        compiler->enclosing[compiler->enclosing_count++] = owner;
    struct sieve_block *outer = compiler->block;
    size_t outer_index = compiler->block_index;
    for (size_t i = 0; i < block->count && !compiler->too_many; i++) {
        compiler->block = block;
        compiler->block_index = i;
        if (bind_word(compiler, block->nodes[i], false))
            check_node(compiler, block->nodes[i]);
        warn_unreachable(compiler, block, i);
    }
    compiler->block = outer;
    compiler->block_index = outer_index;
    if (owner != NULL)
        compiler->enclosing_count--;
}

void sieve_check_unit(struct sieve_compiler *compiler, struct sieve_block *block)
{
    /* the parser has bounded how deep blocks stand */
    compiler->enclosing = ARENA_ARRAY(compiler->arena, struct sieve_node *,
        compiler->options->limits.max_nesting + 1);
    check_block(compiler, block, NULL);
}

struct sieve_node *sieve_enclosing(const struct sieve_compiler *compiler, const char *name)
{
    for (size_t i = compiler->enclosing_count; i > 0; i--)
        if (sieve_same_name(compiler->enclosing[i - 1]->name, name))
            return compiler->enclosing[i - 1];
    return NULL;
}
