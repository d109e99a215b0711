/* libpq, loaded when the first postgresql:// URI is opened: a SQLite site never maps it. */
#ifndef VMAIL_STORE_PQ_API_H
#define VMAIL_STORE_PQ_API_H

#include <libpq-fe.h>

#include "lda/base/error.h"

/* Each function once: the table and its filling are made from this list. */
#define PQ_FUNCTIONS(X) \
    X(PQclear) \
    X(PQcmdStatus) \
    X(PQcmdTuples) \
    X(PQconnectdbParams) \
    X(PQconsumeInput) \
    X(PQenterPipelineMode) \
    X(PQerrorMessage) \
    X(PQexitPipelineMode) \
    X(PQfinish) \
    X(PQflush) \
    X(PQfname) \
    X(PQfreemem) \
    X(PQgetisnull) \
    X(PQgetResult) \
    X(PQgetvalue) \
    X(PQisBusy) \
    X(PQnfields) \
    X(PQnotifies) \
    X(PQntuples) \
    X(PQpipelineStatus) \
    X(PQpipelineSync) \
    X(PQresultErrorField) \
    X(PQresultErrorMessage) \
    X(PQresultStatus) \
    X(PQsendQuery) \
    X(PQsendQueryParams) \
    X(PQsetnonblocking) \
    X(PQsetNoticeProcessor) \
    X(PQsetSingleRowMode) \
    X(PQsocket) \
    X(PQstatus) \
    X(PQtransactionStatus)

struct pq_api {
#define PQ_MEMBER(function) __typeof__(function) *function;
    PQ_FUNCTIONS(PQ_MEMBER)
#undef PQ_MEMBER
};

/* ERROR_CONFIG when libpq.so.5 is not installed or older than 14 (pipeline mode). The library stays
 * loaded until the process ends. */
bool pq_api_load(struct pq_api *api, struct error *err);

#endif
