#include "lda/deadline.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static char line[128];
static size_t line_length;

static void give_up(int signal_number)
{
    (void)signal_number;
    /* nothing else is safe here; a line that cannot be written changes nothing */
    if (write(STDERR_FILENO, line, line_length) < 0)
        _exit(EX_TEMPFAIL);
    _exit(EX_TEMPFAIL);
}

void deadline_start(unsigned seconds)
{
    struct sigaction action;

    alarm(0); /* an earlier one */
    if (seconds == 0)
        return;
    int length = snprintf(line, sizeof line,
                          "4.3.0 the delivery did not end within %u s (delivery_timeout)\n",
                          seconds);
    line_length = (size_t)length;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = give_up;
    sigaction(SIGALRM, &action, NULL);
    alarm(seconds);
}
