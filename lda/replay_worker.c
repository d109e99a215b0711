/* A worker of a replay: takes messages from its socket, finds their envelopes, delivers. */
#include "lda/replay_pool.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/config.h"
#include "lda/deliver.h"
#include "lda/mail/address.h"
#include "lda/mail/message.h"
#include "lda/site.h"

#define NOTES_MAX 4096
/* Another process on the same delivery (Postfix's own try, the same message twice in a source) ends
 * it or fails soon. */
#define BUSY_TRIES 100
#define BUSY_PAUSE_US 100000

/* ------------------------------------------------------------------ the envelope */

/* The first field @name when it is one address; NULL else. g_free. */
static char *address_of_field(struct headers *headers, const char *name)
{
    const char *value = headers_get_raw(headers, name);
    g_autofree char *local = NULL;
    g_autofree char *domain = NULL;

    if (value == NULL || !address_parse_path(value, &local, &domain))
        return NULL;
    return local[0] == '\0' ? g_strdup("") : address_join(local, domain);
}

/* "user+detail@domain" is mail for "user@domain". */
static bool is_same_account(const char *address, const char *account, const char *delimiters)
{
    g_autofree char *local = NULL;
    g_autofree char *domain = NULL;
    g_autofree char *user = NULL;

    if (!address_parse_path(address, &local, &domain))
        return false;
    address_split_detail(local, delimiters, &user, NULL);
    g_autofree char *plain = address_join(user, domain);
    return address_equal(plain, account) || address_equal(address, account);
}

/* Options come first, then the queue file, then what the last MTA wrote on top of the message. */
static bool find_envelope(struct site *site, const struct replay_options *options,
                          const struct replay_job *job, struct message *message,
                          struct envelope *envelope, struct error *err)
{
    const char *delimiters = config_text(site_config(site), CONFIG_RECIPIENT_DELIMITER);
    struct headers *headers = message_headers(message);
    bool queued = job->recipient != NULL;
    g_autofree char *delivered = queued ? g_strdup(job->recipient)
                                        : address_of_field(headers, "Delivered-To");
    g_autofree char *original = queued ? g_strdup(job->original)
                                       : address_of_field(headers, "X-Original-To");
    g_autofree char *sender = queued ? NULL : address_of_field(headers, "Return-Path");

    if (delivered == NULL || delivered[0] == '\0') {
        g_free(delivered);
        delivered = g_strdup(original);
    }
    if (options->user == NULL && (delivered == NULL || delivered[0] == '\0')) {
        error_set(err, ERROR_BAD_DATA,
                  "no recipient: neither -u nor Delivered-To nor X-Original-To names one");
        return false;
    }
    envelope->user = g_strdup(options->user == NULL ? delivered : options->user);
    if (options->recipient != NULL)
        envelope->recipient = g_strdup(options->recipient);
    else if (delivered != NULL && is_same_account(delivered, envelope->user, delimiters))
        envelope->recipient = g_strdup(delivered);
    envelope->original_recipient =
        g_strdup(options->original != NULL ? options->original : original);
    envelope->sender = g_strdup(options->sender != NULL ? options->sender
                                : sender != NULL        ? sender
                                                        : job->sender);
    envelope->queue_id = g_strdup(job->queue_id);
    return envelope_normalise(envelope, err);
}

/* ------------------------------------------------------------------ delivering */

static char *joined_notes(const GPtrArray *notes)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; notes != NULL && i < notes->len && text->len < NOTES_MAX; i++)
        g_string_append_printf(text, "%s%s", i == 0 ? "" : "\n", (const char *)notes->pdata[i]);
    return text->len == 0 ? NULL : g_strdup(text->str);
}

static bool deliver_once(struct site *site, const struct replay_options *options,
                         const struct replay_job *job, const struct envelope *envelope, int fd,
                         struct deliver_result *ret_result, struct error *err)
{
    g_auto(GStrv) flags = g_strsplit(job->flags == NULL ? "" : job->flags, " ", -1);
    struct deliver_options how = {
        .mailbox = options->mailbox != NULL ? options->mailbox : job->mailbox,
        .once = job->queue_id == NULL,
        .dry_run = options->dry_run,
        .replay = true,
        /* a script has filed it once already */
        .no_script = options->no_script || job->mailbox != NULL,
        .ignore_quota = options->ignore_quota,
        .flags = job->flags == NULL || job->flags[0] == '\0' ? NULL : (const char *const *)flags,
    };

    if (lseek(fd, 0, SEEK_SET) < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read the message");
        return false;
    }
    return deliver(site, envelope, fd, &how, ret_result, err);
}

static bool deliver_patiently(struct site *site, const struct replay_options *options,
                              const struct replay_job *job, const struct envelope *envelope,
                              int fd, struct deliver_result *ret_result, struct error *err)
{
    for (int tries = 0; tries < BUSY_TRIES; tries++) {
        deliver_result_clear(ret_result);
        error_clear(err);
        if (deliver_once(site, options, job, envelope, fd, ret_result, err))
            return true;
        if (err->code != EWOULDBLOCK)
            return false;
        g_usleep(BUSY_PAUSE_US);
    }
    return false;
}

static void fill_answer(const struct replay_job *job, bool good, struct deliver_result *result,
                        const struct error *err, struct replay_answer *answer)
{
    answer->message_id = g_steal_pointer(&result->message_id);
    answer->notes = joined_notes(result->notes);
    if (good) {
        answer->outcome =
            result->outcome == DELIVER_DUPLICATE ? REPLAY_BEFORE : REPLAY_DELIVERED;
        answer->text = g_steal_pointer(&result->summary);
    } else if (err->kind == ERROR_NO_USER && job->recipient != NULL) {
        /* mail on its way to elsewhere waits in the same queue */
        answer->outcome = REPLAY_SKIPPED;
        answer->text = g_strdup_printf("stays in the queue: %s", err->text);
    } else {
        answer->outcome = REPLAY_FAILED;
        answer->kind = err->kind;
        answer->text = g_strdup(err->text);
    }
}

void replay_work(struct site *site, const struct replay_options *options,
                 const struct replay_job *job, int fd, struct replay_answer *ret_answer)
{
    struct deliver_result result = {.notes = NULL};
    struct envelope envelope = {.user = NULL};
    struct error err;

    error_clear(&err);
    *ret_answer = (struct replay_answer){.recipient = NULL};
    AUTO_MESSAGE message = message_open_fd(fd, NULL, &err);
    bool good = message != NULL &&
                find_envelope(site, options, job, message, &envelope, &err) &&
                deliver_patiently(site, options, job, &envelope, fd, &result, &err);
    ret_answer->recipient = g_strdup(envelope.recipient);
    fill_answer(job, good, &result, &err, ret_answer);
    deliver_result_clear(&result);
    envelope_clear(&envelope);
}

/* ------------------------------------------------------------------ the process */

/* Mail that root delivered would belong to root, and Dovecot could not read it. */
static bool drop_root(const struct config *config, struct error *err)
{
    const char *root = config_text(config, CONFIG_VMAIL_ROOT);
    struct stat st;

    if (geteuid() != 0)
        return true;
    if (stat(root, &st) < 0) {
        error_set_errno(err, ERROR_CONFIG, errno, "cannot look at vmail_root %s", root);
        return false;
    }
    if (st.st_uid == 0)
        return true;
    struct passwd *entry = getpwuid(st.st_uid);
    gid_t group = entry == NULL ? st.st_gid : entry->pw_gid;
    if ((entry == NULL ? setgroups(0, NULL) : initgroups(entry->pw_name, group)) < 0 ||
        setgid(group) < 0 || setuid(st.st_uid) < 0) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot become the owner of %s", root);
        return false;
    }
    return true;
}

/* False: the parent closed its end. *@ret_fd is -1 for a packet that is none. */
static bool take_job(int socket, struct replay_job *ret_job, int *ret_fd)
{
    char packet[REPLAY_PACKET_MAX];
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec data = {packet, sizeof packet};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    ssize_t length;

    while ((length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
        continue;
    if (length <= 0)
        return false;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *ret_fd = -1;
    if (header != NULL && header->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(header), sizeof *ret_fd);
    if (*ret_fd >= 0 && !replay_job_decode(packet, (size_t)length, ret_job)) {
        close(*ret_fd);
        *ret_fd = -1;
    }
    return true;
}

static void answer_error(const struct error *err, struct replay_answer *ret_answer)
{
    *ret_answer = (struct replay_answer){
        .outcome = REPLAY_FAILED, .kind = err->kind, .text = g_strdup(err->text)};
}

void replay_worker_run(const struct config *config, const struct replay_options *options,
                       int socket)
{
    struct replay_job job;
    struct error err;
    int fd;
    bool ready = drop_root(config, &err);
    struct site *site = site_new(config);

    while (take_job(socket, &job, &fd)) {
        struct replay_answer answer;

        if (fd < 0)
            break;
        if (ready)
            replay_work(site, options, &job, fd, &answer);
        else
            answer_error(&err, &answer);
        close(fd);
        replay_job_clear(&job);
        g_autoptr(GBytes) packet = replay_answer_encode(&answer);
        replay_answer_clear(&answer);
        gsize length;
        const void *bytes = g_bytes_get_data(packet, &length);
        if (send(socket, bytes, length, MSG_NOSIGNAL) < 0)
            break;
    }
    site_free(site);
    close(socket);
}
