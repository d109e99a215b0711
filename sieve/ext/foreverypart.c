/*
 * foreverypart: the loop over MIME parts, and break.
 *
 * RFC 5703, section 3. Status: complete.
 *
 * A loop remembers where it stands as a path of child numbers and finds the part again in each
 * round, because `replace` and `enclose` give the message another tree.
 */
#include "sieve/ext/foreverypart.h"

#include <string.h>

#include "lda/mail/message.h"

#include "sieve/ext/list.h"

#define MAX_STALE 100000u
#define MAX_LOOPS 4u /* inside each other, as in Pigeonhole; includes count */

/* A loop that runs. */
struct loop {
    struct loop *outer;
    GArray *path;     /* unsigned: the way from the root to the current part */
    guint base;       /* parts of the path that lead to where the loop began */
    bool replaced;    /* the current part's children are not visited */
    struct message_part *root; /* the tree that @part was found in; NULL: not looked for yet */
    struct message_part *part; /* at path; NULL: gone */
};

struct loops {
    struct loop *innermost;
    size_t count;
    size_t stale; /* parts in trees that changes have left behind */
};

static struct loops *loops_of(struct sieve_run *run)
{
    return sieve_stage_state(run, &sieve_ext_foreverypart, sizeof(struct loops));
}

/* ------------------------------------------------------------------ paths */

static struct message_part *part_at(struct message_part *root, const GArray *path, guint length)
{
    struct message_part *part = root;

    for (guint i = 0; i < length && part != NULL; i++) {
        part = message_part_first_child(part);
        for (unsigned n = g_array_index(path, unsigned, i); n > 0 && part != NULL; n--)
            part = message_part_next_sibling(part);
    }
    return part;
}

static bool find_root(struct sieve_run *run, const struct sieve_node *node,
    struct message_part **ret_root)
{
    struct error err;

    if (message_mime(run->message, ret_root, &err))
        return true;
    sieve_fail(run, node, "cannot read the message: %s", err.text);
    return false;
}

static struct message_part *resolve(struct loop *loop, struct message_part *root)
{
    if (loop->root != root) {
        loop->root = root;
        loop->part = part_at(root, loop->path, loop->path->len);
    }
    return loop->part;
}

/* Moves to the next part in the order of the message, staying below @loop->base; false: there is
 * none. */
static bool advance(struct loop *loop, struct message_part *root)
{
    struct message_part *part = resolve(loop, root), *next;
    unsigned first = 0;

    if (part != NULL && !loop->replaced && message_part_first_child(part) != NULL) {
        g_array_append_val(loop->path, first);
        loop->part = message_part_first_child(part);
        return true;
    }
    loop->replaced = false;
    while (loop->path->len > loop->base) {
        next = part != NULL ? message_part_next_sibling(part) : NULL;
        if (next != NULL) {
            g_array_index(loop->path, unsigned, loop->path->len - 1)++;
            loop->part = next;
            return true;
        }
        g_array_set_size(loop->path, loop->path->len - 1);
        part = part != NULL ? message_part_parent(part)
                            : part_at(root, loop->path, loop->path->len);
    }
    return false;
}

bool foreverypart_is_running(struct sieve_run *run)
{
    return loops_of(run)->innermost != NULL;
}

bool foreverypart_current(struct sieve_run *run, const struct sieve_node *node,
    struct message_part **ret_part)
{
    struct loop *loop = loops_of(run)->innermost;
    struct message_part *root;

    *ret_part = NULL;
    if (loop == NULL)
        return true;
    if (!find_root(run, node, &root))
        return false;
    *ret_part = resolve(loop, root);
    return true;
}

bool foreverypart_may_change(struct sieve_run *run, const struct sieve_node *node)
{
    struct loops *loops = loops_of(run);
    struct message_part *part;

    if (!sieve_work(run, node, (size_t)message_body_size(run->message)) ||
        !find_root(run, node, &part))
        return false;
    for (; part != NULL; part = message_part_next(part, NULL))
        loops->stale++;
    if (loops->stale <= MAX_STALE)
        return true;
    sieve_fail(run, node, "%s: the script changes too many parts of the message", node->name);
    return false;
}

/* Loops around the innermost one that stand at the same part or at one around it keep their
 * children: only those at the very part are told. */
void foreverypart_was_replaced(struct sieve_run *run)
{
    struct loop *innermost = loops_of(run)->innermost;

    for (struct loop *loop = innermost; loop != NULL; loop = loop->outer)
        if (loop->path->len == innermost->path->len)
            loop->replaced = true;
}

void foreverypart_was_enclosed(struct sieve_run *run)
{
    /* second child of the multipart, then the message inside of message/rfc822 */
    const unsigned way[] = {1, 0};

    for (struct loop *loop = loops_of(run)->innermost; loop != NULL; loop = loop->outer) {
        g_array_prepend_vals(loop->path, way, G_N_ELEMENTS(way));
        loop->base += (guint)G_N_ELEMENTS(way);
    }
}

/* ------------------------------------------------------------------ the commands */

static size_t enclosing_loops(const struct sieve_compiler *compiler)
{
    size_t count = 0;

    for (size_t i = 0; i < compiler->enclosing_count; i++)
        count += g_ascii_strcasecmp(compiler->enclosing[i]->name, "foreverypart") == 0;
    return count;
}

static bool check_foreverypart(struct sieve_compiler *compiler, struct sieve_node *node)
{
    if (enclosing_loops(compiler) < MAX_LOOPS)
        return true;
    sieve_error(compiler, node, "foreverypart loops are nested too deep (the bound is %u)",
        MAX_LOOPS);
    return false;
}

static void free_path(void *data)
{
    g_array_unref(data);
}

/* A loop inside a loop visits what is below the current part, not the part itself. */
static enum sieve_status run_foreverypart(struct sieve_run *run, const struct sieve_node *node)
{
    struct loops *loops = loops_of(run);
    struct loop loop = {.outer = loops->innermost};
    struct message_part *root;
    enum sieve_status status = SIEVE_NEXT;

    if (loops->count >= MAX_LOOPS)
        return sieve_fail(run, node, "foreverypart loops are nested too deep (the bound is %u)",
            MAX_LOOPS);
    if (!find_root(run, node, &root))
        return SIEVE_ERROR;
    loop.path = arena_own(run->arena, g_array_new(FALSE, FALSE, sizeof(unsigned)), free_path);
    if (loop.outer != NULL) {
        loop.base = loop.outer->path->len;
        loop.replaced = loop.outer->replaced;
        g_array_append_vals(loop.path, loop.outer->path->data, loop.outer->path->len);
    }
    bool more = loop.outer == NULL || advance(&loop, root);
    loops->innermost = &loop;
    loops->count++;
    while (more && status == SIEVE_NEXT) {
        if (!sieve_work(run, node, 1)) {
            status = SIEVE_ERROR;
            break;
        }
        sieve_trace(run, node, "foreverypart: part %u at depth %u",
            loop.path->len > 0 ? g_array_index(loop.path, unsigned, loop.path->len - 1) + 1 : 1,
            loop.path->len);
        status = sieve_run_block(run, node->block);
        if (status != SIEVE_NEXT)
            break;
        if (!find_root(run, node, &root))
            status = SIEVE_ERROR;
        else
            more = advance(&loop, root);
    }
    loops->innermost = loop.outer;
    loops->count--;
    if (status == SIEVE_BREAK && run->break_target == node) {
        run->break_target = NULL;
        status = SIEVE_NEXT;
    }
    return status;
}

static const char *loop_name(const struct sieve_node *loop)
{
    const struct sieve_bound_tag *tag = sieve_node_tag(loop, "name");
    const struct sieve_string *name = tag != NULL ? sieve_constant(tag->arg) : NULL;

    return name != NULL ? name->data : NULL;
}

static bool check_break(struct sieve_compiler *compiler, struct sieve_node *node)
{
    const char *name = loop_name(node);
    bool inside = false;

    for (size_t i = compiler->enclosing_count; i > 0; i--) {
        struct sieve_node *loop = compiler->enclosing[i - 1];

        if (g_ascii_strcasecmp(loop->name, "foreverypart") != 0)
            continue;
        inside = true;
        if (name == NULL || g_strcmp0(loop_name(loop), name) == 0) {
            node->data = loop;
            return true;
        }
    }
    if (inside)
        sieve_error(compiler, node, "break: there is no foreverypart loop of the name '%.80s' here",
            name);
    else
        sieve_error(compiler, node, "break: it stands in no foreverypart loop");
    return false;
}

static enum sieve_status run_break(struct sieve_run *run, const struct sieve_node *node)
{
    sieve_trace(run, node, "break");
    run->break_target = node->data;
    return SIEVE_BREAK;
}

static bool check_name(struct sieve_compiler *compiler, struct sieve_node *node,
    struct sieve_bound_tag *bound)
{
    if (sieve_constant(bound->arg) != NULL)
        return true;
    sieve_error_at(compiler, bound->line, bound->column,
        "the :name tag for the %s command needs a constant string", node->word->name);
    return false;
}

/* ------------------------------------------------------------------ tables */

static const struct sieve_tag name_tags[] = {
    {.name = "name", .argument = "s", .check = check_name},
    {NULL},
};

static const struct sieve_word words[] = {
    {.name = "foreverypart", .flags = SIEVE_WORD_BLOCK, .tags = name_tags,
        .check = check_foreverypart, .run = run_foreverypart},
    {.name = "break", .flags = SIEVE_WORD_CONTROL, .tags = name_tags, .check = check_break,
        .run = run_break},
    {NULL},
};

const struct sieve_extension sieve_ext_foreverypart = {
    .name = "foreverypart",
    .rfc = "RFC 5703",
    .status = "complete",
    .words = words,
};
