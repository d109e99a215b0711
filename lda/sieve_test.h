/* vmail sieve test: runs one script over one message and says what would happen. */
#ifndef VMAIL_SIEVE_TEST_H
#define VMAIL_SIEVE_TEST_H

struct config;

/* argv[0] is "test"; returns the exit status: 0, also when the script failed at run time; 1 when it
 * does not compile. */
int sieve_test_main(int argc, char **argv, struct config *config);

#endif
