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
    if (envelope->original_recipient != NULL && envelope->original_recipient[0] == '\0')
        g_clear_pointer(&envelope->original_recipient, g_free);
    if (envelope->recipient == NULL || envelope->recipient[0] == '\0') {
        g_free(envelope->recipient);
        envelope->recipient = g_strdup(envelope->user);
    }
    if (envelope->original_recipient == NULL)
        envelope->original_recipient = g_strdup(envelope->recipient);
    if (envelope->queue_id != NULL && envelope->queue_id[0] == '\0')
        g_clear_pointer(&envelope->queue_id, g_free);
    return normalise_address(&envelope->recipient, "final recipient (-r)", err) &&
           normalise_address(&envelope->original_recipient, "original recipient (-a)", err);
}

void envelope_clear(struct envelope *envelope)
{
    g_free(envelope->user);
    g_free(envelope->sender);
    g_free(envelope->recipient);
    g_free(envelope->original_recipient);
    g_free(envelope->queue_id);
    memset(envelope, 0, sizeof *envelope);
}
