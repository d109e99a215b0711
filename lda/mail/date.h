/*
 * Dates as mail writes them (RFC 5322 section 3.3 with the obsolete forms of 4.3, and what broken
 * senders really write), as seconds since 1970 in UTC. Proleptic Gregorian, no leap seconds, no
 * use of the process's TZ.
 */
#ifndef VMAIL_MAIL_DATE_H
#define VMAIL_MAIL_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mail_date {
    int64_t utc;     /* seconds since 1970-01-01 00:00:00 UTC */
    int zone;        /* minutes east of UTC, as written; -1439 … 1439 */
    bool zone_known; /* false: no zone, "-0000", or a name that means nothing; zone is 0 then */
};

struct date_fields {
    int year;  /* 1 … 9999 */
    int month; /* 1 … 12 */
    int day;   /* 1 … 31 */
    int hour, minute, second;
    int weekday; /* 0 = Sunday */
    int yday;    /* 0 … 365 */
};

/* Room for every text that the format functions write. */
#define DATE_TEXT_SIZE 40

/* Parses the value of a Date field, or the part behind the last ';' of a Received field. Comments,
 * missing weekday, seconds or zone, two-digit years, obsolete and usual zone names, "1 Jan" and
 * "Jan 1", asctime(3) and ISO 8601 forms are read. false: no date in it, *ret_date untouched. */
bool date_parse(const char *text, struct mail_date *ret_date);

/* True for what no honest sender means: before 1971-01-01, or more than 366 days after
 * @now (seconds UTC). Such a message gets the time of delivery in its row. */
bool date_is_absurd(int64_t utc, int64_t now);

/* "Fri, 21 Nov 1997 09:55:06 -0600" at @zone minutes east. Years are kept in 1 … 9999. */
void date_format_rfc5322(int64_t utc, int zone, char ret_text[DATE_TEXT_SIZE]);

/* "1997-11-21 15:55:06", always UTC: what TIMESTAMP columns take. */
void date_format_sql(int64_t utc, char ret_text[DATE_TEXT_SIZE]);

/* "1997-11-21T09:55:06-06:00" (RFC 3339); zone 0 is written "Z". */
void date_format_iso8601(int64_t utc, int zone, char ret_text[DATE_TEXT_SIZE]);

/* "Fri Nov 21 15:55:06 1997": the mbox From_ line, UTC. */
void date_format_asctime(int64_t utc, char ret_text[DATE_TEXT_SIZE]);

/* The calendar at @zone minutes east, and back (weekday and yday are not read; day may overflow its
 * month by up to 31). */
void date_to_fields(int64_t utc, int zone, struct date_fields *ret_fields);
int64_t date_from_fields(const struct date_fields *fields, int zone);

#endif
