/*
 * The log: syslog, standard error or a file; one line per event, in Dovecot's manner.
 *
 * For the programs alone: nothing below main logs. GLib's own messages come here too, because
 * pipe(8) reads the status code from the start of standard error.
 */
#ifndef VMAIL_LOG_H
#define VMAIL_LOG_H

struct config;

/* First of all: nothing of GLib's goes to standard error. */
void log_capture(void);

/* @program is syslog's ident. Never fails: a log that cannot be opened is syslog. */
void log_open(const struct config *config, const char *program);

/* @priority as in syslog(3). One line; control characters become '?'. */
void log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Lines for a standard error that is no terminal wait until here: the line with the status code must
 * come first. */
void log_close(void);

#endif
