/*
 * The delivery transaction beside its bare floor, in one process with one warm connection:
 *
 *   floor         write, fsync, rename into new/, fsync new/, INSERT, COMMIT: nothing that a crash
 * in between, a retry or a lost answer would need transaction   delivery_begin … delivery_commit of
 * store/store.h: key, witness, row, one folder
 *
 *   bench_transaction DATABASE SCHEMA_DIR HOME maildir|mbox ROUNDS
 *
 * In turn, so that a machine whose load changes is unfair to neither. Prints the medians and the
 * ratio.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "store/db.h"
#include "store/store.h"

#define SIZE 4096

struct bench {
    struct db *db;
    struct store *store;
    struct store_user user;
    int floor; /* its Maildir */
    char message[SIZE];
    gint64 *ours_us, *floor_us;
};

static void check(bool ok, const struct error *why)
{
    if (!ok)
        errx(75, "%s", why->text);
}

static void fill(char message[SIZE])
{
    static const char head[] = "From: a@example.org\nTo: u1@x.example\nSubject: bench\n\n";

    memset(message, 'x', SIZE);
    for (size_t at = 63; at < SIZE; at += 64)
        message[at] = '\n';
    memcpy(message, head, sizeof head - 1);
}

static void write_all(int fd, const char *message)
{
    if (fd < 0 || write(fd, message, SIZE) != SIZE)
        errx(75, "cannot write: %s", g_strerror(errno));
}

static void deliver_bare(struct bench *bench, int round)
{
    g_autofree char *from = g_strdup_printf("tmp/%d.%d", getpid(), round);
    g_autofree char *to = g_strdup_printf("new/%d.%d", getpid(), round);
    const struct db_value values[] = {db_text("bench"), db_text("a@example.org"), db_text(to)};
    struct error why = {0};
    int fd = openat(bench->floor, from, O_CREAT | O_WRONLY | O_EXCL | O_CLOEXEC, 0600);

    write_all(fd, bench->message);
    if (fsync(fd) != 0 || close(fd) != 0 || renameat(bench->floor, from, bench->floor, to) != 0)
        err(75, "%s", to);

    int folder = openat(bench->floor, "new", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0 || fsync(folder) != 0)
        err(75, "new");
    close(folder);
    check(db_begin(bench->db, &why) &&
              db_queue(bench->db, "INSERT INTO floor (subject, sender, file) VALUES ($1, $2, $3)",
                       values, 3, NULL, NULL, &why) &&
              db_collect(bench->db, &why) && db_commit(bench->db, &why) == DB_DURABLE,
          &why);
}

static void deliver_ours(struct bench *bench, int round)
{
    const struct header_row row = {
        .subject = "bench",
        .sender = "a@example.org",
        .recipient = "u1@x.example",
        .date = 1700000000,
        .message_id = "bench@example.org",
        .search_document = "bench a@example.org u1@x.example",
    };
    const struct delivery_target target = {.mailbox = "INBOX", .row = &row};
    const struct delivery_plan plan = {
        .targets = &target, .target_count = 1, .queue_id = "4Bxyz", .message_id = row.message_id};
    const struct delivery_content content = {.size_crlf = SIZE + SIZE / 64};
    g_autofree char *name = g_strdup_printf("%d.%d", getpid(), round);
    g_autofree char *key = g_compute_checksum_for_string(G_CHECKSUM_SHA256, name, -1);
    struct delivery *delivery = NULL;
    struct delivery_result result = {0};
    enum delivery_state state;
    struct error why = {0};

    check(delivery_begin(bench->store, &bench->user, &delivery, &why), &why);
    write_all(delivery_fd(delivery), bench->message);
    check(delivery_identify(delivery, key, &content, &state, &why) &&
              delivery_commit(delivery, &plan, &result, &why),
          &why);
    delivery_result_clear(&result);
    delivery_free(delivery);
}

static gint64 took_us(void (*deliver)(struct bench *bench, int round), struct bench *bench,
                      int round)
{
    gint64 began = g_get_monotonic_time();

    deliver(bench, round);
    return g_get_monotonic_time() - began;
}

static int compare(const void *a, const void *b)
{
    gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;

    return (x > y) - (x < y);
}

static double median_ms(gint64 *times_us, int rounds)
{
    qsort(times_us, (size_t)rounds, sizeof *times_us, compare);
    return (double)times_us[rounds / 2] / 1000;
}

static void set_up(struct bench *bench, char **argv)
{
    struct error why = {0};
    const struct db_options options = {.create = true};
    static const struct store_options store_options = {.hostname = "mx1"};
    g_autofree char *floor = g_strconcat(argv[3], "/floor", NULL);

    fill(bench->message);
    check(db_open(argv[1], &options, &bench->db, &why) &&
              store_migrate(bench->db, argv[2], NULL, NULL, &why) &&
              db_exec_script(bench->db,
                             "CREATE TABLE IF NOT EXISTS floor (id SERIAL PRIMARY KEY, "
                             "subject TEXT, sender TEXT, file TEXT);"
                             "INSERT INTO virtual_users (id, email, password) VALUES "
                             "(1, 'u1@x.example', '') ON CONFLICT DO NOTHING",
                             &why),
          &why);
    bench->store = store_new(bench->db, &store_options);
    if (mkdir(floor, 0700) != 0)
        err(75, "%s", floor);
    bench->floor = open(floor, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mkdirat(bench->floor, "tmp", 0700);
    mkdirat(bench->floor, "new", 0700);
    mkdirat(bench->floor, "home", 0700);
    bench->user = (struct store_user){
        .id = 1,
        .address = "u1@x.example",
        .home = openat(bench->floor, "home", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
        .home_path = "home",
        .format = strcmp(argv[4], "mbox") == 0 ? STORE_MBOX : STORE_MAILDIR,
    };
}

int main(int argc, char **argv)
{
    struct bench bench = {0};

    if (argc != 6)
        errx(64, "usage: bench_transaction DATABASE SCHEMA_DIR HOME maildir|mbox ROUNDS");

    int rounds = MAX(atoi(argv[5]), 3);

    set_up(&bench, argv);
    bench.ours_us = g_new0(gint64, (gsize)rounds);
    bench.floor_us = g_new0(gint64, (gsize)rounds);
    for (int i = -5; i < rounds; i++) { /* some rounds to get warm */
        gint64 ours = took_us(deliver_ours, &bench, i);
        gint64 bare = took_us(deliver_bare, &bench, i);

        if (i >= 0) {
            bench.ours_us[i] = ours;
            bench.floor_us[i] = bare;
        }
    }

    double ours = median_ms(bench.ours_us, rounds), bare = median_ms(bench.floor_us, rounds);

    printf("%.2f ms transaction, %.2f ms floor: %.2f times\n", ours, bare, ours / bare);
    store_free(bench.store);
    db_close(bench.db);
    g_free(bench.ours_us);
    g_free(bench.floor_us);
    return 0;
}
