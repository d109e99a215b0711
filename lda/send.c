#include "lda/send.h"

#include <string.h>
#include <sysexits.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/child.h"
#include "lda/config.h"
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

static bool run_pipe(struct send_job *job, int input, struct error *err)
{
    const struct sieve_pipe *pipe = job->send->pipe;
    struct child_result result = {.output = NULL};

    if (!program_run(job->config, job->envelope, job->user, pipe->program, pipe->arguments, input,
                     0, &result, err)) {
        job->refused = err->kind == ERROR_REFUSED;
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

static bool run_sendmail(struct send_job *job, int input, struct error *err)
{
    const struct plan_send *send = job->send;
    const struct sieve_redirect *redirect = send->redirect;
    struct child_result result = {.output = NULL};
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    g_ptr_array_add(argv, (gpointer)config_text(job->config, CONFIG_SENDMAIL_PATH));
    g_ptr_array_add(argv, "-i");
    g_ptr_array_add(argv, "-f");
    g_ptr_array_add(argv, send->from[0] == '\0' ? "<>" : send->from);
    if (redirect != NULL && redirect->dsn_notify != NULL) {
        g_ptr_array_add(argv, "-N");
        g_ptr_array_add(argv, (gpointer)redirect->dsn_notify);
    }
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
