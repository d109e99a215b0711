"""Ops replay what they have, a folder of messages, an mbox, a Maildir: each message once, however
often it is tried."""
import mailbox
import os

from lib.maildir import check_rows, leftovers, messages, rows_of
from lib.mails import mixed
from lib.story import run, want, want_equal

ALICE, BOB, CAROL = "alice@example.com", "bob@example.com", "carol@example.com"
COUNT = 30


def story(s):
    s.configure()
    s.vmail("migrate")
    for user in (ALICE, BOB, CAROL):
        s.vmail("user", "add", user)
    mails = [mail for _, _, mail in mixed(COUNT)]
    folder = s.path("eml")
    os.mkdir(folder)
    for number, mail in enumerate(mails):
        s.write("eml/%03d.eml" % number, "")
        with open("%s/%03d.eml" % (folder, number), "wb") as file:
            file.write(mail)
    box = mailbox.mbox(s.path("old.mbox"))
    maildir = mailbox.Maildir(s.path("old.maildir"))
    for mail in mails:
        box.add(mail)
        maildir.add(mail)
    box.close()
    s.run("chown", "-R", s.user or "root", s.path("old.maildir"), s.path("old.mbox"), status=0,
          **({"user": 0} if s.user else {}))

    def ids(user):
        return sorted(row["message_id"] for row in rows_of(s, user))
    wanted = sorted("m%d@remote.example" % n for n in range(COUNT))

    for user, kind, source in ((ALICE, "eml", folder), (BOB, "mbox", s.path("old.mbox")),
                               (CAROL, "maildir", s.path("old.maildir"))):
        s.step("%s: --dry-run changes nothing, the first run delivers, the second nothing" % kind)
        s.vmail("replay", "-u", user, "-t", kind, "--dry-run", source)
        want_equal(ids(user), [], "nothing was delivered")
        s.vmail("replay", "-u", user, "-t", kind, "-j", "2", source)
        want_equal(ids(user), wanted, "each message once")
        again = s.vmail("replay", "-u", user, "-t", kind, source)
        want_equal(ids(user), wanted, "still each once")
        want(str(COUNT) in again.out + again.err, "it says that it did nothing new", again)
        want_equal(check_rows(s, user, kind), COUNT, "files")
        want_equal(leftovers(s.home(user)), [], "nothing is left pending")

    s.step("what cannot be delivered is told, and does not keep the rest from it")
    report = s.path("log/report")
    failed = s.run("vmail", "replay", "-u", "nobody@example.com", "--report", report, folder)
    want(failed.status != 0, "the status says so", failed)
    with open(report, encoding="utf-8") as file:
        want("nobody@example.com" in file.read(), "the report names the reason")
    want(messages(s.home(ALICE)), "nothing was lost meanwhile")


if __name__ == "__main__":
    run(story)
