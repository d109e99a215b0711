/*
 * vnd.dovecot.pipe: pipe. vnd.dovecot.filter: filter. vnd.dovecot.execute: execute.
 *
 * Pigeonhole's spec-bosch-sieve-extprograms. Status: complete.
 *
 * Off unless the site switches them on. Which programs there are, how long they may run and how
 * much they may write is the host's to decide; there is no shell. A name is constant, so that no
 * mail can choose the program. `pipe` is an action that the host carries out at the end; `filter`
 * and `execute` run at once and are tests too.
 */
#include <string.h>

#include "lda/mail/message.h"

#include "sieve/ext/list.h"
#include "sieve/sieve-internal.h"

#define MOST_NAME 128u         /* characters; the specification's least */
#define MOST_ARGUMENTS 16u
#define MOST_ARGUMENT 1024u    /* bytes each */
#define MOST_OUTPUT (1u << 20) /* of execute: a variable keeps less */
#define MOST_MESSAGE (64u << 20) /* of filter */
#define MOST_MESSAGES (256u << 20) /* of all filters of a run: each message is kept to its end */

/* ------------------------------------------------------------------ names and arguments (3, 4) */

/* NULL: valid, else what is wrong. */
static const char *name_fault(const struct sieve_string *name)
{
    if (name->length == 0 || name->data[0] == '.')
        return "it is empty or begins with a dot";
    if (strlen(name->data) != name->length ||
        !g_utf8_validate_len(name->data, name->length, NULL))
        return "it is not valid UTF-8";
    if (g_utf8_strlen(name->data, -1) > (glong)MOST_NAME)
        return "it is too long";
    for (const char *at = name->data; *at != '\0'; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);

        if (c < 0x20 || c == '/' || (c >= 0x7F && c <= 0x9F) || c == 0x2028 || c == 0x2029)
            return "it has a character that is not allowed";
    }
    return NULL;
}

static const char *argument_fault(const struct sieve_string *argument)
{
    if (argument->length > MOST_ARGUMENT)
        return "it is too long";
    for (size_t i = 0; i < argument->length; i++)
        if (strchr("\r\n", argument->data[i]) != NULL || argument->data[i] == '\0')
            return "it has a line break or NUL in it";
    return NULL;
}

static bool check_program(struct sieve_compiler *compiler, struct sieve_node *node)
{
    const struct sieve_string *name = sieve_constant(node->args[0]);
    const char *fault = name != NULL ? name_fault(name) : "it must be a constant string";

    if (fault != NULL) {
        sieve_error(compiler, node, "%s: invalid program name '%.100s': %s", node->name,
            name != NULL ? name->data : node->args[0]->strings[0].text.data, fault);
        return false;
    }
    if (node->args[1] == NULL)
        return true;
    if (node->args[1]->count > MOST_ARGUMENTS) {
        sieve_error(compiler, node, "%s: more than %u arguments", node->name, MOST_ARGUMENTS);
        return false;
    }
    for (size_t i = 0; i < node->args[1]->count; i++) {
        const struct sieve_string *argument = sieve_constant_at(node->args[1], i);

        fault = argument != NULL ? argument_fault(argument) : NULL;
        if (fault != NULL) {
            sieve_error(compiler, node, "%s: invalid argument '%.80s': %s", node->name,
                argument->data, fault);
            return false;
        }
    }
    return true;
}

/* NULL: the error is set. */
static const char *const *arguments_of(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_list list = sieve_arg_list(run, node, 1);

    for (size_t i = 0; i < list.count; i++) {
        const char *fault = argument_fault(&list.items[i]);

        if (fault != NULL) {
            sieve_fail(run, node, "%s: invalid argument '%.80s': %s", node->name,
                list.items[i].data, fault);
            return NULL;
        }
    }
    return sieve_list_strv(run->arena, &list);
}

/* ------------------------------------------------------------------ pipe (5) */

/* One script may pipe to a program once. */
static bool is_repeated(const struct sieve_run *run, const struct sieve_action *pipe)
{
    const struct sieve_action *action;

    for (size_t i = 0; (action = sieve_action_at(run, i)) != NULL; i++)
        if (action->kind == SIEVE_ACTION_PIPE && strcmp(action->script, pipe->script) == 0 &&
            strcmp(action->pipe.program, pipe->pipe.program) == 0)
            return true;
    return false;
}

static enum sieve_status run_pipe(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_action *action = sieve_action_new(run, node, SIEVE_ACTION_PIPE);

    action->pipe.program = arena_strdup(run->arena, sieve_arg_string(run, node, 0).data);
    action->pipe.arguments = arguments_of(run, node);
    action->pipe.try = sieve_node_tag(node, "try") != NULL;
    if (action->pipe.arguments == NULL)
        return SIEVE_ERROR;
    if (is_repeated(run, action))
        return sieve_fail(run, node, "pipe: the script pipes to '%s' more than once",
            action->pipe.program);
    return sieve_action_commit(run, node, action);
}

/* ------------------------------------------------------------------ running now */

static bool is_test(const struct sieve_node *node)
{
    return (node->word->flags & SIEVE_WORD_TEST) != 0;
}

/* Asks the host. As a test a program that is missing or fails is "false"; as a command one that
 * could not run ends the script. TRUE: *ret_output is set (g_free). */
static enum sieve_status call(struct sieve_run *run, const struct sieve_node *node,
    struct sieve_program_call *program, char **ret_output, size_t *ret_length)
{
    struct error err;
    enum sieve_answer answer;

    program->name = sieve_arg_string(run, node, 0).data;
    program->arguments = arguments_of(run, node);
    if (program->arguments == NULL)
        return SIEVE_ERROR;
    error_set(&err, ERROR_REFUSED, "program %s: this site allows no programs", program->name);
    answer = run->host->run_program == NULL
        ? SIEVE_FAILED
        : run->host->run_program(run->host->ctx, program, ret_output, ret_length, &err);
    switch (answer) {
    case SIEVE_YES:
        sieve_trace(run, node, "program %s: done", program->name);
        return SIEVE_TRUE;
    case SIEVE_NO:
        sieve_trace(run, node, "program %s: it says no", program->name);
        return SIEVE_FALSE;
    case SIEVE_FAILED:
        break;
    }
    if (!is_test(node))
        return sieve_fail(run, node, "failed to execute: %s", err.text);
    sieve_log(run, node, "failed to execute: %s", err.text);
    return SIEVE_FALSE;
}

/* A command goes on, whatever its program said. */
static enum sieve_status outcome(const struct sieve_node *node, enum sieve_status status)
{
    return is_test(node) || status == SIEVE_ERROR ? status : SIEVE_NEXT;
}

/* ------------------------------------------------------------------ filter (6) */

struct filtered {
    size_t bytes; /* of all messages that filters gave */
};

static enum sieve_status take_message(struct sieve_run *run, const struct sieve_node *node,
    const char *text, size_t length)
{
    struct filtered *filtered = sieve_sequence_state(run, &sieve_ext_vnd_dovecot_filter,
        sizeof(*filtered));
    const struct message_options options = {.charsets = message_charsets(run->message)};

    filtered->bytes += length;
    if (filtered->bytes > MOST_MESSAGES)
        return sieve_fail(run, node, "filter: the programs of this script write too much");
    sieve_set_message(run, message_open_bytes(text, length, &options));
    return SIEVE_TRUE;
}

static enum sieve_status run_filter(struct sieve_run *run, const struct sieve_node *node)
{
    off_t size = message_size(run->message);
    struct sieve_program_call program = {
        .kind = SIEVE_PROGRAM_FILTER,
        .message = run->message,
        .max_output = size < (off_t)(MOST_MESSAGE / 2) - (1 << 20) ? (size_t)size * 2 + (1u << 20)
                                                                   : MOST_MESSAGE,
    };
    g_autofree char *output = NULL;
    size_t length = 0;
    enum sieve_status status = call(run, node, &program, &output, &length);

    if (status == SIEVE_TRUE && length == 0) {
        /* a filter that forgot to write must not make the mail vanish */
        sieve_log(run, node, "filter: program %s wrote nothing: the message stays as it is",
            program.name);
        status = SIEVE_FALSE;
    }
    if (status == SIEVE_TRUE)
        status = take_message(run, node, output, length);
    return outcome(node, status);
}

/* ------------------------------------------------------------------ execute (7) */

static bool check_execute(struct sieve_compiler *compiler, struct sieve_node *node)
{
    const struct sieve_bound_tag *output = sieve_node_tag(node, "output");

    if (output != NULL) {
        if (!sieve_has(compiler, "variables")) {
            sieve_error_at(compiler, output->line, output->column,
                "the :output tag for execute needs 'require \"variables\";' at the top of the "
                "script");
            return false;
        }
        node->data = sieve_variable_bind(compiler, output->arg);
        if (node->data == NULL)
            return false;
    }
    return check_program(compiler, node);
}

/* CRLF as in the script, or what sieve_execute_input_eol says. */
static void fill_input(struct sieve_run *run, const struct sieve_string *text,
    struct sieve_program_call *program)
{
    const char *eol = sieve_setting(run->options, "sieve_execute_input_eol");

    if (eol != NULL && g_ascii_strcasecmp(eol, "lf") == 0) {
        program->input = sieve_text_lf(run->arena, text);
        program->input_length = strlen(program->input);
    } else {
        struct sieve_string crlf = sieve_text_crlf(run->arena, text);

        program->input = crlf.data;
        program->input_length = crlf.length;
    }
}

static enum sieve_status run_execute(struct sieve_run *run, const struct sieve_node *node)
{
    const struct sieve_bound_tag *input = sieve_node_tag(node, "input");
    struct sieve_program_call program = {
        .kind = SIEVE_PROGRAM_EXECUTE,
        .max_output = MOST_OUTPUT,
    };
    g_autofree char *output = NULL;
    size_t length = 0;

    if (sieve_node_tag(node, "pipe") != NULL)
        program.message = run->message;
    if (input != NULL) {
        struct sieve_string text = sieve_tag_string(run, input);

        fill_input(run, &text, &program);
    }
    enum sieve_status status = call(run, node, &program, &output, &length);
    if (status == SIEVE_TRUE && node->data != NULL) {
        struct sieve_string value = {output != NULL ? output : "", length};

        if (!sieve_work(run, node, length) ||
            sieve_variable_set(run, node, node->data, &value) == SIEVE_ERROR)
            return SIEVE_ERROR;
    }
    return outcome(node, status);
}

/* ------------------------------------------------------------------ tables */

static const struct sieve_tag pipe_tags[] = {
    {.name = "try", .argument = ""},
    {NULL},
};

static const struct sieve_tag execute_tags[] = {
    {.name = "input", .argument = "s", .group = "input"},
    {.name = "pipe", .argument = "", .group = "input"},
    {.name = "output", .argument = "s"},
    {NULL},
};

#define PROGRAM_ARGS .args = "sL", .arg_names = "program-name,arguments"

static const struct sieve_word pipe_words[] = {
    {.name = "pipe", PROGRAM_ARGS, .tags = pipe_tags, .check = check_program, .run = run_pipe},
    {NULL},
};

static const struct sieve_word filter_words[] = {
    {.name = "filter", PROGRAM_ARGS, .check = check_program, .run = run_filter},
    {.name = "filter", PROGRAM_ARGS, .flags = SIEVE_WORD_TEST, .check = check_program,
        .run = run_filter},
    {NULL},
};

static const struct sieve_word execute_words[] = {
    {.name = "execute", PROGRAM_ARGS, .tags = execute_tags, .check = check_execute,
        .run = run_execute},
    {.name = "execute", PROGRAM_ARGS, .flags = SIEVE_WORD_TEST, .tags = execute_tags,
        .check = check_execute, .run = run_execute},
    {NULL},
};

const struct sieve_extension sieve_ext_vnd_dovecot_pipe = {
    .name = "vnd.dovecot.pipe",
    .rfc = "Pigeonhole",
    .status = "complete",
    .flags = SIEVE_EXTENSION_SITE_ONLY,
    .words = pipe_words,
};

const struct sieve_extension sieve_ext_vnd_dovecot_filter = {
    .name = "vnd.dovecot.filter",
    .rfc = "Pigeonhole",
    .status = "complete",
    .flags = SIEVE_EXTENSION_SITE_ONLY,
    .words = filter_words,
};

const struct sieve_extension sieve_ext_vnd_dovecot_execute = {
    .name = "vnd.dovecot.execute",
    .rfc = "Pigeonhole",
    .status = "complete",
    .flags = SIEVE_EXTENSION_SITE_ONLY,
    .words = execute_words,
};
