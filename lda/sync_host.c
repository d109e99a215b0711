#include "lda/sync_host.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <jansson.h>

#include "lda/base/cleanup.h"
#include "lda/config.h"
#include "lda/mail/address.h"
#include "lda/mail/message.h"
#include "lda/row.h"
#include "lda/user.h"
#include "store/contacts.h"
#include "store/store.h"

/* Recipients of one sent message that go to the address book: more is a mass mailing. */
#define RECIPIENTS_MAX 50

static const char *const recipient_fields[] = {"To", "Cc", "Bcc"};

struct syncer {
    const struct config *config;
    struct sync_host host;
    void (*note)(void *ctx, const char *text);
    void *note_ctx;
    char *sent_mailboxes;
    char *charsets[16]; /* fallback_charsets, NULL-terminated */
    /* of the message that make_row read last, raw */
    GString *recipients[G_N_ELEMENTS(recipient_fields)];
};

/* Keeps the raw recipient fields: sent() parses them, for the few messages that need it. */
static void keep_recipients(struct syncer *syncer, struct headers *headers)
{
    for (size_t i = 0; i < G_N_ELEMENTS(recipient_fields); i++) {
        const char *raw = headers_get_raw(headers, recipient_fields[i]);

        g_string_assign(syncer->recipients[i], raw ? raw : "");
    }
}

static bool make_row(void *ctx, int fd, const char *name, struct header_row **ret_row,
                     struct error *err)
{
    struct syncer *syncer = ctx;
    struct message_options options = {.charsets = (const char *const *)syncer->charsets};
    struct stat status;
    int64_t when;

    AUTO_MESSAGE message = message_open_fd(fd, &options, err);
    if (!message)
        return false;
    when = row_received_at(message);
    if (when == 0)
        when = fstat(fd, &status) == 0 ? (int64_t)status.st_mtime : (int64_t)time(NULL);
    /* what the delivery put on top: the recipient of a message without a To field */
    if (!row_new(message, headers_get(message_headers(message), "Delivered-To"), when, ret_row,
                 err)) {
        error_prefix(err, "%s", name);
        return false;
    }
    keep_recipients(syncer, message_headers(message));
    return true;
}

/* One use a message, however often it names the address. */
static bool note_address(struct db *db, int64_t user_id, const struct address *address,
                         const struct header_row *row, GHashTable *seen, struct error *err)
{
    g_autofree char *key = address->valid ? contacts_fold_address(address->full) : NULL;

    if (!key || !g_hash_table_add(seen, g_steal_pointer(&key)) ||
        contacts_note_use(db, user_id, address->name, address->full, "sent", row->date, err))
        return true;
    if (err->kind != ERROR_USAGE)
        return false;
    error_clear(err);
    return true;
}

static bool sent(void *ctx, struct db *db, int64_t user_id, const struct header_row *row,
                 struct error *err)
{
    struct syncer *syncer = ctx;
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(recipient_fields); i++) {
        AUTO_ADDRESS_LIST list = address_list_parse(syncer->recipients[i]->str, RECIPIENTS_MAX,
                                                    (const char *const *)syncer->charsets);

        for (size_t k = 0; k < list->count; k++)
            if (!note_address(db, user_id, &list->items[k], row, seen, err))
                return false;
    }
    return true;
}

static void note(void *ctx, const char *text)
{
    const struct syncer *syncer = ctx;

    if (syncer->note)
        syncer->note(syncer->note_ctx, text);
}

/* The mailboxes of special use \Sent. */
static char *sent_mailboxes(const struct config *config)
{
    GString *names = g_string_new(NULL);
    char word[1024];

    for (size_t i = 0; config_word(config, CONFIG_SPECIAL_USE, i, word, sizeof word); i++)
        if (g_ascii_strncasecmp(word, "\\Sent=", 6) == 0)
            g_string_append_printf(names, "%s%s", names->len ? " " : "", word + 6);
    return g_string_free(names, FALSE);
}

struct syncer *syncer_new(const struct config *config, void (*note_function)(void *, const char *),
                          void *note_ctx)
{
    struct syncer *syncer = g_new0(struct syncer, 1);
    char word[64];

    syncer->config = config;
    syncer->note = note_function;
    syncer->note_ctx = note_ctx;
    syncer->sent_mailboxes = sent_mailboxes(config);
    for (size_t i = 0; i + 1 < G_N_ELEMENTS(syncer->charsets) &&
                       config_word(config, CONFIG_FALLBACK_CHARSETS, i, word, sizeof word);
         i++)
        syncer->charsets[i] = g_strdup(word);
    for (size_t i = 0; i < G_N_ELEMENTS(recipient_fields); i++)
        syncer->recipients[i] = g_string_new(NULL);
    syncer->host = (struct sync_host){
        .make_row = make_row,
        .free_row = row_free_made,
        .sent = config_bool(config, CONFIG_CONTACTS_FROM_SENT) ? sent : NULL,
        .note = note,
        .ctx = syncer,
    };
    return syncer;
}

void syncer_free(struct syncer *syncer)
{
    if (!syncer)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(recipient_fields); i++)
        g_string_free(syncer->recipients[i], TRUE);
    for (size_t i = 0; i < G_N_ELEMENTS(syncer->charsets); i++)
        g_free(syncer->charsets[i]);
    g_free(syncer->sent_mailboxes);
    g_free(syncer);
}

bool syncer_run(struct syncer *syncer, struct db *db, const struct user *user,
                const struct sync_options *options, struct sync_counts *counts,
                struct error *err)
{
    struct sync_options own = *options;
    struct sync_user store_user = {.id = user->id, .address = user->address};
    AUTO_FD home = -1;

    home = user_open_home(user, syncer->config, false, err);
    if (home < 0) {
        if (err->code != ENOENT)
            return false;
        error_clear(err);
        return true;
    }
    store_user.home = home;
    store_user.mbox = user->mbox;
    store_user.mbox_locks = config_text(syncer->config, CONFIG_MBOX_LOCKS);
    own.sent_mailboxes = syncer->sent_mailboxes;
    return sync_run(db, &store_user, &syncer->host, &own, counts, err);
}

/* ------------------------------------------------------------------ counts */

/* The order in which they are added and printed. */
static const struct {
    const char *name, *words;
    size_t offset;
} fields[] = {
    {"folders", "folders", offsetof(struct sync_counts, folders)},
    {"unchanged_folders", "of them unchanged", offsetof(struct sync_counts, unchanged_folders)},
    {"files", "files", offsetof(struct sync_counts, files)},
    {"added", "added", offsetof(struct sync_counts, added)},
    {"removed", "removed", offsetof(struct sync_counts, removed)},
    {"moved", "moved", offsetof(struct sync_counts, moved)},
    {"flagged", "with other flags", offsetof(struct sync_counts, flagged)},
    {"rebuilt", "rebuilt", offsetof(struct sync_counts, rebuilt)},
    {"carried", "carried into files", offsetof(struct sync_counts, carried)},
    {"ignored", "ignored", offsetof(struct sync_counts, ignored)},
    {"waiting", "left for next time", offsetof(struct sync_counts, waiting)},
};

static int64_t *field_of(struct sync_counts *counts, size_t i)
{
    return (int64_t *)(void *)((char *)counts + fields[i].offset);
}

static int64_t value_of(const struct sync_counts *counts, size_t i)
{
    return *(const int64_t *)(const void *)((const char *)counts + fields[i].offset);
}

void sync_counts_add(struct sync_counts *counts, const struct sync_counts *more)
{
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        *field_of(counts, i) += value_of(more, i);
}

int64_t sync_counts_differences(const struct sync_counts *counts)
{
    return counts->added + counts->removed + counts->moved + counts->flagged + counts->carried;
}

void sync_counts_print(const struct sync_counts *counts, int64_t users, bool json)
{
    if (json) {
        json_t *object = json_pack("{s:I}", "users", (json_int_t)users);

        for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
            json_object_set_new(object, fields[i].name, json_integer(value_of(counts, i)));
        json_dumpf(object, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        putchar('\n');
        json_decref(object);
        return;
    }
    printf("%" PRId64 " users", users);
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
        if (i == 0 || i == 2 || value_of(counts, i) != 0)
            printf(", %" PRId64 " %s", value_of(counts, i), fields[i].words);
    putchar('\n');
}
