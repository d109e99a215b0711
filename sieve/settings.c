/*
 * Site settings of extensions: text into numbers, durations and sizes. What cannot be read is as if
 * it were not set: a wrong setting must not stop mail (vmail doctor complains).
 */
#include <string.h>

#include "sieve/sieve-internal.h"

const char *sieve_setting(const struct sieve_options *options, const char *name)
{
    return options->setting == NULL ? NULL : options->setting(options->setting_ctx, name);
}

/* The number in front; *ret_rest is the unit behind it, blanks passed over. */
static bool read_number(const char *text, uint64_t *ret_value, const char **ret_rest)
{
    char *end;

    if (text == NULL)
        return false;
    while (g_ascii_isspace(*text))
        text++;
    if (!g_ascii_isdigit(*text))
        return false;
    *ret_value = g_ascii_strtoull(text, &end, 10);
    while (g_ascii_isspace(*end))
        end++;
    *ret_rest = end;
    return true;
}

uint64_t sieve_setting_number(const struct sieve_options *options, const char *name,
    uint64_t fallback)
{
    uint64_t value;
    const char *rest;

    return read_number(sieve_setting(options, name), &value, &rest) && *rest == '\0' ? value
                                                                                     : fallback;
}

uint64_t sieve_setting_seconds(const struct sieve_options *options, const char *name,
    uint64_t fallback)
{
    static const struct {
        const char *prefix; /* of "seconds", "s", "mins" … as Dovecot reads them */
        uint64_t seconds;
    } units[] = {{"ms", 0}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {"w", 604800}};
    uint64_t value;
    const char *rest;

    if (!read_number(sieve_setting(options, name), &value, &rest))
        return fallback;
    if (*rest == '\0')
        return value;
    for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
        if (g_ascii_strncasecmp(rest, units[i].prefix, strlen(units[i].prefix)) == 0)
            return units[i].seconds > 0 ? value * units[i].seconds : value / 1000;
    return fallback;
}

uint64_t sieve_setting_size(const struct sieve_options *options, const char *name,
    uint64_t fallback)
{
    uint64_t value;
    const char *rest;

    if (!read_number(sieve_setting(options, name), &value, &rest))
        return fallback;
    switch (g_ascii_tolower(*rest)) {
    case '\0': case 'b': return value;
    case 'k': return value << 10;
    case 'm': return value << 20;
    case 'g': return value << 30;
    default: return fallback;
    }
}

bool sieve_setting_bool(const struct sieve_options *options, const char *name, bool fallback)
{
    const char *text = sieve_setting(options, name);

    if (text == NULL || *text == '\0')
        return fallback;
    return g_ascii_strcasecmp(text, "yes") == 0 || g_ascii_strcasecmp(text, "true") == 0 ||
        strcmp(text, "1") == 0;
}
