#include "lda/replay_pool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lda/base/cleanup.h"

struct worker {
    pid_t pid;              /* 0: not started */
    int socket;
    bool busy;
    struct replay_job job;  /* while busy: its name, for the answer */
};

struct replay_pool {
    const struct config *config;
    const struct replay_options *options;
    replay_answered *answered;
    void *ctx;
    int count;
    struct worker workers[REPLAY_WORKERS_MAX];
};

struct replay_pool *replay_pool_new(const struct config *config,
                                    const struct replay_options *options, int workers,
                                    replay_answered *answered, void *ctx)
{
    struct replay_pool *pool = g_new0(struct replay_pool, 1);

    pool->config = config;
    pool->options = options;
    pool->answered = answered;
    pool->ctx = ctx;
    pool->count = CLAMP(workers, 1, REPLAY_WORKERS_MAX);
    for (int i = 0; i < pool->count; i++)
        pool->workers[i].socket = -1;
    return pool;
}

/* ------------------------------------------------------------------ starting */

/* The others' sockets must not stay open in it: a worker ends when its socket does. */
static void become_worker(struct replay_pool *pool, int socket)
{
    for (int i = 0; i < pool->count; i++)
        cleanup_fd(&pool->workers[i].socket);
    /* ^C is the parent's: what is begun is brought to its end */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    replay_worker_run(pool->config, pool->options, socket);
    _exit(0);
}

static bool start(struct replay_pool *pool, struct worker *worker, struct error *err)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot start a worker");
        return false;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        become_worker(pool, ends[1]);
    }
    int saved = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        error_set_errno(err, ERROR_TEMPORARY, saved, "cannot start a worker");
        return false;
    }
    worker->pid = pid;
    worker->socket = ends[0];
    return true;
}

/* *@ret_status as waitpid has it. */
static void stop(struct worker *worker, int *ret_status)
{
    *ret_status = 0;
    cleanup_fd(&worker->socket);
    worker->socket = -1;
    while (waitpid(worker->pid, ret_status, 0) < 0 && errno == EINTR)
        continue;
    worker->pid = 0;
}

/* ------------------------------------------------------------------ answers */

static void answer(struct replay_pool *pool, struct worker *worker,
                   const struct replay_answer *what)
{
    struct replay_job job = worker->job;

    worker->job = (struct replay_job){.name = NULL};
    worker->busy = false;
    pool->answered(pool->ctx, &job, what);
    replay_job_clear(&job);
}

static void answer_died(struct replay_pool *pool, struct worker *worker)
{
    int status;

    stop(worker, &status);
    struct replay_answer what = {.outcome = REPLAY_FAILED, .kind = ERROR_TEMPORARY};
    what.recipient = g_strdup(worker->job.recipient);
    what.text = WIFSIGNALED(status)
                    ? g_strdup_printf("the worker died of signal %d on it", WTERMSIG(status))
                    : g_strdup("the worker ended on it");
    if (worker->busy)
        answer(pool, worker, &what);
    replay_answer_clear(&what);
}

static void take_answer(struct replay_pool *pool, struct worker *worker)
{
    char packet[REPLAY_PACKET_MAX];
    struct replay_answer what;
    ssize_t length;

    while ((length = recv(worker->socket, packet, sizeof packet, 0)) < 0 && errno == EINTR)
        continue;
    if (length <= 0 || !replay_answer_decode(packet, (size_t)length, &what)) {
        answer_died(pool, worker);
        return;
    }
    answer(pool, worker, &what);
    replay_answer_clear(&what);
}

/* Waits for at least one answer of those who owe one. */
static void listen_once(struct replay_pool *pool)
{
    struct pollfd polls[REPLAY_WORKERS_MAX];

    for (int i = 0; i < pool->count; i++)
        polls[i] = (struct pollfd){.fd = pool->workers[i].busy ? pool->workers[i].socket : -1,
                                   .events = POLLIN};
    if (poll(polls, (nfds_t)pool->count, -1) <= 0)
        return;
    for (int i = 0; i < pool->count; i++)
        if (polls[i].revents != 0)
            take_answer(pool, &pool->workers[i]);
}

/* ------------------------------------------------------------------ jobs */

static struct worker *idle_worker(struct replay_pool *pool)
{
    for (;;) {
        for (int i = 0; i < pool->count; i++)
            if (!pool->workers[i].busy)
                return &pool->workers[i];
        listen_once(pool);
    }
}

static bool send_job(struct worker *worker, GBytes *packet, int fd)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec data = {(void *)g_bytes_get_data(packet, NULL), g_bytes_get_size(packet)};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    ssize_t sent;

    memset(&control, 0, sizeof control);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    while ((sent = sendmsg(worker->socket, &message, MSG_NOSIGNAL)) < 0 && errno == EINTR)
        continue;
    return sent >= 0;
}

static void copy_job(struct replay_job *to, const struct replay_job *job)
{
    to->name = g_strdup(job->name);
    to->queue_id = g_strdup(job->queue_id);
    to->recipient = g_strdup(job->recipient);
}

bool replay_pool_submit(struct replay_pool *pool, const struct replay_job *job, int fd,
                        struct error *err)
{
    g_autoptr(GBytes) packet = replay_job_encode(job);
    struct worker *worker = idle_worker(pool);
    int status;

    /* one that died while it was idle is found here; a new one cannot have */
    for (int tries = 0; tries < 2; tries++) {
        if (worker->pid == 0 && !start(pool, worker, err))
            return false;
        if (send_job(worker, packet, fd)) {
            worker->busy = true;
            copy_job(&worker->job, job);
            return true;
        }
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot reach a worker");
        stop(worker, &status);
    }
    return false;
}

void replay_pool_drain(struct replay_pool *pool)
{
    for (;;) {
        bool busy = false;

        for (int i = 0; i < pool->count; i++)
            busy = busy || pool->workers[i].busy;
        if (!busy)
            return;
        listen_once(pool);
    }
}

void replay_pool_free(struct replay_pool *pool)
{
    int status;

    if (pool == NULL)
        return;
    replay_pool_drain(pool);
    for (int i = 0; i < pool->count; i++)
        if (pool->workers[i].pid != 0)
            stop(&pool->workers[i], &status);
    g_free(pool);
}
