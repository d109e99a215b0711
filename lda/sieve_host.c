#include "lda/sieve_host.h"

#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/child.h"
#include "lda/config.h"
#include "lda/envelope.h"
#include "lda/mail/message.h"
#include "lda/mailbox_metadata.h"
#include "lda/program.h"
#include "lda/script.h"
#include "lda/script_cache.h"
#include "lda/user.h"
#include "store/contacts.h"
#include "store/store.h"

#define ADDRESS_BOOK "urn:ietf:params:sieve:addrbook:"

/* A question that failed; the first one is kept. */
static enum sieve_answer failed(struct sieve_host_site *site, const struct error *err)
{
    if (!site->failed) {
        site->failed = true;
        site->failure = *err;
    }
    return SIEVE_FAILED;
}

static enum sieve_answer yes_or_no(bool yes)
{
    return yes ? SIEVE_YES : SIEVE_NO;
}

/* --- mailboxes */

static enum sieve_answer mailbox_exists(void *ctx, const char *mailbox)
{
    struct sieve_host_site *site = ctx;
    struct error err;
    bool exists = false;

    if (site->store == NULL || site->home < 0)
        return yes_or_no(strcasecmp(mailbox, "INBOX") == 0);
    if (!store_mailbox_exists(site->store, site->store_user, mailbox, &exists, &err))
        return failed(site, &err);
    return yes_or_no(exists);
}

/* The pairs "\Sent=Sent" of the configuration. */
static enum sieve_answer special_use(void *ctx, const char *mailbox, const char *flag,
                                     char **ret_mailbox)
{
    struct sieve_host_site *site = ctx;
    g_autofree char *wanted = NULL;
    struct error err;
    char word[512];

    if (mailbox != NULL && !store_mailbox_canonical(mailbox, &wanted, &err))
        return SIEVE_NO;
    for (size_t i = 0; config_word(site->config, CONFIG_SPECIAL_USE, i, word, sizeof word); i++) {
        char *equals = strchr(word, '=');

        if (equals == NULL)
            continue;
        *equals = '\0';
        if (strcasecmp(word, flag) != 0 || (wanted != NULL && strcmp(wanted, equals + 1) != 0))
            continue;
        enum sieve_answer answer = mailbox_exists(site, equals + 1);
        if (answer == SIEVE_YES && ret_mailbox != NULL)
            *ret_mailbox = g_strdup(equals + 1);
        if (answer != SIEVE_NO)
            return answer;
    }
    return SIEVE_NO;
}

/* --- what Dovecot knows of them. A file that nobody can read fails the script, not the delivery. */

static enum sieve_answer metadata_answer(struct sieve_host_site *site,
                                         enum metadata_answer answer, const struct error *err)
{
    if (answer == METADATA_FAILED)
        return err->kind == ERROR_BAD_DATA ? SIEVE_FAILED : failed(site, err);
    return yes_or_no(answer == METADATA_FOUND);
}

static enum sieve_answer metadata(void *ctx, const char *mailbox, const char *annotation,
                                  char **ret_value)
{
    struct sieve_host_site *site = ctx;
    const char *file = config_text(site->config, CONFIG_METADATA_FILE);
    g_autofree char *canonical = NULL;
    struct error err;

    if (site->home < 0 || strncmp(file, "~/", 2) != 0 ||
        (mailbox != NULL && !store_mailbox_canonical(mailbox, &canonical, &err)))
        return SIEVE_NO;
    return metadata_answer(
        site, mailbox_metadata(site->home, file + 2, canonical, annotation, ret_value, &err),
        &err);
}

static enum sieve_answer mailbox_by_id(void *ctx, const char *id, char **ret_mailbox)
{
    struct sieve_host_site *site = ctx;
    g_autofree char *mailbox = NULL;
    struct error err;

    if (site->home < 0)
        return SIEVE_NO;
    enum sieve_answer answer =
        metadata_answer(site, mailbox_find_by_id(site->home, id, &mailbox, &err), &err);
    if (answer == SIEVE_YES && ret_mailbox != NULL)
        *ret_mailbox = g_steal_pointer(&mailbox);
    return answer;
}

/* --- the address book: ":default" is all of it, any other name a group of the user */

static bool parse_list(const char *list, const char **ret_group)
{
    if (strncasecmp(list, ADDRESS_BOOK, strlen(ADDRESS_BOOK)) != 0)
        return false;
    const char *name = list + strlen(ADDRESS_BOOK);
    *ret_group = strcasecmp(name, "default") == 0 ? NULL : name;
    return name[0] != '\0';
}

/* Without case, as the statements of the address book compare it. */
static bool is_same_group(const char *a, const char *b)
{
    g_autofree char *folded = g_utf8_casefold(a, -1), *other = g_utf8_casefold(b, -1);

    return strcmp(folded, other) == 0;
}

static bool is_in_group(const struct contact *contact, const char *group)
{
    for (char **name = contact->groups; name != NULL && *name != NULL; name++)
        if (is_same_group(*name, group))
            return true;
    return false;
}

static enum sieve_answer list_contains(void *ctx, const char *list, const char *value,
                                       char **ret_entry)
{
    struct sieve_host_site *site = ctx;
    const char *group;
    struct error err;
    g_autofree char *entry = NULL;

    if (site->db == NULL || !parse_list(list, &group))
        return SIEVE_NO;
    if (!contacts_find_address(site->db, site->user->id, group, value, &entry, &err))
        return failed(site, &err);
    if (entry == NULL)
        return SIEVE_NO;
    if (ret_entry != NULL)
        *ret_entry = g_steal_pointer(&entry);
    return SIEVE_YES;
}

static void free_contact(void *contact)
{
    contact_free(contact);
}

static enum sieve_answer list_members(void *ctx, const char *list, char ***ret_members)
{
    struct sieve_host_site *site = ctx;
    GPtrArray *contacts = NULL;
    const char *group;
    struct error err;

    if (site->db == NULL || !parse_list(list, &group))
        return SIEVE_NO;
    if (!contacts_list(site->db, site->user->id, 0, &contacts, &err))
        return failed(site, &err);
    g_ptr_array_set_free_func(contacts, free_contact);
    GPtrArray *members = g_ptr_array_new();
    for (guint i = 0; i < contacts->len; i++) {
        const struct contact *contact = contacts->pdata[i];

        if (group == NULL || is_in_group(contact, group))
            g_ptr_array_add(members, g_strdup(contact->email));
    }
    g_ptr_array_unref(contacts);
    g_ptr_array_add(members, NULL);
    *ret_members = (char **)g_ptr_array_free(members, FALSE);
    return SIEVE_YES;
}

static void free_group(void *group)
{
    contact_group_free(group);
}

static enum sieve_answer list_valid(void *ctx, const char *list)
{
    struct sieve_host_site *site = ctx;
    GPtrArray *groups = NULL;
    const char *group;
    struct error err;
    bool found = false;

    script_cache_note_question(site->scripts);
    if (!parse_list(list, &group))
        return SIEVE_NO;
    if (group == NULL || site->db == NULL)
        return yes_or_no(group == NULL);
    if (!contacts_group_list(site->db, site->user->id, &groups, &err))
        return failed(site, &err);
    g_ptr_array_set_free_func(groups, free_group);
    for (guint i = 0; i < groups->len && !found; i++)
        found = is_same_group(((const struct contact_group *)groups->pdata[i])->name, group);
    g_ptr_array_unref(groups);
    return yes_or_no(found);
}

/* --- memory */

static enum sieve_answer duplicate_seen(void *ctx, const char *key)
{
    struct sieve_host_site *site = ctx;
    struct error err;
    bool seen = false;

    if (site->store == NULL)
        return SIEVE_NO;
    if (!store_duplicate_seen(site->store, site->user->id, key, (int64_t)time(NULL), &seen, &err))
        return failed(site, &err);
    return yes_or_no(seen);
}

/* --- scripts */

static enum sieve_answer include_script(void *ctx, enum sieve_script_place place, const char *name,
                                        char **ret_text, size_t *ret_length)
{
    struct sieve_host_site *site = ctx;
    struct script *script = NULL;
    struct error err;
    enum script_answer answer =
        script_find_include(site->config, site->user, site->home,
                            place == SIEVE_SCRIPT_GLOBAL, name, &script, &err);

    if (answer == SCRIPT_FAILED)
        return failed(site, &err);
    script_cache_note_include(site->scripts, place == SIEVE_SCRIPT_GLOBAL, name, script);
    if (answer == SCRIPT_FOUND && !script_load(script, &err)) {
        script_free(script);
        return failed(site, &err);
    }
    if (answer == SCRIPT_NONE || script->text == NULL) {
        script_free(script);
        return SIEVE_NO;
    }
    *ret_text = g_steal_pointer(&script->text);
    *ret_length = script->length;
    script_free(script);
    return SIEVE_YES;
}

/* --- environment (RFC 5183 4.1, and Pigeonhole's items) */

static enum sieve_answer environment(void *ctx, const char *item, char **ret_value)
{
    struct sieve_host_site *site = ctx;
    const char *host = config_text(site->config, CONFIG_HOSTNAME);
    const char *dot = strchr(host, '.');
    const struct {
        const char *item;
        const char *value;
    } rows[] = {
        {"host", host},
        {"domain", dot == NULL ? NULL : dot + 1},
        {"name", "vmail-lda"},
        {"version", VMAIL_VERSION},
        {"location", "MDA"},
        {"phase", "during"},
        {"vnd.dovecot.default-mailbox", "INBOX"},
        {"vnd.dovecot.username", site->user->address},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (strcasecmp(rows[i].item, item) == 0 && rows[i].value != NULL) {
            *ret_value = g_strdup(rows[i].value);
            return SIEVE_YES;
        }
    return SIEVE_NO;
}

/* --- programs */

static int program_input(const struct sieve_program_call *call, struct error *err)
{
    AUTO_FD fd = child_temporary_file(err);

    if (fd < 0)
        return -1;
    if (call->message != NULL) {
        AUTO_MESSAGE copy = message_copy(call->message);

        if (!message_write(copy, fd, err))
            return -1;
    } else if (!io_write(fd, call->input, call->input_length, "a temporary file", err)) {
        return -1;
    }
    return fd_steal(&fd);
}

static enum sieve_answer run_program(void *ctx, const struct sieve_program_call *call,
                                     char **ret_output, size_t *ret_length, struct error *err)
{
    struct sieve_host_site *site = ctx;
    size_t limit = (size_t)config_number(site->config, CONFIG_SIEVE_PROGRAM_OUTPUT_LIMIT);
    struct child_result result = {.output = NULL};
    AUTO_FD input = -1;

    if (call->max_output > 0 && call->max_output < limit)
        limit = call->max_output;
    if (call->message != NULL || call->input != NULL) {
        input = program_input(call, err);
        if (input < 0)
            return SIEVE_FAILED;
    }
    if (!program_run(site->config, site->envelope, site->user, call->name, call->arguments, input,
                     limit, &result, err))
        return SIEVE_FAILED;
    bool good = result.status == 0;
    if (good && ret_output != NULL && result.output != NULL) {
        *ret_length = result.output->len;
        *ret_output = g_string_free(g_steal_pointer(&result.output), FALSE);
    }
    child_result_clear(&result);
    return yes_or_no(good);
}

void sieve_host_fill(struct sieve_host *host, struct sieve_host_site *site)
{
    memset(host, 0, sizeof *host);
    host->ctx = site;
    host->mailbox_exists = mailbox_exists;
    host->metadata = metadata;
    host->special_use = special_use;
    host->mailbox_by_id = mailbox_by_id;
    host->list_valid = list_valid;
    host->list_contains = list_contains;
    host->list_members = list_members;
    host->duplicate_seen = duplicate_seen;
    host->script = include_script;
    host->environment = environment;
    host->run_program = run_program;
    host->user_email = site->user->address;
    host->postmaster = config_text(site->config, CONFIG_POSTMASTER_ADDRESS);
    host->hostname = config_text(site->config, CONFIG_HOSTNAME);
}
