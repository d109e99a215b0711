/* Between the two files of the PostgreSQL driver. */
#ifndef VMAIL_STORE_DB_PGSQL_INTERNAL_H
#define VMAIL_STORE_DB_PGSQL_INTERNAL_H

#include "store/db_internal.h"
#include "store/pq_api.h"

struct queued {
    db_row_fn *row;
    void *ctx;
};

struct pgsql {
    struct pq_api pq;
    PGconn *connection;
    GQueue queued;      /* struct queued: sent, not collected */
    unsigned syncs;     /* sync points whose answers we have not seen */
    bool unsynced;      /* something was queued behind the last sync point */
};

/* Gives the result's rows to @function; false when it said so. */
bool pgsql_give_rows(struct pgsql *pgsql, PGresult *result, db_row_fn *function, void *ctx,
                     struct error *err);

/* What PQsendQueryParams wants. All as text whose type the server takes from where it stands; bytes
 * alone are binary. Borrows the texts of the values. */
struct pgsql_parameters {
    Oid *types;
    const char **values;
    int *lengths;
    int *formats;
    GPtrArray *texts;
};
void pgsql_parameters_fill(struct pgsql_parameters *parameters, const struct db_value *values,
                           size_t count);
void pgsql_parameters_clear(struct pgsql_parameters *parameters);

#endif
