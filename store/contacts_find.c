/* All contacts of a user: listed by name, or found by words and ranked by use. */
#include "store/contacts-internal.h"

#include <string.h>

#include "store/db.h"
#include "store/search_text.h"

#define WORDS_MAX 1024 /* bytes of a search */

struct loading {
    GPtrArray *contacts;
    GHashTable *by_id;
};

static bool take_contact(void *ctx, const struct db_row *row, struct error *err)
{
    struct loading *loading = ctx;
    const char *name = db_row_text(row, 1), *email = db_row_text(row, 2);
    struct contact *contact = contact_new(name ? name : "", email ? email : "");

    (void)err;
    contact->id = db_row_int(row, 0);
    contact->use_count = db_row_int(row, 3);
    g_free(contact->last_used);
    contact->last_used = g_strdup(db_row_text(row, 4) ? db_row_text(row, 4) : "");
    g_free(contact->source);
    contact->source = g_strdup(db_row_text(row, 5) ? db_row_text(row, 5) : "");
    g_ptr_array_add(loading->contacts, contact);
    g_hash_table_insert(loading->by_id, &contact->id, contact);
    return true;
}

static bool take_membership(void *ctx, const struct db_row *row, struct error *err)
{
    struct loading *loading = ctx;
    int64_t id = db_row_int(row, 0);
    struct contact *contact = g_hash_table_lookup(loading->by_id, &id);
    guint count;

    (void)err;
    if (!contact)
        return true;
    count = g_strv_length(contact->groups);
    contact->groups = g_renew(char *, contact->groups, count + 2);
    contact->groups[count] = g_strdup(db_row_text(row, 1));
    contact->groups[count + 1] = NULL;
    return true;
}

static bool load_all(struct db *db, int64_t user_id, GPtrArray **ret_contacts, struct error *err)
{
    struct db_value values[1] = {db_int(user_id)};
    g_autoptr(GPtrArray) contacts = contacts_array_new();
    g_autoptr(GHashTable) by_id = g_hash_table_new(g_int64_hash, g_int64_equal);
    struct loading loading = {contacts, by_id};

    if (!db_exec(db,
                 "SELECT id, contact_name, contact_email, use_count, last_used, source "
                 "FROM contacts WHERE user_id = $1 ORDER BY id",
                 values, 1, take_contact, &loading, err) ||
        !db_exec(db,
                 "SELECT m.contact_id, g.group_name FROM contact_group_members m "
                 "JOIN contact_groups g ON g.id = m.group_id WHERE g.user_id = $1 "
                 "ORDER BY g.group_name",
                 values, 1, take_membership, &loading, err))
        return false;
    *ret_contacts = g_steal_pointer(&contacts);
    return true;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    const struct contact *left = *(struct contact *const *)a, *right = *(struct contact *const *)b;
    int order = g_utf8_collate(*left->name ? left->name : left->email,
                               *right->name ? right->name : right->email);

    return order ? order : strcmp(left->email, right->email);
}

static void cut_array(GPtrArray *contacts, int limit)
{
    if (limit > 0 && contacts->len > (guint)limit)
        g_ptr_array_set_size(contacts, limit);
}

bool contacts_list(struct db *db, int64_t user_id, int limit, GPtrArray **ret_contacts,
                   struct error *err)
{
    GPtrArray *contacts;

    if (!load_all(db, user_id, &contacts, err))
        return false;
    g_ptr_array_sort(contacts, compare_names);
    cut_array(contacts, limit);
    *ret_contacts = contacts;
    return true;
}

/* Most used first; a use counts half after a month, a quarter after two. Last, by name. */
static double weight_of(const struct contact *contact, int64_t now)
{
    g_autofree char *iso = NULL;
    g_autoptr(GDateTime) used = NULL;
    double days;

    if (contact->use_count <= 0 || strlen(contact->last_used) < 19)
        return 0;
    iso = g_strndup(contact->last_used, 19);
    iso[10] = 'T';
    {
        g_autoptr(GTimeZone) utc = g_time_zone_new_utc();

        used = g_date_time_new_from_iso8601(iso, utc);
    }
    if (!used)
        return 0;
    days = (double)MAX(now - g_date_time_to_unix(used), 0) / 86400;
    return (double)contact->use_count / (1 + days / 30);
}

static int compare_weights(gconstpointer a, gconstpointer b, gpointer now)
{
    const struct contact *left = *(struct contact *const *)a, *right = *(struct contact *const *)b;
    double left_weight = weight_of(left, *(int64_t *)now);
    double right_weight = weight_of(right, *(int64_t *)now);

    if (left_weight != right_weight)
        return left_weight > right_weight ? -1 : 1;
    return compare_names(a, b);
}

/* A word of the search; initials are compared with initials. */
struct word {
    char *folded, *initials;
};

static bool contains(const char *folded, const struct word *word)
{
    g_autofree char *initials = NULL;

    if (strstr(folded, word->folded))
        return true;
    if (!word->initials)
        return false;
    initials = search_initials_new(folded);
    return strstr(initials, word->initials) != NULL;
}

static bool matches(const struct contact *contact, const GArray *words)
{
    g_autofree char *groups = g_strjoinv("\n", contact->groups);
    g_autofree char *name = search_fold(contact->name);
    g_autofree char *email = search_fold(contact->email);
    g_autofree char *group = search_fold(groups);
    g_autofree char *key = contacts_fold_address(contact->email);

    for (guint i = 0; i < words->len; i++) {
        const struct word *word = &g_array_index(words, struct word, i);

        if (!contains(name, word) && !contains(email, word) && !contains(group, word) &&
            !(key && contains(key, word)))
            return false;
    }
    return true;
}

static void word_clear(gpointer data)
{
    struct word *word = data;

    g_free(word->folded);
    g_free(word->initials);
}

static bool split_words(const char *text, GArray **ret_words, struct error *err)
{
    GArray *words;
    g_auto(GStrv) parts = NULL;

    if (strlen(text) > WORDS_MAX || !g_utf8_validate(text, -1, NULL)) {
        error_set(err, ERROR_USAGE, "the words are longer than %d bytes or not UTF-8", WORDS_MAX);
        return false;
    }
    words = g_array_new(FALSE, TRUE, sizeof(struct word));
    g_array_set_clear_func(words, word_clear);
    parts = g_strsplit_set(text, " \t\r\n", -1);
    for (char **part = parts; *part; part++) {
        struct word word = {NULL};

        if (!**part)
            continue;
        word.initials = search_is_initials(*part) ? g_strdup(*part) : NULL;
        word.folded = search_fold(*part);
        g_array_append_val(words, word);
    }
    *ret_words = words;
    return true;
}

bool contacts_find(struct db *db, int64_t user_id, const char *words, int limit,
                   GPtrArray **ret_contacts, struct error *err)
{
    GPtrArray *contacts;
    g_autoptr(GArray) list = NULL;
    int64_t now = g_get_real_time() / G_USEC_PER_SEC;

    if (!split_words(words, &list, err) || !load_all(db, user_id, &contacts, err))
        return false;
    for (guint i = contacts->len; i-- > 0;)
        if (!matches(contacts->pdata[i], list))
            g_ptr_array_remove_index_fast(contacts, i);
    g_ptr_array_sort_with_data(contacts, compare_weights, &now);
    cut_array(contacts, limit);
    *ret_contacts = contacts;
    return true;
}
