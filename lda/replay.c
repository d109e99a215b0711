#include "lda/replay.h"

#include <string.h>

#define FIELD_MAX 8192 /* of a string in a packet; longer ones are cut */

/* The strings of each struct, in the order of the packet. */
static const size_t job_fields[] = {
    G_STRUCT_OFFSET(struct replay_job, name),      G_STRUCT_OFFSET(struct replay_job, recipient),
    G_STRUCT_OFFSET(struct replay_job, original),  G_STRUCT_OFFSET(struct replay_job, sender),
    G_STRUCT_OFFSET(struct replay_job, queue_id),  G_STRUCT_OFFSET(struct replay_job, mailbox),
    G_STRUCT_OFFSET(struct replay_job, flags),
};
static const size_t answer_fields[] = {
    G_STRUCT_OFFSET(struct replay_answer, recipient),
    G_STRUCT_OFFSET(struct replay_answer, message_id),
    G_STRUCT_OFFSET(struct replay_answer, text),
    G_STRUCT_OFFSET(struct replay_answer, notes),
};

G_STATIC_ASSERT(G_N_ELEMENTS(job_fields) * (FIELD_MAX + 2) < REPLAY_PACKET_MAX);

static void clear(void *object, const size_t *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        g_clear_pointer((char **)G_STRUCT_MEMBER_P(object, fields[i]), g_free);
}

/* '-' for NULL, else '+' and the text; each ends in NUL. */
static void put_strings(GString *packet, const void *object, const size_t *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *text = G_STRUCT_MEMBER(char *, object, fields[i]);

        g_string_append_c(packet, text == NULL ? '-' : '+');
        if (text != NULL)
            g_string_append_len(packet, text, (gssize)strnlen(text, FIELD_MAX));
        g_string_append_c(packet, '\0');
    }
}

static bool take_strings(const char *data, size_t length, void *object, const size_t *fields,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *end = memchr(data, '\0', length);

        if (end == NULL || (data[0] != '-' && data[0] != '+')) {
            clear(object, fields, count);
            return false;
        }
        if (data[0] == '+')
            G_STRUCT_MEMBER(char *, object, fields[i]) = g_strndup(data + 1, (gsize)(end - data) - 1);
        length -= (size_t)(end - data) + 1;
        data = end + 1;
    }
    if (length == 0)
        return true;
    clear(object, fields, count);
    return false;
}

void replay_job_clear(struct replay_job *job)
{
    clear(job, job_fields, G_N_ELEMENTS(job_fields));
}

void replay_answer_clear(struct replay_answer *answer)
{
    clear(answer, answer_fields, G_N_ELEMENTS(answer_fields));
}

GBytes *replay_job_encode(const struct replay_job *job)
{
    GString *packet = g_string_new(NULL);

    put_strings(packet, job, job_fields, G_N_ELEMENTS(job_fields));
    return g_string_free_to_bytes(packet);
}

bool replay_job_decode(const void *data, size_t length, struct replay_job *ret_job)
{
    struct replay_job job = {.name = NULL};

    if (!take_strings(data, length, &job, job_fields, G_N_ELEMENTS(job_fields)))
        return false;
    if (job.name == NULL) {
        replay_job_clear(&job);
        return false;
    }
    *ret_job = job;
    return true;
}

GBytes *replay_answer_encode(const struct replay_answer *answer)
{
    GString *packet = g_string_new(NULL);

    g_string_append_c(packet, (char)('0' + answer->outcome));
    g_string_append_c(packet, (char)('0' + answer->kind));
    put_strings(packet, answer, answer_fields, G_N_ELEMENTS(answer_fields));
    return g_string_free_to_bytes(packet);
}

bool replay_answer_decode(const void *data, size_t length, struct replay_answer *ret_answer)
{
    struct replay_answer answer = {.text = NULL};
    const char *bytes = data;

    if (length < 2 || bytes[0] < '0' || bytes[0] >= '0' + REPLAY_OUTCOMES || bytes[1] < '0' ||
        bytes[1] >= '0' + ERROR_KINDS ||
        !take_strings(bytes + 2, length - 2, &answer, answer_fields, G_N_ELEMENTS(answer_fields)))
        return false;
    if (answer.text == NULL) {
        replay_answer_clear(&answer);
        return false;
    }
    answer.outcome = (enum replay_outcome)(bytes[0] - '0');
    answer.kind = (enum error_kind)(bytes[1] - '0');
    *ret_answer = answer;
    return true;
}
