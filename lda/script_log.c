#include "lda/script_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lda/base/cleanup.h"
#include "lda/base/io.h"
#include "lda/base/path.h"
#include "lda/config.h"

#define LINES_MAX 30
#define LINE_MAX_BYTES 500

static GString *format_lines(const GPtrArray *lines)
{
    GString *text = g_string_new(NULL);
    char when[40];
    time_t now = time(NULL);
    struct tm local;

    localtime_r(&now, &local);
    strftime(when, sizeof when, "%b %d %H:%M:%S", &local);
    for (guint i = 0; i < lines->len && i < LINES_MAX; i++) {
        g_autofree char *line = g_strndup(lines->pdata[i], LINE_MAX_BYTES);

        g_strdelimit(line, "\r\n", ' ');
        g_string_append_printf(text, "%s %s\n", when, line);
    }
    if (lines->len > LINES_MAX)
        g_string_append_printf(text, "%s and %u more\n", when, lines->len - LINES_MAX);
    return text;
}

void script_log_append(const struct config *config, int home, const GPtrArray *lines)
{
    const char *sieve = config_text(config, CONFIG_SIEVE);
    uint64_t limit = config_number(config, CONFIG_SIEVE_LOG_MAX_SIZE);
    struct error ignored;
    struct stat st;

    if (home < 0 || limit == 0 || lines->len == 0 || strncmp(sieve, "~/", 2) != 0)
        return;
    g_autofree char *dir = g_path_get_dirname(sieve + 2);
    g_autofree char *base = g_path_get_basename(sieve);
    g_autofree char *name = g_strconcat(base, ".log", NULL);
    g_autofree char *old = g_strconcat(base, ".log.0", NULL);
    AUTO_FD parent = path_open_dir(home, dir, &ignored);
    if (parent < 0)
        return;
    AUTO_FD fd = openat(parent, name,
                        O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    g_autoptr(GString) text = format_lines(lines);
    if (st.st_size > 0 && (uint64_t)st.st_size + text->len > limit) {
        if (renameat(parent, name, parent, old) < 0)
            return;
        AUTO_FD fresh = openat(parent, name,
                               O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                               0600);
        if (fresh >= 0)
            io_write(fresh, text->str, text->len, name, &ignored);
        return;
    }
    io_write(fd, text->str, text->len, name, &ignored);
}
