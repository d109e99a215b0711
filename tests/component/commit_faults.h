/*
 * Takes the place of db_commit and db_reconnect (linked with --wrap): what a crash, a lost connection
 * and a server that stays away look like from the delivery.
 */
#ifndef VMAIL_TESTS_COMMIT_FAULTS_H
#define VMAIL_TESTS_COMMIT_FAULTS_H

#include <stdbool.h>

enum commit_fault {
    COMMIT_PASSES,
    COMMIT_DIES_BEFORE,      /* the process ends, nothing is committed */
    COMMIT_DIES_AFTER,       /* the process ends, all is committed */
    COMMIT_UNDONE,           /* the database says no */
    COMMIT_LOST_UNDONE,      /* no answer; it was not committed */
    COMMIT_LOST_DONE,        /* no answer; it was committed */
    COMMIT_TRIED,            /* the real one, after "meanwhile" */
};

#define COMMIT_DEATH_STATUS 42

struct commit_faults {
    enum commit_fault next;      /* for the next commit, then COMMIT_PASSES */
    bool no_reconnect;           /* the database stays away */
    void (*meanwhile)(void *ctx); /* called before the fault happens: what Dovecot does */
    void *ctx;
};
extern struct commit_faults commit_faults;

/* linkat fails with this errno; 0: works. */
extern int link_fault;
/* flock, and renameat2 that must not overwrite, fail with these; 0: they work. */
extern int flock_fault;
extern int rename_fault;

#endif
