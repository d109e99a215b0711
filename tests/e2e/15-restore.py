"""After a restore: the files are back, the rows are gone or old. vmail reindex makes them true; what
only the database knew stays where it still has the message."""
import os
import shutil

from lib.maildir import check_rows, messages, rows_of
from lib.mails import message, mixed
from lib.servers import Postgres
from lib.story import run, want, want_equal

USERS = ("alice@example.com", "bob@example.com")
TOLD = ("subject", "sender", "recipient", "date", "message_id", "mailbox", "file", "size", "flags",
        "is_read", "refs", "has_attachment")


def told(s, user):
    return sorted(tuple(str(row[name]) for name in TOLD) for row in rows_of(s, user))


def tell(s, name):
    s.vmail("migrate")
    for user in USERS:
        s.vmail("user", "add", user)
    for number, (_, _, mail) in enumerate(mixed(40)):
        s.deliver(mail, USERS[number % 2], "-m", "INBOX" if number % 3 else "보관함.2024")
    before = {user: told(s, user) for user in USERS}
    ids = {row["file"]: row["id"] for row in rows_of(s, USERS[1])}
    s.vmail("reindex", "--all", "--check")

    s.step("%s: alice's rows are lost; --check finds it, and changes nothing" % name)
    s.execute("DELETE FROM email_headers WHERE user_id = (SELECT id FROM virtual_users "
              "WHERE email = 'alice@example.com')")
    s.vmail("reindex", "--all", "--check", status=1)
    want_equal(rows_of(s, USERS[0]), [], "still no rows")

    s.step("%s: reindex builds them again, each as delivery had written it" % name)
    s.vmail("reindex", "--all", "-j", "2")
    for user in USERS:
        check_rows(s, user, "after reindex")
    want_equal(told(s, USERS[0]), before[USERS[0]], "alice's rows")
    want_equal(told(s, USERS[1]), before[USERS[1]], "bob's rows")
    want_equal({row["file"]: row["id"] for row in rows_of(s, USERS[1])}, ids,
               "bob's rows keep their ids")
    s.vmail("reindex", "--all", "--check")

    s.step("%s: a day's files are missing, a folder came back, a row names a folder that is not" % name)
    gone = messages(s.home(USERS[0]), "INBOX")[:5]
    for m in gone:
        os.unlink(m.path)
    copy = s.home(USERS[1]) + "/.Restored"
    shutil.copytree(s.home(USERS[0]) + "/." + "&vPStANVo-.2024", copy)
    s.run("chown", "-R", s.user or "root", copy, status=0, **({"user": 0} if s.user else {}))
    s.execute("UPDATE email_headers SET mailbox = 'Nowhere' WHERE id = "
              "(SELECT min(id) FROM email_headers)")
    s.vmail("reindex", "--all", "--check", status=1)
    s.vmail("reindex", "--all")
    for user in USERS:
        check_rows(s, user, "after the second reindex")
    s.vmail("reindex", "--all", "--check")
    want(len(messages(s.home(USERS[1]), "Restored")) > 3, "the folder came back")

    s.step("%s: mail comes in as before" % name)
    s.deliver(message("after the restore"), USERS[0])
    check_rows(s, USERS[0], "at the end")


def story(s):
    s.configure()
    tell(s, "SQLite")
    postgres = Postgres(s).start()
    s.root = s.path("mail/second")
    s.run("mkdir", s.root, status=0)
    s.configure(database=postgres.uri)
    tell(s, "PostgreSQL")


if __name__ == "__main__":
    run(story, needs=["postgres"])
