/* Rows in columns for a terminal; East Asian letters count two columns (wcwidth by GLib). */
#ifndef VMAIL_TABLE_H
#define VMAIL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct table;

/* @columns: NULL-terminated headings; "#Size" aligns to the right. */
struct table *table_new(const char *const *columns);
/* As many cells as headings, copied; NULL is an empty cell. Control characters become '?'. */
void table_add(struct table *table, const char *const *cells);
/* Prints; a @width > 0 is the terminal's: the widest columns are cut with "…" to fit. */
void table_print(const struct table *table, int width, FILE *stream);
size_t table_rows(const struct table *table);
void table_free(struct table *table);

/* Columns of the terminal on @stream, 0 when it is none. */
int table_terminal_width(FILE *stream);

/* How many columns @text takes on a terminal (UTF-8). */
int table_text_width(const char *text);

#endif
