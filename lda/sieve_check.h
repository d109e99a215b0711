/* vmail sieve check: compiles scripts and says what is wrong, and what is odd, with its place. */
#ifndef VMAIL_SIEVE_CHECK_H
#define VMAIL_SIEVE_CHECK_H

struct config;

/* argv[0] is "check"; returns the exit status: 0; 1 when a script does not compile; another one
 * when the user or the database cannot be had. */
int sieve_check_main(int argc, char **argv, struct config *config);

#endif
