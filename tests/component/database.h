/* A database of the test's own: SQLite in a temporary folder, or a private PostgreSQL server. */
#ifndef VMAIL_TESTS_DATABASE_H
#define VMAIL_TESTS_DATABASE_H

#include "store/db.h"

struct test_database;

/* Can it be started here? SQLite always. */
bool test_database_has(enum db_kind kind);
/* Starts it, with all migrations applied and the users 1…3 (u1@x.example…). Ends the program when it
 * does not start. */
struct test_database *test_database_start(enum db_kind kind);
/* A new connection; the caller closes. */
struct db *test_database_connect(struct test_database *database);
const char *test_database_uri(const struct test_database *database);
/* Stops the server and removes its folder. */
void test_database_stop(struct test_database *database);

/* The main of a program whose tests run on each kind of database that can be started here: *database is
 * there while @run runs. @run gives @name ("subject, SQLite") to its group and returns how many tests
 * failed. */
int test_on_each_database(const char *subject, struct test_database **database,
                          int (*run)(enum db_kind kind, const char *name));

/* Runs statements without parameters; fails the test when the database says no. */
void test_sql(struct db *db, const char *sql);
/* The first column of the first row as text, "" for NULL or none; the caller frees. */
char *test_sql_text(struct db *db, const char *sql);
int64_t test_sql_int(struct db *db, const char *sql);

#endif
