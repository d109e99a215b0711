"""Many deliveries at a time through PgBouncer in transaction mode, with docs/pgbouncer.ini.example."""
from concurrent.futures import ThreadPoolExecutor

from lib.maildir import check_rows, leftovers, rows_of
from lib.mails import message
from lib.servers import PgBouncer, Postgres
from lib.story import run, until, want, want_equal

ALICE = "alice@example.com"
COUNT = 60


def story(s):
    postgres = Postgres(s).start()
    s.configure(database=postgres.uri)
    s.vmail("migrate")
    s.vmail("user", "add", ALICE)
    bouncer = PgBouncer(s, postgres).start()
    s.configure(database=bouncer.uri, database_timeout="30s")

    def deliver(number, status=0):
        return s.deliver(message("pooled %d" % number), ALICE, "-q", "Q%d" % number, status=status)

    s.step("%d deliveries, eight at a time" % COUNT)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(deliver, range(COUNT)))
    want_equal(sorted(r["subject"] for r in rows_of(s, ALICE)),
               sorted("pooled %d" % n for n in range(COUNT)), "each message once")
    connections = int(postgres.admin("SELECT count(*) FROM pg_stat_activity WHERE usename = 'vmail'"))
    want(connections <= 20, "the pool holds few connections", connections)

    s.step("PgBouncer is away: 75, nothing is visible; it comes back: the retry delivers, once")
    bouncer.stop()
    away = deliver(COUNT, status=75)
    want(away.err.startswith("4."), "a temporary code", away)
    bouncer.start()
    deliver(COUNT)
    deliver(COUNT)

    s.step("PostgreSQL dies behind it: the same")
    postgres.kill()
    s.configure(database=bouncer.uri, database_timeout="3s")
    deliver(COUNT + 1, status=75)
    postgres.start()
    s.configure(database=bouncer.uri, database_timeout="60s")
    # PgBouncer waits a while (server_login_retry, 15 s) before it tries its server again
    until(lambda: deliver(COUNT + 1, status=None).status == 0, "the retry is delivered", pause=1)
    deliver(COUNT + 1)
    s.configure(database=postgres.uri)
    want_equal([r["subject"] for r in rows_of(s, ALICE)].count("pooled %d" % (COUNT + 1)), 1,
               "once after all these tries")
    want_equal(check_rows(s, ALICE, "at the end"), COUNT + 2, "files")
    want_equal(leftovers(s.home(ALICE)), [], "nothing is left pending")


if __name__ == "__main__":
    run(story, needs=["root", "vmail", "postgres", "pgbouncer"])
