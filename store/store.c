/* The store itself: options, mailboxes, what Sieve remembers. The transaction is in delivery.c. */
#include "store/store.h"

#include <string.h>
#include <unistd.h>

#include "store/db.h"
#include "store/mailbox_name.h"
#include "store/store-internal.h"

#define KEYS_KEEP_S (15 * 24 * 3600)
#define LOCK_TIMEOUT_S 60

struct store *store_new(struct db *db, const struct store_options *options)
{
    static const char *const standard[] = {"Sent", "Drafts", NULL};
    static const struct store_options defaults;
    struct store *store = g_new0(struct store, 1);
    char host[256] = "";

    store->db = db;
    store->options = options == NULL ? defaults : *options;
    if (store->options.keys_keep_s <= 0)
        store->options.keys_keep_s = KEYS_KEEP_S;
    if (store->options.lock_timeout_s <= 0)
        store->options.lock_timeout_s = LOCK_TIMEOUT_S;
    if (store->options.mbox_locks == NULL)
        store->options.mbox_locks = "dotlock fcntl";
    store->mailboxes = store->options.mailboxes == NULL ? standard : store->options.mailboxes;
    if (store->options.hostname == NULL || store->options.hostname[0] == '\0')
        gethostname(host, sizeof host - 1);
    store->host = g_strdup(host[0] != '\0' ? host : store->options.hostname);
    return store;
}

void store_free(struct store *store)
{
    if (store == NULL)
        return;
    g_free(store->host);
    g_free(store);
}

void store_set_db(struct store *store, struct db *db)
{
    store->db = db;
}

const struct mail_format *mail_format_of(const struct store_user *user, struct error *err)
{
    static const struct mail_format *const formats[] = {
        [STORE_MAILDIR] = &mail_format_maildir,
        [STORE_MBOX] = &mail_format_mbox,
    };

    if ((size_t)user->format < G_N_ELEMENTS(formats) && formats[user->format] != NULL)
        return formats[user->format];
    error_set(err, ERROR_CONFIG, "the mail_format of %s is not one of this build", user->address);
    return NULL;
}

/* ------------------------------------------------------------------ mailboxes */

bool store_mailbox_canonical(const char *mailbox, char **ret_canonical, struct error *err)
{
    return mailbox_name_canonical(mailbox, ret_canonical, err);
}

bool store_mailbox_exists(struct store *store, const struct store_user *user, const char *mailbox,
                          bool *ret_exists, struct error *err)
{
    const struct mail_format *format = mail_format_of(user, err);
    g_autofree char *canonical = NULL;
    struct error ignored;

    if (format == NULL)
        return false;
    if (!mailbox_name_canonical(mailbox, &canonical, &ignored)) {
        *ret_exists = false;
        return true;
    }
    return format->exists(store, user, canonical, ret_exists, err);
}

bool store_prepare_home(struct store *store, const struct store_user *user, struct error *err)
{
    const struct mail_format *format = mail_format_of(user, err);

    if (format == NULL || !format->prepare_home(store, user, err))
        return false;

    /* last: that it exists says that the rest does */
    int dir = pending_open_dir(user->home, true, err);

    if (dir < 0)
        return false;
    close(dir);
    return true;
}

bool store_mailbox_create(struct store *store, const struct store_user *user, const char *mailbox,
                          struct error *err)
{
    const struct mail_format *format = mail_format_of(user, err);
    g_autofree char *canonical = NULL;

    return format != NULL && mailbox_name_canonical(mailbox, &canonical, err) &&
           format->create(store, user, canonical, err);
}

/* ------------------------------------------------------------------ keys */

const char *store_cut(const char *text, size_t limit, char **ret_memory)
{
    if (text == NULL)
        return NULL;
    /* the caller promises valid text; a broken one must not keep a mail away for ever */
    if (!g_utf8_validate(text, -1, NULL))
        text = *ret_memory = g_utf8_make_valid(text, -1);
    if (strlen(text) <= limit || (size_t)g_utf8_strlen(text, -1) <= limit)
        return text;

    char *shorter = g_utf8_substring(text, 0, (glong)limit);

    g_free(*ret_memory);
    *ret_memory = shorter;
    return shorter;
}

bool store_key_to_bytes(const char *key, unsigned char bytes[32])
{
    if (strlen(key) != 64)
        return false;
    for (size_t i = 0; i < 32; i++) {
        int high = g_ascii_xdigit_value(key[2 * i]), low = g_ascii_xdigit_value(key[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        bytes[i] = (unsigned char)(high * 16 + low);
    }
    return true;
}

/* Asks a yes-no question about a key; a warm connection that died while nobody used it is opened
 * again once. */
static bool ask(struct store *store, const char *sql, int64_t user_id, const char *key,
                const struct db_value *more, size_t more_count, bool *ret_yes, struct error *err)
{
    unsigned char bytes[32];
    struct db_value values[4] = {db_int(user_id)};
    struct error why = {0};
    int64_t ignored;

    if (!store_key_to_bytes(key, bytes)) {
        error_set(err, ERROR_TEMPORARY, "\"%.80s\" is not a key of 64 hex digits", key);
        return false;
    }
    values[1] = db_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < more_count && i < 2; i++)
        values[2 + i] = more[i];
    if (db_query_int(store->db, sql, values, 2 + more_count, ret_yes, &ignored, &why))
        return true;
    if (db_fault(store->db) == DB_FAULT_LOST && !db_in_transaction(store->db) &&
        db_reconnect(store->db, &why))
        return db_query_int(store->db, sql, values, 2 + more_count, ret_yes, &ignored, err);
    *err = why;
    return false;
}

bool store_key_is_committed(struct store *store, int64_t user_id, const char *key, bool *ret_yes,
                            struct error *err)
{
    return ask(store, "SELECT 1 FROM deliveries WHERE user_id = $1 AND delivery_key = $2", user_id,
               key, NULL, 0, ret_yes, err);
}

bool store_reply_remembered(struct store *store, int64_t user_id, const char *key,
                            const char *address, int64_t now, bool *ret_yes, struct error *err)
{
    g_autofree char *memory = NULL;
    const struct db_value more[] = {db_text(store_cut(address, STORE_REPLY_ADDRESS_MAX, &memory)),
                                    db_time(now)};

    return ask(store,
               "SELECT 1 FROM sieve_replies WHERE user_id = $1 AND reply_key = $2 AND address = $3 "
               "AND expires_at > $4",
               user_id, key, more, 2, ret_yes, err);
}

bool store_duplicate_seen(struct store *store, int64_t user_id, const char *key, int64_t now,
                          bool *ret_yes, struct error *err)
{
    const struct db_value more[] = {db_time(now)};

    return ask(store,
               "SELECT 1 FROM sieve_duplicates WHERE user_id = $1 AND duplicate_key = $2 "
               "AND expires_at > $3",
               user_id, key, more, 1, ret_yes, err);
}
