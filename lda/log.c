#include "lda/log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>

#include "lda/config.h"

/* The one state of a program that logs: where to. */
static struct {
    int fd;            /* -1: syslog */
    bool held;         /* keep lines in @waiting until log_close */
    bool debug;
    const char *program;
    GString *waiting;
} target = {.fd = -1, .program = "vmail"};

static int facility_of(const char *name)
{
    static const struct {
        const char *name;
        int facility;
    } rows[] = {{"mail", LOG_MAIL},     {"daemon", LOG_DAEMON}, {"user", LOG_USER},
                {"local0", LOG_LOCAL0}, {"local1", LOG_LOCAL1}, {"local2", LOG_LOCAL2},
                {"local3", LOG_LOCAL3}, {"local4", LOG_LOCAL4}, {"local5", LOG_LOCAL5},
                {"local6", LOG_LOCAL6}, {"local7", LOG_LOCAL7}};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].facility;
    return LOG_MAIL;
}

static GLogWriterOutput glib_message(GLogLevelFlags level, const GLogField *fields, gsize count,
                                     void *data)
{
    (void)data;
    for (gsize i = 0; i < count; i++)
        if (strcmp(fields[i].key, "MESSAGE") == 0 && fields[i].length < 0)
            log_line((level & G_LOG_LEVEL_ERROR) != 0 ? LOG_CRIT : LOG_WARNING, "glib: %s",
                     (const char *)fields[i].value);
    return G_LOG_WRITER_HANDLED; /* GLib aborts after a fatal one: death by signal defers */
}

static void glib_print(const char *text)
{
    log_line(LOG_WARNING, "glib: %s", text);
}

void log_capture(void)
{
    g_log_set_writer_func(glib_message, NULL, NULL);
    g_set_printerr_handler(glib_print);
}

void log_open(const struct config *config, const char *program)
{
    const char *where = config_text(config, CONFIG_LOG_TARGET);

    target.program = program;
    target.debug = config_bool(config, CONFIG_LOG_DEBUG);
    if (strcmp(where, "stderr") == 0) {
        target.fd = STDERR_FILENO;
        target.held = !isatty(STDERR_FILENO);
    } else if (where[0] == '/') {
        target.fd = open(where, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    }
    if (target.fd < 0)
        openlog(program, LOG_PID | LOG_NDELAY, facility_of(config_text(config, CONFIG_LOG_FACILITY)));
}

static void write_line(const char *text)
{
    char when[32];
    char line[4096];
    struct tm local;
    time_t now = time(NULL);

    localtime_r(&now, &local);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
    int length = snprintf(line, sizeof line, "%s %s: %s", when, target.program, text);
    size_t size = MIN((size_t)MAX(length, 0), sizeof line - 2);
    line[size++] = '\n'; /* one write: lines of several processes stay whole */
    if (target.held) {
        if (target.waiting == NULL)
            target.waiting = g_string_new(NULL);
        g_string_append_len(target.waiting, line, (gssize)size);
    } else if (write(target.fd, line, size) < 0) {
        return; /* nowhere to complain */
    }
}

void log_line(int priority, const char *format, ...)
{
    char text[3072];
    va_list args;

    if (priority == LOG_DEBUG && !target.debug)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    if (target.fd < 0)
        syslog(priority, "%s", text);
    else
        write_line(text);
}

void log_close(void)
{
    if (target.waiting != NULL) {
        if (write(target.fd, target.waiting->str, target.waiting->len) < 0)
            return;
        g_string_free(target.waiting, TRUE);
        target.waiting = NULL;
    }
    if (target.fd < 0)
        closelog();
}
