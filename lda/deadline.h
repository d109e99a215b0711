/* The deadline of a delivery: the MTA bounces what takes too long, so we give up before it does. */
#ifndef VMAIL_DEADLINE_H
#define VMAIL_DEADLINE_H

/* After @seconds (0: never) the process prints "4.3.0 …" on standard error and leaves with 75, wherever
 * it is. Safe at any point: to the store it is a kill, and the next try goes on from there;
 * children die with us. For programs that do one delivery. */
void deadline_start(unsigned seconds);

/* Before delivery_timeout is known: its default. */
#define DEADLINE_STANDARD 300

#endif
