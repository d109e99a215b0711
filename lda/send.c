#include "lda/send.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/child.h"
#include "lda/config.h"
#include "lda/envelope.h"
#include "lda/mail/message.h"
#include "lda/plan.h"
#include "lda/program.h"
#include "lda/user.h"
#include "sieve/sieve.h"

bool send_status_is_final(int status)
{
    switch (status) {
    case EX_USAGE:       /* it does not understand an address */
    case EX_DATAERR:
    case EX_NOUSER:
    case EX_NOHOST:
    case EX_UNAVAILABLE: /* Postfix: too large, too many hops, content refused */
    case EX_NOPERM:
        return true;
    default:
        return false;
    }
}

/* What this delivery, or the MTA just before it, wrote on top belongs to this hop alone. Delivered-To
 * stays: by it the next hop sees a loop. */
static void prepare_redirect(struct message *message, const struct user *user)
{
    static const char *const hop_fields[] = {"Return-Path", "X-Original-To"};
    struct headers *headers = message_headers(message);

    for (size_t i = 0; i < G_N_ELEMENTS(hop_fields); i++) {
        size_t at;

        while ((at = headers_find(headers, hop_fields[i], 0)) != HEADERS_NONE)
            message_delete_header(message, at);
    }
    message_add_header(message, "X-Sieve-Redirected-From", user->address, false);
}

/* The bytes to send, in a file for the child. */
static int open_input(const struct send_job *job, struct error *err)
{
    const struct plan_send *send = job->send;
    AUTO_FD fd = child_temporary_file(err);

    if (fd < 0)
        return -1;
    if (send->mail != NULL) {
        if (!io_write(fd, send->mail->text, send->mail->length, "a temporary file", err))
            return -1;
        return fd_steal(&fd);
    }
    AUTO_MESSAGE message = message_copy(send->message != NULL ? send->message : job->message);
    if (send->kind == PLAN_REDIRECT)
        prepare_redirect(message, job->user);
    if (!message_write(message, fd, err))
        return -1;
    return fd_steal(&fd);
}

/* A program that is not there, may not run or does not end will be so tomorrow: the mail is kept, it does not
 * wait in a queue. What the machine lacks for a moment is worth a retry. */
static bool lasts(const struct error *err)
{
    switch (err->code) {
    case 0: /* too slow, too much output */
    case EACCES:
    case EISDIR:
    case ELOOP:
    case ENOENT:
    case ENOTDIR:
    case EPERM:
        return true;
    default:
        return err->kind == ERROR_REFUSED;
    }
}

static bool run_pipe(struct send_job *job, int input, struct error *err)
{
    const struct sieve_pipe *pipe = job->send->pipe;
    struct child_result result = {.output = NULL};

    if (!program_run(job->config, job->envelope, job->user, pipe->program, pipe->arguments, input,
                     0, &result, err)) {
        job->refused = lasts(err);
        return false;
    }
    bool good = result.status == EX_OK;
    if (!good) {
        job->refused = result.status != EX_TEMPFAIL;
        error_set(err, ERROR_TEMPORARY, "program %s ended with status %d%s%s", pipe->program,
                  result.status, result.complaint[0] == '\0' ? "" : ": ", result.complaint);
    }
    child_result_clear(&result);
    return good;
}

/* xtext (RFC 3461 4) as the words of a command line have it. NULL: not printable, sendmail would drop it. */
static char *decode_xtext(const char *text)
{
    g_autoptr(GString) plain = g_string_new(NULL);

    for (const char *at = text; *at != '\0'; at++) {
        int high = at[0] == '+' ? g_ascii_xdigit_value(at[1]) : -1;
        int low = high >= 0 ? g_ascii_xdigit_value(at[2]) : -1;
        char c = low >= 0 ? (char)(high * 16 + low) : *at;

        if (low >= 0)
            at += 2;
        if (!g_ascii_isprint(c))
            return NULL;
        g_string_append_c(plain, c);
    }
    return g_strdup(plain->str);
}

/* What a script (RFC 6009 4) asks for goes along as Postfix's sendmail takes it; the sender's ENVID too,
 * while reports go to the sender. BY has no option there. */
static void add_dsn(struct send_job *job, GPtrArray *argv, GPtrArray *own)
{
    const struct sieve_redirect *redirect = job->send->redirect;
    const struct envelope *envelope = job->envelope;
    bool reports_to_sender =
        envelope->sender != NULL && strcmp(envelope->sender, job->send->from) == 0;
    g_autofree char *envid = envelope->dsn_envid != NULL && reports_to_sender
                                 ? decode_xtext(envelope->dsn_envid)
                                 : NULL;
    const struct {
        const char *option, *value;
    } rows[] = {{"-N", redirect->dsn_notify}, {"-R", redirect->dsn_ret}, {"-V", envid}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].value == NULL)
            continue;
        char *value = g_strdup(rows[i].value);
        g_ptr_array_add(own, value);
        g_ptr_array_add(argv, (gpointer)rows[i].option);
        g_ptr_array_add(argv, value);
    }
    if (redirect->by_time != NULL && job->note == NULL)
        job->note = g_strdup_printf("redirected to <%s> without its delivery time:"
                                    " %s has no option for it", redirect->address,
                                    config_text(job->config, CONFIG_SENDMAIL_PATH));
}

static bool run_sendmail(struct send_job *job, int input, struct error *err)
{
    const struct plan_send *send = job->send;
    struct child_result result = {.output = NULL};
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GPtrArray) own = g_ptr_array_new_with_free_func(g_free);

    g_ptr_array_add(argv, (gpointer)config_text(job->config, CONFIG_SENDMAIL_PATH));
    g_ptr_array_add(argv, "-i");
    g_ptr_array_add(argv, "-f");
    g_ptr_array_add(argv, send->from[0] == '\0' ? "<>" : send->from);
    if (send->redirect != NULL)
        add_dsn(job, argv, own);
    g_ptr_array_add(argv, "--");
    for (guint i = 0; i + 1 < send->to->len; i++)
        g_ptr_array_add(argv, send->to->pdata[i]);
    g_ptr_array_add(argv, NULL);
    struct child child = {
        .argv = (const char *const *)argv->pdata,
        .input = input,
        .timeout_s = (unsigned)config_number(job->config, CONFIG_SENDMAIL_TIMEOUT),
    };
    if (!child_run(&child, &result, err))
        return false;
    bool good = result.status == EX_OK;
    if (!good) {
        job->refused = send_status_is_final(result.status);
        error_set(err, ERROR_TEMPORARY, "%s ended with status %d%s%s", child.argv[0],
                  result.status, result.complaint[0] == '\0' ? "" : ": ", result.complaint);
    }
    child_result_clear(&result);
    return good;
}

bool send_run(void *ctx, struct error *err)
{
    struct send_job *job = ctx;
    AUTO_FD input = open_input(job, err);
    bool good;

    if (input < 0)
        return false;
    good = job->send->kind == PLAN_PIPE ? run_pipe(job, input, err)
                                        : run_sendmail(job, input, err);
    if (!good && job->send->pipe != NULL && job->send->pipe->try) {
        g_free(job->note);
        job->note = g_strdup(err->text);
        return true;
    }
    if (!good)
        error_prefix(err, "cannot send %s", job->send->id);
    return good;
}
