/*
 * Postfix's queue, read by postcat(1): the one reader of its format that stays right.
 *
 * Envelope (-e) and content (-bh) are asked for separately. Together they come with marker lines
 * between them, and a message may hold such lines itself.
 */
#include "lda/replay_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <jansson.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/child.h"

#define TIMEOUT_S 600

struct message {
    const struct replay_queue *queue;
    const char *name;
    const char *id;          /* asked by it; or NULL */
    int file;                /* a queue file; or -1 */
    const char *queue_id;    /* NULL: not known, the file was renamed */
    bool listed;             /* it stood in the queue a moment ago: that it is gone is no failure */
    bool gone;
    const struct replay_sink *sink;
    int content;
    char *sender, *original;
    bool complete;           /* the end marker was there: postcat says nothing when a file is cut off */
    uint64_t recipients;
};

/* ------------------------------------------------------------------ running it */

static char *find_program(const char *name)
{
    char *path = g_find_program_in_path(name);

    return path != NULL ? path : g_build_filename("/usr/sbin", name, NULL);
}

/* Standard output of @program goes to a temporary file. -1 on failure. */
static int run(const struct replay_queue *queue, const char *program, const char *const *words,
               int input, struct error *err)
{
    g_autofree char *path = find_program(program);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    struct child_result result = {.output = NULL};
    AUTO_FD output = child_temporary_file(err);

    if (output < 0)
        return -1;
    g_ptr_array_add(argv, path);
    if (queue->config_dir != NULL) {
        g_ptr_array_add(argv, "-c");
        g_ptr_array_add(argv, (gpointer)queue->config_dir);
    }
    for (; *words != NULL; words++)
        g_ptr_array_add(argv, (gpointer)*words);
    g_ptr_array_add(argv, NULL);
    struct child child = {.argv = (const char *const *)argv->pdata, .input = input,
                          .timeout_s = TIMEOUT_S, .output_file = output};
    if (!child_run(&child, &result, err))
        return -1;
    bool good = result.status == EX_OK;
    if (!good) {
        error_set(err, ERROR_TEMPORARY, "%s ended with status %d%s%s", program, result.status,
                  result.complaint[0] == '\0' ? "" : ": ", result.complaint);
        if (strstr(result.complaint, "No such file") != NULL)
            err->code = ENOENT;
    }
    child_result_clear(&result);
    return good ? fd_steal(&output) : -1;
}

/* @part: "-e" or "-bh". */
static int postcat(const struct message *message, const char *part, struct error *err)
{
    const char *by_id[] = {part, "-q", message->id, NULL};
    const char *by_file[] = {part, NULL};

    return run(message->queue, "postcat", message->id != NULL ? by_id : by_file, message->file,
               err);
}

/* ------------------------------------------------------------------ lines */

enum lines { LINES_END, LINES_STOPPED, LINES_FAILED };

/* Calls @line for each line of @fd, without its end; false from it ends the walk. */
typedef bool line_fn(void *ctx, const char *line);

static enum lines each_line(int fd, line_fn *line, void *ctx, struct error *err)
{
    int again = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    FILE *stream = again < 0 ? NULL : fdopen(again, "r");
    AUTO_FREE char *text = NULL;
    size_t size = 0;
    ssize_t length;
    bool more = true;

    if (stream == NULL) {
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read a temporary file");
        cleanup_fd(&again);
        return LINES_FAILED;
    }
    rewind(stream);
    errno = 0;
    while (more && (length = getline(&text, &size, stream)) > 0) {
        if (text[length - 1] == '\n')
            text[length - 1] = '\0';
        more = line(ctx, text);
        errno = 0;
    }
    bool failed = more && ferror(stream) != 0;
    if (failed)
        error_set_errno(err, ERROR_TEMPORARY, errno, "cannot read a temporary file");
    fclose(stream);
    return failed ? LINES_FAILED : more ? LINES_END : LINES_STOPPED;
}

/* ------------------------------------------------------------------ one message */

static void tell(const struct message *message, enum replay_outcome outcome,
                 const struct error *err)
{
    message->sink->left(message->sink->ctx, message->name, outcome, err);
}

/* Each delivery reads from a position of its own. */
static bool submit(struct message *message, const char *recipient)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", message->content);
    g_autofree char *original = g_steal_pointer(&message->original);
    struct replay_job job = {
        .name = (char *)message->name,
        .recipient = (char *)recipient,
        .original = original,
        .sender = message->sender,
        .queue_id = (char *)message->queue_id,
    };
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    struct error err;

    if (fd < 0) {
        error_set_errno(&err, ERROR_TEMPORARY, errno, "cannot open its copy %s", path);
        tell(message, REPLAY_FAILED, &err);
        return true;
    }
    message->recipients++;
    return message->sink->found(message->sink->ctx, &job, fd);
}

static const char *value_of(const char *line, const char *field)
{
    size_t length = strlen(field);

    return strncmp(line, field, length) == 0 ? line + length : NULL;
}

/* A recipient comes behind what belongs to it. */
static bool envelope_line(void *ctx, const char *line)
{
    struct message *message = ctx;
    const char *value;

    if ((value = value_of(line, "sender: ")) != NULL) {
        g_free(message->sender);
        message->sender = g_strdup(value);
    } else if ((value = value_of(line, "original_recipient: ")) != NULL) {
        g_free(message->original);
        message->original = g_strdup(value);
    } else if (value_of(line, "done_recipient: ") != NULL) {
        g_clear_pointer(&message->original, g_free);
    } else if ((value = value_of(line, "recipient: ")) != NULL) {
        return submit(message, value);
    }
    return true;
}

static bool completeness_line(void *ctx, const char *line)
{
    struct message *message = ctx;

    message->complete = message->complete || value_of(line, "*** MESSAGE FILE END ") != NULL;
    return true;
}

/* pipe(8) ends a last line without an end. */
static bool end_last_line(int fd, struct error *err)
{
    off_t end = lseek(fd, 0, SEEK_END);
    char last;

    return end <= 0 || (pread(fd, &last, 1, end - 1) == 1 && last == '\n') ||
           io_write(fd, "\n", 1, "a temporary file", err);
}

static bool replay_message(struct message *message)
{
    struct error err;
    AUTO_FD envelope = postcat(message, "-e", &err);
    AUTO_FD content = envelope < 0 ? -1 : postcat(message, "-bh", &err);

    if (content < 0 || !end_last_line(content, &err)) {
        message->gone = message->listed && err.code == ENOENT;
        if (message->gone)
            error_set(&err, ERROR_TEMPORARY, "has left the queue meanwhile");
        tell(message, message->gone ? REPLAY_SKIPPED : REPLAY_FAILED, &err);
        return true;
    }
    enum lines read = each_line(envelope, completeness_line, message, &err);
    if (read == LINES_FAILED || !message->complete) {
        if (read != LINES_FAILED)
            error_set(&err, ERROR_TEMPORARY,
                      "is not a whole queue file: its end is missing");
        tell(message, REPLAY_FAILED, &err);
        return true;
    }
    message->content = content;
    read = each_line(envelope, envelope_line, message, &err);
    if (read == LINES_FAILED) {
        tell(message, REPLAY_FAILED, &err);
    } else if (read == LINES_END && message->recipients == 0) {
        error_set(&err, ERROR_BAD_DATA, "all its recipients are done");
        tell(message, REPLAY_SKIPPED, &err);
    }
    return read != LINES_STOPPED;
}

static bool replay_and_clear(struct message *message)
{
    bool more = replay_message(message);

    g_free(message->sender);
    g_free(message->original);
    return more;
}

bool replay_queue_id_is_valid(const char *id)
{
    size_t length = strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

    return length >= 5 && length <= 64 && id[length] == '\0';
}

bool replay_queue_file(const struct replay_queue *queue, int fd, const char *name,
                       const struct replay_sink *sink)
{
    g_autofree char *base = g_path_get_basename(name);
    struct message message = {.queue = queue, .name = name, .file = fd, .sink = sink,
                              .queue_id = replay_queue_id_is_valid(base) ? base : NULL};

    return replay_and_clear(&message);
}

/* @ret_gone NULL: somebody asked for this one, it must be there. */
static bool replay_id(const struct replay_queue *queue, const char *id, bool *ret_gone,
                      const struct replay_sink *sink)
{
    g_autofree char *name = g_strdup_printf("queue %s", id);
    struct message message = {.queue = queue, .name = name, .id = id, .file = -1, .queue_id = id,
                              .listed = ret_gone != NULL, .sink = sink};
    bool more = replay_and_clear(&message);

    if (ret_gone != NULL)
        *ret_gone = message.gone;
    return more;
}

bool replay_queue_id(const struct replay_queue *queue, const char *id,
                     const struct replay_sink *sink)
{
    return replay_id(queue, id, NULL, sink);
}

/* ------------------------------------------------------------------ the whole queue */

struct listing {
    const struct replay_queue *queue;
    const struct replay_sink *sink;
    GHashTable *handled;     /* ids, char * */
    bool outdated;           /* Postfix works on the queue meanwhile: a new list is due */
};

/* One object a line, as postqueue -j prints it. */
static bool listed_line(void *ctx, const char *line)
{
    struct listing *listing = ctx;
    json_error_t why;
    json_t *object = json_loads(line, 0, &why);
    const char *id = json_string_value(json_object_get(object, "queue_id"));
    const char *queue = json_string_value(json_object_get(object, "queue_name"));
    struct error err;
    bool more = true;

    if (id == NULL || queue == NULL || !replay_queue_id_is_valid(id)) {
        error_set(&err, ERROR_TEMPORARY, "postqueue -j printed what it should not: %.80s", line);
        listing->sink->left(listing->sink->ctx, "queue", REPLAY_FAILED, &err);
    } else if (!g_hash_table_add(listing->handled, g_strdup(id))) {
        more = true; /* of an earlier list */
    } else if (strcmp(queue, "hold") == 0 || strcmp(queue, "maildrop") == 0) {
        g_autofree char *name = g_strdup_printf("queue %s", id);

        error_set(&err, ERROR_TEMPORARY, "%s",
                  queue[0] == 'h' ? "is on hold; name it by its id to replay it"
                                  : "has no lasting queue id yet, it is in maildrop");
        listing->sink->left(listing->sink->ctx, name, REPLAY_SKIPPED, &err);
    } else {
        more = replay_id(listing->queue, id, &listing->outdated, listing->sink) &&
               !listing->outdated;
    }
    json_decref(object);
    return more;
}

bool replay_queue_all(const struct replay_queue *queue, const struct replay_sink *sink)
{
    static const char *const words[] = {"-j", NULL};
    g_autoptr(GHashTable) handled = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct listing listing = {queue, sink, handled, true};
    bool more = true;

    /* a message that is gone costs a second, because postcat sleeps before it ends with an error */
    while (more && listing.outdated) {
        struct error err;
        AUTO_FD list = run(queue, "postqueue", words, -1, &err);

        listing.outdated = false;
        enum lines read =
            list < 0 ? LINES_FAILED : each_line(list, listed_line, &listing, &err);
        if (read == LINES_FAILED)
            sink->left(sink->ctx, "queue", REPLAY_FAILED, &err);
        more = read != LINES_STOPPED || listing.outdated;
    }
    return more;
}
