#include "sieve/ext/notify_mailto.h"

#include <string.h>

#include "lda/mail/address.h"
#include "lda/mail/charset.h"
#include "lda/mail/message.h"

#include "sieve/ext/sender_address.h"

#define MAX_RECIPIENTS 8u  /* both as in Pigeonhole: a notification is no mailing list */
#define MAX_FIELDS 16u
#define MAX_SUBJECT 256u   /* characters, the ellipsis with them */

/* RFC 5436 2.2: what a URI must not set, and what the notification sets itself. */
static const char *const reserved[] = {"auto-submitted", "received", "message-id", "date", "bcc",
    "in-reply-to", "references", "resent-date", "resent-from", "resent-sender", "resent-to",
    "resent-cc", "resent-bcc", "resent-msg-id", "from", "sender", "return-path", "mime-version",
    "content-type", "content-transfer-encoding", "x-sieve", "precedence", NULL};

/* ------------------------------------------------------------------ the URI (RFC 6068) */

static void free_array(void *data)
{
    g_array_unref(data);
}

struct mailto *mailto_new(struct arena *arena)
{
    struct mailto *mailto = ARENA_NEW(arena, struct mailto);

    mailto->recipients = arena_own(arena,
        g_array_new(FALSE, TRUE, sizeof(struct mailto_recipient)), free_array);
    mailto->fields = arena_own(arena, g_array_new(FALSE, TRUE, sizeof(struct mailto_field)),
        free_array);
    return mailto;
}

/* The characters that may stand without %: of addr-specs, and of header names and values. */
#define TO_CHARACTERS "!$'*+-._~,@"
#define QUERY_CHARACTERS "!$'()*+,;:@-._~/?"

/* Undoes %XX; NULL: a character that is not allowed, or broken UTF-8 or a NUL behind %. */
static char *decode(struct arena *arena, const char *text, size_t length, const char *allowed)
{
    char *out = arena_alloc(arena, length + 1);
    size_t at = 0;

    for (size_t i = 0; i < length; i++) {
        if (text[i] == '%') {
            int high = i + 2 < length ? g_ascii_xdigit_value(text[i + 1]) : -1;
            int low = i + 2 < length ? g_ascii_xdigit_value(text[i + 2]) : -1;

            if (high < 0 || low < 0 || high + low == 0)
                return NULL;
            out[at++] = (char)(high * 16 + low);
            i += 2;
        } else if (g_ascii_isalnum(text[i]) || strchr(allowed, text[i]) != NULL) {
            out[at++] = text[i];
        } else {
            return NULL;
        }
    }
    return g_utf8_validate(out, (gssize)at, NULL) ? out : NULL;
}

static bool has_recipient(const struct mailto *mailto, const char *address)
{
    for (guint i = 0; i < mailto->recipients->len; i++)
        if (address_equal(g_array_index(mailto->recipients, struct mailto_recipient, i).address,
                address))
            return true;
    return false;
}

/* Address list of header syntax; who is there already is not added again. NULL: fine, else the
 * fault. */
static const char *add_list(struct arena *arena, struct mailto *mailto, const char *text, bool cc)
{
    AUTO_ADDRESS_LIST list = address_list_parse(text, 0, NULL);

    for (size_t i = 0; i < list->count; i++) {
        const struct address *item = &list->items[i];
        struct mailto_recipient recipient = {.cc = cc};

        if (!item->valid || !sieve_address_is_valid(item->full))
            return arena_printf(arena, "invalid recipient '%.100s'", item->full);
        if (has_recipient(mailto, item->full))
            continue;
        if (mailto->recipients->len >= MAX_RECIPIENTS)
            return arena_printf(arena, "more than %u recipients", MAX_RECIPIENTS);
        g_autofree char *formatted = address_format(item->name, item->full);
        recipient.address = arena_strdup(arena, item->full);
        recipient.text = arena_strdup(arena, formatted);
        g_array_append_val(mailto->recipients, recipient);
    }
    return NULL;
}

bool mailto_add(struct arena *arena, struct mailto *mailto, const char *address)
{
    return add_list(arena, mailto, address, false) == NULL;
}

static const char *add_field(struct arena *arena, struct mailto *mailto, const char *name,
    const char *value)
{
    struct mailto_field field = {name, value};
    g_autofree char *lower = g_ascii_strdown(name, -1);

    if (!message_header_name_is_valid(name))
        return arena_printf(arena, "invalid header field name '%.80s'", name);
    if (strcmp(lower, "to") == 0 || strcmp(lower, "cc") == 0)
        return add_list(arena, mailto, value, lower[0] == 'c');
    if (strcmp(lower, "subject") == 0) {
        mailto->subject = value;
    } else if (strcmp(lower, "body") == 0) {
        struct sieve_string body = sieve_str(value);

        mailto->body = sieve_text_lf(arena, &body);
    } else if (!g_strv_contains(reserved, lower)) {
        if (mailto->fields->len >= MAX_FIELDS)
            return arena_printf(arena, "more than %u header fields", MAX_FIELDS);
        g_array_append_val(mailto->fields, field);
    }
    return NULL;
}

static const char *read_to(struct arena *arena, struct mailto *mailto, const char *text,
    size_t length)
{
    /* commas between the addresses stand bare, those inside of one are encoded; a list of bare
     * addresses reads the same either way */
    const char *to = decode(arena, text, length, TO_CHARACTERS);

    if (to == NULL)
        return "invalid character in its recipients";
    return length == 0 ? NULL : add_list(arena, mailto, to, false);
}

static const char *read_fields(struct arena *arena, struct mailto *mailto, const char *at)
{
    while (*at != '\0') {
        size_t length = strcspn(at, "&#"), name_length = strcspn(at, "=&#");
        const char *fault;

        if (at[name_length] != '=')
            return "header field without '='";
        const char *name = decode(arena, at, name_length, QUERY_CHARACTERS);
        const char *value = decode(arena, at + name_length + 1, length - name_length - 1,
            QUERY_CHARACTERS);
        if (name == NULL)
            return "invalid character in a header field name";
        if (value == NULL)
            return arena_printf(arena, "invalid character in the value of '%.80s'", name);
        fault = add_field(arena, mailto, name, value);
        if (fault != NULL)
            return fault;
        at += length;
        if (*at == '#')
            return "a fragment ('#') has no meaning here";
        at += *at == '&';
    }
    return NULL;
}

struct mailto *mailto_parse(struct arena *arena, const char *uri, const char **ret_fault)
{
    struct mailto *mailto = mailto_new(arena);
    const char *fault, *at;
    size_t length;

    if (g_ascii_strncasecmp(uri, "mailto:", 7) != 0) {
        *ret_fault = "it is no mailto URI";
        return NULL;
    }
    at = uri + 7;
    length = strcspn(at, "?");
    fault = read_to(arena, mailto, at, length);
    if (fault == NULL && at[length] == '?')
        fault = read_fields(arena, mailto, at + length + 1);
    if (fault == NULL)
        return mailto;
    *ret_fault = fault;
    return NULL;
}

/* ------------------------------------------------------------------ the mail (RFC 5436 2) */

const char *mailto_suppressed(struct sieve_run *run)
{
    const char *value = headers_get(message_headers(run->message), "Auto-Submitted");
    size_t length;

    if (value == NULL)
        return NULL;
    value += strspn(value, " \t");
    length = strcspn(value, " \t;(");
    return length == 2 && g_ascii_strncasecmp(value, "no", 2) == 0
        ? NULL
        : "the message was submitted automatically";
}

static bool is_notified(const struct sieve_run *run, const char *address)
{
    const struct sieve_action *action;

    for (size_t i = 0; (action = sieve_action_at(run, i)) != NULL; i++) {
        if (action->kind != SIEVE_ACTION_NOTIFY || action->notify.suppressed != NULL)
            continue;
        for (size_t j = 0; action->notify.to[j] != NULL; j++)
            if (address_equal(action->notify.to[j], address))
                return true;
    }
    return false;
}

/* Leaves out who gets a notification from this run already: two rules that match must not ring
 * twice. */
static void drop_notified(struct sieve_run *run, struct mailto *mailto)
{
    for (guint i = 0; i < mailto->recipients->len;) {
        if (is_notified(run,
                g_array_index(mailto->recipients, struct mailto_recipient, i).address))
            g_array_remove_index(mailto->recipients, i);
        else
            i++;
    }
}

static const char *cut_subject(struct arena *arena, const char *text)
{
    size_t length = charset_cut(text, MAX_SUBJECT);

    if (text[length] == '\0')
        return text;
    length = charset_cut(text, MAX_SUBJECT - 1);
    return arena_printf(arena, "%.*s\xE2\x80\xA6", (int)length, text);
}

static const char *subject_of(struct sieve_run *run, const struct mailto *mailto,
    const char *message)
{
    const char *original;

    if (message != NULL)
        return cut_subject(run->arena, message);
    if (mailto->subject != NULL)
        return cut_subject(run->arena, mailto->subject);
    original = headers_get(message_headers(run->message), "Subject");
    return cut_subject(run->arena, arena_printf(run->arena, "Notification: %s",
        original != NULL && *original != '\0' ? original : "(no subject)"));
}

static void write_recipients(struct sieve_composer *composer, const struct mailto *mailto, bool cc)
{
    g_autoptr(GString) list = g_string_new(NULL);

    for (guint i = 0; i < mailto->recipients->len; i++) {
        const struct mailto_recipient *recipient = &g_array_index(mailto->recipients,
            struct mailto_recipient, i);

        if (recipient->cc == cc)
            g_string_append_printf(list, "%s%s", list->len > 0 ? ",\n " : "", recipient->text);
    }
    if (list->len > 0)
        sieve_compose_field_raw(composer, cc ? "Cc" : "To", list->str);
}

static void write_importance(struct sieve_composer *composer, int importance)
{
    static const char *const priorities[] = {"1 (Highest)", "3 (Normal)", "5 (Lowest)"};
    static const char *const words[] = {"High", "Normal", "Low"};
    int level = CLAMP(importance, 1, 3) - 1;

    sieve_compose_field_raw(composer, "X-Priority", priorities[level]);
    sieve_compose_field_raw(composer, "Importance", words[level]);
}

/* The URI's body; else what the script says and what the message is. */
static const char *body_of(struct sieve_run *run, const struct mailto *mailto,
    const char *message)
{
    static const char *const shown[] = {"From", "To", "Subject", "Date"};
    struct headers *headers = message_headers(run->message);
    g_autoptr(GString) body = g_string_new(NULL);

    if (mailto->body != NULL)
        return mailto->body;
    g_string_append_printf(body, "%s\n\n",
        message != NULL && *message != '\0' ? message : "A message has arrived.");
    for (size_t i = 0; i < G_N_ELEMENTS(shown); i++) {
        const char *value = headers_get(headers, shown[i]);

        if (value != NULL)
            g_string_append_printf(body, "%s: %.*s\n", shown[i],
                (int)charset_cut(value, 1000), value);
    }
    return arena_memdup(run->arena, body->str, body->len);
}

/* Bounces of a notification about a bounce would go round; else as the site says (RFC 5436 2.3). */
static const char *envelope_from(struct sieve_run *run, const char *from)
{
    const char *said;

    if (run->envelope->from != NULL && *run->envelope->from == '\0')
        return "";
    said = sender_from_setting(run, "sieve_notify_mailto_envelope_from");
    if (said != NULL)
        return said;
    if (from != NULL)
        return sieve_address_normalize(run->arena, from);
    return sender_user_email(run) != NULL ? sender_user_email(run) : sender_postmaster(run);
}

static void write_from(struct sieve_composer *composer, const char *from, const char *sender)
{
    if (from == NULL)
        from = *sender != '\0' ? sender : sender_postmaster(composer->run);
    AUTO_ADDRESS_LIST list = address_list_parse(from, 1, NULL);
    g_autofree char *text = list->count == 1
        ? address_format(list->items[0].name, list->items[0].full)
        : g_strdup(from);
    sieve_compose_field_raw(composer, "From", text);
}

bool mailto_compose(struct sieve_run *run, struct mailto *mailto, struct sieve_action *action)
{
    struct sieve_notify *notify = &action->notify;
    const char *sender = envelope_from(run, notify->from);
    const char *owner = sender_user_email(run);
    struct sieve_composer composer;

    drop_notified(run, mailto);
    if (mailto->recipients->len == 0)
        return false;
    if (owner == NULL)
        owner = run->envelope->to;
    const char **to = ARENA_ARRAY(run->arena, const char *, mailto->recipients->len + 1);
    for (guint i = 0; i < mailto->recipients->len; i++)
        to[i] = g_array_index(mailto->recipients, struct mailto_recipient, i).address;
    notify->to = to;

    sieve_compose_begin(&composer, run);
    sieve_compose_field_raw(&composer, "X-Sieve", "vmail-lda Sieve");
    sieve_compose_message_id(&composer);
    sieve_compose_date(&composer);
    sieve_compose_field(&composer, "Subject", subject_of(run, mailto, notify->message));
    write_from(&composer, notify->from, sender);
    write_recipients(&composer, mailto, false);
    write_recipients(&composer, mailto, true);
    g_autofree char *submitted = owner != NULL
        ? g_strdup_printf("auto-notified; owner-email=\"%s\"", owner)
        : g_strdup("auto-notified");
    sieve_compose_field_raw(&composer, "Auto-Submitted", submitted);
    sieve_compose_field_raw(&composer, "Precedence", "bulk");
    write_importance(&composer, notify->importance);
    for (guint i = 0; i < mailto->fields->len; i++) {
        const struct mailto_field *field = &g_array_index(mailto->fields, struct mailto_field, i);

        sieve_compose_field(&composer, field->name, field->value);
    }
    sieve_compose_text(&composer, body_of(run, mailto, notify->message));
    action->mail = sieve_compose_end(&composer, sender, to);
    return true;
}
