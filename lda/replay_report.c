#include "lda/replay_report.h"

#include <sysexits.h>

#include <jansson.h>

#include "lda/base/exit_status.h"

struct replay_report {
    struct replay_report_options options;
    uint64_t counts[REPLAY_OUTCOMES];
    uint64_t later;         /* of REPLAY_FAILED: those that time may cure */
    unsigned in_a_row;
    gint64 started_us;
};

static const char *const outcome_names[REPLAY_OUTCOMES] = {
    [REPLAY_DELIVERED] = "delivered",
    [REPLAY_BEFORE] = "before",
    [REPLAY_SKIPPED] = "skipped",
    [REPLAY_FAILED] = "failed",
};

struct replay_report *replay_report_new(const struct replay_report_options *options)
{
    struct replay_report *report = g_new0(struct replay_report, 1);

    report->options = *options;
    report->started_us = g_get_monotonic_time();
    return report;
}

void replay_report_free(struct replay_report *report)
{
    g_free(report);
}

uint64_t replay_report_done(const struct replay_report *report)
{
    uint64_t sum = 0;

    for (int i = 0; i < REPLAY_OUTCOMES; i++)
        sum += report->counts[i];
    return sum;
}

uint64_t replay_report_failed(const struct replay_report *report)
{
    return report->counts[REPLAY_FAILED];
}

unsigned replay_report_in_a_row(const struct replay_report *report)
{
    return report->in_a_row;
}

/* ------------------------------------------------------------------ a line */

/* Names of files may hold anything; a line is one line, of valid UTF-8. */
static char *printable(const char *text)
{
    char *valid = g_utf8_make_valid(text == NULL ? "" : text, -1);

    for (char *at = valid; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    return valid;
}

static void set_text(json_t *object, const char *key, const char *text)
{
    g_autofree char *valid = printable(text);

    if (text != NULL)
        json_object_set_new(object, key, json_string(valid));
}

static void print_json(FILE *stream, json_t *object)
{
    json_dumpf(object, stream, JSON_COMPACT | JSON_PRESERVE_ORDER);
    fputc('\n', stream);
    json_decref(object);
}

static void print_line(const struct replay_report *report, FILE *stream, const char *name,
                       const char *queue_id, const struct replay_answer *answer)
{
    if (report->options.json) {
        json_t *object = json_object();

        set_text(object, "event", outcome_names[answer->outcome]);
        set_text(object, "source", name);
        set_text(object, "recipient", answer->recipient);
        set_text(object, "message_id", answer->message_id);
        set_text(object, "queue_id", queue_id);
        if (answer->outcome == REPLAY_FAILED)
            set_text(object, "status", exit_status_dsn(answer->kind));
        set_text(object, "text", answer->text);
        set_text(object, "notes", answer->notes);
        print_json(stream, object);
        return;
    }
    g_autofree char *source = printable(name);
    g_autofree char *recipient = printable(answer->recipient);
    g_autofree char *text = printable(answer->text);
    fprintf(stream, "%s%s%s: %s%s\n", source, recipient[0] == '\0' ? "" : " to ", recipient,
            answer->outcome == REPLAY_SKIPPED ? "skipped: " : "", text);
}

void replay_report_add(struct replay_report *report, const char *name, const char *queue_id,
                       const struct replay_answer *answer)
{
    bool is_left = answer->outcome == REPLAY_FAILED || answer->outcome == REPLAY_SKIPPED;
    bool general = answer->kind == ERROR_TEMPORARY || answer->kind == ERROR_CONFIG;

    report->counts[answer->outcome]++;
    if (answer->outcome == REPLAY_FAILED &&
        (general || answer->kind == ERROR_QUOTA_DEFER))
        report->later++;
    if (answer->outcome == REPLAY_FAILED && general)
        report->in_a_row++;
    else if (answer->outcome != REPLAY_SKIPPED)
        report->in_a_row = 0;
    if (is_left)
        print_line(report, report->options.left, name, queue_id, answer);
    else if (report->options.verbose)
        print_line(report, report->options.summary, name, queue_id, answer);
}

/* ------------------------------------------------------------------ the summary */

static void print_summary_json(const struct replay_report *report, double seconds,
                               const char *stopped)
{
    json_t *object = json_object();

    set_text(object, "event", "summary");
    for (int i = 0; i < REPLAY_OUTCOMES; i++)
        json_object_set_new(object, outcome_names[i], json_integer((json_int_t)report->counts[i]));
    json_object_set_new(object, "later", json_integer((json_int_t)report->later));
    json_object_set_new(object, "dry_run", json_boolean(report->options.dry_run));
    json_object_set_new(object, "complete", json_boolean(stopped == NULL));
    set_text(object, "stopped", stopped);
    json_object_set_new(object, "seconds", json_real(seconds));
    print_json(report->options.summary, object);
}

static void append(GString *text, uint64_t count, const char *what)
{
    if (count > 0)
        g_string_append_printf(text, ", %" G_GUINT64_FORMAT " %s", count, what);
}

static void print_summary(const struct replay_report *report, double seconds, const char *stopped)
{
    const uint64_t *counts = report->counts;
    g_autoptr(GString) text = g_string_new(NULL);
    const char *verb = report->options.dry_run ? "would be delivered" : "delivered";

    if (counts[REPLAY_DELIVERED] == 0 && counts[REPLAY_FAILED] == 0 && counts[REPLAY_BEFORE] > 0)
        g_string_append_printf(text, "nothing to deliver: %" G_GUINT64_FORMAT
                               " delivered before", counts[REPLAY_BEFORE]);
    else {
        g_string_append_printf(text, "%" G_GUINT64_FORMAT " %s", counts[REPLAY_DELIVERED], verb);
        append(text, counts[REPLAY_BEFORE], "delivered before");
    }
    append(text, counts[REPLAY_SKIPPED], "skipped");
    append(text, counts[REPLAY_FAILED], "not delivered");
    append(text, report->later, "of them may be later");
    fprintf(report->options.summary, "%s (%.1f s)\n", text->str, seconds);
    if (stopped != NULL)
        fprintf(report->options.summary, "%s; run it again: what was delivered is not delivered "
                "twice\n", stopped);
}

int replay_report_finish(struct replay_report *report, const char *stopped)
{
    double seconds = (double)(g_get_monotonic_time() - report->started_us) / 1e6;

    if (report->options.json)
        print_summary_json(report, seconds, stopped);
    else
        print_summary(report, seconds, stopped);
    if (fflush(report->options.left) != 0 || ferror(report->options.left) != 0)
        return EX_IOERR;
    if (stopped != NULL || report->later > 0)
        return EX_TEMPFAIL;
    return report->counts[REPLAY_FAILED] > 0 ? EX_DATAERR : EX_OK;
}
