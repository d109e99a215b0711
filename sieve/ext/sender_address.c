#include "sieve/ext/sender_address.h"

#include <string.h>

const char *sender_user_email(const struct sieve_run *run)
{
    const char *said = sieve_setting(run->options, "sieve_user_email");

    return said != NULL && *said != '\0' ? said : run->host->user_email;
}

const char *sender_postmaster(struct sieve_run *run)
{
    if (run->host->postmaster != NULL)
        return run->host->postmaster;
    return arena_printf(run->arena, "postmaster@%s",
        run->host->hostname != NULL ? run->host->hostname : "localhost");
}

static const char *recipient(const struct sieve_run *run)
{
    return run->envelope->to;
}

const char *sender_from_setting(struct sieve_run *run, const char *name)
{
    const char *said = sieve_setting(run->options, name);
    size_t length;

    if (said == NULL)
        return NULL;
    if (strcmp(said, "sender") == 0)
        return run->envelope->from;
    if (strcmp(said, "recipient") == 0)
        return recipient(run);
    if (strcmp(said, "orig_recipient") == 0)
        return run->envelope->orig_to != NULL ? run->envelope->orig_to : recipient(run);
    if (strcmp(said, "user_email") == 0)
        return sender_user_email(run) != NULL ? sender_user_email(run) : recipient(run);
    if (strcmp(said, "postmaster") == 0)
        return sender_postmaster(run);
    length = strlen(said);
    if (length < 2 || said[0] != '<' || said[length - 1] != '>')
        return NULL;
    const char *address = arena_memdup(run->arena, said + 1, length - 2);
    return *address == '\0' || sieve_address_is_valid(address) ? address : NULL;
}
