/*
 * bench_sieve [RULES BYTES | --write-to FOLDER]: compile and run of scripts of 1 … 1,000 rules over messages of 4 KiB
 * and 1 MB, native and libsieve in one process in turn. Prints microseconds of processor time, the
 * median of several rounds, and the size of the program. libsieve is called in the process itself here, without the child that
 * guards it, so that the engines are compared and not fork(2).
 *
 * With RULES BYTES it measures that case only. With --write-to it writes the scripts and messages for sieve-test and stops: run.sh does that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <glib.h>

#include "lda/mail/message.h"
#include "sieve/sieve.h"

#ifdef HAVE_LIBSIEVE
#include <sieve2.h>
#endif

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* What each measured stretch holds of the clock itself: a system call, a quarter of a microsecond. */
static double clock_cost_us(void)
{
    enum { CALLS = 1000 };
    double begin = now_us();

    for (size_t i = 1; i < CALLS; i++)
        now_us();
    return (now_us() - begin) / CALLS;
}

/* Rules as Roundcube writes them; only the last one matches, so each is tried. */
static char *make_script(size_t rules)
{
    GString *script = g_string_new("require [\"fileinto\"];\n");

    for (size_t i = 0; i < rules; i++)
        g_string_append_printf(script,
            "# rule:[%zu]\nif anyof (header :contains \"subject\" \"word%zu\", address :is \"from\" "
            "\"someone%zu@example.net\")\n{\n\tfileinto \"Folder%zu\";\n\tstop;\n}\n", i, i, i, i % 50);
    g_string_append(script, "if header :contains \"subject\" \"more words\"\n{\n\tfileinto \"End\";\n}\n");
    return g_string_free(script, FALSE);
}

static char *make_message(size_t size)
{
    GString *text = g_string_new(
        "Received: from a.example.org by b.example.org; Mon, 6 Jan 2025 09:00:00 +0900\n"
        "From: Kim <kim@example.org>\nTo: user@example.com\nCc: list@example.org\n"
        "Subject: =?utf-8?B?7Jik64qYIO2ajOydmCDsnbzsoJU=?= and some more words\n"
        "Date: Mon, 6 Jan 2025 09:00:00 +0900\nMessage-ID: <1@example.org>\n"
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n");

    while (text->len + 72 < size)
        g_string_append(text, "The quick brown fox jumps over the lazy dog, again and again and so on\n");
    return g_string_free(text, FALSE);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare);
    return values[count / 2];
}

struct sample {
    double compile, run, parse;
    size_t memory; /* of the program */
};

static const struct sieve_envelope envelope = {.from = "kim@example.org",
    .to = "user@example.com"};

static struct sample native_once(const char *script, const char *text, size_t length)
{
    struct sieve_options options;
    struct sieve_diagnostics *diagnostics = sieve_diagnostics_new();
    struct sample sample;

    sieve_options_init(&options);
    double t0 = now_us();
    struct message *message = message_open_bytes(text, length, NULL);
    message_headers(message);
    double t1 = now_us();
    struct sieve_program *program = sieve_compile(script, strlen(script), "bench", &options,
        diagnostics);
    double t2 = now_us();
    const struct sieve_stage stage = {program, NULL};
    struct sieve_result *result = sieve_run(&stage, 1, message, &envelope, NULL, &options);
    double t3 = now_us();
    if (program == NULL || result->action_count != 1 || result->implicit_keep)
        abort();
    sample = (struct sample){t2 - t1, t3 - t2, t1 - t0, sieve_program_size(program)};
    sieve_result_free(result);
    sieve_program_unref(program);
    message_free(message);
    sieve_diagnostics_free(diagnostics);
    return sample;
}

#ifdef HAVE_LIBSIEVE
struct libsieve_input {
    const char *script;
    struct message *message;
    size_t filed;
    GPtrArray *lists;
};

static int on_fileinto(sieve2_context_t *context, void *data)
{
    const char *mailbox = sieve2_getvalue_string(context, (char *)"mailbox");

    ((struct libsieve_input *)data)->filed += mailbox != NULL && strcmp(mailbox, "End") == 0;
    return SIEVE2_OK;
}

static int on_nothing(sieve2_context_t *context, void *data)
{
    (void)context;
    (void)data;
    return SIEVE2_OK;
}

static int on_script(sieve2_context_t *context, void *data)
{
    sieve2_setvalue_string(context, (char *)"script",
        (char *)(uintptr_t)((struct libsieve_input *)data)->script);
    return SIEVE2_OK;
}

static int on_header(sieve2_context_t *context, void *data)
{
    struct libsieve_input *input = data;
    const char *name = sieve2_getvalue_string(context, (char *)"header");
    struct headers *headers = message_headers(input->message);
    char **list = g_new0(char *, headers_count_of(headers, name) + 1);
    size_t count = 0;

    for (size_t i = headers_find(headers, name, 0); i != HEADERS_NONE;
         i = headers_find(headers, name, i + 1))
        list[count++] = (char *)(uintptr_t)headers_value(headers, i);
    g_ptr_array_add(input->lists, list);
    sieve2_setvalue_stringlist(context, (char *)"body", list);
    return SIEVE2_OK;
}

static int on_size(sieve2_context_t *context, void *data)
{
    sieve2_setvalue_int(context, (char *)"size",
        (int)message_size(((struct libsieve_input *)data)->message));
    return SIEVE2_OK;
}

static sieve2_callback_t callbacks[] = {
    {SIEVE2_ACTION_KEEP, on_nothing}, {SIEVE2_ACTION_FILEINTO, on_fileinto},
    {SIEVE2_ACTION_REDIRECT, on_nothing}, {SIEVE2_ACTION_DISCARD, on_nothing},
    {SIEVE2_SCRIPT_GETSCRIPT, on_script}, {SIEVE2_MESSAGE_GETHEADER, on_header},
    {SIEVE2_MESSAGE_GETSIZE, on_size}, {SIEVE2_VALUE_FIRST, NULL},
};

/* Its execute parses the script too: compile is 0. */
static struct sample libsieve_once(const char *script, const char *text, size_t length)
{
    struct libsieve_input input = {.script = script,
        .message = message_open_bytes(text, length, NULL),
        .lists = g_ptr_array_new_with_free_func(g_free)};
    sieve2_context_t *context = NULL;

    message_headers(input.message);
    double t0 = now_us();
    if (sieve2_alloc(&context) != SIEVE2_OK || sieve2_callbacks(context, callbacks) != SIEVE2_OK)
        abort();
    sieve2_execute(context, &input);
    sieve2_free(&context);
    double t1 = now_us();
    if (input.filed != 1)
        abort();
    g_ptr_array_unref(input.lists);
    message_free(input.message);
    return (struct sample){0, t1 - t0, 0, 0};
}
#endif

static void print_row(const char *engine, size_t rules, size_t size,
    struct sample (*once)(const char *, const char *, size_t))
{
    enum { ROUNDS = 41 };
    g_autofree char *script = make_script(rules), *text = make_message(size);
    double compile[ROUNDS], run[ROUNDS], parse[ROUNDS], total[ROUNDS];
    double cost = clock_cost_us();
    size_t memory = 0, rounds = rules >= 1000 || size > 100000 ? 11 : ROUNDS;

    for (size_t i = 0; i < rounds; i++) {
        struct sample sample = once(script, text, strlen(text));

        compile[i] = sample.compile > cost ? sample.compile - cost : 0;
        run[i] = sample.run - cost;
        parse[i] = sample.parse > cost ? sample.parse - cost : 0;
        total[i] = compile[i] + run[i];
        memory = sample.memory;
    }
    printf("%-9s %6zu %9zu %10.1f %10.1f %10.1f %10.1f %10zu\n", engine, rules, size,
        median(parse, rounds), median(compile, rounds), median(run, rounds), median(total, rounds),
        memory);
}

static void write_file(const char *folder, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    if (!g_file_set_contents(path, text, -1, NULL)) {
        fprintf(stderr, "cannot write %s\n", path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static const size_t rules[] = {1, 10, 100, 1000};
    static const size_t sizes[] = {4096, 65536, 1048576};

    if (argc == 3 && strcmp(argv[1], "--write-to") == 0) {
        for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
            g_autofree char *script = make_script(rules[i]);
            g_autofree char *name = g_strdup_printf("%zu.sieve", rules[i]);

            write_file(argv[2], name, script);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
            g_autofree char *text = make_message(sizes[i]);
            g_autofree char *name = g_strdup_printf("%zu.eml", sizes[i]);

            write_file(argv[2], name, text);
        }
        return 0;
    }
    if (argc == 3) {
        print_row("native", strtoul(argv[1], NULL, 10), strtoul(argv[2], NULL, 10), native_once);
        return 0;
    }
    printf("%-9s %6s %9s %10s %10s %10s %10s %10s   (microseconds, bytes)\n", "engine", "rules",
        "bytes", "parse", "compile", "run", "both", "program");
    for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
        for (size_t r = 0; r < G_N_ELEMENTS(rules); r++) {
            print_row("native", rules[r], sizes[s], native_once);
#ifdef HAVE_LIBSIEVE
            print_row("libsieve", rules[r], sizes[s], libsieve_once);
#endif
        }
    }
    return 0;
}
