#include "lda/envelope.h"

#include <string.h>
#include <strings.h>

#include <glib.h>

#include "lda/mail/address.h"

/* An address without brackets, its domain in lower case, replaces *@address. */
static bool normalise_address(char **address, const char *what, struct error *err)
{
    g_autofree char *local = NULL;
    g_autofree char *domain = NULL;
    g_autofree char *lower = NULL;

    if (!address_parse_path(*address, &local, &domain)) {
        error_set(err, ERROR_USAGE, "the %s '%s' is not an address", what, *address);
        return false;
    }
    lower = g_ascii_strdown(domain, -1);
    g_free(*address);
    *address = local[0] == '\0' ? g_strdup("") : address_join(local, lower);
    return true;
}

/* What is wrong with a sender is not the recipient's fault: the mail is delivered without one, so
 * that nothing answers it. */
static void normalise_sender(char **sender)
{
    struct error ignored;

    /* pipe(8) writes MAILER-DAEMON for the null sender unless null_sender= is given */
    if (strcasecmp(*sender, "MAILER-DAEMON") == 0 || strcmp(*sender, "<>") == 0 ||
        !normalise_address(sender, "sender", &ignored)) {
        g_free(*sender);
        *sender = g_strdup("");
    }
}

/* A sender may write what he likes before the @ (RFC 5321 4.1.2), and pipe(8) without flag q passes it
 * without its quotes: the mail is for @user all the same. */
static void normalise_recipient(char **recipient, const char *user)
{
    struct error ignored;

    if (*recipient != NULL && normalise_address(recipient, "recipient", &ignored) &&
        (*recipient)[0] != '\0')
        return;
    g_free(*recipient);
    *recipient = g_strdup(user);
}

/* --- DSN parameters */

static bool is_ret(const char *value)
{
    return strcasecmp(value, "FULL") == 0 || strcasecmp(value, "HDRS") == 0;
}

static bool is_notify(const char *value)
{
    g_auto(GStrv) words = g_strsplit(value, ",", 5);

    if (strcasecmp(value, "NEVER") == 0)
        return true;
    for (char **word = words; *word != NULL; word++)
        if (strcasecmp(*word, "SUCCESS") != 0 && strcasecmp(*word, "FAILURE") != 0 &&
            strcasecmp(*word, "DELAY") != 0)
            return false;
    return true;
}

/* RFC 3461 4: printable ASCII, as long as an SMTP command may make it. */
static bool is_xtext(const char *value)
{
    for (const char *at = value; *at != '\0'; at++)
        if (!g_ascii_isgraph(*at))
            return false;
    return strlen(value) <= 500;
}

static bool is_orcpt(const char *value)
{
    return is_xtext(value) && strchr(value, ';') != NULL;
}

bool envelope_set_dsn(struct envelope *envelope, const char *parameter, struct error *err)
{
    const struct {
        const char *name;
        char **to;
        bool (*allowed)(const char *value);
    } rows[] = {
        {"NOTIFY=", &envelope->dsn_notify, is_notify},
        {"ORCPT=", &envelope->dsn_orcpt, is_orcpt},
        {"RET=", &envelope->dsn_ret, is_ret},
        {"ENVID=", &envelope->dsn_envid, is_xtext},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        size_t length = strlen(rows[i].name);

        if (strncasecmp(parameter, rows[i].name, length) != 0)
            continue;
        const char *value = parameter + length;
        g_clear_pointer(rows[i].to, g_free);
        if (value[0] != '\0' && rows[i].allowed(value))
            *rows[i].to = g_strdup(value);
        return true;
    }
    error_set(err, ERROR_USAGE, "--dsn %s: must be NOTIFY=, ORCPT=, RET= or ENVID=", parameter);
    return false;
}

bool envelope_normalise(struct envelope *envelope, struct error *err)
{
    if (envelope->user == NULL || envelope->user[0] == '\0') {
        error_set(err, ERROR_USAGE, "no user: -d user@domain is missing");
        return false;
    }
    if (!normalise_address(&envelope->user, "user (-d)", err))
        return false;
    if (envelope->sender != NULL)
        normalise_sender(&envelope->sender);
    normalise_recipient(&envelope->recipient, envelope->user);
    normalise_recipient(&envelope->original_recipient, envelope->recipient);
    if (envelope->auth != NULL && envelope->auth[0] == '\0') /* pipe(8): nobody logged in */
        g_clear_pointer(&envelope->auth, g_free);
    if (envelope->queue_id != NULL && envelope->queue_id[0] == '\0')
        g_clear_pointer(&envelope->queue_id, g_free);
    return true;
}

void envelope_clear(struct envelope *envelope)
{
    g_free(envelope->user);
    g_free(envelope->sender);
    g_free(envelope->recipient);
    g_free(envelope->original_recipient);
    g_free(envelope->auth);
    g_free(envelope->dsn_notify);
    g_free(envelope->dsn_orcpt);
    g_free(envelope->dsn_ret);
    g_free(envelope->dsn_envid);
    g_free(envelope->queue_id);
    memset(envelope, 0, sizeof *envelope);
}
