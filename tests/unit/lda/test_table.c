#include "lda/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char *print(const char *const *cells, int width)
{
    static const char *const columns[] = {"#Id", "Subject", "From", NULL};
    struct table *table = table_new(columns);
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    for (; cells[0] != NULL; cells += 3)
        table_add(table, cells);
    table_print(table, width, stream);
    fclose(stream);
    table_free(table);
    return text;
}

static void wide_letters_take_two_columns(void **state)
{
    static const char *const cells[] = {"1", "회의", "a@b", "12", "Hello", "c@d", NULL};
    char *text = print(cells, 0);

    (void)state;
    assert_string_equal(text, "Id  Subject  From\n"
                              " 1  회의     a@b\n"
                              "12  Hello    c@d\n");
    free(text);
}

static void the_widest_column_is_cut(void **state)
{
    static const char *const cells[] = {"1", "회의록을 첨부합니다", "a@b.example", NULL};
    char *text = print(cells, 30);

    (void)state;
    assert_string_equal(text, "Id  Subject        From\n"
                              " 1  회의록을 첨…   a@b.example\n");
    free(text);
}

static void a_message_cannot_move_the_cursor(void **state)
{
    static const char *const cells[] = {"1", "a\033[2Jb\nc\x7f\xff", "\xe2\x80\xae" "x", NULL};
    char *text = print(cells, 0);

    (void)state;
    assert_null(strchr(text, '\033'));
    assert_non_null(strstr(text, "a?[2Jb c?\xef\xbf\xbd  ?x"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wide_letters_take_two_columns),
        cmocka_unit_test(the_widest_column_is_cut),
        cmocka_unit_test(a_message_cannot_move_the_cursor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
