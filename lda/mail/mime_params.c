/* Content-Type and parameters: what the scan needs is read here, the full RFC 2231 by GMime. */
#include "message-internal.h"

#include "charset.h"

#include <string.h>

#include <gmime/gmime.h>

#define PARAMS_MAX (16 << 10) /* of a field that is handed to GMime */

static void gmime_start(void)
{
    static gsize done;

    /* Not at start-up: most deliveries never need it. */
    if (g_once_init_enter(&done)) {
        g_mime_init();
        g_once_init_leave(&done, 1);
    }
}

/* RFC 2045 token, and 8-bit bytes as broken senders have them. */
static bool is_token(char c)
{
    return (unsigned char)c > ' ' && c != 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

static const char *skip_space(const char *at)
{
    size_t depth = 0;

    for (; *at != '\0'; at++) {
        if (*at == '(')
            depth++;
        else if (*at == ')' && depth > 0)
            depth--;
        else if (depth == 0 && *at != ' ' && *at != '\t')
            break;
    }
    return at;
}

static char *take_token(const char **at)
{
    const char *begin = *at;

    while (is_token(**at))
        (*at)++;
    return *at == begin ? NULL : g_ascii_strdown(begin, (gssize)MIN(*at - begin, 255));
}

/* Behind the next ';' outside quotes, or the end. */
static const char *next_param(const char *at)
{
    bool quoted = false;

    for (; *at != '\0'; at++) {
        if (*at == '"')
            quoted = !quoted;
        else if (quoted && *at == '\\' && at[1] != '\0')
            at++;
        else if (!quoted && *at == ';')
            return at + 1;
    }
    return at;
}

static char *take_value(const char *at)
{
    GString *value = g_string_new(NULL);

    if (*at == '"') {
        for (at++; *at != '\0' && *at != '"'; at++) {
            if (*at == '\\' && at[1] != '\0')
                at++;
            g_string_append_c(value, *at);
        }
    } else {
        /* Unquoted boundaries hold '=' and '/' often enough. */
        g_string_append_len(value, at, (gssize)strcspn(at, "; \t\""));
    }
    /* RFC 2046 5.1.1: a boundary does not end in space. */
    while (value->len > 0 && value->str[value->len - 1] == ' ')
        g_string_truncate(value, value->len - 1);
    return g_string_free(value, FALSE);
}

static char *find_boundary(const char *params)
{
    while (*params != '\0') {
        const char *at = skip_space(params);

        if (g_ascii_strncasecmp(at, "boundary", 8) == 0) {
            at = skip_space(at + 8);
            if (*at == '=') {
                char *value = take_value(skip_space(at + 1));

                if (value[0] != '\0')
                    return value;
                g_free(value);
            } else if (*at == '*') { /* RFC 2231: rare, so GMime may do it */
                struct message_params *list = NULL;
                char *value = g_strdup(message_params_get(&list, params, "boundary", NULL));

                message_params_free(list);
                return value;
            }
        }
        params = next_param(params);
    }
    return NULL;
}

bool content_type_parse(const char *raw, char **ret_type, char **ret_subtype, char **ret_boundary)
{
    const char *at = skip_space(raw);
    g_autofree char *type = take_token(&at);
    char *subtype;

    at = skip_space(at);
    if (type == NULL || *at != '/')
        return false;
    at = skip_space(at + 1);
    subtype = take_token(&at);
    if (subtype == NULL)
        return false;
    *ret_type = g_steal_pointer(&type);
    *ret_subtype = subtype;
    *ret_boundary = strcmp(*ret_type, "multipart") == 0 ? find_boundary(next_param(at)) : NULL;
    return true;
}

/* --- GMime ---------------------------------------------------------------------------------- */

struct message_params {
    GMimeParamList *list; /* NULL: none */
    GHashTable *values;   /* name in lower case → value, checked */
};

/* The list of a field value: what stands behind the first ';'. */
static struct message_params *params_parse(const char *raw, const char *const *charsets)
{
    struct message_params *params = g_new0(struct message_params, 1);
    GMimeParserOptions *options;
    g_autofree char *text = NULL;
    const char *begin = raw;

    params->values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (*begin == '\0')
        return params;
    text = charset_guess_utf8(begin, strnlen(begin, PARAMS_MAX), charsets);
    gmime_start();
    options = g_mime_parser_options_new();
    params->list = g_mime_param_list_parse(options, text);
    g_mime_parser_options_free(options);
    return params;
}

const char *message_params_get(struct message_params **params, const char *raw, const char *name,
                               const char *const *charsets)
{
    g_autofree char *key = g_ascii_strdown(name, -1);
    GMimeParam *param;
    const char *value;
    char *checked;

    if (*params == NULL)
        *params = params_parse(raw, charsets);
    if ((*params)->list == NULL)
        return NULL;
    value = g_hash_table_lookup((*params)->values, key);
    if (value != NULL)
        return value;
    param = g_mime_param_list_get_parameter((*params)->list, name);
    value = param == NULL ? NULL : g_mime_param_get_value(param);
    if (value == NULL)
        return NULL;
    /* An encoded word in a parameter is forbidden and common. */
    checked = charset_decode_header(value, charsets);
    g_hash_table_insert((*params)->values, g_steal_pointer(&key), checked);
    return checked;
}

void message_params_free(struct message_params *params)
{
    if (params == NULL)
        return;
    if (params->list != NULL)
        g_object_unref(params->list);
    g_hash_table_unref(params->values);
    g_free(params);
}
