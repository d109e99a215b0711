/*
 * The bare floor under one delivery, for tests/bench/delivery: what any program must do that stores a
 * file and a row durably. Write, fsync, rename into new/, fsync new/, INSERT, COMMIT; no look-up of a
 * user, no parsing, no script, no key, nothing that survives a crash in between.
 *
 *   floor DATABASE MAILDIR < message     DATABASE: a path of SQLite, or postgresql://…
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>
#include <sqlite3.h>

static const char begin[] = "BEGIN";
static const char insert[] = "INSERT INTO floor (subject, file) VALUES ('subject', 'file')";

static void write_file(const char *maildir, char *temporary, char *final)
{
    static char buffer[65536];
    ssize_t length;

    snprintf(temporary, 4096, "%s/tmp/%ld", maildir, (long)getpid());
    snprintf(final, 4096, "%s/new/%ld", maildir, (long)getpid());
    int fd = open(temporary, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    while ((length = read(STDIN_FILENO, buffer, sizeof buffer)) > 0)
        if (write(fd, buffer, (size_t)length) != length)
            err(75, "%s", temporary);
    if (fd < 0 || length < 0 || fsync(fd) != 0 || close(fd) != 0)
        err(75, "%s", temporary);
}

static void publish(const char *maildir, const char *temporary, const char *final)
{
    char folder[4096];

    snprintf(folder, sizeof folder, "%s/new", maildir);
    int fd = open(folder, O_RDONLY | O_DIRECTORY);
    if (rename(temporary, final) != 0 || fd < 0 || fsync(fd) != 0)
        err(75, "%s", final);
    close(fd);
}

static void run_sqlite(sqlite3 *db, const char *sql)
{
    char *why = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        errx(75, "%s: %s", sql, why);
}

static void run_pgsql(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);

    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        errx(75, "%s: %s", sql, PQerrorMessage(connection));
    PQclear(result);
}

int main(int argc, char **argv)
{
    static char temporary[4096], final[4096];

    if (argc != 3)
        errx(64, "usage: floor DATABASE MAILDIR");
    write_file(argv[2], temporary, final);
    if (strncmp(argv[1], "postgresql:", 11) == 0) {
        PGconn *connection = PQconnectdb(argv[1]);

        run_pgsql(connection, begin);
        run_pgsql(connection, insert);
        publish(argv[2], temporary, final);
        run_pgsql(connection, "COMMIT");
        PQfinish(connection);
    } else {
        sqlite3 *db;

        if (sqlite3_open(argv[1], &db) != SQLITE_OK)
            errx(75, "%s", argv[1]);
        sqlite3_busy_timeout(db, 30000);
        run_sqlite(db, "PRAGMA synchronous = FULL");
        run_sqlite(db, begin);
        run_sqlite(db, insert);
        publish(argv[2], temporary, final);
        run_sqlite(db, "COMMIT");
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_close(db);
    }
    return 0;
}
