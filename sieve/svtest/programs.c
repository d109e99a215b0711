/*
 * Runs a program of the test's own folder: no shell, one deadline for all.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lda/base/error.h"

#include "sieve/svtest/state.h"

#define OUTPUT_MAX (16u * 1024 * 1024)

static void __attribute__((noreturn))
run_child(const char *path, char *const *argv, char *const *environment, int in, int out)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || null < 0 || dup2(null, 2) < 0)
        _exit(126);
    signal(SIGPIPE, SIG_DFL);
    execve(path, argv, environment);
    _exit(127);
}

/* Feeds and drains until the program closes its output; false: the deadline passed. */
static bool talk(int in, int out, const char *input, size_t length, gint64 deadline,
    GString *output)
{
    struct pollfd fds[2] = {{in, POLLOUT, 0}, {out, POLLIN, 0}};
    size_t written = 0;

    fcntl(in, F_SETFL, O_NONBLOCK);
    while (fds[1].fd >= 0) {
        gint64 left = (deadline - g_get_monotonic_time()) / 1000;
        char buffer[8192];

        if (written == length && fds[0].fd >= 0) {
            close(in);
            fds[0].fd = -1;
        }
        if (left <= 0 || (poll(fds, 2, (int)left) < 0 && errno != EINTR))
            break;
        if (fds[0].fd >= 0 && fds[0].revents != 0) {
            ssize_t n = write(in, input + written, length - written);

            if (n > 0)
                written += (size_t)n;
            else if (n < 0 && errno != EAGAIN && errno != EINTR)
                written = length; /* it does not read on */
        }
        if (fds[1].revents != 0) {
            ssize_t n = read(out, buffer, sizeof(buffer));

            if (n > 0 && output->len < OUTPUT_MAX)
                g_string_append_len(output, buffer, n);
            else if (n == 0 || (n < 0 && errno != EINTR))
                fds[1].fd = -1;
        }
    }
    if (fds[0].fd >= 0)
        close(in);
    return fds[1].fd < 0;
}

static enum sieve_answer wait_for(pid_t pid, bool in_time, gint64 deadline, const char *name,
    struct error *err)
{
    int status = 0;

    for (;;) {
        if (!in_time || g_get_monotonic_time() > deadline)
            kill(pid, SIGKILL);
        pid_t done = waitpid(pid, &status, in_time ? WNOHANG : 0);

        if (done == pid)
            break;
        if (done < 0 && errno != EINTR)
            break;
        if (done == 0) {
            in_time = g_get_monotonic_time() <= deadline;
            g_usleep(1000);
        }
    }
    if (WIFSIGNALED(status)) {
        error_set(err, ERROR_TEMPORARY, "program %s did not end in time", name);
        return SIEVE_FAILED;
    }
    if (WEXITSTATUS(status) == 127 || WEXITSTATUS(status) == 126) {
        error_set(err, ERROR_CONFIG, "program %s cannot be run", name);
        return SIEVE_FAILED;
    }
    return WEXITSTATUS(status) == 0 ? SIEVE_YES : SIEVE_NO;
}

/* What Pigeonhole's programs find in their environment. */
static char **make_environment(const struct sieve_envelope *envelope)
{
    char **list = g_environ_setenv(NULL, "PATH", "/usr/local/bin:/usr/bin:/bin", TRUE);
    const char *to = envelope->to != NULL ? envelope->to : "";

    list = g_environ_setenv(list, "HOME", "/nonexistent", TRUE);
    list = g_environ_setenv(list, "USER", "testuser", TRUE);
    list = g_environ_setenv(list, "HOST", "test.example.com", TRUE);
    list = g_environ_setenv(list, "SENDER", envelope->from != NULL ? envelope->from : "", TRUE);
    list = g_environ_setenv(list, "RECIPIENT", to, TRUE);
    return g_environ_setenv(list, "ORIG_RECIPIENT", envelope->orig_to != NULL ? envelope->orig_to
                                                                             : to, TRUE);
}

enum sieve_answer svtest_run_program(const char *folder, const char *name,
    const char *const *arguments, const struct sieve_envelope *envelope, const char *input,
    size_t length, unsigned timeout_seconds, GString *output, struct error *err)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    gint64 deadline = g_get_monotonic_time() +
        (timeout_seconds > 0 ? (gint64)timeout_seconds : 3600) * G_USEC_PER_SEC;
    g_auto(GStrv) environment = make_environment(envelope);
    int in[2], out[2];

    if (strchr(name, '/') != NULL || access(path, X_OK) != 0) {
        error_set(err, ERROR_CONFIG, "program %s not found", name);
        return SIEVE_FAILED;
    }
    g_ptr_array_add(argv, path);
    for (size_t i = 0; arguments != NULL && arguments[i] != NULL; i++)
        g_ptr_array_add(argv, (gpointer)(uintptr_t)arguments[i]);
    g_ptr_array_add(argv, NULL);
    if (pipe2(in, O_CLOEXEC) != 0)
        goto failed;
    if (pipe2(out, O_CLOEXEC) != 0) {
        close(in[0]);
        close(in[1]);
        goto failed;
    }
    void (*old)(int) = signal(SIGPIPE, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0)
        run_child(path, (char *const *)argv->pdata, environment, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    bool in_time = pid > 0 && talk(in[1], out[0], input, length, deadline, output);
    close(out[0]);
    signal(SIGPIPE, old);
    if (pid > 0)
        return wait_for(pid, in_time, deadline, name, err);
failed:
    error_set_errno(err, ERROR_TEMPORARY, errno, "cannot start %s", name);
    return SIEVE_FAILED;
}
