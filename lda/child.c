#include "lda/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"

#define COMPLAINT_LIMIT 400
#define NOT_STARTED 127

int child_temporary_file(struct error *err)
{
    int fd = open(g_get_tmp_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0) {
        /* a file system without O_TMPFILE */
        g_autofree char *name = g_build_filename(g_get_tmp_dir(), "vmail-XXXXXX", NULL);

        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0)
            unlink(name);
    }
    if (fd < 0)
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot make a temporary file in %s",
                        g_get_tmp_dir());
    return fd;
}

void child_result_clear(struct child_result *result)
{
    if (result->output != NULL)
        g_string_free(result->output, TRUE);
    g_free(result->complaint);
    result->output = NULL;
    result->complaint = NULL;
}

/* After fork: only what is safe there. */
static void become(const struct child *child, int input, int output, int complaints, pid_t parent)
{
    static const int to_default[] = {SIGPIPE, SIGXFSZ, SIGALRM, SIGTERM, SIGHUP, SIGINT};
    sigset_t none;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before the line above */
        _exit(NOT_STARTED);
    for (size_t i = 0; i < G_N_ELEMENTS(to_default); i++)
        signal(to_default[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* its own group, so that what it starts is killed with it */
    setpgid(0, 0);
    if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(complaints, STDERR_FILENO) < 0)
        _exit(NOT_STARTED);
    /* descriptors of the libraries that forgot O_CLOEXEC, our standard input */
    close_range(STDERR_FILENO + 1, ~0U, 0);
    if (child->environment != NULL)
        execve(child->argv[0], (char *const *)child->argv, (char *const *)child->environment);
    else
        execv(child->argv[0], (char *const *)child->argv);
    _exit(NOT_STARTED);
}

/* Takes what is there. False at the end of the file. */
static bool drain(int fd, GString *into, size_t limit, bool *ret_too_much)
{
    char buffer[16384];
    ssize_t length = read(fd, buffer, sizeof buffer);

    if (length < 0)
        return errno == EINTR || errno == EAGAIN;
    if (length == 0)
        return false;
    size_t room = into->len < limit ? limit - into->len : 0;
    if ((size_t)length > room)
        *ret_too_much = true;
    g_string_append_len(into, buffer, (gssize)MIN((size_t)length, room));
    return true;
}

/* Listens until both pipes are closed. */
static bool listen(const struct child *child, int output, int complaints, GString *out,
                   GString *complaint, gint64 deadline_us, struct error *err)
{
    struct pollfd polls[] = {{.fd = output, .events = POLLIN}, {.fd = complaints, .events = POLLIN}};

    while (polls[0].fd >= 0 || polls[1].fd >= 0) {
        gint64 left = deadline_us - g_get_monotonic_time();
        bool too_much = false;
        bool ignored = false;

        if (left <= 0) {
            error_set(err, ERROR_TEMPORARY, "%s did not end within %u s", child->argv[0],
                      child->timeout_s);
            return false;
        }
        if (poll(polls, 2, (int)(left / 1000 + 1)) < 0 && errno != EINTR) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot wait for %s", child->argv[0]);
            return false;
        }
        if (polls[0].revents != 0 && !drain(output, out, child->output_limit, &too_much))
            polls[0].fd = -1;
        if (polls[1].revents != 0 && !drain(complaints, complaint, COMPLAINT_LIMIT, &ignored))
            polls[1].fd = -1;
        if (too_much && child->output_limit > 0) {
            error_set(err, ERROR_TEMPORARY, "%s wrote more than %zu bytes", child->argv[0],
                      child->output_limit);
            return false;
        }
    }
    return true;
}

/* It closed its pipes: it ends, or is ended. */
static bool reap(const struct child *child, pid_t pid, gint64 deadline_us, int *ret_status,
                 struct error *err)
{
    int status;

    for (;;) {
        pid_t got = waitpid(pid, &status, WNOHANG);

        if (got == pid)
            break;
        if (got < 0 && errno != EINTR) {
            error_set_errno(err, ERROR_TEMPORARY, errno, "cannot wait for %s", child->argv[0]);
            return false;
        }
        if (g_get_monotonic_time() > deadline_us) {
            error_set(err, ERROR_TEMPORARY, "%s did not end within %u s", child->argv[0],
                      child->timeout_s);
            return false;
        }
        g_usleep(500);
    }
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return true;
}

static char *first_line(const GString *text)
{
    size_t length = strcspn(text->str, "\r\n");
    g_autofree char *line = g_strndup(text->str, length);

    return g_utf8_make_valid(line, -1);
}

bool child_run(const struct child *child, struct child_result *ret_result, struct error *err)
{
    gint64 deadline_us = g_get_monotonic_time() + (gint64)child->timeout_s * G_USEC_PER_SEC;
    int output[2] = {-1, -1};
    int complaints[2] = {-1, -1};
    int status = 0;

    if (access(child->argv[0], X_OK) < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot run %s", child->argv[0]);
        return false;
    }
    AUTO_FD input = child->input < 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC)
                                     : fcntl(child->input, F_DUPFD_CLOEXEC, 3);
    if (input < 0 || (child->input >= 0 && lseek(input, 0, SEEK_SET) < 0) ||
        pipe2(output, O_CLOEXEC) < 0 || pipe2(complaints, O_CLOEXEC) < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot run %s", child->argv[0]);
        if (output[0] >= 0) {
            close(output[0]);
            close(output[1]);
        }
        return false;
    }
    AUTO_FD out_read = output[0];
    AUTO_FD complaints_read = complaints[0];
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(child, input, child->output_file > 0 ? child->output_file : output[1],
               complaints[1], parent);
    int saved = errno;
    close(output[1]);
    close(complaints[1]);
    if (pid < 0) {
        error_set_errno(err, ERROR_TEMPORARY, saved, "cannot run %s", child->argv[0]);
        return false;
    }
    setpgid(pid, pid); /* in both: whoever is first */
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GString) complaint = g_string_new(NULL);
    if (!listen(child, out_read, complaints_read, out, complaint, deadline_us, err) ||
        !reap(child, pid, deadline_us, &status, err)) {
        kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        return false;
    }
    ret_result->status = status;
    ret_result->complaint = first_line(complaint);
    ret_result->output = child->output_limit > 0 ? g_steal_pointer(&out) : NULL;
    return true;
}
