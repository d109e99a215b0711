#include "exit_status.h"

#include <sysexits.h>

static const struct {
    int status;
    int status_on_terminal;
    const char *dsn;
} statuses[ERROR_KINDS] = {
    [ERROR_NONE] = {EX_OK, EX_OK, "2.0.0"},
    [ERROR_TEMPORARY] = {EX_TEMPFAIL, EX_TEMPFAIL, "4.3.0"},
    [ERROR_NO_USER] = {EX_NOUSER, EX_NOUSER, "5.1.1"},
    [ERROR_BAD_DATA] = {EX_DATAERR, EX_DATAERR, "5.6.0"},
    [ERROR_REFUSED] = {EX_NOPERM, EX_NOPERM, "5.7.1"},
    [ERROR_QUOTA] = {EX_NOPERM, EX_NOPERM, "5.2.2"},
    [ERROR_QUOTA_DEFER] = {EX_TEMPFAIL, EX_TEMPFAIL, "4.2.2"},
    [ERROR_USAGE] = {EX_USAGE, EX_USAGE, "5.5.4"},
    [ERROR_LOOP] = {EX_DATAERR, EX_DATAERR, "5.4.6"},
    [ERROR_CONFIG] = {EX_TEMPFAIL, EX_CONFIG, "4.3.5"},
};

static enum error_kind known(enum error_kind kind)
{
    return (unsigned)kind < ERROR_KINDS ? kind : ERROR_TEMPORARY;
}

int exit_status_of(enum error_kind kind, bool terminal)
{
    kind = known(kind);
    return terminal ? statuses[kind].status_on_terminal : statuses[kind].status;
}

const char *exit_status_dsn(enum error_kind kind)
{
    return statuses[known(kind)].dsn;
}

int exit_status_report(const struct error *err, bool terminal, FILE *stream)
{
    if (err->kind != ERROR_NONE)
        fprintf(stream, "%s %s\n", exit_status_dsn(err->kind), err->text);
    return exit_status_of(err->kind, terminal);
}
