"""The main job with SQLite: Postfix reads accounts from the same file that takes the rows.

Told in lib/postfix_delivery.py; here the database goes away because somebody locks it: an
administrator who forgot to end a transaction, which is the SQLite way of being down."""
import os
import shutil
import sqlite3

from lib import postfix_delivery
from lib.story import run


def story(s):
    # as the head of postfix-master.cf.example says
    shutil.chown(s.root, "vmail", "postfix")
    os.chmod(s.root, 0o2750)
    s.configure(database_timeout="60s")  # twenty deliveries at a time on a slow machine
    lock = []

    def lock_it():
        base = sqlite3.connect(s.root + "/vmail.db", isolation_level=None, timeout=90,
                               check_same_thread=False)
        base.execute("BEGIN IMMEDIATE")
        lock.append(base)
        s.configure(database_timeout="2s")

    def release_it():
        base = lock.pop()
        base.execute("ROLLBACK")
        base.close()
        s.configure(database_timeout="60s")

    postfix_delivery.prepare(s)
    s.run("sh", "-c", "chmod 640 %s/vmail.db*" % s.root, status=0)
    # Some process keeps the database open, as vmail sync --watch does: else the next one to come reads the
    # log anew, and Postfix, which only reads and waits for no lock, is told that the file is locked.
    stays = sqlite3.connect(s.root + "/vmail.db", isolation_level=None)
    stays.execute("SELECT count(*) FROM virtual_users").fetchone()
    postfix_delivery.tell(s, "sqlite", lock_it, release_it)
    stays.close()


if __name__ == "__main__":
    run(story, needs=["root", "vmail", "postfix"])
