#include "lda/progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#define FIRST_AFTER_US 1000000
#define EVERY_US 100000
#define BAR 30

struct progress {
    char *what;
    uint64_t total;
    gint64 started_us;
    gint64 drawn_us; /* 0: nothing drawn yet */
    bool terminal;
};

struct progress *progress_new(const char *what, uint64_t total)
{
    struct progress *progress = g_new0(struct progress, 1);

    progress->what = g_strdup(what);
    progress->total = total;
    progress->started_us = g_get_monotonic_time();
    progress->terminal = isatty(STDERR_FILENO) != 0;
    return progress;
}

void progress_set_total(struct progress *progress, uint64_t total)
{
    progress->total = total;
}

static void draw(const struct progress *progress, uint64_t done, gint64 now_us)
{
    double seconds = (double)(now_us - progress->started_us) / 1e6;
    double rate = (double)done / seconds;

    if (progress->total == 0) {
        fprintf(stderr, "\r%s: %" G_GUINT64_FORMAT ", %.0f/s\033[K", progress->what, done, rate);
        return;
    }
    double part = MIN(1.0, (double)done / (double)progress->total);
    int filled = (int)(part * BAR);
    double left = rate > 0 ? (double)(progress->total - MIN(done, progress->total)) / rate : 0;
    fprintf(stderr, "\r%s [", progress->what);
    for (int i = 0; i < BAR; i++)
        fputc(i < filled ? '#' : '.', stderr);
    fprintf(stderr,
            "] %3.0f%% %" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT ", %.0f/s, %.0f s left\033[K",
            part * 100, done, progress->total, rate, left);
}

void progress_update(struct progress *progress, uint64_t done)
{
    if (!progress->terminal)
        return;
    gint64 now = g_get_monotonic_time();
    if (now - progress->started_us < FIRST_AFTER_US || now - progress->drawn_us < EVERY_US)
        return;
    progress->drawn_us = now;
    draw(progress, done, now);
}

void progress_free(struct progress *progress)
{
    if (progress == NULL)
        return;
    if (progress->drawn_us != 0)
        fputs("\r\033[K", stderr);
    g_free(progress->what);
    g_free(progress);
}
