/* The way of a message: spool, parse, filter, plan, commit, send. */
#include "lda/deliver.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/child.h"
#include "lda/config.h"
#include "lda/correspondent.h"
#include "lda/explain.h"
#include "lda/filter.h"
#include "lda/mail/message.h"
#include "lda/outbox.h"
#include "lda/plan.h"
#include "lda/row.h"
#include "lda/site.h"
#include "lda/spool.h"
#include "lda/user.h"
#include "sieve/sieve.h"
#include "store/db.h"
#include "store/store.h"

/* One delivery on its way; every step fills its part. */
struct work {
    struct site *site;
    const struct config *config;
    const struct envelope *envelope;
    const struct deliver_options *options;
    int input;
    struct deliver_result *result;
    gint64 step_us; /* when the current step began */

    /* who */
    struct db *db;
    struct store *store;
    struct user *user;
    int home;
    struct store_user store_user;
    /* spool */
    struct delivery *delivery; /* NULL in a dry run: then the spool is a temporary file */
    int temporary;
    struct spool_result spooled;
    bool already;
    /* parse */
    struct message *message;
    /* filter, plan */
    struct sieve_host_site host_site;
    struct filter *filter;
    struct plan_policy policy;
    struct plan *plan;
};

static bool is_dry(const struct work *work)
{
    return work->options->dry_run || work->options->explain;
}

static void note(struct work *work, const char *text)
{
    g_ptr_array_add(work->result->notes, g_strdup(text));
}

/* log_debug: how long each step took. */
static void step(struct work *work, const char *name)
{
    gint64 now_us = g_get_monotonic_time();

    if (config_bool(work->config, CONFIG_LOG_DEBUG))
        g_ptr_array_add(work->result->steps,
                        g_strdup_printf("%s took %.2f ms", name,
                                        (double)(now_us - work->step_us) / 1000.0));
    work->step_us = now_us;
}

static void add_notes(struct work *work, const GPtrArray *notes)
{
    for (guint i = 0; notes != NULL && i < notes->len; i++)
        note(work, notes->pdata[i]);
}

/* ------------------------------------------------------------------ 0. who gets it */

/* A connection that was kept since the last delivery may have been cut: then it is tried once more. */
static bool look_up(struct work *work, struct error *err)
{
    for (int tries = 0;; tries++) {
        work->store = site_store(work->site, err);
        if (work->store == NULL)
            return false;
        work->db = site_db(work->site, err);
        if (work->db == NULL)
            return false;
        enum user_answer answer =
            user_look_up(work->db, work->config, work->envelope->user, &work->user, err);
        if (answer != USER_FAILED || db_fault(work->db) != DB_FAULT_LOST || tries > 0)
            return answer == USER_FOUND;
        site_drop_db(work->site);
    }
}

static bool find_user(struct work *work, struct error *err)
{
    if (!look_up(work, err))
        return false;
    if (!work->user->enabled) {
        error_set(err, ERROR_NO_USER, "the mailbox of %s is disabled", work->user->address);
        return false;
    }
    work->home = user_open_home(work->user, work->config, !is_dry(work), err);
    if (work->home < 0 && !(is_dry(work) && err->code == ENOENT))
        return false;
    work->store_user = user_in_store(work->user, work->home);
    return true;
}

/* ------------------------------------------------------------------ 1. spool */

static bool spool(struct work *work, struct error *err)
{
    struct spool_options options = {
        .envelope = work->envelope,
        .user = work->user->address,
        .add_delivered_to = config_bool(work->config, CONFIG_DELIVERED_TO),
        .check_loop = !work->options->replay,
        .size_limit = config_number(work->config, CONFIG_MESSAGE_SIZE_LIMIT),
    };
    int output;

    if (is_dry(work)) {
        work->temporary = child_temporary_file(err);
        output = work->temporary;
        if (output < 0)
            return false;
    } else {
        if (!delivery_begin(work->store, &work->store_user, &work->delivery, err))
            return false;
        output = delivery_fd(work->delivery);
    }
    if (!spool_copy(work->input, output, &options, &work->spooled, err))
        return false;
    work->result->size = work->spooled.size;
    return true;
}

/* ------------------------------------------------------------------ 2. parse */

static bool parse(struct work *work, struct error *err)
{
    g_autoptr(GPtrArray) charsets = g_ptr_array_new_with_free_func(g_free);
    struct message_options options = {.charsets = NULL};
    char word[64];

    for (size_t i = 0;
         config_word(work->config, CONFIG_FALLBACK_CHARSETS, i, word, sizeof word); i++)
        g_ptr_array_add(charsets, g_strdup(word));
    g_ptr_array_add(charsets, NULL);
    options.charsets = (const char *const *)charsets->pdata;
    work->message = message_open_fd(
        work->delivery != NULL ? delivery_fd(work->delivery) : work->temporary, &options, err);
    if (work->message == NULL)
        return false;
    work->result->message_id = row_message_id(work->message);
    return true;
}

/* --- the same message to the same recipient under the same queue id is one delivery */

static char *delivery_key(const struct work *work)
{
    const struct envelope *envelope = work->envelope;

    if (envelope->queue_id == NULL && !work->options->once)
        return NULL;
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    /* in lower case: pipe(8) writes it so with flag u, the queue file does not */
    g_autofree char *recipient = g_ascii_strdown(envelope->recipient, -1);
    const char *parts[] = {envelope->queue_id == NULL ? "" : envelope->queue_id, recipient,
                           work->spooled.digest, ""};
    /* a copy that lay in another folder is another message to its owner */
    if (envelope->queue_id == NULL && work->options->mailbox != NULL)
        parts[3] = work->options->mailbox;
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) /* with the NUL: parts stay apart */
        g_checksum_update(checksum, (const guchar *)parts[i], (gssize)strlen(parts[i]) + 1);
    return g_strdup(g_checksum_get_string(checksum));
}

static bool identify(struct work *work, struct error *err)
{
    g_autofree char *key = delivery_key(work);
    struct delivery_content content = {
        .size_crlf = (off_t)work->spooled.size_crlf,
        .received_at = row_received_at(work->message),
    };
    enum delivery_state state;

    if (work->delivery == NULL)
        return key == NULL || !work->options->replay ||
               store_key_is_committed(work->store, work->user->id, key, &work->already, err);
    if (!delivery_identify(work->delivery, key, &content, &state, err))
        return false;
    work->already = state == DELIVERY_ALREADY;
    return true;
}

/* ------------------------------------------------------------------ 3. filter */

static bool filter(struct work *work, struct error *err)
{
    struct filter_input input = {
        .site = &work->host_site,
        .message = work->message,
        .script = work->options->script,
        .no_script = work->options->no_script,
        .trace = work->options->explain,
        .write_log = !is_dry(work),
    };

    work->host_site = (struct sieve_host_site){
        .config = work->config,
        .db = work->db,
        .store = work->store,
        .store_user = &work->store_user,
        .user = work->user,
        .envelope = work->envelope,
        .home = work->home,
        .scripts = site_scripts(work->site),
    };
    if (!filter_run(&input, &work->filter, err))
        return false;
    add_notes(work, filter_notes(work->filter));
    return true;
}

/* ------------------------------------------------------------------ 4. plan */

static bool plan(struct work *work, struct error *err)
{
    work->policy = (struct plan_policy){
        .keep_mailbox = work->options->mailbox == NULL ? "INBOX" : work->options->mailbox,
        .user = work->user->address,
        .redirect_sender = config_text(work->config, CONFIG_SIEVE_REDIRECT_ENVELOPE_FROM),
        .postmaster = config_text(work->config, CONFIG_POSTMASTER_ADDRESS),
        .redirect_hops = config_number(work->config, CONFIG_SIEVE_REDIRECT_HOPS),
        .reject_by_status = work->options->reject_by_status,
        .replay = work->options->replay,
        .keep_flags = work->options->flags,
    };
    work->plan = plan_build(filter_result(work->filter), work->envelope,
                            message_headers(work->message), &work->policy);
    if (!outbox_forget_answered(work->plan, work->store, work->user->id, err))
        return false;
    add_notes(work, work->plan->notes);
    g_free(work->result->summary);
    work->result->summary = plan_summary(work->plan);
    if (is_dry(work)) {
        work->result->plan = explain_plan(work->envelope, work->user, work->filter, work->plan,
                                          work->result->message_id, work->options->explain);
        return true;
    }
    if (work->plan->refusal != NULL) {
        g_autofree char *line = g_strdelimit(g_strdup(work->plan->refusal), "\r\n\t", ' ');

        error_set(err, ERROR_REFUSED, "%s", line);
        return false;
    }
    return true;
}

/* ------------------------------------------------------------------ 5. commit, 6. send */

/* The store hands over what must not be lost before COMMIT, what must not come twice after it. What the
 * MTA refuses for good is kept in INBOX instead, and everything is tried once more. */
static bool commit(struct work *work, struct error *err)
{
    struct outbox_input input = {
        .config = work->config,
        .envelope = work->envelope,
        .user = work->user,
        .message = work->message,
        .message_id = work->result->message_id,
        .result = filter_result(work->filter),
        .delivery = work->delivery,
        .ignore_quota = work->options->ignore_quota,
    };

    for (;;) {
        struct delivery_result stored = {.already = false};
        struct outbox *outbox = NULL;
        guint refused;
        bool good = outbox_new(&input, work->plan, &outbox, err) &&
                    delivery_commit(work->delivery, outbox_plan(outbox), &stored, err);

        add_notes(work, stored.notes);
        if (outbox != NULL)
            add_notes(work, outbox_notes(outbox));
        bool again = !good && outbox != NULL && outbox_refused(outbox, &refused);
        outbox_free(outbox);
        if (good) {
            work->already = stored.already;
            delivery_result_clear(&stored);
            return true;
        }
        delivery_result_clear(&stored);
        if (!again)
            return false;
        note(work, err->text);
        plan_keep_instead(work->plan, refused, &work->policy);
        g_free(work->result->summary);
        work->result->summary = plan_summary(work->plan);
    }
}

/* After the commit, as something that a delivery does not hang on. */
static void note_correspondent(struct work *work)
{
    struct error err;

    if (!is_dry(work) && work->result->outcome == DELIVER_STORED && !work->options->replay &&
        config_bool(work->config, CONFIG_CONTACTS_FROM_RECEIVED) &&
        !correspondent_note(work->db, work->user->id, work->message, &err))
        note(work, err.text);
}

/* ------------------------------------------------------------------ the ladder */

#define KIND(kind) (1U << (kind))
/* What defers, wherever it comes from. */
#define DEFERRING (KIND(ERROR_TEMPORARY) | KIND(ERROR_CONFIG) | KIND(ERROR_QUOTA_DEFER))

G_STATIC_ASSERT(ERROR_KINDS <= 32);

/* Mail goes back to its sender for the reasons that a step is known for, and for no other: a kind that came
 * up from further below (a file of the user's that is too long, say) defers, as does none at all. */
static void keep_in_queue(unsigned final, struct error *err)
{
    if ((unsigned)err->kind >= ERROR_KINDS || (KIND(err->kind) & (DEFERRING | final)) == 0) {
        if (err->kind == ERROR_NONE)
            error_set(err, ERROR_TEMPORARY, "the delivery failed without a reason");
        err->kind = ERROR_TEMPORARY;
    }
}

static bool run(struct work *work, struct error *err)
{
    static const struct {
        const char *name;
        bool (*run)(struct work *work, struct error *err);
        bool dry;       /* part of a dry run too */
        unsigned final; /* kinds of error that return the mail */
    } steps[] = {
        {"look-up", find_user, true, KIND(ERROR_NO_USER)},
        {"spool", spool, true, KIND(ERROR_BAD_DATA) | KIND(ERROR_LOOP)},
        {"parse", parse, true, 0},
        {"identify", identify, true, 0},
        {"filter", filter, true, 0},
        {"plan", plan, true, KIND(ERROR_REFUSED)},
        {"commit and send", commit, false, KIND(ERROR_QUOTA)},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(steps) && !work->already; i++) {
        if (is_dry(work) && !steps[i].dry)
            continue;
        if (!steps[i].run(work, err)) {
            keep_in_queue(steps[i].final, err);
            return false;
        }
        step(work, steps[i].name);
    }
    if (work->already) {
        work->result->outcome = DELIVER_DUPLICATE;
        g_free(work->result->summary);
        work->result->summary = g_strdup("was delivered before, nothing to do");
    } else {
        work->result->outcome =
            work->plan->targets->len > 0 ? DELIVER_STORED : DELIVER_DISCARDED;
        note_correspondent(work);
    }
    return true;
}

bool deliver(struct site *site, const struct envelope *envelope, int input_fd,
             const struct deliver_options *options, struct deliver_result *ret_result,
             struct error *err)
{
    gint64 started_us = g_get_monotonic_time();
    struct work work = {
        .site = site,
        .config = site_config(site),
        .envelope = envelope,
        .options = options,
        .input = input_fd,
        .result = ret_result,
        .step_us = started_us,
        .home = -1,
        .temporary = -1,
    };

    error_clear(err);
    *ret_result = (struct deliver_result){.outcome = DELIVER_STORED};
    ret_result->notes = g_ptr_array_new_with_free_func(g_free);
    ret_result->steps = g_ptr_array_new_with_free_func(g_free);
    bool good = run(&work, err);
    plan_free(work.plan);
    filter_free(work.filter);
    message_free(work.message);
    delivery_free(work.delivery);
    cleanup_fd(&work.temporary);
    cleanup_fd(&work.home);
    user_free(work.user);
    ret_result->elapsed_ms = (double)(g_get_monotonic_time() - started_us) / 1000.0;
    return good;
}

void deliver_result_clear(struct deliver_result *result)
{
    g_free(result->message_id);
    g_free(result->summary);
    g_free(result->plan);
    if (result->notes != NULL)
        g_ptr_array_unref(result->notes);
    if (result->steps != NULL)
        g_ptr_array_unref(result->steps);
    memset(result, 0, sizeof *result);
}
