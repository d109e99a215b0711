#include "commit_faults.h"

#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "store/db.h"

struct commit_faults commit_faults;
int link_fault;
int flock_fault;
int rename_fault;

enum db_outcome __real_db_commit(struct db *db, struct error *err);
enum db_outcome __wrap_db_commit(struct db *db, struct error *err);
bool __real_db_reconnect(struct db *db, struct error *err);
bool __wrap_db_reconnect(struct db *db, struct error *err);
int __real_nanosleep(const struct timespec *length, struct timespec *left);
int __wrap_nanosleep(const struct timespec *length, struct timespec *left);
int __real_linkat(int from, const char *from_name, int to, const char *to_name, int flags);
int __wrap_linkat(int from, const char *from_name, int to, const char *to_name, int flags);

enum db_outcome __wrap_db_commit(struct db *db, struct error *err)
{
    enum commit_fault fault = commit_faults.next;

    commit_faults.next = COMMIT_PASSES;
    if (fault != COMMIT_PASSES && commit_faults.meanwhile != NULL)
        commit_faults.meanwhile(commit_faults.ctx);
    switch (fault) {
    case COMMIT_PASSES:
    case COMMIT_TRIED:
        break;
    case COMMIT_DIES_BEFORE:
        _exit(COMMIT_DEATH_STATUS);
    case COMMIT_DIES_AFTER:
        __real_db_commit(db, err);
        _exit(COMMIT_DEATH_STATUS);
    case COMMIT_UNDONE:
        db_rollback(db);
        error_set(err, ERROR_TEMPORARY, "undone for a test");
        return DB_UNDONE;
    case COMMIT_LOST_UNDONE:
        db_rollback(db);
        error_set(err, ERROR_TEMPORARY, "lost for a test");
        return DB_UNKNOWN;
    case COMMIT_LOST_DONE:
        __real_db_commit(db, err);
        error_set(err, ERROR_TEMPORARY, "lost for a test");
        return DB_UNKNOWN;
    }
    return __real_db_commit(db, err);
}

bool __wrap_db_reconnect(struct db *db, struct error *err)
{
    if (!commit_faults.no_reconnect)
        return __real_db_reconnect(db, err);
    error_set(err, ERROR_TEMPORARY, "away for a test");
    return false;
}

/* The pauses between tries to connect are for real servers. */
int __wrap_nanosleep(const struct timespec *length, struct timespec *left)
{
    return commit_faults.no_reconnect ? 0 : __real_nanosleep(length, left);
}

int __wrap_linkat(int from, const char *from_name, int to, const char *to_name, int flags)
{
    if (link_fault != 0) {
        errno = link_fault;
        return -1;
    }
    return __real_linkat(from, from_name, to, to_name, flags);
}

/* In the place of the C library's: a file system without them. */
int flock(int fd, int operation)
{
    if (flock_fault == 0)
        return (int)syscall(SYS_flock, fd, operation);
    errno = flock_fault;
    return -1;
}

int renameat2(int from, const char *from_name, int to, const char *to_name, unsigned flags)
{
    if (rename_fault == 0 || flags == 0)
        return (int)syscall(SYS_renameat2, from, from_name, to, to_name, flags);
    errno = rename_fault;
    return -1;
}
