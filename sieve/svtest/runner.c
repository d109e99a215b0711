/*
 * Finds .svtest files, runs each in a world of its own, counts.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/base/error.h"
#include "lda/mail/message.h"

#include "sieve/svtest/state.h"

#define FILE_MAX (16 * 1024 * 1024)
#define DEPTH_MAX 32

bool svtest_read_file(const char *path, char **ret_text, size_t *ret_length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return false;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
        close(fd);
        return false;
    }
    char *text = g_malloc((gsize)st.st_size + 1);
    size_t at = 0;
    while (at < (size_t)st.st_size) {
        ssize_t n = read(fd, text + at, (size_t)st.st_size - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    close(fd);
    text[at] = '\0';
    *ret_text = text;
    *ret_length = at;
    return true;
}

static const char default_message[] = "From: sender@example.com\nTo: me@example.org\n"
    "Subject: The default message of the test runner\n\nNothing set yet.\n";

static struct sieve_svtest *state_new(const char *path, enum sieve_engine engine, bool verbose,
    FILE *out)
{
    struct sieve_svtest *state = g_new0(struct sieve_svtest, 1);

    state->path = g_strdup(path);
    state->folder = g_path_get_dirname(path);
    if (!g_path_is_absolute(state->folder)) {
        char *cwd = g_get_current_dir();
        char *full = g_build_filename(cwd, state->folder, NULL);

        g_free((char *)(uintptr_t)state->folder);
        g_free(cwd);
        state->folder = full;
    }
    state->engine = engine;
    state->verbose = verbose;
    state->out = out;
    sieve_options_init(&state->options);
    state->settings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    state->mailboxes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
        (GDestroyNotify)g_ptr_array_unref);
    state->metadata = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    state->marks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    state->binaries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
        (GDestroyNotify)sieve_program_unref);
    state->sent = g_ptr_array_new_with_free_func(svtest_mail_free);
    state->errors = g_ptr_array_new_with_free_func(g_free);
    state->texts = g_ptr_array_new_with_free_func(g_free);
    state->executed = g_ptr_array_new();
    state->envelope.from = "sender@example.com";
    state->envelope.to = "me@example.org";
    svtest_host_init(state);
    return state;
}

static void state_free(struct sieve_svtest *state)
{
    g_hash_table_unref(state->settings);
    g_hash_table_unref(state->mailboxes);
    g_hash_table_unref(state->metadata);
    g_hash_table_unref(state->marks);
    g_hash_table_unref(state->binaries);
    g_ptr_array_unref(state->sent);
    g_ptr_array_unref(state->errors);
    g_ptr_array_unref(state->texts);
    g_ptr_array_unref(state->executed);
    sieve_program_unref(state->script);
    g_free((char *)(uintptr_t)state->path);
    g_free((char *)(uintptr_t)state->folder);
    g_free(state);
}

static void report_compile(struct sieve_svtest *state, const struct sieve_diagnostics *diagnostics)
{
    for (guint i = 0; i < diagnostics->items->len; i++) {
        const struct sieve_diagnostic *item = g_ptr_array_index(diagnostics->items, i);

        if (!item->warning)
            fprintf(state->out, "%s:%u:%u: %s\n", state->path, item->line, item->column,
                item->message);
    }
    state->counts.failed++;
}

static void run_program(struct sieve_svtest *state, struct sieve_program *program)
{
    struct message *message = message_open_bytes(default_message, strlen(default_message), NULL);
    struct sieve_run *run = sieve_sequence_new(message, &state->envelope, &state->host,
        &state->options);

    run->svtest = state;
    sieve_stage_begin(run, program);
    if (sieve_stage_execute(run) == SIEVE_ERROR) {
        fprintf(state->out, "%s:%u: %s\n", state->path, run->state->error_line,
            run->state->error);
        state->counts.failed++;
    }
    sieve_result_free(sieve_sequence_finish(run));
    message_free(message);
}

static void run_file(const char *path, enum sieve_engine engine, bool verbose, FILE *out,
    struct svtest_counts *counts)
{
    struct sieve_svtest *state = state_new(path, engine, verbose, out);
    struct sieve_diagnostics *diagnostics = sieve_diagnostics_new();
    struct sieve_program *program = NULL;
    g_autofree char *text = NULL;
    size_t length;

    if (svtest_read_file(path, &text, &length)) {
        program = sieve_compile(text, length, path, &state->options, diagnostics);
        if (program != NULL)
            run_program(state, program);
        else
            report_compile(state, diagnostics);
    } else {
        fprintf(out, "%s: cannot be read\n", path);
        state->counts.failed++;
    }
    counts->passed += state->counts.passed;
    counts->failed += state->counts.failed;
    sieve_program_unref(program);
    sieve_diagnostics_free(diagnostics);
    state_free(state);
    fflush(out);
}

/* One test: does anything in the file fail? */
static void run_failing_file(const char *path, enum sieve_engine engine, FILE *out,
    struct svtest_counts *counts)
{
    struct svtest_counts inner = {0, 0};
    FILE *nowhere = fopen("/dev/null", "we");

    run_file(path, engine, false, nowhere != NULL ? nowhere : out, &inner);
    if (nowhere != NULL)
        fclose(nowhere);
    if (inner.failed > 0) {
        counts->passed++;
        return;
    }
    fprintf(out, "%s: it was meant to fail, and did not\n", path);
    counts->failed++;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void collect(const char *path, GPtrArray *files, unsigned depth)
{
    DIR *dir = depth < DEPTH_MAX ? opendir(path) : NULL;
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

    if (dir == NULL)
        return;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        if (entry->d_name[0] != '.')
            g_ptr_array_add(names, g_build_filename(path, entry->d_name, NULL));
    closedir(dir);
    g_ptr_array_sort(names, compare_names);
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        struct stat st;

        if (stat(name, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode))
            collect(name, files, depth + 1);
        else if (g_str_has_suffix(name, ".svtest") || g_str_has_suffix(name, ".svtest.in"))
            g_ptr_array_add(files, g_strdup(name));
    }
}

bool svtest_run(const char *const *paths, size_t count, enum sieve_engine engine, unsigned flags,
    FILE *out, struct svtest_counts *ret_counts, struct error *err)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    struct svtest_counts counts = {0, 0};

    for (size_t i = 0; i < count; i++) {
        struct stat st;

        if (stat(paths[i], &st) != 0) {
            error_set_errno(err, ERROR_USAGE, errno, "cannot read %s", paths[i]);
            return false;
        }
        if (S_ISDIR(st.st_mode))
            collect(paths[i], files, 0);
        else
            g_ptr_array_add(files, g_strdup(paths[i]));
    }
    for (guint i = 0; i < files->len; i++) {
        if (flags & SVTEST_MEANT_TO_FAIL)
            run_failing_file(g_ptr_array_index(files, i), engine, out, &counts);
        else
            run_file(g_ptr_array_index(files, i), engine, (flags & SVTEST_VERBOSE) != 0, out,
                &counts);
    }
    fprintf(out, "%zu passed, %zu failed\n", counts.passed, counts.failed);
    *ret_counts = counts;
    return true;
}
