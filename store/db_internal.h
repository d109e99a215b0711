/* Between db.c and the two drivers. */
#ifndef VMAIL_STORE_DB_INTERNAL_H
#define VMAIL_STORE_DB_INTERNAL_H

#include "store/db.h"

/* What a driver offers. Each function sets db->fault where it fails. */
struct db_driver {
    bool (*connect)(struct db *db, struct error *err);
    void (*disconnect)(struct db *db); /* harmless when not connected */
    bool (*alive)(struct db *db);
    bool (*exec)(struct db *db, const char *sql, const struct db_value *values, size_t count,
                 db_row_fn *row, void *ctx, struct error *err);
    bool (*exec_script)(struct db *db, const char *sql, struct error *err);
    bool (*queue)(struct db *db, const char *sql, const struct db_value *values, size_t count,
                  db_row_fn *row, void *ctx, struct error *err);
    bool (*send)(struct db *db, struct error *err);
    bool (*collect)(struct db *db, struct error *err);
    bool (*begin)(struct db *db, struct error *err);
    enum db_outcome (*commit)(struct db *db, struct error *err);
    void (*rollback)(struct db *db);
    bool (*listen)(struct db *db, const char *channel, struct error *err);
    int (*socket)(const struct db *db);
    bool (*notifications)(struct db *db, db_notified_fn *notified, void *ctx, struct error *err);
    void (*release)(struct db *db); /* the driver's own part */
};

struct db {
    const struct db_driver *driver;
    enum db_kind kind;
    char *uri;
    char *name;             /* without password */
    char *application;
    bool create, read_only;
    int timeout_s;
    bool in_transaction;
    enum db_fault fault;
    int64_t changes;
    void *own;              /* the driver's struct */
};

/* A row: how to read it. */
struct db_row {
    int columns;
    const char *(*name)(const struct db_row *row, int column);
    const char *(*text)(const struct db_row *row, int column); /* NULL for NULL */
    const void *(*bytes)(const struct db_row *row, int column, size_t *ret_length);
    void *source;           /* sqlite3_stmt or PGresult */
    int index;              /* the row in a PGresult */
    GPtrArray *scratch;     /* memory that lives as long as the row */
};

extern const struct db_driver db_driver_sqlite;
extern const struct db_driver db_driver_pgsql;

#define DB_TIME_TEXT_SIZE 24
/* "YYYY-MM-DD HH:MM:SS"; years outside 1…9999 are cut to them. */
void db_time_format(int64_t seconds, char text[DB_TIME_TEXT_SIZE]);

/* A driver's message as one line: newlines and tabs become blanks, the end is trimmed. g_free. */
char *db_one_line(const char *message);

#endif
