/*
 * The text of a vacation reply (RFC 5230 5, RFC 3834 3).
 */
#include <string.h>

#include "lda/mail/address.h"
#include "lda/mail/charset.h"
#include "lda/mail/headers.h"
#include "lda/mail/message.h"

#include "sieve/ext/vacation.h"

#define SUBJECT_CHARACTERS 256u
#define REFERENCES_BYTES 4000u

/* ------------------------------------------------------------------ Subject (5.3) */

static char *default_subject(struct sieve_run *run)
{
    const char *original = headers_get(message_headers(run->input), "Subject");
    const char *fixed = sieve_setting(run->options, "sieve_vacation_default_subject");
    const char *template = sieve_setting(run->options, "sieve_vacation_default_subject_template");

    if (original == NULL)
        return g_strdup(fixed != NULL && *fixed != '\0' ? fixed : "Automated reply");
    if (template == NULL || *template == '\0')
        return g_strconcat("Auto: ", original, NULL);
    GString *text = g_string_new(template);
    g_string_replace(text, "%{subject}", original, 0);
    g_string_replace(text, "%$", original, 0); /* Pigeonhole before 2.4 */
    return g_string_free(text, FALSE);
}

/* A subject that the script has encoded itself stays so. */
static void compose_subject_field(struct sieve_composer *composer, const char *subject)
{
    if (g_str_is_ascii(subject) && strstr(subject, "=?") != NULL)
        sieve_compose_field_raw(composer, "Subject", subject);
    else
        sieve_compose_field(composer, "Subject", subject);
}

static void compose_subject(struct sieve_composer *composer, const struct sieve_vacation *vacation)
{
    g_autofree char *subject = vacation->subject != NULL && *vacation->subject != '\0'
        ? g_strdup(vacation->subject)
        : default_subject(composer->run);

    if (g_utf8_strlen(subject, -1) > (glong)SUBJECT_CHARACTERS) {
        g_autofree char *cut = charset_cut_dup(subject, SUBJECT_CHARACTERS - 1);
        g_autofree char *marked = g_strconcat(cut, "\xE2\x80\xA6", NULL);

        compose_subject_field(composer, marked);
    } else {
        compose_subject_field(composer, subject);
    }
}

/* ------------------------------------------------------------------ From and To (5.4, 5.5) */

/* `"Name" <a@b>` or `<a@b>`: an ASCII name is always quoted, as Pigeonhole writes it. */
static char *format_mailbox(const char *name, const char *address)
{
    if (name == NULL || *name == '\0')
        return g_strdup_printf("<%s>", address);
    if (!g_str_is_ascii(name) || strpbrk(name, "\"\\\r\n") != NULL)
        return address_format(name, address);
    return g_strdup_printf("\"%s\" <%s>", name, address);
}

/* From the text of a script. */
static char *first_mailbox(const char *text)
{
    AUTO_ADDRESS_LIST list = address_list_parse(text, 1, NULL);

    if (list->count == 0 || !list->items[0].valid)
        return NULL;
    return format_mailbox(list->items[0].name, list->items[0].full);
}

static void compose_from(struct sieve_composer *composer, const struct sieve_vacation *vacation)
{
    g_autofree char *from = vacation->from != NULL ? first_mailbox(vacation->from) : NULL;

    if (from == NULL)
        from = format_mailbox(NULL, vacation->recipient);
    sieve_compose_field_raw(composer, "From", from);
}

/* The sender as the message names it, so that the reply carries the name. */
static char *named_sender(struct sieve_run *run, const char *to)
{
    static const char *const fields[] = {"sender", "resent-from", "from"};
    struct headers *headers = message_headers(run->input);
    bool any = sieve_setting_bool(run->options, "sieve_vacation_to_header_ignore_envelope", false);

    for (size_t f = 0; f < G_N_ELEMENTS(fields); f++) {
        const char *raw = headers_get_raw(headers, fields[f]);

        if (raw == NULL)
            continue;
        AUTO_ADDRESS_LIST list = address_list_parse(raw, 256, message_charsets(run->input));
        for (size_t i = 0; i < list->count; i++)
            if (list->items[i].valid && (any || address_equal(list->items[i].full, to)))
                return format_mailbox(list->items[i].name, list->items[i].full);
    }
    return format_mailbox(NULL, to);
}

/* ------------------------------------------------------------------ threading (5.8) */

/* One Message-ID per line; of a very long chain the last ones. */
static void compose_references(struct sieve_composer *composer)
{
    struct headers *headers = message_headers(composer->run->input);
    const char *id = headers_get_raw(headers, "Message-ID");
    const char *references = headers_get_raw(headers, "References");
    g_autoptr(GString) out = g_string_new(NULL);

    if (id != NULL && (*id == '\0' || strlen(id) > 900 || strpbrk(id, " \t") != NULL))
        id = NULL;
    if (id != NULL)
        sieve_compose_field_raw(composer, "In-Reply-To", id);
    if (references != NULL && strlen(references) > REFERENCES_BYTES)
        references += strlen(references) - REFERENCES_BYTES;
    g_auto(GStrv) ids = g_strsplit_set(references != NULL ? references : "", " \t", 0);
    for (size_t i = 0; ids[i] != NULL; i++)
        if (ids[i][0] == '<' && strlen(ids[i]) <= 900)
            g_string_append_printf(out, "%s%s", out->len > 0 ? "\n " : "", ids[i]);
    if (id != NULL)
        g_string_append_printf(out, "%s%s", out->len > 0 ? "\n " : "", id);
    if (out->len > 0)
        sieve_compose_field_raw(composer, "References", out->str);
}

/* ------------------------------------------------------------------ :mime */

/* The length of the header of an entity with its empty line; 0: it does not begin with one. */
static size_t entity_header_length(const char *entity)
{
    const char *line = entity;

    while (*line != '\0' && *line != '\n') {
        size_t length = strcspn(line, "\n");
        const char *colon = memchr(line, ':', length);
        bool folded = line != entity && (*line == ' ' || *line == '\t');

        if (!folded && (colon == NULL || memchr(line, ' ', (size_t)(colon - line)) != NULL))
            return 0;
        line += length;
        line += *line == '\n';
    }
    return (size_t)(line - entity) + (*line == '\n');
}

/* The Content-* fields of the script's entity and its body: other fields are ours to write. */
static void compose_entity(struct sieve_composer *composer, const char *entity)
{
    size_t header = entity_header_length(entity);
    bool wanted = false;

    if (header == 0) {
        sieve_compose_text(composer, entity);
        return;
    }
    sieve_compose_field_raw(composer, "MIME-Version", "1.0");
    for (size_t at = 0; at < header;) {
        size_t length = strcspn(entity + at, "\n") + 1;

        if (entity[at] != ' ' && entity[at] != '\t')
            wanted = g_ascii_strncasecmp(entity + at, "Content-", 8) == 0;
        if (wanted && at + length <= header && length > 1)
            g_string_append_len(composer->text, entity + at, (gssize)length);
        at += length;
    }
    g_string_append_c(composer->text, '\n');
    g_string_append(composer->text, entity + header);
    if (!g_str_has_suffix(composer->text->str, "\n"))
        g_string_append_c(composer->text, '\n');
}

/* ------------------------------------------------------------------ the reply */

/* <> (5.1), or the address of the mailbox where the site says so: never one that the script made
 * up. */
static const char *envelope_sender(const struct sieve_run *run,
    const struct sieve_vacation *vacation)
{
    if (!sieve_setting_bool(run->options, "sieve_vacation_send_from_recipient", false))
        return "";
    for (size_t i = 0; vacation->addresses[i] != NULL; i++)
        if (address_equal(vacation->addresses[i], vacation->recipient))
            return run->envelope->to;
    return vacation->recipient;
}

struct sieve_mail *vacation_reply(struct sieve_run *run, const struct sieve_vacation *vacation)
{
    g_autofree char *to = named_sender(run, vacation->to);
    const char **rcpt = ARENA_ARRAY(run->arena, const char *, 2);
    struct sieve_composer composer;

    rcpt[0] = vacation->to;
    sieve_compose_begin(&composer, run);
    sieve_compose_message_id(&composer);
    sieve_compose_date(&composer);
    compose_from(&composer, vacation);
    sieve_compose_field_raw(&composer, "To", to);
    compose_subject(&composer, vacation);
    compose_references(&composer);
    sieve_compose_field_raw(&composer, "Auto-Submitted", "auto-replied (vacation)");
    sieve_compose_field_raw(&composer, "Precedence", "bulk");
    sieve_compose_field_raw(&composer, "X-Auto-Response-Suppress", "All");
    if (vacation->mime)
        compose_entity(&composer, vacation->reason);
    else
        sieve_compose_text(&composer, vacation->reason);
    return sieve_compose_end(&composer, envelope_sender(run, vacation), rcpt);
}
