#include "mbox_files.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "delivery_fixture.h"
#include "store/mbox.h"

char *mbox_file_path(const char *mailbox)
{
    g_autofree char *below = mbox_path(mailbox);

    return g_build_filename(world.home_path, below, NULL);
}

char *mbox_file_text(const char *mailbox)
{
    g_autofree char *path = mbox_file_path(mailbox);
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
}

void mbox_file_write(const char *mailbox, const char *text)
{
    g_autofree char *path = mbox_file_path(mailbox);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

void mbox_file_replace(const char *mailbox, const char *from, const char *to)
{
    g_autofree char *text = mbox_file_text(mailbox);
    g_auto(GStrv) parts = g_strsplit(text, from, 2);
    g_autofree char *changed = NULL;

    assert_non_null(parts[1]);
    changed = g_strjoinv(to, parts);
    mbox_file_write(mailbox, changed);
}
