/* vmail contacts: the address book of a user. */
#include "lda/command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include <glib.h>
#include <jansson.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/table.h"
#include "store/contacts.h"
#include "store/db.h"

static const char usage[] =
    "contacts -u USER list [--limit N] [--json]\n"
    "       vmail contacts -u USER find [--limit N] [--json] WORDS …\n"
    "       vmail contacts -u USER add ADDRESS [NAME]\n"
    "       vmail contacts -u USER edit ADDRESS|ID [--name NAME] [--address NEW]\n"
    "       vmail contacts -u USER remove ADDRESS|ID\n"
    "       vmail contacts -u USER group list [--json] | group add|remove GROUP ADDRESS|ID …\n"
    "       vmail contacts -u USER import [--format vcard|csv] FILE\n"
    "       vmail contacts -u USER export [--format vcard3|vcard4|csv]";

#define IMPORT_MAX ((size_t)64 << 20)

struct arguments {
    const char *user, *name, *address, *format;
    bool json;
    int limit;
    char **words; /* behind the verb */
    int n_words;
    struct db *db;
    int64_t user_id;
};

/* What a verb answers: done, failed (err), or used wrongly. */
enum answer { DONE, FAILED, WRONG };

static enum answer answer_of(bool done)
{
    return done ? DONE : FAILED;
}

/* ------------------------------------------------------------------ printing */

static void print_json_and_free(json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    json_decref(json);
}

static json_t *contact_json(const struct contact *contact)
{
    json_t *groups = json_array();

    for (char **group = contact->groups; *group; group++)
        json_array_append_new(groups, json_string(*group));
    return json_pack("{s:I, s:s, s:s, s:I, s:o, s:s, s:o}", "id", (json_int_t)contact->id, "name",
                     contact->name, "email", contact->email, "use_count",
                     (json_int_t)contact->use_count, "last_used",
                     *contact->last_used ? json_string(contact->last_used) : json_null(), "source",
                     contact->source, "groups", groups);
}

static void print_contacts(const GPtrArray *contacts, bool json)
{
    static const char *const columns[] = {"#Id",    "Name", "Address", "#Used", "Last used (UTC)",
                                          "Groups", NULL};
    struct table *table;

    if (json) {
        json_t *array = json_array();

        for (guint i = 0; i < contacts->len; i++)
            json_array_append_new(array, contact_json(contacts->pdata[i]));
        print_json_and_free(array);
        return;
    }
    table = table_new(columns);
    for (guint i = 0; i < contacts->len; i++) {
        const struct contact *contact = contacts->pdata[i];
        g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, contact->id);
        g_autofree char *used = g_strdup_printf("%" G_GINT64_FORMAT, contact->use_count);
        g_autofree char *last = g_strndup(contact->last_used, 16);
        g_autofree char *groups = g_strjoinv(", ", contact->groups);
        const char *const cells[] = {id, contact->name, contact->email, used, last, groups};

        table_add(table, cells);
    }
    table_print(table, table_terminal_width(stdout), stdout);
    table_free(table);
}

/* ------------------------------------------------------------------ verbs */

static enum answer list(const struct arguments *arguments, struct error *err)
{
    g_autoptr(GPtrArray) contacts = NULL;

    if (arguments->n_words > 0)
        return WRONG;
    if (!contacts_list(arguments->db, arguments->user_id, arguments->limit, &contacts, err))
        return FAILED;
    print_contacts(contacts, arguments->json);
    return DONE;
}

static enum answer find(const struct arguments *arguments, struct error *err)
{
    g_autofree char *words = g_strjoinv(" ", arguments->words);
    g_autoptr(GPtrArray) contacts = NULL;

    if (!contacts_find(arguments->db, arguments->user_id, words,
                       arguments->limit ? arguments->limit : 20, &contacts, err))
        return FAILED;
    print_contacts(contacts, arguments->json);
    return DONE;
}

static enum answer add(const struct arguments *arguments, struct error *err)
{
    g_autofree char *name = NULL;
    int64_t id;

    if (arguments->n_words < 1)
        return WRONG;
    name = arguments->name ? g_strdup(arguments->name) : g_strjoinv(" ", arguments->words + 1);
    if (!contacts_add(arguments->db, arguments->user_id, name, arguments->words[0], "manual", &id,
                      err))
        return FAILED;
    if (arguments->json)
        print_json_and_free(json_pack("{s:I}", "id", (json_int_t)id));
    else
        printf("contact %" G_GINT64_FORMAT ": %s\n", id, arguments->words[0]);
    return DONE;
}

static enum answer edit(const struct arguments *arguments, struct error *err)
{
    if (arguments->n_words != 1 || (!arguments->name && !arguments->address))
        return WRONG;
    return answer_of(contacts_edit(arguments->db, arguments->user_id, arguments->words[0],
                                   arguments->name, arguments->address, err));
}

static enum answer remove_contact(const struct arguments *arguments, struct error *err)
{
    if (arguments->n_words != 1)
        return WRONG;
    return answer_of(contacts_remove(arguments->db, arguments->user_id, arguments->words[0], err));
}

static enum answer group_list(const struct arguments *arguments, struct error *err)
{
    static const char *const columns[] = {"Group", "#Members", NULL};
    g_autoptr(GPtrArray) groups = NULL;
    struct table *table;

    if (!contacts_group_list(arguments->db, arguments->user_id, &groups, err))
        return FAILED;
    if (arguments->json) {
        json_t *array = json_array();

        for (guint i = 0; i < groups->len; i++) {
            const struct contact_group *group = groups->pdata[i];

            json_array_append_new(array, json_pack("{s:s, s:I}", "name", group->name, "members",
                                                   (json_int_t)group->members));
        }
        print_json_and_free(array);
        return DONE;
    }
    table = table_new(columns);
    for (guint i = 0; i < groups->len; i++) {
        const struct contact_group *group = groups->pdata[i];
        g_autofree char *members = g_strdup_printf("%" G_GINT64_FORMAT, group->members);
        const char *const cells[] = {group->name, members};

        table_add(table, cells);
    }
    table_print(table, table_terminal_width(stdout), stdout);
    table_free(table);
    return DONE;
}

static enum answer group(const struct arguments *arguments, struct error *err)
{
    const char *verb = arguments->n_words > 0 ? arguments->words[0] : "";
    bool adding = strcmp(verb, "add") == 0;

    if (strcmp(verb, "list") == 0 && arguments->n_words == 1)
        return group_list(arguments, err);
    if ((!adding && strcmp(verb, "remove") != 0) || arguments->n_words < 3)
        return WRONG;
    for (int i = 2; i < arguments->n_words; i++)
        if (!(adding ? contacts_group_add : contacts_group_remove)(
                arguments->db, arguments->user_id, arguments->words[1], arguments->words[i], err))
            return FAILED;
    return DONE;
}

/* The file @path, "-": standard input. */
static bool read_file(const char *path, char **ret_data, size_t *ret_length, struct error *err)
{
    AUTO_FD fd =
        strcmp(path, "-") == 0 ? fcntl(0, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    g_autoptr(GString) data = NULL;
    size_t length;

    if (fd < 0) {
        error_set_errno(err, ERROR_USAGE, errno, "cannot open %s", path);
        return false;
    }
    /* a pipe has no size: read in steps */
    data = g_string_sized_new(65536);
    do {
        char buffer[65536];

        if (!io_read(fd, buffer, sizeof buffer, &length, path, err))
            return false;
        g_string_append_len(data, buffer, (gssize)length);
        if (data->len > IMPORT_MAX) {
            error_set(err, ERROR_USAGE, "%s is larger than %zu MB", path, IMPORT_MAX >> 20);
            return false;
        }
    } while (length > 0);
    *ret_length = data->len;
    *ret_data = g_string_free(g_steal_pointer(&data), FALSE);
    return true;
}

static bool looks_like_vcard(const char *data, size_t length)
{
    return length < 11 || memmem(data, MIN(length, (size_t)4096), "BEGIN:VCARD", 11) ||
           memmem(data, MIN(length, (size_t)4096), "begin:vcard", 11);
}

static enum answer import(const struct arguments *arguments, struct error *err)
{
    g_autofree char *data = NULL;
    struct contacts_import counts;
    enum contacts_format format;
    size_t length;

    if (arguments->n_words != 1)
        return WRONG;
    if (arguments->format && strcmp(arguments->format, "csv") != 0 &&
        strcmp(arguments->format, "vcard") != 0)
        return WRONG;
    if (!read_file(arguments->words[0], &data, &length, err))
        return FAILED;
    format = (arguments->format ? strcmp(arguments->format, "csv") == 0
                                : !looks_like_vcard(data, length))
                 ? CONTACTS_CSV
                 : CONTACTS_VCARD4;
    if (!contacts_import(arguments->db, arguments->user_id, format, data, length, &counts, err))
        return FAILED;
    if (arguments->json)
        print_json_and_free(json_pack("{s:I, s:I, s:I}", "added", (json_int_t)counts.added, "known",
                                      (json_int_t)counts.known, "skipped",
                                      (json_int_t)counts.skipped));
    else
        printf("%" G_GINT64_FORMAT " added, %" G_GINT64_FORMAT " known, %" G_GINT64_FORMAT
               " skipped\n",
               counts.added, counts.known, counts.skipped);
    return DONE;
}

static enum answer export(const struct arguments *arguments, struct error *err) {
    static const char *const names[] = {"vcard3", "vcard4", "csv"};
    enum contacts_format format = CONTACTS_VCARD4; g_autofree char *text = NULL;
    bool known = !arguments->format || strcmp(arguments->format, "vcard") == 0;

    for (size_t i = 0; arguments->format && i < G_N_ELEMENTS(names);
         i++) if (strcmp(names[i], arguments->format) == 0){format = (enum contacts_format)i;
                                                            known = true;}
if (!known || arguments->n_words > 0) return WRONG;
if (!contacts_export(arguments->db, arguments->user_id, format, &text, err))
    return FAILED;
fputs(text, stdout);
return DONE;
}

static const struct {
    const char *name;
    enum answer (*run)(const struct arguments *arguments, struct error *err);
} verbs[] = {
    {"list", list},   {"find", find},     {"search", find},
    {"add", add},     {"edit", edit},     {"remove", remove_contact},
    {"group", group}, {"import", import}, {"export", export},
};

static enum answer run(struct arguments *arguments, const struct config *config, const char *verb,
                       struct error *err)
{
    g_autoptr(db_t) db = NULL;
    g_autoptr(user_t) user = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
        if (strcmp(verbs[i].name, verb) != 0)
            continue;
        db = command_open_db(config, err);
        if (!db || !command_find_user(db, config, arguments->user, &user, err))
            return FAILED;
        arguments->db = db;
        arguments->user_id = user->id;
        return verbs[i].run(arguments, err);
    }
    return WRONG;
}

int cmd_contacts(int argc, char **argv, struct config *config)
{
    static const struct option options[] = {
        {"user", required_argument, NULL, 'u'},
        {"json", no_argument, NULL, 'j'},
        {"limit", required_argument, NULL, 'n'},
        {"name", required_argument, NULL, 'N'},
        {"address", required_argument, NULL, 'A'},
        {"format", required_argument, NULL, 'f'},
        {NULL, 0, NULL, 0},
    };
    struct arguments arguments = {.limit = 0};
    struct error err = {0};
    const char *verb;
    int option;

    while ((option = getopt_long(argc, argv, "u:jn:", options, NULL)) != -1)
        switch (option) {
        case 'u':
            arguments.user = optarg;
            break;
        case 'j':
            arguments.json = true;
            break;
        case 'N':
            arguments.name = optarg;
            break;
        case 'A':
            arguments.address = optarg;
            break;
        case 'f':
            arguments.format = optarg;
            break;
        case 'n':
            arguments.limit = (int)CLAMP(g_ascii_strtoll(optarg, NULL, 10), 0, 1000000);
            break;
        default:
            return command_usage(usage);
        }
    if (!arguments.user || optind >= argc)
        return command_usage(usage);
    verb = argv[optind];
    arguments.words = argv + optind + 1;
    arguments.n_words = argc - optind - 1;
    switch (run(&arguments, config, verb, &err)) {
    case DONE:
        return EX_OK;
    case FAILED:
        return command_fail("contacts", &err);
    default:
        return command_usage(usage);
    }
}
