#include "lda/table.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <glib.h>

#define GAP 2
#define NARROWEST 8 /* a column is not cut below this */

struct table {
    GPtrArray *headings; /* char * without '#' */
    GArray *right;       /* gboolean per column */
    GPtrArray *rows;     /* GPtrArray of char * */
};

static void free_row(void *row)
{
    g_ptr_array_unref(row);
}

struct table *table_new(const char *const *columns)
{
    struct table *table = g_new0(struct table, 1);

    table->headings = g_ptr_array_new_with_free_func(g_free);
    table->right = g_array_new(FALSE, FALSE, sizeof(gboolean));
    table->rows = g_ptr_array_new_with_free_func(free_row);
    for (; *columns != NULL; columns++) {
        gboolean right = **columns == '#';

        g_array_append_val(table->right, right);
        g_ptr_array_add(table->headings, g_strdup(*columns + (right ? 1 : 0)));
    }
    return table;
}

void table_free(struct table *table)
{
    if (table == NULL)
        return;
    g_ptr_array_unref(table->headings);
    g_array_unref(table->right);
    g_ptr_array_unref(table->rows);
    g_free(table);
}

/* What came from a message may not move the cursor or colour the terminal. */
static char *clean(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text == NULL ? "" : text, -1);
    GString *cleaned = g_string_new(NULL);

    for (const char *at = valid; *at != '\0'; at = g_utf8_next_char(at)) {
        gunichar letter = g_utf8_get_char(at);
        GUnicodeType type = g_unichar_type(letter);

        /* the bidirectional overrides are format characters, but so are joiners of emoji */
        if (type == G_UNICODE_CONTROL || (letter >= 0x202a && letter <= 0x202e) ||
            (letter >= 0x2066 && letter <= 0x2069))
            g_string_append_c(cleaned, letter == '\t' || letter == '\n' ? ' ' : '?');
        else
            g_string_append_unichar(cleaned, letter);
    }
    return g_string_free(cleaned, FALSE);
}

void table_add(struct table *table, const char *const *cells)
{
    GPtrArray *row = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < table->headings->len; i++)
        g_ptr_array_add(row, clean(cells[i]));
    g_ptr_array_add(table->rows, row);
}

size_t table_rows(const struct table *table)
{
    return table->rows->len;
}

static int letter_width(gunichar letter)
{
    if (g_unichar_iszerowidth(letter))
        return 0;
    return g_unichar_iswide(letter) ? 2 : 1;
}

int table_text_width(const char *text)
{
    int width = 0;

    for (; *text != '\0'; text = g_utf8_next_char(text))
        width += letter_width(g_utf8_get_char(text));
    return width;
}

int table_terminal_width(FILE *stream)
{
    struct winsize size;
    int fd = fileno(stream);

    if (fd < 0 || !isatty(fd))
        return 0;
    if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

/* The bytes of @text that fit into @width columns. */
static size_t fitting(const char *text, int width)
{
    const char *at = text;

    while (*at != '\0') {
        int more = letter_width(g_utf8_get_char(at));

        if (more > width)
            break;
        width -= more;
        at = g_utf8_next_char(at);
    }
    return (size_t)(at - text);
}

static void print_cell(const char *text, int width, bool right, bool last, FILE *stream)
{
    int own = table_text_width(text);
    const char *end = "";

    size_t bytes = strlen(text);
    if (own > width) {
        bytes = fitting(text, width - 1);
        end = "…";
        g_autofree char *cut = g_strndup(text, bytes);
        own = table_text_width(cut) + 1;
    }
    int padding = width - own;
    if (right)
        fprintf(stream, "%*s", padding, "");
    fprintf(stream, "%.*s%s", (int)bytes, text, end);
    if (!last)
        fprintf(stream, "%*s", (right ? 0 : padding) + GAP, "");
}

/* Takes columns from the widest one until all fit into @width. */
static void narrow(int *widths, guint count, int width)
{
    for (;;) {
        int total = GAP * (int)(count - 1);
        guint widest = 0;

        for (guint i = 0; i < count; i++) {
            total += widths[i];
            if (widths[i] > widths[widest])
                widest = i;
        }
        if (total <= width || widths[widest] <= NARROWEST)
            return;
        widths[widest]--;
    }
}

static void print_row(const struct table *table, const GPtrArray *row, const int *widths,
                      FILE *stream)
{
    for (guint i = 0; i < row->len; i++)
        print_cell(row->pdata[i], widths[i], g_array_index(table->right, gboolean, i),
                   i + 1 == row->len, stream);
    fputc('\n', stream);
}

void table_print(const struct table *table, int width, FILE *stream)
{
    guint count = table->headings->len;
    g_autofree int *widths = g_new0(int, count);

    for (guint i = 0; i < count; i++) {
        widths[i] = table_text_width(table->headings->pdata[i]);
        for (guint j = 0; j < table->rows->len; j++) {
            const GPtrArray *row = table->rows->pdata[j];

            widths[i] = MAX(widths[i], table_text_width(row->pdata[i]));
        }
    }
    if (width > 0)
        narrow(widths, count, width);
    print_row(table, table->headings, widths, stream);
    for (guint j = 0; j < table->rows->len; j++)
        print_row(table, table->rows->pdata[j], widths, stream);
}
