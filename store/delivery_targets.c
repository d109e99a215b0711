#include "store/delivery_targets.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "lda/base/io.h"
#include "store/mailbox_name.h"
#include "store/store-internal.h"

void target_free(void *data)
{
    struct target *target = data;

    if (target == NULL)
        return;
    target->format->release(target);
    g_ptr_array_unref(target->flags);
    g_free(target->mailbox);
    g_free(target->file);
    g_free(target->flags_text);
    g_free(target);
}

/* ------------------------------------------------------------------ from the plan */

static void add_flags(struct target *target, const char *const *flags)
{
    for (; flags != NULL && *flags != NULL; flags++) {
        bool known = false;

        for (guint i = 0; i < target->flags->len && !known; i++)
            known = strcasecmp(g_ptr_array_index(target->flags, i), *flags) == 0;
        if (!known)
            g_ptr_array_add(target->flags, (char *)*flags);
    }
}

/* The name of the mailbox; one that cannot be is INBOX, with a note. */
static char *mailbox_of(struct delivery *delivery, const struct delivery_target *wish,
                        bool *ret_fallback)
{
    char *mailbox;
    struct error why;

    *ret_fallback = !mailbox_name_canonical(wish->mailbox, &mailbox, &why);
    if (!*ret_fallback)
        return mailbox;
    delivery_note(delivery, "%s; filed into INBOX", why.text);
    return g_strdup("INBOX");
}

/* The target for the same mailbox and content that is there already, or NULL. */
static struct target *find_target(struct delivery *delivery, const char *mailbox, unsigned content)
{
    for (guint i = 0; i < delivery->targets->len; i++) {
        struct target *target = g_ptr_array_index(delivery->targets, i);

        if (strcmp(target->mailbox, mailbox) == 0 && target->content == content)
            return target;
    }
    return NULL;
}

static unsigned copies_in(const struct delivery *delivery, const char *mailbox)
{
    unsigned copies = 0;

    for (guint i = 0; i < delivery->targets->len; i++) {
        const struct target *target = g_ptr_array_index(delivery->targets, i);

        copies += strcmp(target->mailbox, mailbox) == 0;
    }
    return copies;
}

static bool add_target(struct delivery *delivery, const struct delivery_target *wish,
                       struct error *err)
{
    struct target *target = g_new0(struct target, 1);

    target->format = delivery->format;
    target->row = wish->row;
    target->flags = g_ptr_array_new();
    target->create = wish->create;
    target->content = wish->content;
    target->mailbox = mailbox_of(delivery, wish, &target->fallback);
    if (!delivery->format->resolve(delivery, target, err)) {
        target_free(target);
        return false;
    }

    /* only now is the mailbox certain: two wishes may have come to the same one */
    struct target *same = find_target(delivery, target->mailbox, target->content);

    if (same != NULL) {
        add_flags(same, wish->flags);
        target_free(target);
        return true;
    }
    target->copy = copies_in(delivery, target->mailbox);
    add_flags(target, wish->flags);
    g_ptr_array_add(delivery->targets, target);
    return true;
}

/* ------------------------------------------------------------------ what an earlier try published */

static void adopt(struct target *target, struct earlier *earlier)
{
    earlier->taken = true;
    target->found = earlier;
    g_free(target->mailbox);
    g_free(target->file);
    g_free(target->flags_text);
    target->mailbox = g_strdup(earlier->mailbox);
    target->file = g_strdup(earlier->file);
    target->flags_text = g_strdup(earlier->flags);
    target->is_read = strchr(earlier->letters, 'S') != NULL;
    target->size = earlier->size;
}

/*
 * A file under the target's own name satisfies it, wherever the user moved it and whatever flags it
 * got. Then files that a client moved and renamed: they came from some target of that try, and the
 * user has decided where they belong.
 */
static void adopt_earlier(struct delivery *delivery)
{
    for (guint i = 0; i < delivery->targets->len; i++) {
        struct target *target = g_ptr_array_index(delivery->targets, i);

        for (guint j = 0; j < delivery->earlier->len && target->found == NULL; j++) {
            struct earlier *earlier = g_ptr_array_index(delivery->earlier, j);

            if (earlier->named && !earlier->taken &&
                delivery->format->is_same_place(delivery, target, earlier))
                adopt(target, earlier);
        }
    }
    for (guint i = 0; i < delivery->targets->len; i++) {
        struct target *target = g_ptr_array_index(delivery->targets, i);

        for (guint j = 0; j < delivery->earlier->len && target->found == NULL; j++) {
            struct earlier *earlier = g_ptr_array_index(delivery->earlier, j);

            if (!earlier->named && !earlier->taken)
                adopt(target, earlier);
        }
    }
}

bool targets_build(struct delivery *delivery, const struct delivery_plan *plan, struct error *err)
{
    for (size_t i = 0; i < plan->target_count; i++)
        if (!add_target(delivery, &plan->targets[i], err))
            return false;
    if (delivery->format->lock != NULL && !delivery->format->lock(delivery, err))
        return false;
    for (guint i = 0; i < delivery->targets->len; i++) {
        struct target *target = g_ptr_array_index(delivery->targets, i);

        if (!delivery->format->name(delivery, target, err))
            return false;
    }
    if (!delivery->resumed)
        return true;
    if (!delivery->format->find_earlier(delivery, &delivery->earlier, err))
        return false;
    adopt_earlier(delivery);
    return true;
}

void targets_sum(const struct delivery *delivery, bool found_too, int64_t *ret_bytes,
                 int64_t *ret_count)
{
    int64_t bytes = 0, count = 0;

    for (guint i = 0; i < delivery->targets->len; i++) {
        const struct target *target = g_ptr_array_index(delivery->targets, i);

        if (target->found == NULL || found_too) {
            bytes += (int64_t)target->size;
            count++;
        }
    }
    *ret_bytes = bytes;
    *ret_count = count;
}

/* ------------------------------------------------------------------ to disk, and back */

bool targets_sync_contents(struct delivery *delivery, struct error *err)
{
    for (guint i = 0; i < delivery->contents->len && !delivery->format->copies_content; i++) {
        const struct pending_file *content = g_ptr_array_index(delivery->contents, i);
        bool used = false;

        for (guint j = 0; j < delivery->targets->len && !used; j++) {
            const struct target *target = g_ptr_array_index(delivery->targets, j);

            used = target->content == i && target->found == NULL;
        }
        if (used && !io_sync(content->fd, content->name, err))
            return false;
    }
    return true;
}

static bool take_back_unwanted(struct delivery *delivery, struct error *err)
{
    for (guint i = 0; delivery->earlier != NULL && i < delivery->earlier->len; i++) {
        const struct earlier *earlier = g_ptr_array_index(delivery->earlier, i);

        /* what a client copied or moved under its own name is the user's */
        if (earlier->named && !earlier->taken &&
            !delivery->format->remove_earlier(delivery, earlier, err))
            return false;
    }
    return true;
}

bool targets_publish(struct delivery *delivery, struct error *err)
{
    /* first: in an mbox what is added must be the last thing */
    if (!take_back_unwanted(delivery, err))
        return false;
    for (guint i = 0; i < delivery->targets->len; i++) {
        struct target *target = g_ptr_array_index(delivery->targets, i);

        if (target->found == NULL && !delivery->format->publish(delivery, target, err))
            return false;
    }
    for (guint i = 0; i < delivery->targets->len; i++) {
        struct target *target = g_ptr_array_index(delivery->targets, i);

        if (target->found == NULL ? !delivery->format->sync(delivery, target, err)
                                  : !delivery->format->sync_earlier(delivery, target->found, err))
            return false;
    }
    return true;
}

/* Links of a content beyond its pending name: a client copied a message that is to disappear. */
static bool has_more_links(const struct delivery *delivery)
{
    for (guint i = 0; i < delivery->contents->len; i++) {
        const struct pending_file *content = g_ptr_array_index(delivery->contents, i);
        struct stat st;

        if (fstat(content->fd, &st) == 0 && st.st_nlink > 1)
            return true;
    }
    return false;
}

static bool take_back_copies(struct delivery *delivery, struct error *err)
{
    g_autoptr(GPtrArray) found = NULL;

    if (!delivery->format->find_earlier(delivery, &found, err))
        return false;
    for (guint i = 0; i < found->len; i++)
        if (!delivery->format->remove_earlier(delivery, g_ptr_array_index(found, i), err))
            return false;
    return true;
}

bool targets_take_back(struct delivery *delivery, struct error *err)
{
    bool any = false;

    for (guint i = 0; i < delivery->targets->len; i++) {
        struct target *target = g_ptr_array_index(delivery->targets, i);

        any |= target->published;
        if (target->published && !delivery->format->take_back(delivery, target, err))
            return false;
    }
    if (any && !delivery->resumed && has_more_links(delivery))
        return take_back_copies(delivery, err);
    return true;
}
