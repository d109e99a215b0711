"""Dovecot's own tools read what vmail-lda wrote: mailboxes, subjects, flags, sizes, no warning."""
import json
import os

from lib.maildir import check_rows, messages
from lib.mails import message, mixed
from lib.servers import Dovecot
from lib.story import run, want, want_equal

ALICE = "alice@example.com"
SCRIPT = '''require ["fileinto", "imap4flags", "mailbox"];
if header :contains "subject" "중요한 공지" {
    addflag ["\\\\Flagged", "$label1"];
    fileinto :create "INBOX.중요.공지";
} elsif header :contains "subject" "会議" {
    addflag ["\\\\Seen", "\\\\Answered"];
    keep;
}
'''


def fetch(dovecot):
    """What doveadm says about every message: a list of dicts."""
    text = dovecot.doveadm("fetch", "mailbox flags hdr.message-id size.physical size.virtual body",
                           "all", user=ALICE, output="json")
    return json.loads(text)


def story(s):
    s.configure()
    s.vmail("migrate")
    s.vmail("user", "add", ALICE)
    s.execute("UPDATE virtual_users SET password = '{PLAIN}secret'")
    s.deliver(message("first", message_id="first@remote.example"), ALICE)
    s.write(s.home(ALICE) + "/.dovecot.sieve", SCRIPT, 0o600, s.user)
    mails = list(mixed(30))
    for _, _, mail in mails:
        s.deliver(mail, ALICE)
    s.step("31 messages are delivered, with folders and flags")
    dovecot = Dovecot(s, "sqlite").start()

    def compare(when):
        s.step("doveadm agrees " + when)
        boxes = dovecot.doveadm("mailbox", "list", user=ALICE).split("\n")
        want_equal(sorted(filter(None, boxes)), ["INBOX", "INBOX.Drafts", "INBOX.Sent", "INBOX.중요",
                                                 "INBOX.중요.공지"], "mailboxes, %s" % when)
        subscribed = dovecot.doveadm("mailbox", "list", "-s", user=ALICE).split("\n")
        want_equal(sorted(filter(None, subscribed)),
                   ["INBOX", "INBOX.Drafts", "INBOX.Sent", "INBOX.중요.공지"], "subscriptions, %s" % when)
        found = fetch(dovecot)
        ours = {}
        for m in messages(s.home(ALICE)):
            raw = m.bytes()
            name = "INBOX" if m.mailbox == "INBOX" else "INBOX." + m.mailbox
            ours[raw.partition(b"\nMessage-ID: ")[2].partition(b"\n")[0].decode()] = (
                name, len(raw), len(raw) + raw.count(b"\n"), raw.partition(b"\n\n")[2])
        want_equal(len(found), 31, "number of messages, %s" % when)
        for one in found:
            mailbox, size, virtual, body = ours[one["hdr.message-id"]]
            want_equal((one["mailbox"], int(one["size.physical"]), int(one["size.virtual"])),
                       (mailbox, size, virtual), "mailbox and sizes of " + one["hdr.message-id"])
            want_equal(one["body"].replace("\r\n", "\n").encode("utf-8", "replace"),
                       body.decode("utf-8", "replace").encode("utf-8"),
                       "body of " + one["hdr.message-id"])
        flags = {one["hdr.message-id"]: set(one["flags"].split()) - {"\\Recent"} for one in found}
        for number, (subject, _, _) in enumerate(mails):
            wanted = set()
            if "중요한 공지" in subject:
                wanted = {"\\Flagged", "$label1"}
            elif "会議" in subject:
                wanted = {"\\Seen", "\\Answered"}
            want_equal(flags["<m%d@remote.example>" % number], wanted, "flags of %s" % subject)
        want_equal(dovecot.complaints(), [], "Dovecot's log, %s" % when)

    compare("at first sight")
    s.step("Dovecot moved new/ to cur/ and keeps its index; more mail comes")
    os.unlink(s.home(ALICE) + "/.dovecot.sieve")
    client = dovecot.imap(ALICE)
    client.select("INBOX")
    client.store("1:*", "+FLAGS", "(\\Flagged)")
    client.store("1:*", "-FLAGS", "(\\Flagged)")
    client.logout()
    compare("after an IMAP session")
    s.deliver(message("later", message_id="later@remote.example"), ALICE)
    want_equal(len(fetch(dovecot)), 32, "the later message is seen too")

    s.step("names tell sizes: doveadm opened no file to learn them")
    for m in messages(s.home(ALICE)):
        want(",S=%d,W=" % os.path.getsize(m.path) in m.file, "S= and W= stand in the name", m.file)
    want_equal(dovecot.complaints(), [], "Dovecot's log at the end")
    dovecot.stop()
    s.vmail("sync", "-u", ALICE)
    check_rows(s, ALICE, "after vmail sync")


if __name__ == "__main__":
    run(story, needs=["root", "vmail", "dovecot"])
