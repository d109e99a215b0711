#include "lda/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/config_keys.h"

#define CONFIG_FILE_LIMIT (1024 * 1024)

struct value {
    char *name;     /* of an extra key; NULL for those of the table */
    char *raw;      /* NULL: the default */
    char *expanded; /* NULL: not asked for yet */
    char *origin;
};

struct config {
    struct value *values; /* CONFIG_KEYS of the table, then the extras */
    size_t count;
};

/* A configuration is read before there is anything to lose: out of memory ends the process, by a
 * signal, which pipe(8) takes for a reason to defer. */
static void *check(void *pointer)
{
    if (pointer == NULL)
        abort();
    return pointer;
}

struct config *config_new(void)
{
    struct config *config = check(calloc(1, sizeof *config));

    config->count = CONFIG_KEYS;
    config->values = check(calloc(config->count, sizeof *config->values));
    return config;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < config->count; i++) {
        free(config->values[i].name);
        free(config->values[i].raw);
        free(config->values[i].expanded);
        free(config->values[i].origin);
    }
    free(config->values);
    free(config);
}

/* --- values by type */

/* "10" or "10<unit>"; false where it is neither or does not fit. */
static bool parse_units(const char *text, const char *units, const uint64_t *factors,
                        uint64_t *ret_number)
{
    char *end;
    const char *unit;
    uint64_t factor = 1;

    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    while (*end == ' ')
        end++;
    if (*end != '\0') {
        unit = strchr(units, tolower((unsigned char)*end));
        if (unit == NULL)
            return false;
        factor = factors[unit - units];
        /* the rest of a unit written out: "days", "sec", "KB" */
        for (end++; *end != '\0'; end++)
            if (!isalpha((unsigned char)*end))
                return false;
    }
    if (number > UINT64_MAX / 2 / factor)
        return false;
    *ret_number = number * factor;
    return true;
}

bool config_parse_number(enum config_type type, const char *text, uint64_t *ret_number)
{
    static const uint64_t sizes[] = {1, 1ULL << 10, 1ULL << 20, 1ULL << 30, 1ULL << 40};
    static const uint64_t durations[] = {1, 60, 3600, 86400, 604800};

    switch (type) {
    case CONFIG_SIZE:
        return parse_units(text, "bkmgt", sizes, ret_number);
    case CONFIG_DURATION:
        return parse_units(text, "smhdw", durations, ret_number);
    default:
        return parse_units(text, "", NULL, ret_number);
    }
}

static bool parse_bool(const char *text, bool *ret_value)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"yes", true}, {"true", true},   {"on", true},   {"1", true},
                 {"no", false}, {"false", false}, {"off", false}, {"0", false}};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i].word) == 0) {
            *ret_value = words[i].value;
            return true;
        }
    return false;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);

    for (const char *at = choices; length > 0; at++) {
        size_t size = strcspn(at, "|");

        if (size == length && strncmp(at, text, size) == 0)
            return true;
        at += size;
        if (*at == '\0')
            break;
    }
    return false;
}

static bool check_value(const struct config_entry *entry, const char *text, struct error *err)
{
    static const char *const wants[] = {
        [CONFIG_BOOL] = "yes or no",
        [CONFIG_COUNT] = "a number",
        [CONFIG_SIZE] = "a size such as 10M",
        [CONFIG_DURATION] = "a time such as 30s, 5m, 2h or 7d",
    };
    uint64_t number;
    bool yes;

    switch (entry->type) {
    case CONFIG_BOOL:
        if (parse_bool(text, &yes))
            return true;
        break;
    case CONFIG_COUNT:
    case CONFIG_SIZE:
    case CONFIG_DURATION:
        if (config_parse_number(entry->type, text, &number))
            return true;
        break;
    case CONFIG_CHOICE:
        if (is_choice(entry->choices, text))
            return true;
        error_set(err, ERROR_CONFIG, "%s = %s: must be one of %s", entry->name, text,
                  entry->choices);
        return false;
    case CONFIG_PATH:
        if (text[0] == '\0' || text[0] == '/' || text[0] == '$' || strncmp(text, "~/", 2) == 0)
            return true;
        error_set(err, ERROR_CONFIG, "%s = %s: must be an absolute path", entry->name, text);
        return false;
    case CONFIG_TEXT:
    case CONFIG_LIST:
        return true;
    }
    error_set(err, ERROR_CONFIG, "%s = %s: must be %s", entry->name, text, wants[entry->type]);
    return false;
}

/* --- setting */

static struct value *find_value(const struct config *config, const char *name)
{
    for (size_t i = 0; i < CONFIG_KEYS; i++)
        if (strcmp(config_entries[i].name, name) == 0)
            return &config->values[i];
    for (size_t i = CONFIG_KEYS; i < config->count; i++)
        if (strcmp(config->values[i].name, name) == 0)
            return &config->values[i];
    return NULL;
}

static struct value *add_extra(struct config *config, const char *name)
{
    config->values =
        check(realloc(config->values, (config->count + 1) * sizeof *config->values));
    struct value *value = &config->values[config->count++];

    memset(value, 0, sizeof *value);
    value->name = check(strdup(name));
    return value;
}

static bool set_value(struct config *config, const char *name, const char *text,
                      const char *origin, struct error *err)
{
    struct value *value = find_value(config, name);

    if (value == NULL && strncmp(name, "sieve_", 6) == 0)
        value = add_extra(config, name);
    if (value == NULL) {
        error_set(err, ERROR_CONFIG, "unknown key %s (vmail.conf(5) lists them)", name);
        return false;
    }
    if (value->name == NULL && !check_value(&config_entries[value - config->values], text, err))
        return false;
    free(value->raw);
    free(value->origin);
    value->raw = check(strdup(text));
    value->origin = check(strdup(origin));
    /* another value may name this one */
    for (size_t i = 0; i < config->count; i++) {
        free(config->values[i].expanded);
        config->values[i].expanded = NULL;
    }
    return true;
}

bool config_set(struct config *config, const char *name, const char *value, struct error *err)
{
    return set_value(config, name, value, "-o", err);
}

/* Cuts blanks at both ends, in place. */
static char *trim(char *text)
{
    size_t length;

    while (isspace((unsigned char)*text))
        text++;
    length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        length--;
    text[length] = '\0';
    return text;
}

/* "key = value", changed in place. */
static bool set_line(struct config *config, char *line, const char *origin, struct error *err)
{
    char *equals = strchr(line, '=');

    if (equals == NULL) {
        error_set(err, ERROR_CONFIG, "'%s': must be key = value", trim(line));
        return false;
    }
    *equals = '\0';
    char *name = trim(line);
    char *value = trim(equals + 1);
    size_t length = strlen(value);
    if (length >= 2 && value[0] == '"' && value[length - 1] == '"') {
        value[length - 1] = '\0';
        value++;
    }
    return set_value(config, name, value, origin, err);
}

bool config_set_option(struct config *config, const char *option, struct error *err)
{
    AUTO_FREE char *line = check(strdup(option));

    if (!set_line(config, line, "-o", err)) {
        error_prefix(err, "-o");
        return false;
    }
    return true;
}

/* --- the file */

/* Joins the lines of @text that continue the first one; *@ret_next is behind them. A comment or an
 * empty line between them ends nothing, as in main.cf. */
static char *logical_line(char *text, unsigned *line_number, char **ret_next)
{
    char *line = text;
    char *end = text; /* where the joined line ends */
    bool first = true;

    for (;;) {
        char *newline = strchr(text, '\n');
        size_t length = newline == NULL ? strlen(text) : (size_t)(newline - text);
        char *next = newline == NULL ? text + length : newline + 1;
        char *start = text + strspn(text, " \t\r");
        bool comment = *start == '#' || start >= text + length;

        if (!first && !comment && text[0] != ' ' && text[0] != '\t')
            break;
        if (!first && *text == '\0')
            break;
        if (first) {
            end = text + length;
        } else if (!comment) {
            *end++ = ' ';
            memmove(end, start, length - (size_t)(start - text));
            end += length - (size_t)(start - text);
        }
        (*line_number)++;
        text = next;
        if (first && comment)
            break;
        first = false;
    }
    *ret_next = text;
    if (*text != '\0' || end < text)
        *end = '\0';
    return line;
}

static bool load_text(struct config *config, char *text, const char *path, struct error *err)
{
    unsigned line_number = 0;

    while (*text != '\0') {
        unsigned at = line_number + 1;
        char origin[512];
        char *next;
        char *line = logical_line(text, &line_number, &next);

        line = trim(line);
        snprintf(origin, sizeof origin, "%s:%u", path, at);
        if (*line != '\0' && *line != '#' && !set_line(config, line, origin, err)) {
            error_prefix(err, "%s", origin);
            return false;
        }
        text = next;
    }
    return true;
}

bool config_load(struct config *config, const char *path, struct error *err)
{
    AUTO_FREE char *text = NULL;
    size_t length;
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0) {
        error_set_errno(err, ERROR_CONFIG, errno, "cannot read configuration %s", path);
        return false;
    }
    if (!io_read_all(fd, CONFIG_FILE_LIMIT, &text, &length, path, err)) {
        err->kind = ERROR_CONFIG;
        return false;
    }
    if (memchr(text, '\0', length) != NULL) {
        error_set(err, ERROR_CONFIG, "cannot read configuration %s: it holds a NUL byte", path);
        return false;
    }
    return load_text(config, text, path, err);
}

bool config_read(struct config *config, const char *path, struct error *err)
{
    struct error local;

    if (path != NULL)
        return config_load(config, path, err);
    if (config_load(config, VMAIL_CONFIG_FILE, &local) || local.code == ENOENT)
        return true;
    *err = local;
    return false;
}

/* --- getting */

static const char *system_hostname(void)
{
    static char name[256]; /* the same for the life of a process */

    if (name[0] == '\0' && (gethostname(name, sizeof name - 1) < 0 || name[0] == '\0'))
        strcpy(name, "localhost");
    return name;
}

static void append(char **text, size_t *length, const char *more, size_t count)
{
    *text = check(realloc(*text, *length + count + 1));
    memcpy(*text + *length, more, count);
    *length += count;
    (*text)[*length] = '\0';
}

static char *expand(const struct config *config, const char *raw)
{
    static const struct {
        const char *name;
        enum config_key key;
    } names[] = {{"$vmail_root", CONFIG_VMAIL_ROOT}, {"$hostname", CONFIG_HOSTNAME}};
    char *text = NULL;
    size_t length = 0;

    append(&text, &length, "", 0);
    while (*raw != '\0') {
        size_t plain = strcspn(raw, "$");

        append(&text, &length, raw, plain);
        raw += plain;
        if (*raw == '\0')
            break;
        bool known = false;
        for (size_t i = 0; i < sizeof names / sizeof names[0] && !known; i++) {
            size_t size = strlen(names[i].name);

            if (strncmp(raw, names[i].name, size) != 0)
                continue;
            const struct value *value = &config->values[names[i].key];
            const char *inner = value->raw != NULL ? value->raw
                                                   : config_entries[names[i].key].standard;
            if (names[i].key == CONFIG_HOSTNAME && inner[0] == '\0')
                inner = system_hostname();
            append(&text, &length, inner, strlen(inner));
            raw += size;
            known = true;
        }
        if (!known)
            append(&text, &length, raw++, 1);
    }
    return text;
}

const char *config_text(const struct config *config, enum config_key key)
{
    struct value *value = &config->values[key];

    if (value->expanded == NULL) {
        const char *raw = value->raw != NULL ? value->raw : config_entries[key].standard;

        if (key == CONFIG_HOSTNAME && raw[0] == '\0')
            raw = system_hostname();
        value->expanded = expand(config, raw);
    }
    return value->expanded;
}

bool config_bool(const struct config *config, enum config_key key)
{
    bool yes = false;

    parse_bool(config_text(config, key), &yes);
    return yes;
}

uint64_t config_number(const struct config *config, enum config_key key)
{
    uint64_t number = 0;

    config_parse_number(config_entries[key].type, config_text(config, key), &number);
    return number;
}

bool config_is(const struct config *config, enum config_key key, const char *value)
{
    return strcmp(config_text(config, key), value) == 0;
}

bool config_word(const struct config *config, enum config_key key, size_t index, char *word,
                 size_t size)
{
    static const char separators[] = " \t,";
    const char *text = config_text(config, key);

    for (text += strspn(text, separators); *text != '\0'; index--) {
        size_t length = strcspn(text, separators);

        if (index == 0) {
            if (length >= size)
                length = size - 1;
            memcpy(word, text, length);
            word[length] = '\0';
            return true;
        }
        text += length;
        text += strspn(text, separators);
    }
    return false;
}

const char *config_extra(const struct config *config, const char *name)
{
    const struct value *value = find_value(config, name);

    return value != NULL && value->name != NULL ? value->raw : NULL;
}

const char *config_extra_name(const struct config *config, size_t index)
{
    return CONFIG_KEYS + index < config->count ? config->values[CONFIG_KEYS + index].name : NULL;
}

const char *config_origin(const struct config *config, enum config_key key)
{
    return config->values[key].origin != NULL ? config->values[key].origin : "default";
}

const struct config_entry *config_entry_of(enum config_key key)
{
    return &config_entries[key];
}

void config_print(const struct config *config, bool only_changed, FILE *stream)
{
    for (size_t i = 0; i < config->count; i++) {
        const struct value *value = &config->values[i];
        const char *name = value->name != NULL ? value->name : config_entries[i].name;
        const char *raw = value->raw != NULL ? value->raw : config_entries[i].standard;

        if (!only_changed || value->raw != NULL)
            fprintf(stream, "%s =%s%s\n", name, raw[0] == '\0' ? "" : " ", raw);
    }
}
