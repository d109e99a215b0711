/* PostgreSQL: rows as typed columns, values as parameters. */
#include <string.h>

#include "store/db_pgsql_internal.h"

#define OID_BYTEA 17

/* ------------------------------------------------------------------ rows */

struct view {
    struct db_row row; /* first: the row function gets its address */
    struct pgsql *pgsql;
};

static const char *column_name(const struct db_row *row, int column)
{
    return ((const struct view *)row)->pgsql->pq.PQfname(row->source, column);
}

static const char *column_text(const struct db_row *row, int column)
{
    const struct view *view = (const struct view *)row;

    if (view->pgsql->pq.PQgetisnull(row->source, row->index, column))
        return NULL;
    return view->pgsql->pq.PQgetvalue(row->source, row->index, column);
}

/* Text format of bytea: "\x" and hex digits. */
static const void *column_bytes(const struct db_row *row, int column, size_t *ret_length)
{
    const char *text = column_text(row, column);

    if (text == NULL || !g_str_has_prefix(text, "\\x"))
        return NULL;

    size_t length = strlen(text + 2) / 2;
    unsigned char *bytes = g_malloc(length + 1);

    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)(g_ascii_xdigit_value(text[2 + 2 * i]) * 16 +
                                   g_ascii_xdigit_value(text[3 + 2 * i]));
    g_ptr_array_add(row->scratch, bytes);
    *ret_length = length;
    return bytes;
}

bool pgsql_give_rows(struct pgsql *pgsql, PGresult *result, db_row_fn *function, void *ctx,
                     struct error *err)
{
    g_autoptr(GPtrArray) scratch = g_ptr_array_new_with_free_func(g_free);
    struct view view = {
        .row = {.name = column_name, .text = column_text, .bytes = column_bytes, .source = result,
                .columns = pgsql->pq.PQnfields(result), .scratch = scratch},
        .pgsql = pgsql,
    };
    int rows = pgsql->pq.PQntuples(result);

    for (int i = 0; i < rows; i++) {
        view.row.index = i;
        if (!function(ctx, &view.row, err))
            return false;
        g_ptr_array_set_size(scratch, 0);
    }
    return true;
}

/* ------------------------------------------------------------------ parameters */

void pgsql_parameters_clear(struct pgsql_parameters *parameters)
{
    g_free(parameters->types);
    g_free(parameters->values);
    g_free(parameters->lengths);
    g_free(parameters->formats);
    g_clear_pointer(&parameters->texts, g_ptr_array_unref);
}

static const char *keep_text(struct pgsql_parameters *parameters, char *text)
{
    g_ptr_array_add(parameters->texts, text);
    return text;
}

/* A text element in double quotes. */
static void append_quoted(GString *array, const char *text)
{
    g_string_append_c(array, '"');
    while (*text != '\0') {
        size_t plain = strcspn(text, "\"\\");

        g_string_append_len(array, text, (gssize)plain);
        text += plain;
        if (*text != '\0') {
            g_string_append_c(array, '\\');
            g_string_append_c(array, *text++);
        }
    }
    g_string_append_c(array, '"');
}

static void append_element(GString *array, const struct db_value *value)
{
    char buffer[MAX(G_ASCII_DTOSTR_BUF_SIZE, DB_TIME_TEXT_SIZE)];

    switch (value->type) {
    case DB_INT:
        g_string_append_printf(array, "%" G_GINT64_FORMAT, value->number);
        return;
    case DB_REAL:
        g_string_append(array, g_ascii_dtostr(buffer, sizeof buffer, value->real));
        return;
    case DB_BOOL:
        g_string_append_c(array, value->number != 0 ? 't' : 'f');
        return;
    case DB_TIME:
        db_time_format(value->number, buffer);
        append_quoted(array, buffer);
        return;
    case DB_TEXT:
        append_quoted(array, value->text);
        return;
    case DB_NULL:
    case DB_BYTES:
    case DB_ARRAY:
        g_string_append(array, "NULL");
        return;
    }
}

/* PostgreSQL manual, 8.15.6: {"a","b\"c",NULL}. */
static char *array_text(const struct db_value *elements, size_t count)
{
    GString *array = g_string_new("{");

    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            g_string_append_c(array, ',');
        append_element(array, &elements[i]);
    }
    g_string_append_c(array, '}');
    return g_string_free(array, FALSE);
}

/* The server refuses the whole statement for a broken byte, and a mail must not wait for ever because
 * a script or a header had one */
static const char *valid_text(struct pgsql_parameters *parameters, const char *text)
{
    return g_utf8_validate(text, -1, NULL)
               ? text
               : keep_text(parameters, g_utf8_make_valid(text, -1));
}

void pgsql_parameters_fill(struct pgsql_parameters *parameters, const struct db_value *values,
                           size_t count)
{
    char buffer[G_ASCII_DTOSTR_BUF_SIZE];

    parameters->types = g_new0(Oid, count);
    parameters->values = g_new0(const char *, count);
    parameters->lengths = g_new0(int, count);
    parameters->formats = g_new0(int, count);
    parameters->texts = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < count; i++) {
        const struct db_value *value = &values[i];

        switch (value->type) {
        case DB_NULL:
            break;
        case DB_INT:
            parameters->values[i] =
                keep_text(parameters, g_strdup_printf("%" G_GINT64_FORMAT, value->number));
            break;
        case DB_REAL:
            g_ascii_dtostr(buffer, sizeof buffer, value->real);
            parameters->values[i] = keep_text(parameters, g_strdup(buffer));
            break;
        case DB_BOOL:
            parameters->values[i] = value->number != 0 ? "t" : "f";
            break;
        case DB_TIME: {
            char time[DB_TIME_TEXT_SIZE];

            db_time_format(value->number, time);
            parameters->values[i] = keep_text(parameters, g_strdup(time));
            break;
        }
        case DB_TEXT:
            parameters->values[i] = valid_text(parameters, value->text);
            break;
        case DB_ARRAY:
            parameters->values[i] = valid_text(
                parameters, keep_text(parameters, array_text(value->elements, value->length)));
            break;
        case DB_BYTES:
            parameters->types[i] = OID_BYTEA;
            parameters->values[i] = value->length == 0 ? "" : value->text;
            parameters->lengths[i] = (int)value->length;
            parameters->formats[i] = 1;
            break;
        }
    }
}
