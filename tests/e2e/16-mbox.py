"""mbox: one file a folder, which Dovecot serves and rewrites while mail is delivered."""
import mailbox
import threading

from lib.imapview import seen_by
from lib.maildir import row_flags, rows_of
from lib.mails import message, mixed
from lib.servers import Dovecot, Postgres
from lib.story import run, want, want_equal

ALICE = "alice@example.com"
SCRIPT = '''require ["fileinto", "imap4flags", "mailbox"];
if header :contains "subject" "중요한 공지" {
    addflag "\\\\Flagged";
    fileinto :create "INBOX.보관";
}
'''


def story(s):
    postgres = Postgres(s).start()
    s.configure(database=postgres.uri)
    s.vmail("migrate")
    s.vmail("user", "add", "--format", "mbox", ALICE)
    s.execute("UPDATE virtual_users SET password = '{PLAIN}secret'")
    s.deliver(message("first", message_id="first@x"), ALICE)
    s.write(s.home(ALICE) + "/.dovecot.sieve", SCRIPT, 0o600, s.user)
    mails = list(mixed(40))
    for _, _, mail in mails:
        s.deliver(mail, ALICE)

    s.step("Python's mailbox module, as any mail tool, reads the file")
    box = mailbox.mbox(s.home(ALICE) + "/mbox", create=False)
    want_equal(sorted(m["message-id"] for m in box),
               sorted(["<first@x>"] + ["<m%d@remote.example>" % n for n in range(40) if n % 10 != 5]),
               "messages in the file")
    quoted = [m for m in box if m["message-id"] == "<m9@remote.example>"][0]
    want("\n>From there on" in quoted.as_string(), "a line that begins with From is quoted",
         quoted.as_string())

    s.step("Dovecot serves it; rows agree, all messages and all flags")
    dovecot = Dovecot(s, "pgsql").start()
    client = dovecot.imap(ALICE)
    view = seen_by(client)
    rows = sorted((r["mailbox"], r["message_id"], row_flags(r)) for r in rows_of(s, ALICE))
    want_equal(view, rows, "rows say what IMAP says")
    want_equal(len(view), 41, "messages")
    want_equal({tuple(flags) for name, _, flags in view if name == "보관"}, {("\\Flagged",)},
               "the flags that the script set")

    s.step("a client flags, deletes and copies: Dovecot rewrites the file")
    client.select("INBOX")
    client.store("1:10", "+FLAGS", "(\\Seen)")
    client.store("5:6", "+FLAGS", "(\\Answered)")
    client.store("2:3", "+FLAGS", "(\\Deleted)")
    client.expunge()
    client.copy("1:2", "INBOX.Sent")
    view = seen_by(client)
    want_equal(len(view), 41, "messages")

    s.step("deliveries while the client goes on")
    problems = []

    def deliver():
        try:
            for number in range(15):
                s.deliver(message("busy %d" % number, message_id="busy%d@x" % number), ALICE)
        except Exception as problem:
            problems.append(problem)
    threads = [threading.Thread(target=deliver)]
    threads[0].start()
    while threads[0].is_alive():
        client.select("INBOX")
        client.store("1:5", "-FLAGS", "(\\Seen)")
        client.store("1:5", "+FLAGS", "(\\Seen)")
        client.select("INBOX.Sent")
    threads[0].join()
    want_equal(problems, [], "every delivery went well")
    view = seen_by(client)
    want_equal(sorted(mid for _, mid, _ in view if mid.startswith("busy")),
               sorted("busy%d@x" % n for n in range(15)), "each message once")
    want_equal(len(view), 41 + 15, "and what was there")
    want_equal(sorted(r["message_id"] for r in rows_of(s, ALICE) if r["subject"].startswith("busy")),
               sorted("busy%d@x" % n for n in range(15)), "each has its row")
    client.logout()
    want_equal(dovecot.complaints(), [], "Dovecot has nothing to complain about")


if __name__ == "__main__":
    run(story, needs=["root", "vmail", "postgres", "dovecot"])
