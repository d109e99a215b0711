#include "lda/outbox.h"

#include <time.h>

#include "lda/envelope.h"
#include "lda/mail/message.h"
#include "lda/plan.h"
#include "lda/row.h"
#include "lda/send.h"
#include "sieve/sieve.h"
#include "store/store.h"

/* A message that is stored besides, or instead of, the spooled one. */
struct content {
    const struct message *message;  /* edited; or NULL */
    const struct sieve_mail *text;  /* a copy of what is sent; or NULL */
    unsigned number;
    struct header_row *row;
};

struct outbox {
    const struct outbox_input *input;
    GArray *contents;       /* struct content */
    GArray *targets;        /* struct delivery_target */
    struct send_job *jobs;  /* one per send of the plan */
    guint job_count;
    GArray *sends;          /* struct delivery_send */
    GArray *marks;          /* struct delivery_mark */
    GPtrArray *notes;
    struct delivery_plan plan;
};

void outbox_free(struct outbox *outbox)
{
    if (outbox == NULL)
        return;
    for (guint i = 0; i < outbox->contents->len; i++)
        row_free(g_array_index(outbox->contents, struct content, i).row);
    for (guint i = 0; i < outbox->job_count; i++)
        g_free(outbox->jobs[i].note);
    g_array_unref(outbox->contents);
    g_array_unref(outbox->targets);
    g_array_unref(outbox->sends);
    g_array_unref(outbox->marks);
    g_ptr_array_unref(outbox->notes);
    g_free(outbox->jobs);
    g_free(outbox);
}

const struct delivery_plan *outbox_plan(const struct outbox *outbox)
{
    return &outbox->plan;
}

const GPtrArray *outbox_notes(const struct outbox *outbox)
{
    for (guint i = 0; i < outbox->job_count; i++)
        if (outbox->jobs[i].note != NULL)
            g_ptr_array_add(outbox->notes, g_steal_pointer(&outbox->jobs[i].note));
    return outbox->notes;
}

bool outbox_refused(const struct outbox *outbox, guint *ret_send)
{
    for (guint i = 0; i < outbox->job_count; i++)
        if (outbox->jobs[i].refused && !outbox->jobs[i].send->after_commit) {
            *ret_send = i;
            return true;
        }
    return false;
}

/* --- answers that were given before */

static void drop_copies(struct plan *plan, const struct sieve_mail *mail)
{
    for (guint i = plan->targets->len; i > 0; i--) {
        const struct plan_target *target = plan->targets->pdata[i - 1];

        if (target->text == mail)
            g_ptr_array_remove_index(plan->targets, i - 1);
    }
}

bool outbox_forget_answered(struct plan *plan, struct store *store, int64_t user_id,
                            struct error *err)
{
    for (guint i = plan->sends->len; i > 0; i--) {
        const struct plan_send *send = plan->sends->pdata[i - 1];
        bool remembered;

        if (send->memory_key == NULL)
            continue;
        if (!store_reply_remembered(store, user_id, send->memory_key, send->memory_address,
                                    (int64_t)time(NULL), &remembered, err))
            return false;
        if (!remembered)
            continue;
        g_ptr_array_add(plan->notes,
                        g_strdup_printf("no vacation reply to <%s>: it got one within the period",
                                        send->memory_address));
        drop_copies(plan, send->mail);
        g_ptr_array_remove_index(plan->sends, i - 1);
    }
    return true;
}

/* --- contents and rows */

static bool write_content(const struct outbox_input *input, struct message *message,
                          struct content *content, int64_t when, struct error *err)
{
    int fd;

    return delivery_new_content(input->delivery, &fd, &content->number, err) &&
           message_write(message, fd, err) &&
           row_new(message, input->envelope->recipient, when, &content->row, err);
}

static bool fill_content(const struct outbox_input *input, const struct plan_target *target,
                         struct content *content, struct error *err)
{
    int64_t when = (int64_t)time(NULL);

    content->message = target->message;
    content->text = target->text;
    if (target->text != NULL) {
        AUTO_MESSAGE message =
            message_open_bytes(target->text->text, target->text->length, NULL);

        return write_content(input, message, content, when, err);
    }
    if (target->message != NULL)
        return write_content(input, target->message, content, when, err);
    return row_new(input->message, input->envelope->recipient, when, &content->row, err);
}

static bool content_of(struct outbox *outbox, const struct plan_target *target, guint *ret_index,
                       struct error *err)
{
    struct content content = {.number = 0};

    for (guint i = 0; i < outbox->contents->len; i++) {
        const struct content *known = &g_array_index(outbox->contents, struct content, i);

        if (known->message == target->message && known->text == target->text) {
            *ret_index = i;
            return true;
        }
    }
    if (!fill_content(outbox->input, target, &content, err))
        return false;
    g_array_append_val(outbox->contents, content);
    *ret_index = outbox->contents->len - 1;
    return true;
}

static bool add_target(struct outbox *outbox, const struct plan_target *target,
                       struct error *err)
{
    guint index;

    if (!content_of(outbox, target, &index, err))
        return false;
    const struct content *content = &g_array_index(outbox->contents, struct content, index);
    struct delivery_target item = {
        .mailbox = target->mailbox,
        .flags = target->flags == NULL ? NULL : (const char *const *)target->flags->pdata,
        .create = target->create,
        .content = content->number,
        .row = content->row,
    };
    g_array_append_val(outbox->targets, item);
    return true;
}

/* --- sends and what is remembered */

static void add_send(struct outbox *outbox, guint index, const struct plan_send *send)
{
    struct send_job *job = &outbox->jobs[index];
    const struct outbox_input *input = outbox->input;

    *job = (struct send_job){
        .config = input->config,
        .envelope = input->envelope,
        .user = input->user,
        .message = input->message,
        .send = send,
    };
    struct delivery_send item = {
        .id = send->id,
        .after_commit = send->after_commit,
        .send = send_run,
        .ctx = job,
    };
    g_array_append_val(outbox->sends, item);
    if (send->memory_key == NULL)
        return;
    struct delivery_mark mark = {
        .reply = true,
        .key = send->memory_key,
        .address = send->memory_address,
        .expires = (int64_t)time(NULL) + (int64_t)send->memory_seconds,
    };
    g_array_append_val(outbox->marks, mark);
}

static void add_duplicate_marks(struct outbox *outbox)
{
    const struct sieve_result *result = outbox->input->result;

    for (size_t i = 0; i < result->duplicate_mark_count; i++) {
        struct delivery_mark mark = {
            .key = result->duplicate_marks[i].key,
            .expires = (int64_t)time(NULL) + (int64_t)result->duplicate_marks[i].seconds,
        };

        g_array_append_val(outbox->marks, mark);
    }
}

bool outbox_new(const struct outbox_input *input, const struct plan *plan,
                struct outbox **ret_outbox, struct error *err)
{
    struct outbox *outbox = g_new0(struct outbox, 1);

    outbox->input = input;
    outbox->contents = g_array_new(FALSE, FALSE, sizeof(struct content));
    outbox->targets = g_array_new(FALSE, FALSE, sizeof(struct delivery_target));
    outbox->sends = g_array_new(FALSE, FALSE, sizeof(struct delivery_send));
    outbox->marks = g_array_new(FALSE, FALSE, sizeof(struct delivery_mark));
    outbox->notes = g_ptr_array_new_with_free_func(g_free);
    outbox->jobs = g_new0(struct send_job, plan->sends->len + 1);
    outbox->job_count = plan->sends->len;
    for (guint i = 0; i < plan->targets->len; i++)
        if (!add_target(outbox, plan->targets->pdata[i], err)) {
            outbox_free(outbox);
            return false;
        }
    for (guint i = 0; i < plan->sends->len; i++)
        add_send(outbox, i, plan->sends->pdata[i]);
    add_duplicate_marks(outbox);
    outbox->plan = (struct delivery_plan){
        .targets = (const struct delivery_target *)(const void *)outbox->targets->data,
        .target_count = outbox->targets->len,
        .sends = (const struct delivery_send *)(const void *)outbox->sends->data,
        .send_count = outbox->sends->len,
        .marks = (const struct delivery_mark *)(const void *)outbox->marks->data,
        .mark_count = outbox->marks->len,
        .sender = input->envelope->sender,
        .queue_id = input->envelope->queue_id,
        .message_id = input->message_id,
        .ignore_quota = input->ignore_quota,
    };
    *ret_outbox = outbox;
    return true;
}
