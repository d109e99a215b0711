/* The worker processes of a replay: each one message at a time, a connection of its own. */
#ifndef VMAIL_REPLAY_POOL_H
#define VMAIL_REPLAY_POOL_H

#include "lda/replay.h"

struct config;
struct replay_pool;

#define REPLAY_WORKERS_MAX 64

typedef void replay_answered(void *ctx, const struct replay_job *job,
                             const struct replay_answer *answer);

/* @answered is told of each job once, in submit or drain. Everything is borrowed. Processes start when
 * they are first needed; one that dies costs its message (it is answered as failed) and is replaced. */
struct replay_pool *replay_pool_new(const struct config *config,
                                    const struct replay_options *options, int workers,
                                    replay_answered *answered, void *ctx);

/* Hands the job to a worker, waiting for one to be free. @fd: the message, at its beginning; no other
 * descriptor may share its position; borrowed. False: no worker can be started. */
bool replay_pool_submit(struct replay_pool *pool, const struct replay_job *job, int fd,
                        struct error *err);

/* Waits until all have answered. */
void replay_pool_drain(struct replay_pool *pool);

/* Drains, and ends the workers. Takes NULL. */
void replay_pool_free(struct replay_pool *pool);

/* replay_worker.c: the life of a worker, until @socket ends. Drops root for the owner of vmail_root. */
void replay_worker_run(const struct config *config, const struct replay_options *options,
                       int socket);

/* One message of @fd by deliver(); always fills the answer. For the worker, and for tests. */
struct site;
void replay_work(struct site *site, const struct replay_options *options,
                 const struct replay_job *job, int fd, struct replay_answer *ret_answer);

#endif
