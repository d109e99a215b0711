"""Quota: vmail-lda and Dovecot count alike, whoever adds or removes, and the limit holds."""
import os

from lib.maildir import check_rows, messages
from lib.mails import message
from lib.servers import Dovecot
from lib.story import run, want, want_equal

ALICE = "alice@example.com"


def story(s):
    s.configure()
    s.vmail("migrate")
    s.vmail("user", "add", ALICE)
    s.execute("UPDATE virtual_users SET password = '{PLAIN}secret', quota_bytes = 200000, "
              "quota_count = 50")
    dovecot = Dovecot(s, "sqlite").start()
    # Dovecot counts what the messages take with CRLF unless told otherwise; Maildir++ says S=
    big = message("big", "x" * 70 + "\n" * 1) + b"0123456789" * 5990

    def counted():
        """(KiB, messages) that Dovecot says are used."""
        lines = dovecot.doveadm("quota", "get", user=ALICE, output="tab").splitlines()[1:]
        used = {line.split("\t")[1]: int(line.split("\t")[2]) for line in lines}
        return used["STORAGE"], used["MESSAGE"]

    def on_disk():
        files = messages(s.home(ALICE))
        return (sum(os.path.getsize(m.path) for m in files) + 1023) // 1024, len(files)

    def agree(when):
        s.step("Dovecot's count is what lies there " + when)
        want_equal(counted(), on_disk(), "quota (KiB, messages) " + when)

    s.deliver(message("first"), ALICE)
    agree("after the first delivery")
    for number in range(5):
        s.deliver(message("small %d" % number), ALICE)
    s.deliver(big, ALICE, "-m", "Big")
    agree("after seven deliveries")
    client = dovecot.imap(ALICE)
    client.append("INBOX.Sent", "(\\Seen)", None, big.replace(b"\n", b"\r\n"))
    agree("after a client appended")
    client.select("INBOX")
    client.store("1:2", "+FLAGS", "(\\Deleted)")
    client.expunge()
    agree("after a client deleted")
    s.deliver(big, ALICE)
    agree("after another delivery")

    s.step("what would go over the limit waits in the queue (75, 4.2.2)")
    full = s.deliver(big, ALICE, status=75)
    want(full.err.startswith("4.2.2 "), "the code", full)
    agree("after the refusal")
    s.step("or is returned, where the site says so (77, 5.2.2)")
    full = s.deliver(big, ALICE, "-o", "quota_full=bounce", status=77)
    want(full.err.startswith("5.2.2 "), "the code", full)

    s.step("a client makes room; the retry comes in")
    client.select("INBOX.Sent")
    client.store("1:*", "+FLAGS", "(\\Deleted)")
    client.expunge()
    s.deliver(big, ALICE)
    agree("at the end")
    client.logout()
    want_equal(dovecot.complaints(), [], "Dovecot has nothing to complain about")
    s.vmail("sync", "-u", ALICE)
    check_rows(s, ALICE, "at the end")


if __name__ == "__main__":
    run(story, needs=["root", "vmail", "dovecot"])
