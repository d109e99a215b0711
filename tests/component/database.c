#include "database.h"

#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store.h"

struct test_database {
    char *folder;
    char *uri;
    pid_t server;    /* 0: SQLite */
};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "test database: %s: %s\n", what, why);
    exit(99);
}

/* PostgreSQL refuses to run as root: then as "postgres". */
static const struct passwd *server_user(void)
{
    const struct passwd *user = getpwnam("postgres");

    return user ? user : getpwnam("nobody");
}

static pid_t start_program(const char *log, char *const *argv)
{
    pid_t child = fork();
    int fd;

    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (geteuid() == 0) {
        const struct passwd *user = server_user();

        if (!user || setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 ||
            setuid(user->pw_uid) != 0)
            _exit(98);
    }
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(open("/dev/null", O_RDONLY), 0);
    dup2(fd, 1);
    dup2(fd, 2);
    setenv("LC_ALL", "C.UTF-8", 1);
    execv(argv[0], argv);
    _exit(97);
}

static int run_program(const char *log, char *const *argv)
{
    pid_t child = start_program(log, argv);
    int status = -1;

    waitpid(child, &status, 0);
    return status;
}

/* The newest installation's folder of programs; NULL: none. */
static char *find_programs(void)
{
    glob_t found;
    char *programs = NULL;

    if (glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &found) == 0)
        programs = g_path_get_dirname(found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    return programs;
}

static void print_log(const char *log)
{
    g_autofree char *text = NULL;

    if (g_file_get_contents(log, &text, NULL, NULL))
        fprintf(stderr, "%s\n", text);
}

bool test_database_has(enum db_kind kind)
{
    g_autofree char *programs = kind == DB_PGSQL ? find_programs() : NULL;

    return kind == DB_SQLITE || programs;
}

static void start_pgsql(struct test_database *database)
{
    g_autofree char *programs = find_programs();
    g_autofree char *initdb = NULL, *postgres = NULL, *data = NULL, *log = NULL;

    if (!programs)
        die("PostgreSQL", "not installed");
    initdb = g_build_filename(programs, "initdb", NULL);
    postgres = g_build_filename(programs, "postgres", NULL);
    data = g_build_filename(database->folder, "data", NULL);
    log = g_build_filename(database->folder, "log", NULL);
    if (geteuid() == 0 && chown(database->folder, server_user()->pw_uid, server_user()->pw_gid))
        die("chown", database->folder);
    if (run_program(log, (char *[]){ initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E",
                                     "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions",
                                     NULL }) != 0) {
        print_log(log);
        die("initdb", "failed");
    }
    database->server = start_program(
        log, (char *[]){ postgres, "-D", data, "-k", database->folder, "-c", "listen_addresses=",
                         "-c", "fsync=off", "-c", "shared_buffers=32MB", "-c", "max_connections=20",
                         "-c", "autovacuum=off", NULL });
    database->uri = g_strdup_printf("postgresql:///postgres?host=%s&user=postgres",
                                    database->folder);
}

static void wait_until_it_answers(struct test_database *database)
{
    struct error err = { 0 };

    for (int i = 0; i < 600; i++) {
        struct db *db;

        error_clear(&err);
        if (db_open(database->uri, NULL, &db, &err)) {
            db_close(db);
            return;
        }
        g_usleep(50000);
    }
    die("no answer", err.text);
}

struct test_database *test_database_start(enum db_kind kind)
{
    struct test_database *database = g_new0(struct test_database, 1);
    struct error err = { 0 };
    struct db_options options = { .create = true };
    struct db *db;

    database->folder = g_dir_make_tmp("vmail-test-XXXXXX", NULL);
    if (kind == DB_SQLITE) {
        database->uri = g_strdup_printf("sqlite:%s/vmail.db", database->folder);
    } else {
        start_pgsql(database);
        wait_until_it_answers(database);
    }
    if (!db_open(database->uri, &options, &db, &err) ||
        !store_migrate(db, TEST_SOURCE_DIR "/schema", NULL, NULL, &err))
        die("migrate", err.text);
    test_sql(db, "INSERT INTO virtual_users (id, email) VALUES (1, 'u1@x.example'), "
                 "(2, 'u2@x.example'), (3, 'u3@x.example')");
    db_close(db);
    return database;
}

struct db *test_database_connect(struct test_database *database)
{
    struct error err = { 0 };
    struct db *db;

    if (!db_open(database->uri, NULL, &db, &err))
        die(database->uri, err.text);
    return db;
}

const char *test_database_uri(const struct test_database *database)
{
    return database->uri;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

void test_database_stop(struct test_database *database)
{
    if (!database)
        return;
    if (database->server > 0) {
        kill(database->server, SIGINT);
        waitpid(database->server, NULL, 0);
    }
    nftw(database->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    g_free(database->folder);
    g_free(database->uri);
    g_free(database);
}

int test_on_each_database(const char *subject, struct test_database **database,
                          int (*run)(enum db_kind kind, const char *name))
{
    static const enum db_kind kinds[] = { DB_SQLITE, DB_PGSQL };
    int failed = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *name = g_strdup_printf(
            "%s, %s", subject, kinds[i] == DB_PGSQL ? "PostgreSQL" : "SQLite");

        if (!test_database_has(kinds[i]))
            continue;
        *database = test_database_start(kinds[i]);
        failed += run(kinds[i], name);
        test_database_stop(g_steal_pointer(database));
    }
    return failed != 0;
}

void test_sql(struct db *db, const char *sql)
{
    struct error err = { 0 };

    if (!db_exec_script(db, sql, &err))
        die(sql, err.text);
}

char *test_sql_text(struct db *db, const char *sql)
{
    struct error err = { 0 };
    char *text = NULL;

    if (!db_query_text(db, sql, NULL, 0, &text, &err))
        die(sql, err.text);
    return text ? text : g_strdup("");
}

int64_t test_sql_int(struct db *db, const char *sql)
{
    struct error err = { 0 };
    int64_t number = 0;
    bool found;

    if (!db_query_int(db, sql, NULL, 0, &found, &number, &err))
        die(sql, err.text);
    return found ? number : 0;
}
