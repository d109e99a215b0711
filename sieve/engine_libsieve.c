/*
 * libsieve 2.2.6 knows RFC 3028 and seven extensions, and dies or loops on ordinary scripts. So it
 * runs in a forked child with bounds on time and memory, and what it decided comes back as a small
 * Sieve script of actions, which the native engine then runs: bounds, conflicts, the text of replies
 * and the loop guards of vacation are the same for both engines. A child that dies or is too slow is
 * a runtime error: implicit keep.
 */
#include "sieve/engine_libsieve.h"

#include "sieve/eval.h"

#ifndef HAVE_LIBSIEVE

void sieve_libsieve_compile(struct sieve_compiler *compiler, const struct sieve_program *program)
{
    (void)program;
    sieve_error_at(compiler, 0, 0, "the libsieve engine is not part of this build");
}

enum sieve_status sieve_libsieve_run(struct sieve_run *run, const struct sieve_program *program)
{
    (void)program;
    return sieve_fail(run, NULL, "the libsieve engine is not part of this build");
}

#else

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lda/mail/address.h"
#include "lda/mail/headers.h"
#include "lda/mail/message.h"

#include "sieve/lexer.h"
#include "sieve/libsieve_api.h"

#define SECONDS_MAX 10
#define MEMORY_MAX (512UL * 1024 * 1024)
#define OUTPUT_MAX (4u * 1024 * 1024)

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN 1 /* its shadow needs terabytes of address space */
#else
#define UNDER_ASAN 0
#endif

/* Filled in the child alone, which runs one script and ends. */
static struct libsieve_api libsieve;

#define CANNOT_LOAD 3 /* exit status */

/* What the callbacks in the child work with. */
struct child {
    struct arena *arena;
    const char *script;
    struct sieve_run *run;      /* NULL: only validating */
    GString *out;               /* statements, or "line<TAB>message" lines */
    const char *addresses;      /* the script's own :addresses, as a Sieve list; or NULL */
    bool says_keep;             /* the script has a keep of its own */
    bool says_subject;
    unsigned seconds;           /* processor time */
    bool failed;
};

/* ------------------------------------------------------------------ the script, made ready */

/* What libsieve will not tell is read from the text; and vacation answers only when an address of
 * :addresses is in To or Cc, so those of the message are put in: the native vacation decides. */
struct scan {
    GString *text;              /* the changed script */
    GString *addresses;
    bool keep, subject;
};

static void append_string(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            g_string_append_c(out, '\\');
        g_string_append_c(out, *p);
    }
    g_string_append_c(out, '"');
}

static void add_address(GString *list, const char *address)
{
    if (list->len > 0)
        g_string_append(list, ", ");
    append_string(list, address);
}

/* Copies the script and inserts @extra (a list without brackets) where it belongs. */
static void scan_script(struct arena *arena, const char *source, size_t length, const char *extra,
    struct scan *scan)
{
    struct sieve_options options;
    struct sieve_diagnostics *diagnostics = sieve_diagnostics_new();
    struct sieve_compiler compiler = {.arena = arena, .options = &options,
        .diagnostics = diagnostics};
    struct lexer lexer;
    const char *copied = source, *before;
    bool in_vacation = false, has_addresses = false, in_list = false;
    const char *insert_at = NULL;

    sieve_options_init(&options);
    options.limits.max_errors = SIZE_MAX;
    lexer_init(&lexer, &compiler, source, length);
    for (; lexer.token.kind != TOKEN_END; lexer_next(&lexer)) {
        const struct token *token = &lexer.token;

        before = source + lexer_offset(&lexer);
        if (token_is(token, TOKEN_IDENTIFIER, "vacation")) {
            in_vacation = true;
            has_addresses = false;
            insert_at = before;
        } else if (token->kind == TOKEN_IDENTIFIER) {
            scan->keep |= token_is(token, TOKEN_IDENTIFIER, "keep");
        } else if (in_vacation && token_is(token, TOKEN_TAG, "subject")) {
            scan->subject = true;
        } else if (in_vacation && token_is(token, TOKEN_TAG, "addresses")) {
            has_addresses = true;
            g_string_append_len(scan->text, copied, before - copied);
            copied = before;
            lexer_next(&lexer);
            in_list = token->kind == TOKEN_PUNCTUATION && token->punctuation == '[';
            if (in_list) {
                g_string_append_printf(scan->text, " [%s%s", extra, *extra != '\0' ? ", " : "");
                copied = source + lexer_offset(&lexer);
            } else if (token->kind == TOKEN_STRING) {
                add_address(scan->addresses, token->text.data);
                g_string_append_printf(scan->text, " [%s%s", extra, *extra != '\0' ? ", " : "");
                before = source + lexer_offset(&lexer);
                g_string_append_len(scan->text, copied, before - copied);
                g_string_append_c(scan->text, ']');
                copied = before;
            }
        } else if (in_list && token->kind == TOKEN_STRING) {
            add_address(scan->addresses, token->text.data);
        } else if (token->kind == TOKEN_PUNCTUATION && token->punctuation == ']') {
            in_list = false;
        } else if (in_vacation && token->kind == TOKEN_PUNCTUATION && token->punctuation == ';') {
            if (!has_addresses && *extra != '\0') {
                g_string_append_len(scan->text, copied, insert_at - copied);
                g_string_append_printf(scan->text, " :addresses [%s]", extra);
                copied = insert_at;
            }
            in_vacation = false;
        }
    }
    g_string_append_len(scan->text, copied, source + length - copied);
    sieve_diagnostics_free(diagnostics);
}

/* All recipients in the header and the user's own address. */
static char *header_recipients(const struct sieve_run *run)
{
    static const char *const fields[] = {"To", "Cc", "Bcc", "Resent-To", "Resent-Cc"};
    struct headers *headers = message_headers(run->input);
    GString *list = g_string_new(NULL);

    if (run->envelope->to != NULL)
        add_address(list, run->envelope->to);
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        const char *raw = headers_get_raw(headers, fields[i]);

        if (raw == NULL)
            continue;
        AUTO_ADDRESS_LIST addresses = address_list_parse(raw, 100, NULL);
        for (size_t j = 0; j < addresses->count; j++)
            if (addresses->items[j].valid)
                add_address(list, addresses->items[j].full);
    }
    return g_string_free(list, FALSE);
}

/* ------------------------------------------------------------------ callbacks, in the child */

/* A string of the script: libsieve leaves the backslashes of quoted strings in. */
static void append_script_string(GString *out, const char *text)
{
    g_autoptr(GString) plain = g_string_new(NULL);

    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
            p++;
        g_string_append_c(plain, *p);
    }
    append_string(out, plain->str);
}

#define NAME(text) ((char *)(uintptr_t)(text)) /* the API takes literals as char * */

static const char *value_of(sieve2_context_t *context, const char *name)
{
    const char *value = libsieve.sieve2_getvalue_string(context, NAME(name));

    return value != NULL ? value : "";
}

static void append_flags(sieve2_context_t *context, GString *out)
{
    char **flags = libsieve.sieve2_getvalue_stringlist(context, NAME("flags"));

    if (flags == NULL || flags[0] == NULL)
        return;
    g_string_append(out, " :flags [");
    for (size_t i = 0; flags[i] != NULL; i++) {
        if (i > 0)
            g_string_append(out, ", ");
        append_script_string(out, flags[i]);
    }
    g_string_append_c(out, ']');
}

static int on_redirect(sieve2_context_t *context, void *data)
{
    struct child *child = data;

    g_string_append(child->out, "redirect ");
    append_script_string(child->out, value_of(context, "address"));
    g_string_append(child->out, ";\n");
    return SIEVE2_OK;
}

static int on_reject(sieve2_context_t *context, void *data)
{
    struct child *child = data;

    g_string_append(child->out, "reject ");
    append_script_string(child->out, value_of(context, "message"));
    g_string_append(child->out, ";\n");
    return SIEVE2_OK;
}

static int on_discard(sieve2_context_t *context, void *data)
{
    struct child *child = data;

    (void)context;
    g_string_append(child->out, "discard;\n");
    return SIEVE2_OK;
}

static int on_fileinto(sieve2_context_t *context, void *data)
{
    struct child *child = data;

    g_string_append(child->out, "fileinto");
    append_flags(context, child->out);
    g_string_append_c(child->out, ' ');
    append_script_string(child->out, value_of(context, "mailbox"));
    g_string_append(child->out, ";\n");
    return SIEVE2_OK;
}

/* Also called for the implicit keep: one that the script does not say is left to the end. */
static int on_keep(sieve2_context_t *context, void *data)
{
    struct child *child = data;
    char **flags = libsieve.sieve2_getvalue_stringlist(context, NAME("flags"));

    if (!child->says_keep && (flags == NULL || flags[0] == NULL))
        return SIEVE2_OK;
    g_string_append(child->out, "keep");
    append_flags(context, child->out);
    g_string_append(child->out, ";\n");
    return SIEVE2_OK;
}

static void append_tag(GString *out, const char *tag, const char *value)
{
    if (*value == '\0')
        return;
    g_string_append_printf(out, " :%s ", tag);
    append_script_string(out, value);
}

static int on_vacation(sieve2_context_t *context, void *data)
{
    struct child *child = data;
    int days = libsieve.sieve2_getvalue_int(context, NAME("days"));

    g_string_append(child->out, "vacation");
    if (days > 0)
        g_string_append_printf(child->out, " :days %d", days);
    if (child->says_subject)
        append_tag(child->out, "subject", value_of(context, "subject"));
    append_tag(child->out, "handle", value_of(context, "hash"));
    if (child->addresses != NULL)
        g_string_append_printf(child->out, " :addresses [%s]", child->addresses);
    if (libsieve.sieve2_getvalue_int(context, NAME("mime")) > 0)
        g_string_append(child->out, " :mime");
    g_string_append_c(child->out, ' ');
    append_script_string(child->out, value_of(context, "message"));
    g_string_append(child->out, ";\n");
    return SIEVE2_OK;
}

/* The old notify (draft-martin-sieve-notify): its method is mailto with the first option as address. */
static int on_notify(sieve2_context_t *context, void *data)
{
    struct child *child = data;
    char **options = libsieve.sieve2_getvalue_stringlist(context, NAME("options"));
    const char *priority = value_of(context, "priority");

    if (options == NULL || options[0] == NULL)
        return SIEVE2_OK;
    g_autofree char *method = g_strdup_printf("mailto:%s", options[0]);
    g_string_append(child->out, "notify");
    if (strcmp(priority, "high") == 0 || strcmp(priority, "low") == 0)
        append_tag(child->out, "importance", *priority == 'h' ? "1" : "3");
    append_tag(child->out, "message", value_of(context, "message"));
    g_string_append_c(child->out, ' ');
    append_script_string(child->out, method);
    g_string_append(child->out, ";\n");
    return SIEVE2_OK;
}

static int on_script(sieve2_context_t *context, void *data)
{
    struct child *child = data;

    if (*value_of(context, "path") != '\0' || *value_of(context, "name") != '\0')
        return SIEVE2_ERROR_GETSCRIPT;
    libsieve.sieve2_setvalue_string(context, NAME("script"), NAME(child->script));
    return SIEVE2_OK;
}

/* Addresses are parsed from the field as it stands, other fields are looked at decoded. */
static bool is_address_field(const char *name)
{
    static const char *const names[] = {"from", "to", "cc", "bcc", "sender", "reply-to",
        "resent-from", "resent-to", "resent-cc", "resent-bcc", "resent-sender", "delivered-to",
        "return-path", NULL};
    g_autofree char *lower = g_ascii_strdown(name, -1);

    return g_strv_contains(names, lower);
}

static int on_header(sieve2_context_t *context, void *data)
{
    struct child *child = data;
    const char *name = value_of(context, "header");
    struct headers *headers;
    size_t count = 0;

    if (child->run == NULL)
        return SIEVE2_OK;
    headers = message_headers(child->run->input);
    char **values = ARENA_ARRAY(child->arena, char *, headers_count_of(headers, name) + 1);
    for (size_t i = headers_find(headers, name, 0); i != HEADERS_NONE;
         i = headers_find(headers, name, i + 1))
        values[count++] = arena_strdup(child->arena, is_address_field(name)
            ? headers_raw(headers, i)
            : headers_value(headers, i));
    libsieve.sieve2_setvalue_stringlist(context, NAME("body"), values);
    return SIEVE2_OK;
}

static int on_envelope(sieve2_context_t *context, void *data)
{
    struct child *child = data;
    const struct sieve_envelope *envelope = child->run != NULL ? child->run->envelope : NULL;

    if (envelope == NULL)
        return SIEVE2_OK;
    const char *to = envelope->orig_to != NULL ? envelope->orig_to : envelope->to;
    libsieve.sieve2_setvalue_string(context, NAME("from"), NAME(envelope->from ? envelope->from : ""));
    libsieve.sieve2_setvalue_string(context, NAME("to"), NAME(to != NULL ? to : ""));
    /* asked for `envelope "auth"` it would read what nobody set */
    libsieve.sieve2_setvalue_string(context, NAME("auth"), NAME(envelope->auth ? envelope->auth : ""));
    return SIEVE2_OK;
}

static int on_size(sieve2_context_t *context, void *data)
{
    struct child *child = data;
    off_t size = child->run != NULL ? message_size(child->run->input) : 0;

    libsieve.sieve2_setvalue_int(context, NAME("size"), size > INT_MAX ? INT_MAX : (int)size);
    return SIEVE2_OK;
}

static int on_subaddress(sieve2_context_t *context, void *data)
{
    struct child *child = data;
    g_autofree char *local = NULL, *domain = NULL, *user = NULL, *detail = NULL;
    const char *delimiters = child->run != NULL
        ? sieve_setting(child->run->options, "recipient_delimiter")
        : NULL;

    if (!address_parse_path(value_of(context, "address"), &local, &domain))
        return SIEVE2_ERROR_ADDRESS;
    address_split_detail(local, delimiters != NULL ? delimiters : "+", &user, &detail);
    libsieve.sieve2_setvalue_string(context, NAME("user"), arena_strdup(child->arena, user));
    libsieve.sieve2_setvalue_string(context, NAME("detail"),
        arena_strdup(child->arena, detail != NULL ? detail : ""));
    libsieve.sieve2_setvalue_string(context, NAME("localpart"), arena_strdup(child->arena, local));
    libsieve.sieve2_setvalue_string(context, NAME("domain"), arena_strdup(child->arena, domain));
    return SIEVE2_OK;
}

static int on_parse_error(sieve2_context_t *context, void *data)
{
    struct child *child = data;
    g_autofree char *text = g_strdelimit(g_strdup(value_of(context, "message")), "\n\t\r", ' ');

    child->failed = true;
    if (child->run == NULL)
        g_string_append_printf(child->out, "%d\t%s\n",
            libsieve.sieve2_getvalue_int(context, NAME("lineno")), text);
    return SIEVE2_OK;
}

static int on_runtime_error(sieve2_context_t *context, void *data)
{
    struct child *child = data;

    (void)context;
    child->failed = true;
    return SIEVE2_OK;
}

/* Addresses and fields of the message that it cannot parse are no failure of the script. */
static int on_message_error(sieve2_context_t *context, void *data)
{
    (void)context;
    (void)data;
    return SIEVE2_OK;
}

static sieve2_callback_t callbacks[] = {
    {SIEVE2_ACTION_REDIRECT, on_redirect},
    {SIEVE2_ACTION_REJECT, on_reject},
    {SIEVE2_ACTION_DISCARD, on_discard},
    {SIEVE2_ACTION_FILEINTO, on_fileinto},
    {SIEVE2_ACTION_KEEP, on_keep},
    {SIEVE2_ACTION_NOTIFY, on_notify},
    {SIEVE2_ACTION_VACATION, on_vacation},
    {SIEVE2_SCRIPT_GETSCRIPT, on_script},
    {SIEVE2_MESSAGE_GETHEADER, on_header},
    {SIEVE2_MESSAGE_GETENVELOPE, on_envelope},
    {SIEVE2_MESSAGE_GETSIZE, on_size},
    {SIEVE2_MESSAGE_GETSUBADDRESS, on_subaddress},
    {SIEVE2_ERRCALL_PARSE, on_parse_error},
    {SIEVE2_ERRCALL_RUNTIME, on_runtime_error},
    {SIEVE2_ERRCALL_HEADER, on_message_error},
    {SIEVE2_ERRCALL_ADDRESS, on_message_error},
    {SIEVE2_VALUE_FIRST, NULL},
};

/* ------------------------------------------------------------------ the child */

static void set_bounds(unsigned seconds)
{
    const struct rlimit cpu = {seconds, seconds};
    const struct rlimit memory = {MEMORY_MAX, MEMORY_MAX};
    const struct rlimit none = {0, 0};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setrlimit(RLIMIT_CPU, &cpu);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_FSIZE, &none);
    if (!UNDER_ASAN)
        setrlimit(RLIMIT_AS, &memory);
    for (int fd = 0; null >= 0 && fd <= 2; fd++)
        dup2(null, fd); /* it prints, and nothing may stand before our own line */
    for (int sig = 1; sig < 32; sig++)
        signal(sig, SIG_DFL);
}

/* Exit status 0: out is complete; 1: the script failed. Never returns. */
static void __attribute__((noreturn)) work(struct child *child, int fd, pid_t parent)
{
    sieve2_context_t *context = NULL;

    /* it holds the delivery's lock too: it must not outlive a parent that is killed */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(2);
    set_bounds(child->seconds);
    if (!libsieve_api_load(&libsieve))
        _exit(CANNOT_LOAD);
    if (libsieve.sieve2_alloc(&context) != SIEVE2_OK ||
        libsieve.sieve2_callbacks(context, callbacks) != SIEVE2_OK)
        _exit(2);
    int status = child->run == NULL ? libsieve.sieve2_validate(context, child)
                                    : libsieve.sieve2_execute(context, child);
    if (status != SIEVE2_OK && status != SIEVE2_DONE)
        child->failed = true;
    for (size_t at = 0; at < child->out->len;) {
        ssize_t n = write(fd, child->out->str + at, child->out->len - at);

        if (n < 0 && errno != EINTR)
            _exit(2);
        at += n > 0 ? (size_t)n : 0;
    }
    _exit(child->failed ? 1 : 0); /* sieve2_free may free twice: the kernel does it better */
}

/* ------------------------------------------------------------------ the parent */

enum outcome { FINISHED, SCRIPT_WRONG, DIED, TOO_SLOW, NOT_THERE };

static bool read_all(int fd, GString *out, gint64 deadline)
{
    for (;;) {
        struct pollfd item = {fd, POLLIN, 0};
        gint64 left = (deadline - g_get_monotonic_time()) / 1000;
        char buffer[8192];

        if (left <= 0)
            return false;
        if (poll(&item, 1, (int)left) <= 0)
            continue;
        ssize_t n = read(fd, buffer, sizeof(buffer));
        if (n == 0 || (n < 0 && errno != EINTR))
            return true;
        if (n > 0)
            g_string_append_len(out, buffer, n);
        if (out->len > OUTPUT_MAX)
            return false;
    }
}

static enum outcome run_child(struct child *child, GString *out)
{
    int fds[2], status = 0;
    /* processor time ends it first, the wall clock a child that waits */
    gint64 deadline = g_get_monotonic_time() + (gint64)child->seconds * 3 * G_USEC_PER_SEC;

    if (pipe2(fds, O_CLOEXEC) != 0)
        return DIED;
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        work(child, fds[1], parent);
    close(fds[1]);
    bool complete = pid > 0 && read_all(fds[0], out, deadline);
    close(fds[0]);
    if (pid < 0)
        return DIED;
    if (!complete)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!complete || (WIFSIGNALED(status) &&
        (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL)))
        return TOO_SLOW;
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_LOAD)
        return NOT_THERE;
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
        return DIED;
    return WEXITSTATUS(status) == 0 ? FINISHED : SCRIPT_WRONG;
}

/* The kernel counts whole seconds. */
static unsigned seconds_of(const struct sieve_options *options)
{
    return (unsigned)CLAMP((options->limits.max_cpu_ms + 999) / 1000, 1, SECONDS_MAX);
}

void sieve_libsieve_compile(struct sieve_compiler *compiler, const struct sieve_program *program)
{
    struct child child = {.arena = compiler->arena, .script = program->source,
        .out = g_string_new(NULL), .seconds = seconds_of(compiler->options)};
    g_autoptr(GString) out = g_string_new(NULL);

    if (strlen(program->source) != program->source_length) {
        sieve_error_at(compiler, 0, 0, "NUL character in the script");
        g_string_free(child.out, TRUE);
        return;
    }
    enum outcome outcome = run_child(&child, out);
    g_string_free(child.out, TRUE);
    g_auto(GStrv) lines = g_strsplit(out->str, "\n", 0);
    for (size_t i = 0; outcome == SCRIPT_WRONG && lines[i] != NULL && *lines[i] != '\0'; i++) {
        char *message;
        guint64 line = g_ascii_strtoull(lines[i], &message, 10);

        sieve_error_at(compiler, (unsigned)line, 1, "%s", *message == '\t' ? message + 1
                                                                             : message);
    }
    if (outcome == SCRIPT_WRONG && out->len == 0)
        sieve_error_at(compiler, 0, 0, "libsieve refuses the script");
    if (outcome == DIED)
        sieve_error_at(compiler, 0, 0, "libsieve died while it checked the script");
    if (outcome == NOT_THERE)
        sieve_error_at(compiler, 0, 0, "libsieve cannot be loaded: install libsieve2-1");
    if (outcome == TOO_SLOW)
        sieve_error_at(compiler, 0, 0, "libsieve does not come to an end with the script");
}

/* The actions as a native script, run in place of the program. */
static enum sieve_status run_actions(struct sieve_run *run, const GString *actions)
{
    static const char head[] =
        "require [\"fileinto\", \"reject\", \"vacation\", \"enotify\"];\n";
    bool flags = strstr(actions->str, " :flags [") != NULL;
    g_autofree char *text = g_strconcat(head, flags ? "require \"imap4flags\";\n" : "",
        actions->str, NULL);
    struct sieve_diagnostics *diagnostics = sieve_diagnostics_new();
    struct sieve_options options = *run->options;
    enum sieve_status status;

    options.engine = SIEVE_ENGINE_NATIVE;
    options.setting = NULL; /* the site's list of extensions is for scripts of users */
    options.host = NULL;
    struct sieve_program *program = sieve_compile(text, strlen(text), run->program->name, &options,
        diagnostics);
    if (program == NULL) {
        const struct sieve_diagnostic *first = g_ptr_array_index(diagnostics->items, 0);

        status = sieve_fail(run, NULL, "%s", first->message);
    } else {
        const struct sieve_unit *unit = run->unit;

        arena_own(run->arena, program, (void (*)(void *))sieve_program_unref);
        run->unit = g_ptr_array_index(program->units, 0);
        status = sieve_run_block(run, run->unit->block);
        run->unit = unit;
        for (guint i = 0; i < run->state->entries->len; i++) {
            const struct sieve_entry *entry = g_ptr_array_index(run->state->entries, i);

            if (entry->stage == run->state->stage)
                entry->action->line = 0; /* libsieve does not tell */
        }
    }
    sieve_diagnostics_free(diagnostics);
    return status;
}

enum sieve_status sieve_libsieve_run(struct sieve_run *run, const struct sieve_program *program)
{
    g_autofree char *recipients = header_recipients(run);
    struct scan scan = {.text = g_string_new(NULL), .addresses = g_string_new(NULL)};
    g_autoptr(GString) out = g_string_new(NULL);
    enum sieve_status status;

    scan_script(run->arena, program->source, program->source_length, recipients, &scan);
    struct child child = {.arena = run->arena, .script = scan.text->str, .run = run,
        .out = g_string_new(NULL), .says_keep = scan.keep, .says_subject = scan.subject,
        .addresses = scan.addresses->len > 0 ? scan.addresses->str : NULL,
        .seconds = seconds_of(run->options)};
    switch (run_child(&child, out)) {
    case FINISHED:
        status = run_actions(run, out);
        break;
    case SCRIPT_WRONG:
        status = sieve_fail(run, NULL, "libsieve failed to run the script");
        break;
    case NOT_THERE:
        status = sieve_fail(run, NULL, "libsieve cannot be loaded: install libsieve2-1");
        break;
    case TOO_SLOW:
        status = sieve_fail(run, NULL, "libsieve took too much time");
        break;
    default:
        status = sieve_fail(run, NULL, "libsieve died while it ran the script");
        break;
    }
    g_string_free(child.out, TRUE);
    g_string_free(scan.text, TRUE);
    g_string_free(scan.addresses, TRUE);
    return status;
}

#endif
