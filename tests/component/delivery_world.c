#include "delivery_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "lda/base/io.h"
#include "store/mailbox_name.h"
#include "store/scan.h"

const struct header_row a_row = {
    .subject = "hello",
    .sender = "a@example.org",
    .recipient = "u1@x.example",
    .date = 1700000000,
    .message_id = "1@example.org",
    .search_document = "hello",
};

void world_open(struct world *world, struct test_database *database)
{
    memset(world, 0, sizeof *world);
    world->database = database;
    world->home_path = g_dir_make_tmp("vmail-home-XXXXXX", NULL);
    world->user = (struct store_user){
        .id = 1,
        .address = "u1@x.example",
        .home = open(world->home_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
        .home_path = world->home_path,
    };
    world->options.hostname = "mx1";
    world->db = test_database_connect(database);
    test_sql(world->db, "DELETE FROM email_headers; DELETE FROM deliveries; "
                        "DELETE FROM sieve_replies; DELETE FROM sieve_duplicates");
    world_restart(world);
}

void world_restart(struct world *world)
{
    store_free(world->store);
    world->store = store_new(world->db, &world->options);
}

void world_close(struct world *world)
{
    g_autofree char *command = g_strdup_printf("rm -rf %s", world->home_path);

    world_disconnect(world);
    close(world->user.home);
    assert_int_equal(system(command), 0);
    g_free(world->home_path);
}

void world_disconnect(struct world *world)
{
    store_free(world->store);
    db_close(world->db);
    world->store = NULL;
    world->db = NULL;
}

void world_connect(struct world *world)
{
    world->db = test_database_connect(world->database);
    world_restart(world);
}

/* ------------------------------------------------------------------ deliveries */

static bool spool(struct delivery *delivery, struct error *err)
{
    return io_write(delivery_fd(delivery), MESSAGE, strlen(MESSAGE), "spool", err);
}

static bool commit(struct world *world, struct delivery *delivery, struct attempt *attempt)
{
    const struct delivery_target inbox = {.mailbox = "INBOX", .row = &a_row};
    const struct delivery_plan plan = {
        .targets = attempt->targets != NULL ? attempt->targets : &inbox,
        .target_count = attempt->nowhere ? 0 : attempt->targets != NULL ? attempt->target_count : 1,
        .sends = attempt->sends,
        .send_count = attempt->send_count,
        .marks = attempt->marks,
        .mark_count = attempt->mark_count,
        .queue_id = "4Bxyz",
        .message_id = "1@example.org",
    };

    (void)world;
    return delivery_commit(delivery, &plan, &attempt->result, &attempt->err);
}

bool world_deliver(struct world *world, struct attempt *attempt)
{
    const struct delivery_content content = {.received_at = g_get_real_time() / G_USEC_PER_SEC / 86400
                                                            * 86400};
    struct delivery *delivery = NULL;
    bool ok = delivery_begin(world->store, &world->user, &delivery, &attempt->err) &&
              spool(delivery, &attempt->err) &&
              delivery_identify(delivery, attempt->key, &content, &attempt->state, &attempt->err);

    if (ok && attempt->state != DELIVERY_ALREADY)
        ok = commit(world, delivery, attempt);
    delivery_free(delivery);
    return ok;
}

void attempt_clear(struct attempt *attempt)
{
    delivery_result_clear(&attempt->result);
}

static bool deliver_to(struct world *world, const char *key, const char *const *mailboxes)
{
    struct delivery_target targets[8] = {{0}};
    struct attempt attempt = {.key = key, .targets = targets};

    for (; mailboxes[attempt.target_count] != NULL; attempt.target_count++)
        targets[attempt.target_count] =
            (struct delivery_target){.mailbox = mailboxes[attempt.target_count], .row = &a_row};

    bool ok = world_deliver(world, &attempt);

    if (!ok)
        fprintf(stderr, "%s\n", attempt.err.text);
    attempt_clear(&attempt);
    return ok;
}

void world_deliver_to(struct world *world, const char *key, const char *const *mailboxes)
{
    assert_true(deliver_to(world, key, mailboxes));
}

void world_deliver_and_die(struct world *world, const char *key, const char *const *mailboxes,
                           int status)
{
    int how;

    world_disconnect(world);

    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        world_connect(world);
        deliver_to(world, key, mailboxes);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &how, 0), child);
    world_connect(world);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), status);
}

/* ------------------------------------------------------------------ looking */

int world_count(const struct world *world, const char *path)
{
    g_autofree char *full = g_build_filename(world->home_path, path, NULL);
    DIR *dir = opendir(full);
    const struct dirent *entry;
    int count = 0;

    if (dir == NULL)
        return 0;
    while ((entry = readdir(dir)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

int world_count_pending(const struct world *world)
{
    return world_count(world, "vmail-pending");
}

char *world_only_file(const struct world *world, const char *path)
{
    g_autofree char *full = g_build_filename(world->home_path, path, NULL);
    DIR *dir = opendir(full);
    const struct dirent *entry;
    char *name = NULL;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        assert_null(name);
        name = g_strdup(entry->d_name);
    }
    closedir(dir);
    assert_non_null(name);
    return name;
}

struct listing {
    const struct scan_folder *folder;
    const struct world *world;
    int files;
};

static bool check_file(const struct scan_file *file, void *ctx, struct error *err)
{
    struct listing *listing = ctx;
    const struct db_value values[] = {
        db_int(listing->world->user.id), db_text(listing->folder->mailbox), db_text(file->name),
        db_bool(strchr(file->flags, 'S') != NULL),
    };
    int64_t count = 0;
    bool found;

    listing->files++;
    if (!db_query_int(listing->world->db,
                      "SELECT count(*) FROM email_headers WHERE user_id = $1 AND mailbox = $2 "
                      "AND file = $3 AND is_read = $4",
                      values, 4, &found, &count, err))
        return false;
    if (count != 1)
        fail_msg("%d rows for %s in %s", (int)count, file->entry, listing->folder->mailbox);
    return true;
}

static bool count_file(const struct scan_file *file, void *ctx, struct error *err)
{
    struct listing *listing = ctx;

    (void)file;
    (void)err;
    listing->files++;
    return true;
}

static int walk(const struct world *world, scan_found *found)
{
    struct listing listing = {.world = world};
    struct error err = {0};
    g_autoptr(GPtrArray) folders = NULL;
    int64_t ignored = 0;

    assert_true(scan_folders(world->user.home, &folders, &err));
    for (guint i = 0; i < folders->len; i++) {
        listing.folder = g_ptr_array_index(folders, i);
        assert_true(scan_files(world->user.home, listing.folder->dir, found, &listing, &ignored,
                               &err));
    }
    return listing.files;
}

int world_count_all(const struct world *world)
{
    return walk(world, count_file);
}

int64_t world_rows(const struct world *world)
{
    return test_sql_int(world->db, "SELECT count(*) FROM email_headers WHERE user_id = 1");
}

int64_t world_keys(const struct world *world)
{
    return test_sql_int(world->db, "SELECT count(*) FROM deliveries WHERE user_id = 1");
}

void world_check_rows(const struct world *world)
{
    assert_int_equal(walk(world, check_file), world_rows(world));
}
