"""The main job: a real Postfix pipes real mail to vmail-lda, accounts and rows are in PostgreSQL.

Told in lib/postfix_delivery.py; here PostgreSQL dies by SIGKILL in the middle of it, and recovers."""
from lib import postfix_delivery
from lib.servers import Postgres
from lib.story import run


def story(s):
    postgres = Postgres(s).start()
    s.configure(database=postgres.uri, database_timeout="60s")
    postfix_delivery.prepare(s)
    postfix_delivery.tell(s, "pgsql", postgres.kill, postgres.start)


if __name__ == "__main__":
    run(story, needs=["root", "vmail", "postgres", "postfix"])
