/*
 * Walks the nodes of a program. Recursion follows the nesting of the script, which compiling has
 * bounded; steps, processor time and memory are counted.
 */
#include "sieve/eval.h"

#include <string.h>

#include "lda/base/error.h"
#include "lda/mail/address.h"
#include "lda/mail/message.h"

#include "sieve/engine_libsieve.h"

struct sieve_owned_result {
    struct sieve_result result; /* first: what the caller sees */
    struct arena *arena;
};

/* ------------------------------------------------------------------ errors, log, trace */

enum sieve_status sieve_fail(struct sieve_run *run, const struct sieve_node *node,
    const char *format, ...)
{
    struct sieve_engine_state *state = run->state;
    va_list args;

    if (state->error != NULL)
        return SIEVE_ERROR;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    for (char *p = valid; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            *p = '?';
    state->error = arena_strdup(run->arena, valid);
    state->error_script = node != NULL && node->unit != NULL ? node->unit->name
        : run->unit != NULL                                  ? run->unit->name
                                                             : "script";
    state->error_line = node != NULL ? node->line : 0;
    g_ptr_array_add(state->runtime_errors, state->error);
    return SIEVE_ERROR;
}

enum sieve_status sieve_fail_host(struct sieve_run *run, const struct sieve_node *node,
    const char *what)
{
    return sieve_fail(run, node, "cannot tell now: %s", what);
}

static void __attribute__((format(printf, 4, 0)))
add_note(struct sieve_run *run, GArray *notes, const struct sieve_node *node,
    const char *format, va_list args)
{
    g_autofree char *text = g_strdup_vprintf(format, args);
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    struct sieve_note note = {.depth = (unsigned)run->state->depth};

    if (notes->len >= run->options->limits.max_trace)
        return;
    for (char *p = valid; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t')
            *p = '?';
    note.text = arena_strdup(run->arena, valid);
    note.script = arena_strdup(run->arena, node != NULL && node->unit != NULL ? node->unit->name
                                                                              : "script");
    note.line = node != NULL ? node->line : 0;
    g_array_append_val(notes, note);
}

void sieve_log(struct sieve_run *run, const struct sieve_node *node, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add_note(run, run->state->logs, node, format, args);
    va_end(args);
}

void sieve_log_error(struct sieve_run *run, const struct sieve_node *node, const char *format, ...)
{
    va_list args;
    guint before = run->state->logs->len;

    va_start(args, format);
    add_note(run, run->state->logs, node, format, args);
    va_end(args);
    if (run->state->logs->len > before)
        g_ptr_array_add(run->state->runtime_errors, (gpointer)(uintptr_t)
            g_array_index(run->state->logs, struct sieve_note, before).text);
}

void sieve_trace(struct sieve_run *run, const struct sieve_node *node, const char *format, ...)
{
    va_list args;

    if (!run->tracing)
        return;
    va_start(args, format);
    add_note(run, run->state->trace, node, format, args);
    va_end(args);
}

/* The clock is a system call, which most runs are too short for: it starts when it is first asked. */
static bool cpu_is_used_up(struct sieve_run *run)
{
    struct timespec *start = &run->state->cpu_start, now;

    if (run->options->limits.max_cpu_ms == 0 ||
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0)
        return false;
    if (!run->state->cpu_started) {
        run->state->cpu_started = true;
        *start = now;
        return false;
    }
    gint64 ms = (gint64)(now.tv_sec - start->tv_sec) * 1000 +
        (now.tv_nsec - start->tv_nsec) / 1000000;
    return ms > (gint64)run->options->limits.max_cpu_ms;
}

bool sieve_work(struct sieve_run *run, const struct sieve_node *node, size_t bytes)
{
    struct sieve_engine_state *state = run->state;
    size_t before = state->work >> 20;

    state->work += bytes;
    if (state->work > run->options->limits.max_match_work) {
        sieve_fail(run, node, "the script looks at too much text");
        return false;
    }
    if (state->work >> 20 != before && cpu_is_used_up(run)) {
        sieve_fail(run, node, "execution exceeded the CPU time limit");
        return false;
    }
    return true;
}

static bool count_step(struct sieve_run *run, const struct sieve_node *node)
{
    struct sieve_engine_state *state = run->state;

    if (++state->steps > run->options->limits.max_steps) {
        sieve_fail(run, node, "the script takes too many steps (the bound is %zu)",
            run->options->limits.max_steps);
        return false;
    }
    if (state->steps % 64 == 0 && cpu_is_used_up(run)) {
        sieve_fail(run, node, "execution exceeded the CPU time limit");
        return false;
    }
    if (arena_used(run->arena) > run->options->limits.max_memory) {
        sieve_fail(run, node, "the script needs too much memory");
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------ arguments */

static struct sieve_string eval_literal(struct sieve_run *run, const struct sieve_literal *literal)
{
    const struct sieve_pieces *pieces = literal->pieces;

    if (pieces == NULL)
        return literal->text;
    size_t length = 0, at = 0;
    struct sieve_string *parts = ARENA_ARRAY(run->arena, struct sieve_string, pieces->count);
    for (size_t i = 0; i < pieces->count; i++) {
        const struct sieve_piece *piece = &pieces->items[i];

        parts[i] = piece->variable != NULL ? sieve_variable_get(run, piece->variable)
                                           : piece->text;
        length += parts[i].length;
    }
    if (pieces->count == 1)
        return parts[0];
    char *text = arena_alloc(run->arena, length + 1);
    for (size_t i = 0; i < pieces->count; i++) {
        if (parts[i].length > 0)
            memcpy(text + at, parts[i].data, parts[i].length);
        at += parts[i].length;
    }
    return (struct sieve_string){text, length};
}

struct sieve_string sieve_eval_string(struct sieve_run *run, const struct sieve_arg *arg)
{
    if (arg == NULL || arg->count == 0)
        return (struct sieve_string){NULL, 0};
    return eval_literal(run, &arg->strings[0]);
}

struct sieve_list sieve_eval_list(struct sieve_run *run, const struct sieve_arg *arg)
{
    if (arg == NULL || arg->count == 0)
        return (struct sieve_list){NULL, 0};
    if (arg->values != NULL)
        return (struct sieve_list){arg->values, arg->count};
    struct sieve_string *items = ARENA_ARRAY(run->arena, struct sieve_string, arg->count);
    for (size_t i = 0; i < arg->count; i++)
        items[i] = eval_literal(run, &arg->strings[i]);
    return (struct sieve_list){items, arg->count};
}

static const struct sieve_arg *argument(const struct sieve_node *node, size_t index)
{
    return index < node->arg_count ? node->args[index] : NULL;
}

struct sieve_string sieve_arg_string(struct sieve_run *run, const struct sieve_node *node,
    size_t index)
{
    return sieve_eval_string(run, argument(node, index));
}

struct sieve_list sieve_arg_list(struct sieve_run *run, const struct sieve_node *node,
    size_t index)
{
    return sieve_eval_list(run, argument(node, index));
}

uint64_t sieve_arg_number(const struct sieve_node *node, size_t index)
{
    const struct sieve_arg *arg = argument(node, index);

    return arg == NULL ? 0 : arg->number;
}

struct sieve_string sieve_tag_string(struct sieve_run *run, const struct sieve_bound_tag *tag)
{
    return sieve_eval_string(run, tag->arg);
}

struct sieve_list sieve_tag_list(struct sieve_run *run, const struct sieve_bound_tag *tag)
{
    return sieve_eval_list(run, tag->arg);
}

uint64_t sieve_tag_number(const struct sieve_bound_tag *tag)
{
    return tag->arg == NULL ? 0 : tag->arg->number;
}

/* ------------------------------------------------------------------ variables */

static struct sieve_string *variable_slot(struct sieve_run *run,
    const struct sieve_variable *variable)
{
    struct sieve_engine_state *state = run->state;

    if (variable->kind == SIEVE_VARIABLE_GLOBAL)
        return variable->index < state->global_count ? &state->globals[variable->index] : NULL;
    if (variable->kind == SIEVE_VARIABLE_LOCAL && state->frame != NULL)
        return variable->index < state->frame->count ? &state->frame->values[variable->index]
                                                     : NULL;
    return NULL;
}

struct sieve_string sieve_variable_get(struct sieve_run *run,
    const struct sieve_variable *variable)
{
    struct sieve_string value = {"", 0};

    if (variable->kind == SIEVE_VARIABLE_MATCH) {
        sieve_match_variable(run, variable->index, &value);
    } else if (variable->kind == SIEVE_VARIABLE_NAMESPACE) {
        if (!variable->space->get(run, variable->rest, variable->data, &value))
            value = (struct sieve_string){"", 0};
    } else {
        const struct sieve_string *slot = variable_slot(run, variable);

        if (slot != NULL && slot->data != NULL)
            value = *slot;
    }
    return value;
}

enum sieve_status sieve_variable_set(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_variable *variable, const struct sieve_string *value)
{
    size_t length = value->length, most = run->options->limits.max_variable_size;

    if (length > most)
        for (length = most; length > 0 && ((unsigned char)value->data[length] & 0xC0) == 0x80;)
            length--;
    struct sieve_string copy = {arena_memdup(run->arena, value->data, length), length};
    sieve_trace(run, node, "variable ${%s} becomes \"%.80s\"", variable->name, copy.data);
    if (variable->kind == SIEVE_VARIABLE_NAMESPACE)
        return variable->space->set == NULL
            ? sieve_fail(run, node, "variable '%s' is read-only", variable->name)
            : variable->space->set(run, variable->rest, variable->data, &copy);
    struct sieve_string *slot = variable_slot(run, variable);
    if (slot != NULL)
        *slot = copy;
    return SIEVE_NEXT;
}

void sieve_match_capture(struct sieve_run *run, const struct sieve_string *values, size_t count)
{
    struct sieve_engine_state *state = run->state;

    if (run->keeps_captures || !sieve_run_has(run, "variables"))
        return;
    state->match_count = MIN(count, SIEVE_MATCH_VALUES);
    for (size_t i = 0; i < state->match_count; i++) {
        size_t length = MIN(values[i].length, run->options->limits.max_variable_size);

        state->match_values[i].data = arena_memdup(run->arena,
            values[i].data != NULL ? values[i].data : "", length);
        state->match_values[i].length = length;
    }
}

bool sieve_match_variable(struct sieve_run *run, size_t index, struct sieve_string *ret)
{
    const struct sieve_engine_state *state = run->state;

    if (index >= state->match_count)
        return false;
    *ret = state->match_values[index];
    return true;
}

/* ------------------------------------------------------------------ walking */

static const char *truth_name(enum sieve_status status)
{
    return status == SIEVE_TRUE ? "true" : status == SIEVE_FALSE ? "false" : "error";
}

enum sieve_status sieve_run_test(struct sieve_run *run, const struct sieve_node *test)
{
    if (!count_step(run, test))
        return SIEVE_ERROR;
    if (run->tracing && test->test_count > 0)
        sieve_trace(run, test, "%s:", test->name);
    run->state->depth++;
    enum sieve_status status = test->constant >= 0 && test->word->run == NULL
        ? (enum sieve_status)test->constant
        : test->word->run(run, test);
    run->state->depth--;
    sieve_trace(run, test, "%s: %s", test->name, truth_name(status));
    return status;
}

enum sieve_status sieve_run_block(struct sieve_run *run, const struct sieve_block *block)
{
    enum sieve_status status = SIEVE_NEXT;

    run->state->depth++;
    for (size_t i = 0; block != NULL && i < block->count; i++) {
        const struct sieve_node *node = block->nodes[i];

        if (status != SIEVE_NEXT && status != SIEVE_FALSE)
            break;
        if (node->word->flags & SIEVE_WORD_BRANCH && status != SIEVE_FALSE)
            continue;
        status = SIEVE_NEXT;
        if (!count_step(run, node)) {
            status = SIEVE_ERROR;
            break;
        }
        if (node->word->run != NULL)
            status = node->word->run(run, node);
    }
    run->state->depth--;
    return status == SIEVE_FALSE ? SIEVE_NEXT : status;
}

static struct sieve_frame *frame_new(struct sieve_run *run, const struct sieve_unit *unit)
{
    struct sieve_frame *frame = ARENA_NEW(run->arena, struct sieve_frame);

    frame->count = unit->scope->count;
    frame->values = ARENA_ARRAY(run->arena, struct sieve_string, frame->count);
    return frame;
}

enum sieve_status sieve_run_unit(struct sieve_run *run, const struct sieve_node *node,
    const struct sieve_unit *unit)
{
    struct sieve_engine_state *state = run->state;
    struct sieve_frame *frame = state->frame;
    const struct sieve_unit *outer = run->unit;

    if (++state->includes > run->options->limits.max_includes)
        return sieve_fail(run, node, "too many scripts are included (the bound is %zu)",
            run->options->limits.max_includes);
    sieve_trace(run, node, "script %s begins", unit->name);
    run->unit = unit;
    state->frame = frame_new(run, unit);
    enum sieve_status status = sieve_run_block(run, unit->block);
    state->frame = frame;
    run->unit = outer;
    sieve_trace(run, node, "script %s ends", unit->name);
    return status == SIEVE_RETURN ? SIEVE_NEXT : status;
}

bool sieve_run_has(const struct sieve_run *run, const char *extension)
{
    for (size_t i = 0; run->unit != NULL && i < run->unit->extension_count; i++)
        if (strcmp(run->unit->extensions[i]->name, extension) == 0)
            return true;
    return false;
}

static void *state_in(struct sieve_run *run, struct sieve_state_slot **list,
    const struct sieve_extension *extension, size_t size)
{
    struct sieve_state_slot *slot;

    for (slot = *list; slot != NULL; slot = slot->next)
        if (slot->extension == extension)
            return slot->state;
    slot = ARENA_NEW(run->arena, struct sieve_state_slot);
    *slot = (struct sieve_state_slot){*list, extension, arena_alloc(run->arena, size)};
    *list = slot;
    return slot->state;
}

void *sieve_stage_state(struct sieve_run *run, const struct sieve_extension *extension,
    size_t size)
{
    return state_in(run, &run->state->stage_states, extension, size);
}

void *sieve_sequence_state(struct sieve_run *run, const struct sieve_extension *extension,
    size_t size)
{
    return state_in(run, &run->state->sequence_states, extension, size);
}

time_t sieve_now(struct sieve_run *run, int *ret_zone_minutes)
{
    struct sieve_engine_state *state = run->state;

    if (!state->now_known) {
        if (run->host->now != NULL) {
            state->now = run->host->now(run->host->ctx, &state->zone);
        } else {
            struct tm local;

            state->now = time(NULL);
            if (localtime_r(&state->now, &local) != NULL)
                state->zone = (int)(local.tm_gmtoff / 60);
        }
        state->now_known = true;
    }
    if (ret_zone_minutes != NULL)
        *ret_zone_minutes = state->zone;
    return state->now;
}

/* ------------------------------------------------------------------ the message */

static void free_message(void *data)
{
    message_free(data);
}

static void free_addresses(void *data)
{
    struct sieve_addresses *addresses = data;

    address_list_free(addresses->list);
    g_free(addresses);
}

/* What was kept of fields that go away now. */
static void forget_fields(struct sieve_run *run)
{
    g_ptr_array_set_size(run->state->address_lists, 0);
    run->state->folded_field = (struct sieve_string){NULL, 0};
}

void sieve_set_message(struct sieve_run *run, struct message *message)
{
    arena_own(run->arena, message, free_message);
    run->message = message;
    run->state->message_shared = false;
    forget_fields(run);
}

struct message *sieve_edit_message(struct sieve_run *run)
{
    if (run->message == run->input || run->state->message_shared)
        sieve_set_message(run, message_copy(run->message));
    forget_fields(run);
    return run->message;
}

/* ------------------------------------------------------------------ stages */

static const struct sieve_host no_host;
static const struct sieve_envelope no_envelope;

struct sieve_run *sieve_sequence_new(struct message *message,
    const struct sieve_envelope *envelope, const struct sieve_host *host,
    const struct sieve_options *options)
{
    struct arena *arena = arena_new();
    struct sieve_run *run = ARENA_NEW(arena, struct sieve_run);
    struct sieve_engine_state *state = ARENA_NEW(arena, struct sieve_engine_state);
    struct sieve_owned_result *result = ARENA_NEW(arena, struct sieve_owned_result);

    result->arena = arena;
    run->arena = arena;
    run->options = options;
    run->host = host != NULL ? host : &no_host;
    run->envelope = envelope != NULL ? envelope : &no_envelope;
    run->input = run->message = message;
    run->result = &result->result;
    run->state = state;
    run->tracing = options->trace;
    state->entries = g_ptr_array_new();
    state->runtime_errors = g_ptr_array_new();
    state->address_lists = g_ptr_array_new_with_free_func(free_addresses);
    state->logs = g_array_new(FALSE, TRUE, sizeof(struct sieve_note));
    state->trace = g_array_new(FALSE, TRUE, sizeof(struct sieve_note));
    state->marks = g_array_new(FALSE, TRUE, sizeof(struct sieve_duplicate_mark));
    state->implicit_keep = true;
    arena_own(arena, state->entries, (void (*)(void *))g_ptr_array_unref);
    arena_own(arena, state->runtime_errors, (void (*)(void *))g_ptr_array_unref);
    arena_own(arena, state->address_lists, (void (*)(void *))g_ptr_array_unref);
    arena_own(arena, state->logs, (void (*)(void *))g_array_unref);
    arena_own(arena, state->trace, (void (*)(void *))g_array_unref);
    arena_own(arena, state->marks, (void (*)(void *))g_array_unref);
    return run;
}

void sieve_stage_begin(struct sieve_run *run, const struct sieve_program *program)
{
    struct sieve_engine_state *state = run->state;

    state->stage++;
    state->stage_first_mark = state->marks->len;
    state->implicit_keep = true;
    state->error = NULL;
    state->match_count = 0;
    state->depth = 0;
    state->stage_states = NULL;
    run->program = program;
    run->break_target = NULL;
    run->unit = g_ptr_array_index(program->units, 0);
    state->frame = frame_new(run, run->unit);
    state->global_count = program->global_count;
    state->globals = ARENA_ARRAY(run->arena, struct sieve_string, program->global_count);
}

enum sieve_status sieve_stage_execute(struct sieve_run *run)
{
    const struct sieve_unit *unit = run->unit;
    enum sieve_status status;

    if (run->program->engine == SIEVE_ENGINE_LIBSIEVE)
        status = sieve_libsieve_run(run, run->program);
    else
        status = sieve_run_block(run, unit->block);
    for (size_t i = 0; status != SIEVE_ERROR && i < unit->extension_count; i++)
        if (unit->extensions[i]->run_end != NULL)
            status = unit->extensions[i]->run_end(run);
    return status == SIEVE_ERROR ? SIEVE_ERROR : SIEVE_NEXT;
}

bool sieve_sequence_stage(struct sieve_run *run, const struct sieve_program *program,
    const char *name)
{
    struct sieve_engine_state *state = run->state;
    bool failed = true;

    if (program == NULL) {
        state->stage++;
        state->error = NULL;
        sieve_fail(run, NULL, "the script cannot be compiled");
        state->error_script = name != NULL ? arena_strdup(run->arena, name) : "script";
        state->stage_first_mark = state->marks->len;
    } else {
        sieve_stage_begin(run, program);
        sieve_trace(run, NULL, "script %s begins", program->name);
        failed = sieve_stage_execute(run) == SIEVE_ERROR;
    }
    return sieve_stage_end(run, failed);
}

static void fill_result(struct sieve_run *run, struct sieve_result *result)
{
    struct sieve_engine_state *state = run->state;
    const struct sieve_action **actions = ARENA_ARRAY(run->arena, const struct sieve_action *,
        state->entries->len + 1);

    for (guint i = 0; i < state->entries->len; i++) {
        const struct sieve_entry *entry = g_ptr_array_index(state->entries, i);

        actions[i] = entry->action;
        result->implicit_keep |= entry->action->implicit;
    }
    result->actions = actions;
    result->action_count = state->entries->len;
    result->runtime_error = state->first_error;
    result->duplicate_marks = (const void *)state->marks->data;
    result->duplicate_mark_count = state->marks->len;
    result->logs = (const void *)state->logs->data;
    result->log_count = state->logs->len;
    result->trace = (const void *)state->trace->data;
    result->trace_count = state->trace->len;
    result->steps = state->steps;
}

struct sieve_result *sieve_sequence_finish(struct sieve_run *run)
{
    fill_result(run, run->result);
    return run->result;
}

struct sieve_result *sieve_run(const struct sieve_stage *stages, size_t stage_count,
    struct message *message, const struct sieve_envelope *envelope, const struct sieve_host *host,
    const struct sieve_options *options)
{
    struct sieve_run *run = sieve_sequence_new(message, envelope, host, options);

    run->state->implicit_keep = true;
    for (size_t i = 0; i < stage_count; i++)
        if (!sieve_sequence_stage(run, stages[i].program, stages[i].name))
            break;
    sieve_resolve_keep(run, run->state->first_error != NULL);
    return sieve_sequence_finish(run);
}

void sieve_result_free(struct sieve_result *result)
{
    if (result != NULL)
        arena_free(((struct sieve_owned_result *)(void *)result)->arena);
}
