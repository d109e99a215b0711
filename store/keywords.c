#include "store/keywords.h"

#include <string.h>
#include <strings.h>

#include "store/dotlock_file.h"

#define LETTERS 26

/* RFC 3501: a keyword is an atom. */
static bool is_atom(const char *keyword)
{
    size_t length = strlen(keyword);

    if (length == 0 || length > 100)
        return false;
    for (const char *p = keyword; *p != '\0'; p++)
        if (!g_ascii_isgraph(*p) || strchr("(){%*\"\\]", *p) != NULL)
            return false;
    return true;
}

struct assignment {
    const GPtrArray *keywords;
    GString *letters;
    GString *dropped;
    char *names[LETTERS];
};

static void read_names(struct assignment *assignment, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line != NULL; line++) {
        char *end;
        guint64 number = g_ascii_strtoull(*line, &end, 10);

        if (end == *line || *end != ' ' || end[1] == '\0' || number >= LETTERS)
            continue;
        g_free(assignment->names[number]);
        assignment->names[number] = g_strdup(end + 1);
    }
}

/* The keyword's number, -1 where all are taken; *@ret_new when it is a new one. */
static int number_of(struct assignment *assignment, const char *keyword, bool *ret_new)
{
    int vacant = -1;

    for (int i = LETTERS - 1; i >= 0; i--) {
        if (assignment->names[i] == NULL)
            vacant = i;
        else if (strcasecmp(assignment->names[i], keyword) == 0)
            return i;
    }
    if (vacant >= 0) {
        assignment->names[vacant] = g_strdup(keyword);
        *ret_new = true;
    }
    return vacant;
}

static void drop(struct assignment *assignment, const char *keyword)
{
    g_autofree char *valid = g_utf8_make_valid(keyword, -1);

    g_string_append_printf(assignment->dropped, "%s%s", assignment->dropped->len > 0 ? " " : "",
                           valid);
}

static char *assign(void *ctx, const char *text)
{
    struct assignment *assignment = ctx;
    bool changed = false;

    read_names(assignment, text);
    for (guint i = 0; i < assignment->keywords->len; i++) {
        const char *keyword = g_ptr_array_index(assignment->keywords, i);
        int number = is_atom(keyword) ? number_of(assignment, keyword, &changed) : -1;

        if (number < 0) {
            drop(assignment, keyword);
        } else {
            char letter = (char)('a' + number);

            if (strchr(assignment->letters->str, letter) == NULL)
                g_string_append_c(assignment->letters, letter);
        }
    }
    if (!changed)
        return NULL;

    GString *lines = g_string_new(NULL);

    for (int i = 0; i < LETTERS; i++)
        if (assignment->names[i] != NULL)
            g_string_append_printf(lines, "%d %s\n", i, assignment->names[i]);
    return g_string_free(lines, FALSE);
}

bool keywords_assign(int dir, const GPtrArray *keywords, GString *letters, char **ret_dropped,
                     struct error *err)
{
    struct assignment assignment = {.keywords = keywords, .letters = letters,
                                    .dropped = g_string_new(NULL)};
    bool ok = dotlock_file_rewrite(dir, "dovecot-keywords", assign, &assignment, err);

    for (int i = 0; i < LETTERS; i++)
        g_free(assignment.names[i]);
    if (ok && assignment.dropped->len > 0) {
        *ret_dropped = g_string_free(assignment.dropped, FALSE);
    } else {
        g_string_free(assignment.dropped, TRUE);
        if (ok)
            *ret_dropped = NULL;
    }
    return ok;
}
