/*
 * The text of the mail that actions send.
 */
#include <string.h>

#include "lda/mail/charset.h"
#include "lda/mail/date.h"

#include "sieve/eval.h"

#define LINE_MAX_OCTETS 998

void sieve_compose_begin(struct sieve_composer *composer, struct sieve_run *run)
{
    composer->text = g_string_new(NULL);
    composer->run = run;
}

void sieve_compose_field_raw(struct sieve_composer *composer, const char *name, const char *value)
{
    g_string_append_printf(composer->text, "%s: ", name);
    for (const char *p = value; *p != '\0'; p++) {
        /* a line end only where a fold follows it */
        if (*p == '\n' && (p[1] == ' ' || p[1] == '\t'))
            g_string_append_c(composer->text, '\n');
        else if (*p == '\n' || *p == '\r')
            g_string_append_c(composer->text, ' ');
        else
            g_string_append_c(composer->text, *p);
    }
    g_string_append_c(composer->text, '\n');
}

void sieve_compose_field(struct sieve_composer *composer, const char *name, const char *value)
{
    g_autofree char *encoded = charset_encode_header(value, strlen(name) + 2);

    sieve_compose_field_raw(composer, name, encoded);
}

void sieve_compose_date(struct sieve_composer *composer)
{
    char text[DATE_TEXT_SIZE];
    int zone;
    time_t now = sieve_now(composer->run, &zone);

    date_format_rfc5322((int64_t)now, zone, text);
    sieve_compose_field_raw(composer, "Date", text);
}

void sieve_compose_message_id(struct sieve_composer *composer)
{
    const char *host = composer->run->host->hostname;
    g_autofree char *id = g_strdup_printf("<vmail-sieve-%" G_GINT64_FORMAT "-%08x%08x@%s>",
        (gint64)sieve_now(composer->run, NULL), g_random_int(), g_random_int(),
        host != NULL ? host : "localhost");

    sieve_compose_field_raw(composer, "Message-ID", id);
}

static bool has_long_line(const char *text)
{
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");

        if (length > LINE_MAX_OCTETS)
            return true;
        line += length;
        line += *line == '\n';
    }
    return false;
}

/* RFC 2045 6.7 */
static void append_quoted_printable(GString *out, const char *text)
{
    size_t column = 0;

    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        bool plain = (*p >= 0x21 && *p <= 0x7E && *p != '=') ||
            ((*p == ' ' || *p == '\t') && p[1] != '\n' && p[1] != '\0');

        if (*p == '\n') {
            g_string_append_c(out, '\n');
            column = 0;
            continue;
        }
        if (column + (plain ? 1 : 3) > 75) {
            g_string_append(out, "=\n");
            column = 0;
        }
        if (plain)
            g_string_append_c(out, (char)*p);
        else
            g_string_append_printf(out, "=%02X", *p);
        column += plain ? 1 : 3;
    }
}

void sieve_compose_text(struct sieve_composer *composer, const char *utf8)
{
    bool quoted = has_long_line(utf8);

    sieve_compose_field_raw(composer, "MIME-Version", "1.0");
    sieve_compose_field_raw(composer, "Content-Type", "text/plain; charset=utf-8");
    sieve_compose_field_raw(composer, "Content-Transfer-Encoding",
        quoted ? "quoted-printable" : "8bit");
    g_string_append_c(composer->text, '\n');
    if (quoted)
        append_quoted_printable(composer->text, utf8);
    else
        g_string_append(composer->text, utf8);
    if (composer->text->len > 0 && composer->text->str[composer->text->len - 1] != '\n')
        g_string_append_c(composer->text, '\n');
}

struct sieve_mail *sieve_compose_end(struct sieve_composer *composer, const char *envelope_from,
    const char *const *envelope_to)
{
    struct arena *arena = composer->run->arena;
    struct sieve_mail *mail = ARENA_NEW(arena, struct sieve_mail);

    mail->text = arena_memdup(arena, composer->text->str, composer->text->len);
    mail->length = composer->text->len;
    mail->envelope_from = envelope_from != NULL ? envelope_from : "";
    mail->envelope_to = envelope_to;
    g_string_free(composer->text, TRUE);
    composer->text = NULL;
    return mail;
}
